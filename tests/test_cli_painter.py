"""``vggapps stylize --painter`` as people use it: styles by name, mixtures, folders, recipes, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.conftest import Ran
from vggapps.image import open_picture, read_settings
from vggapps.painters import Painter, paint, save_painter

Cli = Callable[..., Ran]
QUICK: tuple[object, ...] = ("--size", 48, "--device", "cpu", "--dtype", "float32")
HOW: Any = {"size": 48, "device": "cpu", "dtype": "float32"}


@pytest.fixture
def here(town: Path) -> Path:
    """A folder with town.png and the painters two.safetensors and one.safetensors, with random weights."""
    for name, styles in (("two", ["waves", "night.v2"]), ("one", ["waves"])):
        torch.manual_seed(len(styles))
        made = Painter(styles, channels=8, blocks=1)
        nn.init.normal_(made.convs[-1].weight, std=0.1)
        for norm in made.norms:
            nn.init.normal_(norm.weight, mean=1, std=0.2)
        save_painter(made, f"{name}.safetensors")
    return town


def pixels(path: str) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def is_as_in_python(path: str, styles: Any, **more: Any) -> bool:
    """Whether a file is what ``paint`` makes of town.png, up to rounding to 8 bits."""
    wanted = paint("two.safetensors", "town.png", styles, **{**HOW, **more}).rgb
    return bool((open_picture(path).rgb - wanted).abs().max() <= 0.51 / 255)


def test_a_style_is_named_after_the_painter(here: Path, cli: Cli) -> None:
    ran = cli("stylize", "town.png", "--painter", "two.safetensors:night.v2", *QUICK)
    assert (ran.code, ran.out) == (0, "town_by_night.v2.png\n")
    assert is_as_in_python("town_by_night.v2.png", "night.v2")
    assert cli("stylize", "town.png", "--painter", "two.safetensors:night.v2", *QUICK).out == "town_by_night.v2-2.png\n"


def test_or_styles_are_named_and_mixed_as_paintings_are(here: Path, cli: Cli) -> None:
    Path("waves").mkdir()  # a folder of that name is none of its styles
    words = ("stylize", "town.png", "waves:0.7", "night.v2:0.3", "--painter", "two.safetensors", *QUICK)
    ran = cli(*words, "--strength", 0.8, "--colors", "content")
    assert (ran.code, ran.out) == (0, "town_by_waves_night.v2.png\n")
    mixture = {"waves": 0.7, "night.v2": 0.3}
    assert is_as_in_python(ran.out.strip(), mixture, strength=0.8, colors="content")
    assert not is_as_in_python(ran.out.strip(), mixture, strength=0.8)


def test_the_only_style_need_not_be_named_but_one_of_several(here: Path, cli: Cli) -> None:
    assert cli("stylize", "town.png", "--painter", "one.safetensors", *QUICK).out == "town_by_waves.png\n"
    ran = cli("stylize", "town.png", "--painter", "two.safetensors", *QUICK)
    assert (ran.code, "waves, night.v2" in ran.err) == (2, True)


def test_a_folder_in_each_style(here: Path, cli: Cli) -> None:
    Path("photos/june").mkdir(parents=True)
    for name in ("a.png", "june/b.png"):
        Path("photos", name).write_bytes(Path("town.png").read_bytes())
    words = ("stylize", "photos", "--painter", "two.safetensors", "--each-style", *QUICK, "-o", "made/")
    ran = cli(*words, "--json")
    facts = [json.loads(line) for line in ran.out.splitlines()]
    assert [one["output"] for one in facts] == [
        f"made/{name}_by_{style}.png" for name in ("a", "june/b") for style in ("waves", "night.v2")
    ]
    assert {tuple(one["size"]) for one in facts} == {(48, 36)}
    Path("made/a_by_waves.png").unlink()
    again = cli(*words, "--skip-existing")
    assert again.out == "made/a_by_waves.png\n"
    assert "3 of 4 results exist" in again.err


def test_transparency_is_kept(here: Path, cli: Cli) -> None:
    whole = np.dstack([pixels("town.png"), np.full((36, 48), 255)]).astype(np.uint8)
    whole[:, :24, 3] = 0
    Image.fromarray(whole).save("logo.png")
    assert cli("stylize", "logo.png", "--painter", "one.safetensors", *QUICK).code == 0
    assert np.array_equal(pixels("logo_by_waves.png")[..., 3], whole[..., 3])


def test_a_picture_is_made_again_from_itself(here: Path, cli: Cli) -> None:
    words = ("stylize", "town.png", "waves:2", "night.v2", "--painter", here / "two.safetensors", *QUICK)
    assert cli(*words, "--strength", 0.7, "-o", "one.png").code == 0
    recipe = read_settings("one.png")
    assert recipe is not None
    assert str(here) not in str(recipe)
    assert cli("stylize", "--settings", "one.png", "-o", "two.png").code == 0
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()
    changed = cli("stylize", "--settings", "one.png", "--strength", 0.2, "--json", "-o", "three.png")
    assert json.loads(changed.out)["settings"] == {**recipe["settings"], "strength": 0.2}  # type: ignore[dict-item]
    Path("two.safetensors").write_bytes(Path("one.safetensors").read_bytes())
    ran = cli("stylize", "--settings", "one.png", "-o", "four.png")
    assert (ran.code, "two.safetensors has changed" in ran.err, "--painter" in ran.err) == (3, True, True)


def test_another_painter_for_the_settings_of_a_picture(here: Path, cli: Cli) -> None:
    assert cli("stylize", "town.png", "--painter", "two.safetensors:waves", *QUICK, "-o", "a.png").code == 0
    assert cli("stylize", "--settings", "a.png", "--painter", "one.safetensors", "-o", "b.png").code == 0
    assert read_settings("b.png")["inputs"]["painter"][0]["name"] == "one.safetensors"  # type: ignore[index]
    assert cli("stylize", "--settings", "a.png", "--painter", "two.safetensors:night.v2", "-o", "c.png").code == 0
    assert is_as_in_python("c.png", "night.v2")
    assert cli("stylize", "town.png", "waves.png", "--size", 32, "--steps", 1, "-o", "d.png").code == 0
    ran = cli("stylize", "--settings", "d.png", "--painter", "one.safetensors", "-o", "e.png")
    assert (ran.code, "d.png was not made by a painter" in ran.err) == (2, True)


def test_a_painter_is_never_overwritten(here: Path, cli: Cli) -> None:
    Path("one.safetensors").rename("one.png")
    ran = cli("stylize", "town.png", "--painter", "one.png", *QUICK, "-o", "one.png", "--force")
    assert (ran.code, "one of the input files" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("town.png", "--painter", "two.safetensors:wave"), 2, "did you mean 'waves'"),
        (("town.png", "waves.png", "--painter", "two.safetensors"), 2, "there is no style 'waves.png'"),
        (("town.png", "waves", "--painter", "two.safetensors:waves"), 2, "name the styles in one place"),
        (("town.png", "waves:2", "night.v2", "--each-style", "--painter", "two.safetensors"), 2, "a weight has no"),
        (("town.png", "--painter", "none.safetensors"), 5, "none.safetensors: there is no such file"),
        (("town.png", "--painter", "town.png"), 5, "town.png"),
        (("--painter", "one.safetensors"), 2, "a photo is needed"),
        (("town.png", "--painter", "one.safetensors", "--steps", 120), 2, "--steps has no effect"),
        (("town.png", "--painter", "one.safetensors", "--init", "noise"), 2, "--init has no effect"),
        (("town.png", "--painter", "one.safetensors", "--preview-every", 0), 2, "--preview-every has no effect"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_before_the_work(
    here: Path, cli: Cli, words: tuple[object, ...], code: int, message: str
) -> None:
    before = set(here.iterdir())
    ran = cli("stylize", *words)
    assert ran.code == code
    assert message in ran.err
    assert len(ran.err.splitlines()) == 2
    assert set(here.iterdir()) == before
