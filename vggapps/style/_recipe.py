"""What a stylized picture says of how it was made, so that it can be made again."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vggapps.errors import PictureError, SettingsError
from vggapps.image import read_settings
from vggapps.image._opening import stream_of
from vggapps.settings import from_dict, nameless, to_dict, writable
from vggapps.style._machine import machine
from vggapps.style._settings import StylizeSettings
from vggapps.vgg._names import unknown_layer
from vggapps.vgg._plan import layer_names, torchvision_names
from vggapps.weights._backbone import file_in, is_file, plan_of
from vggapps.weights._download import sha256_of

log = logging.getLogger(__name__)

STDIN = "stdin"  # the name of what came through a pipe
FILES = ("init", "backbone")  # the settings that can name a file
_WORDS = {"content", "noise"}  # what init can name besides
_HINT = "the picture was changed by another program; use one as vggapps wrote it"


@dataclass(frozen=True)
class Identity:
    """Which file an input was: taken once, from the bytes that were read.

    Attributes:
        name: without its folder, as text that can be written.
        sha256: digest of its bytes, hexadecimal; None only in pictures of versions that did not record it.
    """

    name: str
    sha256: str | None


@dataclass(frozen=True)
class Recipe:
    """A recipe that was read from a picture, its form checked, its settings not yet.

    Attributes:
        settings: names and values.
        content: the photo.
        styles: the paintings and their weights.
        files: of the settings that named a file, which it was.
        machine: what :func:`vggapps.style._machine.machine` gave; empty in pictures of earlier versions.
    """

    settings: dict[str, Any]
    content: Identity
    styles: list[tuple[Identity, float]]
    files: dict[str, Identity]
    machine: dict[str, Any]


def opened(source: str | os.PathLike[str] | bytes) -> tuple[bytes, Identity]:
    """A file's bytes and which file that is: so the recipe tells of what is decoded, whatever becomes of the file.

    Args:
        source: its path, or the bytes that came through stdin.

    Raises:
        PictureError: it can't be read.
    """
    with stream_of(source) as (stream, _):
        data = stream.read()
    name = STDIN if isinstance(source, bytes) else writable(Path(source).name)
    return data, Identity(name, hashlib.sha256(data).hexdigest())


def identify(path: str | os.PathLike[str]) -> Identity:
    """Which file that is.

    Raises:
        PictureError: it can't be read.
    """
    return opened(path)[1]


def identify_files(settings: StylizeSettings) -> dict[str, Identity]:
    """Which files the settings name, by setting; taken before the first picture of a run.

    Raises:
        PictureError, WeightsError: one can't be read.
    """
    found = {}
    for name in FILES:
        word = _file_of(name, getattr(settings, name))
        path = os.path.expanduser(word or "")  # noqa: PTH111 - pathlib's raises where there is no such user
        if _is_file(path):  # what is none is told by who opens it
            digest = sha256_of(Path(path)) if name == "backbone" else identify(path).sha256
            found[name] = Identity(writable(Path(path).name), digest)
    return found


def recipe(
    settings: StylizeSettings,
    content: Identity,
    styles: Sequence[tuple[Identity, float]],
    files: Mapping[str, Identity] | None = None,
) -> dict[str, Any]:
    """What is written into the picture: settings, names and digests of all inputs, but no folder names.

    Args:
        settings: with which it was made.
        content: from :func:`identify`.
        styles: from :func:`identify`, with their weights.
        files: from :func:`identify_files`.
    """
    from vggapps import __version__

    return {
        "made_by": f"vggapps {__version__} stylize",
        "content": asdict(content),
        "styles": [{**asdict(style), "weight": weight} for style, weight in styles],
        "files": {name: asdict(file) for name, file in (files or {}).items()},
        "settings": to_dict(nameless(settings, *FILES)),
        "machine": machine(settings),
    }


def _file_of(name: str, word: str) -> str | None:
    """The file that a setting's word names; None where it names none."""
    if name == "backbone":
        return file_in(word) if is_file(word) else None
    return None if word in _WORDS else word


def read_recipe(picture: str) -> Recipe:
    """The recipe inside a picture.

    Raises:
        PictureError: the picture carries none, or one that was changed into nonsense.
    """
    found = read_settings(picture)
    if not found or not isinstance(found.get("settings"), dict):
        raise PictureError(f"{picture}: it carries no vggapps settings", "give a picture that vggapps stylize has made")
    maker = str(found.get("made_by", ""))
    if re.fullmatch(r"vggapps \S+ \w+", maker) and not maker.endswith(" stylize"):
        raise PictureError(f"{picture}: it was made by {maker}", "give a picture that vggapps stylize has made")
    try:
        return _parsed(found)
    except (TypeError, ValueError, KeyError) as error:
        why = f"it says nothing of {error}" if isinstance(error, KeyError) else str(error)
        raise PictureError(f"{picture}: its recipe is damaged: {why}", _HINT) from None


