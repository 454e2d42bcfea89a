"""Shards in the WebDataset format: tar files whose neighbouring members with one name are a sample.

The members of a sample have the same name up to the first dot of its last part: ``0001.jpg``, ``0001.cls``; see
https://github.com/webdataset/webdataset. Shards are listed once and then read in any order.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from vggapps.errors import PictureError, SettingsError, remedy
from vggapps.image import scan_folder
from vggapps.image._folders import is_hidden
from vggapps.image._picture import SUFFIXES
from vggapps.training._members import Member
from vggapps.training._parts import INDEX, Parts, Sample, names_in_a_note

_COMPRESSED = re.compile(r"\.(tgz|tbz2?|txz|tzst|tar\.\w+)$")
_BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")
# A word that begins so in the name of a shard or of its folder names the part: train-000.tar, train/000.tar.
_PART = re.compile(r"(?<![a-z])(train|val|test)")
_SAMPLE = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]*)")  # name and suffix
_META = re.compile(r"__[^/]*__(?:$|/)")  # names of members that are about the shard, not in a sample
_COMPLETE = (
    "a sample has one picture, 0001.jpg, and its class, in 0001.cls or as label in 0001.json, as neighbours: "
    "pack folders with tar --sort=name"
)


def shard_parts(source: str) -> Parts | None:
    """List the samples of shards; None if the source has none.

    Raises:
        PictureError: a shard is missing, damaged or cut short.
        SettingsError: a shard is compressed, or no sample has a picture and a class.
    """
    shards, notes = _shards(source)
    if not shards:
        return None
    root = os.path.commonpath([Path(shard).parent.absolute() for shard in shards])
    names = {shard: Path(os.path.relpath(shard, root)).as_posix() for shard in shards}
    parts: dict[str, dict[Path, str]] = {}
    for shard, name in names.items():
        found = _PART.search(name.lower())
        parts.setdefault(found[1] if found else "", {})[shard] = name
    held = next((word for word in ("val", "test") if word in parts), None)
    if "train" not in parts or held is None:
        samples, more = _listed(names)
        return Parts(samples, None, (*notes, *more))
    (training, of_training), (validation, of_validation) = _listed(parts.pop("train")), _listed(parts.pop(held))
    notes += [*of_training, *of_validation]
    if others := sorted(name for rest in parts.values() for name in rest.values()):
        notes.append(f"shards of neither part, train and {held}, are left out: {names_in_a_note(others)}")
    return Parts(training, validation, tuple(notes))


def expanded(text: str) -> Iterator[str]:
    """Names in brace notation, as a shell expands them.

    >>> list(expanded("{a,b}-{08..10}.tar"))
    ['a-08.tar', 'a-09.tar', 'a-10.tar', 'b-08.tar', 'b-09.tar', 'b-10.tar']
    """
    if not (found := _BRACES.search(text)):
        yield text
        return
    first, last, words = found.groups()
    choices: Iterable[str] = words.split(",") if words else ()
    if first:
        width = max(len(first), len(last)) if re.match("0.", first) or re.match("0.", last) else 1
        choices = (f"{number:0{width}}" for number in range(int(first), int(last) + 1))
    for choice in choices:
        yield from expanded(text[: found.start()] + choice + text[found.end() :])


def _shards(source: str) -> tuple[list[Path], list[str]]:
    """The shards that a source stands for, and notes; none for folders with pictures, and for other files."""
    path = Path(source)
    if path.is_dir():
        folders = [path, *sorted(one for one in path.iterdir() if _PART.match(one.name.lower()) and one.is_dir())]
        files = [one for folder in folders for one in sorted(folder.iterdir()) if not is_hidden(one.name)]
        tars = [one for one in files if one.suffix.lower() == ".tar"]
        packed = [one for one in files if _COMPRESSED.search(one.name.lower())]
        if not (tars or packed) or scan_folder(path).pictures:
            return [], []
        if tars:
            names = names_in_a_note(one.name for one in packed)
            return tars, [f"compressed tar files are left out: {names}"] if packed else []
    else:
        tars = [path] if path.exists() else [Path(name) for name in expanded(source)]
        packed = [one for one in tars if _COMPRESSED.search(one.name.lower())]
        if not packed:
            return (tars if all(one.suffix.lower() == ".tar" for one in tars) else []), []
    raise SettingsError(
        f"{packed[0]} is compressed: its pictures can't be read in random order", "unpack it to a .tar file"
    )


def _listed(shards: dict[Path, str]) -> tuple[tuple[Sample, ...], list[str]]:
    """The samples of shards with these names, and a note on those that are left out."""
    found = [one for shard, name in shards.items() for one in _samples(shard, name)]
    samples = tuple(one for one in found if isinstance(one, Sample))
    others = [one for one in found if isinstance(one, str)]
    if not samples:
        first = f"the first is {others[0]}" if others else "there is none at all"
        raise SettingsError(f"{next(iter(shards))}: no sample has one picture and one class; {first}", _COMPLETE)
    left_out = f"{len(others)} of {len(found)} samples are left out: they don't have one picture and one class"
    return samples, [f"{left_out}, for example {others[0]}"] if others else []


def _samples(shard: Path, name: str) -> Iterator[Sample | str]:
    """The samples of a shard; those without one picture and one class as text: ``train-000.tar/0001 with jpg, txt``."""
    try:
        with shard.open("rb") as file:
            changed = os.fstat(file.fileno()).st_mtime_ns
            for key, group in groupby(_members(file), lambda one: one[0]):
                members = [(suffix, member) for _, suffix, member in group]
                pictures = [member for suffix, member in members if suffix in SUFFIXES]
                word = _word(members, file)
                if len(pictures) == 1 and word:
                    picture, inner = pictures[0], pictures[0].name.removeprefix("./")
                    member = Member(str(shard), changed, picture.offset_data, picture.size, f"{name}/{inner}")
                    yield Sample(member, word, key)
                else:
                    yield f"{name}/{key} with {', '.join(suffix for suffix, _ in members)}"
    except tarfile.TarError as error:
        hint = "get it again; if it is compressed, unpack it"
        raise PictureError(f"{shard}: it can't be read as a tar file: {error}", hint) from None
    except OSError as error:
        hint = remedy(error.errno, "check its name and permissions")
        raise PictureError(f"{shard}: it can't be read: {error.strerror or error}", hint) from None


def _members(file: BinaryIO) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
    """The members that belong to samples: name of the sample, suffix and header.

    Raises:
        TarError: the file is no tar file, damaged or cut short.
    """
    last = ""
    with tarfile.open(fileobj=file, mode="r:") as tar:
        while member := tar.next():
            tar.members.clear()  # type: ignore[attr-defined]  # they would need a kilobyte each
            last = member.name.removeprefix("./")
            found = _SAMPLE.fullmatch(last)
            if found and member.isreg() and not _META.match(last):
                yield found[1], found[2].lower(), member
        # tarfile takes a damaged or incomplete header for the end, which is marked by zeros.
        file.seek(tar.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"what follows {last} is damaged or missing")


def _word(members: Sequence[tuple[str, tarfile.TarInfo]], file: BinaryIO) -> str:
    """The class of a sample; "" if it is not named, or twice."""
    for kind in ("cls", "json"):
        if found := [member for suffix, member in members if suffix == kind]:
            file.seek(found[0].offset_data)
            return _named(kind, file.read(found[0].size)) if len(found) == 1 else ""
    return ""


def _named(kind: str, data: bytes) -> str:
    """The class in a .cls or .json member; a number is written as tables are read that have a column ``index``."""
    try:
        value = data.decode() if kind == "cls" else json.loads(data)
        if isinstance(value, dict):
            value = value.get("label", value.get("cls"))
        text = str(value).strip() if type(value) in (int, str) else ""
        return f"{INDEX}{int(text)}" if text.isdecimal() else text
    except ValueError:
        return ""
