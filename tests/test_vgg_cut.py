"""Networks looked into, cut in two and changed: ours and anybody's modules alike."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.test_vgg_hooks import NARROW, picture
from vggapps.errors import SettingsError
from vggapps.vgg._cut import Cut
from vggapps.vgg._hooks import OUTPUT, replace_modules
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._wrapped import features


def sequential() -> nn.Module:
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3), nn.Flatten(), nn.Linear(5 * 16, 6)]
    return nn.Sequential(*layers).eval()


def test_features_of_a_module_are_its_outputs_and_what_follows_does_not_run() -> None:
    module, image = sequential(), torch.rand(2, 3, 8, 8)
    assert torch.equal(features(module, image, [OUTPUT])[OUTPUT], module(image))
    module[4].register_forward_hook(lambda *_: pytest.fail("the last layer ran"))
    found = features(module, image, ["2", "0"])
    assert torch.equal(found["0"], module[0](image))
    assert torch.equal(found["2"], module[2](module[1](module[0](image))))


def test_what_fails_inside_a_module_is_not_swallowed() -> None:
    with pytest.raises(RuntimeError, match="channels"):
        features(sequential(), torch.rand(1, 4, 8, 8), ["2"])


@pytest.mark.parametrize("layer", ["relu1_2", "conv3_1", "relu5_4", "pool5"])
def test_the_two_parts_of_a_cut_network_make_the_whole(layer: str) -> None:
    vgg = initialize(VGG(NARROW, head="gap", classes=7)).freeze()
    cut = Cut(vgg, layer, (OUTPUT, "pool5", layer))
    after = cut.after(cut.before(picture()))
    whole = vgg.features(picture(), ["fc8", "pool5", layer])
    for name, other in ((OUTPUT, "fc8"), ("pool5", "pool5"), (layer, layer)):
        torch.testing.assert_close(after[name], whole[other])


def test_a_cut_modules_numbers_can_be_differentiated_by_and_replaced() -> None:
    module = sequential()
    cut = Cut(module, "1", (OUTPUT, "2"))
    activations = cut.before(torch.rand(2, 3, 8, 8)).detach().requires_grad_()
    slope = torch.autograd.grad(cut.after(activations)[OUTPUT][:, 0].sum(), activations)[0]
    rest = nn.Sequential(*list(module)[2:])
    torch.testing.assert_close(slope, torch.autograd.grad(rest(activations)[:, 0].sum(), activations)[0])
    silent = cut.after(torch.zeros(3, 4, 6, 6), picture=0)
    torch.testing.assert_close(silent[OUTPUT], rest(torch.zeros(3, 4, 6, 6)))
    assert not any(m._forward_hooks for m in module.modules())


def test_ways_around_a_cut_see_the_picture_that_the_numbers_belong_to() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.inner(x)

    module = Residual()
    image, cut = torch.rand(3, 3, 2, 2), Cut(module, "inner")
    activations = cut.before(image)
    assert torch.equal(cut.after(activations)[OUTPUT], module(image))
    assert torch.equal(cut.after(torch.zeros(5, 3, 2, 2), picture=1)[OUTPUT], image[1:2].expand(5, -1, -1, -1))


def test_an_end_before_the_cut_is_told() -> None:
    with pytest.raises(SettingsError, match="conv1_1 comes before conv2_1"):
        Cut(VGG(NARROW, head="none"), "conv2_1", ("conv1_1",))


def test_replaced_modules_share_weights_and_leave_the_original_alone() -> None:
    module = nn.Sequential(sequential(), nn.ReLU())
    twin = replace_modules(module, nn.ReLU, lambda _: nn.ELU())
    assert [type(m) for m in twin.modules()].count(nn.ELU) == 2
    assert [type(m) for m in module.modules()].count(nn.ReLU) == 2
    assert twin[0][0].weight is module[0][0].weight
    with pytest.raises(SettingsError, match="no ReLU modules"):
        replace_modules(nn.Sequential(nn.Conv2d(3, 4, 3)), nn.ReLU, lambda _: nn.ELU())