def _parsed(found: Mapping[str, Any]) -> Recipe:
    """Raises ``TypeError``, ``ValueError`` or ``KeyError`` for what is not a recipe's form."""
    styles = [(_identity(entry, "style"), _weight(entry["weight"])) for entry in _of(list, found, "styles")]
    if not sum(weight for _, weight in styles) > 0:
        raise ValueError("it has no style that counts")
    files = {name: _identity(entry, name) for name, entry in _of(dict, found, "files", {}).items()}
    settings = _of(dict, found, "settings")
    # Earlier versions did not record which files these were.
    for name in FILES:
        if isinstance(word := settings.get(name), str) and (file := _file_of(name, word)) is not None:
            known = files.setdefault(name, _identity({"name": file}, name))
            if known.name != file:
                raise ValueError(f"its {name} has two names")
    if wrong := [name for name in files if name not in FILES or _file_of(name, str(settings.get(name))) is None]:
        raise ValueError(f"its settings name no file as {wrong[0]}")
    made_on = _of(dict, found, "machine", {})
    if not all(isinstance(fact, str | int) and str(fact).isprintable() for fact in made_on.values()):
        raise ValueError("what it says of its machine is neither words nor numbers")
    return Recipe(settings, _identity(found["content"], "content"), styles, files, made_on)


def _of(kind: type, found: Mapping[str, Any], key: str, default: Any = None) -> Any:
    value = found[key] if default is None else found.get(key, default)
    if not isinstance(value, kind):
        raise TypeError(f"its {key} are no {'list' if kind is list else 'names and values'}")
    return value


def _identity(entry: Any, what: str) -> Identity:
    if not isinstance(entry, dict) or not isinstance(name := entry.get("name"), str):
        raise TypeError(f"its {what} has no name")
    # From a stranger's picture no path is followed: ours never carry one.
    if name in ("", ".", "..") or "\0" in name or Path(name).name != name:
        raise ValueError(f"its {what} is {name!r}, and a name without folders was expected")
    digest = entry.get("sha256")
    if digest is not None and not (isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)):
        raise ValueError(f"the digest of its {what} is none")
    return Identity(name, digest)


def _weight(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"the weight of its style is {value!r}")
    return value


def settings_from(found: Recipe, picture: str, given: Mapping[str, Any]) -> StylizeSettings:
    """A recipe's settings, with those changed that were given anew. Files are named as in the recipe.

    Raises:
        PictureError: its settings are not this version's.
        SettingsError: what was given makes no sense.
    """
    StylizeSettings(**given)  # what was typed is not the picture's fault
    try:
        made = from_dict(StylizeSettings, {**found.settings, **given})
        plan = plan_of(made.backbone)
        known = layer_names(plan, "none") if plan else made.layers
        if plan and (wrong := [layer for layer in made.layers if layer not in known]):
            raise unknown_layer(wrong[0], known, torchvision_names(plan))
        return made
    except SettingsError as error:
        raise PictureError(
            f"{picture}: its settings don't fit this version: {error}", "give the options by hand"
        ) from error


def content_from(found: Recipe, picture: str) -> str:
    """The path of a recipe's photo; for what it raises see :func:`find`."""
    return find(found.content, picture, "give CONTENT on the command line: the styles are taken from the recipe")


def styles_from(found: Recipe, picture: str) -> list[tuple[str, float]]:
    """The paths of a recipe's styles, and their weights; for what it raises see :func:`find`."""
    return [(find(style, picture, "give CONTENT and STYLE on the command line"), w) for style, w in found.styles]


def files_from(found: Recipe, picture: str, given: Mapping[str, Any]) -> dict[str, str]:
    """The paths of the files that a recipe's settings name, but for those given anew; see :func:`find`."""
    return {
        name: found.settings[name].removesuffix(file.name) + find(file, picture, f"give --{name} on the command line")
        for name, file in found.files.items()
        if name not in given
    }


def find(wanted: Identity, picture: str, hint: str) -> str:
    """The path of an input, looked for in the current folder and beside the picture.

    Raises:
        PictureError: it is there in neither, or has changed; its hint is ``hint``.
    """
    if wanted.name == STDIN:
        raise PictureError(f"{picture} was made from a picture that came through a pipe", hint)
    changed = None
    for folder in dict.fromkeys((Path(), Path(picture).parent)):
        for path in _named(wanted.name, folder):
            if wanted.sha256 is None:
                log.warning("%s does not say which %s it was made from: taking %s", picture, wanted.name, path)
                return str(path)
            if identify(path).sha256 == wanted.sha256:
                return str(path)
            changed = path
    if changed:
        raise PictureError(f"{changed} has changed since {picture} was made from it", hint)
    raise PictureError(f"{picture} was made from {wanted.name}, which is neither here nor beside it", hint)


def _named(name: str, folder: Path) -> list[Path]:
    """Files of that name, which may have been made writable."""
    if "\\" not in name:
        return [folder / name] if _is_file(folder / name) else []
    try:
        return [path for path in folder.iterdir() if writable(path.name) == name and _is_file(path)]
    except OSError:
        return []


def _is_file(path: str | Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - pathlib's raises for a name that is too long
