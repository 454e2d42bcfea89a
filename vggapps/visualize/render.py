"""From objectives to pictures: gradient ascent on what networks see.

C. Olah, A. Mordvintsev, L. Schubert, Feature Visualization, Distill 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.image import open_picture, resize
from vggapps.losses.variation import total_variation
from vggapps.optimize.engine import Score, optimize
from vggapps.optimize.optimizers import Adam
from vggapps.optimize.parameterize import Parameters, cppn, fourier, laplacian, maco, pixel
from vggapps.optimize.step import Step
from vggapps.visualize.networks import Networks, field_of, load_networks, see
from vggapps.visualize.objectives import Objective, each
from vggapps.visualize.redirect import redirected
from vggapps.visualize.settings import VisualizeSettings
from vggapps.visualize.spectrum import load_spectrum
from vggapps.visualize.text import parse
from vggapps.visualize.transforms import Views

REDIRECTED = 16  # steps with ReLUs that let dead units be reached, as lucid has it
LARGEST = 224  # pixels a side, by default: what the networks were trained on
NOISE = 0.01  # of the start, grey
AVERAGE = 0.8  # of the iterates that are shown: single ones tremble with the view


def visualize(
    objective: str | Objective | Sequence[str | Objective],
    settings: VisualizeSettings | None = None,
    *,
    network: nn.Module | Networks | None = None,
    batch: int = 1,
    **overrides: Any,
) -> Iterator[Step]:
    """Pictures that make an objective large.

    >>> from vggapps.optimize.step import last                                       # doctest: +SKIP
    >>> picture = last(visualize("conv4_3:12 + 0.5*conv4_3:200")).image()            # doctest: +SKIP

    Args:
        objective: in text form, see :mod:`vggapps.visualize.text`, or as an object; several give a picture each.
        settings: see :class:`VisualizeSettings`; ``overrides`` change single ones by name.
        network: what is looked at: ours, any module in inference mode that takes pictures in [0, 1], or several by
            name; loaded when it is not given.
        batch: pictures for a single objective, from different noise; for objectives that compare a batch's pictures.

    Returns:
        The steps; the last one's ``image()`` is the result, n × 3 × h × w in [0, 1]. The loss is less the mean score.

    Raises:
        VggappsError: anything wrong with the arguments, before the first step is taken.
    """
    settings = replace(settings or VisualizeSettings(), **overrides)
    wanted = [objective] if isinstance(objective, str | Objective) else list(objective)
    if not wanted:
        raise SettingsError("there is no objective", "for example conv4_3:12")
    if network is None:
        network = load_networks([text for text in wanted if isinstance(text, str)], settings)
    networks = {"": network} if isinstance(network, nn.Module) else network
    parsed = [parse(one, networks) if isinstance(one, str) else one for one in wanted]
    whole, n = (each(parsed), len(parsed)) if len(parsed) > 1 else (parsed[0], batch)
    field, stride = field_of(networks, whole)
    side = settings.size or min(LARGEST, max(64, field))
    margin = round(max(4, stride) if settings.jitter is None else settings.jitter)
    views = Views(margin, settings.scale, settings.rotate)
    device = next(networks[""].parameters()).device
    parameters = parameters_of(settings, (side + 2 * margin, side + 2 * margin), n)
    references = {name: resize(image, (side + 2 * margin,) * 2).to(device) for name, image in whole.references.items()}
    score = _score(networks, whole, references, views, (side, side), settings)
    steps = optimize(
        [leaf.to(device) for leaf in parameters.leaves],
        parameters.render,
        score,
        Adam(parameters.rate, parameters.bounds),
        settings.steps,
        average=AVERAGE,
    )
    return map(partial(_without_margin, margin=margin), steps)


def parameters_of(settings: VisualizeSettings, size: tuple[int, int], n: int) -> Parameters:
    """What is optimised, at its start."""
    generator = torch.Generator().manual_seed(settings.seed)
    if settings.parameterization in ("maco", "cppn"):
        if settings.start:
            raise SettingsError(f"{settings.parameterization} can't start from a picture", "use fourier")
        if settings.parameterization == "maco":
            return maco(size, n, load_spectrum(settings.spectrum), generator)
        return cppn(size, n, generator)
    if settings.start:
        start = resize(open_picture(settings.start).rgb, size).expand(n, -1, -1, -1)
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
