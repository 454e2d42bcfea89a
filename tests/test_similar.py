"""The most similar pictures: cosines by NumPy, and what is the picture itself or only a copy of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from tests.conftest import Ran
from tests.test_features import NARROW, of_all, write
from vggapps.cli import app as door
from vggapps.cli import similar as similar_command
from vggapps.errors import VggappsError
from vggapps.features import _verbs as verbs
from vggapps.vgg._network import VGG, initialize

Cli = Callable[..., Ran]


@pytest.fixture(scope="module")
def network() -> VGG:
    vgg = initialize(VGG(NARROW, head="none")).freeze()
    vgg.weights_name = "random-he-0"
    return vgg


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    Path("photos").mkdir()
    for number in range(20):
        Image.fromarray(generator.integers(0, 256, (30 + number, 44, 3), np.uint8)).save(f"photos/{number:02}.png")
    return [f"photos/{number:02}.png" for number in range(20)]


@pytest.fixture
def command(cli: Cli, network: VGG, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """``similar``, with the narrow network in place of a large one."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command(name="similar")(similar_command.similar)
    app.callback()(lambda: None)
    monkeypatch.setattr(door, "app", app)
    monkeypatch.setattr(verbs, "load_network", lambda *_, **__: network)
    return cli


def test_similar_finds_the_nearest_others(pictures: list[str], command: Cli, network: VGG) -> None:
    list(write("f.npy", pictures, network))
    for where in ("photos", "f.npy"):
        ran = command(
            "similar", "photos/05.png", where, "--layer", "pool4", "--top", 3, "--json", "-o", "sheet.png", "-f"
        )
        *found, last = [json.loads(line) for line in ran.out.splitlines()]
        assert (ran.code, len(found), last["total"]["rows"]) == (0, 3, 3)
        assert "photos/05.png is the same file and is skipped" in ran.err
        with Image.open("sheet.png") as sheet:
            assert sheet.width > 4 * 192
    rows = of_all(pictures, network).astype(np.float64)
    cosines = rows @ rows[5] / np.linalg.norm(rows, axis=1) / np.linalg.norm(rows[5])
    assert [match["path"] for match in found] == [pictures[i] for i in np.argsort(-cosines)[1:4]]
    assert [match["similarity"] for match in found] == pytest.approx(np.sort(cosines)[::-1][1:4])
    refused = command("similar", "photos/05.png", "f.npy", "--layer", "pool3")
    assert (refused.code, refused.err.splitlines()[0]) == (2, "error: --layer pool3, and f.npy has pool4")


@pytest.mark.parametrize("query", ["photos/05.png", "./photos/../photos/05.png", "link.png", "absolute"])
def test_only_the_picture_itself_is_left_out_and_not_its_copies(
    query: str, pictures: list[str], command: Cli, network: VGG, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("link.png").symlink_to(Path("photos/05.png").resolve())
    shutil.copy("photos/05.png", "photos/copy.png")
    query = str(Path("photos/05.png").resolve()) if query == "absolute" else query
    list(write("f.npy", [*pictures, "photos/copy.png"], network))
    for where in ("photos", "f.npy"):
        *found, _ = [
            json.loads(line) for line in command("similar", query, where, "--layer", "pool4", "--json").out.splitlines()
        ]
        assert found[0]["path"] == "photos/copy.png"
        assert found[0]["similarity"] == pytest.approx(1, abs=1e-6)
        assert len(found) == 12
        assert "photos/05.png" not in [match["path"] for match in found]
    # the table's paths lead nowhere from another folder
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    ran = command("similar", "../photos/05.png", "../f.npy", "--top", 20)
    assert "photos/copy.png" in ran.out.splitlines()[0]
    assert "photos/05.png" not in ran.out
    assert len(ran.out.splitlines()) == 20


def test_where_there_is_no_other_picture_similar_says_so(pictures: list[str], command: Cli) -> None:
    Path("alone").mkdir()
    shutil.copy("photos/05.png", "alone/1.png")
    ran = command("similar", "alone/1.png", "alone", "--layer", "pool4")
    assert (ran.code, ran.out) == (3, "")
    assert "alone: there is no other picture in it" in ran.err


def test_features_of_different_widths_are_not_compared() -> None:
    from vggapps.features._similar import nearest

    with pytest.raises(VggappsError, match="3 numbers and the others 4"):
        nearest(np.ones(3, np.float32), [(["a"], np.ones((1, 4), np.float32))])
