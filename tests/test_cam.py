"""Grad-CAM against its formula written with hooks, against class activation maps, and where it must not break."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.explanation._cam import grad_cam, heat, last_convolution
from vggapps.figures._overlay import overlay
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan, Pooled

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8, 8)))
BATCH_NORM = Plan("narrow_bn", "N", NARROW.blocks, batch_norm=True)
D = torch.float64


def network(head: Any = "fc", plan: Plan = NARROW, **options: Any) -> VGG:
    return initialize(VGG(plan, head=head, classes=5, **options), "glorot", seed=3).double().freeze()


def pictures(n: int = 1, height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=D)


def slowly(vgg: VGG, image: Tensor, index: int, layer: str) -> Tensor:
    """Equations 1 and 2 by loops, the slopes by autograd through all of the network."""
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        kept.append(output)
        output.retain_grad()
        return output.clone()

    handle = vgg.get_submodule(layer).register_forward_hook(keep)
    scores = vgg(image.clone().requires_grad_())
    handle.remove()
    while scores.ndim > 2:
        scores = scores.mean(-1)
    scores[:, index].sum().backward()
    a, g = kept[0].detach(), kept[0].grad
    assert g is not None
    maps = torch.zeros(len(a), 1, *a.shape[2:], dtype=a.dtype)
    for n in range(len(a)):
        for k in range(a.shape[1]):
            alpha = sum(g[n, k].flatten().tolist()) / g[n, k].numel()
            maps[n, 0] += alpha * a[n, k]
    return maps.clamp(min=0)


@pytest.mark.parametrize("layer", ["conv5_2", "relu5_2", "pool5", "relu3_1"])
@pytest.mark.parametrize("head", ["fc", "gap", "conv", "none"])
def test_the_map_is_that_of_autograd_through_the_whole_network(head: str, layer: str) -> None:
    # Fully connected layers, slid over the map, need 7×7 positions.
    vgg, image = network(head), pictures(2, 224, 256) if head == "conv" else pictures(2)
    maps = [grad_cam(vgg, image, index, layer) for index in (1, 3)]
    assert max(cam.max() for cam in maps) > 0
    for index, cam in zip((1, 3), maps, strict=True):
        torch.testing.assert_close(cam, slowly(vgg, image, index, layer))


@pytest.mark.parametrize("plan", [NARROW, BATCH_NORM])
def test_the_weights_may_learn_and_relus_may_work_in_place(plan: Plan) -> None:
    vgg, image = network("gap", plan), pictures()
    expected = {layer: grad_cam(vgg, image, 1, layer) for layer in ("conv5_1", "relu5_1", "relu5_2")}
    vgg.requires_grad_(True)
    for layer, cam in expected.items():
        torch.testing.assert_close(grad_cam(vgg, image, 1, layer), cam)
        assert not grad_cam(vgg, image, 1, layer).requires_grad
    for name, module in vgg.named_children():
        if isinstance(module, nn.ReLU):
            setattr(vgg, name, nn.ReLU(inplace=True))
    for layer, cam in expected.items():
        torch.testing.assert_close(grad_cam(vgg, image, 1, layer), cam)
    assert all(parameter.grad is None for parameter in vgg.parameters())


def test_with_a_linear_head_on_the_mean_it_is_the_class_activation_map() -> None:
    """Section 3.1: equal up to the number of positions; a max pooling passes the slope to one position of four."""
    vgg, image = network("gap"), pictures()
    for layer in ("relu5_2", "pool5"):
        a = vgg.features(image, [layer])[layer][0]
        cam = (vgg.fc8.weight[3][:, None, None] * a).sum(0).clamp(min=0)  # type: ignore[union-attr, index]
        torch.testing.assert_close(grad_cam(vgg, image, 3, layer)[0, 0], cam / cam.numel())


def test_the_class_score_is_the_mean_over_a_dense_networks_positions() -> None:
    vgg, image = network("fc"), pictures(1, 224, 288)
    dense = vgg.dense()
    assert dense(image).shape[2:] == (1, 3)
    cam = grad_cam(dense, image, 4)
    assert cam.max() > 0
    torch.testing.assert_close(cam, slowly(dense, image, 4, "relu5_2"))


def test_each_picture_has_its_own_class_and_one_picture_can_have_several() -> None:
    vgg, image = network("gap"), pictures(3)
    alone = [grad_cam(vgg, image[i : i + 1], index) for i, index in enumerate((4, 0, 2))]
    torch.testing.assert_close(grad_cam(vgg, image, [4, 0, 2]), torch.cat(alone))
    several = [grad_cam(vgg, image[:1], index) for index in (1, 3)]
    torch.testing.assert_close(grad_cam(vgg, image[:1], [1, 3]), torch.cat(several))


def test_by_default_it_is_the_last_relu_before_the_last_pooling() -> None:
    assert last_convolution(VGG("vgg19", head="none")) == "relu5_4"
    assert grad_cam(network("gap"), pictures(1, 224, 224), 0).shape == (1, 1, 14, 14)
    early = VGG(NARROW, head="gap", classes=5, pooled=Pooled(layer="relu4_1")).eval()
    assert last_convolution(early) == "relu4_1"


@pytest.mark.parametrize("size", [(32, 32), (37, 101), (65, 33)])
def test_any_size_of_picture_will_do(size: tuple[int, int]) -> None:
    cam = grad_cam(network("gap"), pictures(1, *size), 0)
    assert cam.shape == (1, 1, size[0] // 16, size[1] // 16)


@pytest.mark.parametrize("head", ["fc", "gap"])
def test_bfloat16_gives_float32_maps_that_differ_by_rounding(head: str) -> None:
    vgg, image = network(head).float(), pictures().float()
    exact = grad_cam(vgg, image, 2)
    rounded = grad_cam(vgg.bfloat16(), image, 2)
    assert exact.dtype == rounded.dtype == torch.float32
    assert (rounded - exact).norm() < 0.1 * exact.norm()


def test_it_works_inside_no_grad() -> None:
    vgg, image = network("gap"), pictures()
    with torch.no_grad():
        inside = grad_cam(vgg, image, 2)
    torch.testing.assert_close(inside, grad_cam(vgg, image, 2))


def test_where_nothing_speaks_for_a_class_the_map_is_zero() -> None:
    vgg = network("gap")
    vgg.fc8.weight.data[1] = -1  # type: ignore[union-attr]
    cam = grad_cam(vgg, pictures(), 1)
    assert (cam == 0).all()
    assert (heat(cam, (64, 96)) == 0).all()


@pytest.mark.parametrize("summary", ["avg", "max", "avg+max"])
@pytest.mark.parametrize("dense", [False, True])
def test_channels_that_are_silent_do_no_harm_under_a_root(summary: Any, dense: bool) -> None:
    """A root's slope at zero is infinite."""
    vgg = network("gap", pooled=Pooled(summary=summary, root=True))
    silent = 6
    vgg.conv5_2.weight.data[silent], vgg.conv5_2.bias.data[silent] = 0, -1  # type: ignore[union-attr]
    image = pictures(1, 224, 256)
    used = vgg.dense() if dense else vgg
    cam = grad_cam(used, image, 0)
    # The silent channel made a little louder than silence is a finite problem, with the same map in the limit.
    vgg.conv5_2.bias.data[silent] = 1e-12  # type: ignore[union-attr]
    torch.testing.assert_close(cam, grad_cam(used, image, 0), rtol=1e-4, atol=1e-6)
    assert cam.max() > 0


