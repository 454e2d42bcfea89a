"""Networks before they are trained: plans for small pictures, first weights, frozen layers, rates, factors, heads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.training._network import (
    before_last_convolution,
    copy_first_layers,
    freeze_to,
    normalize_channels,
    plan_for,
    rates_by_block,
    with_new_head,
)
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._normalize import OXFORD
from vggapps.vgg._plan import PLANS, Head, Plan, Pooled, get_plan
from vggapps.weights import load_network

NARROW = get_plan("6-8x2")
PROBED = Pooled(summary="avg+max", hidden=5)


def on_meta(plan: str | Plan, **options: object) -> VGG:
    with torch.device("meta"):
        return VGG(plan, **options)  # type: ignore[arg-type]


def random(plan: Plan | str, seed: int = 1, **options: object) -> VGG:
    """A network in float64 with random biases, too."""
    network = initialize(VGG(plan, **options), seed=seed).double().eval()  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1:
                parameter.uniform_(-0.1, 0.1, generator=generator)
            elif name.startswith("fc"):
                parameter.normal_(0, parameter[0].numel() ** -0.5, generator=generator)
    return network


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def has_means_of_one(network: VGG, images: Tensor, tolerance: float) -> bool:
    """Whether the mean of each channel of the ReLUs of convolutions is 1, or 0 everywhere."""
    names = [name for name in network.layer_names if name.startswith("relu") and "_" in name]
    with torch.no_grad():
        means = torch.cat([map_.mean((0, 2, 3)) for map_ in network.features(images, names).values()])
    return bool(((means - 1).abs() < tolerance).logical_or(means == 0).all())


@pytest.mark.parametrize(
    ("name", "size", "wanted", "side"),
    [
        ("vgg16_bn", 224, "vgg16_bn", 7),
        ("vgg16_bn", 64, "vgg16_bn", 2),
        ("vgg16_bn", 63, "64x2-128x2-256x3-512x6_bn", 3),
        ("vgg16_bn", 32, "64x2-128x2-256x3-512x6_bn", 2),
        ("vgg16_bn", 28, "64x2-128x2-256x3+512x6_bn", 3),
        ("vgg11", 28, "64-128-256x2+512x4", 3),
        ("vgg16", 8, "64x2-128x2+256x3+512x6", 2),
        ("8-8_bn", 16, "8-8_bn", 4),
    ],
)
def test_plans_for_small_pictures_keep_all_convolutions(name: str, size: int, wanted: str, side: int) -> None:
    plan = get_plan(name)
    found, note = plan_for(plan, size)
    assert found.name == wanted
    assert get_plan(found.name) == found
    assert sum(found.blocks, ()) == sum(plan.blocks, ())
    assert on_meta(found, head="none")(torch.rand(1, 3, size, size, device="meta")).shape[2:] == (side, side)
    assert (note == "") == (found == plan)
    assert note == "" or (f"{size} px" in note and plan.name in note and found.name in note)


@pytest.mark.parametrize("name", ["vgg16_c", "vgg11_lrn"])
def test_what_notation_cannot_express_is_not_merged(name: str) -> None:
    assert plan_for(PLANS[name], 64) == (PLANS[name], "")
    with pytest.raises(SettingsError, match=f"32 px are too small for {name} .use at least 64 px"):
        plan_for(PLANS[name], 32)
    with pytest.raises(SettingsError, match="3 px are too small"):
        plan_for(PLANS["vgg16"], 3)


def test_the_staged_start_takes_the_first_four_convolutions_of_net_a() -> None:
    a, d = VGG("vgg11", head="none", convention=OXFORD), VGG("vgg16", head="none")
    before = {name: value.clone() for name, value in d.state_dict().items()}
    copied = copy_first_layers(d, a)
    assert copied == ("conv1_1", "conv2_1", "conv3_1", "conv3_2")
    for name, value in d.state_dict().items():
        source = a.state_dict() if name.partition(".")[0] in copied else before
        assert torch.equal(value, source[name])
    assert (d.convention.mean, d.convention.std) == (OXFORD.mean, OXFORD.std)


def test_the_staged_start_takes_the_head_if_it_fits() -> None:
    def network(blocks: str, classes: tuple[str, ...], seed: int, **options: object) -> VGG:
        made = VGG(blocks, classes=len(classes), class_names=classes, **options)  # type: ignore[arg-type]
        return initialize(made, seed=seed)

    trained = network("2-2-2-2-2_bn", ("cat", "dog"), 1)
    same = network("2x2-2-2-2-2_bn", ("cat", "dog"), 2)
    layers = ["conv1_1", "bn1_1", "conv2_1", "bn2_1", "conv3_1", "bn3_1", "conv4_1", "bn4_1"]
    assert copy_first_layers(same, trained) == (*layers, "fc6", "fc7", "fc8")
    assert all(torch.equal(same.get_parameter(f"{n}.weight"), trained.get_parameter(f"{n}.weight")) for n in layers)
    assert torch.equal(same.get_parameter("fc8.weight"), trained.get_parameter("fc8.weight"))
    for classes in (("cat", "cow"), ("cat", "cow", "dog")):
        other = network("2x2-2-2-2-2_bn", classes, 3)
        last = other.get_parameter("fc8.weight").clone()
        assert copy_first_layers(other, trained) == (*layers, "fc6", "fc7")
        assert torch.equal(other.get_parameter("fc8.weight"), last)
    whole = network("2x2-3-2-2-2_bn", ("cat", "dog"), 4)
    before = whole.get_parameter("conv1_1.weight").clone()
    with pytest.raises(SettingsError, match=r"conv2_1\.weight of .* is 2×2×3×3, that of .* is 3×2×3×3"):
        copy_first_layers(whole, trained)
    assert torch.equal(whole.get_parameter("conv1_1.weight"), before)
    with pytest.raises(SettingsError, match="has no fc6 like 2-2-2-2-2_bn"):
        copy_first_layers(network("2x2-2-2-2-2_bn", ("cat", "dog"), 5, head="gap"), trained)
    with pytest.raises(SettingsError, match="only one of them has normalization layers"):
        copy_first_layers(network("2x2-2-2-2-2", ("cat", "dog"), 6, head="gap"), trained)


FROZEN = {
    ("vgg11", "pool2"): "conv1_1 conv2_1",
    ("vgg11", "conv3_2"): "conv1_1 conv2_1 conv3_1 conv3_2",
    ("vgg11", "relu3_1"): "conv1_1 conv2_1 conv3_1",
    ("vgg11", "fc7"): "conv1_1 conv2_1 conv3_1 conv3_2 conv4_1 conv4_2 conv5_1 conv5_2 fc6 fc7",
    ("vgg16_bn", "conv2_1"): "conv1_1 bn1_1 conv1_2 bn1_2 conv2_1",
    ("vgg16_bn", "bn2_1"): "conv1_1 bn1_1 conv1_2 bn1_2 conv2_1 bn2_1",
    ("vgg16_bn", "relu1_2"): "conv1_1 bn1_1 conv1_2 bn1_2",
}


@pytest.mark.parametrize(("name", "layer"), FROZEN)
def test_layers_are_frozen_up_to_the_named_one(name: str, layer: str) -> None:
    network = on_meta(name)
    freeze_to(network, layer)
    wanted = {f"{one}.{part}" for one in FROZEN[name, layer].split() for part in ("weight", "bias")}
    assert {key for key, parameter in network.named_parameters() if not parameter.requires_grad} == wanted


@pytest.mark.parametrize(
    ("name", "layer"),
    [("vgg19", "relu5_3"), ("vgg16", "relu5_2"), ("vgg11_bn", "relu5_1"), ("8-8_bn", "pool1"), ("8x2", "relu1_1")],
)
def test_the_last_convolution_and_what_follows_it_are_trained(name: str, layer: str) -> None:
    network = on_meta(name)
    assert before_last_convolution(network) == layer
    freeze_to(network, layer)
    trained = {key.partition(".")[0] for key, parameter in network.named_parameters() if parameter.requires_grad}
    assert len([one for one in trained if one.startswith("conv")]) == 1


def test_an_unknown_layer_freezes_nothing() -> None:
    network = on_meta("vgg11")
    with pytest.raises(SettingsError, match="no layer 'pool6'"):
        freeze_to(network, "pool6")
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("head", ["fc", "gap"])
def test_rates_fall_from_the_head_to_the_first_block(head: Head) -> None:
    network = on_meta("vgg16_bn", head=head)
    rate = rates_by_block(network, 0.1)
    for name, _ in network.named_parameters():
        powers = {"1": 5, "2": 4, "3": 3, "4": 2, "5": 1}
        block = name.removeprefix("conv").removeprefix("bn")[0]
        assert rate(name) == pytest.approx(1.0 if name.startswith("fc") else 0.1 ** powers[block])
    assert rates_by_block(on_meta("8-8"), 0.5)("conv1_1.bias") == 0.25
    assert rate("conv5_3.weight") == 0.1
    assert {rates_by_block(network, 1.0)(name) for name, _ in network.named_parameters()} == {1.0}


@pytest.mark.parametrize(
    "options",
    [
        {"head": "fc", "classes": 3},
        {"head": "conv", "classes": 3},
        {"head": "gap", "classes": 3},
        {"head": "gap", "classes": 3, "pooled": PROBED},
        {"head": "gap", "classes": 3, "pooled": Pooled(layer="conv2_2")},
        {"head": "gap", "classes": 3, "pooling": "average", "padding": "reflect"},
    ],
)
def test_normalized_channels_have_a_mean_of_one_and_the_outputs_do_not_change(options: dict[str, object]) -> None:
    network, images = random(NARROW, **options), noise(5, 3, 32, 36)

    def outputs_and_gradient() -> tuple[Tensor, Tensor]:
        image = images.clone().requires_grad_()
        scores = network(image)
        return scores.detach(), torch.autograd.grad(scores.square().sum(), image)[0]

    scores, gradient = outputs_and_gradient()
    assert not has_means_of_one(network, images, 0.1)
    normalize_channels(network, [images[:2], images[:0], images[2:]])
    assert has_means_of_one(network, images, 1e-6)
    again, gradient_again = outputs_and_gradient()
    torch.testing.assert_close(again, scores, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(gradient_again, gradient, atol=1e-9, rtol=1e-9)


def test_pictures_of_all_sizes_count_by_their_positions() -> None:
    network, sizes = random(NARROW, head="none"), (noise(2, 3, 16, 16), noise(1, 3, 40, 24, seed=1))
    normalize_channels(network, sizes)
    with torch.no_grad():
        maps = [network.features(images, ["relu1_1"])["relu1_1"].movedim(1, 0).flatten(1) for images in sizes]
    torch.testing.assert_close(torch.cat(maps, 1).mean(1), torch.ones(6, dtype=torch.float64))


def test_without_a_head_maps_change_by_a_factor_per_channel_and_dead_channels_stay() -> None:
    network, images = random(NARROW, head="none"), noise(3, 3, 16, 16)
    with torch.no_grad():
        network.conv1_1.weight[2] = 0
        network.conv1_1.bias[2] = -1
        before = network(images)
        normalize_channels(network, [images])
        after = network(images)
    factors = after.sum((0, 2, 3), keepdim=True) / before.sum((0, 2, 3), keepdim=True).clamp(min=1e-12)
    torch.testing.assert_close(before * factors, after)
    assert network.conv1_1.bias[2] == -1
    assert has_means_of_one(network, images, 1e-6)


def test_vgg19_is_normalized_to_the_rounding_of_float32() -> None:
    network = load_network()
    images = noise(2, 3, 64, 64).float()
    before = network.features(images, ["relu5_1"])["relu5_1"]
    scale = before.mean((0, 2, 3), keepdim=True)
    normalize_channels(network, [images])
    assert has_means_of_one(network, images, 1e-3)
    alive = scale.flatten() > 0
    after, wanted = network.features(images, ["relu5_1"])["relu5_1"][:, alive], (before / scale)[:, alive]
    assert (after - wanted).norm() < 1e-5 * wanted.norm()


def test_channels_that_cannot_be_normalized_are_refused() -> None:
    image = [noise(1, 3, 16, 16)]
    for plan in ("8-8_bn", "vgg11_lrn"):
        with pytest.raises(SettingsError, match=f"{plan} has normalization layers"):
            normalize_channels(on_meta(plan), image)
    for pooled in (Pooled(root=True), Pooled(hidden=4, radial=True)):
        with pytest.raises(SettingsError, match="this head"):
            normalize_channels(random(NARROW, head="gap", pooled=pooled), image)
    with pytest.raises(SettingsError, match="no image"):
        normalize_channels(random(NARROW, head="none"), [])


@pytest.mark.parametrize("head", ["gap", "fc"])
def test_a_new_head_is_random_and_the_convolutions_are_copied(head: Head) -> None:
    base = VGG("4-6_bn", head="none", padding="reflect", pooling="average", convention=OXFORD)
    base.train()(torch.rand(4, 3, 32, 32))  # moves the statistics
    base.freeze()
    state = torch.get_rng_state()
    new, again, other = (with_new_head(base, ["cat", "cow", "dog"], head, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert (new.classes, new.outputs, new.temperature, new.weights_name) == (("cat", "cow", "dog"), 3, 1.0, "")
    assert new.training
    assert new.bn1_1.training
    assert all(parameter.requires_grad for parameter in new.parameters())
    assert torch.equal(new.fc8.weight, again.fc8.weight)
    assert not torch.equal(new.fc8.weight, other.fc8.weight)
    assert not new.fc8.bias.any()
    image = noise(2, 3, 32, 32).float()
    found = new.eval().features(image, ["pool2"])["pool2"]
    torch.testing.assert_close(found, base(image))
    with torch.no_grad():
        new.conv1_1.weight.zero_()
    assert base.conv1_1.weight.any()


def test_a_head_is_refused_where_it_has_no_place() -> None:
    ends_early = random(NARROW, head="gap", pooled=Pooled(layer="relu2_1"))
    with pytest.raises(SettingsError, match="has no conv2_2: its convolutions end at relu2_1"):
        with_new_head(ends_early, ["cat", "dog"], "fc")
    assert with_new_head(ends_early, ["cat", "dog"], pooled=ends_early.pooled).layer_names[-3:] == (
        "relu2_1", "gap", "fc8",
    )  # fmt: skip
    with pytest.raises(SettingsError, match="use gap or fc"):
        with_new_head(ends_early, ["cat", "dog"], "none")
