"""Faithfulness of explanations: how the score changes when pixels are removed in the order of a map.

A map has one value per position, at any resolution, or one per channel of each pixel; channels are summed. Only the
order of the values matters, except for :func:`average_drop` and :func:`increase`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from kornia.filters import gaussian_blur2d
from torch import Tensor

from vggapps.errors import SettingsError
from vggapps.explanation._question import Question

STEPS = 28  # 8 × 224 pixels each at 224 pixels, as in Score-CAM (Wang et al., 2020, section 4.2)
BATCH = 8  # pictures per forward pass
ROAD = tuple(percent / 100 for percent in range(10, 100, 10))  # fractions of removed pixels
_NOISE = 0.01  # standard deviation
_EXACT = 1e-4  # largest residual of an imputed pixel; the pixel is then accurate to 1e-3, a tenth of the noise
_ROUNDS = 100  # limit of iterations
_COARSEST = 4  # shorter side of the coarsest grid in pixels
_DAMPED = 0.8  # of Jacobi's method: 1 would not smooth the highest frequencies

Images = Float[Tensor, "n 3 h w"]
Maps = Float[Tensor, "n c h2 w2"]
Scores = Float[Tensor, " n"]


@torch.no_grad()
def measure_faithfulness(
    question: Question, image: Float[Tensor, "1 3 h w"], map: Maps, seed: int = 0
) -> dict[str, float]:
    """Measure the faithfulness of a map by all metrics; ``seed`` is that of ROAD's noise.

    Returns:
        ``deletion`` (lower is better), ``insertion`` (higher), ``road`` with ``road-morf`` (lower) and ``road-lerf``
        (higher), ``drop`` in percent (lower), ``increase``, 1 or 0 (higher); and for maps with one value per channel
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
    """Area under the confidence curve while pixels are replaced by the mean color, the most relevant first.

    V. Petsiuk, A. Das, K. Saenko, RISE, BMVC 2018 (arXiv 1806.07421), section 4.1; for the mean color see
    :meth:`~vggapps.explanation.Question.blank`. Each step replaces the same number of pixels.
    """
    return _area(question, image, question.blank(image), map, steps)


@torch.no_grad()
def insertion(question: Question, image: Images, map: Maps, steps: int = STEPS) -> Scores:
    """Area under the confidence curve while pixels are restored in a blurred picture, the most relevant first.

    The blur is Gaussian, with a kernel of 11 pixels and sigma 5, as in RISE's code.
    """
    return _area(question, gaussian_blur2d(image, (11, 11), (5.0, 5.0)), image, map, steps)


@torch.no_grad()
def road(question: Question, image: Images, map: Maps, seed: int = 0) -> tuple[Scores, Scores]:
    """Mean confidence without the most (MoRF) and without the least relevant (LeRF) 10, 20, ... 90 % of the pixels.

    Y. Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods (ROAD), ICML 2022 (arXiv
    2202.00449). Removed pixels are imputed from their neighbors with a little noise, so that the shape of the mask
    reveals nothing. (LeRF - MoRF) / 2 combines the two; higher is better.
    """
    order, found = _order(map, image), []
    for i, picture in enumerate(torch.split(image, 1)):
        generator = torch.Generator().manual_seed(seed)
        most = torch.cat([order[i : i + 1] < share for share in ROAD])
        least = torch.cat([order[i : i + 1] >= 1 - share for share in ROAD])
        known = ~torch.cat([most, least])
        pictures = impute(picture.expand(len(known), -1, -1, -1), known)
        noise = torch.randn(pictures.shape, generator=generator).to(pictures)
        confidence = _confidence(question.about(i), torch.where(known, pictures, pictures + _NOISE * noise))
        found.append(confidence.view(2, -1).mean(1))
    most_first, least_first = torch.stack(found, 1)
    return most_first, least_first


@torch.no_grad()
def average_drop(question: Question, image: Images, map: Maps) -> Scores:
    """Percentage of the confidence that is lost when the picture is masked by the map: 100 · max(0, y - o) / y.

    A. Chattopadhyay et al., Grad-CAM++, WACV 2018 (arXiv 1710.11063), section 4.1: o is the confidence for the
    normalized picture times the map, clipped at 0 and scaled to a maximum of 1.
    """
    whole, masked = _masked(question, image, map)
    return 100 * (whole - masked).clamp(min=0) / whole.clamp(min=torch.finfo(whole.dtype).tiny)


@torch.no_grad()
def increase(question: Question, image: Images, map: Maps) -> Bool[Tensor, " n"]:
    """Whether the confidence is higher for the picture masked by the map than for the whole."""
    whole, masked = _masked(question, image, map)
    return masked > whole


@torch.no_grad()
def completeness(question: Question, image: Images, map: Images) -> Scores:
    """Relative gap between the sum of attributions and the score's change: |ΣR - (f(x) - f(x'))| / |f(x) - f(x')|.

    x' is :meth:`~vggapps.explanation.Question.blank`; values above 0.05 are suspicious.
    """
    change = question.score(image) - question.score(question.blank(image))
    return (map.flatten(1).sum(1) - change).abs() / change.abs().clamp(min=torch.finfo(change.dtype).tiny)


