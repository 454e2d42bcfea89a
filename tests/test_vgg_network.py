"""The network against torchvision's, its heads, poolings and paddings, and its random weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import skimage
import torch
import torchvision
from torch import Tensor, nn
from torchvision.transforms.functional import normalize

from vggapps.errors import SettingsError
from vggapps.vgg._layers import make_layer
from vggapps.vgg._network import INITS, VGG, Init, initialize
from vggapps.vgg._normalize import OXFORD, PLAIN
from vggapps.vgg._plan import AVERAGED, Layer, Plan
from vggapps.weights._load import load_vgg

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NARROW = Plan("narrow", "narrow", ((8, 8), (8, 8), (16,) * 3, (16,) * 3, (16,) * 3))


def random_vgg(plan: str | Plan, **options: object) -> VGG:
    """In inference mode; running statistics and affine numbers of batch norm are random, too."""
    with torch.device("meta"):
        vgg = VGG(plan, **options)
    initialize(vgg.to_empty(device="cpu"), seed=1)
    generator = torch.Generator().manual_seed(2)
    for norm in vgg.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.num_batches_tracked.zero_()
            for numbers in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
                numbers.uniform_(0.5, 1.5, generator=generator)
    return vgg.eval()


def torchvision_with_weights_of(vgg: VGG) -> torchvision.models.VGG:
    """Keys differ, their order does not. The tensors are shared: two of these networks fill a laptop."""
    with torch.device("meta"):
        theirs = getattr(torchvision.models, vgg.plan.name)(weights=None)
    names = [name for name in theirs.state_dict() if vgg.head == "fc" or name.startswith("features")]
    state = dict(zip(names, vgg.state_dict().values(), strict=True))
    theirs.load_state_dict(state, strict=vgg.head == "fc", assign=True)
    return theirs.eval()


def picture(height: int, width: int, n: int = 1) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(3))


def assert_same(ours: Tensor, theirs: Tensor, relative: float) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= relative * theirs.abs().max()


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"])
@torch.no_grad()
def test_every_layer_is_torchvisions(name: str) -> None:
    vgg = random_vgg(name, head="none")
    theirs = torchvision_with_weights_of(vgg)
    image = picture(48, 64, n=2)
    ours = vgg.features(image, vgg.layer_names)
    x = normalize(image, MEAN, STD)
    for layer, module in zip(vgg.layer_names, theirs.features, strict=True):
        x = module(x.clone())  # theirs works in place
        assert_same(ours[layer], x, 1e-6)


@pytest.mark.parametrize("name", ["vgg11", "vgg16_bn"])
@torch.no_grad()
def test_scores_are_torchvisions(name: str) -> None:
    vgg = random_vgg(name)
    theirs = torchvision_with_weights_of(vgg)
    assert_same(vgg(picture(224, 224)), theirs(normalize(picture(224, 224), MEAN, STD)), 1e-6)
    # Other sizes: torchvision averages the map to 7×7 before the linear layers.
    assert_same(vgg(picture(64, 250)), theirs(normalize(picture(64, 250), MEAN, STD)), 1e-6)


@torch.no_grad()
def test_dense_head_is_the_linear_one_slid_over_the_map() -> None:
    dense, linear = random_vgg(NARROW, head="conv"), random_vgg(NARROW, head="fc")
    for name in ("fc6", "fc7", "fc8"):
        weight = getattr(linear, name).weight
        assert torch.equal(getattr(dense, name).weight.flatten(1), weight)  # the same seed, the same numbers
    assert dense(picture(224, 224)).shape == (1, 1000, 1, 1)
    assert_same(dense(picture(224, 224))[:, :, 0, 0], linear(picture(224, 224)), 1e-5)


@pytest.mark.parametrize(("height", "width"), [(224, 224), (256, 256), (255, 287), (384, 512)])
def test_dense_head_gives_a_score_a_window(height: int, width: int) -> None:
    with torch.device("meta"):
        scores = VGG("vgg16", head="conv")(torch.rand(1, 3, height, width))
    assert scores.shape == (1, 1000, height // 32 - 6, width // 32 - 6)


@torch.no_grad()
def test_positions_of_the_dense_head_are_shifts() -> None:
    """Inside, away from the border's zeros, the neighbour's score is the score of the shifted picture."""
    vgg = random_vgg(NARROW, head="conv", padding="replicate")
    image = picture(32 * 24, 32 * 7)
    image[:, :, 32 * 8 :] = 0.5  # all that differs is far from both windows that are compared
    scores = vgg(image)[0, :, :, 0]
    shifted = vgg(image.roll(32, 2))[0, :, :, 0]
    assert_same(scores[:, 15], shifted[:, 16], 1e-5)


@torch.no_grad()
def test_head_gap_is_one_linear_layer_on_means() -> None:
    vgg = random_vgg(NARROW, head="gap", classes=5)
    found = vgg.features(picture(64, 96), ["pool5", "gap", "fc8"])
    assert_same(found["gap"], found["pool5"].mean((2, 3)), 1e-6)
    assert_same(found["fc8"], found["gap"] @ vgg.fc8.weight.T + vgg.fc8.bias, 1e-6)
    assert vgg(picture(64, 96)).shape == (1, 5)


@torch.no_grad()
def test_without_a_head_the_network_gives_pool5() -> None:
    vgg = random_vgg(NARROW, head="none")
    assert torch.equal(vgg(picture(64, 96)), vgg.features(picture(64, 96), "pool5")["pool5"])


@torch.no_grad()
def test_response_normalisation_is_alexnets() -> None:
    """b = a / (2 + 1e-4 Σ a²)^0.75 over five neighbouring channels, Krizhevsky et al. 2012, section 3.3."""
    vgg = random_vgg(Plan("lrn", "A-LRN", ((12,), (8,)), response_norm=True), head="none")
    found = vgg.features(picture(8, 8) * 500, ["relu1_1", "lrn1_1"])
    squares = nn.functional.pad(found["relu1_1"].square(), (0, 0, 0, 0, 2, 2))
    sums = torch.stack([squares[:, i : i + 12] for i in range(5)]).sum(0)
    assert sums.max() > 1e4  # else the formula is a constant
    assert_same(found["lrn1_1"], found["relu1_1"] / (2 + 1e-4 * sums) ** 0.75, 1e-5)


def photograph() -> Tensor:
    photo = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None] / 255
    return nn.functional.interpolate(photo, size=128, mode="area")


@pytest.mark.parametrize("pooling", ["average", "l2"])
@pytest.mark.parametrize(
    ("make", "image"),
    [(partial(random_vgg, "vgg16", head="none"), picture(96, 96)), (partial(load_vgg, "vgg19"), photograph())],
    ids=["random vgg16", "real vgg19"],
)
@torch.no_grad()
def test_pooling_keeps_the_activations_scale(make: Callable[..., VGG], image: Tensor, pooling: str) -> None:
    names = [f"pool{b}" for b in range(1, 6)]
    usual, other = make().features(image, names), make(pooling=pooling).features(image, names)
    for name in names:
        ratio = (other[name].square().mean() / usual[name].square().mean()).sqrt()
        assert 0.6 <= ratio <= 1.6, name


@pytest.mark.parametrize(
    ("pooling", "value"),
    [("max", 4.0), ("average", 1.5 * 2.0), ("l2", 1.4 * math.sqrt((4 + 16 + 4 + 4) / 4))],
)
def test_pooling_of_four_numbers(pooling: str, value: float) -> None:
    vgg = VGG(NARROW, head="none", pooling=pooling)
    x = torch.tensor([[[[2.0, 4.0, 9.0], [0.0 if pooling == "average" else 2.0, 2.0, 9.0], [9.0, 9.0, 9.0]]]])
    assert vgg.pool1(x).item() == pytest.approx(value)  # the odd row and column are dropped


def test_gradient_of_l2_pooling_is_finite_at_zero() -> None:
    zeros = torch.zeros(1, 1, 4, 4, requires_grad=True)
    VGG(NARROW, head="none", pooling="l2").pool1(zeros).sum().backward()
    assert zeros.grad.isfinite().all()


@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect"])
@torch.no_grad()
def test_a_constant_picture_stays_constant_to_the_border(padding: str) -> None:
    """Only without zeros beyond the border, which are what draws a rim into stylized pictures."""
    vgg = random_vgg("vgg11", head="none", padding=padding)
    feature = vgg.features(torch.full((1, 3, 64, 64), 0.7), ["conv4_1"])["conv4_1"]
    spread = (feature - feature[:, :, 4:5, 4:5]).abs().max() / feature.abs().max()
    assert (spread < 1e-5) == (padding != "zeros")


@torch.no_grad()
def test_conventions_are_undone_by_their_inverse_and_agree_with_oxfords_bgr() -> None:
    image = picture(4, 4)
    caffe = image.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    assert_same(OXFORD(image), caffe.flip(1), 1e-6)
    assert_same(OXFORD.inverse(OXFORD(image)), image, 1e-6)
    assert torch.equal(PLAIN(image), image)


def test_a_picture_in_whole_numbers_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"uint8.*floats in \[0, 1\]"):
        VGG(NARROW, head="none")(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))


class TestInitialize:
    WIDE = Plan("wide", "wide", ((64, 128),))

    @pytest.mark.parametrize(
        ("init", "deviation"),
        [
            ("he", {"conv1_2": math.sqrt(2 / (9 * 128)), "fc7": 0.01}),
            ("glorot", {"conv1_2": math.sqrt(2 / (9 * 64 + 9 * 128)), "fc7": math.sqrt(2 / (4096 + 4096))}),
            ("paper", {"conv1_2": 0.1, "fc7": 0.1}),
        ],
    )
    def test_statistics(self, init: Init, deviation: dict[str, float]) -> None:
        vgg = initialize(VGG(self.WIDE, head="conv"), init)
        for name, expected in deviation.items():
            weight = getattr(vgg, name).weight
            assert weight.std().item() == pytest.approx(expected, rel=0.02)
            assert abs(weight.mean().item()) < 4 * expected / math.sqrt(weight.numel())
            assert not getattr(vgg, name).bias.any()
        kurtosis = (vgg.fc7.weight / vgg.fc7.weight.std()).pow(4).mean().item()
        assert kurtosis == pytest.approx(9 / 5 if init == "glorot" else 3, rel=0.02)  # uniform or normal

    @pytest.mark.parametrize("init", INITS)
    def test_a_seed_is_all_it_depends_on(self, init: Init) -> None:
        vgg = VGG(NARROW, head="none")
        before = torch.get_rng_state()
        first = initialize(vgg, init, seed=4).conv5_3.weight.clone()
        assert not torch.equal(first, initialize(vgg, init, seed=5).conv5_3.weight)
        assert torch.equal(first, initialize(vgg, init, seed=4).conv5_3.weight)
        assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("padding", ["replicate", "reflect", "replicate-first"])
@torch.no_grad()
def test_a_variant_pads_as_a_network_that_was_made_so_and_shares_its_weights(padding: str) -> None:
    vgg, other = random_vgg(NARROW, head="none"), random_vgg(NARROW, head="none", padding=padding)
    assert vgg.state_dict().keys() == other.state_dict().keys()
    variant = vgg.variant(padding=padding)  # type: ignore[arg-type]
    torch.testing.assert_close(variant(picture(64, 64)), other(picture(64, 64)))
    assert variant.conv1_1.weight is vgg.conv1_1.weight
    assert vgg.conv1_1.padding_mode == "zeros"


def test_a_layer_of_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="swish1 has an unknown kind, 'swish'"):
        make_layer(Layer("swish1", "swish", 8), "max", "zeros", AVERAGED)
