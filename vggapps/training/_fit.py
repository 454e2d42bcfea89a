"""Train any network on any data with any loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from vggapps.training._loop import Run
from vggapps.training._settings import FitSettings
from vggapps.training._step import Batches, Metric, TrainingStep


def fit(
    model: nn.Module,
    batches: Batches,
    loss: Callable[[Any, Any], Tensor],
    settings: FitSettings | None = None,
    *,
    metrics: Mapping[str, Metric] | None = None,
    rate_of: Callable[[str], float] | None = None,
    state: Mapping[str, Any] | None = None,
) -> Iterator[TrainingStep]:
    """Train a model, one update per step.

    >>> from torch import nn, randn
    >>> batches = [(randn(8, 3), randn(8, 1)) for _ in range(4)]
    >>> steps = list(fit(nn.Linear(3, 1), batches, nn.MSELoss(), FitSettings(epochs=2)))
    >>> steps[-1].index, steps[-1].epoch, steps[-1].ends_epoch
    (8, 2, True)

    Convolutions run in bfloat16 autocast where the device has instructions for it; weights, normalization statistics
    and the loss are float32. Normalization layers whose parameters are all frozen keep their statistics. Random numbers
    are the run's own: what the consumer draws between steps changes nothing.

    If a process group of ``torch.distributed`` exists, as under ``torchrun``, gradients are averaged over all processes
    (DDP). A model that was sharded by ``fully_shard`` (FSDP2) is trained as it is.

    Args:
        model: any module; it is trained in place, on the device where it is.
        batches: each gives (inputs, targets, ...). A tuple of inputs is passed as several arguments.
            ``batches.epoch(number, start)``, if there is one, gives those of an epoch from any batch on, which makes
            resuming within an epoch quick.
        loss: ``loss(model(inputs), targets)``, a mean over the batch.
        settings: see :class:`FitSettings`.
        metrics: of torchmetrics, updated with outputs and targets and reset at the start of each epoch.
        rate_of: from a parameter's name to the factor of its learning rate.
        state: of an earlier run, to go on from.

    Yields:
        A :class:`TrainingStep` after each update.

    Raises:
        DivergedError: the loss or the gradient is infinite or NaN; the weights are those before the step.
        SettingsError: there is no batch, or nothing to train.
    """
    run = Run(model, batches, loss, settings or FitSettings(), metrics or {}, rate_of)
    if state is not None:
        run.load(state)
    return run.steps()
