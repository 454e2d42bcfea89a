"""Train in one call, as the commands do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vggapps._progress import watched
from vggapps.training._run import RunStep, TrainingRun
from vggapps.training._settings import FinetuneSettings, RunSettings, TrainSettings
from vggapps.training._start import start


def train(
    source: str | Path, folder: str | Path, *, progress: bool = False, overwrite: bool = False, **settings: Any
) -> TrainingRun:
    """Train a classifier of the classes in a data set, as ``vggapps train`` does.

    >>> run = vggapps.train("photos/", "run/", arch="vgg11_bn", epochs=20)              # doctest: +SKIP
    >>> run.best_rate()                                                                 # doctest: +SKIP
    Rate(percent=93.1, low=91.9, high=94.1)

    Args:
        source: a folder with a folder of pictures per class, a table or a data set of torchvision, see
            :func:`read_training_data`.
        folder: of the run, which is created.
        progress: show a progress bar on stderr.
        overwrite: replace a run in the folder.
        settings: of :class:`TrainSettings`, by name.

    Returns:
        The finished run. Its folder has ``best.safetensors``, a backbone for every function and command.

    Raises:
        As :func:`start` and :meth:`TrainingRun.steps`.
    """
    return _finished(source, folder, TrainSettings(**settings), progress, overwrite)


def finetune(
    source: str | Path, folder: str | Path, *, progress: bool = False, overwrite: bool = False, **settings: Any
) -> TrainingRun:
    """Train a classifier from a network that was trained on ImageNet, as ``vggapps finetune`` does.

    >>> run = vggapps.finetune("photos/", "run/", epochs=10)                            # doctest: +SKIP
    >>> vggapps.classify("photo.jpg", backbone="run/best.safetensors")                  # doctest: +SKIP

    Args:
        source: as for :func:`train`, also ``folder``, ``progress`` and ``overwrite``.
        settings: of :class:`FinetuneSettings`, by name.

    Raises:
        As :func:`start` and :meth:`TrainingRun.steps`.
    """
    return _finished(source, folder, FinetuneSettings(**settings), progress, overwrite)


def _finished(
    source: str | Path, folder: str | Path, settings: RunSettings, progress: bool, overwrite: bool
) -> TrainingRun:
    run = start(str(source), folder, settings, overwrite=overwrite)
    for _ in watched(run.steps(), "training", quiet=not progress, note=progress_note):
        pass
    return run


def progress_note(one: RunStep) -> str:
    """Epoch, step, loss and accuracy, for a progress bar."""
    step = one.step
    accuracy = f", accuracy {100 * step.metrics['top1']:.1f} %"
    return f"epoch {step.epoch}, step {step.index} of {step.total}, loss {step.loss:.3f}{accuracy}"
