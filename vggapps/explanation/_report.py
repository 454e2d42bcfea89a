"""Explanations according to settings, and how they are displayed and recorded."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from kornia.color import rgb_to_grayscale
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.explanation import _faithfulness as faithfulness
from vggapps.explanation._methods import METHODS, Explanation, explain_batch, network_input
from vggapps.explanation._question import Watch, ask, predicted_classes
from vggapps.explanation._settings import ExplainSettings
from vggapps.figures._overlay import caption, overlay
from vggapps.figures._sheet import contact_sheet
from vggapps.image import Picture, Source, open_picture, resize, scaled
from vggapps.image._identity import Identity
from vggapps.image._lettering import one_line
from vggapps.image._recipe import recipe
from vggapps.settings import to_dict, writable

log = logging.getLogger(__name__)
_LARGE, _SMALL = 800, 320  # longer side of a picture in pixels, beside one map and on a sheet
_GAP = 8
_STRENGTH = 0.8
_WIDE = 1.8  # aspect ratio from which the map is placed below the picture


@dataclass(frozen=True)
class Classified:
    """The class that ``vggapps classify`` predicts from the center crop, and its probability: the default target."""

    index: int
    probability: float


def open_explained(source: Source, settings: ExplainSettings, name: str | None = None) -> Picture:
    """Open a picture no larger than :func:`explanations` and :func:`figure` need."""
    return open_picture(source, at_least=2 * max(settings.size or 0, _LARGE), name=name)


def thumbnail(picture: Picture, maps: int) -> Picture:
    """The picture at the size at which :func:`figure` shows it beside this number of maps."""
    return replace(picture, rgb=resize(picture.rgb, scaled(*picture.size, _LARGE if maps == 1 else _SMALL)), alpha=None)


def explanations(
    network: nn.Module,
    picture: Picture,
    settings: ExplainSettings,
    watch: Callable[[str], Watch] = lambda _: iter,
    classified: Classified | None = None,
) -> list[Explanation]:
    """Explain a picture by one method, or by all that this network and target support.

    ``watch`` wraps the steps of the method of this name, to show progress. ``classified`` is the class to explain if
    the settings name no target; by default the most probable.
    """
    image = resize(picture.rgb, network_input(network, *picture.size, settings.size))
    given = {name: value for name in ("layer", "samples") if (value := getattr(settings, name)) is not None}
    target = classified.index if settings.target is None and classified else settings.target
    found = []
    for name in METHODS if settings.method == "all" else [settings.method]:
        takes = METHODS[name].takes
        fixed = {"seed": settings.seed, "watch": watch(name)}
        options = {option: value for option, value in {**given, **fixed}.items() if option in takes}
        if settings.method != "all":  # a single method rejects options that it does not take
            options |= given
        try:
            found.append(explain_batch(network, image, target, name, **options))
        except SettingsError as error:
            if settings.method != "all":
                raise
            log.warning("%s is left out: %s", name, error)
    return found


def figure(
    picture: Picture,
    found: Sequence[Explanation],
    scales: Mapping[str, float] | None = None,
    *,
    captioned: bool = True,
) -> Float[Tensor, "1 3 h w"]:
    """The picture beside its explanation (above it if very wide), or a labelled sheet of several explanations.

    ``scales`` gives the value that gets the hottest color for each method, by default each map's own. ``captioned``
    adds target, method and color bar below a single explanation; sheets are always labelled.
    """
    small = thumbnail(picture, len(found)).rgb
    size = small.shape[2], small.shape[3]
    maps = [_blend(small, one, (scales or {}).get(one.method.name)) for one in found]
    title = _phrase(found[0].target, float(found[0].confidence[0]))
    labels = [f"{one.method.name}, {one.layer}" if one.layer else one.method.name for one in found]
    if len(found) > 1:
        return contact_sheet([small, *maps], [one_line(picture.name), *labels], columns=4, title=title).rgb
    wide = size[1] > _WIDE * size[0]
    gap = torch.ones(1, 3, *((_GAP, size[1]) if wide else (size[0], _GAP)))
    drawn = torch.cat([small, gap, *maps], 2 if wide else 3)
    if not captioned:
        return drawn
    (one,), most = found, (scales or {}).get(found[0].method.name, float(found[0].scale[0]))
    strip = caption(title, labels[0], drawn.shape[3], most, _STRENGTH, signed=one.method.signed)
    return torch.cat([drawn, strip], 2)


def common_scales(many: Iterable[Sequence[Explanation]]) -> dict[str, float]:
    """For each method the largest scale among all pictures."""
    scales: dict[str, float] = {}
    for found in many:
        for one in found:
            scales[one.method.name] = max(scales.get(one.method.name, 0), float(one.scale.max()))
    return scales


def explanation_record(
    inputs: Mapping[str, Sequence[Identity]],
    settings: ExplainSettings,
    found: Sequence[Explanation],
    *,
    evaluate: bool = False,
    captioned: bool = True,
    classified: Classified | None = None,
) -> dict[str, Any]:
    """The recipe and numbers of a picture's explanations, for JSON and the picture's metadata.

    ``inputs`` are the picture, as ``images``, and the settings' files; ``evaluate`` measures faithfulness, which is
    slower than most methods.
    """
    first = found[0]
    kind = "probability" if first.question.of_classes else "response"
    maps = []
    for one in found:
        about: dict[str, Any] = {"method": one.method.name, "layer": one.layer}
        about |= {"min": float(one.map.min()), "max": float(one.map.max()), "sum": float(one.map.sum())}
        about["seconds"] = round(one.seconds, 2)
        if evaluate:
            about["faithfulness"] = faithfulness.measure_faithfulness(
                one.question, one.image, one.map, seed=settings.seed
            )
            if one.method.signed and one.method.pixels:  # summing over channels preserves the total
                gap = faithfulness.completeness(one.question, one.image, one.map)
                about["faithfulness"]["completeness"] = float(gap)
        maps.append(about)
    views = {} if settings.target is not None or classified is None else _views(first, classified)
    facts = {"target": first.target, "score": float(first.score[0]), kind: float(first.confidence[0]), **views}
    arguments = {"evaluate": evaluate, "no_caption": not captioned}
    return recipe("explain", settings, inputs, arguments, **facts, maps=maps)


def headline(about: Mapping[str, Any]) -> str:
    """A record as one line of text, and another line for each map with measured faithfulness."""
    lines = [_phrase(about["target"], about.get("probability", about["score"]))]
    if "whole" in about and about["whole"]["target"] != about["target"]:
        middle, whole = about["middle"]["probability"], _phrase(**about["whole"])
        lines[0] += f" (predicted by classify, {100 * middle:.1f} % for the center; for the whole picture: {whole})"
    for one in about["maps"]:
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in one.get("faithfulness", {}).items())
        lines += [f"  {one['method']}: {numbers}"] if numbers else []
    return "\n".join(lines)


def save_maps(maps: Mapping[str, Sequence[Explanation]], settings: ExplainSettings, target: str | Path) -> None:
    """Write unscaled maps to a .npz file as ``PICTURE/METHOD``, H × W, float32, and ``settings`` as JSON."""
    arrays = {
        f"{writable(path)}/{one.method.name}": one.map[0, 0].cpu().numpy()
        for path, found in maps.items()
        for one in found
    }
    np.savez_compressed(target, allow_pickle=False, settings=np.array(json.dumps(to_dict(settings))), **arrays)


def _blend(image: Float[Tensor, "1 3 h w"], one: Explanation, scale: float | None) -> Float[Tensor, "1 3 h w"]:
    """The map over the picture in gray, light for signed maps and dark for others."""
    gray = rgb_to_grayscale(image).expand_as(image)
    ground = 0.5 + 0.4 * gray if one.method.signed else 0.7 * gray
    heat = resize(one.heat(scale).cpu(), (image.shape[2], image.shape[3]))
    return overlay(ground, heat, _STRENGTH, signed=one.method.signed)


def _views(one: Explanation, classified: Classified) -> dict[str, Any]:
    """The class predicted from the center crop, and the most probable class of the whole picture."""
    question, network = one.question, one.question.network
    whole = ask(network, predicted_classes(network, one.image))
    with torch.no_grad():
        probability = float(whole.confidence(one.image)[0])
    return {
        "middle": {"target": question.objective.text, "probability": classified.probability},
        "whole": {"target": whole.objective.text, "probability": probability},
    }


def _phrase(target: str, probability: float) -> str:
    """``tabby 62.0 %``, ``not tabby 38.0 %``, ``relu5_4:200 3.1``."""
    if target.removeprefix("-").startswith("class:"):
        name = target.removeprefix("-").removeprefix("class:")
        return f"{'not ' * target.startswith('-')}{name} {100 * probability:.1f} %"
    return f"{target} {probability:.4g}"
