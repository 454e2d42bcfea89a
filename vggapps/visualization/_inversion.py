"""What a layer knows of a picture: another picture, found from noise, that looks the same to it.

A. Mahendran, A. Vedaldi: the squared distance of the features, relative to the features' square, and priors that keep
the picture natural (``vggapps.visualization._priors``). The default, ``fourier``, has the picture's frequencies for
variables, which is a prior of its own, those of 2016 at a tenth, and L-BFGS, for which the view keeps still.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from vggapps.objectives._networks import Networks, in_grey, networks_of, only_grey, see
from vggapps.objectives._text import check_layer
from vggapps.optimize._chain import side_by_side
from vggapps.optimize._engine import Render, Score, optimize
from vggapps.optimize._optimizers import LBFGS, Optimizer
from vggapps.optimize._parameterize import fourier
from vggapps.optimize._step import Step, last
from vggapps.vgg._any import as_network
from vggapps.visualization._fields import field_of
from vggapps.visualization._photo import Source, check_width, photo
from vggapps.visualization._priors import (
    descent_2014,
    descent_2016,
    start_2014,
    start_2016,
    terms_2014,
    terms_2016,
)
from vggapps.visualization._settings import STEPS, InvertSettings

NOISE = 0.01  # of the start, grey, for fourier
WEAKER = 0.1  # the priors of mv2016, for fourier, which is one itself
FIRST, LARGEST = 0.1, 1.0  # the largest change of a frequency by the first step of fourier, and by any
CALM = 6 / 7  # of the steps are taken with jitter, the others without: 300 and 50 in mv2016


@torch.inference_mode(False)  # which has no gradients
def invert_steps(
    image: Source,
    layer: str | Sequence[str] = "conv4_3",
    settings: InvertSettings | None = None,
    *,
    network: nn.Module | Networks | None = None,
    **overrides: Any,
) -> Iterator[Step]:
    """Find a picture, from noise, that a layer can't tell from the one given.

    Args:
        image: a file, a :class:`~vggapps.image.Picture`, or a 1 × 3 × H × W tensor of RGB in [0, 1].
        layer: where both are to look the same; several are inverted one after another.
        settings: see :class:`InvertSettings`; ``overrides`` change single ones by name.
        network: whose layer it is, see :func:`~vggapps.visualization.visualize_steps`; loaded when it is not given.

    Returns:
        The steps; the last one's ``image()`` is the result, one picture for each layer, n × 3 × h × w in [0, 1]. The
        loss has the terms ``features``, the relative error at the layer at hand, ``range`` and ``variation``.

    Raises:
        VggappsError: anything wrong with the arguments, before the first step is taken.
    """
    settings = replace(settings or InvertSettings(), **overrides)
    names = [layer] if isinstance(layer, str) else list(layer)
    if not names:
        raise SettingsError("there is no layer to invert", "for example conv4_3")
    networks = networks_of(network, names, settings)
    target = photo(image, settings.size)
    runs = [_prepared(target, name, settings, networks) for name in names]
    return side_by_side((run.steps() for run in runs), [run.count for run in runs])


def invert(
    image: Source,
    layer: str | Sequence[str] = "conv4_3",
    settings: InvertSettings | None = None,
    *,
    network: nn.Module | Networks | None = None,
    progress: bool = False,
    **overrides: Any,
) -> Picture:
    """Show what a layer keeps of a picture, as ``vggapps invert`` does.

    >>> vggapps.invert("cat.jpg", ["conv2_2", "conv5_1"]).save("kept.png")              # doctest: +SKIP

    Args:
        image: as for :func:`invert_steps`, as are ``layer``, ``settings``, ``network`` and ``overrides``.
        layer: where both are to look the same; several make a sheet.
        settings: see :class:`InvertSettings`.
        network: whose layer it is.
        progress: show a progress bar on stderr.

    Returns:
        The picture found; of several layers a sheet with the original first. Its ``settings`` say how it was made, and
        under ``errors`` the relative error at each layer.

    Raises:
        VggappsError: anything wrong with the arguments, before the first step is taken.
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
    told = recipe("invert", settings, {"images": [identity], **used}, {"layer": ",".join(layers)}, errors=found)
    return replace(inversion_sheet(picture, made, found), settings=told)


def relative_error(found: Float[Tensor, "n c *hw"], target: Float[Tensor, "n c *hw"]) -> Float[Tensor, ""]:
    """\\|Φ(x) - Φ(x₀)\\|² / \\|Φ(x₀)\\|²."""
    error: Tensor = (found - target).square().sum() / target.square().sum().clamp_min(1e-12)
    return error


