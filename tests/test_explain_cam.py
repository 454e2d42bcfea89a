"""Class activation maps against pytorch-grad-cam, and on networks whose map is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import pytorch_grad_cam as peer
import torch
import torch.nn.functional as F
import torchvision.models
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.explanation._cam import (
    ablation_cam,
    default_layer,
    grad_cam,
    grad_cam_plus_plus,
    hires_cam,
    layer_cam,
    score_cam,
)
from vggapps.explanation._methods import explain_batch
from vggapps.explanation._question import ask
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._normalize import PLAIN
from vggapps.vgg._plan import Plan
from vggapps.weights._load import load_vgg

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8, 8)))
D = torch.float64
PEERS: dict[Callable[..., Tensor], type[peer.GradCAM]] = {
    grad_cam: peer.GradCAM,
    grad_cam_plus_plus: peer.GradCAMPlusPlus,
    hires_cam: peer.HiResCAM,
    layer_cam: peer.LayerCAM,
    score_cam: peer.ScoreCAM,
    ablation_cam: peer.AblationCAM,
}
methods = pytest.mark.parametrize("method", PEERS, ids=lambda method: method.__name__)


def network(head: Any = "gap", **options: Any) -> VGG:
    """Its scores are large, so that the small numbers that others add do not count."""
    vgg = initialize(VGG(NARROW, head=head, classes=5, convention=PLAIN, **options), "glorot", seed=3).freeze()
    if head != "none":
        vgg.fc8.weight.data *= 100  # type: ignore[union-attr, operator]
        vgg.fc8.bias.data += 50  # type: ignore[union-attr, operator]
    return vgg


def module(inplace: bool = False) -> nn.Sequential:
    features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(inplace), nn.Conv2d(6, 9, 3, stride=2), nn.ReLU(inplace))
    net = nn.Sequential(features, nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(36, 5))
    generator = torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    net[4].weight.data *= 100
    net[4].bias.data += 50
    return net.eval()


def pictures(n: int = 2, height: int = 48, width: int = 64) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))


def by_peer(kind: type[peer.GradCAM], net: nn.Module, layer: str, image: Tensor, indices: list[int]) -> Tensor:
    """The other implementation's map before it is scaled."""
    targets, target_layer = [ClassifierOutputTarget(index) for index in indices], net.get_submodule(layer)
    with kind(model=net, target_layers=[target_layer]) as cam:
        cam(input_tensor=image.clone().requires_grad_(), targets=targets)  # for slopes in frozen networks
        held = cam.activations_and_grads
        slopes = held.gradients[0].numpy() if held.gradients else None
        activations = held.activations[0].detach().numpy().copy()
        found = cam.get_cam_image(image, target_layer, targets, activations, slopes, False)
    if kind is peer.AblationCAM:  # whose weights are divided by the score
        found = found * net(image)[range(len(image)), indices].detach().numpy()[:, None, None]
    return torch.from_numpy(np.maximum(found, 0))[:, None]


