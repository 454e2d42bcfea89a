"""Names of classes and files that are not English, on every kind of picture that shows names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import Ran
from tests.lettering import font_of, forget
from tests.test_localize import Fake as Bright
from vggapps.classification import _classifier as classifiers
from vggapps.classification._boxes import Box
from vggapps.classification._classifier import Result
from vggapps.classification._localize import Found, draw
from vggapps.explanation import _report as report
from vggapps.explanation._methods import explain_batch
from vggapps.features._similar import similar_sheet
from vggapps.figures._plots import confusion_picture
from vggapps.figures._sheet import contact_sheet
from vggapps.image import Picture, to_pil
from vggapps.image import _fonts as fonts
from vggapps.image._fonts import Face
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._normalize import PLAIN
from vggapps.vgg._plan import Plan
from vggapps.weights import _backbone as loading
from vggapps.weights._labels import Label

CLASSES = ("猫", "кот", "größe")


@pytest.fixture(autouse=True)
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A system without fonts."""
    forget()
    with monkeypatch.context() as patched:
        patched.setattr(fonts, "system_faces", lambda: ())
        yield
    forget()


def on_a_sheet(name: str, folder: Path) -> Image.Image:
    return to_pil(contact_sheet([torch.ones(3, 96, 96)], [name]))


def on_a_title(name: str, folder: Path) -> Image.Image:
    return to_pil(contact_sheet([torch.ones(3, 96, 96)], ["a"], title=name))


def among_the_similar(name: str, folder: Path) -> Image.Image:
    path = folder / f"{name}.png"
    Image.new("RGB", (64, 64)).save(path)
    return to_pil(similar_sheet(path, []))


def confused(name: str, folder: Path) -> Image.Image:
    return confusion_picture({(0, 0): 3, (0, 1): 1, (1, 1): 2}, [name, "other"])


def confused_among_many(name: str, folder: Path) -> Image.Image:
    return confusion_picture({(i, (i + 1) % 50): 1 for i in range(50)}, [name, *"x" * 49])


def localized(name: str, folder: Path, probability: float = 0.9) -> Image.Image:
    found = Found(Label(0, name), probability, Box(20, 60, 200, 200), torch.zeros(1, 1))
    return to_pil(Picture(draw(Picture(torch.ones(1, 3, 240, 320)), [found])))


SHOWN = [on_a_sheet, on_a_title, among_the_similar, confused, confused_among_many, localized]
shown = pytest.mark.parametrize("show", SHOWN, ids=lambda show: show.__name__)
Show = Callable[[str, Path], Image.Image]


@shown
@pytest.mark.parametrize(("one", "other"), [("кот", "кит"), ("größe", "größé"), ("Ωμ", "Ωή"), ("şř", "şě")])
def test_letters_are_told_apart(
    show: Show, one: str, other: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = [show(name, tmp_path) for name in (one, other)]
    assert pictures[0].size != pictures[1].size or pictures[0].tobytes() != pictures[1].tobytes()
    assert caplog.text == ""


@shown
def test_a_letter_that_the_system_has_is_drawn_and_what_it_lacks_is_told(
    show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    boxes = show("猫", tmp_path)
    assert "猫 (U+732B)" in caplog.text
    face = Face(str(font_of({"猫": "Ж"}, tmp_path / "system.ttf")))
    monkeypatch.setattr(fonts, "system_faces", lambda: (face,))
    forget()
    assert show("猫", tmp_path).tobytes() != boxes.tobytes()
    assert caplog.text.count("猫") == 1


@shown
@pytest.mark.parametrize("name", ["a very long name of things " * 8, "写真" * 80, "a\nb\tc", "caf\udce9"])
def test_names_of_any_length_and_kind_leave_the_paper_white_at_the_edges(show: Show, name: str, tmp_path: Path) -> None:
    try:
        picture = np.asarray(show(name if show is not among_the_similar else name[:60], tmp_path).convert("RGB"))
    except (OSError, UnicodeEncodeError) as error:
        pytest.skip(f"the file system has no such name: {error}")
    assert picture.shape[1] < 2000
    assert (picture[:, -2:] == 255).all() or show is localized  # there the name stands on the picture


def test_a_long_name_leaves_room_for_the_probability() -> None:
    sure, unsure = (localized("a very long name of things " * 8, Path(), probability) for probability in (0.9, 0.4))
    assert sure.tobytes() != unsure.tobytes()


def narrow(head: str = "gap") -> VGG:
    plan = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8,)))
    return initialize(VGG(plan, head=head, classes=3, convention=PLAIN), "glorot", seed=3).freeze()


def test_a_file_name_of_two_lines_is_one_label_of_an_explanation() -> None:
    image = torch.rand(1, 3, 64, 64)
    found = [explain_batch(narrow(), image, 0, method) for method in ("gradient", "lrp")]
    one, two = (report.figure(Picture(image, name=name), found) for name in ("a b.png", "a\nb.png"))
    assert torch.equal(one, two)


class Fake:
    """Takes every picture for the first class."""

    labels = tuple(Label(i, name) for i, name in enumerate(CLASSES))
    backbone = ("vgg16",)
    scales = (256,)

    def __init__(self, settings: object) -> None:
        self.views = "center"

    @classmethod
    def from_settings(cls, settings: object) -> Fake:
        return cls(settings)

    def run(self, sources: Sequence[object], workers: int | None = None) -> Iterator[Result]:
        for i, _ in enumerate(sources):
            yield Result(i, torch.tensor([0.8, 0.1, 0.1]))


class Located(Bright):
    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()
        self.labels = Fake.labels


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for each class, a picture in each."""
    monkeypatch.chdir(tmp_path)
    for name in CLASSES:
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("RGB", (64, 64), (200, 90, 30)).save(tmp_path / "data" / name / f"{name} 1.png")
    return tmp_path / "data"


@pytest.mark.parametrize("command", ["similar", "evaluate", "localize"])
def test_commands_draw_them_and_say_what_is_missing(
    command: str,
    folders: Path,
    monkeypatch: pytest.MonkeyPatch,
    cli: Callable[..., Ran],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(classifiers, "Classifier", Located if command == "localize" else Fake)
    monkeypatch.setattr(loading, "load_network", lambda *_, **__: narrow("none"))
    arguments = {
        "similar": ("data/кот/кот 1.png", "data", "--layer", "pool4", "-o", "drawn.png"),
        "evaluate": ("data", "--confusion", "drawn.png"),
        "localize": ("data/кот/кот 1.png", "--top", 3, "-o", "drawn.png"),
    }
    ran = cli(command, *arguments[command])
    assert ran.code == 0, ran.err
    assert "猫" in ran.out or command == "evaluate"
    assert [word for word in CLASSES if any(word[0] in record.getMessage() for record in caplog.records)] == ["猫"]
    with Image.open("drawn.png") as image:
        assert image.mode == "RGB"
