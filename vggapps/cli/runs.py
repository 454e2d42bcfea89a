"""Optimization runs that write files: progress, previews, films, and an early stop that keeps the picture so far."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from vggapps._progress import watched
from vggapps.cli.inputs import Input
from vggapps.cli.interrupt import Stop, stoppable
from vggapps.cli.outcome import Failures, note
from vggapps.cli.outputs import plan_file
from vggapps.cli.previews import Frames, Preview
from vggapps.cli.saving import Target, deliver, deliver_picture
from vggapps.errors import SettingsError, VggappsError
from vggapps.settings import check, setting

if TYPE_CHECKING:
    from vggapps.image import Picture
    from vggapps.optimize._step import Step

T = TypeVar("T")


@dataclass(frozen=True)
class Watching:
    """Intermediate pictures: the steps between two previews and between two frames; 0 for none."""

    preview_every: int = setting(
        0, minimum=0, metavar="N", help="Write OUTPUT.preview.png every N steps; removed at the end.", panel="The file"
    )
    frames_every: int = setting(
        0, minimum=0, metavar="N", help="Write every N-th step to OUTPUT_frames/00001.png, ...", panel="The file"
    )

    def __post_init__(self) -> None:
        check(self)


def run_each(
    inputs: Sequence[T],
    targets: Sequence[Target | None],
    make: Callable[[T, Target, Stop], dict[str, Any]],
    *,
    as_json: bool,
    named: Callable[[T], str] = attrgetter("path"),
) -> None:
    """Make a file of every input, and print the files' paths to stdout.

    Exits with 129, 130 or 143 after a signal, and with 1 if some of several inputs failed.

    Args:
        inputs: what is read.
        targets: an output for each; None for inputs to skip.
        make: ``make(input, target, stop)`` writes the output and returns what ``--json`` prints.
        as_json: print JSON instead of paths.
        named: the name of an input in errors.

    Raises:
        Exception: the error of a single input, and bugs.
    """
    planned = [(one, target) for one, target in zip(inputs, targets, strict=True) if target is not None]
    failures = Failures(len(planned))
    with stoppable() as stop:
        for one, target in planned:
            try:
                made = make(one, target, stop)
            except Exception as error:
                failures.add(error, named(one))
            else:
                if not target.is_stream:
                    typer.echo(json.dumps(made) if as_json else made["output"])
            if stop.code:
                break
    failures.end(stop.code)


def run_steps(
    steps: Iterator[Step],
    target: Target,
    stop: Stop,
    *,
    title: str,
    picture_of: Callable[[Step], Picture],
    recipe: Callable[[], Mapping[str, Any]],
    watching: Watching,
    quiet: bool,
) -> dict[str, Any]:
    """Run an optimization and write its last picture.

    Args:
        steps: the run.
        target: where the picture is written.
        stop: checked after each step.
        title: of the progress bar.
        picture_of: the picture of a step.
        recipe: the recipe stored in the picture, called after ``picture_of``.
        watching: previews and frames.
        quiet: show no progress.

    Returns:
        The facts for ``--json``.

    Raises:
        SettingsError: previews or frames of a run that writes to stdout.
        Exception: any error of the run, after the last picture has been saved.
    """
    if target.is_stream and (watching.preview_every or watching.frames_every):
        raise SettingsError("previews and frames are written beside a file, and -o is stdout", "give -o a file")
    preview = Preview(target) if watching.preview_every else None
    frames = Frames(target) if watching.frames_every else None
    views = ((preview, watching.preview_every), (frames, watching.frames_every))

    def save(step: Step) -> dict[str, Any]:
        picture, facts = picture_of(step), dict(recipe())
        if stopped := step.index < step.total:
            facts["stopped"] = {"step": step.index, "of": step.total, "scale": [step.size[1], step.size[0]]}
        place = deliver_picture(_keep_larger(target, step) if stopped else target, picture, facts)
        if preview:
            preview.remove()
        return {
            "schema": 1,
            "output": place,
            "size": [picture.size[1], picture.size[0]],
            "seconds": round(step.seconds, 2),
            "steps": step.index,
            "interrupted": stopped,
            **({"frames": str(frames.folder) if frames.folder else None} if frames else {}),
            "loss": step.loss,
            "terms": dict(step.terms),
            **facts,
        }

    step = None
    try:
        for step in watched(steps, title, quiet=quiet):
            if due := [view for view, every in views if view and step.index % every == 0]:
                picture = picture_of(step)
                for view in due:
                    view.show(picture)
            if stop.code:
                break
    except Exception:
        if step is not None:
            made = save(step)
            note(f"{made['output']}: saved the picture after step {step.index} of {step.total}", quiet=False)
        raise
    assert step is not None, "settings require at least one step"
    made = save(step)
    if made["interrupted"]:
        stopped = f"stopped after step {step.index} of {step.total}"
        (height, width), size = step.size, made["size"]
        resized = f", at {width} x {height} px; enlarged to {size[0]} x {size[1]} px" if size != [width, height] else ""
        note(stopped + resized, quiet=quiet)
    return made


def _keep_larger(target: Target, step: Step) -> Target:
    """An early stop does not replace a larger picture, not even with ``--force``."""
    from vggapps.image import size_of

    if not target.force or not Path(target.path).exists():
        return target
    try:
        height, width = size_of(target.path)
    except VggappsError:  # not a picture, or damaged
        return target
    return replace(target, force=height * width <= step.size[0] * step.size[1])


def plan_film(photos: Sequence[Input], output: str | None, reads: Sequence[str], *, force: bool) -> Target:
    """The target of a film.

    Raises:
        SettingsError: several pictures, or no output with the suffix of a film.
        As :func:`~vggapps.cli.outputs.plan_file`.
    """
    from vggapps.figures._film import check_film

    if output is None or len(photos) > 1:
        raise SettingsError("a film is made of one picture, and needs a name", "for example -o dream.webp")
    check_film(output, overwrite=True)  # plan_file checks whether it exists
    return plan_file(output, [*(photo.path for photo in photos), *reads], force=force)


def save_frames(
    steps: Iterator[Step], target: Target, stop: Stop, recipe: Mapping[str, Any], *, quiet: bool
) -> dict[str, Any]:
    """Write a film with a frame for each step; an early stop keeps the frames so far. Returns the facts for JSON."""
    from vggapps.figures._film import save_film
    from vggapps.image import Picture, to_pil

    frames = []
    for step in watched(steps, "frames", quiet=quiet):
        frames.append(to_pil(Picture(step.image())))
        if stop.code:
            break
    stopped = len(frames) < step.total
    if stopped:  # does not replace a film that may be complete, not even with --force
        target = replace(target, force=False)
    return {
        "schema": 1,
        "output": deliver(target, lambda path: save_film(frames, path, settings=recipe)),
        "size": list(frames[0].size),
        "frames": len(frames),
        "seconds": round(step.seconds, 2),
        "interrupted": stopped,
        **recipe,
    }
