"""Runs in a folder: training with validation, a log, checkpoints and the weights that result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.state_dict import get_model_state_dict

from vggapps._rates import Rate, rate
from vggapps.errors import SettingsError
from vggapps.settings import to_dict
from vggapps.training._cached import CachedBatches
from vggapps.training._checkpoints import save_checkpoint
from vggapps.training._estimate import Estimate, estimate
from vggapps.training._fit import fit
from vggapps.training._log import TrainingLog
from vggapps.training._loop import WHOLE
from vggapps.training._network import rates_by_block
from vggapps.training._pictures import TrainingData
from vggapps.training._prepare import prepare
from vggapps.training._probe import start_from_probe
from vggapps.training._settings import FinetuneSettings, RunSettings, TrainSettings
from vggapps.training._step import Batch, TrainingStep
from vggapps.training._sums import EpochSums
from vggapps.training._validation import Validation, validate
from vggapps.vgg._device import pick_device, pick_dtype
from vggapps.vgg._network import VGG
from vggapps.weights._files import save_weights

BEST, LAST = "best.safetensors", "last.safetensors"
_EVERY = 600.0  # seconds between checkpoints within an epoch
_AGAIN = "start a new run from its last.safetensors, in another folder"


@dataclass(frozen=True)
class RunStep:
    """A step of a run.

    Attributes:
        step: of the training.
        row: the log's row of the epoch that ended with this step; None within an epoch.
        is_best: whether this epoch has the best validation accuracy so far.
    """

    step: TrainingStep
    row: Mapping[str, Any] | None = None
    is_best: bool = False

    @property
    def fraction(self) -> float:
        """The share of the run's steps that are done."""
        return self.step.fraction


KINDS: dict[str, type[RunSettings]] = {"train": TrainSettings, "finetune": FinetuneSettings}


def about(settings: RunSettings) -> dict[str, Any]:
    """The command and its settings, as JSON."""
    command = next(name for name, kind in KINDS.items() if type(settings) is kind)
    return {"command": command, "settings": to_dict(settings)}


def fingerprint(data: TrainingData) -> str:
    """A digest of the names and classes of all pictures."""
    parts = [(part.names, part.targets) for part in (data.training, data.validation)]
    return sha256(json.dumps([data.classes, parts]).encode("utf-8", "surrogatepass")).hexdigest()


