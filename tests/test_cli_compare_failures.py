"""What goes wrong with some pairs of ``vggapps compare``: their rows, means over the others, and limits."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from tests.comparing import decibels, flat, likeness, objects
from tests.conftest import Ran
from vggapps.losses._compare import summarize
from vggapps.losses._comparison import get_metrics, measure
from vggapps.losses._quality import psnr

Cli = Callable[..., Ran]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set with every kind of fault."""
    monkeypatch.chdir(tmp_path)
    for folder in ("ref", "out"):
        Path(folder).mkdir()
        flat(f"{folder}/tiny.png", 100 if folder == "ref" else 120, (8, 8))
        flat(f"{folder}/good, with comma.png", 100 if folder == "ref" else 105)
    flat("ref/empty.png", 100)
    Path("out/empty.png").touch()
    flat("ref/size.png", 100)
    flat("out/size.png", 100, (20, 20))
    return tmp_path


def test_each_failed_pair_is_a_row_of_the_csv_with_its_error(cli: Cli) -> None:
    ran = cli("compare", "ref", "out", "--metric", "ssim,psnr", "--csv", "n.csv")
    assert ran.code == 1
    assert "3 of 4 pairs failed" in ran.err
    head, *rows = csv.reader(io.StringIO(Path("n.csv").read_text()))
    assert head == ["a", "b", "ssim", "psnr", "error"]
    by_name = {Path(row[0]).stem: row[2:] for row in rows}
    assert [*map(float, by_name["good, with comma"][:2])] == pytest.approx([likeness(100, 105), decibels(5)], rel=1e-5)
    assert by_name["good, with comma"][2] == ""
    assert by_name["empty"] == ["", "", "out/empty.png: the file is empty"]
    assert by_name["size"] == ["", "", "ref/size.png has 48x36 pixels, and out/size.png 20x20"]
    assert by_name["tiny"][1:] == [
        f"{decibels(20):.7g}", "SSIM needs 11 pixels a side, and the pictures are 8x8"
    ]  # fmt: skip


def test_each_failed_pair_is_an_object_of_the_json_with_its_error(cli: Cli) -> None:
    *rows, last = objects(cli("compare", "ref", "out", "--metric", "psnr", "--json"))
    assert {Path(row["a"]).stem: (row["size"], row["values"]["psnr"] is None, bool(row["error"])) for row in rows} == {
        "empty": (None, True, True),
        "size": (None, True, True),
        "good, with comma": ([48, 36], False, False),
        "tiny": ([8, 8], False, False),
    }
    assert (last["pairs"], last["failed"]) == (2, 2)
    assert last["metrics"]["psnr"]["count"] == 2


def test_one_failed_pair_is_a_row_too(cli: Cli) -> None:
    ran = cli("compare", "ref/size.png", "out/size.png", "--metric", "psnr", "--csv", "n.csv", "--json")
    assert (ran.code, ran.err.count("error")) == (2, 1)
    assert objects(ran)[0]["error"] == "ref/size.png has 48x36 pixels, and out/size.png 20x20"
    assert Path("n.csv").read_text().splitlines()[1].startswith("ref/size.png,out/size.png,,")


def test_a_metric_that_fails_does_not_cost_the_pair_the_others(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = cli("compare", "ref/tiny.png", "out/tiny.png", "-q")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0].split("  ")[-1] == "needs 16 pixels a side"
    assert ran.out.splitlines()[-1].split() == ["PSNR", "(dB)", f"{decibels(20):.2f}", "higher", "is", "better"]
    named = cli("compare", "ref/tiny.png", "out/tiny.png", "--metric", "perceptual,psnr")
    assert (named.code, named.out.splitlines()[-1]) == (2, ran.out.splitlines()[-1])
    assert "Perceptual (VGG-19) needs 16 pixels a side, and the pictures are 8x8" in named.err
    mapped = cli("compare", "ref/tiny.png", "out/tiny.png", "--map", "m.png")
    assert (mapped.code, Path("m.png").exists(), "Perceptual (VGG-19) needs 16" in mapped.err) == (2, False, True)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("", (), {"available": 1_000_000}))
    short = cli("compare", "ref/size.png", "ref/size.png")
    assert (short.code, short.out.splitlines()[0].split("  ")[-1]) == (6, "not measured")
    assert short.out.splitlines()[-1].split()[2] == "inf"