def test_wrong_words_are_told() -> None:
    vgg, image = network("fc"), pictures(2)
    for index in (5, -1, [0, 5]):
        with pytest.raises(SettingsError, match="there is no class"):
            grad_cam(vgg, image, index)
    with pytest.raises(SettingsError, match="3 classes for 2 pictures"):
        grad_cam(vgg, image, [0, 1, 2])
    with pytest.raises(SettingsError, match="fc6 has no positions"):
        grad_cam(vgg, image, 0, "fc6")
    with pytest.raises(SettingsError, match="no layer 'relu5_3'"):
        grad_cam(vgg, image, 0, "relu5_3")
    with pytest.raises(SettingsError, match="training mode"):
        grad_cam(VGG(NARROW, head="gap"), image.float(), 0)


def test_heat_is_the_map_at_another_size_with_a_maximum_of_one() -> None:
    cam = torch.rand(2, 1, 4, 6, dtype=D)
    large = heat(cam, (64, 96))
    expected = F.interpolate(cam, (64, 96), mode="bilinear")
    for ours, theirs in zip(large, expected, strict=True):
        torch.testing.assert_close(ours, theirs / theirs.max())


def test_what_is_cold_shows_the_picture_and_what_is_hot_plasmas_colours() -> None:
    image = torch.rand(1, 3, 2, 3)
    levels = torch.tensor([[[[0, 0.5, 1], [0, 0, 0]]]])
    shown = overlay(image, levels, strength=1)
    torch.testing.assert_close(shown[..., 1, :], image[..., 1, :])
    # The ends of plasma, by its authors' table (S. van der Walt, N. Smith, matplotlib 1.5, CC0).
    torch.testing.assert_close(shown[0, :, 0, 2], torch.tensor([0.940015, 0.975158, 0.131326]), atol=1e-4, rtol=0)
    half = overlay(image, levels, strength=0.5)
    torch.testing.assert_close(half, (image + shown) / 2)


def test_the_hotter_the_brighter_evenly() -> None:
    """CIE lightness rises all the way, and no step is twice as large as the mean one."""
    from skimage.color import rgb2lab

    levels = torch.linspace(0, 1, 33)[None, None, None]
    black = torch.zeros(1, 3, 1, 33)
    colours = overlay(black, levels, strength=1) / levels.clamp(min=1e-6)
    lightness = rgb2lab(colours[0, :, 0, 1:].T.numpy())[:, 0]
    steps = lightness[1:] - lightness[:-1]
    assert steps.min() > 0
    assert steps.max() < 2 * steps.mean()
