"""From objectives to pictures: gradient ascent on what networks see.

C. Olah, A. Mordvintsev, L. Schubert, Feature Visualization, Distill 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError, argument
from vggapps.image import open_picture, square
from vggapps.losses._variation import total_variation
from vggapps.objectives._networks import Networks, in_grey, networks_of, only_grey, see
from vggapps.objectives._objective import Objective, each
from vggapps.objectives._text import parse
from vggapps.optimize._chain import side_by_side
from vggapps.optimize._engine import Score, optimize
from vggapps.optimize._optimizers import Adam
from vggapps.optimize._parameterize import Parameters, cppn, fourier, laplacian, maco, pixel
from vggapps.optimize._step import Step
from vggapps.vgg._any import as_network
from vggapps.vgg._hooks import OUTPUT
from vggapps.visualization._fields import field_of
from vggapps.visualization._redirect import redirected
from vggapps.visualization._settings import Parameterization, VisualizeSettings
from vggapps.visualization._spectrum import load_spectrum
from vggapps.visualization._transforms import Views

REDIRECTED = 16  # steps with ReLUs that let dead units be reached, as lucid has it
NOISE = 0.01  # of the start, grey
PIXELS = 1 << 20  # of pictures that are optimised together
AVERAGE = 0.8  # of the iterates that are shown: single ones tremble with the view


@torch.inference_mode(False)  # which has no gradients
def visualize_steps(
    objective: str | Objective | Sequence[str | Objective],
    settings: VisualizeSettings | None = None,
    *,
    network: nn.Module | Networks | None = None,
    **overrides: Any,
) -> Iterator[Step]:
    """Pictures that make an objective large.

    Args:
        objective: in text form, see :mod:`vggapps.objectives`, or as an object; several give a picture each.
        settings: see :class:`VisualizeSettings`; ``overrides`` change single ones by name.
        network: what is looked at: ours, any module in inference mode that takes pictures in [0, 1], or several by
            name; loaded when it is not given.

    Returns:
        The steps; the last one's ``image()`` is the result, n × 3 × h × w in [0, 1]. The loss is less the mean score.

    Raises:
        VggappsError: anything wrong with the arguments, before the first step is taken.
    """
    settings = replace(settings or VisualizeSettings(), **overrides)
    wanted = [objective] if isinstance(objective, str | Objective) else list(objective)
    if not wanted:
        raise SettingsError("there is no objective", "for example conv4_3:12")
    if len(wanted) > 1 < settings.pictures:
        raise SettingsError(
            f"{len(wanted)} objectives, and {argument('pictures', settings.pictures)}", "give one objective"
        )
    networks = networks_of(network, wanted, settings)
    parsed = [parse(one, networks) if isinstance(one, str) else one for one in wanted]
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
    next(runs[0]())  # what only running would tell: a channel that another's module has not, a place off the map
    waiting = [sum(counts[number + 1 :]) for number in range(len(counts))]
    return side_by_side((run() for run in runs), [settings.steps] * len(runs), waiting)


def parameterization_of(settings: VisualizeSettings, objective: Objective) -> Parameterization:
    """What ``auto`` means for an objective: maco where it looks at a class, else fourier.

    A picture to start from has magnitudes of its own, which maco would not keep; a spectrum is for maco alone.
    """
    if settings.parameterization != "auto":
        return settings.parameterization
    classes = any(layer.rpartition("/")[2] in (OUTPUT, "fc8") for layer in objective.layers)
    return "maco" if settings.spectrum or (classes and not settings.start) else "fourier"


def _run(
    networks: Networks, objective: Objective, n: int, side: int, margin: int, settings: VisualizeSettings
) -> Iterator[Step]:
    """Pictures that are optimised together."""
    canvas = side + 2 * margin
    parameters = parameters_of(settings, (canvas, canvas), n)
    if only_grey(networks, objective.layers, torch.zeros(1, 3, side, side)):
        parameters = replace(parameters, render=in_grey(parameters.render))
    device = as_network(networks[""]).device
    references = {name: square(image, canvas).to(device) for name, image in objective.references.items()}
    views = Views(margin, settings.scale, settings.rotate)
    steps = optimize(
        [leaf.to(device) for leaf in parameters.leaves],
        parameters.render,
        _score(networks, objective, references, views, (side, side), settings),
        Adam(parameters.rate, parameters.bounds),
        settings.steps,
        average=AVERAGE,
    )
    return map(partial(_without_margin, margin=margin), steps)


def parameters_of(settings: VisualizeSettings, size: tuple[int, int], n: int) -> Parameters:
    """What is optimised, at its start."""
    generator = torch.Generator().manual_seed(settings.seed)
    if settings.spectrum and settings.parameterization != "maco":
        raise SettingsError(
            f"{settings.parameterization} has no use for a spectrum", f"use {argument('parameterization', 'maco')}"
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


def _score(
    networks: Networks,
    objective: Objective,
    references: Mapping[str, Float[Tensor, "1 3 h w"]],
    views: Views,
    size: tuple[int, int],
    settings: VisualizeSettings,
) -> Score:
    """What is minimised: less the objective, seen from a new place at each step."""
    # As many numbers for movements whatever the pictures were started from: the seed is another, but as fixed.
    generator = torch.Generator().manual_seed(settings.seed + 1)
    waking, taken = {name: redirected(network) for name, network in networks.items()}, 0

    def score(image: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        nonlocal taken
        taken += 1
        shown = torch.cat([image, *references.values()])
        view = views(shown, size, generator)
        seen = see(waking if taken <= REDIRECTED else networks, view, objective.layers, list(references))
        terms = {"objective": -objective.score(seen).mean()}
        if settings.tv_weight:
            terms["tv"] = settings.tv_weight * total_variation(image).mean()
        return sum(terms.values(), image.new_zeros(())), terms

    return score


def _without_margin(step: Step, margin: int) -> Step:
    height, width = (side - 2 * margin for side in step.size)

    def image() -> Tensor:
        return step.image()[:, :, margin : margin + height, margin : margin + width]

    return replace(step, size=(height, width), _image=image)
