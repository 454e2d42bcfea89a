"""Explanations by trying: what a network says of a picture of which a part is hidden.

What is hidden has the colour of :meth:`~vggapps.explanation.Question.blank`. No slopes are needed.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vggapps.explanation._question import Question, Watch

Images = Float[Tensor, "n 3 h w"]
Maps = Float[Tensor, "n 1 h w"]


@torch.no_grad()
def occlusion(
    question: Question, image: Images, patch: int = 32, stride: int = 16, batch: int = 8, watch: Watch = iter
) -> Maps:
    """How much of the score goes when a square patch hides a pixel: the mean over all patches that do.

    M. Zeiler, R. Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014 (arXiv 1311.2901), section
    4.2.

    Args:
        question: what is explained.
        image: RGB in [0, 1].
        patch: side in pixels.
        stride: pixels from patch to patch; at most ``patch``, or some pixels are never hidden and stay zero.
        batch: patches that go through the network together.
        watch: shown the steps of each picture.

    Returns:
        In units of the score, signed.
    """
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
    """How much more confident the network is, on average over random masks, of those that show a pixel.

    V. Petsiuk, A. Das, K. Saenko, RISE: Randomized Input Sampling for Explanation of Black-box Models, BMVC 2018 (arXiv
    1806.07421), equation 6, with two changes that keep the order of the pixels in the limit of many masks: the sum is
    divided by the sum of the masks, not by its expectation, and the mean confidence is subtracted. So a network that
    pays no heed to the picture gives zero, with any number of masks.

    Args:
        question: what is explained.
        image: RGB in [0, 1].
        samples: masks. The paper takes 4,000 for VGG-16; with fewer the map is the same but noisier.
        cells: of the masks' grid, along the shorter side.
        seed: of the masks, the same for each picture.
        batch: masked pictures that go through the network together; no more are in memory.
        watch: shown the steps of each picture.

    Returns:
        A probability's change for a class, and a response's for a layer; signed.
    """
    size = (image.shape[2], image.shape[3])
    blank, found = question.blank(image), []
    for i, picture in enumerate(torch.split(image, 1)):
        one = question.about(i)
        masks = random_masks(size, samples, cells, seed, batch)
        weighted = shown = said = torch.zeros((), device=image.device)
        for _, some in zip(watch(range(0, samples, batch)), masks, strict=True):
            mask = some.to(image)
            confidence = one.confidence(torch.lerp(blank[i : i + 1], picture, mask))
            weighted = weighted + (confidence.view(-1, 1, 1, 1) * mask).sum(0)
            shown, said = shown + mask.sum(0), said + confidence.sum()
        found.append(torch.where(shown > 0, weighted / shown - said / samples, 0))
    return torch.stack(found)


def random_masks(
    size: tuple[int, int], count: int, cells: int = 7, seed: int = 0, batch: int = 8
) -> Iterator[Float[Tensor, "b 1 h w"]]:
    """RISE's masks, some at a time: coarse grids of zeros and ones, enlarged smoothly and shifted (section 3.2).

    Args:
        size: (height, width) in pixels.
        count: how many.
        cells: of the grid, along the shorter side; they are square, so the longer side has more.
        seed: gives the same masks whatever the batch.
        batch: how many at a time.

    Returns:
        Each pixel is shown with probability one half: values in [0, 1] with that mean.
    """
    generator = torch.Generator().manual_seed(seed)
    cell = -(-min(size) // cells)
    rows, columns = (-(-side // cell) + 1 for side in size)  # one more, since they are shifted by up to a cell
    grids = torch.randint(2, (count, 1, rows, columns), generator=generator).float()
    shifts = torch.randint(cell, (count, 2), generator=generator).tolist()
    for k in range(0, count, batch):
        some = F.interpolate(grids[k : k + batch], scale_factor=cell, mode="bilinear", align_corners=False).clamp(0, 1)
        parts = zip(some, shifts[k : k + batch], strict=True)
        yield torch.stack([mask[:, y : y + size[0], x : x + size[1]] for mask, (y, x) in parts])


def _starts(side: int, patch: int, stride: int) -> range:
    """Where patches begin, so that the last one reaches the border."""
    return range(0, max(side - patch, 0) + stride, stride)
