"""New styles on a painter that stays as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.painters import Painter, PainterSettings, load_painter, save_painter, train_painter
from vggapps.painters._extend import extended
from vggapps.training import Pictures
from vggapps.training._pictures import Files

QUICK = PainterSettings(steps=3, batch=2, crop=64, size=128, dtype="float32", device="cpu")


@pytest.fixture
def base() -> Painter:
    torch.manual_seed(0)
    made = Painter(["waves", "night"], channels=16, blocks=1)
    nn.init.normal_(made.convs[-1].weight, std=0.05)
    for norm in made.norms:
        nn.init.normal_(norm.weight, mean=1, std=0.2)
        nn.init.normal_(norm.bias, std=0.2)
    return made.requires_grad_(False).eval()


@pytest.fixture
def photos(tmp_path: Path) -> Pictures:
    paths = tuple(str(tmp_path / f"{index}.png") for index in range(3))
    for seed, path in enumerate(paths):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (90, 120, 3), np.uint8)).save(path)
    return Pictures(paths, (0,) * 3, Files(paths))


def photo() -> Tensor:
    return torch.rand(1, 3, 50, 61, generator=torch.Generator().manual_seed(1))


def paints_as(one: nn.Module, base: Painter) -> bool:
    """Whether the styles of the base give exactly the same pictures, also between the trained strengths."""
    assert isinstance(one, Painter)
    cases = [({"waves": 1.0}, 0.5), ({"night": 1.0}, 1.0), ({"waves": 1.0, "night": 1.0}, 0.25)]
    return all(torch.equal(one(photo(), one.mix(*case)), base(photo(), base.mix(*case))) for case in cases)


def test_the_old_styles_stay_exactly_and_a_new_one_begins_as_their_mean(base: Painter) -> None:
    made = extended(base, ["dots", "lines"])
    assert made.styles == ("waves", "night", "dots", "lines")
    assert paints_as(made, base)
    for strength in (0.25, 0.5, 0.9):
        mean = base(photo(), base.mix({"waves": 1, "night": 1}, strength))
        for name in ("dots", "lines"):
            torch.testing.assert_close(made(photo(), made.mix({name: 1}, strength)), mean)


def test_training_changes_nothing_but_the_new_rows(base: Painter, photos: Pictures, tmp_path: Path) -> None:
    *_, last = train_painter({"dots": torch.rand(1, 3, 96, 96)}, photos, QUICK, base=base)
    made = last.network()
    assert isinstance(made, Painter)
    made.to(memory_format=torch.contiguous_format)  # another layout may round otherwise
    assert paints_as(made, base)
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(made.convs, base.convs, strict=True))
    begun = extended(base, ["dots"])
    for trained, start in zip(made.norms, begun.norms, strict=True):
        assert torch.equal(trained.weight[:6], start.weight[:6])
        assert not torch.equal(trained.weight[6:], start.weight[6:])
    # And through files.
    save_painter(base, tmp_path / "base.safetensors")
    read = load_painter(tmp_path / "base.safetensors")
    save_painter(extended(read, ["dots"]), tmp_path / "more.safetensors")
    assert paints_as(load_painter(tmp_path / "more.safetensors"), read)


def test_by_default_it_takes_a_tenth_of_the_steps(base: Painter, photos: Pictures) -> None:
    first = next(train_painter({"dots": torch.rand(1, 3, 96, 96)}, photos, base=base))
    assert first.total == PainterSettings().steps // 10


def test_a_name_that_is_taken_is_refused(base: Painter, photos: Pictures) -> None:
    with pytest.raises(SettingsError, match="night already"):
        train_painter({"night": torch.rand(1, 3, 96, 96)}, photos, QUICK, base=base)
