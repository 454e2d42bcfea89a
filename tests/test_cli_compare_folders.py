"""Which pictures of two folders ``vggapps compare`` takes for a pair, and pictures of different sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.comparing import decibels, flat, objects
from tests.conftest import Ran

Cli = Callable[..., Ran]
PSNR = ("--metric", "psnr", "--json")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(*names: str, level: int = 100) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        flat(name, level, (8, 6))


def pairs(ran: Ran) -> dict[str, str]:
    return {one["a"]: one["b"] for one in objects(ran)[:-1]}


def test_subfolders_are_paired_by_relative_path_and_what_is_alone_is_named_and_counted(cli: Cli) -> None:
    put("ref/b.png", "ref/x/a.png", "ref/x/y/a.png", "ref/x/lost.png", "ref/.git/c.png", "ref/@eaDir/b.png")
    put("out/b.png", "out/x/a.png", "out/x/y/a.jpg", "out/a.png")
    ran = cli("compare", "ref", "out", *PSNR)
    assert pairs(ran) == {
        "ref/b.png": "out/b.png",
        "ref/x/a.png": "out/x/a.png",
        "ref/x/y/a.png": "out/x/y/a.jpg",
    }
    assert (ran.code, ran.err) == (1, "error: 2 without a partner: ref/x/lost.png, out/a.png\n")
    assert objects(ran)[-1]["alone"] == ["ref/x/lost.png", "out/a.png"]
    assert cli("compare", "ref/x/y", "out/x/y", *PSNR).code == 0


def test_a_folder_within_the_other_is_not_a_part_of_it(cli: Cli) -> None:
    put("data/a.png", "data/made/a.png")
    for one, other in (("data", "data/made"), ("data/made", "data")):
        ran = cli("compare", one, other, *PSNR)
        assert (ran.code, pairs(ran)) == (0, {f"{one}/a.png": f"{other}/a.png"})


@pytest.mark.parametrize(
    ("left", "right", "wanted"),
    [
        ("b.PNG", "b.jpg", {"b.PNG": "b.jpg"}),
        ("Town.png", "TOWN.JPEG", {"Town.png": "TOWN.JPEG"}),
        ("a.png A.png", "a.jpg A.jpg", {"a.png": "a.jpg", "A.png": "A.jpg"}),  # upper case told apart where it can be
        ("a.png a.jpg", "a.PNG a.JPG", {"a.png": "a.PNG", "a.jpg": "a.JPG"}),
        ("a.png", "a.jpg A.PNG", {"a.png": "A.PNG"}),
        ("a.png", "a.png A.png a.jpg", {"a.png": "a.png"}),
        ("Day/a.png", "day/A.png", {"Day/a.png": "day/A.png"}),
        ("caf\u00e9.png", "cafe\u0301.png", {"caf\u00e9.png": "cafe\u0301.png"}),  # as Linux and macOS write it
        ("a, b.png", "a, b.png", {"a, b.png": "a, b.png"}),
    ],
)
def test_names_may_differ_in_case_and_suffix(cli: Cli, left: str, right: str, wanted: dict[str, str]) -> None:
    for folder, names in (("ref", left), ("out", right)):
        put(*(f"{folder}/{name}" for name in (names.split() if ", " not in names else [names])))
    found = pairs(cli("compare", "ref", "out", *PSNR))
    assert found == {f"ref/{one}": f"out/{other}" for one, other in wanted.items()}


@pytest.mark.parametrize(
    ("left", "right"), [("a.png a.bmp", "a.jpg"), ("a.tif", "a.png a.jpg"), ("A.png", "a.png a.PNG")]
)
def test_several_possible_partners_are_refused_before_anything_is_compared(cli: Cli, left: str, right: str) -> None:
    put("ref/z.png", "out/z.png", *(f"ref/{name}" for name in left.split()), *(f"out/{name}" for name in right.split()))
    ran = cli("compare", "ref", "out", *PSNR)
    assert (ran.code, ran.out) == (2, "")
    assert "could be the partner of" in ran.err
    assert all(f"ref/{name}" in ran.err for name in left.split())


def test_patterns_say_what_names_have_in_common(cli: Cli) -> None:
    put("gt/a_gt.png", "gt/x/b_GT.png", "gt/mask.png", "sr/a_sr.jpg", "sr/x/b_sr.png", level=100)
    ran = cli("compare", "gt", "sr", "--pattern-a", "{}_gt", "--pattern-b", "{}_sr", *PSNR)
    assert (ran.code, ran.err) == (0, "gt: 1 of 3 do not match '{}_gt'\n")
    assert pairs(ran) == {"gt/a_gt.png": "sr/a_sr.jpg", "gt/x/b_GT.png": "sr/x/b_sr.png"}
    put("hr/a.png", "both/hr_a.png", "both/lr_a.png", "both/lr_a.jpg")
    assert pairs(cli("compare", "hr", "both", "--pattern-b", "hr_{}", *PSNR)) == {"hr/a.png": "both/hr_a.png"}
    one_folder = cli("compare", "both", "both", "--pattern-a", "hr_{}", "--pattern-b", "lr_{}.png", *PSNR)
    assert pairs(one_folder) == {"both/hr_a.png": "both/lr_a.png"}


def test_letters_of_a_pattern_stand_for_themselves(cli: Cli) -> None:
    put("a/x.1.png", "a/xy1.png", "b/x.png")
    assert pairs(cli("compare", "a", "b", "--pattern-a", "{}.1", *PSNR)) == {"a/x.1.png": "b/x.png"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("ref out --pattern-a _gt", 2, "needs {} once"),
        ("ref out --pattern-b {}{}", 2, "needs {} once"),
        ("ref out --pattern-a {}/gt", 2, "needs {} once"),
        ("ref out --pattern-a {}_gt", 3, "no picture of ref matches '{}_gt'"),
        ("ref out --pattern-a {}d --pattern-b {}t", 3, "no picture of out matches '{}t'"),
        ("ref/alone.png out --pattern-b {}_sr", 2, "need two folders"),
        ("ref out --pattern-b {}er", 3, "no picture of ref has a partner in out"),
        ("reff out", 3, "reff: there is no such file or folder\nhint: did you mean ref?"),
        ("ref ouut", 3, "ouut: there is no such file or folder"),
    ],
)
def test_what_fits_nothing_is_one_error(cli: Cli, arguments: str, code: int, words: str) -> None:
    put("ref/alone.png", "ref/second.png", "out/other.png", "out/another.png")
    ran = cli("compare", *arguments.split())
    assert (ran.code, ran.out, ran.err.count("error")) == (code, "", 1)
    assert words in ran.err
    assert ran.err.count("\n") <= 3  # a note of what a pattern leaves out, the error, the hint


def test_a_misspelt_folder_is_told_before_anything_is_loaded(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from vggapps.losses import _comparison as comparison

    asked: list[object] = []
    monkeypatch.setattr(comparison, "get_metrics", asked.append)
    put(*(f"out/{number}.png" for number in range(16)))
    said = "error: nothere: there is no such file or folder\nhint: check its name and folder\n"
    assert (cli("compare", "nothere", "out").err, asked) == (said, [])


# Different sizes


def test_the_hint_for_different_sizes_is_the_option_that_helps(cli: Cli) -> None:
    flat("a.png", 100, (200, 160))
    flat("b.png", 110, (180, 160))
    for size in ((), ("--size", 128)):
        ran = cli("compare", "a.png", "b.png", *PSNR, *size)
        assert (ran.code, "--size" in ran.err) == (2, False)
        assert "hint: scale B to the size of A: --scale-to-a" in ran.err
        (found,) = objects(cli("compare", "a.png", "b.png", *PSNR, *size, "--scale-to-a"))
        assert found["size"] == ([128, 102] if size else [200, 160])
        assert found["scaled"] == {"from": [180, 160], "by": "bicubic, antialiased"}
        assert found["values"]["psnr"] == pytest.approx(decibels(10), rel=1e-5)


def test_b_is_scaled_as_pillows_antialiased_bicubic_filter_does(cli: Cli) -> None:
    rng = np.random.default_rng(0)
    large = Image.fromarray(rng.integers(0, 256, (64, 48, 3), np.uint8))
    large.save("large.png")
    large.resize((24, 20), Image.Resampling.BICUBIC).save("small.png")
    ran = cli("compare", "small.png", "large.png", *PSNR, "--scale-to-a")
    assert ran.err == "large.png: 48x64 pixels are scaled to 24x20 (bicubic, antialiased)\n"
    assert objects(ran)[0]["values"]["psnr"] > decibels(1)  # Pillow rounds to 8 bits
    unscaled = cli("compare", "small.png", "small.png", *PSNR, "--scale-to-a")
    assert (objects(unscaled)[0]["scaled"], unscaled.err) == (None, "")


def test_a_transparent_picture_is_laid_over_white_before_it_is_scaled(cli: Cli) -> None:
    """A black, transparent frame must not darken the edge."""
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[8:24, 8:24] = 255
    Image.fromarray(pixels).save("b.png")
    flat("white.png", 255, (12, 12))
    ran = cli("compare", "white.png", "b.png", *PSNR, "--scale-to-a")
    assert objects(ran)[0]["values"]["psnr"] in ("inf", pytest.approx(150, abs=50))