@torch.no_grad()
def impute(image: Images, known: Bool[Tensor, "n 1 h w"]) -> Images:
    """Impute unknown pixels: each is the mean of its neighbors, direct ones with weight 2, diagonal ones 1.

    Solves the sparse linear system of ROAD's section 5 for all pictures at once, by conjugate gradients with a
    multigrid cycle as preconditioner (W. Briggs, V. Henson, S. McCormick, A Multigrid Tutorial, 2000, chapter 3): about
    a dozen iterations for holes of any size. A picture without known pixels becomes gray.
    """
    tiny = torch.finfo(image.dtype).tiny
    # Depthwise convolutions are ten times as fast in channels-last.
    x = torch.where(known, image, 0.5).contiguous(memory_format=torch.channels_last)
    grids = _grids((~known).to(image))
    residual = -_operator(x, grids[0])
    direction = _cycle(residual, grids)
    rho = (residual * direction).sum((2, 3), keepdim=True)
    for _ in range(_ROUNDS):
        if residual.abs().max() < _EXACT:
            break
        product = _operator(direction, grids[0])
        step = rho / (direction * product).sum((2, 3), keepdim=True).clamp(min=tiny)
        x, residual = x + step * direction, residual - step * product
        preconditioned = _cycle(residual, grids)
        previous, rho = rho, (residual * preconditioned).sum((2, 3), keepdim=True)
        direction = preconditioned + rho / previous.clamp(min=tiny) * direction
    return x


Grid = tuple[Tensor, Tensor]  # the mask of holes, and the total weight of each pixel's neighbors, less at the border


def _grids(hole: Float[Tensor, "n 1 h w"]) -> list[Grid]:
    """The multigrid hierarchy; a coarse pixel is a hole if all of its fine pixels are."""
    found = [(hole, _neighbors(torch.ones_like(hole)))]
    while min(hole.shape[2:]) > _COARSEST:
        hole = (F.avg_pool2d(hole, 2, ceil_mode=True) == 1).to(hole)
        found.append((hole, _neighbors(torch.ones_like(hole))))
    return found


def _operator(x: Images, grid: Grid) -> Images:
    """The linear operator: the difference of each hole pixel to its neighbors' mean, times their weight."""
    hole, weight = grid
    return hole * (weight * x - _neighbors(x))


def _cycle(residual: Images, grids: list[Grid]) -> Images:
    """An approximate solution for this residual by one V-cycle."""
    (hole, weight), *coarser = grids
    x = _DAMPED * residual / weight
    if coarser:
        height, width = residual.shape[2:]
        remaining = F.pad(residual - _operator(x, grids[0]), (0, width % 2, 0, height % 2))
        coarse = _cycle(4 * coarser[0][0] * F.avg_pool2d(remaining, 2), coarser)
        x = x + hole * F.interpolate(coarse, scale_factor=2, mode="nearest")[:, :, :height, :width]
    return x + _DAMPED * (residual - _operator(x, grids[0])) / weight


def _neighbors(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """The weighted sum of the eight neighbors, zero-padded."""
    kernel = torch.tensor([[1, 2, 1], [2, 0, 2], [1, 2, 1]], dtype=x.dtype).to(x.device) / 12
    return F.conv2d(x, kernel.expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])


def _area(question: Question, start: Images, end: Images, map: Maps, steps: int) -> Scores:
    """Area under the confidence curve while pixels change from start to end, the most relevant first."""
    order, found = _order(map, start), []
    shares = torch.linspace(0, 1, steps + 1).to(order).view(-1, 1, 1, 1)
    for i in range(len(start)):
        pictures = torch.where(order[i : i + 1] < shares, end[i : i + 1], start[i : i + 1])
        found.append(torch.trapezoid(_confidence(question.about(i), pictures), shares.flatten()))
    return torch.stack(found)


def _confidence(question: Question, pictures: Images) -> Scores:
    return torch.cat([question.confidence(some) for some in torch.split(pictures, BATCH)])


def _order(map: Maps, image: Images) -> Float[Tensor, "n 1 h w"]:
    """The rank of each pixel in [0, 1), 0 for the most relevant."""
    values = _resized(map, image).flatten(1)
    places = torch.arange(values.shape[1], device=values.device).expand_as(values)
    ranks = torch.empty_like(places).scatter_(1, values.sort(dim=1, descending=True, stable=True).indices, places)
    return (ranks.to(values.dtype) / values.shape[1]).view(len(map), 1, *image.shape[2:])


def _resized(map: Maps, image: Images) -> Float[Tensor, "n 1 h w"]:
    total = map.to(image).sum(1, keepdim=True)
    return F.interpolate(total, image.shape[2:], mode="bilinear", align_corners=False)


def _masked(question: Question, image: Images, map: Maps) -> tuple[Scores, Scores]:
    """The confidence for the whole picture, and for the picture masked by the map."""
    light = _resized(map, image).relu()
    light = light / light.amax((2, 3), keepdim=True).clamp(min=torch.finfo(light.dtype).tiny)
    return question.confidence(image), question.confidence(torch.lerp(question.blank(image), image, light))
