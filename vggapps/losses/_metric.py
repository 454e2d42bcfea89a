"""Any loss as a torchmetrics metric: its mean over all pictures seen, for loggers and evaluation loops."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.vgg._moving import kept, ordinary

try:
    from torchmetrics import Metric
except ImportError:
    raise SettingsError("metrics need another package", run="pip install 'vggapps[metrics]'") from None


class AsMetric(Metric):
    """The mean of a loss over the pictures of all batches, of all processes.

    Keeps a sum in float64 and a count, neither pictures nor graphs. The loss moves along with the metric, but is none
    of its modules: its weights join neither ``state_dict()`` nor ``parameters()``, and ``to_empty`` moves them as they
    are. Devices without float64 (MPS) can't hold it.

    Args:
        loss: called with the two arguments of ``update``; gives one number a picture, or one for the whole batch,
            which counts as the mean over its pictures, or as their sum where ``loss.reduction`` is ``"sum"``.
        higher_is_better: of the value, for who looks for the best epoch.
        options: torchmetrics' own, such as ``sync_on_compute``.
    """

    full_state_update = False
    loss: Callable[..., Tensor]
    total: Tensor
    pictures: Tensor

    def __init__(self, loss: Callable[..., Tensor], *, higher_is_better: bool = False, **options: Any) -> None:
        with ordinary():
            super().__init__(**options)
        # Not by assignment: nn.Module would make the loss a part of it, and Metric wants a constant of the class.
        self.__dict__.update(loss=loss, higher_is_better=higher_is_better)
        with ordinary():
            self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state("pictures", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
            # A MetricCollection updates metrics as one for ever if their states are close after the first batch, which
            # two losses may well be. What is not a number is close to nothing.
            self.add_state("ungrouped", torch.tensor(torch.nan), dist_reduce_fx="sum")

    def update(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> None:
        """Counts a batch.

        Args:
            x: pictures, N x C x H x W in [0, 1].
            y: what they should be.
            mask: handed on to the loss, where it takes one.

        Raises:
            SettingsError: the loss gives neither one number nor one a picture, or takes no mask.
        """
        if mask is not None and not _takes_mask(self.loss):
            raise SettingsError(f"{_name(self.loss)} takes no mask", "leave it out, or mask both pictures")
        with torch.no_grad():
            value = (self.loss(x, y) if mask is None else self.loss(x, y, mask=mask)).double()
        n = len(x)
        if value.ndim == 0 and getattr(self.loss, "reduction", "mean") != "sum":
            value = value * n
        elif value.ndim and value.numel() != n:
            shape = " x ".join(map(str, value.shape))
            raise SettingsError(f"the loss gives {shape} numbers for {n} pictures", "let it give one a picture")
        self.total = self.total + value.sum()  # not in place, so that model.to(bfloat16) doesn't make the sum coarse
        self.pictures = self.pictures + n

    def compute(self) -> Tensor:
        """The mean over all pictures so far, float64; not a number before the first."""
        return self.total / self.pictures

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """The value, or the values of several calls, drawn by matplotlib, as torchmetrics' own metrics do it.

        Args:
            val: what ``compute`` or calls gave, or a list of it; None for ``compute()``.
            ax: matplotlib's axes to draw on; None for new ones.

        Returns:
            The figure and the axes.
        """
        return self._plot(val, ax)

    def _replicate_for_data_parallel(self) -> Any:
        replica = super()._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        replica.__dict__["update"] = _refuse
        return replica

    def _apply(  # type: ignore[override]  # torchmetrics has other arguments than torch
        self, fn: Callable[..., Tensor], exclude_state: Sequence[str] = "", recurse: bool = True
    ) -> nn.Module:
        # A state dict restores neither the loss's weights nor the counts. torchmetrics looks at the name of the
        # function, which a partial's contains.
        move = partial(kept, fn)
        if isinstance(self.loss, nn.Module):
            self.loss._apply(move)  # type: ignore[no-untyped-call]
        return super()._apply(move, exclude_state)


def _refuse(*_: object, **__: object) -> None:
    raise SettingsError(
        "a replica of DataParallel can't count",
        "update the metric outside, with the gathered outputs, or use DistributedDataParallel",
    )


def _takes_mask(loss: Callable[..., Tensor]) -> bool:
    parameters = inspect.signature(loss.forward if isinstance(loss, nn.Module) else loss).parameters
    return "mask" in parameters or any(p.kind == p.VAR_KEYWORD for p in parameters.values())


def _name(loss: Callable[..., Tensor]) -> str:
    return getattr(loss, "__name__", type(loss).__name__)
