"""``vggapps compare`` as people and programs use it, and its metrics; the installed network, tiny pictures."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter

from tests.comparing import decibels, flat, likeness, objects
from tests.conftest import Ran
from tests.reference.published import seeded
from vggapps import load_vgg
from vggapps.image import open_picture
from vggapps.losses import LPIPS
from vggapps.losses import _comparison as comparison
from vggapps.losses._comparison import METRICS, Measured, available, install_commands, measure
from vggapps.losses._trunk import Trunk
from vggapps.weights._records import RECORDS

Cli = Callable[..., Ran]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has downloaded nothing and can't; a picture and, with a blurred window, ``smudged.png``."""
    monkeypatch.chdir(tmp_path)
    for name in ("VGGAPPS_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setenv("VGGAPPS_OFFLINE", "1")
    pixels = np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)
    picture = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1))
    picture.save("town.png")
    picture.paste(picture.crop((8, 40, 24, 56)).filter(ImageFilter.GaussianBlur(4)), (8, 40))
    picture.save("smudged.png")
    return tmp_path


@pytest.fixture
def folders(here: Path) -> None:
    """Three pairs, 20, 10 and 5 levels apart, and one picture in each folder that has no partner."""
    for folder, alone in (("old", "lost"), ("new", "found")):
        Path(folder).mkdir()
        flat(f"{folder}/{alone}.png", 0)
    for name, difference, suffix in (("far", 20, "bmp"), ("middle", 10, "png"), ("near", 5, "png")):
        flat(f"old/{name}.png", 100)
        flat(f"new/{name}.{suffix}", 100 + difference)


def test_a_pair_is_a_line_for_each_metric_that_says_which_way_is_better(cli: Cli) -> None:
    flat("a.png", 100)
    Image.new("L", (48, 36), 110).save("grey.png")
    ran = cli("compare", "a.png", "grey.png", "--metric", "psnr,ssim")
    assert (ran.code, ran.err) == (0, "")
    assert (
        ran.out == f"PSNR (dB)     28.13  higher is better\nSSIM         {likeness(100, 110):.4f}  higher is better\n"
    )
    assert round(decibels(10), 2) == 28.13


def test_equal_pictures_have_the_values_that_help_promises(cli: Cli) -> None:
    assert cli("compare", "town.png", "town.png").out.splitlines() == [
        "Perceptual (VGG-19)    0.0000  lower is better",
        "SSIM                   1.0000  higher is better",
        "MS-SSIM                     -  needs 176 pixels a side",
        "PSNR (dB)                 inf  higher is better",
    ]
    (found,) = objects(cli("compare", "town.png", "town.png", "--json", "--map", "where.png"))
    assert found.pop("values") == {"perceptual": 0.0, "ssim": 1.0, "ms-ssim": None, "psnr": "inf"}
    names = {"a": "town.png", "b": "town.png", "map": "where.png"}
    how = {"schema": 1, "y_channel": False, "crop_border": 0, "size": [96, 64], "scaled": None, "error": None}
    assert found == names | how
    Image.open("town.png").convert("L").save("grey.png")
    assert torch.allclose(open_picture("where.png").rgb, 0.6 * open_picture("grey.png").rgb, atol=0.01)


def test_perceptual_is_one_minus_cosine_averaged_over_positions_and_five_layers(cli: Cli) -> None:
    (found,) = objects(cli("compare", "town.png", "smudged.png", "--metric", "perceptual", "--json"))
    layers = ["relu1_2", "relu2_2", "relu3_4", "relu4_4", "relu5_4"]
    vgg = load_vgg("vgg19").double()
    x, y = (vgg.features(open_picture(name).rgb.double(), layers) for name in ("town.png", "smudged.png"))
    slow = [float((1 - F.cosine_similarity(x[layer], y[layer])).mean()) for layer in layers]
    assert found["values"]["perceptual"] == pytest.approx(sum(slow) / 5, rel=1e-4)


