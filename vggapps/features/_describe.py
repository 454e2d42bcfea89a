"""Pictures as rows of numbers: a layer's output, pooled, for any number of pictures in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from vggapps.datasets._reading import Reading, read_pictures, to_tensor
from vggapps.errors import SettingsError, VggappsError, argument, unknown
from vggapps.image import center
from vggapps.image._opening import Source
from vggapps.vgg._network import VGG
from vggapps.vgg._plan import Pooled, layer_facts
from vggapps.vgg._pooling import Summarize

Pool = Literal["avg", "max", "avg+max", "pyramid", "none"]
POOLS: tuple[Pool, ...] = get_args(Pool)
CELLS = (1, 2, 4)  # a side, of a pyramid's levels
BATCH = 8  # pictures that run together
_MOST_ROWS, _MOST_NUMBERS = 256, 1 << 24  # of a chunk: 64 MiB of float32


@dataclass(frozen=True)
class Descriptor:
    """What a picture's row is made of: all that another program needs to make the same.

    Attributes:
        network: the plan's name, ``vgg19``.
        weights: the name of its weights, ``vgg19-installed``.
        layer: whose output it is.
        pool: how a map became a row, one of ``POOLS``; ``none`` where the layer is a row already.
        size: side of the square in the middle, in pixels; the shorter side was scaled to 256/224 of it before.
        dtype: in which the convolutions ran, ``float32`` or ``bfloat16``.
    """

    network: str
    weights: str
    layer: str
    pool: str
    size: int = 224
    dtype: str = "float32"


@dataclass(frozen=True, eq=False)
class Chunk:
    """The rows of some consecutive pictures.

    Attributes:
        start: index of the first of these pictures among all.
        stop: index of the first that follows them.
        kept: indices of those that a row is of; float32 ``rows`` has shape (len(kept), d).
        errors: what is wrong with the others, by index.
    """

    start: int
    stop: int
    kept: tuple[int, ...]
    rows: NDArray[np.float32]
    errors: Mapping[int, VggappsError]


def describe(network: VGG, layer: str, pool: str = "avg", size: int = 224) -> Descriptor:
    """What rows of this network are; checks the words.

    Raises:
        SettingsError: no such layer or pooling, or a size that leaves nothing at the layer.
    """
    (layer,) = network.check([layer])
    if pool not in POOLS:
        raise unknown("pooling", pool, POOLS)
    is_map = len(_shape(network, layer, size)) == 3
    dtype = str(network.dtype).removeprefix("torch.")
    return Descriptor(network.plan.name, network.weights_name, layer, pool if is_map else "none", size, dtype)


def width(network: VGG, layer: str, pool: str = "avg", size: int = 224) -> int:
    """Numbers in a row, d."""
    channels, *sides = _shape(network, layer, size)
    counts = {"avg": 1, "max": 1, "avg+max": 2, "pyramid": sum(n * n for n in CELLS), "none": int(np.prod(sides))}
    return channels * (counts[pool] if sides else 1)


def chunk_size(numbers: int) -> int:
    """How many pictures of rows of so many numbers make a chunk: whole batches, 256 pictures or 64 MiB at most."""
    return max(BATCH, min(_MOST_ROWS, _MOST_NUMBERS // numbers) // BATCH * BATCH)


def pooled(features: Float[Tensor, "n c *hw"], pool: str) -> Float[Tensor, "n d"]:
    """A layer's output as a row a picture, float32.

    ``avg`` and ``max`` over all positions; ``avg+max`` one after the other; ``pyramid`` averages over 1×1, 2×2 and
    4×4 cells, one level after the other (Lazebnik et al., Beyond Bags of Features, CVPR 2006; average for their
    histograms); ``none`` the map itself. Within a level, and in ``none``, the order is channel, row, column. What is
    a row already stays so.
    """
    features = features.float()  # sums of 196 numbers would lose digits in bfloat16
    if features.ndim == 2:
        return features
    match pool:
        case "avg" | "max" | "avg+max":  # as the head `gap` will see it
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
    size: int = 224,
    first: int = 0,
    workers: int | None = None,
) -> Iterator[Chunk]:
    """The rows of pictures, a chunk at a time; at most a chunk is in memory.

    Of each picture the shorter side is scaled to 256/224 of ``size`` and the square in the middle is taken, as the
    published accuracies are measured. Batches never reach over a chunk's end, so that a run that goes on from one
    has the very numbers of a run that never stopped.

    Args:
        sources: paths, or files' bytes.
        network: frozen, on its device; see :func:`~vggapps.weights._backbone.load_network`.
        layer: ``pool5``, ``relu5_3``, ``fc7``.
        pool: how a map becomes a row, see :func:`pooled`; nothing to a layer that is a row already.
        size: side of the square, in pixels.
        first: index of the picture to begin with: the ``stop`` of an earlier run's chunk.
        workers: processes that read; see :func:`~vggapps.datasets.read_pictures`.

    Raises:
        SettingsError: no such layer or pooling, or a size that leaves nothing at the layer.
    """
    describe(network, layer, pool, size)
    return _chunks(sources, network, layer, pool, size, first, workers)


def _chunks(
    sources: Sequence[Source], network: VGG, layer: str, pool: str, size: int, first: int, workers: int | None
) -> Iterator[Chunk]:
    numbers = width(network, layer, pool, size)
    step = chunk_size(numbers)
    readings = read_pictures(sources[first:], [round(size * 256 / 224)], workers)
    for start in range(first, len(sources), step):
        kept: list[int] = []
        errors: dict[int, VggappsError] = {}
        rows = [np.empty((0, numbers), np.float32)]
        for batch in _batches(islice(readings, step), first, errors):
            pictures = torch.cat([center(to_tensor(reading.scales[0]), size) for reading in batch])
            rows.append(_run(network, pictures, layer, pool))
            kept += [first + reading.index for reading in batch]
        yield Chunk(start, min(start + step, len(sources)), tuple(kept), np.concatenate(rows), errors)


def _batches(readings: Iterator[Reading], first: int, errors: dict[int, VggappsError]) -> Iterator[list[Reading]]:
    """Pictures that can be read, a few at a time; the errors of the others are put down."""
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
