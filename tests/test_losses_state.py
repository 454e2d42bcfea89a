"""What tools do to a model's tensors does not harm those of its losses, which no state dict would restore."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from tests.reference.narrow import NARROW, network, perceptual, pictures
from tests.test_losses_training import LOSSES, networks
from vggapps.errors import SettingsError
from vggapps.losses import LPIPS, Bundle, PerceptualLoss
from vggapps.losses._feature_loss import FeatureLoss
from vggapps.losses._metric import AsMetric
from vggapps.vgg._network import VGG, initialize
from vggapps.weights._load import load_vgg

every = pytest.mark.parametrize("name", LOSSES)
quick = pytest.mark.parametrize("name", ["gram", "two", "LPIPS"])
X, Y = (pictures(seed, 2, 32, 32).float() for seed in (1, 2))


def gradient(loss: nn.Module, *more: Any, **options: Any) -> Tensor:
    x = X.clone().requires_grad_()
    loss(x, *more, **options).sum().backward()
    assert x.grad is not None
    return x.grad


def weights(loss: nn.Module) -> set[int]:
    return {tensor.data_ptr() for one in networks(loss) for tensor in one.parameters()}


# moved without their numbers


@every
def test_to_empty_leaves_a_loss_its_weights(name: str) -> None:
    loss = LOSSES[name]()
    value, slope = loss(X, Y), gradient(loss, Y)
    metric = AsMetric(loss)
    metric.update(X, Y)
    model = nn.ModuleDict({"loss": loss, "metric": metric}).to_empty(device="cpu")
    assert torch.equal(model["loss"](X, Y), value)
    assert torch.equal(gradient(model["loss"], Y), slope)
    model["metric"].update(X, Y)
    assert float(model["metric"].compute()) == pytest.approx(float(value))
    assert int(model["metric"].pictures) == 2 * len(X)


def test_a_model_laid_out_on_meta_is_right_after_a_strict_load() -> None:
    def model() -> nn.ModuleDict:
        loss = PerceptualLoss({"relu1_2": 1.0}, style_layers="relu1_1")
        return nn.ModuleDict({"net": nn.Conv2d(3, 3, 1), "loss": loss, "metric": AsMetric(loss)})

    plain = model()
    with torch.device("meta"):
        laid_out = model()
    laid_out.to_empty(device="cpu")
    laid_out.load_state_dict(plain.state_dict())
    assert torch.equal(laid_out["loss"](X, Y), plain["loss"](X, Y))
    laid_out["metric"].update(X, Y)
    assert float(laid_out["metric"].compute()) == pytest.approx(float(plain["loss"](X, Y)))


def test_a_metric_of_another_module_keeps_that_modules_weights() -> None:
    weighted = nn.PReLU(init=0.25)
    metric = AsMetric(lambda x, y: x.mean())
    metric.__dict__["loss"] = weighted
    metric.to_empty(device="cpu")
    assert weighted.weight.item() == 0.25


@pytest.mark.parametrize("back", [lambda loss: loss.to_empty(device="cpu"), lambda loss: loss.to("cpu")])
def test_weights_that_were_given_up_are_told(back: Callable[[nn.Module], object]) -> None:
    loss = perceptual().to("meta")
    with pytest.raises(SettingsError, match=r"lost its tensors when it was moved to meta \(create the loss again"):
        back(loss)


def test_a_network_without_weights_is_refused() -> None:
    with torch.device("meta"):
        empty = VGG(NARROW, head="none").freeze()
    with pytest.raises(SettingsError, match=r"is on the meta device and has no weights \(pass a loaded network"):
        perceptual(backbone=empty)


# copies


@quick
@pytest.mark.parametrize("how", [copy.deepcopy, AveragedModel])
def test_a_copy_shares_the_network_until_one_of_them_moves(name: str, how: Callable[[nn.Module], nn.Module]) -> None:
    loss = LOSSES[name]()
    twin, value = how(loss), loss(X, Y)
    assert weights(twin) == weights(loss)
    assert torch.equal(twin(X, Y), value)
    twin.double()
    assert torch.equal(loss(X, Y), value)
    assert twin(X.double(), Y.double()).dtype == torch.float64
    assert not weights(twin) & weights(loss)
    loss.double()
    assert weights(twin) == weights(loss)  # and share again where both have come to the same place


@quick
def test_a_pickled_loss_has_a_network_of_its_own(name: str) -> None:
    loss = LOSSES[name]()
    twin = pickle.loads(pickle.dumps(loss))
    assert torch.equal(twin(X, Y), loss(X, Y))
    assert not weights(twin) & weights(loss)


def test_losses_on_one_network_still_share_it_where_they_are_moved_to() -> None:
    vgg = initialize(VGG("vgg16", head="none")).freeze()
    losses = nn.ModuleList([PerceptualLoss("relu3_3", backbone=vgg), LPIPS(backbone=vgg, version="0.0")])
    losses.bfloat16()
    assert len({tuple(sorted(weights(loss))) for loss in losses}) == 1
    assert vgg.conv1_1.weight.dtype == torch.float32  # whoever else uses it keeps it as it is


def test_a_copy_does_not_follow_weights_that_were_changed_later() -> None:
    vgg = network()
    first = perceptual(backbone=vgg).float()
    with torch.no_grad():
        vgg.conv1_1.weight.mul_(2)
    second = perceptual(backbone=vgg).float()
    assert first(X, Y) != second(X, Y)


# replicas of DataParallel


def replica(module: nn.Module) -> Any:
    """As ``torch.nn.parallel.replicate`` makes one for each device."""
    twin = module._replicate_for_data_parallel()
    twin._modules = {name: child and replica(child) for name, child in module._modules.items()}
    return twin


@quick
def test_a_replica_looks_through_a_copy_on_the_device_of_its_pictures(name: str) -> None:
    loss = LOSSES[name]()
    value = loss(X, Y)
    first, second = replica(loss), replica(loss)
    inner = [next(m for m in one.modules() if isinstance(m, FeatureLoss)) for one in (loss, first, second)]
    for one in inner[1:]:
        image, _ = one.preprocess(X.to("meta"))
        assert {image.device.type, *(p.device.type for p in one.network.parameters())} == {"meta"}
    assert inner[1].network is inner[2].network  # the copy is kept for the next step
    assert torch.equal(loss(X, Y), value)
    assert torch.equal(replica(loss)(X, Y), value)
    with pytest.raises(SettingsError, match="picture is on meta, the loss on cpu"):
        inner[0].preprocess(X.to("meta"))


def test_replicas_warn_once_and_metrics_refuse_to_be_one() -> None:
    loss = perceptual()
    with pytest.warns(UserWarning, match="looks like"):
        replica(loss)(5 * X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replica(loss)(5 * X, Y)
    with pytest.raises(
        SettingsError, match=r"replica of DataParallel can't update a metric \(update the metric outside"
    ):
        replica(AsMetric(loss)).update(X, Y)


# made or used for the first time where nothing is trained


@every
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_a_loss_made_in_a_validation_trains_afterwards(name: str, mode: Callable[[], Any]) -> None:
    plain = LOSSES[name]()
    with mode():
        loss = LOSSES[name]()
        loss(X, Y)
        target = loss.prepare(Y)
        loss.double()
        loss.float()
    expected = gradient(plain, Y)
    torch.testing.assert_close(gradient(loss, Y), expected)
    torch.testing.assert_close(gradient(loss, target), expected)


@pytest.mark.parametrize("criterion", ["cosine", "charbonnier", "l2"])
@pytest.mark.parametrize("layer", ["image", "relu2_1"])
def test_pictures_targets_and_masks_of_inference_mode_may_be_trained_against(criterion: str, layer: str) -> None:
    loss = perceptual(layer, criterion).float()
    with torch.inference_mode():
        y, mask = Y.clone(), torch.ones(2, 1, 32, 32)
        target = loss.prepare(y, mask=mask)
        bundled = Bundle({"a": loss}).prepare(y)
    expected = gradient(loss, Y)
    torch.testing.assert_close(gradient(loss, y, mask=mask), expected)
    torch.testing.assert_close(gradient(loss, target, mask=mask), expected)
    torch.testing.assert_close(gradient(Bundle({"a": loss}), bundled), expected)


def test_a_network_loaded_in_inference_mode_learns() -> None:
    with torch.inference_mode():
        vgg = load_vgg(NARROW, None, head="none", trainable=True)
        installed = load_vgg("vgg19").conv1_1.weight
    vgg(X).sum().backward()
    assert vgg.conv1_1.weight.grad.any()
    assert not installed.is_inference()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_torchs_default_dtype_changes_no_loss(dtype: torch.dtype) -> None:
    def losses() -> list[PerceptualLoss]:
        return [
            PerceptualLoss("relu1_2", criterion="gram"),
            PerceptualLoss(["image", "relu1_1"], criterion="cobi"),
            PerceptualLoss("relu2_1", backbone=load_vgg(NARROW, None, head="none"), criterion="wasserstein"),
        ]

    x, y = X[..., :8, :8], Y[..., :8, :8]
    expected = [float(loss(x, y)) for loss in losses()]
    torch.set_default_dtype(dtype)
    try:
        found = losses()
        values = [loss(x, y) for loss in found]
    finally:
        torch.set_default_dtype(torch.float32)
    assert {p.dtype for loss in found for p in loss.network.parameters()} == {torch.float32}
    assert [float(value) for value in values] == pytest.approx(expected, rel=1e-6)
    assert {value.dtype for value in values} == {torch.float32}
