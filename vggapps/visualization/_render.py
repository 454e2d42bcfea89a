"""Feature visualization: gradient ascent on objectives.

C. Olah, A. Mordvintsev, L. Schubert, Feature Visualization, Distill 2017.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from kornia.geometry.transform import get_rotation_matrix2d, warp_affine
from torch import Tensor, nn

from vggapps.errors import SettingsError, argument
from vggapps.image import open_picture, square
from vggapps.losses._variation import total_variation
from vggapps.objectives._networks import Networks, compute_activations, expects_grey, grey_render, networks_of
from vggapps.objectives._objective import Objective, each
from vggapps.objectives._text import parse
from vggapps.optimize._chain import side_by_side
from vggapps.optimize._engine import optimize
from vggapps.optimize._optimizers import Adam
from vggapps.optimize._parameterize import Parameters, cppn, fourier, laplacian, maco, pixel
from vggapps.optimize._step import Step
from vggapps.vgg._hooks import OUTPUT, replace_modules
from vggapps.vgg._wrapped import as_network
from vggapps.visualization._canvas import crop_step, field_of
from vggapps.visualization._natural import load_spectrum
from vggapps.visualization._settings import Parameterization, VisualizeSettings

REDIRECTED = 16  # steps with redirected ReLUs, as in lucid
NOISE = 0.01  # standard deviation of the grey start
PIXELS = 1 << 20  # of a batch of pictures
AVERAGE = 0.8  # running average of the iterates shown, against jitter

M = TypeVar("M", bound=nn.Module)


@torch.inference_mode(False)  # gradients are needed
def visualize_steps(
    objective: str | Objective | Sequence[str | Objective],
    settings: VisualizeSettings | None = None,
    *,
    network: nn.Module | Networks | None = None,
    **overrides: Any,
) -> Iterator[Step]:
    """Pictures that maximize an objective, step by step.

    Args:
        objective: in text form, see :mod:`vggapps.objectives`, or as an object; several give one picture each.
        settings: see :class:`VisualizeSettings`; ``overrides`` replace single settings by name.
        network: a VGG, any module in inference mode that takes pictures in [0, 1], or several by name; loaded by
            default.

    Returns:
        The steps; the last one's ``image()`` is the result, n × 3 × h × w in [0, 1]. The loss is minus the mean score.

    Raises:
        VggappsError: invalid arguments, before the first step.
    """
    settings = replace(settings or VisualizeSettings(), **overrides)
    objectives = [objective] if isinstance(objective, str | Objective) else list(objective)
    if not objectives:
        raise SettingsError("there is no objective", "for example conv4_3:12")
    if len(objectives) > 1 < settings.pictures:
        raise SettingsError(
            f"{len(objectives)} objectives, and {argument('pictures', settings.pictures)}", "give one objective"
        )
    networks = networks_of(network, objectives, settings)
    parsed = [parse(one, networks) if isinstance(one, str) else one for one in objectives]
    field = field_of(networks, frozenset[str]().union(*(one.layers for one in parsed)), settings.size)
    side = settings.size or field.side
    margin = round(max(4, field.stride) if settings.jitter is None else settings.jitter)
    together = max(1, PIXELS // (side + 2 * margin) ** 2)
    runs, counts = [], []
    for kind, alike in groupby(parsed, partial(parameterization_of, settings)):
        now, own = replace(settings, parameterization=kind), list(alike)
        for some in (own[start : start + together] for start in range(0, len(own), together)):
            whole, n = (each(some), len(some)) if len(parsed) > 1 else (parsed[0], settings.pictures)
            runs.append(partial(_run, networks, whole, n, side, margin, now))
            counts.append(n)
    next(runs[0]())  # raises errors that only a forward pass finds: no such channel in a module, no such position
    waiting = [sum(counts[number + 1 :]) for number in range(len(counts))]
    return side_by_side((run() for run in runs), [settings.steps] * len(runs), waiting)


def parameterization_of(settings: VisualizeSettings, objective: Objective) -> Parameterization:
    """Resolve ``auto``: maco for a class or with a spectrum, else fourier.

    Also fourier for a class with a start picture, whose magnitudes maco would not keep.
    """
    if settings.parameterization != "auto":
        return settings.parameterization
    classes = any(layer.rpartition("/")[2] in (OUTPUT, "fc8") for layer in objective.layers)
    return "maco" if settings.spectrum or (classes and not settings.start) else "fourier"


def _run(
    networks: Networks, objective: Objective, n: int, side: int, margin: int, settings: VisualizeSettings
) -> Iterator[Step]:
    """One batch of pictures."""
    canvas = side + 2 * margin
    parameters = _parameters(settings, (canvas, canvas), n)
    if expects_grey(networks, objective.layers, torch.zeros(1, 3, side, side)):
        parameters = replace(parameters, render=grey_render(parameters.render))
    device = as_network(networks[""]).device
    references = {name: square(image, canvas).to(device) for name, image in objective.references.items()}
    views, size = Views(margin, settings.scale, settings.rotate), (side, side)
    # A separate seed: views do not depend on how many random numbers the start takes.
    generator = torch.Generator().manual_seed(settings.seed + 1)
    early, taken = {name: redirected(network) for name, network in networks.items()}, 0

    def loss(image: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        nonlocal taken
        taken += 1
        view = views(torch.cat([image, *references.values()]), size, generator)
        current = early if taken <= REDIRECTED else networks
        seen = compute_activations(current, view, objective.layers, list(references))
        terms = {"objective": -objective.score(seen).mean()}
        if settings.tv_weight:
            terms["tv"] = settings.tv_weight * total_variation(image).mean()
        return sum(terms.values(), image.new_zeros(())), terms

    leaves, optimizer = [leaf.to(device) for leaf in parameters.leaves], Adam(parameters.rate, parameters.bounds)
    steps = optimize(leaves, parameters.render, loss, optimizer, settings.steps, average=AVERAGE)
    return map(partial(crop_step, size=size), steps)


def _parameters(settings: VisualizeSettings, size: tuple[int, int], n: int) -> Parameters:
    generator = torch.Generator().manual_seed(settings.seed)
    if settings.spectrum and settings.parameterization != "maco":
        raise SettingsError(
            f"{settings.parameterization} does not use a spectrum", f"use {argument('parameterization', 'maco')}"
        )
    if settings.parameterization in ("maco", "cppn"):
        if settings.start:
            raise SettingsError(f"{settings.parameterization} can't start from a picture", "use fourier")
        if settings.parameterization == "maco":
            return maco(size, n, load_spectrum(settings.spectrum), generator)
        return cppn(size, n, generator)
    if settings.start:
        start = square(open_picture(settings.start, at_least=2 * size[0]).rgb, size[0]).expand(n, -1, -1, -1)
    else:
        start = (0.5 + NOISE * torch.randn(n, 3, *size, generator=generator)).clamp(0, 1)
    make = {"fourier": fourier, "laplacian": laplacian, "pixel": pixel}[settings.parameterization]
    return make(size, start)


@dataclass(frozen=True)
class Views:
    """Random views with small shifts, rotations and scalings, so that no visualization depends on single pixels.

    The canvas is larger than the view by a margin. Beyond the canvas, pixels are mirrored: a constant border would be a
    visible feature.

    Attributes:
        jitter: largest shift, in pixels to each side.
        scale: largest factor of enlargement or reduction.
        rotate: largest rotation, in degrees to each side.
    """

    jitter: float
    scale: float = 1.1
    rotate: float = 8.0

    def __call__(
        self, image: Float[Tensor, "n 3 h w"], size: tuple[int, int], generator: torch.Generator
    ) -> Float[Tensor, "n 3 h2 w2"]:
        """A random view of ``size``, the same for all pictures of a batch."""
        draw = torch.rand(4, generator=generator) * 2 - 1
        middle = torch.tensor([(image.shape[3] - 1) / 2, (image.shape[2] - 1) / 2])
        angle, scale = draw[2:3] * self.rotate, (draw[3] * math.log(self.scale)).exp()
        matrix = get_rotation_matrix2d(middle[None], angle, scale.expand(1, 2))
        offset = torch.tensor([(size[1] - 1) / 2, (size[0] - 1) / 2]) - middle
        matrix[:, :, 2] += offset + draw[:2] * self.jitter
        view: Tensor = warp_affine(image, matrix.to(image).expand(len(image), -1, -1), size, padding_mode="reflection")
        return view


class Redirected(nn.Module):
    """A ReLU that passes a gradient to inactive units of a picture if no unit gets a gradient otherwise.

    The redirected ReLU of lucid (Apache-2.0; the idea, no code). Without it, a picture whose target is inactive gets no
    gradient and remains grey.
    """

    def forward(self, x: Float[Tensor, n * shape]) -> Float[Tensor, n * shape]:
        """``max(x, 0)``."""
        found: Tensor = _Redirect.apply(x)  # type: ignore[no-untyped-call]
        return found


class _Redirect(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.relu()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        usual = torch.where(x > 0, grad, 0)
        # The loss is minimized: where the gradient is negative, a step increases x, which can activate the unit.
        waking = torch.where(grad < 0, grad, 0)
        silent = ~usual.flatten(1).any(1).view(-1, *[1] * (x.ndim - 1))
        return torch.where(silent, waking, usual)


def redirected(network: M) -> M:
    """The network with redirected ReLUs and shared weights; the network itself if it has no ReLU modules."""
    if not any(isinstance(module, nn.ReLU) for module in network.modules()):
        return network
    return replace_modules(network, nn.ReLU, lambda relu: Redirected().train(relu.training))
