"""Explanations as settings ask for them, and what is shown and said of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from kornia.color import rgb_to_grayscale
from torch import Tensor, nn

from vggapps import __version__
from vggapps.errors import SettingsError
from vggapps.explain import faithfulness
from vggapps.explain.methods import METHODS, Explanation, explain, seen_at
from vggapps.explain.overlay import overlay
from vggapps.explain.question import Watch
from vggapps.explain.settings import ExplainSettings
from vggapps.image import Picture, Source, open_picture, resize, scaled
from vggapps.image.lettering import one_line
from vggapps.settings import nameless, to_dict, writable
from vggapps.visualize.sheet import contact_sheet

log = logging.getLogger(__name__)
_LARGE, _SMALL = 800, 320  # longer side in pixels of a picture beside one map, and among many
_GAP = 8
_STRENGTH = 0.8
_WIDE = 1.8  # how many times wider than high a picture is that has its map below it


def open_explained(source: Source, settings: ExplainSettings, name: str | None = None) -> Picture:
    """A picture as :func:`explanations` and :func:`figure` look at it: no larger than they need.

    Raises:
        PictureError: it can't be read.
    """
    return open_picture(source, at_least=2 * max(settings.size, _LARGE), name=name)


def explanations(
    network: nn.Module,
    picture: Picture,
    settings: ExplainSettings,
    watch: Callable[[str], Watch] = lambda _: iter,
) -> list[Explanation]:
    """Explain a picture by one method, or by all that this network and target allow.

    Args:
        network: in inference mode.
        picture: of any size.
        settings: how; those that choose the network are the caller's.
        watch: for a method's name, what shows how far it is.

    Raises:
        SettingsError: no such target or layer, or one that the method does not take.
    """
    image = resize(picture.rgb, seen_at(*picture.size, settings.size))
    typed = {name: value for name in ("layer", "samples") if (value := getattr(settings, name)) is not None}
    found = []
    for name in METHODS if settings.method == "all" else [settings.method]:
        takes = METHODS[name].takes
        fixed = {"seed": settings.seed, "watch": watch(name)}
        options = {option: value for option, value in {**typed, **fixed}.items() if option in takes}
        if settings.method != "all":  # which then says what it does not take
            options |= typed
        try:
            found.append(explain(network, image, settings.target, name, **options))
        except SettingsError as error:
            if settings.method != "all":
                raise
            log.warning("%s is left out: %s", name, error)
    return found


def figure(
    picture: Picture, found: Sequence[Explanation], scales: Mapping[str, float] | None = None
) -> Float[Tensor, "1 3 h w"]:
    """The picture with its explanation beside it, below it where it is very wide; or a labelled sheet of several.

    Args:
        picture: that was explained.
        found: one explanation or more of it.
        scales: for a method's name the value that has the hottest colour; None for each map's own.
    """
    size = scaled(*picture.size, _LARGE if len(found) == 1 else _SMALL)
    shown = resize(picture.rgb, size)
    laid = [_laid(shown, one, (scales or {}).get(one.method.name)) for one in found]
    if len(found) > 1:
        labels = [f"{one.method.name}, {one.layer}" if one.layer else one.method.name for one in found]
        title = _said(found[0].target, float(found[0].confidence[0]))
        return contact_sheet([shown, *laid], [one_line(picture.name), *labels], columns=4, title=title).rgb
    wide = size[1] > _WIDE * size[0]
    gap = torch.ones(1, 3, *((_GAP, size[1]) if wide else (size[0], _GAP)))
    return torch.cat([shown, gap, *laid], 2 if wide else 3)


def common_scales(many: Iterable[Sequence[Explanation]]) -> dict[str, float]:
    """For each method the largest scale that a picture has."""
    scales: dict[str, float] = {}
    for found in many:
        for one in found:
            scales[one.method.name] = max(scales.get(one.method.name, 0), float(one.scale.max()))
    return scales


def record(name: str, settings: ExplainSettings, found: Sequence[Explanation], *, evaluate: bool) -> dict[str, Any]:
    """What there is to say of a picture's explanations, for JSON and for the picture that shows them.

    Args:
        name: of the picture, without its folder.
        settings: with which they were made.
        found: one explanation or more.
        evaluate: whether to measure how faithful they are, which takes longer than most of them.
    """
    first = found[0]
    kind = "probability" if first.question.of_classes else "response"
    maps = []
    for one in found:
        about: dict[str, Any] = {"method": one.method.name, "layer": one.layer}
        about |= {"min": float(one.map.min()), "max": float(one.map.max()), "sum": float(one.map.sum())}
        about["seconds"] = round(one.seconds, 2)
        if evaluate:
            about["faithfulness"] = faithfulness.evaluate(one.question, one.image, one.map, seed=settings.seed)
            if one.method.signed and one.method.pixels:  # what is added over colours still adds up
                gap = faithfulness.completeness(one.question, one.image, one.map)
                about["faithfulness"]["completeness"] = float(gap)
        maps.append(about)
    return {
        "made_by": f"vggapps {__version__} explain",
        "picture": writable(name),
        "target": first.target,
        "score": float(first.score[0]),
        kind: float(first.confidence[0]),
        "maps": maps,
        "settings": to_dict(nameless(settings, "backbone")),
    }


def headline(about: Mapping[str, Any]) -> str:
    """A record in a line for people, and one more for each map that was measured."""
    lines = [_said(about["target"], about.get("probability", about["score"]))]
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


def _said(target: str, number: float) -> str:
    """``tabby 62.0 %``, ``relu5_4:200 3.1``."""
    if target.startswith("class:"):
        return f"{target.removeprefix('class:')} {100 * number:.1f} %"
    return f"{target} {number:.4g}"