def test_what_is_equal_is_best_and_what_differs_more_is_worse() -> None:
    losses = {METRICS[name]: METRICS[name].make(CPU) for name in available()}
    x = torch.rand(1, 3, 192, 192)
    rows = [measure(losses, x + strength * (0.5 - x), x).values for strength in (0.0, 0.2, 0.4)]
    for name in available():
        best, less, least = ((1 if METRICS[name].lower_is_better else -1) * (row[name] or 0) for row in rows)
        assert best < less < least, name


def test_transparent_pictures_are_laid_over_white(cli: Cli) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8))
    picture.save("a.png")
    Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB").save("b.png")
    ran = cli("compare", "a.png", "b.png", "--metric", "psnr", "--json")
    assert ran.err == "a.png: transparent, placed on white\n"
    assert objects(ran)[0]["values"]["psnr"] > decibels(1)  # what rounding to 8 bits may cost


def test_the_map_is_yellow_where_the_pictures_differ(cli: Cli) -> None:
    Path("where.png").touch()
    ran = cli("compare", "town.png", "smudged.png", "--metric", "psnr,perceptual", "--map", "where.png", "--force")
    assert re.fullmatch(r"where\.png: yellow is the maximum, 0\.\d+ by Perceptual \(VGG-19\)\n", ran.err)
    pixels = open_picture("where.png").rgb[0]
    yellow = pixels[0] - pixels[2]  # much red, little blue
    row, column = divmod(int(yellow.argmax()), 96)
    assert (40 <= row < 56, 8 <= column < 24) == (True, True)
    assert yellow[:20, 60:].max() < 0.25 < 0.7 < yellow.max()


def test_folders_are_matched_by_name_and_summed_up(folders: None, cli: Cli) -> None:
    ran = cli("compare", "old", "new", "--metric", "psnr,ssim")
    assert (ran.code, ran.err) == (1, "error: 2 without a partner: old/lost.png, new/found.png\n")
    far, middle, near = ((decibels(d), likeness(100, 100 + d)) for d in (20, 10, 5))
    mean = tuple(sum(column) / 3 for column in zip(far, middle, near, strict=True))
    rows = {"far.png": far, "middle.png": middle, "near.png": near, "mean": mean, "median": middle, "worst": far}
    assert ran.out.splitlines() == [
        "                psnr      ssim",
        "better        higher    higher",
        *(f"{label:<10}  {psnr:>8.2f}  {ssim:>8.4f}" for label, (psnr, ssim) in rows.items()),
        "worst psnr, ssim: far.png",
    ]
    *_, last = objects(cli("compare", "old", "new", "--metric", "psnr", "--json"))
    psnr = last["metrics"].pop("psnr")
    counts = {"pairs": 3, "failed": 0, "beyond": 0, "alone": ["old/lost.png", "new/found.png"]}
    assert last == {"schema": 1, "y_channel": False, "crop_border": 0, "metrics": {}} | counts
    assert psnr.pop("at") == ["old/far.png", "new/far.bmp"]
    numbers = {"mean": mean[0], "median": middle[0], "worst": far[0], "count": 3, "infinite": 0}
    assert psnr == pytest.approx(numbers, rel=1e-6)


def test_one_picture_is_compared_with_all_of_a_folder(folders: None, cli: Cli) -> None:
    *pairs, _ = objects(cli("compare", "old/near.png", "new", "--metric", "psnr", "--json"))
    far_found_middle_near = [decibels(d) for d in (20, 100, 10, 5)]
    assert [pair["values"]["psnr"] for pair in pairs] == pytest.approx(far_found_middle_near, rel=1e-5)
    *_, last = objects(cli("compare", "new", "old/near.png", "--metric", "psnr", "--json"))
    assert last["metrics"]["psnr"]["at"] == ["new/found.png", "old/near.png"]


