"""Explanations by perturbation, without gradients: parts of the picture are hidden.

Hidden pixels have the color of :meth:`~vggapps.explanation.Question.blank`. ``batch`` is the number of pictures per
forward pass; ``watch`` wraps the steps of each picture, to show progress.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vggapps.explanation._question import Question, Watch
from vggapps.vgg._wrapped import as_network

Images = Float[Tensor, "n 3 h w"]
Maps = Float[Tensor, "n 1 h w"]


@torch.no_grad()
def occlusion(
    question: Question,
    image: Images,
    patch: int | None = None,
    stride: int | None = None,
    batch: int = 8,
    watch: Watch = iter,
) -> Maps:
    """Drop of the score when a square patch hides a pixel, averaged over all such patches; signed.

    M. Zeiler, R. Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014 (arXiv 1311.2901), section
    4.2. ``patch`` is the side in pixels, by default a seventh of the crops on which a VGG was trained, 32 at 224;
    ``stride``, by default half of it, should be at most that, or pixels between patches stay zero.
    """
    convention = as_network(question.network).convention
    if patch is None:
        patch = max(1, round(convention.crop / 7)) if convention else 32
    stride = -(-patch // 2) if stride is None else stride
    height, width = image.shape[2:]
    places = [
        (slice(top, top + patch), slice(left, left + patch))
        for top in _starts(height, patch, stride)
        for left in _starts(width, patch, stride)
    ]
    blank, found = question.blank(image), []
    for i, picture in enumerate(torch.split(image, 1)):
        one = question.about(i)
        whole = one.score(picture)
        total, count = whole.new_zeros(height, width), whole.new_zeros(height, width)
        for k in watch(range(0, len(places), batch)):
            these = places[k : k + batch]
            hidden = picture.repeat(len(these), 1, 1, 1)
            for row, (down, across) in enumerate(these):
                hidden[row, :, down, across] = blank[i, :, down, across]
            for (down, across), drop in zip(these, whole - one.score(hidden), strict=True):
                total[down, across] += drop
                count[down, across] += 1
        found.append(total / count.clamp(min=1))
    return torch.stack(found)[:, None]


@torch.no_grad()
def rise(
    question: Question,
    image: Images,
    samples: int = 1000,
    cells: int = 7,
    seed: int = 0,
    batch: int = 8,
    watch: Watch = iter,
) -> Maps:
    """Mean confidence over random masks that show a pixel, minus that over all masks.

    V. Petsiuk, A. Das, K. Saenko, RISE: Randomized Input Sampling for Explanation of Black-box Models, BMVC 2018 (arXiv
    1806.07421), equation 6, with two changes that preserve the order of the pixels for many masks: the sum is divided
    by the sum of the masks instead of its expectation, and the mean confidence is subtracted. A network that ignores
    the picture thus gives exactly zero.

    Args:
        question: what is explained.
        image: RGB in [0, 1].
        samples: number of masks. The paper uses 4,000 for VGG-16; fewer give a noisier map.
        cells: of the masks' grid along the shorter side.
        seed: of the masks, the same for each picture.
    """
    size = (image.shape[2], image.shape[3])
    blank, found = question.blank(image), []
    for i, picture in enumerate(torch.split(image, 1)):
        one = question.about(i)
        masks = random_masks(size, samples, cells, seed, batch)
        weighted = visible = total = torch.zeros((), device=image.device)
        for _, some in zip(watch(range(0, samples, batch)), masks, strict=True):
            mask = some.to(image)
            confidence = one.confidence(torch.lerp(blank[i : i + 1], picture, mask))
            weighted = weighted + (confidence.view(-1, 1, 1, 1) * mask).sum(0)
            visible, total = visible + mask.sum(0), total + confidence.sum()
        found.append(torch.where(visible > 0, weighted / visible - total / samples, 0))
    return torch.stack(found)


def random_masks(
    size: tuple[int, int], count: int, cells: int = 7, seed: int = 0, batch: int = 8
) -> Iterator[Float[Tensor, "b 1 h w"]]:
    """RISE's masks in batches: coarse binary grids, upsampled bilinearly and shifted (section 3.2).

    Values are in [0, 1] with mean 1/2, and do not depend on the batch size.
    """
    generator = torch.Generator().manual_seed(seed)
    cell = -(-min(size) // cells)
    rows, columns = (-(-side // cell) + 1 for side in size)  # one more, for shifts of up to a cell
    grids = torch.randint(2, (count, 1, rows, columns), generator=generator).float()
    shifts = torch.randint(cell, (count, 2), generator=generator).tolist()
    for k in range(0, count, batch):
        some = F.interpolate(grids[k : k + batch], scale_factor=cell, mode="bilinear", align_corners=False).clamp(0, 1)
        parts = zip(some, shifts[k : k + batch], strict=True)
        yield torch.stack([mask[:, y : y + size[0], x : x + size[1]] for mask, (y, x) in parts])


def _starts(side: int, patch: int, stride: int) -> range:
    """Start positions of patches; the last patch reaches the border."""
    return range(0, max(side - patch, 0) + stride, stride)
