"""Explanations as settings ask for them, and what is shown and said of them."""

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
from vggapps.explanation._methods import METHODS, Explanation, explain_batch, seen_at
from vggapps.explanation._question import Watch, ask, likeliest
from vggapps.explanation._settings import ExplainSettings
from vggapps.figures._caption import caption
from vggapps.figures._overlay import overlay
from vggapps.figures._sheet import contact_sheet
from vggapps.image import Picture, Source, open_picture, resize, scaled
from vggapps.image._identity import Identity
from vggapps.image._lettering import one_line
from vggapps.image._recipe import recipe
from vggapps.settings import to_dict, writable

log = logging.getLogger(__name__)
_LARGE, _SMALL = 800, 320  # longer side in pixels of a picture beside one map, and among many
_GAP = 8
_STRENGTH = 0.8
_WIDE = 1.8  # how many times wider than high a picture is that has its map below it


@dataclass(frozen=True)
class Classified:
    """What ``vggapps classify`` says of a picture, by its middle: what is explained where nobody says what.

    Attributes:
        index: of the class.
        probability: in the middle of the picture.
    """

    index: int
    probability: float


def open_explained(source: Source, settings: ExplainSettings, name: str | None = None) -> Picture:
    """A picture as :func:`explanations` and :func:`figure` look at it: no larger than they need.

    Raises:
        PictureError: it can't be read.
    """
    return open_picture(source, at_least=2 * max(settings.size, _LARGE), name=name)


def shown(picture: Picture, maps: int) -> Picture:
    """A picture as :func:`figure` shows it beside so many maps: small enough to be kept for many pictures."""
    return replace(picture, rgb=resize(picture.rgb, scaled(*picture.size, _LARGE if maps == 1 else _SMALL)), alpha=None)


def explanations(
    network: nn.Module,
    picture: Picture,
    settings: ExplainSettings,
    watch: Callable[[str], Watch] = lambda _: iter,
    classified: Classified | None = None,
) -> list[Explanation]:
    """Explain a picture by one method, or by all that this network and target allow.

    Args:
        network: in inference mode.
        picture: of any size.
        settings: how; those that choose the network are the caller's.
        watch: for a method's name, what shows how far it is.
        classified: the class that is explained where the settings name no target; None for the likeliest.

    Raises:
        SettingsError: no such target or layer, or one that the method does not take.
    """
    image = resize(picture.rgb, seen_at(*picture.size, settings.size))
    typed = {name: value for name in ("layer", "samples") if (value := getattr(settings, name)) is not None}
    target = classified.index if settings.target is None and classified else settings.target
    found = []
    for name in METHODS if settings.method == "all" else [settings.method]:
        takes = METHODS[name].takes
        fixed = {"seed": settings.seed, "watch": watch(name)}
        options = {option: value for option, value in {**typed, **fixed}.items() if option in takes}
        if settings.method != "all":  # which then says what it does not take
            options |= typed
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
    """The picture with its explanation beside it, below it where it is very wide; or a labelled sheet of several.

    Args:
        picture: that was explained.
        found: one explanation or more of it.
        scales: for a method's name the value that has the hottest colour; None for each map's own.
        captioned: whether one explanation has a strip below it that says what it is, by which method, and what the
            colours mean. Sheets always have their labels.
    """
    seen = shown(picture, len(found)).rgb
    size = seen.shape[2], seen.shape[3]
    laid = [_laid(seen, one, (scales or {}).get(one.method.name)) for one in found]
    title = _said(found[0].target, float(found[0].confidence[0]))
    labels = [f"{one.method.name}, {one.layer}" if one.layer else one.method.name for one in found]
    if len(found) > 1:
        return contact_sheet([seen, *laid], [one_line(picture.name), *labels], columns=4, title=title).rgb
    wide = size[1] > _WIDE * size[0]
    gap = torch.ones(1, 3, *((_GAP, size[1]) if wide else (size[0], _GAP)))
    drawn = torch.cat([seen, gap, *laid], 2 if wide else 3)
    if not captioned:
        return drawn
    (one,), most = found, (scales or {}).get(found[0].method.name, float(found[0].scale[0]))
    strip = caption(title, labels[0], drawn.shape[3], most, _STRENGTH, signed=one.method.signed)
    return torch.cat([drawn, strip], 2)


