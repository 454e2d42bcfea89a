"""Feature inversion: a picture, optimized from noise, with the same features in a layer as a given picture.

The loss of A. Mahendran and A. Vedaldi is the relative squared distance of the features plus priors of natural pictures
(``vggapps.visualization._priors``). The default, ``fourier``, optimizes the picture's frequencies, which is a prior by
itself, by L-BFGS without jitter, and uses a tenth of the priors of 2016.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vggapps._progress import watched
from vggapps.errors import SettingsError
from vggapps.figures._sheet import contact_sheet
from vggapps.image import Picture, open_picture
from vggapps.image._identity import identified
from vggapps.image._recipe import identify_files, recipe
from vggapps.objectives._networks import Networks, compute_activations, expects_grey, grey_render, networks_of
from vggapps.optimize._chain import side_by_side
from vggapps.optimize._engine import Render, optimize
from vggapps.optimize._optimizers import LBFGS, Optimizer
from vggapps.optimize._parameterize import fourier
from vggapps.optimize._step import Step, last
from vggapps.vgg._wrapped import as_network
from vggapps.visualization._canvas import Source, check_size, crop_step, field_of, load_photo
from vggapps.visualization._priors import descent_2014, descent_2016, start_2014, start_2016, terms_2014, terms_2016
from vggapps.visualization._settings import STEPS, InvertSettings

NOISE = 0.01  # standard deviation of the grey start of fourier
WEAKER = 0.1  # factor of the priors of mv2016 for fourier
FIRST, LARGEST = 0.1, 1.0  # largest change of a frequency in the first step of fourier, and in any step
CALM = 6 / 7  # share of the steps with jitter, before those without: 300 and 50 in mv2016


@torch.inference_mode(False)  # gradients are needed
def invert_steps(
    image: Source,
    layer: str | Sequence[str] = "conv4_3",
    settings: InvertSettings | None = None,
    *,
    network: nn.Module | Networks | None = None,
    **overrides: Any,
) -> Iterator[Step]:
    """Invert the features of a picture, step by step.

    Args:
        image: a file, a :class:`~vggapps.image.Picture`, or a 1 × 3 × H × W tensor of RGB in [0, 1].
        layer: the layer whose features are inverted; several are inverted one after another.
        settings: see :class:`InvertSettings`; ``overrides`` replace single settings by name.
        network: see :func:`~vggapps.visualization.visualize_steps`; loaded by default.

    Returns:
        The steps; the last one's ``image()`` is the result, one picture for each layer, n × 3 × h × w in [0, 1]. The
        loss has the terms ``features``, the relative error of the current layer, ``range`` and ``variation``.

    Raises:
        VggappsError: invalid arguments, before the first step.
    """
    settings = replace(settings or InvertSettings(), **overrides)
    names = [layer] if isinstance(layer, str) else list(layer)
    if not names:
        raise SettingsError("there is no layer to invert", "for example conv4_3")
    networks = networks_of(network, names, settings)
    target = load_photo(image, settings.size)
    count = settings.steps or STEPS[settings.method]
    return side_by_side([_run(target, name, count, settings, networks) for name in names], [count] * len(names))


def invert(
    image: Source,
    layer: str | Sequence[str] = "conv4_3",
    settings: InvertSettings | None = None,
    *,
    network: nn.Module | Networks | None = None,
    progress: bool = False,
    **overrides: Any,
) -> Picture:
    """Invert the features of a picture, as ``vggapps invert`` does.

    >>> vggapps.invert("cat.jpg", ["conv2_2", "conv5_1"]).save("kept.png")              # doctest: +SKIP

    Args:
        image: see :func:`invert_steps`, also for ``settings``, ``network`` and ``overrides``.
        layer: the layer whose features are inverted; several give a sheet.
        settings: see :class:`InvertSettings`.
        network: loaded by default.
        progress: show a progress bar on stderr.

    Returns:
        The inversion; for several layers a sheet with the original first. Its ``settings`` are the recipe, with the
        relative error of each layer under ``errors``.

    Raises:
        VggappsError: invalid arguments, before the first step.
    """
    settings = replace(settings or InvertSettings(), **overrides)
    layers = [layer] if isinstance(layer, str) else list(layer)
    source, identity = identified(image)
    used = identify_files(settings)
    picture = open_picture(source, at_least=2 * settings.size, name=identity.name)
    networks = networks_of(network, layers, settings)
    steps = invert_steps(picture, layers, settings, network=networks)
    made = last(watched(steps, picture.name, quiet=not progress)).image()
    found = errors(picture, made, layers, networks)
    inputs, arguments = {"images": [identity], **used}, {"layer": ",".join(layers)}
    about = recipe("invert", settings, inputs, arguments, errors=found)
    return replace(inversion_sheet(picture, made, found), settings=about)


def relative_error(found: Float[Tensor, "n c *hw"], target: Float[Tensor, "n c *hw"]) -> Float[Tensor, ""]:
    """\\|Φ(x) - Φ(x₀)\\|² / \\|Φ(x₀)\\|²."""
    error: Tensor = (found - target).square().sum() / target.square().sum().clamp_min(1e-12)
    return error


def errors(
    image: Source, made: Float[Tensor, "n 3 h w"], layers: Sequence[str], networks: Networks
) -> dict[str, float]:
    """The relative error of each inversion at its layer; a running inversion may have made only the first of them."""
    device = as_network(networks[""]).device
    target = load_photo(image, max(made.shape[2:])).to(device)
    found = {}
    with torch.no_grad():
        for layer, one in zip(layers, made, strict=False):
            pair = torch.cat([target, one[None].to(device)])
            seen = compute_activations(networks, pair, [layer]).features[layer]
            found[layer] = float(relative_error(seen[1:], seen[:1]))
    return found


def inversion_sheet(image: Picture, made: Float[Tensor, "n 3 h w"], found: Mapping[str, float]) -> Picture:
    """The inversion; for several layers a row with the original first, labelled with the :func:`errors`."""
    if len(found) == 1:
        return Picture(made, name=image.name)
    labels = [f"{name}\nsquared error {100 * far:.2g} %\nof the features' square" for name, far in found.items()]
    tiles, title = [load_photo(image, max(made.shape[2:])), *made], f"Inversions of {image.name}"
    return contact_sheet(tiles, ["original", *labels], 1 + len(found), title)


def _run(
    target: Float[Tensor, "1 3 h w"], layer: str, steps: int, settings: InvertSettings, networks: Networks
) -> Iterator[Step]:
    """The steps for one layer; errors are raised by the call, before the first step."""
    net = as_network(networks[""])
    net.check((layer,))
    size = (target.shape[2], target.shape[3])
    stride = field_of(networks, [layer]).stride
    check_size(size, stride)
    with torch.no_grad():
        features = compute_activations(networks, target.to(net.device), [layer]).features[layer]
    calm = max(1, round(steps * CALM))
    # In mv2016 the canvas is slightly larger than the view, which is at a random place in each step.
    places = max(round(stride / 4), 1) if settings.method == "mv2016" else 1
    canvas = (size[0] + places - 1, size[1] + places - 1)
    margin = (places - 1) // 2
    generator = torch.Generator().manual_seed(settings.seed)
    leaves, render, optimizer = _start(settings.method, canvas, stride, steps, calm, generator)
    if expects_grey(networks, [layer], target):
        render = grey_render(render)
    moves = torch.Generator().manual_seed(settings.seed + 1)
    taken = 0

    def score(image: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        nonlocal taken
        down, right = torch.randint(0, places, (2,), generator=moves).tolist() if taken < calm else (margin, margin)
        taken += 1
        view = image[:, :, down : down + size[0], right : right + size[1]]
        error = relative_error(compute_activations(networks, view, [layer]).features[layer], features)
        terms = {"features": error, **_priors(settings.method, image, stride)}
        return torch.stack(list(terms.values())).sum(), terms

    run = optimize([leaf.to(net.device) for leaf in leaves], render, score, optimizer, steps)
    return map(partial(crop_step, size=size), run)


def _start(
    method: str, size: tuple[int, int], stride: int, steps: int, calm: int, generator: torch.Generator
) -> tuple[list[Tensor], Render, Optimizer]:
    if method == "mv2014":
        return [start_2014(size, generator)], itemgetter(0), descent_2014(size, steps)
    if method == "mv2016":
        return [start_2016(size, generator)], itemgetter(0), descent_2016(size, stride, steps, calm)
    grey = (0.5 + NOISE * torch.randn(1, 3, *size, generator=generator)).clamp(0, 1)
    parameters = fourier(size, grey)
    return parameters.leaves, parameters.render, Bounded(first_step=FIRST)


class Bounded(LBFGS):
    """L-BFGS with bounded steps: without a line search it could diverge far from a minimum."""

    @torch.no_grad()
    def update(self, leaves: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        """One step."""
        before = [leaf.clone() for leaf in leaves]
        super().update(leaves, gradients)
        for leaf, was in zip(leaves, before, strict=True):
            change = leaf - was
            leaf.copy_(was + change * (LARGEST / change.abs().max().clamp_min(1e-12)).clamp_max(1))


def _priors(method: str, image: Tensor, stride: int) -> dict[str, Tensor]:
    if method == "mv2014":
        return terms_2014(image, stride)
    weight = 1.0 if method == "mv2016" else WEAKER
    return {name: weight * term for name, term in terms_2016(image, stride).items()}
