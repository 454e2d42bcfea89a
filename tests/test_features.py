"""Features of pictures and their files: hand pooling, shards, runs that stop, other readers; narrow networks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
import typer
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tests.conftest import Ran
from vggapps.cli import app as door
from vggapps.cli import extract as extract_command
from vggapps.cli.inputs import take
from vggapps.errors import OutputExistsError, PictureError, SettingsError
from vggapps.features import _describe as features
from vggapps.features import _extraction as extraction
from vggapps.features._describe import POOLS, describe, extract_chunks, pooled, width
from vggapps.features._extraction import extract_to
from vggapps.features._files import load_features
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan
from vggapps.weights import _backbone as loading

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8,)))
Cli = Callable[..., Ran]


@pytest.fixture(scope="module")
def network() -> VGG:
    vgg = initialize(VGG(NARROW, head="none")).freeze()
    vgg.weights_name = "random-he-0"
    return vgg


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Twenty pictures of several sizes; chunks of 8 numbers of pictures, so that there are three."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(features, "_MOST_ROWS", 8)
    generator = np.random.default_rng(0)
    Path("photos").mkdir()
    for number in range(20):
        pixels = generator.integers(0, 256, (30 + number, 44, 3), np.uint8)
        Image.fromarray(pixels).save(f"photos/{number:02}.png")
    return [f"photos/{number:02}.png" for number in range(20)]


@pytest.fixture
def command(cli: Cli, network: VGG, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """``extract``, with the narrow network in place of a large one."""
    app = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False)
    app.command(name="extract")(extract_command.extract)
    app.callback()(lambda: None)
    monkeypatch.setattr(door, "app", app)
    monkeypatch.setattr(loading, "load_network", lambda *_, **__: network)
    return cli


def write(target: str, paths: list[str], network: VGG, layer: str = "pool4", **options: Any) -> Iterator[Any]:
    return extract_to(target, paths, network, layer, size=32, workers=0, **options)


def of_all(paths: list[str], network: VGG, layer: str = "pool4", pool: str = "avg") -> NDArray[np.float32]:
    chunks = extract_chunks(paths, network, layer, pool, size=32, workers=0)
    return np.concatenate([chunk.rows for chunk in chunks])


def seen(path: str, side: int) -> Tensor:
    """A picture as the network sees it, by Pillow alone: shorter side scaled, the square in the middle."""
    image = Image.open(path).convert("RGB")
    shorter = round(side * 256 / 224)
    scale = shorter / min(image.size)
    image = image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (round((length - side) / 2) for length in image.size)
    pixels = np.asarray(image.crop((left, top, left + side, top + side)))
    return torch.from_numpy(pixels / np.float32(255)).permute(2, 0, 1)[None]


def by_hand(f: NDArray[np.float32], pool: str) -> NDArray[np.float32]:
    """One map (c, h, w), whose sides are multiples of 4, pooled by NumPy."""
    c, h, w = f.shape
    cells = [f.reshape(c, n, h // n, n, w // n).mean((2, 4)).ravel() for n in (1, 2, 4)]
    both = np.concatenate([f.mean((1, 2)), f.max((1, 2))])
    slow = {"avg": both[:c], "max": both[c:], "avg+max": both, "pyramid": np.concatenate(cells), "none": f.ravel()}
    return slow[pool]


@pytest.mark.parametrize("pool", POOLS)
def test_a_row_is_the_layers_map_of_the_middle_of_the_picture_pooled(
    pool: str, pictures: list[str], network: VGG
) -> None:
    rows = of_all(pictures[:3], network, "relu3_1", pool)
    for path, row in zip(pictures, rows, strict=False):
        (f,) = network.features(seen(path, 32), ["relu3_1"])["relu3_1"].numpy()
        np.testing.assert_allclose(row, by_hand(f, pool), rtol=1e-5, atol=1e-6)
    assert rows.shape == (3, width(network, "relu3_1", pool, 32))


def test_layers_that_are_rows_already_are_not_pooled(pictures: list[str]) -> None:
    vgg = VGG(NARROW, head="fc", classes=7).freeze()
    assert describe(vgg, "fc8", "max", 32).pool == "none"
    rows = of_all(pictures[:2], vgg, "fc8", "max")
    assert rows.shape == (2, 7)
    np.testing.assert_allclose(rows[1:], vgg(seen(pictures[1], 32)).numpy(), rtol=1e-4, atol=1e-6)


def test_bfloat16_features_are_averaged_in_float32() -> None:
    x = torch.rand(1, 2, 64, 64).bfloat16()
    torch.testing.assert_close(pooled(x, "avg"), x.double().mean((2, 3)).float())


def test_the_rows_of_all_shards_are_the_rows_of_one_run(pictures: list[str], network: VGG) -> None:
    """To 1e-5: batches are others, and convolutions may sum in another order then."""
    whole = of_all(pictures, network)
    for share in (1, 2, 3):
        np.testing.assert_allclose(of_all(take(pictures, (share, 3)), network), whole[share - 1 :: 3], rtol=1e-5)


@pytest.mark.parametrize("suffix", ["npy", "safetensors", "parquet"])
def test_tables_hold_the_rows_their_paths_and_what_they_are_features_of(
    suffix: str, pictures: list[str], network: VGG
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    Path("photos/03.png").write_text("no picture")
    list(write(f"f.{suffix}", pictures, network))
    table = load_features(f"f.{suffix}")
    kept = pictures[:3] + pictures[4:]
    assert (table.paths, table.failed) == (tuple(kept), ("photos/03.png",))
    assert table.settings == describe(network, "pool4", "avg", 32)
    np.testing.assert_allclose(table.features, of_all(kept, network), rtol=1e-5)


def test_npy_and_safetensors_are_read_by_what_everybody_has(pictures: list[str], network: VGG) -> None:
    for target in ("f.npy", "f.safetensors"):
        list(write(target, pictures, network))
    rows = of_all(pictures, network)
    held = np.load("f.npy", allow_pickle=False)
    assert held.dtype == np.float32
    np.testing.assert_array_equal(held, rows)
    assert json.loads(Path("f.json").read_text())["paths"] == pictures
    np.testing.assert_array_equal(safetensors.numpy.load_file("f.safetensors")["features"], rows)
    with safetensors.safe_open("f.safetensors", framework="np") as file:
        assert json.loads(file.metadata()["paths"]) == pictures
    for name in ("f.npy", "f.safetensors"):
        assert isinstance(load_features(name).features, np.memmap)


def test_an_array_needs_the_file_that_names_its_pictures(pictures: list[str], network: VGG) -> None:
    list(write("f.npy", pictures, network))
    np.save("g.npy", np.load("f.npy"))
    with pytest.raises(SettingsError, match=r"there is no g\.json"):
        load_features("g.npy")
    np.save("f.npy", np.load("f.npy")[1:])
    with pytest.raises(SettingsError, match="of another table"):
        load_features("f.npy")


def test_a_file_of_the_notes_name_is_not_replaced(pictures: list[str], network: VGG) -> None:
    Path("f.json").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"f\.json exists"):
        next(write("f.npy", pictures, network))
    assert Path("f.json").read_text() == "mine"
    list(write("f.npy", pictures, network, force=True))
    assert load_features("f.npy").paths == tuple(pictures)


def test_parquet_is_read_by_pyarrow(pictures: list[str], network: VGG) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    list(write("f.parquet", pictures, network))
    columns = parquet.read_table("f.parquet").to_pydict()
    assert columns["path"] == pictures
    np.testing.assert_array_equal(np.array(columns["features"], np.float32), of_all(pictures, network))


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_run_that_stopped_goes_on_to_the_same_file_and_repeats_nothing(
    stop_after: int, pictures: list[str], network: VGG, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("photos/03.png").write_text("no picture")
    list(write("whole.npy", pictures, network))
    stopped = write("f.npy", pictures, network)
    for _ in range(stop_after):
        told = next(stopped)
    assert (told.stop, told.resumed) == (min(8 * stop_after, 20), False)
    stopped.close()
    assert not Path("f.npy").exists()

    read: list[str] = []

    def reading(sources: list[str], *arguments: Any) -> Iterator[Any]:
        read.extend(sources)
        return before(sources, *arguments)

    before = features.read_pictures
    monkeypatch.setattr(features, "read_pictures", reading)
    parts = list(write("f.npy", pictures, network))
    assert read == pictures[told.stop :]
    assert [part.resumed for part in parts] == [True] * stop_after + [False] * (3 - stop_after)
    assert [path for part in parts for path, _ in part.errors] == ["photos/03.png"]
    for suffix in (".npy", ".json"):
        assert Path("f").with_suffix(suffix).read_bytes() == Path("whole").with_suffix(suffix).read_bytes()
    assert not Path("f.npy.part").exists()


def test_a_chunk_that_was_half_written_is_done_again(
    pictures: list[str], network: VGG, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the second chunk's rows are written."""
    put, count = extraction._write, iter(range(99))

    def full(file: Path, data: Any) -> None:
        if file.suffix == ".npy" and next(count) == 1:
            raise OSError(28, "No space left on device")
        put(file, data)

    monkeypatch.setattr(extraction, "_write", full)
    with pytest.raises(PictureError, match="No space left"):
        list(write("f.npy", pictures, network))
    parts = list(write("f.npy", pictures, network))
    assert [part.resumed for part in parts] == [True, False, False]
    np.testing.assert_array_equal(load_features("f.npy").features, of_all(pictures, network))


