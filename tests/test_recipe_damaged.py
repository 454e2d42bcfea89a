"""``--settings`` with a picture whose recipe was changed into nonsense: one clear line, exit code 3, no work."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Ran
from vggapps.errors import PictureError
from vggapps.image import save_picture
from vggapps.image._identity import Identity
from vggapps.style._recipe import read_recipe, recipe, settings_from
from vggapps.style._settings import StylizeSettings

DIGEST = "0" * 64
GONE = ...  # this entry is left out
SETTINGS = {
    "backbone": [7, None, [], "vgg91", {}, "/etc/passwd", "../w.pth", "vgg19=../w.pth", ""],
    "weights": ["own.pth"],
    "init": [7, None, "/etc/passwd", "..", "a/b.jpg"],
    "device": [0, None, ["cpu"]],
    "dtype": [32, "float16", None],
    "pooling": [True, "max pooling"],
    "size": [None, "large one", 1e9, -1, 32.5, [512], True, 10**30],
    "steps": ["many", 0, 2.5],
    "strength": ["0.5", None, 2, {}],
    "seed": [-1, 10**30, "0", None, 1.5],
    "style_weight": [None, -1, "1"],
    "content_layers": [[], "relu4_2", [4], None, {}, ["relu9_9"], ["fc6"]],
    "style_layers": [[], [None], "relu1_1", ["relu1_1:heavy"], ["relu1_1:-1"], ["relu1_1:nan"], ["relu1_1:inf"]],
    "style_loss": ["gramm", 1, None],
    "colors": ["both", None],
    "optimizer": ["sgd", []],
    "from_the_future": [1],
}
INPUTS: dict[str, list[Any]] = {
    "content": [GONE, None, "town.jpg", 7, [], {}, [{"name": "a.jpg"}, {"name": "b.jpg"}]],
    "styles": [GONE, None, {}, "waves.jpg", [], ["waves.jpg"], [None], [{}]],
    "init": [None, [], "x", {"name": "x"}, [{"name": "x", "sha256": "abc"}]],
}
WHOLE: dict[str, list[Any]] = {
    "inputs": [GONE, None, [], "town.jpg", {}],
    "settings": [GONE, None, [], "size=512", 7],
    "machine": [None, [], "fast", {"threads": []}, {"device": "\x1b[31m"}],
    "made_by": ["vggapps 0.1.0 dream"],
}
NAMES = [GONE, None, 7, "", ".", "..", "/etc/passwd", "../town.jpg", "a/town.jpg", "nul\0.jpg"]
DIGESTS = [7, "", "abc", [DIGEST]]
WEIGHTS = [GONE, None, "1", -1, math.inf, True, [], 0]


def whole() -> dict[str, Any]:
    made = recipe(StylizeSettings(), Identity("town.jpg", DIGEST), [(Identity("waves.jpg", DIGEST), 1.0)])
    return copy.deepcopy(made)


def put(entry: dict[str, Any], key: str, value: Any) -> None:
    if value is GONE:
        entry.pop(key)
    else:
        entry[key] = value


def damaged() -> list[Any]:
    """Recipes with one thing wrong in each."""
    found = []

    def wrong(words: str, change: Callable[[dict[str, Any]], object]) -> None:
        made = whole()
        change(made)
        found.append(pytest.param(made, id=words))

    for key, values in WHOLE.items():
        for value in values:
            wrong(f"{key} {value!r}"[:40], lambda made, k=key, v=value: put(made, k, v))
    for key, values in INPUTS.items():
        for value in values:
            wrong(f"{key} {value!r}"[:40], lambda made, k=key, v=value: put(made["inputs"], k, v))
    for key, values in SETTINGS.items():
        for value in values:
            wrong(f"settings {key} {value!r}"[:40], lambda made, k=key, v=value: put(made["settings"], k, v))
    for value in NAMES:
        wrong(f"content named {value!r}", lambda made, v=value: put(made["inputs"]["content"][0], "name", v))
        wrong(f"style named {value!r}", lambda made, v=value: put(made["inputs"]["styles"][0], "name", v))
    for value in DIGESTS:
        wrong(f"digest {value!r}"[:40], lambda made, v=value: put(made["inputs"]["content"][0], "sha256", v))
    for value in WEIGHTS:
        wrong(f"weight {value!r}", lambda made, v=value: put(made["inputs"]["styles"][0], "weight", v))
    return found


@pytest.mark.parametrize("made", damaged())
def test_one_thing_wrong_in_a_recipe_is_one_line(
    made: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vggapps.image._recipe.read_settings", lambda _: made)
    with pytest.raises(PictureError, match=r"^made\.png:? ") as error:
        settings_from(read_recipe("made.png"), {})
    assert error.value.exit_code == 3
    assert error.value.hint
    assert error.value.message.isprintable()


def test_the_recipe_itself_is_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vggapps.image._recipe.read_settings", lambda _: whole())
    assert settings_from(read_recipe("made.png"), {}) == StylizeSettings()


@pytest.mark.parametrize(
    "change",
    [{"settings": {"size": None}}, {"inputs": {}}, {"settings": {"init": "/etc/passwd"}}, {"machine": 7}],
    ids=str,
)
def test_the_command_ends_with_3_and_writes_nothing(
    cli: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_picture(torch.rand(1, 3, 8, 8), "made.png", settings=whole() | change)
    for words in ([], ["made.png"], ["made.png", "made.png"]):
        ran = cli("stylize", *words, "--settings", "made.png", "-o", "again.png")
        assert ran.code == 3
        assert [line.partition(":")[0] for line in ran.err.splitlines()] == ["error", "hint"]
    assert [path.name for path in tmp_path.iterdir()] == ["made.png"]


def test_what_was_typed_wrong_is_not_the_pictures_fault(
    cli: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_picture(torch.rand(1, 3, 8, 8), "made.png", settings=whole())
    ran = cli("stylize", "--settings", "made.png", "--style-layers", "relu1_1:heavy")
    assert (ran.code, "--style-layers has 'relu1_1:heavy'" in ran.err) == (2, True)
