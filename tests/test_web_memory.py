"""The page keeps the weights of a network once, however many tabs, views and methods use it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from torch import nn

from tests.reference.narrow import NARROW
from vggapps.classification._settings import Views
from vggapps.explanation._question import load_explained
from vggapps.explanation._settings import ExplainSettings
from vggapps.style._settings import StylizeSettings
from vggapps.vgg._moving import share_weights
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan
from vggapps.web import visualize
from vggapps.web.classify import classifier_of
from vggapps.web.running import _loaded, classifying, loaded, network
from vggapps.weights import _backbone as loading


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A small network in place of each that is asked for: the same numbers, in memory of their own."""

    def load(plan: Plan, _: Any, *, head: Any, pooling: Any, padding: Any, **__: Any) -> VGG:
        vgg = VGG(NARROW, head=head or "fc", classes=5, pooling=pooling, padding=padding, weights_name=plan.name)
        return initialize(vgg, seed=1).freeze()

    monkeypatch.setattr(loading, "load_vgg", load)
    monkeypatch.setattr("vggapps.vgg._device.has_native_bfloat16", lambda _: False)
    _loaded.cache_clear()
    yield
    _loaded.cache_clear()


def storages(*networks: nn.Module) -> dict[str, set[int]]:
    """Where the tensors of each name lie."""
    found: dict[str, set[int]] = {}
    for one in networks:
        for name, parameter in one.named_parameters():
            found.setdefault(name, set()).add(parameter.untyped_storage().data_ptr())
    return found


def test_tabs_views_and_methods_keep_one_copy() -> None:
    image = torch.rand(1, 3, 64, 64)
    networks: list[nn.Module] = [
        network(StylizeSettings()),
        network(StylizeSettings(pooling="average")),
        loaded(visualize._networks, True, "auto", "max")[""],
        loaded(visualize._networks, False, "auto", "l2")[""],
        *(network for views in get_args(Views) for network in classifier_of("auto", views).networks),
        load_explained(ExplainSettings(), loaded(classifying, "auto", "float32")),
    ]
    found = storages(*networks)
    assert {"conv1_1.weight", "conv5_4.bias", "fc6.weight", "fc8.bias"} <= set(found)
    assert {name: len(places) for name, places in found.items() if len(places) > 1} == {}
    expected = initialize(VGG(NARROW, head="none", padding="replicate-first"), seed=1)(image)
    torch.testing.assert_close(networks[0](image), expected)


def test_what_differs_is_not_shared() -> None:
    one, same, other = (initialize(VGG(NARROW, head="none"), seed=seed).freeze() for seed in (1, 1, 2))
    share_weights(same, one)
    share_weights(other, one)
    places = storages(one, same, other)["conv3_1.weight"]
    assert len(places) == 2
    assert other.conv1_1.weight.data_ptr() not in storages(one)["conv1_1.weight"]
