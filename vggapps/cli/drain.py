"""From steps to a file: progress, previews, a stop that keeps the picture, the settings inside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vggapps.cli.outputs import STREAM
from vggapps.cli.progress import Stop, watched

if TYPE_CHECKING:
    from vggapps.image import Picture
    from vggapps.optimize.step import Step


def drain(
    steps: Iterator[Step],
    target: str,
    stop: Stop,
    *,
    title: str,
    picture_of: Callable[[Step], Picture],
    recipe: Mapping[str, Any] | Callable[[Step], Mapping[str, Any]],
    preview_every: int = 0,
    quiet: bool = False,
) -> dict[str, Any]:
    """Run an optimisation into a picture file, or into stdout.

    Args:
        steps: the run.
        target: the file, or ``-``.
        stop: looked at after each step.
        title: what stands beside the bar.
        picture_of: the picture of a step.
        recipe: what is written into the picture; or a function that tells it, where only the result knows all.
        preview_every: steps between previews, which stand beside the target and go when it is there; 0: none.

    Returns:
        What there is to say about the result, for ``--json``.

    Raises:
        Exception: whatever the run raises, after the last picture has been saved.
    """
    from vggapps.image import encode_picture, save_picture

    def save(step: Step) -> dict[str, Any]:
        picture, told = picture_of(step), recipe(step) if callable(recipe) else recipe
        if target == STREAM:
            sys.stdout.buffer.write(encode_picture(picture, "png", settings=told))
        else:
            save_picture(picture, target, settings=told, overwrite=True)
        if preview:
            preview.unlink(missing_ok=True)
        return {
            "schema": 1,
            "output": target,
            "size": [picture.size[1], picture.size[0]],
            "seconds": round(step.seconds, 2),
            "steps": step.index,
            "interrupted": step.index < step.total,
            "loss": step.loss,
            "terms": dict(step.terms),
            **told,
        }

    preview = Path(target).with_suffix(".preview.png") if preview_every and target != STREAM else None
    step = None
    try:
        for step in watched(steps, title, quiet=quiet):
            if preview and step.index % preview_every == 0:
                save_picture(picture_of(step), preview, overwrite=True)
            if stop.code:
                break
    except Exception:
        # Whatever broke the run, the picture so far is worth more than nothing.
        if step is not None:
            save(step)
            typer.echo(f"{target}: the picture after step {step.index} of {step.total} is kept", err=True)
        raise
    assert step is not None, "settings ask for at least one step"
    return save(step)
