"""``vggapps evaluate`` as people and programs use it; what stands for the network reads its guess from file names."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from scipy.stats import binomtest
from torch import Tensor

from tests.conftest import Ran
from vggapps.classification import _classifier as classifier_module
from vggapps.classification._classifier import ClassifySettings, Result
from vggapps.cli import app as app_module
from vggapps.cli import evaluate as command
from vggapps.errors import PictureError
from vggapps.weights._labels import imagenet, labels_of


class Fake:
    """Takes the class from the picture's name, ``<anything>_<guess>.jpg``; what is called broken is."""

    labels = imagenet()
    backbone: tuple[str, ...] = ("vgg16",)
    scales = (256, 384, 512)
    made = 0

    def __init__(self, settings: ClassifySettings) -> None:
        self.views = settings.views
        Fake.made += 1

    @classmethod
    def from_settings(cls, settings: ClassifySettings) -> Fake:
        return cls(settings)

    def run(self, sources: Sequence[Path], workers: int | None = None) -> Iterator[Result]:
        for i, path in enumerate(sources):
            if not path.exists() or "broken" in path.name:
                yield Result(i, error=PictureError(f"{path.name}: it is damaged"))
            else:
                yield Result(i, self.probabilities(int(path.stem.rpartition("_")[2])))

    def probabilities(self, guess: int) -> Tensor:
        found = torch.full((1000,), 0.2 / 999)
        found[guess] = 0.8
        return found


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two of three tenches and both goldfish are known, and a shark is taken for a tench: 2 of 6 are wrong."""
    monkeypatch.setattr(classifier_module, "Classifier", Fake)
    monkeypatch.setattr(Fake, "made", 0)
    monkeypatch.chdir(tmp_path)
    for name in ("n01440764/a_0", "n01440764/b_0", "n01440764/c_9", "goldfish/d_1", "goldfish/e_1", "2/f_0"):
        path = tmp_path / "data" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "data"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    app = typer.Typer()
    app.command()(command.evaluate)

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        try:
            app([str(a) for a in arguments])
            code: Any = 0
        except SystemExit as exit_:
            code = exit_.code or 0
        except Exception as error:
            code = app_module._report(error)
        return Ran(code, *capsys.readouterr())

    return run


def test_the_table_says_what_was_measured_and_what_was_published(data: Path, run: Callable[..., Ran]) -> None:
    ran = run(data, "--views", "multi-scale")
    assert ran.code == 0
    lines = {line.partition("  ")[0]: line for line in ran.out.splitlines()}
    wanted = binomtest(2, 6).proportion_ci(0.95, method="wilson")
    assert f"33.3 %  (95 % interval {100 * wanted.low:.1f} to {100 * wanted.high:.1f})" in lines["top-1 error"]
    assert "6 of 3 classes" in lines["pictures"]
    assert "vgg16" in lines["network"]
    assert "multi-scale, shorter side 256, 384, 512" in lines["views"]
    # Confidence is 0.8 throughout, accuracy 4/6.
    assert "13.3 %" in lines["calibration"]
    assert re.search(
        r"^ +24\.8 % +7\.5 % +the paper's table 4, trained at 256 to 512, shorter side 256, 384, 512$", ran.out, re.M
    )
    assert "ILSVRC-2012 validation set, which this data set is not" in ran.out
    assert "6 of 6" in ran.err


def test_json_is_one_object_with_all_that_is_counted(data: Path, run: Callable[..., Ran]) -> None:
    ran = run(data, "--json", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    (line,) = ran.out.splitlines()
    found = json.loads(line, parse_constant=pytest.fail)
    assert set(found) == {
        "schema", "data", "shard", "backbone", "views", "scales", "pictures", "unreadable", "top1_error", "top5_error",
        "ece", "nll", "seconds", "pictures_per_second", "bins", "confusion", "published", "localization",
    }  # fmt: skip
    assert (found["schema"], found["pictures"], found["unreadable"], found["shard"]) == (1, 6, 0, [1, 1])
    assert found["top1_error"]["percent"] == pytest.approx(100 * 2 / 6)
    assert found["confusion"] == [[0, 0, 2], [0, 9, 1], [1, 1, 2], [2, 0, 1]]
    assert sum(b["count"] for b in found["bins"]) == 6
    assert [(row["top1"], row["source"]) for row in found["published"]] == [
        (28.408, "torchvision's page of these weights")
    ]


def test_the_shares_together_are_the_whole(data: Path, run: Callable[..., Ran]) -> None:
    parts = [json.loads(run(data, "--json", "--shard", f"{i}/4").out) for i in (1, 2, 3, 4)]
    together: Counter[tuple[int, int]] = Counter()
    for part in parts:
        together.update({(t, g): n for t, g, n in part["confusion"]})
    assert together == {(0, 0): 2, (0, 9): 1, (1, 1): 2, (2, 0): 1}
    assert [part["pictures"] for part in parts] == [2, 2, 1, 1]
    empty = run(data, "--shard", "7/7")
    assert empty.code == 2
    assert "is empty" in empty.err


def test_broken_and_missing_pictures_are_told_and_the_rest_goes_on(data: Path, run: Callable[..., Ran]) -> None:
    (data / "goldfish" / "broken_1.jpg").touch()
    rows = [f"data/goldfish/{name}.jpg,goldfish" for name in ("d_1", "gone_1", "broken_1")]
    Path("labels.csv").write_text("\n".join(["file,class", *rows]))
    ran = run("labels.csv", "--json")
    assert ran.code == 1
    assert (json.loads(ran.out)["pictures"], json.loads(ran.out)["unreadable"]) == (1, 2)
    assert "gone_1.jpg" in ran.err
    assert "broken_1.jpg" in ran.err
    assert "2 of 3 pictures failed" in ran.err


def test_a_data_set_of_which_nothing_can_be_read_is_an_error(data: Path, run: Callable[..., Ran]) -> None:
    Path("labels.csv").write_text("file,class\ngone_1.jpg,goldfish\n")
    ran = run("labels.csv")
    assert (ran.code, ran.out) == (3, "")


def test_report_and_drawings_are_written(data: Path, run: Callable[..., Ran]) -> None:
    files = {"--report": "classes.csv", "--reliability": "sure.png", "--confusion": "mixed.png"}
    assert run(data, *(word for pair in files.items() for word in pair)).code == 0
    rows = list(csv.DictReader(Path("classes.csv").read_text().splitlines()))
    assert [(row["wordnet"], row["pictures"], row["correct"]) for row in rows] == [
        ("n01440764", "3", "2"),
        ("n01443537", "2", "2"),
        ("n01484850", "1", "0"),
    ]
    assert (rows[0]["precision"], rows[0]["recall"], rows[0]["mistaken_for"]) == ("0.6667", "0.6667", "ostrich")
    assert (rows[2]["precision"], rows[2]["mistaken_for"], rows[2]["mistakes"]) == ("", "tench", "1")
    for name in ("sure.png", "mixed.png"):
        with Image.open(name) as image:
            assert image.mode == "RGB"
            assert min(image.size) > 300


def test_each_picture_and_the_surest_mistakes_are_written(data: Path, run: Callable[..., Ran]) -> None:
    for path in data.rglob("*.jpg"):
        Image.new("RGB", (64, 48), "teal").save(path)
    (data / "goldfish" / "broken_1.jpg").touch()
    assert run(data, "--per-picture", "pictures.csv", "--mistakes", "wrong.png").code == 1
    rows = list(csv.DictReader(Path("pictures.csv").read_text().splitlines()))
    assert [(Path(row["path"]).name, row["truth"], row["guess"], row["right"]) for row in rows] == [
        ("f_0.jpg", "great white shark", "tench", "false"),
        ("broken_1.jpg", "goldfish", "", ""),
        ("d_1.jpg", "goldfish", "goldfish", "true"),
        ("e_1.jpg", "goldfish", "goldfish", "true"),
        ("a_0.jpg", "tench", "tench", "true"),
        ("b_0.jpg", "tench", "tench", "true"),
        ("c_9.jpg", "tench", "ostrich", "false"),
    ]
    assert {row["guess_probability"] for row in rows} == {"0.8", ""}
    assert rows[1]["error"] == "broken_1.jpg: it is damaged"
    with Image.open("wrong.png") as image:
        teal = (abs(np.asarray(image).astype(int) - (0, 128, 128)) < 4).all(2).sum()
    assert teal == 2 * 64 * 48
    right = run(data, "--shard", "3/7", "--mistakes", "none.png")
    assert (right.code, Path("none.png").exists()) == (0, False)
    assert "none.png is not written: there are no mistakes" in right.err


def test_what_was_taken_for_classes_is_printed(data: Path, run: Callable[..., Ran]) -> None:
    assert "classes        tench, goldfish, great white shark\n" in run(data).out


@pytest.mark.parametrize("option", ["--report", "--reliability", "--confusion", "--per-picture", "--mistakes"])
def test_what_exists_is_overwritten_by_force_only(data: Path, run: Callable[..., Ran], option: str) -> None:
    for path in data.rglob("*.jpg"):
        Image.new("RGB", (64, 48)).save(path)
    target = Path("there.csv" if option in ("--report", "--per-picture") else "there.png")
    target.write_text("mine")
    refused = run(data, option, target)
    assert (refused.code, refused.out, target.read_text(), Fake.made) == (4, "", "mine", 0)
    assert run(data, option, target, "--force").code == 0
    assert target.read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--report", "nowhere/r.csv"], 3),
        (["--confusion", "nowhere/c.png"], 3),
        (["--confusion", "c.txt"], 2),
        (["--confusion", "c.png", "--reliability", "c.png"], 2),
        (["--per-picture", "r.csv", "--report", "r.csv"], 2),
        (["--mistakes", "c.png", "--reliability", "c.png"], 2),
        (["--mistakes", "nowhere/c.png"], 3),
        (["--per-picture", "nowhere/p.csv"], 3),
        (["--per-picture", "p.json"], 2),
        (["--per-picture", "data/goldfish/d_1.jpg", "--force"], 2),
        (["--report", "data/../data"], 2),
        (["--shard", "3/2"], 2),
        (["--views", "sideways"], 2),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_network_is_made(
    data: Path, run: Callable[..., Ran], options: list[str], code: int
) -> None:
    assert (run(data, *options).code, Fake.made) == (code, 0)


def test_a_table_is_not_overwritten_by_its_own_report(data: Path, run: Callable[..., Ran]) -> None:
    Path("labels.csv").write_text("file,class\ndata/goldfish/d_1.jpg,goldfish\n")
    assert run("labels.csv", "--report", "labels.csv", "--force").code == 2
    assert Path("labels.csv").read_text().startswith("file,class")


def test_a_network_of_other_classes_is_compared_with_nothing(
    data: Path, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fake, "labels", labels_of([f"n{i:08}" for i in range(999)] + ["tench"]))
    Path("labels.csv").write_text("file,class\ndata/goldfish/d_1.jpg,tench\n")
    ran = run("labels.csv", "--views", "dense")
    assert ran.code == 0
    assert "published" not in ran.out
