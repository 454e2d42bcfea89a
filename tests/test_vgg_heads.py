"""Heads: radial basis functions, linear layers that slide, and files that hold a head alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vggapps.errors import SettingsError, WeightsError
from vggapps.vgg._device import accelerate
from vggapps.vgg._exact import Radial
from vggapps.vgg._facts import layer_facts
from vggapps.vgg._network import VGG, initialize
from vggapps.vgg._plan import Plan, Pooled
from vggapps.vgg._pooling import Sliding
from vggapps.weights._heads import write_head
from vggapps.weights._load import load_vgg

NARROW = Plan("narrow", "N", ((4,), (4,), (8,), (8,), (8,)))
RADIAL = Pooled(layer="relu5_1", root=True, hidden=6, radial=True)


def radial() -> VGG:
    return initialize(VGG(NARROW, head="gap", classes=3, pooled=RADIAL), seed=1).freeze()


def test_radial_functions_are_their_formula_on_rows_and_on_maps() -> None:
    layer = Radial(5, 4)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    rows = torch.randn(6, 5)
    s, b, c = (t.detach().numpy() for t in (layer.scale, layer.bias, layer.weight))
    wanted = np.exp(-(((rows.numpy() * s + b)[:, None] - c[None]) ** 2) @ np.ones(5))
    np.testing.assert_allclose(layer(rows).detach(), wanted, rtol=1e-4, atol=1e-6)
    map_ = rows.T.reshape(1, 5, 2, 3)
    np.testing.assert_allclose(layer(map_).detach()[0].flatten(1).T, wanted, rtol=1e-4, atol=1e-6)


def test_what_is_exact_stays_so_where_the_rest_is_rounded() -> None:
    vgg = radial()
    image = torch.rand(1, 3, 224, 256)
    wanted = vgg(image)
    quick = accelerate(vgg.dense(), "cpu", "bfloat16")
    dtypes = {name: quick.get_parameter(name).dtype for name in ("conv1_1.weight", "fc7.weight", "fc8.weight")}
    assert list(dtypes.values()) == [torch.bfloat16, torch.float32, torch.float32]
    assert quick(image).dtype == torch.float32
    torch.testing.assert_close(quick(image).mean((2, 3)), wanted, rtol=0.05, atol=0.05)


def test_a_head_may_sit_on_an_earlier_map() -> None:
    vgg = radial()
    assert vgg.layer_names[-4:] == ("relu5_1", "gap", "fc7", "fc8")
    image = torch.rand(1, 3, 224, 224)
    found = vgg.features(image, ["relu5_1", "gap"])
    torch.testing.assert_close(found["gap"], found["relu5_1"].mean((2, 3)).sqrt())
    torch.testing.assert_close(vgg.dense()(image)[..., 0, 0], vgg(image))
    assert vgg.dense()(torch.rand(1, 3, 256, 288)).shape == (1, 3, 3, 5)  # windows of 14 positions, a stride of 16
    with pytest.raises(SettingsError, match="no layer 'relu6_1'"):
        VGG(NARROW, head="gap", pooled=Pooled(layer="relu6_1"))
    with pytest.raises(SettingsError, match="no summary 'mean'"):
        Pooled(summary="mean")  # type: ignore[arg-type]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_linear_layer_that_fits_once_is_the_convolution(memory_format: torch.memory_format) -> None:
    layer = Sliding(6, 5, 7).to(memory_format=memory_format)
    for size in ((7, 7), (8, 10)):
        x = torch.rand(2, 6, *size).contiguous(memory_format=memory_format)
        torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, layer.bias), rtol=1e-4, atol=1e-5)


def test_a_file_of_a_last_layer_replaces_that_of_its_base(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    weight, bias = torch.randn(2, 512), torch.randn(2)
    base = "vgg19-installed"
    write_head(
        path, {"fc8.weight": weight, "fc8.bias": bias}, network="vgg19", base=base, head="gap", classes=["cat", "dog"]
    )
    vgg = load_vgg("vgg19", path)
    assert (vgg.head, vgg.classes, vgg.weights_name) == ("gap", ("cat", "dog"), "head.safetensors")
    torch.testing.assert_close(vgg.get_parameter("fc8.weight"), weight)
    assert torch.equal(vgg.conv1_1.weight, load_vgg("vgg19").conv1_1.weight)
    with pytest.raises(WeightsError, match="load the network vgg19"):
        load_vgg("vgg16", path)
    write_head(
        path, {"fc8.weight": weight[:, :9].contiguous(), "fc8.bias": bias}, network="vgg19", base=base, head="gap"
    )
    with pytest.raises(WeightsError, match=r"fc8\.weight is 2×9, not 2×512"):
        load_vgg("vgg19", path)
    write_head(path, {"fc8.weight": weight}, network="vgg19", base=base, head="gap")
    with pytest.raises(WeightsError, match=r"fc8\.bias is missing"):
        load_vgg("vgg19", path)
    with pytest.raises(SettingsError, match="not on record"):
        write_head(path, {}, network="vgg19", base="mine", head="gap")


def test_the_cost_of_a_head_is_counted() -> None:
    facts = {fact.name: fact for fact in layer_facts("vgg19", head="gap")}
    assert facts["fc8"].parameters == 512 * 1000 + 1000
    vgg = VGG("vgg19", head="gap")
    assert sum(f.parameters for f in facts.values()) == sum(p.numel() for p in vgg.parameters())
    functions = layer_facts(NARROW, head="gap", classes=3, pooled=RADIAL)
    assert sum(fact.parameters for fact in functions) == sum(p.numel() for p in radial().parameters())
