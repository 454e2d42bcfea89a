"""Limits of metrics: ``vggapps compare`` fails if a value exceeds one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from vggapps.cli.options import split_list
from vggapps.errors import SettingsError, in_a_line

if TYPE_CHECKING:
    from vggapps.losses._comparison import Metric

Above = Annotated[str, typer.Option(metavar="[METRIC=]X,...", help="Fail if a metric (default the first) is above X.")]
Below = Annotated[str, typer.Option(metavar="[METRIC=]X,...", help="Fail if PSNR, SSIM or MS-SSIM is below X.")]


class Limit(NamedTuple):
    """The worst value of a metric that is accepted."""

    metric: Metric
    value: float

    def violation(self, value: float | None) -> str:
        """A message for a value beyond the limit, otherwise empty."""
        lower = self.metric.lower_is_better
        if value is None or not (value > self.value if lower else value < self.value):
            return ""
        return f"{self.metric.title} is {value:g}, {'above' if lower else 'below'} {self.value:g}"


def read_limits(metrics: Sequence[Metric], above: str, below: str) -> list[Limit]:
    """Parse ``--fail-above`` and ``--fail-below``.

    Args:
        metrics: the measured metrics; a number without a name is a limit for the first.
        above: ``METRIC=X,...`` or ``X``, for metrics where lower is better.
        below: the same for metrics where higher is better.

    Raises:
        SettingsError: not a number, a metric that is not measured, or one for the other option.
    """
    options = {"--fail-above": above, "--fail-below": below}
    limits = [_limit(metrics, option, word) for option, text in options.items() for word in split_list(text)]
    for limit in limits:
        if [other.metric for other in limits].count(limit.metric) > 1:
            raise SettingsError(f"{limit.metric.name} has two limits", "give it one, with a decimal point: 0.05")
    return limits


def is_beyond(limits: Sequence[Limit], values: Mapping[str, float | None], name: str) -> bool:
    """Whether any value of a pair is beyond a limit; prints which."""
    violations = [text for limit in limits if (text := limit.violation(values[limit.metric.name]))]
    for text in violations:
        typer.secho(in_a_line(f"{name}: {text}"), fg="red", err=True)
    return bool(violations)


def _limit(metrics: Sequence[Metric], option: str, word: str) -> Limit:
    from vggapps.losses._comparison import get_metrics

    name, equals, number = (part.strip() for part in word.rpartition("="))
    metric = get_metrics([name])[0] if equals else metrics[0]
    measured = {one.name: one for one in metrics}
    if metric.name not in measured:
        raise SettingsError(
            f"{option} {word}: {metric.name} is not measured", f"add it: --metric {','.join([*measured, name])}"
        )
    if metric.lower_is_better != (option == "--fail-above"):
        better, other = ("lower", "--fail-above") if metric.lower_is_better else ("higher", "--fail-below")
        fit = [one.name for one in metrics if one.lower_is_better != metric.lower_is_better]
        hint = f"use {other} {word}" if equals or not fit else f"name the metric: {option} {fit[-1]}={number}"
        raise SettingsError(f"{option} does not apply to {metric.title}, where {better} is better", hint)
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SettingsError(f"{option} {word} is not a finite number", f"give a number: {option} {metric.name}=0.5")
    return Limit(measured[metric.name], value)
