"""Heads that probes learn, and saving them as the end of a network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError, argument
from vggapps.features._fitting import Layers, apply_layers, rooted
from vggapps.vgg._exact import Radial
from vggapps.vgg._plan import SUMMARIES, Pooled
from vggapps.weights._heads import write_head
from vggapps.weights._labels import imagenet


@dataclass(frozen=True, eq=False)
class Head:
    """A classifier on features: maps rows (n, d) to logits (n, classes).

    Attributes:
        network, weights, layer, pool, size: of the features, see :class:`~vggapps.features.Descriptor`.
        root: whether the signed square root is applied first (Perronnin et al., ECCV 2010, section 3.2).
        mean, deviation: (d,), of the standardization that follows.
        layers: (weight, bias) of one linear layer, or of two with a ReLU between.
        labels: names of the outputs.
        temperature: divides the logits for calibrated probabilities.
        radial: radial basis functions of the standardized features, before the linear layer; None for other kinds.
    """

    network: str
    weights: str
    layer: str
    pool: str
    root: bool
    mean: Float[Tensor, " d"]
    deviation: Float[Tensor, " d"]
    layers: Layers
    labels: tuple[str, ...]
    temperature: float = 1.0
    radial: Radial | None = None
    size: int = 224

    def __call__(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n classes"]:
        """Logits, before the temperature."""
        standardized = (rooted(rows, self.root) - self.mean) / self.deviation
        return apply_layers(self.layers, standardized if self.radial is None else self.radial(standardized))


def save_head(path: str | Path, head: Head) -> None:
    """Write a head to a .safetensors file, for ``Classifier(backbone=...)`` and ``load_vgg``.

    The standardization is folded into the first layer. A head on ``relu7`` replaces the last layer of a full network.

    Raises:
        SettingsError: another suffix, unknown weights, or features to which no network's head can be attached.
        WeightsError: the folder can't be written.
    """
    tensors, hidden = _folded(head)
    write = partial(
        write_head,
        network=head.network,
        base=head.weights,
        classes=() if head.labels == tuple(label.name for label in imagenet()) else head.labels,
        temperature=head.temperature,
        crop=head.size,
    )
    if head.pool in SUMMARIES:
        pooled = Pooled(head.layer, head.pool, head.root, hidden, radial=head.radial is not None)
        write(path, tensors, head="gap", pooled=pooled)
    elif head.layer in ("relu7", "drop7") and not hidden and not head.root:
        write(path, tensors, head="fc")
    else:
        what = f"{head.layer} pooled as {head.pool}" if head.pool != "none" else head.layer
        raise SettingsError(
            f"no network has a head on {what}",
            f"extract with {argument('pool')} avg, max or avg+max; or relu7, and use {argument('kind', 'linear')}",
        )


def _folded(head: Head) -> tuple[dict[str, Tensor], int]:
    """The tensors of a head with the standardization folded in, and the width of its hidden layer."""
    first, *rest = head.layers
    if head.radial:
        scale = head.radial.scale / head.deviation
        tensors = {"fc7.weight": head.radial.weight, "fc7.scale": scale, "fc7.bias": -head.mean * scale}
        folded = [first]
    else:
        tensors = {}
        weight = first[0] / head.deviation
        folded = [(weight, first[1] - weight @ head.mean), *rest]
    for name, (w, b) in zip(("fc7", "fc8")[-len(folded) :], folded, strict=True):
        tensors |= {f"{name}.weight": w, f"{name}.bias": b}
    hidden = len(tensors["fc7.weight"]) if "fc7.weight" in tensors else 0
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}, hidden
