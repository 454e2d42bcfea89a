"""Films: frames on their way to one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vggapps._progress import watched
from vggapps.cli.inputs import Input
from vggapps.cli.outputs import plan_file
from vggapps.cli.progress import Stop
from vggapps.cli.saving import Target, deliver
from vggapps.errors import SettingsError

if TYPE_CHECKING:
    from vggapps.optimize._step import Step


def plan_film(photos: Sequence[Input], output: str | None, reads: Sequence[str], *, force: bool) -> Target:
    """The film to write, checked.

    Raises:
        SettingsError: several pictures, or no name or suffix of a film.
        As :func:`~vggapps.cli.outputs.plan_file`.
    """
    from vggapps.figures._film import check_film

    if output is None or len(photos) > 1:
        raise SettingsError("a film is made of one picture, and needs a name", "for example -o dream.webp")
    check_film(output, overwrite=True)  # whether it exists is asked below
    return plan_file(output, [*(photo.path for photo in photos), *reads], force=force)


def save_zoom(
    steps: Iterator[Step], target: Target, stop: Stop, recipe: Mapping[str, Any], *, quiet: bool
) -> dict[str, Any]:
    """Frame by frame to a film; a stop keeps the frames so far. Returns what there is to say, for ``--json``."""
    from vggapps.figures._film import save_film
    from vggapps.image import Picture, to_pil

    frames = []
    for step in watched(steps, "frames", quiet=quiet):
        frames.append(to_pil(Picture(step.image())))
        if stop.code:
            break
    stopped = len(frames) < step.total
    if stopped:  # does not replace a film that may be whole, not even with --force
        target = replace(target, force=False)
    place = deliver(target, lambda path: save_film(frames, path, settings=recipe))
    return {
        "schema": 1,
        "output": place,
        "size": list(frames[0].size),
        "frames": len(frames),
        "seconds": round(step.seconds, 2),
        "interrupted": stopped,
        **recipe,
    }
