"""Planning output files: names are chosen, and errors are raised, before the work starts."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vggapps._files import check_writable
from vggapps.cli.inputs import Input
from vggapps.cli.options import STREAM
from vggapps.cli.outcome import note
from vggapps.cli.saving import DEFAULT, Saving, Target, deliver, numbered
from vggapps.errors import PictureError, SettingsError

_LONGEST_NAME = 255  # bytes, on every common file system
_RESERVED = 24  # of these bytes, for numbers and the names of previews


def plan_outputs(
    inputs: Sequence[Input],
    suffix: str | Sequence[str],
    output: str | None,
    *,
    force: bool,
    protected: Iterable[str] = (),
    saving: Saving = DEFAULT,
    skip_existing: bool = False,
    quiet: bool = False,
) -> list[Target | None]:
    """A target for each input, None for inputs to skip.

    Without ``-o``: ``<input><suffix>.png`` in the current folder, or with ``-2``, ``-3`` if that exists. With a
    folder: the same names there, in the subfolders of the inputs. With a file: that file, which must not exist unless
    ``force``. Inputs in the output folder that are results of vggapps are skipped.

    Args:
        inputs: what is read.
        suffix: of the default names; one for all, or one for each.
        output: the value of ``-o``.
        force: replace an existing file.
        protected: other files that are read and must not be overwritten.
        saving: how pictures are written.
        skip_existing: skip inputs that have a finished result.
        quiet: do not print what is skipped.

    Raises:
        OutputExistsError: the file exists.
        SettingsError: one file for several pictures, or the file is an input or ``protected``.
        PictureError: the file can't be written, or every input is a result of vggapps.
    """
    if output is not None and not output.endswith(("/", os.sep)) and not Path(output).is_dir():
        sources = [*(one.path for one in inputs), *protected]
        over = force or (skip_existing and Path(output).exists())
        target = plan_picture(output, len(inputs), sources, force=over, saving=saving)
        if skip_existing and _is_finished(Path(output)):
            _note_skipped(1, 1, quiet=quiet)
            return [None]
        return [target]
    folder = _create_folder(output)
    suffixes = [suffix] * len(inputs) if isinstance(suffix, str) else suffix
    taken: set[Path] = set()
    plans: list[Target | None] = []
    skipped = results = 0  # inputs that have a result, and inputs that are results
    for source, ending in zip(inputs, suffixes, strict=True):
        if not source.named and _is_inside(source.path, folder) and _recipe_of(Path(source.path)) is not None:
            results += 1
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
        plans.append(Target(str(path), named=False, force=path.exists(), saving=saving))  # unfinished if it exists
    if results:
        note(f"skipped inputs that are results of vggapps in {folder}: {results}", quiet=quiet)
    if skipped:
        _note_skipped(skipped, len(inputs) - results, quiet=quiet)
    if results == len(inputs):
        raise PictureError(f"all pictures in {folder} are results of vggapps", "choose another -o, or other pictures")
    return plans


def plan_optional(
    inputs: Sequence[Input],
    suffix: str,
    output: str | None,
    *,
    force: bool,
    protected: Iterable[str] = (),
    quiet: bool = False,
) -> tuple[list[Input], Sequence[Target | None]]:
    """The inputs and targets of a command that writes files only with an output option.

    Raises:
        As :func:`plan_outputs`.
    """
    if output is None:
        return list(inputs), [None] * len(inputs)
    return keep_planned(inputs, plan_outputs(inputs, suffix, output, force=force, protected=protected, quiet=quiet))


def keep_planned(inputs: Sequence[Input], targets: Sequence[Target | None]) -> tuple[list[Input], list[Target]]:
    """The inputs that have a target, and their targets."""
    pairs = [(one, target) for one, target in zip(inputs, targets, strict=True) if target is not None]
    return [one for one, _ in pairs], [target for _, target in pairs]


def plan_picture(output: str, count: int, reads: Iterable[str], *, force: bool, saving: Saving = DEFAULT) -> Target:
    """The target for a picture file given by the user, or for stdout.

    Raises:
        As :func:`plan_outputs`.
    """
    if output == STREAM:
        if count > 1:
            raise SettingsError("several pictures can't be written to stdout", "use -o FOLDER/")
        if sys.stdout is not None and sys.stdout.isatty():
            raise SettingsError("-o - would write a picture to the terminal", "redirect it: > picture.png")
        return Target(STREAM, saving=saving)
    if count > 1:
        raise SettingsError(f"-o {output} is one file for {count} pictures", f"use -o {Path(output).stem}/")
    _check_format(Path(output), saving)
    if saving.format and Path(output).suffix.lower() != f".{saving.format}":
        raise SettingsError(f"-o {output} contradicts --format {saving.format}", "leave one of them out")
    return dataclasses.replace(plan_file(output, reads, force=force), saving=saving)


def plan_file(output: str, reads: Iterable[str] = (), *, force: bool, suffixes: Sequence[str] = ()) -> Target:
    """The target for a file of any kind given by the user.

    Args:
        output: the file.
        reads: files that are read and must not be overwritten.
        force: replace an existing file.
        suffixes: the allowed ones; any by default.

    Raises:
        OutputExistsError: it exists, and ``force`` is false.
        SettingsError: it is one of ``reads``, or has another suffix.
        PictureError: it can't be written.
    """
    path = Path(output)
    if suffixes and path.suffix.lower() not in suffixes:
        raise SettingsError(f"{output} does not end in {' or '.join(suffixes)}", f"name it {path.stem}{suffixes[0]}")
    for source in reads if os.path.exists(path) else ():  # noqa: PTH110 - pathlib's may raise
        if source != STREAM and _is_same(Path(source), path):
            raise SettingsError(f"{output} is one of the input files", "choose another name")
    check_writable(path, overwrite=force)
    return Target(output, force=force)


def file_name(words: Sequence[str]) -> str:
    """A file name without suffix that is valid on every system: ``conv4_3_12``."""
    return re.sub(r"[^\w.-]+", "_", "_and_".join(words)).strip("_.")[:100] or "visualization"


def plan_list(sheet: Target) -> None:
    """Check that the JSON file beside a contact sheet, which lists its pictures, can be written.

    Raises:
        As :func:`plan_file`.
    """
    plan_file(_list_of(sheet.path), force=sheet.force and _is_list(_list_of(sheet.path)))


def deliver_list(sheet: str, facts: Mapping[str, Any], target: Target) -> None:
    """Write the JSON file beside a contact sheet."""
    beside = _list_of(sheet)
    listed = json.dumps(facts, indent=1) + "\n"
    deliver(Target(beside, target.named, target.force and _is_list(beside)), listed.encode())


def _list_of(sheet: str) -> str:
    return str(Path(sheet).with_suffix(".json"))


def _is_list(path: str) -> bool:
    """Whether a file is the list of a sheet: --force must not replace other files."""
    try:
        held = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(held, dict) and str(held.get("made_by", "")).startswith("vggapps")


def check_stdout(output: str | None, *, as_json: bool = False, printing: bool = False) -> None:
    """Check that a picture and text are not both written to stdout.

    Raises:
        SettingsError: they are.
    """
    if output == STREAM and (as_json or printing):
        what = "JSON" if as_json else "results"
        raise SettingsError(f"the picture and the {what} can't both be written to stdout", "give -o a file")


def plan_distinct(*targets: Target | None) -> None:
    """Check that no two outputs have the same path.

    Raises:
        SettingsError: two have.
    """
    places = [os.path.realpath(target.path) for target in targets if target]
    if len(set(places)) < len(places):
        raise SettingsError("two outputs have the same name", "choose different names")


def _create_folder(output: str | None) -> Path:
    folder = Path(output or ".")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(f"{output}: {error.strerror}", "choose a folder that can be created") from error
    check_writable(folder / "x", overwrite=True)
    return folder


def _check_format(path: Path, saving: Saving) -> None:
    from vggapps.image._encode import check_format

    try:
        check_format(path.suffix)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.message}", f"{error.hint}; to write into a folder: {path}/") from None
    try:
        check_format(path.suffix, bits=saving.bits, quality=saving.jpeg_quality)
    except SettingsError as error:
        raise error.about(path) from None


def _file_name(stem: str, ending: str, kind: str) -> str:
    """A file name, shortened to the limit of file systems."""
    end = f".{kind}"
    room = _LONGEST_NAME - _RESERVED - len(end)
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
    except PictureError:  # opening it as an input raises the error
        return None


def _is_finished(path: Path) -> bool:
    """Whether the file is a result that was not stopped early."""
    recipe = _recipe_of(path) if path.exists() else {"stopped": True}
    return not (recipe and recipe.get("stopped"))


def _note_skipped(skipped: int, total: int, *, quiet: bool) -> None:
    note(f"{skipped} of {total} results exist and are skipped", quiet=quiet)