class TrainingRun:
    """A run in a folder; made by :func:`start` and :func:`resume`.

    Attributes:
        folder: with ``best.safetensors``, ``last.safetensors``, the log and the checkpoints.
        settings: of the run.
        data: the pictures.
        network: the trained network.
        notes: what was decided, and remarks on the data, one line each.
        done: steps of the run before it was resumed.
    """

    def __init__(
        self,
        source: str,
        folder: Path,
        settings: RunSettings,
        data: TrainingData,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.source, self.folder, self.settings, self.data = source, folder, settings, data
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        world = dist.get_world_size() if dist.is_initialized() else 1
        self.device = pick_device(settings.device)
        self._prepared = prepare(settings, data, self.device, rank=self.rank, world=world)
        self.network, self._trained = self._prepared.network, self._prepared.trained
        self.notes = (*data.notes, *self._prepared.notes)
        self.loss = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
        self._state, self._sums = state, EpochSums()
        self.rows: list[dict[str, Any]] = []
        self.done = 0
        if state is not None:
            self.rows, self.done = list(state["rows"]), state["fit"]["step"]
            self._sums = EpochSums(**state["sums"])
            if self.done >= self.total:
                raise SettingsError(f"the run in {folder} has ended: all {settings.epochs} epochs are done", _AGAIN)

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The row of the epoch with the best validation accuracy; the first of equal ones."""
        return max(self.rows, key=lambda row: row["validation_top1"], default=None)

    def best_rate(self) -> Rate:
        """The best validation accuracy with its confidence interval, before any choice among epochs."""
        count = len(self.data.validation)
        return rate(round(self.best["validation_top1"] * count) if self.best else 0, count)

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.settings.epochs * -(-len(self._prepared.training) // self.settings.accumulate)

    @property
    def to_cache(self) -> int:
        """Number of pictures whose maps are computed once, before the first step; 0 if they are not."""
        return sum(part.pictures for part in self._cached())

    def fill_cache(self) -> Iterator[int]:
        """Compute these maps, if they are not there yet; yields the number of pictures that are done."""
        before = 0
        for part in self._cached():
            for done in part.fill():
                yield before + done
            before += part.pictures

    def _cached(self) -> list[CachedBatches]:
        parts = (self._prepared.training, self._prepared.validation)
        return [part for part in parts if isinstance(part, CachedBatches)]

    @cached_property
    def estimate(self) -> Estimate:
        """Time and memory, measured on a small step.

        Raises:
            OutOfMemoryError: there is not enough memory.
        """
        first: Batch = next(iter(self._prepared.training))
        settings = self.settings.fit_settings()
        return estimate(self._trained, first, self.loss, settings, self.total - self.done)

    def steps(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[RunStep]:
        """Train; each step after which a checkpoint is due, and each epoch, is saved before it is yielded.

        Args:
            should_stop: asked after each step; if it is true, a checkpoint is written and the run ends.

        Raises:
            DivergedError: the loss became infinite or NaN; the last checkpoint is kept.
            PictureError, WeightsError: a file can't be written; the last checkpoint is kept.
        """
        settings = self.settings
        for _ in self.fill_cache():
            pass
        if settings.freeze_to != "none" and self._state is None and self._prepared.has_new_head:
            self._start_from_probe()
        steps = fit(
            self._trained, self._prepared.training, self.loss, settings.fit_settings(),
            metrics={"top1": self._sums}, rate_of=self._rates(), state=self._state and self._state["fit"],
        )  # fmt: skip
        self._state = None
        saved = time.monotonic()
        log = TrainingLog(self.folder, self.rows, tensorboard=settings.tensorboard) if self.is_first else None
        with closing(log) if log else nullcontext():
            for step in steps:
                self._sums.add(step)
                row, is_best = self._end_epoch(step, log) if step.ends_epoch else (None, False)
                ends = self._agreed(should_stop()) or self._is_over()
                due = ends or row is not None or time.monotonic() - saved > _EVERY
                if self._agreed(due):
                    self._save(step)
                    saved = time.monotonic()
                yield RunStep(step, row, is_best)
                if ends:
                    return

    def _end_epoch(self, step: TrainingStep, log: TrainingLog | None) -> tuple[dict[str, Any], bool]:
        """Measure, log and save the network at the end of an epoch; the row, and whether it is the best."""
        network = step.network()
        found = validate(network, self._prepared.validation, pick_dtype(self.settings.dtype, self.device))
        step.report(found.accuracy())
        best = self.best
        row = {
            "epoch": step.epoch,
            "steps": step.index,
            "learning_rate": step.learning_rate,
            **self._sums.means(),
            "validation_loss": found.loss,
            "validation_top1": found.accuracy(),
            **({"validation_top5": found.accuracy(5)} if len(self.data.classes) > 5 else {}),
            "seconds": round(step.seconds, 1),
            "unreadable": self._sums.unreadable + found.unreadable,
        }
        is_best = best is None or row["validation_top1"] > best["validation_top1"]
        self.rows.append(row)
        if self.is_first:
            whole = self._whole(network, found)
            save_weights(whole, self.folder / LAST)
            if is_best:
                save_weights(whole, self.folder / BEST)
        if log:
            log.add(row)
        return row, is_best

    def _whole(self, trained: nn.Module, found: Validation) -> VGG:
        """The whole network with these weights and the temperature that calibrates it."""
        whole = deepcopy(self.network)
        missing = whole.load_state_dict(get_model_state_dict(trained, options=WHOLE), strict=False)
        assert not missing.unexpected_keys, missing
        whole.temperature = found.temperature()
        return whole.freeze()

    def _save(self, step: TrainingStep) -> None:
        state = step.state()
        if self.is_first:
            facts = {"data": self.source, **about(self.settings), "fingerprint": fingerprint(self.data)}
            save_checkpoint(self.folder, {**facts, "fit": state, "rows": self.rows, "sums": self._sums.state()})

    def _is_over(self) -> bool:
        """Whether the validation accuracy has not improved for long enough."""
        best = self.best
        patience = self.settings.stop_after
        return bool(patience and best and self.rows[-1]["epoch"] - best["epoch"] >= patience)

    def _agreed(self, wish: bool) -> bool:
        """Whether any of the processes that train together wants it."""
        if not dist.is_initialized():
            return wish
        wishes = torch.tensor(float(wish), device=self.device)
        dist.all_reduce(wishes)
        return bool(wishes)

    def _rates(self) -> Callable[[str], float] | None:
        return rates_by_block(self.network, self.settings.layer_decay) if self.settings.layer_decay != 1 else None

    def _start_from_probe(self) -> None:
        """Set a new head without a hidden layer to that of a linear probe."""
        if self.settings.head == "gap" and not self.network.pooled.hidden:
            start_from_probe(self._trained, self._prepared.plain(), dtype=self.settings.dtype, seed=self.settings.seed)
