"""Files of painters, and photos of any size painted in parts."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from vggapps.errors import WeightsError
from vggapps.image import resize, scaled
from vggapps.painters import _files as files
from vggapps.painters import _tiles as tiling
from vggapps.painters._files import load_painter, save_painter
from vggapps.painters._network import Painter
from vggapps.painters._tiles import paint_tensor


@pytest.fixture
def painter() -> Painter:
    torch.manual_seed(0)
    made = Painter(["waves", "night"], channels=16, blocks=2)
    nn.init.normal_(made.convs[-1].weight, std=0.05)
    for norm in made.norms:
        nn.init.normal_(norm.weight, mean=1, std=0.2)
    return made.requires_grad_(False).eval()


def photo(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_a_file_gives_the_same_picture_to_an_8_bit_level(painter: Painter, tmp_path: Path) -> None:
    save_painter(painter, tmp_path / "p.safetensors")
    read = load_painter(tmp_path / "p.safetensors")
    assert read.styles == painter.styles
    before, after = (paint_tensor(one, photo(48, 64), {"night": 1}, dtype="float32") for one in (painter, read))
    assert (before - after).abs().mean() < 1 / 255
    assert (before - photo(48, 64)).abs().mean() > 0.02  # it does paint


def test_a_painter_of_the_usual_size_needs_at_most_1_2_megabytes(tmp_path: Path) -> None:
    save_painter(Painter(["a", "b", "c", "d"]), tmp_path / "p.safetensors")
    assert (tmp_path / "p.safetensors").stat().st_size <= 1.2e6


def test_each_weight_is_within_half_a_level_of_its_channel(painter: Painter, tmp_path: Path) -> None:
    save_painter(painter, tmp_path / "p.safetensors")
    for one, other in zip(painter.convs, load_painter(tmp_path / "p.safetensors").convs, strict=True):
        level = one.weight.abs().amax((1, 2, 3), keepdim=True) / 127
        assert ((one.weight - other.weight).abs() <= 0.501 * level).all()


def test_a_painter_that_was_read_is_written_as_it_was(painter: Painter, tmp_path: Path) -> None:
    save_painter(painter, tmp_path / "p.safetensors")
    save_painter(load_painter(tmp_path / "p.safetensors"), tmp_path / "again.safetensors")
    first, again = (safetensors.torch.load_file(tmp_path / f"{name}.safetensors") for name in ("p", "again"))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [(200, 150), (131, 259)])
def test_parts_are_the_whole_with_the_same_statistics(
    painter: Painter, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], dtype: str
) -> None:
    monkeypatch.setattr(tiling, "THUMBNAIL", 96)
    monkeypatch.setattr(tiling, "TILE", 64)
    large, mix = photo(*size), painter.mix({"waves": 0.3, "night": 0.7}, 0.8)
    in_parts = paint_tensor(painter, large, {"waves": 3, "night": 7}, strength=0.8, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
        statistics = painter.statistics(resize(large, scaled(*size, 96)), mix)
        whole = painter(large, mix, statistics).clamp(0, 1)
    assert (in_parts - whole).abs().max() < 1 / 255
    assert (whole - large).abs().mean() > 0.02


@pytest.mark.parametrize("damage", ["missing", "other", "cut", "tensors"])
def test_files_that_are_no_painters_are_refused(painter: Painter, tmp_path: Path, damage: str) -> None:
    file = tmp_path / "p.safetensors"
    save_painter(painter, file)
    if damage == "missing":
        file.unlink()
    elif damage == "other":
        safetensors.torch.save_file({"a": torch.zeros(1)}, file)
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    else:
        with safetensors.safe_open(file, framework="pt") as opened:
            notes, tensors = opened.metadata(), {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        del tensors["norms.0.weight"]
        safetensors.torch.save_file(tensors, file, metadata=notes)
    with pytest.raises(WeightsError) as caught:
        load_painter(file)
    assert "p.safetensors" in caught.value.message
    assert caught.value.hint


def test_another_suffix_is_refused(painter: Painter, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"p\.pth"):
        save_painter(painter, tmp_path / "p.pth")


def test_a_missing_painter_of_the_samples_is_an_error_that_says_what_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_SAMPLES_FILE", "absent.safetensors")
    with pytest.raises(WeightsError, match="there is no such file") as caught:
        load_painter("samples")
    assert caught.value.hint == "apps/train_painter.py makes it"


def test_a_painter_that_a_training_made_is_written_too(painter: Painter, tmp_path: Path) -> None:
    """A training keeps its convolutions in the memory format channels_last."""
    painter.to(memory_format=torch.channels_last)
    save_painter(painter, tmp_path / "a.safetensors")
    read = load_painter(tmp_path / "a.safetensors")
    for name, value in painter.state_dict().items():
        torch.testing.assert_close(read.state_dict()[name], value, rtol=0.01, atol=0.02)
