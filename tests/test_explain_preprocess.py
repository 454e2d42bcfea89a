"""Other people's networks with their own normalization, given beside the network instead of inside of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.test_explain_modules import QUICK, chain, normalize, pictures
from vggapps.errors import SettingsError
from vggapps.explanation import METHODS, explain_batch
from vggapps.vgg._hooks import preprocessed
from vggapps.vgg._network import VGG
from vggapps.vgg._wrapped import features


class Normalized(nn.Module):
    """What people write by hand."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(normalize(x))


@pytest.mark.parametrize("method", [name for name in METHODS if name != "lrp"])
def test_a_preprocess_is_what_a_wrapper_written_by_hand_is(method: str) -> None:
    net, image, options = chain(), pictures(), QUICK.get(method, {})
    found = explain_batch(net, image, None, method, preprocess=normalize, **options)
    by_hand = explain_batch(Normalized(net), image, None, method, **options)
    torch.testing.assert_close(found.map, by_hand.map)
    torch.testing.assert_close(found.confidence, net(normalize(image)).softmax(1).amax(1).detach())
    assert found.layer == (None if by_hand.layer is None else by_hand.layer.removeprefix("net."))


def test_lrp_hands_relevance_back_to_what_preprocess_gives() -> None:
    net, image = chain(), pictures()
    torch.testing.assert_close(
        explain_batch(net, image, 1, "lrp", preprocess=normalize).map,
        explain_batch(net, normalize(image), 1, "lrp").map,
    )


def test_gradients_and_features_pass_a_preprocess_and_weights_are_shared() -> None:
    net, image = chain(), pictures().requires_grad_()
    twin = preprocessed(net, normalize)
    assert type(twin) is type(net)
    assert twin[0].weight is net[0].weight
    torch.testing.assert_close(features(twin, image, ["4"])["4"], features(net, normalize(image), ["4"])["4"])
    (slopes,) = torch.autograd.grad(twin(image).sum(), image)
    (expected,) = torch.autograd.grad(net(normalize(image)).sum(), image)
    torch.testing.assert_close(slopes, expected)
    torch.testing.assert_close(net(image), chain()(image))  # the one that was given does as before


@pytest.mark.parametrize(
    ("preprocess", "told"),
    [
        (lambda image: image[..., 2:-2], "preprocess crops"),
        (lambda image: image[..., 2:, :], "preprocess crops"),
        (lambda image: image.numpy(), "preprocess returns a ndarray, not a tensor"),
    ],
)
def test_a_preprocess_that_crops_or_gives_no_tensor_is_refused(preprocess: Any, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        explain_batch(chain(), pictures(), 1, preprocess=preprocess)


def test_our_networks_normalize_by_themselves() -> None:
    vgg = VGG("vgg11", head="none").freeze()
    with pytest.raises(SettingsError, match="normalizes pictures itself"):
        explain_batch(vgg, pictures(), "relu1_1:0", preprocess=normalize)
