"""LPIPS: distances of features, calibrated to human judgements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError, unknown
from vggapps.losses._calibrated import calibrated as _published
from vggapps.losses._distance import Measured, average, maps_of_one_size
from vggapps.losses._feature_loss import FeatureLoss
from vggapps.losses._pictures import Gradient, Range, Reduction, Size
from vggapps.losses._precision import length
from vggapps.losses._trunk import LAYERS, Network, Trunk
from vggapps.vgg._moving import normal_tensors
from vggapps.vgg._network import VGG
from vggapps.vgg._normalize import SIGNED
from vggapps.vgg._plan import Plan
from vggapps.weights._backbone import Backbone, load_network
from vggapps.weights._records import WeightsRecord
from vggapps.weights._trunk import TrunkName

Net = Literal["vgg", "alex", "squeeze"]
Version = Literal["0.1", "0.0"]

_VGG_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
_CACHED = 2**18  # elements of a map
_TRUNKS: dict[str, TrunkName] = {"alex": "alexnet", "squeeze": "squeezenet1_1"}


class LPIPS(FeatureLoss):
    """Learned perceptual image patch similarity (Zhang 2018, eq. 1): 0 for equal pictures, about 1 for very different
    ones.

    Σ over layers of the mean over positions of Σ_c w_c (x̂ - ŷ)², x̂ and ŷ the features at a position divided by
    their length + 1e-10, w calibrated to human judgements. Values match the package ``lpips``; report them with ``net``
    and ``version``. Its authors recommend ``alex`` for evaluation and ``vgg`` for optimisation.

    Args:
        net: ``vgg`` (VGG-16), ``alex`` (AlexNet) or ``squeeze`` (SqueezeNet 1.1).
        version: ``0.1``, or ``0.0`` of the first release, which did not normalise by ImageNet's statistics.
        backbone: the weights: a name, a record, a path (``alex`` and ``squeeze``), or a loaded network; None for the
            convolutions of torchvision's network, which LPIPS was calibrated on; they are downloaded once.
        calibrated: False sets every w to 1.
        reduction: as for :class:`~vggapps.losses.PerceptualLoss`, like the other options.

    Raises:
        WeightsError: the weights are not available.
    """

    def __init__(
        self,
        net: Net = "vgg",
        version: Version = "0.1",
        *,
        backbone: Backbone | Trunk | None = None,
        calibrated: bool = True,
        reduction: Reduction = "mean",
        resize: Size = None,
        range: Range = "0..1",
        checkpoint: bool = False,
        gradient: Gradient = "first",
    ) -> None:
        if net not in get_args(Net):
            raise unknown("net of LPIPS", net, get_args(Net))
        if version not in get_args(Version):
            raise unknown("version of LPIPS", version, get_args(Version))
        layers = _VGG_LAYERS if net == "vgg" else tuple(LAYERS[_TRUNKS[net]].values())
        network = _network(net, backbone)
        if version == "0.0":
            network = network.variant(convention=SIGNED)
        super().__init__(
            network, layers, reduction=reduction, resize=resize, range=range, checkpoint=checkpoint, gradient=gradient
        )
        self.net, self.version, self.calibrated = net, version, calibrated
        self.constants = _weights(net, version, layers, calibrated=calibrated)

    def measure(self, features: Mapping[str, Tensor], masks: Callable[[Tensor], Tensor | None]) -> dict[str, Measured]:
        """Features of length 1, in at least float32."""
        return {name: _unit(features[name]) for name in self.layers}

    def compare(
        self, x: Mapping[str, Measured], y: Mapping[str, Measured], masks: Callable[[Tensor], Tensor | None]
    ) -> dict[str, Float[Tensor, " n"]]:
        """Each layer's mean over positions."""
        return {name: average(values, masks(values[:, None])) for name, values in self.maps(x, y).items()}

    def maps(self, x: Mapping[str, Measured], y: Mapping[str, Measured]) -> dict[str, Float[Tensor, "n h w"]]:
        """Σ_c w_c (x̂ - ŷ)² at each position."""
        found = {}
        for name in self.layers:
            map_x, map_y = maps_of_one_size("LPIPS", x[name], y[name])
            weights = self.constants[name].to(map_x.device, torch.promote_types(map_x.dtype, map_y.dtype))
            # On a CPU as many pictures at a time as fit into its cache; a GPU is fastest with all at once.
            count = max(1, _CACHED // map_x[0].numel()) if map_x.device.type == "cpu" else len(map_x)
            pairs = zip(torch.split(map_x, count), torch.split(map_y, count), strict=True)
            found[name] = torch.cat([torch.einsum("nchw,c->nhw", (a - b).square(), weights) for a, b in pairs])
        return found

    def formula(self) -> list[str]:
        """The layers and the distance."""
        weights = f"calibrated weights of version {self.version}" if self.calibrated else "1"
        return [f"1 · lpips ({name})" for name in self.layers] + [
            f"with lpips = mean over positions of Σ_c w_c (x/‖x‖ - y/‖y‖)², w {weights} for {self.net}"
        ]


def _network(net: str, backbone: Backbone | Trunk | None) -> Network:
    network: Network
    if isinstance(backbone, Trunk | VGG):
        network = backbone if isinstance(backbone, Trunk) else load_network(backbone)
    elif net == "vgg":
        network = load_network(backbone or "vgg16-convolutions")
    else:
        weights = backbone.name if isinstance(backbone, WeightsRecord) else backbone
        assert not isinstance(weights, Plan)
        network = Trunk.load(_TRUNKS[net], weights or "auto")
    expected = _TRUNKS.get(net, "vgg16")
    if network.name != expected:
        raise SettingsError(
            f"LPIPS with net='{net}' is calibrated on {expected}, not {network.name}", f"pass a network {expected}"
        )
    return network


@normal_tensors()
def _weights(net: str, version: str, layers: tuple[str, ...], *, calibrated: bool) -> dict[str, Tensor]:
    numbers = _published("lpips")
    found = {layer: numbers[f"{version}.{net}.{i}"] for i, layer in enumerate(layers)}
    return {layer: w.clone() if calibrated else torch.ones_like(w) for layer, w in found.items()}


def _unit(features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Features of length 1. The small number is outside the root, as published; the norm's gradient is 0 at 0.

    The backward pass of a product with the reciprocal is faster than that of a quotient.
    """
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    return features * (length(features, 1)[:, None] + 1e-10).reciprocal()
