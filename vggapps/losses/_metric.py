"""Any loss as a torchmetrics metric: its mean over all batches, for loggers and evaluation loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vggapps.errors import SettingsError
from vggapps.losses._bundle_terms import takes_mask
from vggapps.vgg._moving import moved_tensor, normal_tensors

try:
    from torchmetrics import Metric
except ImportError:
    raise SettingsError("metrics need an extra package", run="pip install 'vggapps[metrics]'") from None


class AsMetric(Metric):
    """The mean of a loss over the pictures of all batches and processes.

    It holds a sum in float64 and a count, no pictures and no graphs. The loss moves with the metric, but is not a
    submodule: its weights are not in ``state_dict()`` or ``parameters()``, and ``to_empty`` keeps their values. Devices
    without float64 (MPS) are not supported.

    Args:
        loss: called with the two arguments of ``update``; returns one value per picture, or a scalar, which is taken as
            the mean over the batch, or as the sum if ``loss.reduction`` is ``"sum"``.
        higher_is_better: which way the value improves, for tools that select the best epoch.
        options: of torchmetrics' ``Metric``, such as ``sync_on_compute``.
    """

    full_state_update = False
    loss: Callable[..., Tensor]
    total: Tensor
    pictures: Tensor

    def __init__(self, loss: Callable[..., Tensor], *, higher_is_better: bool = False, **options: Any) -> None:
        with normal_tensors():
            super().__init__(**options)
        # Not by assignment: nn.Module would register the loss, and Metric has higher_is_better as a class constant.
        self.__dict__.update(loss=loss, higher_is_better=higher_is_better)
        with normal_tensors():
            self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
            self.add_state("pictures", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
            # A MetricCollection merges metrics whose states are close after the first batch, which two losses may well
            # be. NaN is close to nothing.
            self.add_state("ungrouped", torch.tensor(torch.nan), dist_reduce_fx="sum")

    def update(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            x: pictures, N x C x H x W in [0, 1].
            y: target pictures.
            mask: passed to the loss.

        Raises:
            SettingsError: the loss returns neither a scalar nor one value per picture, or takes no mask.
        """
        if mask is not None and not takes_mask(self.loss):
            name = getattr(self.loss, "__name__", type(self.loss).__name__)
            raise SettingsError(f"{name} takes no mask", "leave it out, or mask both pictures")
        with torch.no_grad():
            value = (self.loss(x, y) if mask is None else self.loss(x, y, mask=mask)).double()
        n = len(x)
        if value.ndim == 0 and getattr(self.loss, "reduction", "mean") != "sum":
            value = value * n
        elif value.ndim and value.numel() != n:
            shape = " x ".join(map(str, value.shape))
            raise SettingsError(f"the loss returns {shape} values for {n} pictures", "return one value per picture")
        self.total = self.total + value.sum()  # not in place, so that the sum stays float64 after model.to(bfloat16)
        self.pictures = self.pictures + n

    def compute(self) -> Tensor:
        """The mean over all pictures so far, float64; NaN before the first batch."""
        return self.total / self.pictures

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot one or several values with matplotlib, as the metrics of torchmetrics do.

        Args:
            val: a result of ``compute`` or of a call, or a list of results; None for ``compute()``.
            ax: axes to draw on; None for new ones.

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
        # to_empty must keep the loss's weights and the counts, which no state dict restores. torchmetrics checks the
        # name of the function in its repr, which a partial contains.
        move = partial(moved_tensor, fn)
        if isinstance(self.loss, nn.Module):
            self.loss._apply(move)  # type: ignore[no-untyped-call]
        return super()._apply(move, exclude_state)


def _refuse(*_: object, **__: object) -> None:
    raise SettingsError(
        "a replica of DataParallel can't update a metric",
        "update the metric outside, with the gathered outputs, or use DistributedDataParallel",
    )
