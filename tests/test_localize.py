"""Objects found in pictures by a network whose classes are known by construction; and the command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from vggapps.classification import _classifier as classifiers
from vggapps.classification._box_regression import (
    BoxRegressor,
    box_examples,
    describe_windows,
    save_boxes,
    train_boxes,
)
from vggapps.classification._boxes import Box, iou
from vggapps.classification._localize import Found, draw, localize
from vggapps.cli import localize as command
from vggapps.errors import PictureError, SettingsError
from vggapps.image import Picture, open_picture, save_picture
from vggapps.vgg._network import VGG
from vggapps.vgg._normalize import PLAIN
from vggapps.vgg._plan import Plan
from vggapps.weights._labels import Label

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8,)))


class Fake:
    """A classifier that is sure of its second class, which is brightness: every channel of it speaks for that."""

    def __init__(self, *_: object, **__: object) -> None:
        vgg = VGG(NARROW, head="gap", classes=3, convention=PLAIN)
        for name, module in vgg.named_children():
            if name.startswith("conv"):  # the mean over channels, unblurred: what is dark stays exactly zero
                module.weight.data.zero_()  # type: ignore[operator, union-attr]
                module.weight.data[:, :, 1, 1] = 1 / module.weight.shape[1]  # type: ignore[index, operator, union-attr]
                module.bias.data.zero_()  # type: ignore[operator, union-attr]
        vgg.fc8.weight.data[:] = torch.tensor([[-1.0], [1.0], [0.5]])  # type: ignore[union-attr]
        vgg.fc8.bias.data.zero_()  # type: ignore[union-attr]
        self.networks = (vgg.freeze().dense(),)
        self.labels = (Label(0, "dark"), Label(1, "bright", "n01"), Label(2, "shiny"))

    @classmethod
    def from_settings(cls, settings: object) -> Fake:
        return cls()

    def run(self, sources: Sequence[Any], workers: int | None = None) -> Iterator[Any]:
        for source in sources:
            try:
                open_picture(source)
            except PictureError as error:
                yield SimpleNamespace(probabilities=None, error=error)
            else:
                yield SimpleNamespace(probabilities=torch.tensor([0.1, 0.7, 0.2]), error=None)


def paint(path: Path, box: Box, width: int = 640, height: int = 480) -> Path:
    image = torch.zeros(1, 3, height, width)
    image[..., int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = 1
    save_picture(image, path, overwrite=True)
    return path


@pytest.mark.parametrize(("width", "height"), [(640, 480), (333, 777), (5000, 200), (60, 90)])
def test_the_box_is_in_the_pixels_of_the_users_picture(width: int, height: int, tmp_path: Path) -> None:
    box = Box(width // 4, height // 3, width // 2, height * 3 // 4)
    (found,) = localize(Fake(), paint(tmp_path / "a.png", box, width, height))
    assert (found.label.name, found.probability) == ("bright", pytest.approx(0.7))
    assert iou(found.box, box) > 0.6
    assert found.map.max() == 1


def test_several_classes_come_in_order_and_a_named_one_alone(tmp_path: Path) -> None:
    path = paint(tmp_path / "a.png", Box(100, 100, 300, 300))
    fake = Fake()
    assert [f.label.name for f in localize(fake, path, top=9)] == ["bright", "shiny", "dark"]
    (dark,) = localize(fake, path, label=fake.labels[0])
    assert dark.probability == pytest.approx(0.1)
    assert dark.box == Box(0, 0, 640, 480)  # nothing speaks for it
    with pytest.raises(PictureError):
        localize(fake, tmp_path / "none.png")


def test_trained_boxes_find_bright_rectangles_in_new_pictures(tmp_path: Path) -> None:
    """All of it: windows of a seeded network, single-class regression, dense prediction, merging."""
    fake, random = Fake(), np.random.default_rng(0)

    def example() -> Box:
        w, h = random.integers(90, 150, 2)
        x, y = random.integers(0, 320 - w), random.integers(0, 352 - h)
        return Box(float(x), float(y), float(x + w), float(y + h))

    rows, learnt = [], []
    for _ in range(40):
        box = example()
        picture = open_picture(paint(tmp_path / "train.png", box, 320, 352).read_bytes())
        features, inside = box_examples(describe_windows(fake.networks[0], picture.rgb), box)
        rows.append(features)
        learnt += inside
    regressor = train_boxes(torch.cat(rows), learnt, ridge=1e-5)
    overlaps = []
    for number in range(10):
        box = example()
        path = paint(tmp_path / f"{number}.png", box.scaled(2, 2), 640, 704)
        (found,) = localize(fake, path, regressor=regressor)
        overlaps.append(iou(found.box, box.scaled(2, 2)))
    assert min(overlaps) > 0.5


def test_the_drawing_is_the_picture_with_frames_and_names() -> None:
    for level in (0.0, 1.0):
        picture = Picture(torch.full((1, 3, 300, 400), level))
        found = [Found(Label(i, "cat"), 0.9, Box(100, 80, 300, 250), torch.zeros(1, 1)) for i in range(3)]
        drawn = draw(picture, found)
        assert drawn.shape == picture.rgb.shape
        torch.testing.assert_close(drawn[..., 120:240, 110:290], picture.rgb[..., 120:240, 110:290])
        torch.testing.assert_close(drawn[..., :30, :90], picture.rgb[..., :30, :90])
        edge = drawn[0, :, 200, 95:105]  # across the left side of the frame there are white and a colour
        assert edge.amin(0).max() > 0.99
        assert edge[:, edge.std(0).argmax()].std() > 0.1


@pytest.mark.parametrize("box", [Box(0, 0, 20, 16), Box(19.6, 15.8, 20, 16), Box(3, 3, 3, 3)])
def test_drawing_on_the_smallest_pictures_does_not_fail(box: Box) -> None:
    picture = Picture(torch.rand(1, 3, 16, 20))
    found = [Found(Label(0, "a very long name of a class"), 1.0, box, torch.zeros(1, 1))] * 2
    assert draw(picture, found).shape == picture.rgb.shape


Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setattr(classifiers, "Classifier", Fake)
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "a.png", Box(128, 96, 256, 240))
    app = typer.Typer()
    app.command()(command.localize)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_prints_class_probability_and_box(run: Run) -> None:
    ran = run("a.png")
    assert ran.exit_code == 0
    assert ran.stdout.startswith("bright  70.0 %  ")
    left, top, right, bottom = (int(word) for word in ran.stdout.split("%")[1].split())
    assert iou(Box(left, top, right, bottom), Box(128, 96, 256, 240)) > 0.7
    assert run("a.png", "--class", "Shiny").stdout.startswith("shiny  20.0 %")


def test_in_json_it_is_one_object_a_picture(run: Run) -> None:
    (line,) = run("a.png", "--top", 2, "--json").stdout.splitlines()
    facts = json.loads(line)
    assert (facts["schema"], facts["path"]) == (1, "a.png")
    first, second = facts["found"]
    assert {k: first[k] for k in ("label", "wordnet", "index")} == {"label": "bright", "wordnet": "n01", "index": 1}
    assert first["probability"] == pytest.approx(0.7)
    assert iou(Box(*first["box"]), Box(128, 96, 256, 240)) > 0.7
    assert second["wordnet"] is None


def test_another_class_that_classify_names_by_the_middle_is_told(run: Run, tmp_path: Path) -> None:
    """The fake is sure of "bright" of every whole picture; by their middle, of which it looks at all, it is, too."""
    assert run("a.png").stderr == ""
    assert json.loads(run("a.png", "--json").stdout)["middle"]["label"] == "bright"
    dark = Image.new("RGB", (640, 480), "white")
    dark.paste("black", (100, 0, 540, 480))  # black in the middle: all scores are 0, and the first class is named
    dark.save(tmp_path / "dark.png")
    ran = run("dark.png")
    assert ran.stdout.startswith("bright")
    assert ran.stderr == "dark.png: for the centre of the picture, classify predicts dark (33.3 %)\n"
    middle = json.loads(run("dark.png", "--json").stdout)["middle"]
    assert middle == {"label": "dark", "wordnet": None, "index": 0, "probability": pytest.approx(1 / 3)}
    assert run("dark.png", "--class", "bright").stderr == run("dark.png", "-q").stderr == ""


def test_with_o_it_draws(run: Run, tmp_path: Path) -> None:
    assert run("a.png", "-o", "found.png").exit_code == 0
    drawn, plain = Image.open(tmp_path / "found.png"), Image.open(tmp_path / "a.png")
    assert drawn.size == plain.size
    assert drawn.convert("RGB").tobytes() != plain.convert("RGB").tobytes()
    assert type(run("a.png", "-o", "found.png").exception).__name__ == "OutputExistsError"
    assert run("a.png", "-o", "found.png", "--force").exit_code == 0


def test_with_trained_boxes_it_predicts_them(run: Run, tmp_path: Path) -> None:
    whole = BoxRegressor(8 * 9)
    with torch.no_grad():
        whole.linear.weight.zero_()
        whole.linear.bias.copy_(torch.tensor([0.5, 0.5, 1, 1]))
    save_boxes(whole, tmp_path / "boxes.safetensors")
    ran = run("a.png", "--boxes-from", "boxes.safetensors", "--json")
    assert ran.exit_code == 0, ran.exception
    left, top, right, bottom = json.loads(ran.stdout)["found"][0]["box"]
    # A window, or the mean of some: 224 pixels of a picture scaled to 416 × 320, the nearest multiples of 32.
    assert right - left == pytest.approx(224 * 640 / 416, abs=0.2)
    assert bottom - top == pytest.approx(224 * 480 / 320, abs=0.2)


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    ran = run("bad.png", "a.png")
    assert ran.exit_code == 1
    assert ran.stdout.startswith("a.png: bright")
    assert "bad.png" in ran.stderr
    assert "1 of 2 pictures" in ran.stderr
    assert isinstance(run("bad.png").exception, PictureError)


def test_words_that_contradict_each_other_are_refused(run: Run) -> None:
    assert isinstance(run("a.png", "--class", "dark", "--top", 2).exception, SettingsError)
    assert isinstance(run("a.png", "--class", "blue").exception, SettingsError)
    assert isinstance(run("a.png", "--json", "-o", "-").exception, SettingsError)
