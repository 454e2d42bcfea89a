"""Layer-wise relevance propagation against its formulas in loops, captum, known identities and conservation."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.explanation import _lrp as room
from vggapps.explanation._lrp import COMPOSITES, Composite, Weighted, lrp, relevance
from vggapps.explanation._question import ask
from vggapps.objectives._text import parse
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._normalize import PLAIN
from vggapps.vgg._plan import Plan, Pooled

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8, 8)))
BATCH_NORM = Plan("narrow_bn", "N", NARROW.blocks, batch_norm=True)
D = torch.float64


def network(head: Any = "gap", plan: Plan = NARROW, biases: float = 0.0, **options: Any) -> VGG:
    """Random weights; biases, and what batch normalisation has, of the given size."""
    options.setdefault("pooled", Pooled(hidden=16))
    vgg = initialize(VGG(plan, head=head, classes=5, **options), "glorot", seed=3).double()
    generator = torch.Generator().manual_seed(1)
    for name, tensor in vgg.state_dict().items():
        if tensor.ndim == 1 and biases:
            base = 1 if "var" in name or (name.startswith("bn") and name.endswith("weight")) else 0
            tensor.copy_(base + biases * torch.rand(tensor.shape, generator=generator))
    return vgg.freeze()


def pictures(n: int = 1, height: int = 64, width: int = 96) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=D)


def gradient_x_input(vgg: VGG, image: Tensor, index: int) -> Tensor:
    """In the numbers that the first convolution sees."""
    x = vgg.convention(image).requires_grad_()
    (slopes,) = torch.autograd.grad(vgg.variant(convention=PLAIN)(x)[:, index].sum(), x)
    return slopes * x.detach()


@pytest.mark.parametrize("name", [name for name in COMPOSITES if name != "vgg"])
@pytest.mark.parametrize("head", ["fc", "gap"])
def test_without_biases_the_pixels_have_all_of_the_score(head: str, name: str) -> None:
    """The composite for VGG loses what its large epsilon takes."""
    question, image = ask(network(head), 1), pictures(2)
    found, report = relevance(question, image, name)
    torch.testing.assert_close(found.sum((1, 2, 3)), question.score(image), rtol=1e-3, atol=0)
    for kept in report:
        torch.testing.assert_close(kept.share, torch.ones(2, dtype=D), rtol=1e-3, atol=0)


@pytest.mark.parametrize("plan", [NARROW, BATCH_NORM])
@pytest.mark.parametrize("biases", [0.0, 0.3])
def test_with_the_zero_rule_it_is_the_gradient_times_the_input(plan: Plan, biases: float) -> None:
    """A. Shrikumar et al., arXiv 1605.01713; so batch normalisation, folded, has changed nothing."""
    vgg, image = network("gap", plan, biases), pictures(2)
    expected = gradient_x_input(vgg, image, 2)
    found = lrp(ask(vgg, 2), image, "zero")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_what_the_pixels_have_not_was_lost_on_the_way_and_is_told() -> None:
    question, image = ask(network(biases=0.3), 1), pictures(2)
    for name in COMPOSITES:
        found, report = relevance(question, image, name)
        total = report[0].share + torch.stack([kept.lost for kept in report]).sum(0)
        torch.testing.assert_close(total, torch.ones(2, dtype=D))
        torch.testing.assert_close(report[0].share * question.score(image), found.sum((1, 2, 3)))
    assert [kept.layer for kept in report[:3]] == ["conv1_1", "relu1_1", "pool1"]
    assert all((kept.lost == 0).all() for kept in report if kept.layer.startswith("relu"))


class Functions(nn.Module):
    """As torchvision writes its VGG: parts, ReLUs in place, and a flattening that is no module."""

    def __init__(self, pooling: bool = True) -> None:
        super().__init__()
        pool = [nn.MaxPool2d(2, 2)] if pooling else []
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(True), *pool, nn.Conv2d(4, 6, 3))
        self.avgpool = nn.AdaptiveAvgPool2d((3, 3)) if pooling else nn.Identity()
        self.classifier = nn.Sequential(
            nn.ReLU(True), nn.Linear(54 if pooling else 96, 7), nn.ReLU(True), nn.Dropout(), nn.Linear(7, 5)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


@pytest.mark.parametrize("size", [1e-9, 0.1])
def test_the_epsilon_rule_is_captums(size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rule: Any = lambda layer, a, r: room.epsilon(layer, a, r, least=size)  # noqa: E731
    monkeypatch.setitem(COMPOSITES, "even", Composite(rule, rule, rule, rule))  # type: ignore[misc]
    net, x = Functions(pooling=False).eval(), torch.randn(2, 3, 6, 6)
    ours = lrp(ask(net, 3), x, "even")
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # which captum does not take
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from captum.attr import LRP
        from captum.attr._utils.lrp_rules import EpsilonRule

        net.avgpool, net.classifier[3] = nn.Dropout(), nn.Dropout()  # it has no rule for an identity
        net.eval()
        for module in net.modules():
            module.rule = EpsilonRule(size)  # type: ignore[assignment]
        theirs = LRP(net).attribute(x, target=3).detach()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def contributions(weight: Tensor, x: Tensor) -> dict[tuple[int, int, int], dict[tuple[int, int, int], float]]:
    """Of each input to each output of a 3×3 convolution with zero padding: {output: {input: x w}}."""
    outputs, inputs, height, width = *weight.shape[:2], *x.shape[1:]
    found: dict[Any, dict[Any, float]] = {}
    for j in range(outputs):
        for row in range(height):
            for column in range(width):
                found[j, row, column] = {
                    (i, row + dy, column + dx): float(x[i, row + dy, column + dx] * weight[j, i, dy + 1, dx + 1])
                    for i in range(inputs)
                    for dy in (-1, 0, 1)
                    for dx in (-1, 0, 1)
                    if 0 <= row + dy < height and 0 <= column + dx < width
                }
    return found


def by_hand(rule: str, weight: Tensor, bias: Tensor, x: Tensor, relevance: Tensor, low: float, high: float) -> Tensor:
    """Each rule as the overview writes it, one contribution at a time."""
    result = torch.zeros_like(x)
    plain = contributions(weight, x)
    lowest = contributions(weight.clamp(min=0), torch.full_like(x, low))
    highest = contributions(weight.clamp(max=0), torch.full_like(x, high))
    rms = sum((sum(c.values()) + float(bias[j[0]])) ** 2 for j, c in plain.items()) / len(plain)
    for j, parts in plain.items():
        b = float(bias[j[0]])
        if rule == "box":
            shares = {i: c - lowest[j][i] - highest[j][i] for i, c in parts.items()}
            total = sum(shares.values())
        elif rule == "flat":
            shares, total = dict.fromkeys(parts, 1.0), float(len(parts))
        elif rule == "gamma":
            shares = {i: c + 0.25 * max(c, 0) for i, c in parts.items()}
            total = sum(shares.values()) + b + 0.25 * max(b, 0)
        elif rule == "epsilon":
            total = sum(parts.values()) + b
            shares, total = parts, total + 0.25 * rms**0.5 * (1 if total >= 0 else -1)
        else:  # alpha 2, beta 1
            up = sum(max(c, 0) for c in parts.values()) + max(b, 0)
            down = sum(min(c, 0) for c in parts.values()) + min(b, 0)
            shares, total = {i: 2 * max(c, 0) / up - min(c, 0) / down for i, c in parts.items()}, 1.0
        for i, share in shares.items():
            result[i] += share / total * float(relevance[j])
    return result


@pytest.mark.parametrize("rule", ["box", "flat", "gamma", "epsilon", "alpha_beta"])
def test_each_rule_is_its_formula(rule: str) -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1).double().requires_grad_(False)
    signed = rule in ("box", "alpha_beta", "flat", "epsilon")
    x = torch.rand(1, 2, 4, 5, dtype=D) - (0.4 if signed else 0)
    given = torch.rand(1, 3, 4, 5, dtype=D)
    if rule == "gamma":  # behind a ReLU what is not positive has no relevance
        given = given * (conv(x) > 0)
    low, high = torch.tensor(-0.4, dtype=D).view(1, 1, 1, 1), torch.tensor(0.6, dtype=D).view(1, 1, 1, 1)
    layer = Weighted(conv._conv_forward, conv.weight, conv.bias, (low, high))
    options = {"epsilon": {"rms": 0.25}, "alpha_beta": {"beta": 1.0}}.get(rule, {})
    found = getattr(room, rule)(layer, x.clone().requires_grad_(), given, **options)
    assert conv.bias is not None
    expected = by_hand(rule, conv.weight, conv.bias, x[0], given[0], -0.4, 0.6)
    torch.testing.assert_close(found[0], expected, rtol=1e-6, atol=1e-9)


def test_a_max_pooling_gives_all_to_the_winner_or_shares_as_an_average_does() -> None:
    net = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 1, bias=False)).eval()
    net[2].weight.data.fill_(2)
    x = torch.tensor([[[[1.0, 3.0], [2.0, 2.0]]]])
    torch.testing.assert_close(lrp(ask(net, 0), x, "zero"), torch.tensor([[[[0.0, 6.0], [0.0, 0.0]]]]))
    torch.testing.assert_close(lrp(ask(net, 0), x, "vgg"), 6 * x / 8)


@pytest.mark.parametrize("summary", ["avg", "max", "avg+max"])
def test_a_summary_and_its_root_hand_all_on(summary: Any) -> None:
    vgg = network("gap", pooled=Pooled(summary=summary, root=True))
    for used, image in ((vgg, pictures(2)), (vgg.dense(), pictures(1, 224, 256))):
        question = ask(used, 1)
        found = lrp(question, image, "zero").sum((1, 2, 3))
        torch.testing.assert_close(found, question.score(image), rtol=1e-3, atol=0)


def test_a_radial_layer_keeps_what_its_functions_are_for_an_empty_picture() -> None:
    vgg, image = network("gap", pooled=Pooled(hidden=6, radial=True, root=True)), pictures(2)
    vgg.fc7.weight.data *= 0.1
    score, row = vgg(image)[:, 1], vgg.features(image, ["gap"])["gap"]
    silent = vgg.fc8(vgg.fc7(torch.zeros_like(row)))[:, 1]
    _, report = relevance(ask(vgg, 1), image, "zero")
    lost = {kept.layer: kept.lost for kept in report}
    torch.testing.assert_close(lost["fc7"], silent / score, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(report[0].share, 1 - silent / score, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", COMPOSITES)
def test_other_networks_of_the_same_layers_have_the_same_relevance(name: str) -> None:
    vgg = network("fc", Plan("small", "S", ((4,), (6,))), biases=0.2, convention=PLAIN)
    vgg.fc6 = nn.Linear(6 * 49, 4096).double()
    modules = [module for _, module in vgg.named_children()]
    other: Any = Functions()
    other.features = nn.Sequential(*[nn.ReLU(True) if isinstance(m, nn.ReLU) else m for m in modules[:6]])
    other.features[2], other.features[5] = nn.MaxPool2d(2), nn.MaxPool2d(2)
    other.avgpool = nn.AdaptiveAvgPool2d((7, 7))
    other.classifier = nn.Sequential(*[nn.ReLU(True) if isinstance(m, nn.ReLU) else m for m in modules[7:]])
    image = pictures(2, 28, 36)
    image[:, :, 0, 0], image[:, :, 0, 1] = 0, 1  # the range that is known of ours
    torch.testing.assert_close(lrp(ask(other.eval(), [1, 4]), image, name), lrp(ask(vgg, [1, 4]), image, name))


def test_a_layers_response_is_explained_as_a_class_is() -> None:
    vgg, image = network("none"), pictures(2)
    for text in ("relu5_1:2", "conv4_1:3", "pool3:1@center", "relu5_1:2 - 0.5*relu3_1:4"):
        question = ask(vgg, text)
        found = lrp(question, image, "zero").sum((1, 2, 3))
        torch.testing.assert_close(found, question.score(image), rtol=1e-3, atol=1e-9)
    _, report = relevance(ask(vgg, parse("relu2_1:0", vgg)), image)
    assert report[-1].layer == "relu2_1"


@pytest.mark.parametrize("name", COMPOSITES)
def test_each_picture_is_explained_for_itself_and_relus_may_work_in_place(name: str) -> None:
    vgg, image = network(biases=0.2), pictures(3, 65, 33)
    together = lrp(ask(vgg, [4, 0, 2]), image, name)
    before = image.clone()
    for child, module in vgg.named_children():
        if isinstance(module, nn.ReLU):
            setattr(vgg, child, nn.ReLU(inplace=True))
    alone = [lrp(ask(vgg, index), image[i : i + 1], name) for i, index in enumerate((4, 0, 2))]
    torch.testing.assert_close(together, torch.cat(alone))
    assert together.shape == image.shape
    assert torch.equal(image, before)


@pytest.mark.parametrize("name", COMPOSITES)
@pytest.mark.parametrize("radial", [False, True])
def test_there_is_never_nan(radial: bool, name: str) -> None:
    vgg = network("gap", biases=0.2, pooled=Pooled(hidden=6, radial=radial))
    black, white = torch.zeros(1, 3, 32, 32, dtype=D), torch.ones(1, 3, 32, 32, dtype=D)
    for image in (black, white, vgg.convention.inverse(black)):
        assert lrp(ask(vgg, 1), image, name).isfinite().all()
    for parameter in vgg.parameters():
        parameter.data.zero_()
    assert (lrp(ask(vgg, 1), white, name) == 0).all()


def test_a_network_in_bfloat16_is_explained_in_float32() -> None:
    vgg, image = network().float(), pictures().float()
    rounded = vgg.bfloat16()
    found = lrp(ask(rounded, 1), image, "zero")
    assert found.dtype == torch.float32
    assert rounded.conv1_1.weight.dtype == torch.bfloat16
    torch.testing.assert_close(found, lrp(ask(rounded.float(), 1), image, "zero"))


def test_what_can_not_be_explained_is_told() -> None:
    class Shortcut(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + x.mean((1, 2, 3))[:, None]

    layers = nn.Flatten(), nn.Linear(48, 5)
    image = torch.rand(1, 3, 4, 4)
    with pytest.raises(SettingsError, match="no composite 'zeros'"):
        lrp(ask(network(), 0), pictures(), "zeros")
    with pytest.raises(SettingsError, match="Shortcut is not a sequence of layers"):
        lrp(ask(Shortcut(*layers).eval(), 0), image)
    with pytest.raises(SettingsError, match="no rule for 1, a Sigmoid"):
        lrp(ask(nn.Sequential(layers[0], nn.Sigmoid(), layers[1]).eval(), 0), image)