def test_folders_get_a_row_of_csv_and_a_map_for_each_pair(folders: None, cli: Cli) -> None:
    for name in ("old/near.bmp", "new/near.bmp"):  # namesakes, which go before another suffix
        flat(name, 100)
    *pairs, _ = objects(cli("compare", "old", "new", "--csv", "numbers.csv", "--map", "maps/", "--json"))
    maps = ["maps/far_map.png", "maps/middle_map.png", "maps/near_map.png", "maps/near_map-2.png"]
    assert [pair["map"] for pair in pairs] == maps
    assert all(open_picture(name).size == (36, 48) for name in maps)
    head, far, _, equal, near, *alone = [line.split(",") for line in Path("numbers.csv").read_text().splitlines()]
    assert head == ["a", "b", "perceptual", "ssim", "ms-ssim", "psnr", "error"]
    assert far[:2] + far[4:] == ["old/far.png", "new/far.bmp", "", f"{decibels(20):.7g}", ""]
    assert equal == ["old/near.bmp", "new/near.bmp", "0.0", "1.0", "", "inf", ""]
    assert near[:2] == ["old/near.png", "new/near.png"]
    empty = ["", "", "", "", "no partner"]
    assert alone == [["old/lost.png", "", *empty], ["", "new/found.png", *empty]]


def test_a_pair_that_can_not_be_compared_is_told_and_the_others_go_on(folders: None, cli: Cli) -> None:
    flat("new/middle.png", 110, (40, 36))
    Path("new/near.png").write_text("no picture")
    ran = cli("compare", "old", "new", "--metric", "psnr", "-q")
    assert ran.code == 1
    assert [line.split()[0] for line in ran.out.splitlines()[2:6]] == ["far.png", "mean", "median", "worst"]
    wrong = r"error: old/middle.png has 48x36 pixels, and new/middle.png 40x36 .*\nerror: new/near.png: .*\n"
    assert re.fullmatch("error: 2 without a partner.*\n" + wrong + "2 of 3 pairs failed\n", ran.err)


def test_ctrl_c_keeps_what_was_measured(folders: None, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    results = iter([Measured({"psnr": 22.5}, {})])

    def interrupted(*_: object, **__: object) -> Measured:
        if result := next(results, None):
            return result
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison, "measure", interrupted)
    ran = cli("compare", "old", "new", "--metric", "psnr", "--csv", "numbers.csv", "-q")
    assert (ran.code, ran.err.count("\n")) == (130, 1)
    assert ran.out.splitlines()[-1].split() == ["far.png", "22.50"]
    assert Path("numbers.csv").read_text().splitlines()[1] == "old/far.png,new/far.bmp,22.5,"


def test_the_exit_code_says_whether_any_pair_is_above_the_limit(folders: None, cli: Cli) -> None:
    Path("old/lost.png").unlink()
    Path("new/found.png").unlink()
    far, middle, _ = (o["values"]["perceptual"] for o in objects(cli("compare", "old", "new", "--json"))[:-1])
    assert middle < far
    ran = cli("compare", "old", "new", "--fail-above", (middle + far) / 2, "-q")
    told = r"far\.png: Perceptual \(VGG-19\) is 0\.\d+, above 0\.\d+\n1 of 3 pairs beyond a limit\n"
    assert re.fullmatch(told, ran.err)
    assert (ran.code, "worst" in ran.out) == (1, True)
    assert cli("compare", "old", "new", "--fail-above", far).code == 0
    assert cli("compare", "old/far.png", "new/far.bmp", "--fail-above", middle).code == 1


WRONG: list[tuple[str, int, str]] = [
    ("town.png no.png", 3, "no.png: there is no such file"),
    ("town.png small.png", 2, "town.png has 96x64 pixels, and small.png 10x10"),
    ("town.png town.png --metric lpisp", 2, "did you mean 'lpips'"),
    ("small.png small.png --metric ssim", 2, "SSIM needs 11 pixels a side, and the pictures are 10x10"),
    ("small.png small.png --metric ssim,perceptual", 2, "SSIM needs 11 pixels a side"),
    ("town.png town.png --metric ssim --fail-above 0.5", 2, "does not apply to SSIM, where higher is better"),
    ("town.png town.png --metric ssim --map out.png", 2, "none of these metrics has a map"),
    ("town.png smudged.png --map smudged.png --force", 2, "is one of the input files"),
    ("town.png smudged.png --csv town.png --force", 2, "is one of the input files"),
    ("town.png smudged.png --map no/such/out.png", 3, "there is no folder no/such"),
    ("town.png smudged.png --csv no/such/out.csv", 3, "there is no folder no/such"),
    ("town.png smudged.png --map one/a.png", 4, "one/a.png exists"),
    ("town.png smudged.png --csv there.txt", 4, "there.txt exists"),
    ("town.png town.png --device cuda:99", 2, "no cuda:99 device"),
    ("town.png town.png --metric lpips", 5, "alexnet-convolutions is not on this machine"),
    ("one three", 3, "three: there is no such file or folder"),
    ("town.png three", 3, "three: there is no such file or folder"),
    ("there.txt one", 3, "there.txt: it is text"),
    ("one two", 3, "no picture of one has a partner in two"),
    ("one/a.png one --map out.png", 2, "use --map out/"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), WRONG)
