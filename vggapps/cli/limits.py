"""Limits that make a comparison a test: which values fail it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from vggapps.cli.options import words
from vggapps.errors import SettingsError, in_a_line

if TYPE_CHECKING:
    from vggapps.losses._comparison import Metric

Above = Annotated[str, typer.Option(metavar="[METRIC=]X,...", help="Fail if a metric, or the first, is above X.")]
Below = Annotated[str, typer.Option(metavar="[METRIC=]X,...", help="The same for PSNR, SSIM and MS-SSIM below X.")]


class Limit(NamedTuple):
    """The worst value of a metric that passes."""

    metric: Metric
    value: float

    def told(self, value: float | None) -> str:
        """What is wrong with a value; nothing if it passes."""
        lower = self.metric.lower_is_better
        if value is None or not (value > self.value if lower else value < self.value):
            return ""
        return f"{self.metric.title} is {value:g}, {'above' if lower else 'below'} {self.value:g}"


def read_limits(metrics: Sequence[Metric], above: str, below: str) -> list[Limit]:
    """The limits that ``--fail-above`` and ``--fail-below`` name.

    Args:
        metrics: what is measured; a number alone is the limit of the first.
        above: ``METRIC=X,...`` or ``X``, of metrics of which less is better.
        below: the same of those of which more is better.

    Raises:
        SettingsError: that is no limit, of a metric that is not measured, or of one of which the other way is better.
    """
    options = {"--fail-above": above, "--fail-below": below}
    limits = [_limit(metrics, option, word) for option, text in options.items() for word in words(text)]
    for limit in limits:
        if [other.metric for other in limits].count(limit.metric) > 1:
            raise SettingsError(f"{limit.metric.name} has two limits", "give it one, with a decimal point: 0.05")
    return limits


def is_beyond(limits: Sequence[Limit], values: Mapping[str, float | None], name: str) -> bool:
    """Whether values of a pair are beyond limits; says which."""
    wrong = [told for limit in limits if (told := limit.told(values[limit.metric.name]))]
    for told in wrong:
        typer.secho(in_a_line(f"{name}: {told}"), fg="red", err=True)
    return bool(wrong)


def _limit(metrics: Sequence[Metric], option: str, word: str) -> Limit:
    from vggapps.losses._comparison import get_metrics

    name, equals, number = (part.strip() for part in word.rpartition("="))
    metric = get_metrics([name])[0] if equals else metrics[0]
    measured = {one.name: one for one in metrics}
    if metric.name not in measured:
        raise SettingsError(
            f"{option} {word}, and {metric.name} is not measured", f"add it: --metric {','.join([*measured, name])}"
        )
    if metric.lower_is_better != (option == "--fail-above"):
        better, other = ("less", "--fail-above") if metric.lower_is_better else ("more", "--fail-below")
        fit = [one.name for one in metrics if one.lower_is_better != metric.lower_is_better]
        hint = f"use {other} {word}" if equals or not fit else f"name the metric: {option} {fit[-1]}={number}"
        raise SettingsError(f"{option}, and of {metric.title} {better} is better", hint)
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SettingsError(f"{option} {word} is no limit", f"give a number: {option} {metric.name}=0.5")
    return Limit(measured[metric.name], value)