def common_scales(many: Iterable[Sequence[Explanation]]) -> dict[str, float]:
    """For each method the largest scale that a picture has."""
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
    """What there is to say of a picture's explanations, for JSON and for the picture that shows them.

    Args:
        inputs: the picture, as ``images``, and the settings' files.
        settings: with which they were made.
        found: one explanation or more.
        evaluate: whether to measure how faithful they are, which takes longer than most of them.
        captioned: whether the picture has a caption.
        classified: what :func:`explanations` was given.
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
            if one.method.signed and one.method.pixels:  # what is added over colours still adds up
                gap = faithfulness.completeness(one.question, one.image, one.map)
                about["faithfulness"]["completeness"] = float(gap)
        maps.append(about)
    views = {} if settings.target is not None or classified is None else _views(first, classified)
    told = {"target": first.target, "score": float(first.score[0]), kind: float(first.confidence[0]), **views}
    arguments = {"evaluate": evaluate, "no_caption": not captioned}
    return recipe("explain", settings, inputs, arguments, **told, maps=maps)


def headline(about: Mapping[str, Any]) -> str:
    """A record in a line for people, and one more for each map that was measured."""
    lines = [_said(about["target"], about.get("probability", about["score"]))]
    if "whole" in about and about["whole"]["target"] != about["target"]:
        middle, whole = about["middle"]["probability"], _said(**about["whole"])
        lines[0] += f" (named by classify, {100 * middle:.1f} % in the middle; seen whole, {whole} is likelier)"
    for one in about["maps"]:
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in one.get("faithfulness", {}).items())
        lines += [f"  {one['method']}: {numbers}"] if numbers else []
    return "\n".join(lines)


def save_maps(maps: Mapping[str, Sequence[Explanation]], settings: ExplainSettings, target: str | Path) -> None:
    """Write maps, unscaled, to a .npz file: ``PICTURE/METHOD``, H × W, float32; and ``settings``, as JSON."""
    arrays = {
        f"{writable(path)}/{one.method.name}": one.map[0, 0].cpu().numpy()
        for path, found in maps.items()
        for one in found
    }
    np.savez_compressed(target, allow_pickle=False, settings=np.array(json.dumps(to_dict(settings))), **arrays)


def _laid(shown: Float[Tensor, "1 3 h w"], one: Explanation, scale: float | None) -> Float[Tensor, "1 3 h w"]:
    """The map over the picture in grey, so that all colour is the map's: dark where it glows, else pale."""
    grey = rgb_to_grayscale(shown).expand_as(shown)
    ground = 0.5 + 0.4 * grey if one.method.signed else 0.7 * grey
    heat = resize(one.heat(scale).cpu(), (shown.shape[2], shown.shape[3]))
    return overlay(ground, heat, _STRENGTH, signed=one.method.signed)


def _views(one: Explanation, classified: Classified) -> dict[str, Any]:
    """The class that ``classify`` names by the picture's middle, and the likeliest of the whole, which is explained."""
    question, network = one.question, one.question.network
    whole = ask(network, likeliest(network, one.image))
    with torch.no_grad():
        probability = float(whole.confidence(one.image)[0])
    return {
        "middle": {"target": question.objective.text, "probability": classified.probability},
        "whole": {"target": whole.objective.text, "probability": probability},
    }


def _said(target: str, probability: float) -> str:
    """``tabby 62.0 %``, ``not tabby 38.0 %``, ``relu5_4:200 3.1``."""
    if target.removeprefix("-").startswith("class:"):
        name = target.removeprefix("-").removeprefix("class:")
        return f"{'not ' * target.startswith('-')}{name} {100 * probability:.1f} %"
    return f"{target} {probability:.4g}"
