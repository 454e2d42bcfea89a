"""The recipe in a picture: the command, settings and inputs that made it, to make it again.

::

    {"made_by": "vggapps 0.1.0 stylize",
     "inputs": {"content": [{"name": "town.jpg", "sha256": "..."}], "styles": [{..., "weight": 0.7}]},
     "settings": {"size": 512, ...},
     ...}

Inputs are listed by the argument or setting that named them. Facts about the result follow.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from vggapps import __version__
from vggapps.errors import PictureError, SettingsError, argument
from vggapps.image._identity import STDIN, Identity, identify
from vggapps.image._settings import DAMAGED, read_settings
from vggapps.settings import Settings, from_dict, to_dict, writable

log = logging.getLogger(__name__)
S = TypeVar("S", bound=Settings)

_MADE_BY = re.compile(r"vggapps \S+ (\w+)")
_NETWORK = re.compile(r"([^\W\d]\w*|\d[\dx+-]*(_bn)?)=", re.IGNORECASE)  # a name or plan notation, before a file


@dataclass(frozen=True)
class Recipe:
    """A recipe read from a picture; its structure is checked, its settings are not.

    ``inputs`` are listed by the argument or setting that named them; ``found`` holds the rest of the recipe.
    """

    picture: str
    settings: dict[str, Any]
    inputs: dict[str, tuple[Identity, ...]]
    found: dict[str, Any]


def identify_files(settings: Settings) -> dict[str, tuple[Identity, ...]]:
    """The identities of the files that settings name, by setting; taken before the work, which may replace them.

    Raises:
        PictureError: a file can't be read.
    """
    named = {name: [os.path.expanduser(_file(word)) for word in words] for name, words in _words(settings)}  # noqa: PTH111
    found = {name: tuple(identify(path) for path in paths if os.path.exists(path)) for name, paths in named.items()}  # noqa: PTH110
    return {name: files for name, files in found.items() if files}  # opening the missing ones raises the error


def recipe(
    command: str,
    settings: Settings,
    inputs: Mapping[str, Sequence[Identity]],
    arguments: Mapping[str, Any] | None = None,
    **found: Any,
) -> dict[str, Any]:
    """The recipe to write into a picture. For privacy it has file names without folders.

    Args:
        command: the command that made the picture.
        settings: its settings.
        inputs: see :func:`opened`, :func:`identify` and :func:`identify_files`.
        arguments: further options of the command that affect the result.
        found: facts about the result.
    """
    files = {name: tuple(map(_without_folders, words)) for name, words in _words(settings)}
    named = {name: words if isinstance(getattr(settings, name), tuple) else words[0] for name, words in files.items()}
    return {
        "made_by": f"vggapps {__version__} {command}",
        "inputs": {name: [_entry(one) for one in many] for name, many in inputs.items()},
        "settings": {**(arguments or {}), **to_dict(settings), **named},
        **found,
    }


def read_recipe(picture: str | os.PathLike[str], command: str) -> Recipe:
    """Read the recipe from a picture that the command has made.

    Raises:
        PictureError: the picture has no recipe, that of another command, or a damaged one.
    """
    found, hint = read_settings(picture), f"give a picture made by vggapps {command}"
    if not found or not isinstance(found.get("settings"), dict):
        raise PictureError(f"{picture}: it has no vggapps settings", hint)
    maker = _MADE_BY.fullmatch(str(found.get("made_by")))
    if maker and maker[1] != command:
        raise PictureError(f"{picture}: it was made by {maker[0]}", hint)
    try:
        inputs = _inputs(found)
    except (TypeError, ValueError, KeyError) as error:
        raise damaged(picture, error) from None
    rest = {name: value for name, value in found.items() if name not in ("made_by", "inputs", "settings")}
    return Recipe(os.fspath(picture), dict(found["settings"]), inputs, rest)  # type: ignore[call-overload]


def damaged(picture: str | os.PathLike[str], error: Exception) -> PictureError:
    """The error for a recipe with a wrong structure."""
    why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
    return PictureError(f"{picture}: its recipe is damaged: {why}", DAMAGED)


def unsupported(picture: str, error: SettingsError) -> PictureError:
    """The error for a recipe with settings that this version does not support."""
    return PictureError(f"{picture}: this version does not support its settings: {error}", "give the options by hand")


def with_files(settings: S, found: Recipe, given: Iterable[str] = ()) -> S:
    """Settings with file names replaced by paths (see :func:`find_input`), except those in `given`."""
    for name, words in _words(settings):
        if name not in given and name in found.inputs:
            hint = f"give {argument(name)}"
            known = {one.name.removesuffix("/"): find_input(one, found.picture, hint) for one in found.inputs[name]}
            paths = tuple(_prefix(word) + known.get(_file(word), _file(word)) for word in words)
            settings = replace(settings, **{name: paths[0] if isinstance(getattr(settings, name), str) else paths})
    return settings


def settings_from(kind: type[S], found: Recipe, given: Mapping[str, Any]) -> S:
    """The settings of a recipe, updated by those given.

    Raises:
        PictureError: this version does not support its settings, or they contain paths.
        SettingsError: the given settings are invalid.
    """
    kind(**given)  # so that invalid given settings are not reported as the picture's
    try:
        recorded = from_dict(kind, found.settings)
    except SettingsError as error:
        raise unsupported(found.picture, error) from error
    for name, words in _words(recorded):
        try:
            for word in words:
                _check_name(_file(word), name)
            if wrong := {one.name.removesuffix("/") for one in found.inputs.get(name, ())} - set(map(_file, words)):
                raise ValueError(f"its {name} has two names: {wrong.pop()}")
        except ValueError as error:
            raise damaged(found.picture, error) from None
    return replace(recorded, **given)


def find_input(wanted: Identity, picture: str, hint: str) -> str:
    """Find an input in the current folder or beside the picture; returns its path.

    Raises:
        PictureError: it is in neither folder, or has changed; with that hint.
    """
    if wanted.name == STDIN:
        raise PictureError(f"{picture} was made from piped input", hint)
    changed = None
    for folder in dict.fromkeys((Path(), Path(picture).parent)):
        for path in _candidates(wanted.name, folder):
            if wanted.sha256 is None:
                log.warning("%s has no digest of %s: using %s", picture, wanted.name, path)
                return str(path)
            if identify(path).sha256 == wanted.sha256:
                return str(path)
            changed = path
    if changed:
        raise PictureError(f"{changed} has changed since {picture} was made from it", hint)
    raise PictureError(f"{picture} was made from {wanted.name}, which is neither here nor beside it", hint)


def _words(settings: Settings) -> list[tuple[str, tuple[str, ...]]]:
    """The settings that name files, with the names; not keywords such as ``noise``."""
    found = []
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.metadata.get("files") and value is not None:
            words = str(field.metadata["metavar"]).split("|")
            named = (value,) if isinstance(value, str) else value
            if not all(word in words for word in named):
                found.append((field.name, tuple(named)))
    return found


def _prefix(word: str) -> str:
    """``vgg16=`` of ``vgg16=my.pth``, ``64x2-128x2_bn=`` of ``64x2-128x2_bn=my.pth``."""
    return found[0] if (found := _NETWORK.match(word)) else ""


def _file(word: str) -> str:
    """``my.pth`` of ``vgg16=my.pth``, or all of it."""
    return word.removeprefix(_prefix(word))


def _without_folders(word: str) -> str:
    return _prefix(word) + writable(Path(_file(word)).name)


def _entry(one: Identity) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if name != "weight" or value is not None}


def _inputs(found: Mapping[str, Any]) -> dict[str, tuple[Identity, ...]]:
    if not isinstance(inputs := found["inputs"], dict):
        raise TypeError("its inputs are not names and values")
    for name, entries in inputs.items():
        if not isinstance(entries, list) or not entries:
            raise TypeError(f"its {name} is not a list of files")
    return {name: tuple(_identity(entry, name) for entry in entries) for name, entries in inputs.items()}


def _identity(entry: Any, what: str) -> Identity:
    if not isinstance(entry, dict) or not isinstance(name := entry.get("name"), str):
        raise TypeError(f"its {what} has no name")
    _check_name(name.removesuffix("/"), what)
    digest: Any = entry.get("sha256")
    weight: Any = entry.get("weight")
    if digest is not None and not (isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)):
        raise ValueError(f"the digest of its {what} is not a SHA-256 digest")
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if "weight" in entry and not (is_number and 0 <= weight < math.inf):
        raise ValueError(f"the weight of its {what} is {weight!r}")
    return Identity(name, digest, weight)


def _check_name(name: str, what: str) -> None:
    """Reject paths: vggapps writes none, and following those of a downloaded picture would be unsafe."""
    if name in ("", ".", "..") or "\0" in name or Path(name).name != name:
        raise ValueError(f"its {what} is {name!r}, expected a name without folders")


def _candidates(name: str, folder: Path) -> list[Path]:
    """The files, or folders for a name with a slash, whose :func:`writable` name it is."""
    exists = os.path.isdir if name.endswith("/") else os.path.isfile  # pathlib raises for names that are too long
    name = name.removesuffix("/")
    if "\\" not in name:
        return [folder / name] if exists(folder / name) else []
    try:
        return [path for path in folder.iterdir() if writable(path.name) == name and exists(path)]
    except OSError:
        return []
