"""Every picture that a command makes has a recipe of one form, and is made again by ``--settings PICTURE`` alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Ran
from vggapps import __version__
from vggapps.image import read_settings

Cli = Callable[..., Ran]
DRAWN = ("--steps", 1, "--size", 16)
# By name: the words of the command, the option that names the picture, and where its inputs stand in the recipe.
MADE: dict[str, tuple[tuple[object, ...], str, dict[str, list[str]]]] = {
    "stylize": (("stylize", "a/1.png", "a/2.png", "--size", 32, "--steps", 1), "-o", {"content": ["1.png"]}),
    "dream": (("dream", "a/1.png", "--octaves", 1, "--size", 32, "--steps", 1), "-o", {"images": ["1.png"]}),
    "invert": (("invert", "a/1.png", "--layer", "conv1_1", "--size", 32, "--steps", 1), "-o", {"images": ["1.png"]}),
    "visualize": (("visualize", "conv1_1", "--grid", "--steps", 1, "--size", 16), "-o", {}),
    "activations": (("activations", "a/1.png", "--layer", "relu1_1"), "-o", {"image": ["1.png"]}),
    "filters": (("activations", "--filters"), "-o", {}),
    "exemplars": (("exemplars", "a", "--layer", "conv1_1", "--channel", "1,2", *DRAWN), "-o", {"pictures": ["a/"]}),
    "atlas": (("atlas", "a", "--layer", "conv1_1", "--layout", "pca", *DRAWN), "-o", {"pictures": ["a/"]}),
    "similar": (("similar", "1.png", "a", "--layer", "pool1"), "-o", {"image": ["1.png"], "where": ["a/"]}),
    "compare": (("compare", "a/1.png", "a/2.png", "--metric", "perceptual"), "--map", {"a": ["1.png"], "b": ["2.png"]}),
    "explain": (("explain", "a/1.png", "--class", "tabby", "--no-caption"), "-o", {"images": ["1.png"]}),
    "classify": (("classify", "a/1.png", "--top", 2), "--explain", {"images": ["1.png"]}),
    "localize": (("localize", "a/1.png", "--class", "tabby"), "-o", {"images": ["1.png"]}),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a").mkdir()
    for seed in range(1, 9):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), np.uint8)
        Image.fromarray(pixels).save(f"a/{seed}.png")
    for name in ("1.png", "2.png"):  # beside what is made, where they are looked for
        Path(name).write_bytes(Path("a", name).read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", MADE)
def test_a_picture_is_made_again_from_itself(name: str, here: Path, cli: Cli) -> None:
    (command, *words), output, inputs = MADE[name]
    ran = cli(command, *words, output, "made.png", "-q")
    assert ran.code == 0, ran.err
    told: Any = read_settings("made.png")
    assert told["made_by"] == f"vggapps {__version__} {command}"
    assert isinstance(told["settings"], dict)
    for argument, names in inputs.items():
        assert [one["name"] for one in told["inputs"][argument]] == names
        for one in told["inputs"][argument]:
            if not one["name"].endswith("/"):
                assert one["sha256"] == hashlib.sha256(Path("a", one["name"]).read_bytes()).hexdigest()
    assert str(here) not in str(told)
    again = cli(command, "--settings", "made.png", output, "again.png", "-q")
    assert again.code == 0, again.err
    if name == "explain":  # whose recipe tells how many seconds it took
        assert np.array_equal(*(np.asarray(Image.open(file)) for file in ("made.png", "again.png")))
    else:
        assert Path("again.png").read_bytes() == Path("made.png").read_bytes()


def test_another_commands_picture_and_a_changed_folder_are_refused(here: Path, cli: Cli) -> None:
    words = ("--layer", "conv1_1", "--channel", 1, "-o", "made.png")
    assert cli("exemplars", "a", *words).code == 0
    wrong = cli("atlas", "--settings", "made.png")
    assert (wrong.code, "made.png: it was made by vggapps" in wrong.err) == (3, True)
    Path("a/9.png").write_bytes(Path("a/1.png").read_bytes())
    changed = cli("exemplars", "--settings", "made.png", "-o", "again.png")
    assert (changed.code, changed.err.splitlines()) == (
        3,
        [
            "error: a has changed since made.png was made from it",
            "hint: give DIR or FILES on the command line",
        ],
    )
    assert cli("exemplars", "a", "--settings", "made.png", "-o", "again.png").code == 0


@pytest.mark.parametrize("name", ["explain", "classify", "localize", "activations", "similar"])
def test_a_picture_is_opened_once(name: str, here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import vggapps.image._read as room

    seen: Counter[str] = Counter()
    decode = room._from_file

    def counted(file: Any, wanted: Any, most: int, known_as: str) -> Any:
        seen[known_as] += 1
        return decode(file, wanted, most, known_as)

    monkeypatch.setattr(room, "_from_file", counted)
    (command, image, *words), output, _ = MADE[name]
    where = [Path("b") if word == "a" else word for word in words]
    Path("b").mkdir()
    Path("a/2.png").rename("b/2.png")
    assert cli(command, image, *where, output, "made.png", "-q").code == 0
    assert seen["1.png"] == 1
