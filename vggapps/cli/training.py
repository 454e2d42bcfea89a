"""Training runs on the command line: what a run will do, its progress, its end."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from vggapps._progress import tracked, watched
from vggapps.cli.interrupt import stoppable
from vggapps.cli.outcome import note, print_json
from vggapps.errors import SettingsError

if TYPE_CHECKING:
    from vggapps.training._run import RunStep, TrainingRun
    from vggapps.training._settings import RunSettings


def run(
    settings: RunSettings,
    data: str | None,
    output: str,
    resumed: str | None,
    *,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Begin a run, or go on with one, and train to its end."""
    if resumed is None and data is None:
        raise SettingsError("there is no data to train on", "name a folder of pictures, or a run: --resume run/")
    if resumed is not None and (data is not None or force or settings != type(settings)()):
        raise SettingsError("a resumed run has its own data and settings", f"run: vggapps train --resume {resumed}")
    from vggapps.training._start import resume, start

    with _processes(settings):
        made = resume(resumed) if resumed is not None else start(str(data), output, settings, overwrite=force)
        _train(made, as_json=as_json, quiet=quiet)


class Unreadable:
    """Says once for each picture that it can't be read."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet, self.reported = quiet, set[str]()

    def report(self, lines: Iterable[str]) -> None:
        """Print the lines that are new."""
        for line in lines:
            if line not in self.reported:
                note(f"left out: {line}", quiet=self.quiet)
                self.reported.add(line)


@contextmanager
def _processes(settings: RunSettings) -> Iterator[None]:
    """Join the other processes of ``torchrun``, if this is one of several."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "LOCAL_RANK" not in os.environ:
        yield
        return
    import torch
    import torch.distributed as dist

    from vggapps.vgg._device import pick_device

    device = pick_device(settings.device)
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
        dist.barrier()  # no process may end while another still talks to it
    finally:
        dist.destroy_process_group()


def _train(run: TrainingRun, *, as_json: bool, quiet: bool) -> None:
    from vggapps.training._verbs import progress_note

    quiet = quiet or not run.is_first
    for line in _plan(run, quiet=quiet):
        note(line, quiet=quiet)
    unreadable = Unreadable(quiet=quiet)
    last = None
    with stoppable("stopping after this step and saving a checkpoint") as stop:
        for last in watched(run.steps(lambda: bool(stop.code)), "training", quiet=quiet, note=progress_note):
            unreadable.report(last.step.unreadable)
            if last.row:
                note(_epoch(run, last), quiet=quiet)
    assert last is not None, "a run has at least one step"
    if run.is_first:
        _end(run, last, interrupted=bool(stop.code), as_json=as_json, quiet=quiet)
    if stop.code:
        raise SystemExit(stop.code)


def _plan(run: TrainingRun, *, quiet: bool) -> Iterator[str]:
    """What the run will do, in lines."""
    settings, data, network = run.settings, run.data, run.network
    yield (
        f"{len(data.classes)} classes: {len(data.training):,} pictures for training, "
        f"{len(data.validation):,} for validation"
    )
    size, parameters = network.convention.crop, sum(p.numel() for p in network.parameters())
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    part = "" if trained == parameters else f", {trained / 1e6:.1f} million of them trained"
    yield f"{network.plan.name}, head {network.head}, {size} px: {parameters / 1e6:.1f} million parameters{part}"
    yield (
        f"recipe {settings.recipe}: {settings.epochs} epochs, batches of {settings.batch * settings.accumulate}, "
        f"{settings.optimizer}, learning rate {settings.learning_rate:g}, {settings.schedule}, on {run.device}"
    )
    yield from run.notes
    if run.to_cache:
        for _ in tracked(run.fill_cache(), "computing maps", run.to_cache, quiet=quiet, done=int):
            pass
    cost = run.estimate
    yield (
        f"about {duration(cost.seconds)}, and {cost.bytes / 1e9:.1f} GB of memory ({cost.free / 1e9:.1f} GB are free)"
    )
    if run.done:
        yield f"goes on after step {run.done} of {run.total}"


def duration(seconds: float) -> str:
    """A time in words."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _epoch(run: TrainingRun, one: RunStep) -> str:
    assert one.row
    row, left = one.row, f"; {one.row['unreadable']} pictures could not be read" if one.row["unreadable"] else ""
    return (
        f"epoch {row['epoch']} of {run.settings.epochs}: loss {row['loss']:.3f}, validation loss "
        f"{row['validation_loss']:.3f}, accuracy {100 * row['validation_top1']:.1f} %"
        f"{' (best so far)' if one.is_best else ''}{left}"
    )


def _end(run: TrainingRun, last: RunStep, *, interrupted: bool, as_json: bool, quiet: bool) -> None:
    """Say what was made and how it is used."""
    best, folder = run.best, run.folder
    weights = str(folder / "best.safetensors") if best else None
    if interrupted:
        note(
            f"stopped after step {last.step.index} of {last.step.total}; go on with: vggapps train --resume {folder}",
            quiet=quiet,
        )
    if best and not interrupted:
        rate = run.best_rate()
        note(
            f"best: epoch {best['epoch']}, {rate.percent:.1f} % of {len(run.data.validation):,} validation pictures "
            f"({rate.low:.1f} to {rate.high:.1f} %)",
            quiet=quiet,
        )
        note(f"use it: vggapps classify --backbone {weights} photo.jpg", quiet=quiet)
    if as_json:
        print_json(
            output=weights, folder=str(folder), data=run.source, classes=list(run.data.classes), best=best,
            steps=last.step.index, seconds=round(last.step.seconds, 1), interrupted=interrupted,
        )  # fmt: skip
    elif weights:
        typer.echo(weights)
