"""The localization error of ILSVRC: counted by hand, by the slow protocol with five boxes, and by the command."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from scipy.stats import binomtest
from torch import Tensor
from typer.testing import CliRunner

from tests.reference.localization import localization_error
from vggapps.classification import _classifier as classifiers
from vggapps.classification._box_evaluation import evaluate_boxes, true_boxes
from vggapps.classification._box_regression import BoxRegressor, save_boxes
from vggapps.classification._boxes import Box, read_boxes
from vggapps.classification._classifier import ClassifySettings, Result
from vggapps.classification._localize import localize
from vggapps.classification._published import PAPER_BOXES, comparable_boxes
from vggapps.cli import evaluate as command
from vggapps.datasets._dataset import Example
from vggapps.errors import PictureError, SettingsError
from vggapps.image import Picture, save_picture
from vggapps.vgg._network import VGG
from vggapps.vgg._normalize import PLAIN
from vggapps.vgg._plan import Plan
from vggapps.weights._labels import Label, imagenet, labels_of

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8,)))
PLACE = Box(96, 96, 224, 256)
ELSEWHERE = Box(0, 0, 60, 60)
Guesses = Sequence[int]  # from the likeliest class on


class Fake:
    """Finds what is bright, of whatever class; a picture's classes are in its name, the likeliest first: ``a_3-0``."""

    labels: tuple[Label, ...] = labels_of(list("abcdefgh"))
    backbone, views, scales = ("vgg16",), "center", (256,)

    def __init__(self) -> None:
        vgg = VGG(NARROW, head="gap", classes=len(self.labels), convention=PLAIN)
        for name, module in vgg.named_children():
            if name.startswith("conv"):  # the mean over channels, unblurred: what is dark stays exactly zero
                module.weight.data.zero_()  # type: ignore[operator, union-attr]
                module.weight.data[:, :, 1, 1] = 1 / module.weight.shape[1]  # type: ignore[index, operator, union-attr]
                module.bias.data.zero_()  # type: ignore[operator, union-attr]
        vgg.fc8.weight.data.fill_(1)  # type: ignore[union-attr]
        self.networks = (vgg.freeze().dense(),)

    @classmethod
    def from_settings(cls, settings: ClassifySettings) -> Fake:
        return cls()

    def run(self, sources: Sequence[Any], workers: int | None = None) -> Iterator[Result]:
        for i, source in enumerate(sources):
            if isinstance(source, Picture):
                yield Result(i, self.probabilities(Path(source.name)))
            elif Path(source).exists():
                yield Result(i, self.probabilities(Path(source)))
            else:
                yield Result(i, error=PictureError(f"{source}: there is no such file"))

    def probabilities(self, path: Path) -> Tensor:
        scores = torch.zeros(len(self.labels))
        for rank, index in enumerate(path.stem.partition("_")[2].split("-")):
            scores[int(index)] = 9 - rank
        return scores.softmax(0)