def test_what_another_run_has_begun_is_not_mixed_in(pictures: list[str], network: VGG) -> None:
    next(write("f.npy", pictures, network))
    with pytest.raises(SettingsError, match=r"layer pool4, not pool3.*force=True"):
        list(write("f.npy", pictures, network, "pool3"))
    with pytest.raises(SettingsError, match="other pictures"):
        list(write("f.npy", pictures[::-1], network))
    assert not any(part.resumed for part in write("f.npy", pictures, network, "pool3", force=True))
    assert load_features("f.npy").settings.layer == "pool3"
    with pytest.raises(OutputExistsError, match="exists"):
        list(write("f.npy", pictures, network))


def test_wrong_words_are_told_before_anything_is_read(pictures: list[str], network: VGG) -> None:
    with pytest.raises(SettingsError, match="did you mean 'pool4'"):
        extract_chunks(pictures, network, "pol4")
    with pytest.raises(SettingsError, match="there is no pooling 'average'"):
        extract_chunks(pictures, network, "pool4", "average")
    with pytest.raises(SettingsError, match="did you mean 'fc7'"):
        loading.load_network("vgg16", layers=["fc77"])
    with pytest.raises(SettingsError, match=r"ends in \.npy, \.safetensors, \.parquet"):
        next(write("f.csv", pictures, network))
    with pytest.raises(SettingsError, match="there is no file"):
        load_features("none.npy")
    for name in ("f.npy", "f.safetensors"):
        Path(name).write_bytes(b"PK\3\4 nothing")
        with pytest.raises(SettingsError, match="contains no features"):
            load_features(name)


def test_where_no_picture_can_be_read_there_is_no_table(pictures: list[str], network: VGG) -> None:
    Path("a.png").write_text("no picture")
    with pytest.raises(PictureError, match="none of these"):
        list(write("f.npy", ["a.png"], network))
    assert not Path("f.npy.part").exists()


def test_the_command_tells_what_it_wrote_and_what_it_could_not_read(pictures: list[str], command: Cli) -> None:
    Path("photos/below").mkdir()
    Path("photos/07.png").rename("photos/below/07.png")
    Path("photos/10.png").write_text("no picture")
    ran = command("extract", "photos", "-o", "f.npy", "--size", "32", "--shard", "2/2")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "error: photos/10.png: it is text, not a picture",
        "f.npy: 9 rows of 8 numbers",
        "1 of 10 pictures failed",
    ]
    # of the folder and what is below it, every second picture
    order = sorted(str(path) for path in Path("photos").rglob("*.png"))
    assert load_features("f.npy").paths == tuple(path for path in order[1::2] if path != "photos/10.png")
    again = command("extract", "photos", "-o", "f.npy")
    assert (again.code, again.err.splitlines()[0]) == (4, "error: f.npy exists")
