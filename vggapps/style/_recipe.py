"""The recipe inside a stylized picture: settings, inputs and machine, to make it again."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from vggapps.errors import SettingsError
from vggapps.image import _recipe as recipes
from vggapps.image._identity import Identity
from vggapps.image._identity import identify as identify
from vggapps.image._recipe import Recipe
from vggapps.style._settings import StylizeSettings
from vggapps.vgg._device import pick_device, pick_dtype
from vggapps.vgg._names import unknown_layer
from vggapps.vgg._plan import layer_names, torchvision_names
from vggapps.weights._backbone import plan_of


def recipe(
    settings: StylizeSettings,
    content: Identity,
    styles: Sequence[tuple[Identity, float]],
    files: Mapping[str, Sequence[Identity]] | None = None,
) -> dict[str, Any]:
    """The recipe to write into the picture; ``files`` is from :func:`vggapps.image._recipe.identify_files`."""
    weighted = [replace(style, weight=weight) for style, weight in styles]
    inputs = {"content": [content], "styles": weighted, **(files or {})}
    return recipes.recipe("stylize", settings, inputs, machine=machine(settings))


def read_recipe(picture: str | os.PathLike[str]) -> Recipe:
    """The recipe inside a stylized picture.

    Raises:
        PictureError: the picture has no recipe, one of another command, or a damaged one.
    """
    found = recipes.read_recipe(picture, "stylize")
    machine_of(found)
    return found


def machine_of(found: Recipe) -> dict[str, Any]:
    """The machine of a recipe, see :func:`machine`; an error if the recipe is damaged."""
    try:
        if len(found.inputs["content"]) != 1:
            raise ValueError("it has several photos")
        weights = [style.weight for style in found.inputs["styles"]]
        if None in weights or not any(weights):
            raise ValueError("no style has a weight")
        if not isinstance(made_on := found.found.get("machine", {}), dict):
            raise TypeError("its machine is not a dictionary")
        if not all(isinstance(fact, str | int) and str(fact).isprintable() for fact in made_on.values()):
            raise ValueError("its machine has values that are neither text nor integers")
    except (TypeError, ValueError, KeyError) as error:
        raise recipes.damaged(found.picture, error) from None
    return made_on


def settings_from(found: Recipe, given: Mapping[str, Any]) -> StylizeSettings:
    """As :func:`vggapps.image._recipe.settings_from`; also checks that the network has the layers."""
    made = recipes.settings_from(StylizeSettings, found, given)
    try:
        plan = plan_of(made.backbone)
        known = layer_names(plan, "none") if plan else made.layers
        if plan and (wrong := [layer for layer in made.layers if layer not in known]):
            raise unknown_layer(wrong[0], known, torchvision_names(plan))
    except SettingsError as error:
        raise recipes.unsupported(found.picture, error) from error
    return made


@cache
def processor() -> str:
    """The model name of the CPU; ``platform`` does not know it on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def machine(settings: StylizeSettings) -> dict[str, Any]:
    """What changes a picture with the same settings: torch's version, CPU or GPU, CPU threads, and dtype.

    Sums in another order round differently, which becomes visible after hundreds of steps.
    """
    device = pick_device(settings.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    threads = {"threads": torch.get_num_threads()} if device.type == "cpu" else {}
    dtype = str(pick_dtype(settings.dtype, device)).removeprefix("torch.")
    return {"torch": torch.__version__, "device": f"{device.type}: {name}", **threads, "dtype": dtype}


def differences(then: Mapping[str, Any], settings: StylizeSettings) -> list[str]:
    """The differences of this machine from the recorded one, one line each; empty if the same picture is expected.

    Args:
        then: the recorded result of :func:`machine`; may be empty.
        settings: to make the picture again.
    """
    words = {"torch": "with torch {}", "device": "on {}", "threads": "with threads: {}", "dtype": "in {}"}
    return [
        f"made {words[key].format(then[key])}, now {now}: expect small differences"
        for key, now in machine(settings).items()
        if key in then and then[key] != now
    ]
