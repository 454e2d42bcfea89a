"""Feature extraction: a layer's output, pooled, for any number of pictures in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from vggapps.datasets._reading import Reading, read_pictures, to_tensor
from vggapps.errors import SettingsError, VggappsError, argument, unknown
from vggapps.features._settings import Pool
from vggapps.image import center_crop
from vggapps.image._opening import Source
from vggapps.vgg._facts import layer_facts
from vggapps.vgg._network import VGG
from vggapps.vgg._plan import Pooled
from vggapps.vgg._pooling import Summarize

POOLS: tuple[Pool, ...] = get_args(Pool)
CELLS = (1, 2, 4)  # per side, for each level of a pyramid
BATCH = 8  # pictures per forward pass
_MOST_ROWS, _MOST_NUMBERS = 256, 1 << 24  # of a chunk: 64 MiB of float32


@dataclass(frozen=True)
class Descriptor:
    """How a row of features was computed, sufficient to reproduce it.

    Attributes:
        network: name of the plan, ``vgg19``.
        weights: name of the weights, ``vgg19-installed``.
        layer: name of the layer.
        pool: one of ``POOLS``; ``none`` if the layer's output is a vector.
        size: side of the center crop in pixels.
        dtype: of the convolutions, ``float32`` or ``bfloat16``.
    """

    network: str
    weights: str
    layer: str
    pool: str
    size: int = 224
    dtype: str = "float32"


@dataclass(frozen=True, eq=False)
class Chunk:
    """Features of consecutive pictures.

    Attributes:
        start: index of the first picture.
        stop: index after the last picture.
        kept: indices of the pictures that could be read.
        rows: their features, float32, (len(kept), d).
        errors: the errors of the others, by index.
    """

    start: int
    stop: int
    kept: tuple[int, ...]
    rows: NDArray[np.float32]
    errors: Mapping[int, VggappsError]


def describe(network: VGG, layer: str, pool: str = "avg", size: int | None = None) -> Descriptor:
    """Validate the arguments of an extraction and describe its rows."""
    (layer,) = network.check([layer])
    size = network.convention.crop if size is None else size
    if pool not in POOLS:
        raise unknown("pooling", pool, POOLS)
    is_map = len(_shape(network, layer, size)) == 3
    dtype = str(network.dtype).removeprefix("torch.")
    return Descriptor(network.plan.name, network.weights_name, layer, pool if is_map else "none", size, dtype)


def width(network: VGG, layer: str, pool: str, size: int) -> int:
    """Numbers in a row, d."""
    channels, *sides = _shape(network, layer, size)
    counts = {"avg": 1, "max": 1, "avg+max": 2, "pyramid": sum(n * n for n in CELLS), "none": int(np.prod(sides))}
    return channels * (counts[pool] if sides else 1)


def scaled_side(network: VGG, size: int) -> int:
    """The shorter side in pixels to which a picture is scaled before the center crop of this size."""
    return round(size * network.convention.resize / network.convention.crop)


def chunk_size(numbers: int) -> int:
    """Pictures per chunk for rows of this length: whole batches, at most 256 pictures or 64 MiB."""
    return max(BATCH, min(_MOST_ROWS, _MOST_NUMBERS // numbers) // BATCH * BATCH)


def pooled(features: Float[Tensor, "n c *hw"], pool: str) -> Float[Tensor, "n d"]:
    """Pool a layer's output to one row per picture, float32; vectors are returned unchanged.

    ``avg`` and ``max`` over all positions; ``avg+max`` concatenates both; ``pyramid`` concatenates averages over 1×1,
    2×2 and 4×4 cells (Lazebnik et al., Beyond Bags of Features, CVPR 2006, with averages instead of histograms);
    ``none`` flattens the map. Within a level, and for ``none``, the order is channel, row, column.
    """
    features = features.float()  # bfloat16 is too coarse for sums of 196 numbers
    if features.ndim == 2:
        return features
    match pool:
        case "avg" | "max" | "avg+max":  # as in the head `gap`
            row: Tensor = Summarize(Pooled(summary=pool))(features)
            return row
        case "pyramid":
            return torch.cat([F.adaptive_avg_pool2d(features, n).flatten(1) for n in CELLS], 1)
        case "none":
            return features.flatten(1)
    raise unknown("pooling", pool, POOLS)


def extract_chunks(
    sources: Sequence[Source],
    network: VGG,
    layer: str,
    pool: str = "avg",
    *,
    size: int | None = None,
    first: int = 0,
    workers: int | None = None,
) -> Iterator[Chunk]:
    """Extract features chunk by chunk; at most one chunk is in memory.

    Each picture is scaled and its center is cropped as for classification, other sizes in the same proportion: 256/224
    for published networks. Batches do not cross chunks, so that a resumed run gives exactly the same numbers.

    Args:
        sources: paths, or contents of files.
        network: frozen, on its device; see :func:`~vggapps.weights._backbone.load_network`.
        layer: ``pool5``, ``relu5_3``, ``fc7``.
        pool: how a feature map becomes a row, see :func:`pooled`; ignored for vectors.
        size: side of the crop in pixels; by default that of the network's training.
        first: index of the first picture: the ``stop`` of an earlier chunk, to resume.
        workers: worker processes that read, see :func:`~vggapps.datasets.read_pictures`.

    Raises:
        SettingsError: no such layer or pooling, or a size too small for the layer.
    """
    return _chunks(sources, network, describe(network, layer, pool, size), first, workers)


def _chunks(
    sources: Sequence[Source], network: VGG, how: Descriptor, first: int, workers: int | None
) -> Iterator[Chunk]:
    numbers = width(network, how.layer, how.pool, how.size)
    step = chunk_size(numbers)
    readings = read_pictures(sources[first:], [scaled_side(network, how.size)], workers)
    for start in range(first, len(sources), step):
        kept: list[int] = []
        errors: dict[int, VggappsError] = {}
        rows = [np.empty((0, numbers), np.float32)]
        for batch in _batches(islice(readings, step), first, errors):
            pictures = torch.cat([center_crop(to_tensor(reading.scales[0]), how.size) for reading in batch])
            rows.append(_run(network, pictures, how.layer, how.pool))
            kept += [first + reading.index for reading in batch]
        yield Chunk(start, min(start + step, len(sources)), tuple(kept), np.concatenate(rows), errors)


def _batches(readings: Iterator[Reading], first: int, errors: dict[int, VggappsError]) -> Iterator[list[Reading]]:
    """Batches of readable pictures; the errors of the others are added to ``errors``."""
    batch: list[Reading] = []
    for reading in readings:
        if reading.error:
            errors[first + reading.index] = reading.error
            continue
        batch.append(reading)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


@torch.inference_mode()
def _run(network: VGG, pictures: Tensor, layer: str, pool: str) -> NDArray[np.float32]:
    weight = network.conv1_1.weight
    pictures = pictures.to(weight.device, memory_format=torch.channels_last)
    rows: NDArray[np.float32] = pooled(network.features(pictures, [layer])[layer], pool).cpu().numpy()
    return rows


def _shape(network: VGG, layer: str, size: int) -> tuple[int, ...]:
    if size < 1:
        raise SettingsError(f"{argument('size')} is {size}", "it must be at least 1")
    classes = len(network.get_parameter("fc8.weight")) if "fc8" in network.layer_names else 1000
    facts = layer_facts(network.plan, size, network.head, classes, network.pooled)
    return next(fact.shape for fact in facts if fact.name == layer)