def test_what_is_wrong_is_said_in_one_line_with_an_exit_code(
    here: Path, cli: Cli, arguments: str, code: int, words: str
) -> None:
    for name in ("one", "two"):
        Path(name).mkdir()
    for name in ("small.png", "one/a.png", "one/b.png", "two/c.png"):
        flat(name, 100, (10, 10))
    Path("there.txt").write_text("precious")
    before = {path: path.read_bytes() for path in here.rglob("*.*")}
    ran = cli("compare", *arguments.split())
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert words in ran.err
    assert {path: path.read_bytes() for path in here.rglob("*.*") if "cache" not in path.parts} == before


def test_more_memory_than_is_free_is_refused(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10_000_000))
    ran = cli("compare", "town.png", "smudged.png")
    assert (ran.code, ran.err.count("Perceptual (VGG-19) of 96x64 pixels takes about")) == (6, 1)
    (found,) = objects(cli("compare", "town.png", "smudged.png", "--size", 48, "--json"))
    assert found["size"] == [48, 32]


def test_a_note_says_what_the_other_metrics_need(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert available() == ["perceptual", "ssim", "ms-ssim", "psnr"]
    assert cli("compare", "town.png", "town.png").err == (
        "not measured: lpips, lpips-vgg, lpips-squeeze, dists (to get them: vggapps weights download "
        "alexnet-convolutions vgg16-convolutions squeezenet1_1-convolutions)\n"
    )
    assert cli("compare", "town.png", "town.png", "-q").err == ""
    Path("cache").mkdir()
    for name in ("alexnet-convolutions", "vgg16-convolutions"):
        (Path("cache") / RECORDS[name].stored).touch()
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    assert available() == ["perceptual", "lpips", "lpips-vgg", "dists", "ssim", "psnr"]
    needs = {"vggapps weights download squeezenet1_1-convolutions": ["lpips-squeeze"]}
    assert install_commands() == needs | {"pip install 'vggapps[metrics]'": ["ms-ssim"]}


def lpips_alex(device: torch.device) -> LPIPS:
    return LPIPS("alex", backbone=Trunk("alexnet", deepcopy(seeded("alexnet")).float()), reduction="none").to(device)


def test_the_first_metric_named_has_the_limit_and_the_map(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "lpips", replace(METRICS["lpips"], make=lpips_alex))
    options = ("--metric", "lpips, perceptual,lpips", "--map", "where.png", "--fail-above", 0)
    ran = cli("compare", "town.png", "smudged.png", *options)
    assert [line.split("  ")[0] for line in ran.out.splitlines()] == ["LPIPS (alex, 0.1)", "Perceptual (VGG-19)"]
    assert re.search(r"by LPIPS \(alex, 0\.1\)\nsmudged\.png: LPIPS \(alex, 0\.1\) is .*, above 0\n", ran.err)


@pytest.mark.parametrize("name", ["perceptual", "lpips", "ssim", "ms-ssim"])
def test_metrics_run_on_pictures_of_their_smallest_side_and_no_smaller(name: str) -> None:
    loss, side = (lpips_alex if name == "lpips" else METRICS[name].make)(CPU), METRICS[name].side
    x, y = torch.rand(2, 2, 3, side, side)
    assert loss(x, y).shape == (2,)
    with pytest.raises(ValueError, match=rf"{side} pixels a side|{side}×{side} pixels"):
        loss(x[..., 1:], y[..., 1:])
