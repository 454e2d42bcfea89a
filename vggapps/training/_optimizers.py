"""Optimizers and learning rate schedules of a run."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from vggapps.errors import SettingsError
from vggapps.training._settings import FitSettings

# Section 3.1 of the paper: the rate was divided by 10 three times.
DROP, DROPS = 0.1, 3


def make_optimizer(model: nn.Module, settings: FitSettings, rate_of: Callable[[str], float] | None = None) -> Optimizer:
    """The optimizer of a model's trainable parameters.

    Weights of layers decay; biases and the parameters of normalization layers, which have one dimension, do not.

    Args:
        model: its parameters that require no gradient are left out.
        settings: optimizer, rate and decay.
        rate_of: from a parameter's name to the factor of its learning rate.

    Raises:
        SettingsError: no parameter requires a gradient.
    """
    groups: dict[tuple[float, bool], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((rate_of(name) if rate_of else 1.0, parameter.ndim > 1), []).append(parameter)
    if not groups:
        raise SettingsError("no parameter of the network requires a gradient", "freeze fewer layers")
    rows = [
        {"params": group, "lr": settings.learning_rate * factor, "weight_decay": settings.weight_decay * decays}
        for (factor, decays), group in groups.items()
    ]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(rows)
    return torch.optim.SGD(rows, momentum=0.9, nesterov=settings.optimizer == "nesterov")


class LearningRate:
    """The schedule of an optimizer's learning rates.

    Args:
        optimizer: with the highest rates.
        settings: the schedule and its warm-up.
        steps: an epoch has.
    """

    def __init__(self, optimizer: Optimizer, settings: FitSettings, steps: int) -> None:
        self.optimizer = optimizer
        self.schedule: LambdaLR | ReduceLROnPlateau
        if settings.schedule == "plateau":
            lowest = [group["lr"] * DROP**DROPS for group in optimizer.param_groups]
            self.schedule = ReduceLROnPlateau(
                optimizer, "max", factor=DROP, patience=settings.patience - 1, threshold=0, min_lr=lowest, eps=0
            )
        else:
            self.schedule = LambdaLR(optimizer, lambda step: rate_factor(settings, step, steps))

    @property
    def rates(self) -> list[float]:
        """The rate of each group."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def step(self) -> None:
        """To be called after each update."""
        if isinstance(self.schedule, LambdaLR):
            self.schedule.step()

    def report(self, score: float) -> None:
        """To be called after each epoch with what is to be maximized, which the plateau schedule follows."""
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(score)


def rate_factor(settings: FitSettings, step: int, steps: int) -> float:
    """The factor of the learning rate at a step, counted from 0, of a run whose epochs have ``steps``.

    Linear warm-up (Goyal et al. 2017, arXiv 1706.02677, section 2.2), then half a cosine down to 0 (Loshchilov and
    Hutter, ICLR 2017, arXiv 1608.03983, equation 5, without restarts), or a constant.
    """
    warmup, total = round(settings.warmup * steps), settings.epochs * steps
    if step < warmup:
        return (step + 1) / warmup
    if settings.schedule == "constant":
        return 1.0
    return (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup)))) / 2
