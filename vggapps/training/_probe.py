"""A new head that begins as a linear probe: logistic regression on the features of the network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vggapps.errors import PictureError, SettingsError
from vggapps.features._learning import STRENGTHS
from vggapps.features._splits import copies, split
from vggapps.training._network import evaluating
from vggapps.vgg._device import pick_dtype
from vggapps.vgg._hooks import record

_STEPS = 200  # of L-BFGS at most; with weak regularization, more of them hardly change decisions
Targets = Int[Tensor, " n"] | Float[Tensor, "n classes"]


def fit_probe(
    rows: Float[Tensor, "n d"], targets: Targets, classes: int, *, strength: float | None = None, seed: int = 0
) -> tuple[Float[Tensor, "classes d"], Float[Tensor, " classes"]]:
    """Multinomial logistic regression, fitted by L-BFGS (Liu and Nocedal, Mathematical Programming 1989).

    It minimizes the mean of -log p(y | x) plus ``strength / 2 |W|²`` for standardized rows x and weights W; the bias is
    not penalized.

    Args:
        rows: of features; on a CPU they are fitted in float64, elsewhere in float32.
        targets: the class of each row, or its shares of the classes, as mixing gives them.
        classes: their number. One without examples gets a low bias.
        strength: of the penalty; None for the best one of 1e-4 to 1 on a held-out fifth of each class, and 1 if no
            class has two different rows.
        seed: of the held-out fifth.

    Returns:
        Weight and bias for the rows as they are given, float32, on their device.
    """
    rows = rows.to(torch.float64 if rows.device.type == "cpu" else torch.float32)
    mean, deviation = rows.mean(0), rows.std(0, correction=0)
    deviation = deviation.where(deviation > 0, 1)  # a channel may be 0 in all pictures
    standardized = (rows - mean) / deviation
    if strength is None:
        strength = _best_strength(standardized, targets, classes, seed)
    weight, bias = _minimize(standardized, targets, classes, strength)
    weight = weight / deviation
    return weight.float(), (bias - weight @ mean).float()


def start_from_probe(network: nn.Module, batches: Iterable[Any], *, dtype: str = "auto", seed: int = 0) -> float:
    """Set the last layer of a network to a probe of the rows that it takes.

    Fine-tuning from there distorts the features less than from a random head. A. Kumar et al., Fine-Tuning can Distort
    Pretrained Features and Underperform Out-of-Distribution, ICLR 2022 (arXiv 2202.10054), LP-FT.

    Args:
        network: a VGG with the head ``gap`` and no hidden layer, or its layers after the frozen ones. It runs in
            evaluation mode, on its device.
        batches: each gives (inputs, targets, ...), see :func:`fit_probe`; empty ones are skipped. Processes of
            ``torch.distributed`` share their rows.
        dtype: of the convolutions, ``auto``, ``float32`` or ``bfloat16``.
        seed: see :func:`fit_probe`.

    Returns:
        The share of these rows, in [0, 1], whose class the probe finds; of mixed ones the class with the largest share.

    Raises:
        SettingsError: the network has another head.
        PictureError: there is no row.
    """
    children = dict(network.named_children())
    last = children.get("fc8")
    if "gap" not in children or "fc7" in children or not isinstance(last, nn.Linear):
        raise SettingsError(
            "a probe starts a head gap without a hidden layer", "use another head, or start from random"
        )
    rows, targets = _rows(network, batches, pick_dtype(dtype, last.weight.device))
    weight, bias = fit_probe(rows, targets, last.out_features, seed=seed)
    with torch.no_grad():
        last.weight.copy_(weight)
        last.bias.copy_(bias)
    found = F.linear(rows, weight, bias).argmax(1)
    return float((found == _classes(targets)).float().mean())


def _rows(network: nn.Module, batches: Iterable[Any], dtype: torch.dtype) -> tuple[Float[Tensor, "n d"], Targets]:
    """The outputs of the layer gap for all batches of all processes, float32, and their targets."""
    device = next(network.parameters()).device
    rows, targets = [], []
    with evaluating(network), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        for inputs, wanted, *_ in batches:
            if len(inputs):
                with record(network, ["gap"]) as found:
                    network(inputs.to(device).contiguous(memory_format=torch.channels_last))
                rows.append(found["gap"].float())
                targets.append(wanted.to(device))
    if dist.is_initialized():
        parts: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(parts, ([one.cpu() for one in rows], [one.cpu() for one in targets]))
        rows, targets = ([one.to(device) for part in parts for one in part[index]] for index in (0, 1))
    if not rows:
        raise PictureError("none of the pictures can be read", "check the paths of the data set")
    return torch.cat(rows), torch.cat(targets)


def _classes(targets: Targets) -> Int[Tensor, " n"]:
    return targets if targets.ndim == 1 else targets.argmax(1)


def _best_strength(rows: Tensor, targets: Targets, classes: int, seed: int) -> float:
    """The penalty with the smallest mean loss on a held-out fifth; copies of a row stay together."""
    groups = copies(rows.float().cpu().numpy())
    try:
        parts = split(_classes(targets).cpu(), 0.2, seed, groups)
    except SettingsError:  # nothing can be held out
        return STRENGTHS[-1]
    fit, held = (torch.from_numpy(part).to(rows.device) for part in parts)

    def loss(strength: float) -> float:
        weight, bias = _minimize(rows[fit], targets[fit], classes, strength)
        return float(F.cross_entropy(F.linear(rows[held], weight, bias), targets[held]))

    return min(STRENGTHS, key=loss)


def _minimize(rows: Tensor, targets: Targets, classes: int, strength: float) -> tuple[Tensor, Tensor]:
    """Weight and bias with the smallest penalized loss."""
    weight = rows.new_zeros((classes, rows.shape[1]), requires_grad=True)
    bias = rows.new_zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=_STEPS, tolerance_grad=torch.finfo(rows.dtype).eps ** 0.5,
        tolerance_change=torch.finfo(rows.dtype).eps, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(F.linear(rows, weight, bias), targets) + strength / 2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[arg-type,no-untyped-call]
    return weight.detach(), bias.detach()