@methods
@pytest.mark.parametrize(("net", "layer"), [(module(), "0.3"), (network(), "relu5_2")], ids=["module", "vgg"])
def test_they_are_pytorch_grad_cams(
    method: Callable[..., Tensor], net: nn.Module, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Score-CAM's authors enlarge with aligned centres, as we; this implementation with aligned corners.
    enlarge = lambda size: partial(F.interpolate, size=size, mode="bilinear")  # noqa: E731
    monkeypatch.setattr(torch.nn, "UpsamplingBilinear2d", enlarge)
    image = pictures()
    theirs = by_peer(PEERS[method], net, layer, image, [4, 1])
    assert (theirs.amax((1, 2, 3)) > 0).all()
    torch.testing.assert_close(method(ask(net, [4, 1]), image, layer=layer), theirs.float(), rtol=1e-4, atol=1e-5)


@methods
def test_relus_may_work_in_place(method: Callable[..., Tensor]) -> None:
    for layer in ("0.2", "0.3"):
        expected = method(ask(module(), 2), pictures(), layer=layer)
        torch.testing.assert_close(method(ask(module(inplace=True), 2), pictures(), layer=layer), expected)


@methods
def test_a_batch_is_what_its_pictures_are_alone(method: Callable[..., Tensor]) -> None:
    vgg, image = network(), pictures(3)
    alone = [method(ask(vgg, index), image[i : i + 1]) for i, index in enumerate((4, 0, 2))]
    assert torch.cat(alone).abs().max() > 0
    torch.testing.assert_close(method(ask(vgg, [4, 0, 2]), image), torch.cat(alone))


@methods
def test_nothing_is_left_changed(method: Callable[..., Tensor]) -> None:
    net, image, state = module(), pictures(), torch.get_rng_state()
    before = [*net.modules()]
    method(ask(net, 1), image)
    assert [*net.modules()] == before
    assert not any(m._forward_hooks or m._backward_hooks or m._forward_pre_hooks for m in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert torch.equal(torch.get_rng_state(), state)


@methods
def test_where_nothing_speaks_for_a_class_the_map_is_zero(method: Callable[..., Tensor]) -> None:
    silent = network()
    silent.conv5_2.bias.data[:] = -1000  # type: ignore[union-attr]
    assert (method(ask(silent, 1), pictures()) == 0).all()


@pytest.mark.parametrize("method", [grad_cam, hires_cam, ablation_cam], ids=lambda method: method.__name__)
def test_with_a_linear_head_on_averages_they_are_the_class_activation_map(method: Callable[..., Tensor]) -> None:
    """Relu5_2's only way to the score is a pooling; without it each position has the same weight."""
    net = nn.Sequential(nn.Conv2d(3, 6, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
    net, image = net.double().eval().requires_grad_(False), pictures(1).double()
    a = net[:2](image)
    weighted = net[4].weight[2].view(-1, 1, 1) * a[0]
    cam = weighted.sum(0).relu() / a[0, 0].numel()
    if method is ablation_cam:  # all of a channel goes at once
        drops = net[4].weight[2] * a.mean((2, 3))[0]
        cam = (drops.view(-1, 1, 1) * a[0]).sum(0).relu()
    torch.testing.assert_close(method(ask(net, 2), image)[0, 0], cam)


@methods
def test_the_part_of_a_picture_that_decides_is_found(method: Callable[..., Tensor]) -> None:
    """Class 1 is redness; the left half of the picture is green, the right one red."""
    net = nn.Sequential(nn.Conv2d(3, 3, 4, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(3)[:, :, None, None].expand(3, 3, 4, 4) / 16)
        net[0].bias.zero_()
        net[4].weight.copy_(torch.tensor([[0.0, 9, 0], [9, 0, 0]]))
    image = torch.zeros(1, 3, 32, 48)
    image[:, 1, :, :24], image[:, 0, :, 24:] = 1, 1
    for index, (speaks, other) in enumerate(((slice(0, 6), slice(6, 12)), (slice(6, 12), slice(0, 6)))):
        cam = method(ask(net.eval(), index), image)[0, 0]
        assert cam.shape == (8, 12)
        assert cam[:, speaks].min() > 3 * cam[:, other].max()


def test_the_default_layer_is_the_last_relu_at_or_before_what_is_asked_about() -> None:
    vgg = network("none")
    asked = {"relu4_1:3": "relu4_1", "conv5_2:0": "relu5_1", "pool3:1": "relu3_1", "relu2_1:1 + relu5_2:1": "relu2_1"}
    assert {text: default_layer(ask(vgg, text)) for text in asked} == asked
    assert default_layer(ask(network(), 3)) == "relu5_2"
    with pytest.raises(SettingsError, match="no ReLU comes before conv1_1"):
        default_layer(ask(vgg, "conv1_1:0"))


@pytest.mark.parametrize(
    ("build", "layer"),
    [
        (torchvision.models.vgg11, "features.19"),
        (torchvision.models.resnet18, "layer4.1"),
        (torchvision.models.resnet50, "layer4.2"),
        (torchvision.models.alexnet, "features.11"),
        (torchvision.models.mobilenet_v2, ""),
    ],
)
def test_the_default_layer_of_others_networks(build: Callable[..., nn.Module], layer: str) -> None:
    question = ask(build(weights=None).eval(), 3)
    if layer:
        assert default_layer(question) == layer
    else:
        with pytest.raises(SettingsError, match="not clear which layer"):
            default_layer(question)


def test_a_residual_network_works_as_a_chain_does() -> None:
    torch.manual_seed(2)
    net, image = torchvision.models.resnet18(weights=None).eval(), pictures(1, 64, 96)
    theirs = by_peer(peer.GradCAM, net, "layer4.1", image, [7])
    found = grad_cam(ask(net, 7), image)
    torch.testing.assert_close(found, theirs.float(), rtol=1e-4, atol=1e-6)


def test_layers_that_cannot_tell_are_refused() -> None:
    vgg = network("none")
    with pytest.raises(SettingsError, match="relu3_1 comes before relu5_2"):
        layer_cam(ask(vgg, "relu3_1:2"), pictures(), "relu5_2")
    with pytest.raises(SettingsError, match="does not depend on 3"):
        layer_cam(ask(nn.Sequential(*module()[:2], nn.Conv2d(9, 4, 1), nn.ReLU()).eval(), "0.1:2"), pictures(), "3")
    with pytest.raises(SettingsError, match="fc8 has no positions"):
        score_cam(ask(network(), 2), pictures(), "fc8")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", ["grad-cam", "layer-cam", "integrated-gradients", "lrp", "occlusion"])
def test_a_gpu_gives_the_same_map(method: str) -> None:
    network, image = load_vgg("vgg19", head="gap"), torch.rand(1, 3, 224, 256)
    torch.backends.cudnn.allow_tf32 = False
    on_cpu = explain_batch(network, image, 3, method).map
    on_gpu = explain_batch(network.to("cuda"), image.to("cuda"), 3, method).map.cpu()
    assert float((on_gpu - on_cpu).abs().max() / on_cpu.abs().max()) < 1e-4