def errors(
    image: Source, made: Float[Tensor, "n 3 h w"], layers: Sequence[str], networks: Networks
) -> dict[str, float]:
    """How far from a picture its inversions still are: the relative error of each one's layer, as it is shown.

    Args:
        image: the picture.
        made: its inversions, one for each of the layers, or for the first of them.
        layers: by name.
        networks: as :func:`vggapps.objectives.load_networks` gives them.
    """
    device = as_network(networks[""]).device
    target = photo(image, max(made.shape[2:])).to(device)
    found = {}
    with torch.no_grad():
        for layer, one in zip(layers, made, strict=False):
            seen = see(networks, torch.cat([target, one[None].to(device)]), [layer]).features[layer]
            found[layer] = float(relative_error(seen[1:], seen[:1]))
    return found


def inversion_sheet(image: Picture, made: Float[Tensor, "n 3 h w"], found: Mapping[str, float]) -> Picture:
    """The inversion; of several layers a row, the picture first, each with its squared error (:func:`errors`)."""
    if len(found) == 1:
        return Picture(made, name=image.name)
    labels = [f"{name}\nsquared error {100 * far:.2g} %\nof the features' square" for name, far in found.items()]
    tiles, title = [photo(image, max(made.shape[2:])), *made], f"What layers know of {image.name}"
    return contact_sheet(tiles, ["original", *labels], 1 + len(found), title)


@dataclass(frozen=True, eq=False)
class _Run:
    """One layer's inversion, ready to begin: the variables, how they become a picture, what is minimised and how."""

    leaves: list[Tensor]
    render: Render
    score: Score
    optimizer: Optimizer
    count: int
    margin: int
    size: tuple[int, int]

    def steps(self) -> Iterator[Step]:
        return map(self._shown, optimize(self.leaves, self.render, self.score, self.optimizer, self.count))

    def _shown(self, step: Step) -> Step:
        rows, columns = (slice(self.margin, self.margin + side) for side in self.size)
        return replace(step, size=self.size, _image=lambda: step.image()[:, :, rows, columns])


def _prepared(target: Float[Tensor, "1 3 h w"], layer: str, settings: InvertSettings, networks: Networks) -> _Run:
    check_layer(networks[""], layer)
    size = (target.shape[2], target.shape[3])
    stride = field_of(networks, [layer]).stride
    check_width(size, stride)
    device = as_network(networks[""]).device
    with torch.no_grad():
        wanted = see(networks, target.to(device), [layer]).features[layer]
    steps = settings.steps or STEPS[settings.method]
    calm = max(1, round(steps * CALM))
    # In mv2016 the canvas is a little larger than the view, which lies elsewhere on it at each step.
    places = max(round(stride / 4), 1) if settings.method == "mv2016" else 1
    canvas = (size[0] + places - 1, size[1] + places - 1)
    margin = (places - 1) // 2
    generator = torch.Generator().manual_seed(settings.seed)
    leaves, render, optimizer = _start(settings.method, canvas, stride, steps, calm, generator)
    if only_grey(networks, [layer], target):
        render = in_grey(render)
    moves = torch.Generator().manual_seed(settings.seed + 1)
    taken = 0

    def score(image: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        nonlocal taken
        down, right = torch.randint(0, places, (2,), generator=moves).tolist() if taken < calm else (margin, margin)
        taken += 1
        view = image[:, :, down : down + size[0], right : right + size[1]]
        error = relative_error(see(networks, view, [layer]).features[layer], wanted)
        terms = {"features": error, **_priors(settings.method, image, stride)}
        return torch.stack(list(terms.values())).sum(), terms

    leaves = [leaf.to(device) for leaf in leaves]
    return _Run(leaves, render, score, optimizer, steps, margin, size)


def _start(
    method: str, size: tuple[int, int], stride: int, steps: int, calm: int, generator: torch.Generator
) -> tuple[list[Tensor], Render, Optimizer]:
    if method == "mv2014":
        return [start_2014(size, generator)], _itself, descent_2014(size, steps)
    if method == "mv2016":
        return [start_2016(size, generator)], _itself, descent_2016(size, stride, steps, calm)
    grey = (0.5 + NOISE * torch.randn(1, 3, *size, generator=generator)).clamp(0, 1)
    parameters = fourier(size, grey)
    return parameters.leaves, parameters.render, Bounded(first_step=FIRST)


class Bounded(LBFGS):
    """L-BFGS with a largest step: far from a minimum, and without a line search, it may leap away."""

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


def _itself(leaves: Sequence[Tensor]) -> Tensor:
    return leaves[0]
