"""What is learnt on descriptors, and how it becomes the end of a network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from vggapps.errors import SettingsError, argument
from vggapps.features._fitting import Layers, rooted, through
from vggapps.vgg._plan import SUMMARIES, Pooled
from vggapps.vgg._radial import Radial
from vggapps.weights._heads import write_head
from vggapps.weights._labels import imagenet


@dataclass(frozen=True, eq=False)
class Head:
    """Layers on top of a descriptor; called with descriptors (n, d), gives logits (n, classes).

    Attributes:
        network, weights, layer, pool: of the descriptor, see :class:`~vggapps.features.Descriptor`.
        root: whether the descriptor's signed square root is taken first (Perronnin et al., ECCV 2010, section 3.2).
        mean, deviation: (d,), subtracted and divided by then.
        layers: (weight, bias) of one linear layer, or of two with a ReLU between.
        radial: what comes before the one linear layer, of standardised descriptors; None in other heads.
        labels: names of the outputs.
        temperature: what logits are to be divided by for calibrated probabilities.
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

    def __call__(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n classes"]:
        """Logits, before the temperature."""
        standardised = (rooted(rows, self.root) - self.mean) / self.deviation
        return through(self.layers, standardised if self.radial is None else self.radial(standardised))


def save_head(path: str | Path, head: Head) -> None:
    """Write a head to a .safetensors file that the backbone of ``Classifier`` and ``load_vgg`` read.

    The standardisation is folded into the first layer. On ``relu7`` of a full network it takes the last layer's place.

    Raises:
        SettingsError: another suffix, weights that are not on record, or features that no network's head begins with.
        WeightsError: a folder that can't be written.
    """
    tensors, hidden = _folded(head)
    write = partial(
        write_head,
        network=head.network,
        base=head.weights,
        classes=() if head.labels == tuple(label.name for label in imagenet()) else head.labels,
        temperature=head.temperature,
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
    """The tensors of a network's head, which does not standardise, and the width of its hidden layer."""
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
