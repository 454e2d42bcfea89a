"""Which files a command will write: decided, and refused, before any work starts."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from vggapps._files import check_writable
from vggapps.cli.inputs import Input
from vggapps.cli.options import STREAM
from vggapps.cli.saving import DEFAULT, Saving, Target, deliver, numbered
from vggapps.errors import PictureError, SettingsError

_LONGEST_NAME = 255  # bytes, on every common file system
_ROOM = 24  # of them for numbers, and for the names of previews


def plan_outputs(
    inputs: Sequence[Input],
    suffix: str | Sequence[str],
    wanted: str | None,
    *,
    force: bool,
    protected: Iterable[str] = (),
    saving: Saving = DEFAULT,
    skip_existing: bool = False,
    quiet: bool = False,
) -> list[Target | None]:
    """An output for each input, None where nothing is to be made.

    Without ``-o``: ``<input><suffix>.png`` in the current folder, with ``-2``, ``-3`` where that is taken. With a
    folder: the same names there; what was found in subfolders goes to subfolders. With a file: that file, which must
    not exist unless ``force``. Pictures found in the output folder that vggapps has made are no inputs.

    Args:
        inputs: what is read.
        suffix: of the default names; one for all, or one for each.
        wanted: what ``-o`` names.
        force: replace the named file.
        protected: further files that are read, and must not be overwritten.
        saving: how pictures are written.
        skip_existing: make nothing where the result is there, finished.
        quiet: don't say what is skipped.

    Raises:
        OutputExistsError: the named file exists.
        SettingsError: one file is named for several pictures, or it is one of the inputs or ``protected``.
        PictureError: nothing can be written there, or every input is a result of vggapps.
    """
    if wanted is not None and not wanted.endswith(("/", os.sep)) and not Path(wanted).is_dir():
        sources = [*(one.path for one in inputs), *protected]
        over = force or (skip_existing and Path(wanted).exists())
        target = plan_picture(wanted, len(inputs), sources, force=over, saving=saving)
        if skip_existing and _is_finished(Path(wanted)):
            _say_skipped(1, 1, quiet=quiet)
            return [None]
        return [target]
    folder = _made_folder(wanted)
    suffixes = [suffix] * len(inputs) if isinstance(suffix, str) else suffix
    taken: set[Path] = set()
    plans: list[Target | None] = []
    skipped = own = 0  # results that are there, and inputs that are results
    for source, ending in zip(inputs, suffixes, strict=True):
        if not source.named and _is_inside(source.path, folder) and _recipe_of(Path(source.path)) is not None:
            own += 1
            plans.append(None)
            continue
        first = folder / source.below / _file_name(source.stem, ending, saving.format or "png")
        names = (path for path in numbered(first) if path not in taken)
        path = next(names) if skip_existing else next(path for path in names if not path.exists())
        taken.add(path)
        if skip_existing and _is_finished(path):
            skipped += 1
            plans.append(None)
            continue
        _check_format(path, saving)
        plans.append(Target(str(path), named=False, force=path.exists(), saving=saving))  # only an unfinished one is
    if own and not quiet:
        what = "picture that vggapps has made is" if own == 1 else "pictures that vggapps has made are"
        typer.echo(f"{own} {what} left out: the results in {folder}", err=True)
    if skipped:
        _say_skipped(skipped, len(inputs) - own, quiet=quiet)
    if own == len(inputs):
        raise PictureError(f"all pictures in {folder} are results of vggapps", "choose another -o, or other pictures")
    return plans


def plan_wanted(
    inputs: Sequence[Input],
    suffix: str,
    output: str | None,
    *,
    force: bool,
    protected: Iterable[str] = (),
    quiet: bool = False,
) -> tuple[list[Input], Sequence[Target | None]]:
    """The inputs to work on and their outputs, of a command that writes files only where they are named.

    Raises:
        As :func:`plan_outputs`.
    """
    if output is None:
        return list(inputs), [None] * len(inputs)
    return wanted(inputs, plan_outputs(inputs, suffix, output, force=force, protected=protected, quiet=quiet))


def wanted(inputs: Sequence[Input], targets: Sequence[Target | None]) -> tuple[list[Input], list[Target]]:
    """The inputs of which something is made, and their outputs."""
    pairs = [(one, target) for one, target in zip(inputs, targets, strict=True) if target is not None]
    return [one for one, _ in pairs], [target for _, target in pairs]


def plan_picture(wanted: str, count: int, reads: Iterable[str], *, force: bool, saving: Saving = DEFAULT) -> Target:
    """The plan for a picture file that the user named, or for stdout.

    Raises:
        As :func:`plan_outputs`.
    """
    if wanted == STREAM:
        if count > 1:
            raise SettingsError("several pictures can't go to one stream", "use -o FOLDER/")
        if sys.stdout is not None and sys.stdout.isatty():
            raise SettingsError("-o - would write a picture to the terminal", "redirect it: > picture.png")
        return Target(STREAM, saving=saving)
    if count > 1:
        raise SettingsError(f"-o {wanted} is one file for {count} pictures", f"use -o {Path(wanted).stem}/")
    _check_format(Path(wanted), saving)
    if saving.format and Path(wanted).suffix.lower() != f".{saving.format}":
        raise SettingsError(f"-o {wanted} and --format {saving.format} contradict each other", "leave one of them out")
    return dataclasses.replace(plan_file(wanted, reads, force=force), saving=saving)


def plan_file(wanted: str, reads: Iterable[str] = (), *, force: bool, suffixes: Sequence[str] = ()) -> Target:
    """The plan for a file of any kind that the user named.

    Args:
        wanted: the file.
        reads: files that are read, and must not be overwritten.
        force: whether an existing file may be replaced.
        suffixes: those it may have; any if none is given.

    Raises:
        OutputExistsError: it exists, and ``force`` is false.
        SettingsError: it is read, too, or has another suffix.
        PictureError: nothing can be written there.
    """
    path = Path(wanted)
    if suffixes and path.suffix.lower() not in suffixes:
        raise SettingsError(f"{wanted} does not end in {' or '.join(suffixes)}", f"name it {path.stem}{suffixes[0]}")
    for source in reads if os.path.exists(path) else ():  # noqa: PTH110 - pathlib's may raise
        if source != STREAM and _is_same(Path(source), path):
            raise SettingsError(f"{wanted} is one of the files that are read", "choose another name")
    check_writable(path, overwrite=force)
    return Target(wanted, force=force)


def file_name(words: Sequence[str]) -> str:
    """Words as a file's name on every system, without a suffix: ``conv4_3_12``."""
    return re.sub(r"[^\w.-]+", "_", "_and_".join(words)).strip("_.")[:100] or "visualization"


