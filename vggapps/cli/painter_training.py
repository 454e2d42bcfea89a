"""The training of a painter on the command line: what it will do, its progress, its previews, its end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vggapps._progress import watched
from vggapps.cli.interrupt import stoppable
from vggapps.cli.outcome import note
from vggapps.cli.previews import Preview
from vggapps.cli.saving import Target
from vggapps.cli.training import Unreadable, duration
from vggapps.errors import VggappsError

if TYPE_CHECKING:
    from vggapps.image import Picture
    from vggapps.painters._network import Painter
    from vggapps.painters._run import PainterRun
    from vggapps.training import TrainingStep

_EXAMPLES = 2  # photos of a preview
_MEASURED = 10  # steps after which the time of the rest is estimated; the first one is slower than the others


def watch(
    run: PainterRun, preview_every: int, preview_photos: Sequence[str], *, replace_preview: bool, quiet: bool
) -> tuple[TrainingStep, int]:
    """Train to the end, or until a signal; returns the last step, and the exit code of the signal or 0.

    Args:
        run: prepared.
        preview_every: number of steps between two previews, or 0.
        preview_photos: what is painted in them; by default two of the photos.
        replace_preview: whether a preview may exist already, and is overwritten.
        quiet: show no progress.
    """
    settings, total = run.settings, run.settings.steps
    photos = _opened(preview_photos, run) if preview_every else []
    preview = Preview(Target(str(run.output)), replace=replace_preview)
    note(f"styles: {', '.join(run.names)}", quiet=quiet)
    note(
        f"{len(run.photos):,} photos; {total:,} steps, each on {settings.batch} parts of {settings.crop} px",
        quiet=quiet,
    )
    if run.done:
        note(f"goes on after step {run.done:,}", quiet=quiet)
    unreadable = Unreadable(quiet=quiet)
    first = None
    with stoppable("stopping after this step and saving a checkpoint") as stop:
        for step in watched(run.steps(lambda: bool(stop.code)), "training", quiet=quiet, note=run.note):
            unreadable.report(step.unreadable)
            first = first or step
            if step.index - first.index == _MEASURED < total - step.index:
                left = (step.seconds - first.seconds) / _MEASURED * (total - step.index)
                note(f"about {duration(left)} left", quiet=quiet)
            if preview_every and (step.index % preview_every == 0 or step.index == total):
                preview.show(_sheet(step.network(), photos))  # type: ignore[arg-type]
    code = 0 if step.index == total else stop.code
    if code:
        note(f"stopped after step {step.index:,} of {total:,}; to go on, add --resume to the command", quiet=quiet)
    else:
        name = run.names[0] if len(run.names) == 1 else "STYLE"
        note(f"use it: vggapps stylize photo.jpg --painter {run.output}:{name}", quiet=quiet)
    return step, code


def _opened(paths: Sequence[str], run: PainterRun) -> list[Picture]:
    """The photos of the previews."""
    from vggapps.image import open_picture

    if paths:
        return [open_picture(path, longer_side=run.settings.size) for path in paths]
    found = []
    for index, name in enumerate(run.photos.names):
        with suppress(VggappsError):  # one that can't be read is reported by the training
            image = run.photos.open(index)
            found.append(open_picture(image, longer_side=run.settings.size, name=Path(name).name))
        if len(found) == _EXAMPLES:
            break
    return found


def _sheet(painter: Painter, photos: Sequence[Picture]) -> Picture:
    """The photos, a row for each, in all styles."""
    from vggapps.figures import contact_sheet
    from vggapps.painters import paint_tensor

    pictures, labels = [], []
    for photo in photos:
        pictures += [photo.rgb, *(paint_tensor(painter, photo.rgb, {style: 1.0}) for style in painter.styles)]
        labels += [Path(photo.name).stem, *painter.styles]
    return contact_sheet(pictures, labels, columns=len(painter.styles) + 1)
