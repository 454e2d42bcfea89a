"""What a stylized picture says of how it was made, so that it can be made again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vggapps.errors import PictureError, VggappsError
from vggapps.image import read_settings
from vggapps.settings import from_dict, nameless, to_dict
from vggapps.stylize.settings import StylizeSettings


def recipe(settings: StylizeSettings, content: str, styles: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """What is written into the picture: settings, and names and digests of the inputs, but no folder names."""
    from vggapps import __version__

    return {
        "made_by": f"vggapps {__version__} stylize",
        "content": _identity(content),
        "styles": [{**_identity(path), "weight": weight} for path, weight in styles],
        "settings": to_dict(nameless(settings, "init", "weights")),
    }


def _identity(path: str) -> dict[str, str]:
    file = Path(path)
    if not file.is_file():
        return {"name": path}
    return {"name": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def read_recipe(picture: str) -> dict[str, Any]:
    """The recipe inside a picture.

    Raises:
        PictureError: the picture carries none.
    """
    found = read_settings(picture)
    if not found or not isinstance(found.get("settings"), dict):
        raise PictureError(f"{picture}: it carries no vggapps settings", "give a picture that vggapps stylize has made")
    return found


def settings_from(found: Mapping[str, Any], picture: str, given: Mapping[str, Any]) -> StylizeSettings:
    """A recipe's settings, with those changed that were given anew."""
    try:
        return from_dict(StylizeSettings, {**found["settings"], **given})
    except (VggappsError, TypeError) as error:
        raise PictureError(
            f"{picture}: its settings don't fit this version: {error}", "give the options by hand"
        ) from error


def inputs_from(found: Mapping[str, Any], picture: str) -> tuple[str, list[str]]:
    """The content and the styles of a recipe, looked for in the current folder and beside the picture."""

    def find(entry: Mapping[str, Any]) -> str:
        for folder in (Path(), Path(picture).parent):
            path = folder / entry["name"]
            if path.is_file() and _identity(str(path)).get("sha256") == entry.get("sha256"):
                return str(path)
        raise PictureError(
            f"{picture} was made from {entry['name']}, which is neither here nor beside it",
            "give CONTENT and STYLE on the command line",
        )

    return find(found["content"]), [f"{find(entry)}:{entry['weight']}" for entry in found["styles"]]
