"""What a stylized picture says of how it was made, so that it can be made again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vggapps.errors import SettingsError
from vggapps.image import _recipe as recipes
from vggapps.image._identity import Identity
from vggapps.image._identity import identify as identify
from vggapps.image._recipe import Recipe
from vggapps.style._machine import machine
from vggapps.style._settings import StylizeSettings
from vggapps.vgg._names import unknown_layer
from vggapps.vgg._plan import layer_names, torchvision_names
from vggapps.weights._backbone import plan_of


def recipe(
    settings: StylizeSettings,
    content: Identity,
    styles: Sequence[tuple[Identity, float]],
    files: Mapping[str, Sequence[Identity]] | None = None,
) -> dict[str, Any]:
    """What is written into the picture.

    Args:
        settings: with which it was made.
        content: the photo.
        styles: the paintings, with their weights.
        files: from :func:`vggapps.image._recipe.identify_files`.
    """
    weighted = [replace(style, weight=weight) for style, weight in styles]
    inputs = {"content": [content], "styles": weighted, **(files or {})}
    return recipes.recipe("stylize", settings, inputs, machine=machine(settings))


def read_recipe(picture: str | os.PathLike[str]) -> Recipe:
    """The recipe inside a stylized picture.

    Raises:
        PictureError: the picture carries none, another command's, or one that was damaged.
    """
    found = recipes.read_recipe(picture, "stylize")
    machine_of(found)
    return found


def machine_of(found: Recipe) -> dict[str, Any]:
    """The machine that a recipe names, see :func:`vggapps.style._machine.machine`, once its form has been checked.

    Raises:
        PictureError: it was damaged.
    """
    try:
        if len(found.inputs["content"]) != 1:
            raise ValueError("it has several photos")
        weights = [style.weight for style in found.inputs["styles"]]
        if None in weights or not any(weights):
            raise ValueError("it has no style that counts")
        if not isinstance(made_on := found.found.get("machine", {}), dict):
            raise TypeError("its machine is not names and values")
        if not all(isinstance(fact, str | int) and str(fact).isprintable() for fact in made_on.values()):
            raise ValueError("what it says of its machine is neither words nor numbers")
    except (TypeError, ValueError, KeyError) as error:
        raise recipes.damaged(found.picture, error) from None
    return made_on


def settings_from(found: Recipe, given: Mapping[str, Any]) -> StylizeSettings:
    """As :func:`vggapps.image._recipe.settings_from`, and the layers are known.

    Raises:
        PictureError: its settings are not this version's.
        SettingsError: what is given makes no sense.
    """
    made = recipes.settings_from(StylizeSettings, found, given)
    try:
        plan = plan_of(made.backbone)
        known = layer_names(plan, "none") if plan else made.layers
        if plan and (wrong := [layer for layer in made.layers if layer not in known]):
            raise unknown_layer(wrong[0], known, torchvision_names(plan))
    except SettingsError as error:
        raise recipes.unfit(found.picture, error) from error
    return made
