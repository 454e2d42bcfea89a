"""From inputs to files: each is worked on with progress, previews and a stop that keeps the picture so far."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from vggapps._progress import watched
from vggapps.cli.outcome import Failures
from vggapps.cli.previews import Frames, Preview
from vggapps.cli.progress import Stop, stoppable
from vggapps.cli.saving import Target, deliver_picture
from vggapps.errors import SettingsError, VggappsError

if TYPE_CHECKING:
    from vggapps.image import Picture
    from vggapps.optimize._step import Step

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Watching:
    """What is shown of a run on its way.

    Attributes:
        preview_every: steps between previews, which stand beside the target and go when it is there; 0: none.
        frames_every: steps between frames, which stay, numbered, in a folder beside the target; 0: none.
        quiet: no progress.
    """

    preview_every: int = 0
    frames_every: int = 0
    quiet: bool = False


def each(
    inputs: Sequence[T],
    targets: Sequence[Target | None],
    make: Callable[[T, Target, Stop], dict[str, Any]],
    *,
    as_json: bool,
    named: Callable[[T], str] = attrgetter("path"),
) -> None:
    """Make a file of every input, and print on stdout what has been written.

    Ends the program with 129, 130 or 143 where somebody stopped it, with 1 where some of several failed.

    Args:
        inputs: what is read.
        targets: an output for each; None where nothing is to be made.
        make: ``(input, target, stop)`` writes the output; what it returns is what ``--json`` prints.
        as_json: print that, not only the output's name.
        named: what to call an input in errors.

    Raises:
        Exception: what broke the only one, and defects.
    """
    wanted = [(one, target) for one, target in zip(inputs, targets, strict=True) if target is not None]
    failures = Failures(len(wanted))
    with stoppable() as stop:
        for one, target in wanted:
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


def drain(
    steps: Iterator[Step],
    target: Target,
    stop: Stop,
    *,
    title: str,
    picture_of: Callable[[Step], Picture],
    recipe: Mapping[str, Any] | Callable[[Step], Mapping[str, Any]],
    watching: Watching = Watching(),
) -> dict[str, Any]:
    """Run an optimisation into a picture file, or into stdout.

    Args:
        steps: the run.
        target: where the picture goes.
        stop: looked at after each step.
        title: what stands beside the bar.
        picture_of: the picture of a step.
        recipe: what is written into the picture; or a function that tells it, where only the result knows all.
        watching: what is shown on the way.

    Returns:
        What there is to say about the result, for ``--json``.

    Raises:
        SettingsError: previews or frames of a run that goes to stdout.
        Exception: whatever the run raises, after the last picture has been saved.
    """
    if target.is_stream and (watching.preview_every or watching.frames_every):
        raise SettingsError("previews and frames need a file to stand beside", "give -o a file instead of -")
    preview = Preview(target) if watching.preview_every else None
    frames = Frames(target) if watching.frames_every else None
    views = ((preview, watching.preview_every), (frames, watching.frames_every))

    def save(step: Step) -> dict[str, Any]:
        picture, told = picture_of(step), dict(recipe(step) if callable(recipe) else recipe)
        if stopped := step.index < step.total:
            told["stopped"] = {"step": step.index, "of": step.total, "scale": [step.size[1], step.size[0]]}
        place = deliver_picture(_not_over_a_larger_one(target, step) if stopped else target, picture, told)
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
            **told,
        }

    step = None
    try:
        for step in watched(steps, title, quiet=watching.quiet):
            if due := [view for view, every in views if view and step.index % every == 0]:
                picture = picture_of(step)
                for view in due:
                    view.show(picture)
            if stop.code:
                break
    except Exception:
        # Whatever broke the run, the picture so far is worth more than nothing.
        if step is not None:
            made = save(step)
            typer.echo(f"{made['output']}: the picture after step {step.index} of {step.total} is kept", err=True)
        raise
    assert step is not None, "settings ask for at least one step"
    made = save(step)
    if made["interrupted"] and not watching.quiet:
        typer.echo(_told_early(step, made["size"]), err=True)
    return made


def _told_early(step: Step, size: list[int]) -> str:
    told = f"stopped after step {step.index} of {step.total}"
    at = [step.size[1], step.size[0]]
    return told if at == size else f"{told}, at {at[0]} x {at[1]} px; enlarged to {size[0]} x {size[1]} px"


def _not_over_a_larger_one(target: Target, step: Step) -> Target:
    """An early stop does not replace a picture that shows more than it does, not even with ``--force``."""
    from vggapps.image import size_of

    if not target.force or not Path(target.path).exists():
        return target
    try:
        height, width = size_of(target.path)
    except VggappsError:  # no picture, or a broken one
        return target
    return dataclasses.replace(target, force=height * width <= step.size[0] * step.size[1])
