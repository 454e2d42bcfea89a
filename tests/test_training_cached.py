"""The last layers alone, and maps that are computed once: they train as the whole network does."""

from __future__ import annotations

import shutil
import tempfile
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.noise import PLAIN, Noise
from vggapps.errors import PictureError, SettingsError
from vggapps.training import _cached
from vggapps.training._batches import PictureBatches
from vggapps.training._cached import CachedBatches, bytes_for, tail_of
from vggapps.training._network import freeze_to
from vggapps.training._pictures import Pictures
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Head


def batches(count: int = 11, broken: tuple[int, ...] = (), size: int = 4, **more: Any) -> PictureBatches:
    names = tuple("a picture" if n in (4, 5) else f"picture {n}" for n in range(count))
    return PictureBatches(
        Pictures(names, tuple(n % 3 for n in range(count)), Noise(broken)), PLAIN, size, classes=3, **more
    )


def network(plan: str = "4-6_bn", **options: Any) -> VGG:
    made = VGG(plan, **{"head": "gap", "classes": 3} | options)
    return initialize(made, seed=1).train()


def map_of(net: VGG, layer: str, images: Tensor) -> Tensor:
    with torch.no_grad():
        return deepcopy(net).eval().features(images, [layer])[layer]


def cached(made: PictureBatches, net: VGG, layer: str = "relu1_1", **more: Any) -> CachedBatches:
    kept = CachedBatches(made, net, layer, **{"dtype": "float32"} | more)
    assert list(kept.fill())[-1] == kept.pictures
    return kept


def rounded_views(net: VGG, layer: str, images: Tensor) -> tuple[Tensor, Tensor]:
    """The maps of pictures and of their mirror images, rounded to bfloat16."""
    both = map_of(net, layer, images), map_of(net, layer, images.flip(3))
    return both[0].bfloat16().float(), both[1].bfloat16().float()


@pytest.mark.parametrize(
    ("plan", "head", "layer"),
    [
        ("4-6_bn", "gap", "conv1_1"), ("4-6_bn", "gap", "bn2_1"), ("4-6_bn", "gap", "pool2"), ("4-6_bn", "gap", "gap"),
        ("4x2-6x2", "fc", "relu1_2"), ("4x2-6x2", "fc", "pool2"), ("4x2-6x2", "fc", "drop6"),
        ("4x2-6x2", "none", "pool1"),
    ],
)  # fmt: skip
def test_the_tail_of_a_map_is_the_whole_network(plan: str, head: Head, layer: str) -> None:
    net = network(plan, head=head).eval()
    images = torch.rand(2, 3, 16, 16)
    tail = tail_of(net, layer)
    assert torch.equal(tail(net.features(images, [layer])[layer]), net(images))
    own, names = dict(net.named_parameters()), [name for name, _ in tail.named_parameters()]
    assert all(parameter is own[name] for name, parameter in tail.named_parameters())
    freeze_to(net, layer)
    assert names == [name for name, parameter in own.items() if parameter.requires_grad]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("plan", "layer"), [("4-6x2_bn", "pool1"), ("4x2-6x2", "conv1_2"), ("4-6x2_bn", "conv2_1")])
def test_the_tail_has_the_gradients_and_statistics_of_the_whole_network(
    plan: str, layer: str, dtype: torch.dtype
) -> None:
    images, targets = torch.rand(5, 3, 16, 16, dtype=dtype), torch.tensor([0, 1, 2, 0, 1])
    whole, net = network(plan).to(dtype), network(plan).to(dtype)
    for one in (whole, net):
        freeze_to(one, layer)
        one.bn1_1.eval() if "bn" in plan else None
    F.cross_entropy(whole(images), targets).backward()
    tail = tail_of(net, layer)
    F.cross_entropy(tail(map_of(net, layer, images)), targets).backward()
    trained = [name for name, parameter in whole.named_parameters() if parameter.requires_grad]
    assert trained
    for name in trained:
        torch.testing.assert_close(net.get_parameter(name).grad, whole.get_parameter(name).grad)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], value)


@pytest.mark.parametrize("layer", ["relu1_1", "pool1", "pool2"])
def test_cached_batches_are_those_of_the_pictures_or_their_mirror_images(layer: str) -> None:
    net, state = network(), torch.get_rng_state()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    made = batches(29, broken=(0, 5, 7, 28))
    kept = cached(made, net, layer)
    assert len(kept) == len(made) == 8
    assert {line for batch in kept for line in batch.unreadable} == {
        "picture 0: it is damaged", "a picture: picture 5: it is damaged", "picture 7: it is damaged",
        "picture 28: it is damaged",
    }  # fmt: skip
    chosen = []
    for epoch in range(3):
        for found, wanted in zip(kept.epoch(epoch), made.epoch(epoch), strict=True):
            assert (found.files, found.unreadable) == (wanted.files, wanted.unreadable)
            assert torch.equal(found.targets, wanted.targets)
            assert found.images.dtype == torch.float32
            plain, mirrored = rounded_views(net, layer, wanted.images)
            for one, a, b in zip(found.images, plain, mirrored, strict=True):
                chosen.append(torch.equal(one, b))
                assert chosen[-1] or torch.equal(one, a)
    assert 20 < sum(chosen) < 55  # of 75
    assert torch.equal(torch.get_rng_state(), state)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_without_mirror_images_each_picture_has_its_map_in_order() -> None:
    net = network()
    made = batches(10, shuffle=False)
    for found, wanted in zip(cached(made, net, mirror=False), made, strict=True):
        assert torch.equal(found.images, rounded_views(net, "relu1_1", wanted.images)[0])
        assert found.files == wanted.files


