"""Whether an explanation tells what the network heeds: pictures changed by what a map says, and the score after it.

A map is what any method gives: one number for each position, at any size, or one for each colour of each pixel, which
are added up. Only the order of its numbers counts, but for :func:`average_drop`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from kornia.filters import gaussian_blur2d
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.explanation._question import Question

STEPS = 28  # at 224 pixels 8 × 224 pixels each, as Score-CAM's authors count (Wang et al., 2020, section 4.2)
BATCH = 8  # pictures that run together
ROAD = tuple(percent / 100 for percent in range(10, 100, 10))  # the shares of pixels that are taken away
_NOISE = 0.01  # deviation
_EXACT = 1e-4  # largest misfit of a pixel that is filled in; its value is then right to 1e-3, a tenth of the noise
_ROUNDS = 100  # a limit for what never comes near
_COARSEST = 4  # pixels a side of the coarsest grid
_DAMPED = 0.8  # Jacobi's step: a whole one would not damp the finest waves

Images = Float[Tensor, "n 3 h w"]
Maps = Float[Tensor, "n c h2 w2"]
Scores = Float[Tensor, " n"]


@torch.no_grad()
def measure_faithfulness(
    question: Question, image: Float[Tensor, "1 3 h w"], map: Maps, seed: int = 0
) -> dict[str, float]:
    """How faithful a map is, by all measures.

    Args:
        question: what the map explains.
        image: RGB in [0, 1].
        map: as a method gives it.
        seed: of ROAD's noise.

    Returns:
        ``deletion`` (lower is better), ``insertion`` (higher), ``road`` with ``road-morf`` (lower) and ``road-lerf``
        (higher), ``drop`` in percent (lower), ``increase``, 1 or 0 (higher); and for the pixels' own attributions
        ``completeness`` (lower).
    """
    if len(image) != 1 or len(map) != 1:
        raise SettingsError(f"{len(map)} maps of {len(image)} pictures", "evaluate one at a time")
    most, least = road(question, image, map, seed)
    found = {
        "deletion": deletion(question, image, map),
        "insertion": insertion(question, image, map),
        "road": (least - most) / 2,
        "road-morf": most,
        "road-lerf": least,
        "drop": average_drop(question, image, map),
        "increase": increase(question, image, map).float(),
    }
    if map.shape[1:] == image.shape[1:]:
        found["completeness"] = completeness(question, image, map)
    return {name: float(value) for name, value in found.items()}


@torch.no_grad()
def deletion(question: Question, image: Images, map: Maps, steps: int = STEPS) -> Scores:
    """The area under the confidence while the most relevant pixels first become the mean colour: low if they matter.

    V. Petsiuk, A. Das, K. Saenko, RISE, BMVC 2018 (arXiv 1806.07421), section 4.1; the mean colour is zero to the
    network, see :meth:`~vggapps.explanation.Question.blank`. Each step takes the same share of the pixels.
    """
    return _area(question, image, question.blank(image), map, steps)


@torch.no_grad()
def insertion(question: Question, image: Images, map: Maps, steps: int = STEPS) -> Scores:
    """The same while the most relevant pixels first come back into a blurred picture: high if they matter.

    The blur is a Gaussian's of 11 pixels and sigma 5, as in RISE's code.
    """
    return _area(question, gaussian_blur2d(image, (11, 11), (5.0, 5.0)), image, map, steps)


@torch.no_grad()
def road(question: Question, image: Images, map: Maps, seed: int = 0) -> tuple[Scores, Scores]:
    """The mean confidence without the most, and without the least relevant 10, 20, ... 90 % of the pixels.

    Y. Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods (ROAD), ICML 2022 (arXiv
    2202.00449). What is taken away is filled in from its neighbours, with a little noise, so that the mask itself says
    nothing. (least - most) / 2 combines the two: the larger the better.
    """
    order, found = _order(map, image), []
    for i, picture in enumerate(torch.split(image, 1)):
        generator = torch.Generator().manual_seed(seed)
        most = torch.cat([order[i : i + 1] < share for share in ROAD])
        least = torch.cat([order[i : i + 1] >= 1 - share for share in ROAD])
        known = ~torch.cat([most, least])
        pictures = impute(picture.expand(len(known), -1, -1, -1), known)
        noise = torch.randn(pictures.shape, generator=generator).to(pictures)
        said = _confidence(question.about(i), torch.where(known, pictures, pictures + _NOISE * noise))
        found.append(said.view(2, -1).mean(1))
    most_first, least_first = torch.stack(found, 1)
    return most_first, least_first


@torch.no_grad()
def average_drop(question: Question, image: Images, map: Maps) -> Scores:
    """Percent of the confidence that is lost where the map is dark: 100 · max(0, y - o) / y.

    A. Chattopadhyay et al., Grad-CAM++, WACV 2018 (arXiv 1710.11063), section 4.1: o is of the picture times the map,
    in the numbers that the network sees; the map's negative part is left out, its maximum is 1.
    """
    whole, lit = _lit(question, image, map)
    return 100 * (whole - lit).clamp(min=0) / whole.clamp(min=torch.finfo(whole.dtype).tiny)


@torch.no_grad()
def increase(question: Question, image: Images, map: Maps) -> Bool[Tensor, " n"]:
    """Whether the confidence is higher for the picture times the map than for the whole."""
    whole, lit = _lit(question, image, map)
    return lit > whole


@torch.no_grad()
def completeness(question: Question, image: Images, map: Images) -> Scores:
    """How far attributions are from adding up to the score's change: |ΣR - (f(x) - f(x'))| / |f(x) - f(x')|.

    x' is the picture that says nothing, see :meth:`~vggapps.explanation.Question.blank`; above 0.05 is a warning.
    """
    change = question.score(image) - question.score(question.blank(image))
    return (map.flatten(1).sum(1) - change).abs() / change.abs().clamp(min=torch.finfo(change.dtype).tiny)


@torch.no_grad()
def impute(image: Images, known: Bool[Tensor, "n 1 h w"]) -> Images:
    """Fill in what is not known: each pixel the mean of its neighbours, direct ones with weight 2, diagonal ones 1.

    The sparse linear system of ROAD's section 5, for all pictures at once, by conjugate gradients that are
    preconditioned with a multigrid cycle (W. Briggs, V. Henson, S. McCormick, A Multigrid Tutorial, 2000, chapter 3):
    some dozen rounds, however large the holes. A picture of which nothing is known becomes grey.
    """
    tiny = torch.finfo(image.dtype).tiny
    # Channels last, with which a convolution of each channel by itself is ten times as fast.
    x = torch.where(known, image, 0.5).contiguous(memory_format=torch.channels_last)
    grids = _grids((~known).to(image))
    residue = -_misfit(x, grids[0])
    direction = _cycle(residue, grids)
    size = (residue * direction).sum((2, 3), keepdim=True)
    for _ in range(_ROUNDS):
        if residue.abs().max() < _EXACT:
            break
        bent = _misfit(direction, grids[0])
        step = size / (direction * bent).sum((2, 3), keepdim=True).clamp(min=tiny)
        x, residue = x + step * direction, residue - step * bent
        better = _cycle(residue, grids)
        new = (residue * better).sum((2, 3), keepdim=True)
        direction = better + new / size.clamp(min=tiny) * direction
        size = new
    return x


Grid = tuple[Tensor, Tensor]  # 1 in holes and 0 elsewhere; how much neighbours weigh together, less at the border


def _grids(hole: Float[Tensor, "n 1 h w"]) -> list[Grid]:
    """The picture, and coarser and coarser ones, in which a hole is what has nothing but holes in it."""
    found = [(hole, _neighbours(torch.ones_like(hole)))]
    while min(hole.shape[2:]) > _COARSEST:
        hole = (F.avg_pool2d(hole, 2, ceil_mode=True) == 1).to(hole)
        found.append((hole, _neighbours(torch.ones_like(hole))))
    return found


def _misfit(x: Images, grid: Grid) -> Images:
    """How far each pixel of a hole is from its neighbours' mean, times their weight."""
    hole, weight = grid
    return hole * (weight * x - _neighbours(x))


def _cycle(residue: Images, grids: list[Grid]) -> Images:
    """What changes the misfit by about the residue: short waves are found here, long ones on coarser grids."""
    (hole, weight), *coarser = grids
    x = _DAMPED * residue / weight
    if coarser:
        height, width = residue.shape[2:]
        left = F.pad(residue - _misfit(x, grids[0]), (0, width % 2, 0, height % 2))
        long = _cycle(4 * coarser[0][0] * F.avg_pool2d(left, 2), coarser)
        x = x + hole * F.interpolate(long, scale_factor=2, mode="nearest")[:, :, :height, :width]
    return x + _DAMPED * (residue - _misfit(x, grids[0])) / weight


def _neighbours(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """The weighted sum of the eight; beyond the border there is nothing."""
    kernel = torch.tensor([[1, 2, 1], [2, 0, 2], [1, 2, 1]], dtype=x.dtype).to(x.device) / 12
    return F.conv2d(x, kernel.expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])


def _area(question: Question, start: Images, end: Images, map: Maps, steps: int) -> Scores:
    """Under the confidence while the most relevant pixels first go from one picture to the other; from 0 to 1 wide."""
    order, found = _order(map, start), []
    shares = torch.linspace(0, 1, steps + 1).to(order).view(-1, 1, 1, 1)
    for i in range(len(start)):
        pictures = torch.where(order[i : i + 1] < shares, end[i : i + 1], start[i : i + 1])
        found.append(torch.trapezoid(_confidence(question.about(i), pictures), shares.flatten()))
    return torch.stack(found)


def _confidence(question: Question, pictures: Images) -> Scores:
    return torch.cat([question.confidence(some) for some in torch.split(pictures, BATCH)])


def _order(map: Maps, image: Images) -> Float[Tensor, "n 1 h w"]:
    """Each pixel's place among all, the most relevant first: from 0 to just below 1."""
    values = _resized(map, image).flatten(1)
    places = torch.arange(values.shape[1], device=values.device).expand_as(values)
    ranks = torch.empty_like(places).scatter_(1, values.sort(dim=1, descending=True, stable=True).indices, places)
    return (ranks.to(values.dtype) / values.shape[1]).view(len(map), 1, *image.shape[2:])


def _resized(map: Maps, image: Images) -> Float[Tensor, "n 1 h w"]:
    total = map.to(image).sum(1, keepdim=True)
    return F.interpolate(total, image.shape[2:], mode="bilinear", align_corners=False)


def _lit(question: Question, image: Images, map: Maps) -> tuple[Scores, Scores]:
    """The confidence for the whole picture, and for it times the map."""
    light = _resized(map, image).relu()
    light = light / light.amax((2, 3), keepdim=True).clamp(min=torch.finfo(light.dtype).tiny)
    return question.confidence(image), question.confidence(torch.lerp(question.blank(image), image, light))
