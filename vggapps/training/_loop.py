"""The training loop between two of its steps. It prints and saves nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import FSDPModule
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parallel import DistributedDataParallel

from vggapps.errors import DivergedError, SettingsError, argument
from vggapps.training._average import Average
from vggapps.training._optimizers import LearningRate, make_optimizer
from vggapps.training._random import Generators
from vggapps.training._settings import FitSettings
from vggapps.training._step import Batch, Batches, Metric, TrainingStep
from vggapps.vgg._device import pick_dtype

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


class Run:
    """A run between two of its steps."""

    def __init__(
        self,
        model: nn.Module,
        batches: Batches,
        loss: Callable[[Any, Any], Tensor],
        settings: FitSettings,
        metrics: Mapping[str, Metric],
        rate_of: Callable[[str], float] | None,
    ) -> None:
        if not len(batches):
            raise SettingsError("there is no batch to train on", "give at least one")
        self.model, self.batches, self.loss, self.settings, self.metrics = model, batches, loss, settings, metrics
        self.device = next(model.parameters()).device
        self.steps_per_epoch = -(-len(batches) // settings.accumulate)
        self.optimizer = make_optimizer(model, settings, rate_of)
        self.rate = LearningRate(self.optimizer, settings, self.steps_per_epoch)
        self.average = Average(model, settings.ema)
        rank = dist.get_rank() if dist.is_initialized() else 0
        self.generators = Generators(settings.seed + rank, self.device)
        self.at_epoch = self.generators.state  # when the present epoch began
        self.step, self.seconds = 0, 0.0
        self.dtype = pick_dtype(settings.dtype, self.device)
        compiled: Any = torch.compile(model) if settings.compile else model
        ranks = dist.is_initialized() and not isinstance(model, FSDPModule)
        self.trained: nn.Module = DistributedDataParallel(compiled) if ranks else compiled

    def steps(self) -> Iterator[TrainingStep]:
        """The remaining steps."""
        try:
            yield from self._steps()
        finally:
            self.trained = self.model  # DDP must not outlive its process group, which then aborts the process

    def _steps(self) -> Iterator[TrainingStep]:
        total = self.settings.epochs * self.steps_per_epoch
        while self.step < total:
            epoch, done = divmod(self.step, self.steps_per_epoch)
            start = time.perf_counter()
            groups = self._groups(epoch, done)
            if not done:
                for metric in self.metrics.values():
                    metric.reset()
            for inside in range(done, self.steps_per_epoch):
                with self.generators.used():
                    group = next(groups)
                    ends = inside == self.steps_per_epoch - 1
                    if ends:  # lets a DataLoader end its worker processes before the consumer starts others
                        next(groups, None)
                    value, norm, rate = self._update(group, epoch)
                self.step += 1
                self.seconds += time.perf_counter() - start
                yield TrainingStep(
                    index=self.step,
                    total=total,
                    fraction=self.step / total,
                    loss=value,
                    terms={},
                    seconds=self.seconds,
                    epoch=epoch + 1,
                    ends_epoch=ends,
                    learning_rate=rate,
                    gradient_norm=norm,
                    metrics={name: float(metric.compute()) for name, metric in self.metrics.items()},
                    pictures=sum(map(_count, group)),
                    unreadable=tuple(line for batch in group for line in getattr(batch, "unreadable", ())),
                    _run=self,
                )
                start = time.perf_counter()

    def _groups(self, epoch: int, done: int) -> Iterator[list[Batch]]:
        """The batches of each remaining step of an epoch."""
        size = self.settings.accumulate
        if not done:
            self.at_epoch = self.generators.state
        if hasattr(self.batches, "epoch"):
            batches = self.batches.epoch(epoch, done * size)
        else:
            batches = self._replayed(done * size)
        group: list[Batch] = []
        for batch in batches:
            group.append(batch)
            if len(group) == size:
                yield group
                group = []
        if group:
            yield group

    def _replayed(self, start: int) -> Iterator[Batch]:
        """An epoch of any iterable from a batch on: the ones before it are drawn again and dropped."""
        if not start:
            yield from self.batches
            return
        now = torch.get_rng_state()
        self.generators.restore(self.at_epoch)
        rest = iter(self.batches)
        for _ in range(start):
            next(rest)
        torch.set_rng_state(now)
        yield from rest

    def _update(self, group: Sequence[Batch], epoch: int) -> tuple[float, float, float]:
        """One step: the loss, the norm of the gradient and the learning rate."""
        self._train_mode()
        self.optimizer.zero_grad(set_to_none=True)
        rate = max(self.rate.rates)
        counts = torch.tensor([_count(batch) for batch in group], dtype=torch.float64, device=self.device)
        every = counts.sum()
        ranks = 1
        if dist.is_initialized():
            dist.all_reduce(every)
            ranks = dist.get_world_size()
        value = torch.zeros((), dtype=torch.float64, device=self.device)
        for number, batch in enumerate(group, 1):
            if not _count(batch) and ranks == 1:
                continue
            # DDP averages over the processes, whose batches may differ in size: a mean over all pictures, exactly.
            share = (counts[number - 1] * ranks / every).float()
            with self._synchronized(last=number == len(group)), _on(self.device):
                inputs, targets = tuple(map(self._moved, _inputs(batch))), self._moved(batch[1])
                is_empty = not _count(batch)  # no picture of this process could be read, and the others wait for it
                if is_empty:
                    inputs = tuple(one.new_zeros((1, *one.shape[1:])) for one in inputs)
                with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                    outputs = _as_float(self.trained(*inputs))
                one = 0 * outputs.sum() if is_empty else self.loss(outputs, targets) * share
                one.backward()  # type: ignore[no-untyped-call]
            value += one.detach() / ranks
            for metric in () if is_empty else self.metrics.values():
                metric.update(outputs.detach(), targets)
        if dist.is_initialized():
            dist.all_reduce(value)
        norm = self._clip()
        if not (torch.isfinite(value) & torch.isfinite(norm)):
            self.optimizer.zero_grad(set_to_none=True)
            raise self._diverged(group, epoch, float(value), float(norm))
        self.optimizer.step()
        self.rate.step()
        self.average.update(self.model)
        return float(value), float(norm), rate

    def _train_mode(self) -> None:
        self.model.train()
        for module in self.model.modules():
            if isinstance(module, _NormBase) and not any(p.requires_grad for p in module.parameters()):
                module.eval()

    def _synchronized(self, *, last: bool) -> Any:
        """Processes exchange gradients in the backward pass of a step's last batch only."""
        if isinstance(self.model, FSDPModule):
            self.model.set_requires_gradient_sync(last)
        wait = isinstance(self.trained, DistributedDataParallel) and not last
        return self.trained.no_sync() if wait else nullcontext()  # type: ignore[operator]

    def _clip(self) -> Tensor:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters])
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        if self.settings.clip:
            nn.utils.clip_grads_with_norm_(parameters, self.settings.clip, norm)
        return norm

    def _moved(self, values: Any) -> Any:
        if not isinstance(values, Tensor):
            return values
        values = values.to(self.device, non_blocking=True)
        return values.contiguous(memory_format=torch.channels_last) if values.ndim == 4 else values

    def _diverged(self, group: Sequence[Batch], epoch: int, value: float, norm: float) -> DivergedError:
        files = [file for batch in group for file in getattr(batch, "files", ())]
        shown = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
        what = (
            f"the loss became {value}"
            if value != value or value in (float("inf"), -float("inf"))
            else (f"the norm of the gradient became {norm}")
        )
        return DivergedError(
            f"{what} in epoch {epoch + 1}, step {self.step + 1}" + (f", with {shown}" if files else ""),
            f"use a lower {argument('learning_rate')}, or set {argument('clip', 1.0)}",
        )

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "model": get_model_state_dict(self.model, options=WHOLE),
            "optimizer": get_optimizer_state_dict(self.model, self.optimizer, options=WHOLE),
            "rate": self.rate.schedule.state_dict(),
            "average": self.average.state(),
            "random": self.generators.state,
            "at_epoch": self.at_epoch,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`state`."""
        set_model_state_dict(self.model, state["model"], options=WHOLE)
        set_optimizer_state_dict(self.model, self.optimizer, state["optimizer"], options=WHOLE)
        self.rate.schedule.load_state_dict(dict(state["rate"]))
        self.average.load(state["average"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.generators.state, self.at_epoch = tuple(state["random"]), tuple(state["at_epoch"])


def _inputs(batch: Batch) -> tuple[Any, ...]:
    return batch[0] if isinstance(batch[0], tuple) else (batch[0],)


def _count(batch: Batch) -> int:
    """Number of examples in a batch."""
    return len(_inputs(batch)[0])


def _as_float(outputs: Any) -> Any:
    """In float32, in which the loss is computed."""
    return outputs.float() if isinstance(outputs, Tensor) and outputs.dtype == torch.bfloat16 else outputs


def _on(device: torch.device) -> Any:
    """Make the device the current one."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