def test_an_epoch_begins_at_any_batch() -> None:
    kept = cached(batches(21, mix=(0.4, 0.0)), network())
    whole = list(kept.epoch(3))
    for start in (0, 2, 5):
        rest = list(kept.epoch(3, start))
        assert len(rest) == 6 - start
        assert all(torch.equal(a.images, b.images) for a, b in zip(rest, whole[start:], strict=True))


def test_ranks_and_balance_are_those_of_the_pictures() -> None:
    net = network()
    for options in ({"balanced": True}, {"rank": 1, "world": 2}, {"rank": 0, "world": 2, "shuffle": False}):
        made = batches(22, **options)
        for found, wanted in zip(cached(made, net), made, strict=True):
            assert found.files == wanted.files
            assert torch.equal(found.targets, wanted.targets)


@pytest.mark.parametrize("mix", [(0.4, 0.0), (0.0, 1.0)])
def test_maps_are_mixed_as_pictures_are(mix: tuple[float, float]) -> None:
    net = network()
    mixed, plain = cached(batches(12, mix=mix), net), cached(batches(12), net)
    for found, one, pictures in zip(mixed, plain, batches(12, mix=mix), strict=True):
        other, own = one.images.roll(1, 0), F.one_hot(one.targets, 3)
        share = (found.images - other).flatten() @ (one.images - other).flatten() / (one.images - other).square().sum()
        if not mix[1]:
            assert torch.equal(found.targets, pictures.targets)
            torch.testing.assert_close(found.images, torch.lerp(other, one.images, share))
        else:
            is_own = found.images == one.images
            assert (is_own | (found.images == other)).all()
            share = (is_own & (one.images != other)).sum() / (one.images != other).sum()
        torch.testing.assert_close(found.targets, share * own + (1 - share) * own.roll(1, 0), atol=0.05, rtol=0)


def test_large_maps_are_in_a_file_that_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, made = network(), batches(12, broken=(3,))
    wanted = [part.images for part in cached(made, net)]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    needed = bytes_for(net, "relu1_1", 16, 24)
    monkeypatch.setattr(_cached, "available_memory", lambda: (3 * needed - 1, "a test"))
    opened: list[Any] = []
    memmap = np.memmap
    monkeypatch.setattr(np, "memmap", lambda *a, **k: opened.append(a) or memmap(*a, **k))
    kept = cached(made, net)
    assert len(opened) == 1
    assert list(tmp_path.iterdir()) == []
    assert all(torch.equal(part.images, one) for part, one in zip(kept, wanted, strict=True))
    monkeypatch.setattr(_cached, "available_memory", lambda: (3 * needed, "a test"))
    cached(made, net)
    assert len(opened) == 1
    cached(batches(12, broken=(3,), world=2), net)  # as much for the other process
    assert len(opened) == 2


def test_a_disk_that_is_too_small_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(_cached, "available_memory", lambda: (0, "a test"))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(PictureError, match=r"the maps of relu1_1 need 0.0 GB, and .* has 0.0 GB free .*cache=False"):
        cached(batches(), net)


def test_the_size_of_maps_is_told_before() -> None:
    assert bytes_for(VGG("vgg16", head="none"), "pool4", 224, 10) == 10 * 512 * 14 * 14 * 2
    net, made = network(), batches(12)
    kept = cached(made, net, "pool1")
    assert bytes_for(net, "pool1", 16, 24) == kept._batches.pictures.open.maps.nbytes  # type: ignore[attr-defined]


def test_layers_without_maps_are_not_cached() -> None:
    net = network()
    for layer in ("gap", "fc8"):
        with pytest.raises(SettingsError, match=f"{layer} is a layer of the head"):
            cached(batches(), net, layer)
        with pytest.raises(SettingsError, match=f"{layer} is a layer of the head"):
            bytes_for(net, layer, 16, 1)
    for act in (lambda: tail_of(net, "pool3"), lambda: cached(batches(), net, "pool3")):
        with pytest.raises(SettingsError, match="no layer 'pool3'"):
            act()
    with pytest.raises(PictureError, match="none of the 2 pictures can be read"):
        cached(batches(2, broken=(0, 1)), net)
