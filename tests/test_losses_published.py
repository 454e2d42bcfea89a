"""Our losses give the numbers of the published packages and formulas, and the same gradient in the picture."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.reference.published import ENTRIES, FILE, D, close, pair, pictures, seeded, seeded_vgg_once, value
from vggapps.losses import DISTS, LPIPS, PRESETS, PerceptualLoss
from vggapps.losses._trunk import Trunk
from vggapps.losses.functional import (
    charbonnier,
    cobi,
    contextual,
    mmd,
    published_gram,
    sliced,
    total_variation,
)
from vggapps.vgg._normalize import IMAGENET, Convention
from vggapps.vgg._pooling import Pooling

NETS = {"vgg": "vgg16", "alex": "alexnet", "squeeze": "squeezenet1_1"}
FIRST_OF_EACH_BLOCK = [f"relu{block}_1" for block in range(1, 6)]

# Values that our losses do not give, and why.
DOES_NOT_APPLY = {
    "kornia.ssim_loss": "half of 1 - SSIM with a border, clamped; SSIM itself is compared",
    "kornia.ssim_loss5": "the same with another window",
    "kornia.ssim_same": "SSIM with a border, as torchmetrics",
    "kornia.ms_ssim_loss": "kornia's own mixture with L1, which is nobody else's MS-SSIM",
    "kornia.psnr_loss": "the measure with another sign",
    "piq.gmsd": "no such loss here",
    "piq.haarpsi": "no such loss here",
}


@dataclass(frozen=True)
class Case:
    """A loss of ours, and what theirs is a multiple of it by."""

    make: Callable[..., Any]
    times: float = 1.0

    def __call__(self, x: Tensor, y: Tensor, **options: Any) -> Tensor:
        return self.times * self.make(**options)(x, y)


def single(*numbers: float) -> tuple[Any, ...]:
    return tuple(torch.tensor(numbers, dtype=torch.float32).double().tolist())


# Packages hold ImageNet's statistics in float32, which moves a few activations across the ReLU's kink.
ROUNDED = Convention("rounded", single(*IMAGENET.mean), single(*IMAGENET.std))
SHIFT, SCALE = single(-0.030, -0.088, -0.188), single(0.458, 0.448, 0.450)  # LPIPS' own, of pictures in -1..1
OF_LPIPS = Convention("lpips", tuple((1 + s) / 2 for s in SHIFT), tuple(s / 2 for s in SCALE))


def network(arch: str, pooling: Pooling = "max", convention: Convention = IMAGENET) -> Any:
    if arch in ("vgg16", "vgg19"):
        return seeded_vgg_once(arch).variant(pooling=pooling, convention=convention)
    return Trunk(arch, seeded(arch), f"seeded-{arch}", convention)


def lpips(net: str, **fixed: Any) -> Callable[..., LPIPS]:
    return lambda **options: LPIPS(net, backbone=network(NETS[net], convention=OF_LPIPS), **fixed, **options)


def dists(**options: Any) -> DISTS:
    return DISTS(backbone=network("vgg16", convention=ROUNDED), **options)


def features(layers: Any, criterion: Any, arch: str = "vgg19", *, pooling: Pooling = "max", **fixed: Any) -> Any:
    convention = fixed.pop("convention", IMAGENET)
    return lambda **options: PerceptualLoss(
        layers, criterion=criterion, backbone=network(arch, pooling, convention), **fixed, **options
    )


def piq(layers: Any, criterion: Any, arch: str = "vgg16", **fixed: Any) -> Any:
    return features(layers, criterion, arch, convention=ROUNDED, **fixed)


def preset(name: str, arch: str = "vgg19") -> Callable[..., PerceptualLoss]:
    return lambda **options: PerceptualLoss.preset(name, backbone=network(arch), **options)


def content(layer: str = "relu3_3", **fixed: Any) -> Case:
    """piq sums over channels, of which block 3 has 256."""
    return Case(piq(layer, "l2", **fixed), 256)


PAIRS = ("noise1.blur1", "noise1.noise2", "wave_n.wave", "wave_n.wave_shift", "ramp.wave", "r_wave_n.r_wave")
DIRECTIONS = torch.randn(32, 128, generator=torch.Generator().manual_seed(7), dtype=D)
CASES: dict[str, Case] = {
    **{f"lpips01.{net}.{of}": Case(lpips(net)) for net in NETS for of in (*PAIRS, "batch")},
    **{f"lpips01.{net}.flat5.flat7": Case(lpips(net)) for net in ("alex", "squeeze")},
    **{f"lpips00.{net}": Case(lpips(net, version="0.0")) for net in NETS},
    **{f"lpips_base.{net}": Case(lpips(net, calibrated=False)) for net in NETS},
    **{f"torchmetrics.lpips.{net}": Case(lpips(net)) for net in NETS},
    "piq.lpips": Case(lpips("vgg")),
    **{f"dists.{of}": Case(dists) for of in ("noise1.blur1", *PAIRS[2:], "batch")},
    "torchmetrics.dists": Case(dists),
    "piq.dists": Case(dists),
    "piq.content.default": content(),
    "piq.content.none": content(),
    "piq.content.norm": content(normalize_features=True),
    "piq.content.avgpool": content(pooling="mean"),
    "piq.content.mae3": Case(piq({"relu1_2": 64, "relu2_2": 0.5 * 128, "relu3_4": 0.25 * 256}, "l1", "vgg19")),
    "formula.content.conv3_3": content("conv3_3"),
    "piq.style.default": Case(piq("relu3_3", "gram-raw")),
    "piq.style.two": Case(piq(["relu1_2", "relu2_2"], partial(published_gram, normalize="raw", criterion="l1"))),
    "kornia.charbonnier": Case(features("image", partial(charbonnier, epsilon=1.0))),
    "f.johnson.feature": Case(features("relu2_2", "l2", "vgg16")),
    **{
        f"f.gram.{name}": Case(features(FIRST_OF_EACH_BLOCK, criterion))
        for name, criterion in {
            "gatys": "gram-gatys",
            "hw": "gram-positions",
            "chw": "gram-johnson",
            "none": "gram-raw",
            "chw_l1": partial(published_gram, normalize="johnson", criterion="l1"),
        }.items()
    },
    "f.srgan.vgg54": Case(preset("srgan")),
    "f.srgan.vgg22": Case(features({"relu2_2": 0.006}, "l2")),
    "f.esrgan": Case(preset("esrgan")),
    "f.realesrgan": Case(preset("real-esrgan")),
    "f.pix2pixhd": Case(preset("pix2pixhd"), 1 / 10),  # without its lambda
    "f.lama.vgg": Case(features(PRESETS["lama"].terms, None)),  # without the preset's pooling; terms say their own
    "f.cx.relu3_2": Case(features("relu3_2", "contextual")),
    "f.cx.relu4_2": Case(features("relu4_2", "contextual")),
    # Twice the distances with ε are the distances with ε / 2.
    "f.cx.relu3_2.full": Case(features("relu3_2", partial(contextual, epsilon=0.5e-5))),
    "f.cobi.relu3_2": Case(features("relu3_2", "cobi")),
    "f.cobi.relu3_2.authors": Case(features("relu3_2", partial(cobi, epsilon=1e-3, grid=255.0))),
    "f.idmrf": Case(features({"relu3_2": 1, "relu4_2": 2}, "id-mrf")),
    "f.adain": Case(features(FIRST_OF_EACH_BLOCK[:4], "adain")),
    "f.swd.relu2_1": Case(features("relu2_1", partial(sliced, directions=DIRECTIONS))),
    "f.remd.relu2_1": Case(features("relu2_1", "relaxed-emd")),
    "f.selfsim.relu3_1": Case(features("relu3_1", "self-similarity")),
    "f.mmd.poly2": Case(features("relu2_1", partial(mmd, kernel="polynomial"))),
    "f.mmd.linear": Case(features("relu2_1", partial(mmd, kernel="linear"))),
}
LAYERS = {
    f"lpips01.{net}.layer{i}": (net, i)
    for net, count in (("vgg", 5), ("alex", 5), ("squeeze", 7))
    for i in range(count)
}


# Every 2×2 square of a flat picture has four largest numbers, and rounding says which one gets the gradient.
WITHOUT_GRADIENT = ("flat5.flat7",)
EQUAL = {**{f"lpips01.{net}.equal": lpips(net) for net in NETS}, "dists.equal": dists}


def check_gradient(name: str, total: Tensor, x: Tensor, dtype: torch.dtype = D) -> None:
    """Its norm, and three of its entries."""
    entry = ENTRIES[name]
    if "grad_norm" not in entry or name.endswith(WITHOUT_GRADIENT):
        return
    (gradient,) = torch.autograd.grad(total, x)
    tolerance = FILE["tolerance"]["float64_grad_norm" if dtype == D else "float32_grad_norm"]
    relative, absolute = tolerance["rtol"], tolerance["atol"]
    assert float(gradient.norm()) == pytest.approx(entry["grad_norm"], rel=relative, abs=absolute)
    if "grad_probe" in entry and dtype == D:
        n, _, h, w = x.shape
        probe = [float(gradient[at]) for at in ((0, 0, 0, 0), (n - 1, 1, h // 2, w // 2), (n - 1, 2, h - 1, w - 2))]
        assert probe == pytest.approx(entry["grad_probe"], rel=relative, abs=relative * float(gradient.abs().max()))


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_are_the_published_ones(name: str) -> None:
    x, y = pair(name)
    x = x.clone().requires_grad_()
    found = CASES[name](x, y, **({"reduction": "none"} if isinstance(value(name), list) else {}))
    assert found.tolist() == close(name)
    check_gradient(name, found.sum(), x)


@pytest.mark.parametrize(
    "name",
    [
        *("lpips01.vgg.noise1.blur1", "lpips01.alex.noise1.blur1", "lpips01.squeeze.flat5.flat7", "dists.noise1.blur1"),
        *("piq.content.default", "piq.style.default", "f.gram.chw", "f.realesrgan", "f.adain", "f.cx.relu3_2"),
    ],
)
def test_float32_is_near_enough(name: str) -> None:
    x, y = (picture.float() for picture in pair(name))
    x.requires_grad_()
    loss = copy.deepcopy(CASES[name].make()).float()  # the shared network stays what it is
    total = CASES[name].times * loss(x, y)
    assert total.dtype == torch.float32
    assert float(total.detach()) == close(name, dtype=torch.float32)
    check_gradient(name, total, x, torch.float32)


def test_equal_pictures_are_exactly_0_apart_and_pull_nowhere() -> None:
    for name, make in EQUAL.items():
        x, y = pair(name)
        x = x.clone().requires_grad_()
        total = make()(x, y)
        (gradient,) = torch.autograd.grad(total, x)
        assert abs(float(total.detach())) == pytest.approx(value(name), abs=1e-6 if name == "dists.equal" else 0)
        assert float(gradient.norm()) == pytest.approx(ENTRIES[name]["grad_norm"], abs=1e-9)


@pytest.mark.parametrize("net", NETS)
def test_the_breakdown_is_the_packages_list_by_layer(net: str) -> None:
    names = [name for name, (of, _) in LAYERS.items() if of == net]
    found = lpips(net)().breakdown(*pair(names[0]))
    assert [float(part) for part in found.values()] == [close(name) for name in names]


def test_a_map_is_the_packages_spatial_output() -> None:
    x, y = pair("lpips01.alex.spatial_mean")
    x = x.clone().requires_grad_()
    found = lpips("alex")()(x, y, map=True)
    assert found.shape == (1, 1, 96, 80)
    assert float(found.mean().detach()) == close("lpips01.alex.spatial_mean")
    assert float(found.max().detach()) == close("lpips01.alex.spatial_max")
    assert float(found[0, 0, 10, 20].detach()) == close("lpips01.alex.spatial_at_10_20")
    check_gradient("lpips01.alex.spatial_mean", found.mean(), x)


def test_pictures_in_minus_1_to_1_need_to_be_declared() -> None:
    name = "lpips01.alex.range11"
    x, y = pair(name)
    x = x.clone().requires_grad_()
    found = lpips("alex")(range="-1..1")(2 * x - 1, 2 * y - 1)
    assert float(found.detach()) == close(name)
    check_gradient(name, found, x)


def test_a_forgotten_flag_cannot_give_the_packages_wrong_number_unnoticed() -> None:
    x, y = pair("lpips01.alex.wrongrange")
    assert float(lpips("alex")()(x, y)) == close("lpips01.alex.noise1.blur1")
    with pytest.warns(UserWarning, match=r"looks like 0\.\.1, not -1\.\.1"):
        wrong = lpips("alex")(range="-1..1")(x, y)
    assert float(wrong) == close("lpips01.alex.wrongrange")


def test_a_layer_before_its_relu_is_not_overwritten_as_in_piq() -> None:
    x, y = pair("piq.content.conv_inplace")
    ours = float(content("conv3_3")(x, y))
    assert value("piq.content.conv_inplace") == value("piq.content.default")
    assert ours == close("formula.content.conv3_3")
    assert ours != pytest.approx(value("piq.content.conv_inplace"), rel=0.5)


def test_inpainting_with_partial_convolutions_is_the_preset_twice_and_terms_on_pixels() -> None:
    name = "f.pconv.total"
    x, y = pair(name)
    x, known = x.clone().requires_grad_(), pictures()["mask"]
    loss = preset("pconv-inpainting", "vgg16")()
    target = loss.prepare(y)
    composite = known * y + (1 - known) * x
    pixels = (known * (x - y)).abs().mean() + 6 * ((1 - known) * (x - y)).abs().mean()
    total = pixels + loss(x, target) + loss(composite, target) + 0.1 * total_variation(composite, "l1").mean()
    assert float(total.detach()) == close(name)
    check_gradient(name, total, x)


def test_every_recorded_value_is_compared_with_or_has_a_reason_not_to_be() -> None:
    here = Path(__file__)
    others = (path for path in here.parent.glob("test_losses_*.py") if path != here)
    tests = [
        here.read_text(encoding="utf-8").split("def test_", 1)[1],
        *(p.read_text(encoding="utf-8") for p in others),
    ]
    by_name = {name for name in ENTRIES if any(f'"{name}"' in text for text in tests)}
    assert set(ENTRIES) - by_name - {*CASES, *LAYERS, *EQUAL} == set(DOES_NOT_APPLY)
