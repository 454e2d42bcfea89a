"""Begin a run in a folder, or go on with one."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import torch.distributed as dist

from vggapps import __version__
from vggapps._files import unwritable, write_file
from vggapps.errors import OutputExistsError, PictureError, SettingsError, argument
from vggapps.settings import from_dict
from vggapps.training._checkpoints import BEFORE, NEWEST, load_checkpoint
from vggapps.training._pictures import read_training_data
from vggapps.training._run import KINDS, TrainingRun, about, fingerprint
from vggapps.training._settings import RunSettings

ABOUT = "run.json"


def start(source: str, folder: str | Path, settings: RunSettings, *, overwrite: bool = False) -> TrainingRun:
    """Prepare a new run in a folder, which is created.

    Raises:
        OutputExistsError: there is a run in the folder, and ``overwrite`` is false.
        PictureError: the data or the folder can't be used.
        SettingsError: settings that do not fit together or to the data.
        WeightsError: weights that are not available.
    """
    place = Path(folder)
    if (place / NEWEST).exists() or (place / ABOUT).exists():
        if not overwrite:
            raise OutputExistsError(
                f"there is a run in {place}",
                f"go on with it: {argument('resume', str(place))}, choose another folder, or replace it with "
                f"{argument('overwrite', True)}",
            )
    elif place.is_dir() and any(place.iterdir()) and not overwrite:
        raise OutputExistsError(f"{place} is not empty", "choose another folder for the run")
    existing = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    if not existing.is_dir():
        raise PictureError(f"{existing} is a file, and a run needs a folder", "choose another name")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise unwritable(place, PermissionError(errno.EACCES, "Permission denied"))
    data = read_training_data(source, validation=settings.validation)
    run = TrainingRun(source, place, settings, data)
    if dist.is_initialized():
        dist.barrier()  # all processes have looked into the folder before one writes there
    if run.is_first:
        try:
            place.mkdir(parents=True, exist_ok=True)
            for name in (NEWEST, BEFORE):
                (place / name).unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(place, error) from None
        facts = {"data": source, **about(settings), "classes": data.classes, "version": __version__}
        write_file(place / ABOUT, json.dumps(facts, indent=1).encode(), overwrite=True)
    return run


def resume(folder: str | Path) -> TrainingRun:
    """Go on with a run from its last checkpoint, to the weights of a run that never stopped.

    Args:
        folder: of the run.

    Raises:
        WeightsError: there is no undamaged checkpoint.
        SettingsError: the run has ended, or the data have changed.
    """
    state, note = load_checkpoint(folder)
    settings = from_dict(KINDS[state["command"]], state["settings"])
    data = read_training_data(state["data"], validation=settings.validation)
    if fingerprint(data) != state["fingerprint"]:
        raise SettingsError(
            f"the pictures in {state['data']} are not those with which the run began",
            f"start a new run from {Path(folder) / 'last.safetensors'}",
        )
    run = TrainingRun(state["data"], Path(folder), settings, data, state)
    run.notes = (*((note,) if note else ()), *run.notes)
    return run