def test_the_hint_for_too_little_memory_names_a_size_that_fits(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("", (), {"available": 2_000_000}))
    again = ("compare", "ref/size.png", "ref/size.png", "--metric", "perceptual")
    size = cli(*again).err.partition("--size ")[2].partition(",")[0]
    assert cli(*again, "--size", size).code == 0


def test_a_defect_of_ours_in_a_metric_is_not_taken_for_a_failed_pair() -> None:
    def broken(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        raise TypeError("a defect")

    with pytest.raises(TypeError, match="a defect"):
        measure({get_metrics(["psnr"])[0]: broken}, torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4))


def test_names_with_line_breaks_stay_in_their_line(cli: Cli) -> None:
    for folder in ("ref", "out"):
        flat(f"{folder}/two\nlines.png", 100)
    ran = cli("compare", "ref", "out", "--metric", "psnr", "-q")
    assert [line.split()[0] for line in ran.out.splitlines()][2:5] == ["good,", "tiny.png", r"two\nlines.png"]


# Means


def test_equal_pairs_do_not_make_the_mean_infinite(cli: Cli) -> None:
    for folder in ("ref", "out"):
        flat(f"{folder}/equal.png", 100)
    ran = cli("compare", "ref", "out", "--metric", "psnr")
    mean = (decibels(20) + decibels(5)) / 2
    assert f"mean                     {mean:.2f}" in ran.out
    assert "psnr: measured for 3 of 5 pairs\npsnr: the mean leaves out 1 equal pair, of infinite psnr\n" in ran.out
    *_, last = objects(cli("compare", "ref", "out", "--metric", "psnr", "--json"))
    found = last["metrics"]["psnr"]
    assert (found["mean"], found["median"]) == pytest.approx((mean, decibels(5)), rel=1e-6)
    assert (found["count"], found["infinite"]) == (3, 1)


def test_only_where_all_pairs_are_equal_the_mean_is_infinite(cli: Cli) -> None:
    *_, last = objects(cli("compare", "ref", "ref", "--metric", "psnr,ssim", "--json"))
    assert {word: last["metrics"]["psnr"][word] for word in ("mean", "median", "worst")} == {
        "mean": "inf", "median": "inf", "worst": "inf"
    }  # fmt: skip
    assert "leaves out" not in cli("compare", "ref", "ref", "--metric", "psnr").out


def test_a_summary_is_of_what_has_a_value() -> None:
    found = summarize([{"psnr": None}, {"psnr": math.inf}, {"psnr": 20.0}, {"psnr": 30.0}])["psnr"]
    assert (found.mean, found.median, found.worst, found.at, found.count, found.infinite) == (25, 30, 20, 2, 3, 1)
    assert summarize([{"psnr": None}]) == {}
    assert summarize([]) == {}


# Limits


def test_the_exit_code_says_whether_any_pair_is_below_the_limit(cli: Cli) -> None:
    pair = ("compare", "ref/good, with comma.png", "out/good, with comma.png", "--metric", "psnr,ssim")
    assert cli(*pair, "--fail-below", f"psnr={decibels(5) - 0.1},ssim={likeness(100, 105) - 0.001}").code == 0
    ran = cli(*pair, "--fail-below", f"ssim={likeness(100, 105) + 0.001:g}")
    assert ran.code == 1
    assert ran.err.startswith("good, with comma.png: SSIM is 0.99")
    assert cli(*pair, "--fail-below", decibels(5) + 0.1).code == 1  # of the first metric
    assert cli("compare", "ref/size.png", "ref/size.png", "--fail-below", "psnr=90").code == 0  # infinite


def test_failing_pairs_are_named_and_counted(cli: Cli) -> None:
    ran = cli("compare", "ref", "out", "--metric", "psnr", "--fail-below", 30, "-q")
    assert f"tiny.png: PSNR (dB) is {decibels(20):g}, below 30\n" in ran.err
    assert "comma.png: PSNR" not in ran.err
    assert ran.err.endswith("1 of 4 pairs beyond a limit\n2 of 4 pairs failed\n")
    *_, last = objects(cli("compare", "ref", "out", "--metric", "psnr", "--fail-below", 30, "--json"))
    assert last["beyond"] == 1


