"""Classes are called what the network's maker calls them, or by number; never by ImageNet's names by mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.datasets import ImageFolder

from tests.conftest import Ran
from tests.test_weights_files import NARROW
from vggapps.classification import Classifier
from vggapps.datasets._dataset import list_pictures
from vggapps.errors import SettingsError
from vggapps.explanation._methods import explain_batch
from vggapps.explanation._question import ask
from vggapps.objectives._text import parse
from vggapps.vgg._network import VGG
from vggapps.weights._files import save_weights
from vggapps.weights._labels import find_label, imagenet, labels_for, labels_of, read_class_names
from vggapps.weights._load import load_vgg

Cli = Callable[..., Ran]
FIVE = ["cat", "dog", "hen", "cow", "pig"]


def network(classes: int = 5) -> VGG:
    torch.manual_seed(0)
    return VGG(NARROW, head="gap", classes=classes).freeze()


def module(classes: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)).eval()


def test_only_a_thousand_outputs_are_imagenets() -> None:
    assert [label.name for label in labels_for(network())] == ["0", "1", "2", "3", "4"]
    assert labels_for(network(1000)) == imagenet()
    assert labels_for(VGG(NARROW, head="none")) == ()


def test_no_room_gives_imagenets_names_to_a_networks_own_classes() -> None:
    vgg = network()
    assert parse("class:2", vgg).text == ask(vgg, 2).objective.text == "class:2"
    assert explain_batch(vgg, torch.rand(1, 3, 64, 64)).target in [f"class:{n}" for n in range(5)]
    for asked in (lambda: parse("class:goldfish", vgg), lambda: ask(vgg, "class:goldfish")):
        with pytest.raises(SettingsError, match=r"no class 'goldfish'.*the choices are: 0, 1, 2, 3, 4"):
            asked()
    with pytest.raises(SettingsError, match="the last one is 4"):
        parse("class:5", vgg)


@pytest.mark.parametrize("classes", [10, 1000])
def test_other_peoples_modules_have_numbers_alone(classes: int) -> None:
    net = module(classes)
    assert parse("class:3", net).text == "class:3"
    with pytest.raises(SettingsError, match=r"the class names of this .* are not known"):
        parse("class:goldfish", net)
    net.classes = [f"kind {n}" for n in range(classes)]  # type: ignore[assignment]
    assert parse("class:kind 7", net).text == ask(net, 7).objective.text == "class:kind 7"
    net.classes = classes  # type: ignore[assignment] # a number of outputs, as many modules have it
    assert parse("class:3", net).text == "class:3"


def test_names_are_kept_in_the_file(tmp_path: Path) -> None:
    vgg = network()
    vgg.classes = tuple(FIVE)
    save_weights(vgg, tmp_path / "own.safetensors")
    again = load_vgg(NARROW, tmp_path / "own.safetensors")
    assert parse("class:Hen", again).text == "class:hen"
    with pytest.raises(SettingsError, match="in another order"):
        load_vgg(NARROW, tmp_path / "own.safetensors", classes=FIVE[::-1])
    assert load_vgg(NARROW, tmp_path / "own.safetensors", classes=["a", "b", "c", "d", "e"]).classes[0] == "a"
    vgg.classes = ("cat", "dog")
    with pytest.raises(SettingsError, match="2 names of classes for a network of 5 outputs"):
        save_weights(vgg, tmp_path / "short.safetensors")


# Names that people give


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("names.txt", "cat\ndog\nhen\ncow\npig\n"),
        ("windows.txt", "\ufeffcat\r\ndog\r\nhen\r\ncow\r\npig\r\n\r\n"),
        ("list.json", json.dumps(FIVE)),
        ("class_indices.json", json.dumps({"pig": 4, "cat": 0, "dog": 1, "hen": 2, "cow": 3})),
        ("idx_to_class.json", json.dumps({"1": "dog", "0": "cat", "2": "hen", "3": "cow", "4": "pig"})),
    ],
)
def test_names_are_read_from_a_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert read_class_names(str(tmp_path / name), 5) == tuple(FIVE)


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("short.txt", b"cat\ndog\n", "2 names of classes for a network of 5 outputs"),
        ("gap.txt", b"cat\n\ndog\nhen\ncow\n", "a class has no name"),
        ("latin.txt", "größe\n".encode("latin-1"), "can't be read"),
        ("no.json", b"{", "can't be read"),
        ("hole.json", b'{"cat": 0, "dog": 2}', "the indices are not 0 to 1"),
        ("numbers.json", b"[1, 2]", "neither a list of names nor"),
    ],
)
def test_a_list_of_names_that_does_not_fit_is_refused(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SettingsError, match=told):
        read_class_names(tmp_path / name, 5)
    with pytest.raises(SettingsError, match="can't be read"):
        read_class_names(tmp_path / "missing.txt", 5)
    with pytest.raises(SettingsError, match="has no folders"):
        read_class_names(tmp_path, 5)


@pytest.fixture
def twelve(tmp_path: Path) -> Path:
    """A folder of class folders 0 to 11, each with a picture."""
    for number in range(12):
        (tmp_path / "data" / str(number)).mkdir(parents=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "data" / str(number) / "a.png")
    return tmp_path / "data"


def test_a_folder_names_classes_in_torchvisions_order(twelve: Path) -> None:
    (twelve / ".ipynb_checkpoints").mkdir()
    names = read_class_names(twelve, 12)
    assert names[:4] == ("0", "1", "10", "11")
    theirs = {Path(path): index for path, index in ImageFolder(twelve, allow_empty=True).samples}
    (twelve / ".ipynb_checkpoints").rmdir()
    theirs = {Path(path): index for path, index in ImageFolder(twelve).samples}
    listed = list_pictures(twelve)
    assert {e.path: e.index for e in listed.examples(labels_of(names, 12))} == theirs
    by_number = {e.path: e.index for e in listed.examples(labels_of(read_class_names("numbers", 12)))}
    assert all(by_number[path] == int(path.parent.name) for path in theirs)


def test_an_order_that_nobody_told_is_not_guessed(twelve: Path) -> None:
    with pytest.raises(
        SettingsError,
        match=r"class folders are numbers.*the folder of training pictures as classes.*classes='numbers'",
    ):
        list_pictures(twelve).examples(labels_of((), 12))
    for number in (1, 3, 5):  # a part of them says no more
        (twelve / str(number) / "a.png").unlink()
    with pytest.raises(SettingsError, match="class folders are numbers"):
        list_pictures(twelve).examples(labels_of((), 12))
    assert len(list_pictures(twelve).examples(imagenet())) == 9  # a number is ImageNet's index


@pytest.mark.parametrize(
    ("folders", "outputs"), [("0 1 2 3", 4), ("0 3", 10), ([f"{n:02}" for n in range(12)], 12), ("00 03 11", 12)]
)
def test_numbers_with_one_order_only_are_outputs(tmp_path: Path, folders: str | list[str], outputs: int) -> None:
    for name in folders.split() if isinstance(folders, str) else folders:
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "a.png")
    found = list_pictures(tmp_path).examples(labels_of((), outputs))
    assert all(e.index == int(e.path.parent.name) for e in found)


def test_folders_that_begin_with_one_are_asked_about(tmp_path: Path) -> None:
    for name in "123":
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "a.png")
    with pytest.raises(SettingsError, match="class folders are numbers"):
        list_pictures(tmp_path).examples(labels_of((), 3))


# Words that mean several classes


def test_a_word_for_two_classes_names_both() -> None:
    cranes = labels_of(["crane", "tench", "crane"])
    with pytest.raises(SettingsError, match=r"'crane' is ambiguous: outputs 0 \(crane\) and 2 \(crane\).*index:0 or"):
        find_label("crane", cranes)
    assert find_label("index:2", cranes).index == find_label("2", cranes).index == 2
    spelt = labels_of(["Sea_Lion", "sea lion"])
    with pytest.raises(SettingsError, match="is ambiguous"):
        find_label("SEA LION", spelt)
    assert find_label("sea lion", spelt).index == 1


def test_a_number_that_is_another_classs_name_names_both() -> None:
    labels = labels_of(sorted(map(str, range(12))))
    with pytest.raises(SettingsError, match=r"'2' is ambiguous: outputs 4 \(2\) and 2 \(10\)"):
        find_label("2", labels)
    assert (find_label("name:2", labels).index, find_label("index:2", labels).index) == (4, 2)
    assert find_label("0", labels).index == 0


@pytest.mark.parametrize("column", ["class", "index"])
def test_a_table_says_whether_it_means_names_or_outputs(tmp_path: Path, column: str) -> None:
    (tmp_path / "t.csv").write_text(f"file,{column}\na.png,2\n")
    found = list_pictures(tmp_path / "t.csv").examples(labels_of(sorted(map(str, range(12)))))
    assert found[0].index == {"class": 4, "index": 2}[column]


# From the command line


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of five classes without names, a list of these, and a photo."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    save_weights(VGG("vgg11", head="gap", classes=5).freeze(), "five.safetensors")
    Path("names.txt").write_text("\n".join(FIVE))
    Image.new("RGB", (48, 40), (200, 40, 90)).save("photo.png")
    return tmp_path


OWN = ["--backbone", "five.safetensors"]
ALL = {
    "classify": (["photo.png", "--backbone", "five.safetensors", "--json"], []),
    "localize": (["photo.png", "--backbone", "five.safetensors", "--json"], ["--class", "hen"]),
    "explain": (["photo.png", "--backbone", "five.safetensors", "--json", "-fo", "why.png"], ["--class", "hen"]),
    "visualize": (["class:hen", *OWN, "--steps", "1", "--size", "32", "--json", "-fo", "v.png"], []),
    "dream": (["photo.png", *OWN, "--objective", "class:hen", "--steps", "1", "--size", "64", "--octaves", "1",
               "--json", "-fo", "d.png"], []),
}  # fmt: skip


@pytest.mark.parametrize("command", ALL)
def test_every_command_takes_names(cli: Cli, work: Path, command: str) -> None:
    words, asked = ALL[command]
    named = cli(command, *words, *asked, "--classes", "names.txt")
    assert named.code == 0, named.err
    assert '"hen"' in named.out or "class:hen" in named.out
    if command != "classify":
        refused = cli(command, *words, *asked)
        assert refused.code == 2
        assert "no class 'hen': the network's classes have no names" in refused.err
    short = cli(command, *words, *asked, "--classes", "missing.txt")
    assert (short.code, "can't be read" in short.err) == (2, True)
    known = cli(command, *words, *asked, "--classes", "names.txt", "--convention", "oxford")
    assert (known.code, "has no effect" in known.err) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        ["visualize", "conv1_1:1", *OWN],
        ["dream", "photo.png", "--objective", "relu1_1", *OWN],
        ["explain", "photo.png", "--backbone", "five.safetensors", "--target", "relu1_1:1"],
    ],
)
def test_names_without_effect_are_refused(cli: Cli, work: Path, words: list[str]) -> None:
    ran = cli(*words, "--classes", "names.txt")
    assert (ran.code, "has no effect: no class is used" in ran.err) == (2, True)


def test_evaluate_with_own_names(cli: Cli, work: Path) -> None:
    for name in ("cat", "hen"):
        (work / "data" / name).mkdir(parents=True)
        Image.new("RGB", (48, 40)).save(work / "data" / name / "a.png")
    told = cli("evaluate", "data", "--backbone", "five.safetensors")
    assert told.code == 2
    assert "name them with --classes" in told.err
    report = cli("evaluate", "data", "--backbone", "five.safetensors", "--classes", "names.txt", "--report", "r.csv")
    assert report.code == 0
    assert [line.split(",")[:3] for line in Path("r.csv").read_text().splitlines()[1:]] == [
        ["0", "", "cat"],
        ["2", "", "hen"],
    ]


def test_classifier_takes_names() -> None:
    assert [label.name for label in Classifier(network(), classes=FIVE).labels] == FIVE
    with pytest.raises(SettingsError, match="2 names of classes for a network of 5 outputs"):
        Classifier(network(), classes=["cat", "dog"])