def plan_list(sheet: Target) -> None:
    """Refuse a list of what is on a sheet, a JSON file beside it, that can't be written.

    Raises:
        As :func:`~vggapps.cli.outputs.plan_file`.
    """
    plan_file(_beside(sheet.path), force=sheet.force and _is_list(_beside(sheet.path)))


def deliver_list(sheet: str, facts: Mapping[str, Any], target: Target) -> None:
    """Write the list beside the sheet that was written for the target."""
    beside = _beside(sheet)
    listed = json.dumps(facts, indent=1) + "\n"
    deliver(Target(beside, target.named, target.force and _is_list(beside)), listed.encode())


def _beside(sheet: str) -> str:
    return str(Path(sheet).with_suffix(".json"))


def _is_list(path: str) -> bool:
    """Whether a file is such a list: --force offers the sheet, and no other file of the user's."""
    try:
        held = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(held, dict) and str(held.get("made_by", "")).startswith("vggapps")


def check_stdout(output: str | None, *, as_json: bool = False, printing: bool = False) -> None:
    """Refuse a picture and text on one stdout.

    Raises:
        SettingsError: both are asked for.
    """
    if output == STREAM and (as_json or printing):
        what = "JSON" if as_json else "results"
        raise SettingsError(f"the picture and the {what} both want stdout", "give -o a file")


def plan_distinct(*targets: Target | None) -> None:
    """Refuse two outputs of one name.

    Raises:
        SettingsError: there are.
    """
    places = [os.path.realpath(target.path) for target in targets if target]
    if len(set(places)) < len(places):
        raise SettingsError("two outputs have one name", "give each its own")


def _made_folder(wanted: str | None) -> Path:
    folder = Path(wanted or ".")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(f"{wanted}: {error.strerror}", "choose a folder that can be made") from error
    check_writable(folder / "x", overwrite=True)
    return folder


def _check_format(path: Path, saving: Saving) -> None:
    from vggapps.image._encode import check_format

    try:
        check_format(path.suffix)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.message}", f"{error.hint}; to write into a folder: {path}/") from None
    try:
        check_format(path.suffix, bits=saving.bits, quality=saving.quality)
    except SettingsError as error:
        raise error.about(path) from None


def _file_name(stem: str, ending: str, kind: str) -> str:
    """A name that file systems take, cut at a letter if it must be."""
    end = f".{kind}"
    room = _LONGEST_NAME - _ROOM - len(end)
    whole = os.fsencode(f"{stem}{ending}")
    return (f"{stem}{ending}" if len(whole) <= room else whole[:room].decode("utf-8", "ignore")) + end


def _is_inside(path: str, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _is_same(source: Path, path: Path) -> bool:
    try:
        return source.samefile(path)
    except OSError:
        return False


def _recipe_of(path: Path) -> dict[str, object] | None:
    from vggapps.image import read_settings

    try:
        return read_settings(path)
    except PictureError:  # whoever opens it as an input says what is wrong
        return None


def _is_finished(path: Path) -> bool:
    """Whether a result is there that was not stopped early."""
    recipe = _recipe_of(path) if path.exists() else {"stopped": True}
    return not (recipe and recipe.get("stopped"))


def _say_skipped(skipped: int, of: int, *, quiet: bool) -> None:
    if not quiet:
        typer.echo(f"{skipped} of {of} results are there already and skipped", err=True)