def test_a_pair_without_the_number_that_has_a_limit_fails(cli: Cli) -> None:
    ran = cli("compare", "ref/tiny.png", "out/tiny.png", "--fail-below", "ssim=0.1", "-q")
    assert (ran.code, "SSIM needs 11 pixels a side" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            "--fail-below 30",
            "does not apply to Perceptual (VGG-19), where lower is better\nhint: name the metric: --fail-below psnr=30",
        ),
        ("--fail-below perceptual=0.1", "use --fail-above perceptual=0.1"),
        ("--fail-above psnr=30", "use --fail-below psnr=30"),
        ("--fail-below psnr=nan", "--fail-below psnr=nan is not a finite number"),
        ("--fail-above inf", "--fail-above inf is not a finite number"),
        ("--fail-below psnr=", "is not a finite number"),
        ("--fail-below psrn=30", "did you mean 'psnr'"),
        ("--fail-above 0,05", "perceptual has two limits"),
        ("--metric ssim --fail-below psnr=30", "add it: --metric ssim,psnr"),
        ("--metric ms-ssim --y-channel", "add them to --metric: psnr, ssim"),
        ("--metric perceptual --crop-border 4", "add them to --metric: psnr, ssim"),
    ],
)
def test_limits_and_restrictions_without_effect_are_refused(cli: Cli, options: str, words: str) -> None:
    ran = cli("compare", "ref", "out", *options.split())
    assert (ran.code, ran.out, words in ran.err) == (2, "", True), ran.err


# As papers on super-resolution report them


def test_luma_and_a_cropped_border_are_told_wherever_the_numbers_are(cli: Cli) -> None:
    """The formula of BT.601 and BasicSR's order: the border first, then Y, and 255 as the peak."""
    rng = np.random.default_rng(0)
    x, y = (rng.integers(0, 256, (40, 50, 3), np.uint8) for _ in range(2))
    for folder, pixels in (("ref", x), ("out", y)):
        Image.fromarray(pixels).save(f"{folder}/noise.png")
    options = ("--metric", "psnr,perceptual", "--y-channel", "--crop-border", 4)
    (found,) = objects(cli("compare", "ref/noise.png", "out/noise.png", *options, "--json"))
    luma = [16 + p[4:-4, 4:-4].astype(float) @ [65.481, 128.553, 24.966] / 255 for p in (x, y)]
    assert found["values"]["psnr"] == pytest.approx(10 * np.log10(255**2 / np.mean((luma[0] - luma[1]) ** 2)), rel=1e-6)
    assert (found["y_channel"], found["crop_border"]) == (True, 4)
    whole = objects(cli("compare", "ref/noise.png", "out/noise.png", "--metric", "perceptual", "--json"))[0]
    assert found["values"]["perceptual"] == whole["values"]["perceptual"]
    assert "PSNR (dB) on Y, 4 px cropped  " in cli("compare", "ref/noise.png", "out/noise.png", *options).out
    assert cli("compare", "ref", "out", *options).out.startswith("psnr: PSNR (dB) on Y, 4 px cropped\n")
    tiny = cli("compare", "ref/tiny.png", "out/tiny.png", *options).err
    assert "PSNR (dB) on Y, 4 px cropped needs 9 pixels a side, and the pictures are 8x8" in tiny


def test_pictures_of_16_bits_keep_their_depth(cli: Cli) -> None:
    grey = np.random.default_rng(0).integers(0, 65535, (20, 20), np.uint16)
    Image.fromarray(grey).save("a.png")
    Image.fromarray(grey + np.uint16(1)).save("b.png")
    one = 20 * math.log10(65535)
    (found,) = objects(cli("compare", "a.png", "b.png", "--metric", "psnr", "--json"))
    assert found["values"]["psnr"] == pytest.approx(one, abs=0.01)
    (luma,) = objects(cli("compare", "a.png", "b.png", "--metric", "psnr", "--y-channel", "--json"))
    assert luma["values"]["psnr"] == pytest.approx(one + 20 * math.log10(255 / 219), abs=0.02)
    assert float(psnr(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 1 / 65535))) == pytest.approx(one, rel=1e-6)
