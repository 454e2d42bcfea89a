"""One grammar for networks: which weights each word means, and what is refused before anything is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.reference.narrow import NARROW
from tests.reference.narrow import network as narrow
from vggapps.errors import SettingsError, WeightsError
from vggapps.losses import PerceptualLoss
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import PLANS
from vggapps.weights import RECORDS, load_network, save_weights
from vggapps.weights import _backbone as loading
from vggapps.weights._backbone import file_of, is_file, local_networks, plan_of

IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def present(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """The machine has these weights, and the installed ones."""
    here = {*names, "vgg19-installed", "vgg19-gap"}
    monkeypatch.setattr(loading.store, "find", lambda record: Path("x") if record.name in here else None)


def meant(monkeypatch: pytest.MonkeyPatch, word: Any, **needs: Any) -> tuple[Any, ...]:
    found: list[tuple[Any, ...]] = []

    class BuiltError(Exception):
        pass

    def load(plan: Any, weights: Any, *, head: Any, **_: Any) -> VGG:
        found.append((plan.name, str(weights), head))
        raise BuiltError

    monkeypatch.setattr(loading, "load_vgg", load)
    with pytest.raises(BuiltError):
        load_network(word, **needs)
    return found[0]


FC7 = {"layers": ["fc7"]}
CLASSES = {"needs": "classes"}


@pytest.mark.parametrize(
    ("here", "needs", "expected"),
    [
        ([], {}, ("vgg19", "vgg19-installed", "none")),
        (["vgg19", "vgg16"], {"layers": ["relu5_4"]}, ("vgg19", "vgg19-installed", "none")),
        ([], CLASSES, ("vgg19", "vgg19-gap", None)),
        ([], CLASSES | {"layers": ["relu5_4", "fc8"]}, ("vgg19", "vgg19-gap", None)),
        (["vgg16"], CLASSES, ("vgg16", "vgg16", None)),
        (["vgg19", "vgg16"], CLASSES, ("vgg19", "vgg19", None)),
        (["vgg16"], CLASSES | {"layers": ["relu5_4"]}, ("vgg19", "vgg19-gap", None)),  # VGG-16 has no relu5_4
        (["vgg16"], FC7, ("vgg16", "vgg16", None)),
        ([], FC7, ("vgg19", "vgg19", None)),  # the one that is downloaded: nothing else has this layer
        ([], CLASSES | FC7, ("vgg19", "vgg19", None)),
    ],
)
def test_auto_takes_what_is_here_and_has_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, here: list[str], needs: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    present(monkeypatch, *here)
    assert meant(monkeypatch, "auto", **needs) == expected


@pytest.mark.parametrize(
    ("word", "needs", "expected"),
    [
        ("vgg16", {}, ("vgg16", "auto", "none")),
        ("vgg16", CLASSES, ("vgg16", "vgg16", None)),
        ("vgg16", FC7, ("vgg16", "vgg16", None)),
        ("vgg19", CLASSES, ("vgg19", "vgg19", None)),
        ("D", {}, ("vgg16", "auto", "none")),
        (PLANS["vgg13"], {}, ("vgg13", "auto", "none")),
        ("vgg16-caffe", {}, ("vgg16", "vgg16-caffe", "none")),
        ("vgg16-caffe", CLASSES, ("vgg16", "vgg16-caffe", None)),
        (RECORDS["vgg19-convolutions"], {}, ("vgg19", "vgg19-convolutions", "none")),
        ("vgg16=vgg16-caffe", {}, ("vgg16", "vgg16-caffe", "none")),
        ("vgg16=mine.pth", {}, ("vgg16", "mine.pth", "none")),
        ("vgg16=a/b=c.pth", CLASSES, ("vgg16", "a/b=c.pth", None)),
    ],
)
def test_each_word_means_one_thing(
    monkeypatch: pytest.MonkeyPatch, word: Any, needs: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    assert meant(monkeypatch, word, **needs) == expected


@pytest.mark.parametrize(
    ("word", "options", "message"),
    [
        ("vg16", {}, "no network 'vg16' .did you mean 'vgg16'"),
        ("vgg91=mine.pth", {}, "no network 'vgg91'"),
        ("mine.pth", {}, "there is no file mine.pth"),
        ("vgg16", {"layers": ["fc77"]}, "did you mean 'fc7'"),
        ("vgg16-caffe", {"convention": "oxford"}, "convention oxford has no effect: that of vgg16-caffe"),
        ("vgg16", {"classes": ["a"]}, "has no effect: no class is used"),
        ("vgg16-convolutions", {"needs": "classes"}, "vgg16-convolutions has no head and so no classes"),
        ("vgg16-convolutions", {"layers": ["fc7"]}, "vgg16-convolutions has no fully connected layers"),
        (nn.Linear(1, 1), {}, "the backbone is a Linear"),
        (7, {}, "the backbone is a int"),
        (narrow(), {"pooling": "l2"}, "a loaded network has its own pooling"),
        (narrow(), {"needs": "classes"}, "has no head"),
        (narrow(), {"layers": ["fc7"]}, "ends at pool5: it has no fc7"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, word: Any, options: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(loading.store, "get", lambda _: pytest.fail("fetched"))
    with pytest.raises((SettingsError, WeightsError), match=message):
        load_network(word, **options)


def test_a_file_of_ours_says_which_network_it_is_of(tmp_path: Path) -> None:
    vgg = initialize(VGG("vgg11", head="gap", classes=2, class_names=("cat", "dog"), temperature=2.0)).freeze()
    save_weights(vgg, tmp_path / "own.safetensors")
    for word in (tmp_path / "own.safetensors", f"vgg11={tmp_path / 'own.safetensors'}"):
        read = load_network(word, needs="classes")
        assert (read.classes, read.temperature) == (("cat", "dog"), 2.0)
        torch.testing.assert_close(read(IMAGE), vgg(IMAGE))
    assert load_network(tmp_path / "own.safetensors").head == "none"


def test_a_loaded_network_is_shared_if_it_is_frozen_and_copied_if_it_learns() -> None:
    frozen, learning = narrow(), initialize(VGG(NARROW, head="none"))
    assert load_network(frozen) is frozen
    assert PerceptualLoss("relu2_1", backbone=frozen).network.conv1_1.weight is frozen.conv1_1.weight  # type: ignore[union-attr]
    copied = load_network(learning)
    assert copied.frozen
    assert not learning.frozen
    assert copied.conv1_1.weight.data_ptr() != learning.conv1_1.weight.data_ptr()


def test_a_device_shares_what_need_not_change_and_leaves_the_given_network_as_it_is() -> None:
    vgg = narrow().float()
    fast = load_network(vgg, device="cpu", dtype="float32")
    rounded = load_network(vgg, device="cpu", dtype="bfloat16")
    assert fast.conv1_1.bias is not None
    assert vgg.conv1_1.bias is not None
    assert fast.conv1_1.bias.data_ptr() == vgg.conv1_1.bias.data_ptr()
    assert (fast.dtype, rounded.dtype, vgg.dtype) == (torch.float32, torch.bfloat16, torch.float32)
    torch.testing.assert_close(fast(IMAGE), vgg(IMAGE))


def test_words_that_are_files() -> None:
    assert [word for word in ("auto", "vgg16", "vgg16-caffe", "a.pth", "vgg16=a.pth") if is_file(word)] == [
        "a.pth",
        "vgg16=a.pth",
    ]
    assert (file_of("vgg16=x/a.pth"), file_of("x=1/a.pth")) == ("x/a.pth", "x=1/a.pth")
    assert [plan and plan.name for plan in map(plan_of, ("auto", "vgg16-caffe", "vgg13=a.pth", "a.pth"))] == [
        "vgg19",
        "vgg16",
        "vgg13",
        None,
    ]


def test_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    present(monkeypatch)
    assert (local_networks(), local_networks("classes")) == (["auto", "vgg19-installed"], ["auto", "vgg19-gap"])
    present(monkeypatch, "vgg16", "vgg16-convolutions", "vgg19-convolutions", "alexnet-convolutions")
    assert local_networks() == ["auto", "vgg19-installed", "vgg16", "vgg19-convolutions"]


def test_a_file_that_does_not_state_its_network_needs_the_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.pth"
    file.touch()
    with pytest.raises(SettingsError, match=r"mine\.pth does not state its network .name it: vgg16="):
        load_network(str(file))