def paint(folder: Path, name: str, *guesses: int, box: Box = PLACE) -> Path:
    """A black picture with a white rectangle, and guesses at its class."""
    image = torch.zeros(1, 3, 320, 320)
    image[..., int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = 1
    path = folder / f"{name}_{'-'.join(map(str, guesses))}.png"
    save_picture(image, path)
    return path


def measured(examples: Sequence[Example], boxes: Sequence[Sequence[Box]], **more: Any) -> Any:
    fake = Fake()
    return evaluate_boxes(fake.run([e.path for e in examples]), examples, boxes, fake, **more)


def test_class_and_place_are_counted_as_by_hand(tmp_path: Path) -> None:
    cases: list[tuple[Guesses, int, tuple[Box, ...]]] = [
        ((2,), 2, (PLACE,)),  # right
        ((2,), 2, (ELSEWHERE, PLACE)),  # right, the second of two
        ((2,), 2, (ELSEWHERE,)),  # the class, not the place
        ((0, 1, 3, 4, 2), 2, (PLACE,)),  # the fifth guess
        ((0, 1, 3, 4, 5, 2), 2, (PLACE,)),  # the sixth, too late
        ((0, 1), 1, (ELSEWHERE,)),  # the second guess, not the place
        ((3,), 3, ()),  # no box: nothing is known
        ((3,), 1, ()),
    ]
    examples = [Example(paint(tmp_path, str(i), *g), truth) for i, (g, truth, _) in enumerate(cases)]
    examples.append(Example(tmp_path / "gone_1.png", 1))
    found, boxes = measured(examples, [*(b for *_, b in cases), (PLACE,)])
    assert (boxes.pictures, boxes.without_box) == (6, 2)
    assert boxes.top1_error.percent == pytest.approx(100 * 4 / 6)
    assert boxes.top5_error.percent == pytest.approx(100 * 3 / 6)
    assert boxes.given_class_error.percent == pytest.approx(100 * 2 / 6)
    wanted = binomtest(4, 6).proportion_ci(0.95, method="wilson")
    assert (boxes.top1_error.low, boxes.top1_error.high) == pytest.approx((100 * wanted.low, 100 * wanted.high))
    # The classification counts all that can be read, boxes or not.
    assert (found.pictures, found.unreadable) == (8, 1)
    assert found.top1_error.percent == pytest.approx(100 * 4 / 8)


def test_looking_for_the_true_class_alone_decides_as_five_boxes_do(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    examples, boxes = [], []
    for i in range(12):
        guesses = torch.randperm(8, generator=generator).tolist()
        truth = guesses[i % 7]
        true = Box(96, 96, 224, 256 + 14 * i)  # ever more beyond what is bright
        examples.append(Example(paint(tmp_path, str(i), *guesses), truth))
        boxes.append([true])
    _, found = measured(examples, boxes)
    fake = Fake()
    truths = [(e.index, b) for e, b in zip(examples, boxes, strict=True)]
    for top, rate in ((1, found.top1_error), (5, found.top5_error)):
        predicted = [[(f.label.index, f.box) for f in localize(fake, e.path, top=top)] for e in examples]
        assert rate.percent == pytest.approx(100 * localization_error(predicted, truths))
    given = [[(e.index, localize(fake, e.path, fake.labels[e.index])[0].box)] for e in examples]
    assert found.given_class_error.percent == pytest.approx(100 * localization_error(given, truths))
    assert 0 < found.given_class_error.percent < found.top5_error.percent < found.top1_error.percent < 100


def test_a_perfect_classifier_has_no_error_wherever_things_are(tmp_path: Path) -> None:
    boxes = [Box(x, y, x + 128, y + 96) for x in (0, 96, 192) for y in (0, 64, 224)]
    examples = [Example(paint(tmp_path, str(i), i % 8, box=box), i % 8) for i, box in enumerate(boxes)]
    _, found = measured(examples, [[box] for box in boxes])
    assert found.top1_error.percent == found.top5_error.percent == found.given_class_error.percent == 0
    assert found.top1_error.low == 0
    assert found.top1_error.high > 20  # nine pictures prove little


def test_trained_boxes_are_scored_in_place_of_the_maps(tmp_path: Path) -> None:
    """Each window says that the object is all of it; merged, that is the window in the middle."""
    whole = BoxRegressor(8 * 9)
    with torch.no_grad():
        whole.linear.weight.zero_()
        whole.linear.bias.copy_(torch.tensor([0.5, 0.5, 1, 1]))
    examples = [Example(paint(tmp_path, "a", 2), 2)]
    window = Box(48, 48, 272, 272)
    assert measured(examples, [[window]], regressor=whole)[1].top1_error.percent == 0
    assert measured(examples, [[window]])[1].top1_error.percent == 100
    with pytest.raises(SettingsError, match="the boxes were trained on 7"):
        measured(examples, [[window]], regressor=BoxRegressor(7))


def test_where_no_picture_with_a_box_can_be_read_that_is_told(tmp_path: Path) -> None:
    examples = [Example(paint(tmp_path, "a", 2), 2), Example(tmp_path / "gone_1.png", 1)]
    with pytest.raises(PictureError, match="none of the pictures that have a box"):
        measured(examples, [(), (PLACE,)])


def test_rows_are_of_the_picture_whose_path_ends_so() -> None:
    one, two, three, four = (Box(0, 0, side, side) for side in (1, 2, 3, 4))
    labels = labels_of(["cat", "dog"])
    examples = [Example(Path(f"data/{name}.jpg"), i) for name, i in (("cat/1", 0), ("dog/1", 1), ("dog/2", 1))]
    table = {"1.jpg": [("cat", one), ("dog", two)], "./dog/2.jpg": [("dog", three), ("1", four), ("cat", one)]}
    assert true_boxes(table, examples, labels) == [(one,), (two,), (three, four)]
    with pytest.raises(SettingsError, match=r"the box of 1\.jpg may be in data/cat/1\.jpg or data/cow/1\.jpg"):
        true_boxes(table, [*examples, Example(Path("data/cow/1.jpg"), 0)], labels)
    table["data/cat/1.jpg"] = [("cat", four)]  # says more than 1.jpg does
    assert true_boxes(table, examples, labels) == [(four,), (two,), (three, four)]
    assert true_boxes({str(Path("data/dog/1.jpg").absolute()): [("dog", one)]}, examples, labels) == [(), (one,), ()]
    with pytest.raises(SettingsError, match=r"the box of 1\.jpg: there is no class 'cow'"):
        true_boxes({"1.jpg": [("cow", one)]}, examples, labels)
    with pytest.raises(SettingsError, match="none of the 3 pictures has a box"):
        true_boxes({"at/1.jpg": [("cat", one)], "dog/2.jpg": [("cat", one)]}, examples, labels)


def test_the_papers_boxes_are_those_of_its_tables() -> None:
    """Appendix A: table 8 with the class given, table 9 of the first five, here by training and testing side."""
    assert comparable_boxes("vgg16-caffe") == comparable_boxes("vgg16") == PAPER_BOXES
    assert comparable_boxes("vgg19") == comparable_boxes("vgg16+vgg16") == ()
    assert [row.error for row in PAPER_BOXES if row.class_given] == [36.4, 34.3, 33.1]
    table = {(row.train_sides, row.test_sides, row.subset): row.error for row in PAPER_BOXES if not row.class_given}
    both = (256, 384), (256, 352, 384)
    assert table == {
        ((256,), (256,), "val"): 29.5,
        ((384,), (384,), "val"): 28.2,
        ((384,), (384,), "test"): 26.7,
        ((384,), (352, 384), "val"): 27.5,
        (*both, "val"): 26.9,
        (*both, "test"): 25.3,
    }


Run = Callable[..., Any]
HEADER = "file,class,left,top,right,bottom"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Two of three tenches are found, one of these at the second guess; of a fourth there is no box."""
    monkeypatch.setattr(Fake, "labels", imagenet())
    monkeypatch.setattr(classifiers, "Classifier", Fake)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data" / "n01440764"
    folder.mkdir(parents=True)
    for name, guesses in (("a", (0, 1)), ("b", (1, 0)), ("c", (0, 1)), ("d", (0, 1))):
        paint(folder, name, *guesses)
    rows = ["a_0-1.png,tench,96,96,224,256", "b_1-0.png,n01440764,96,96,224,256", "c_0-1.png,0,0,0,60,60"]
    (tmp_path / "boxes.csv").write_text("\n".join([HEADER, *rows]))
    app = typer.Typer()
    app.command()(command.evaluate)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_prints_both_errors_and_the_papers(run: Run) -> None:
    ran = run("data", "--boxes", "boxes.csv")
    assert ran.exit_code == 0, ran.exception
    _, _, printed = ran.stdout.partition("\nlocalization   3 pictures with a true box, 1 without one are excluded\n")
    assert re.match(r"top-1 error +66\.7 % .*\ntop-5 error +33\.3 % .*\nclass given +33\.3 % ", printed)
    assert re.search(r"^ +- +33\.1 % +the paper's table 8: all layers trained, one box per class, trained at 384$",
                     printed, re.M)  # fmt: skip
    assert re.search(r"^ +27\.5 % +- +the paper's table 9: .* trained at 384, shorter side 352, 384$", printed, re.M)
    assert printed.count("arXiv 1409.1556") == 1
    assert "localization" not in run("data").stdout


def test_in_json_there_is_all_of_it_or_null(run: Run) -> None:
    found = json.loads(run("data", "--boxes", "boxes.csv", "--json").stdout)["localization"]
    assert (found["pictures"], found["without_box"]) == (3, 1)
    errors = [found[name]["percent"] for name in ("top1_error", "top5_error", "given_class_error")]
    assert errors == pytest.approx([200 / 3, 100 / 3, 100 / 3])
    assert found["published"][0]["error"] == 36.4
    assert json.loads(run("data", "--json").stdout)["localization"] is None


def test_the_command_takes_trained_boxes(run: Run) -> None:
    whole = BoxRegressor(8 * 9)
    with torch.no_grad():
        whole.linear.weight.zero_()
        whole.linear.bias.copy_(torch.tensor([0.5, 0.5, 1, 1]))
    save_boxes(whole, "whole.safetensors")
    Path("boxes.csv").write_text(f"{HEADER}\na_0-1.png,tench,48,48,272,272\n")
    for options, error in (((), 100), (("--boxes-from", "whole.safetensors"), 0)):
        ran = run("data", "--boxes", "boxes.csv", *options, "--json")
        assert json.loads(ran.stdout)["localization"]["given_class_error"]["percent"] == error


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("a_0-1.png,tench,96,96,224,256\nb_1-0.png,tench,1,2,x,4", "line 3: this is not a box"),
        ("a_0-1.png,tench,96,96,24,256", "line 2: this box has no area"),
        ("a_0-1.png,tenchy fish,96,96,224,256", "there is no class 'tenchy fish'"),
        ("else.png,tench,96,96,224,256", "none of the 4 pictures has a box"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_before_pictures_are_seen(
    run: Run, monkeypatch: pytest.MonkeyPatch, rows: str, told: str
) -> None:
    monkeypatch.setattr(Fake, "probabilities", lambda *_: pytest.fail("a picture was classified"))
    Path("boxes.csv").write_text(f"{HEADER}\n{rows}\n")
    ran = run("data", "--boxes", "boxes.csv")
    assert isinstance(ran.exception, SettingsError)
    assert told in ran.exception.message


def test_options_that_make_no_sense_are_refused(run: Run) -> None:
    assert isinstance(run("data", "--boxes-from", "whole.safetensors").exception, SettingsError)
    before = read_boxes("boxes.csv")
    assert isinstance(run("data", "--boxes", "boxes.csv", "--report", "boxes.csv", "-f").exception, SettingsError)
    assert read_boxes("boxes.csv") == before
