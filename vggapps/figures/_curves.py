"""Learning curves of a training run, drawn by Matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vggapps.figures._plots import BLUE, FAINT, ORANGE, _style, _to_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, float | str | None]]
_DOTTED = 30  # up to this many points of a line are drawn as dots


def curves(rows: Rows) -> Image.Image:
    """The learning curves of a training run: loss on the left, accuracy on the right, over epochs.

    Training is blue and validation orange. A ring marks the best accuracy in validation, of equal ones the first. Lines
    connect the values that are finite.

    Args:
        rows: one or more, each with ``epoch`` and any of ``loss``, ``validation_loss``, ``top1`` and
            ``validation_top1``; accuracies are in [0, 1].

    Returns:
        8-bit RGB.

    Raises:
        SettingsError: Matplotlib is not installed.
    """
    with _style():
        return _to_image(draw_curves(rows))


def draw_curves(rows: Rows) -> Figure:
    """The figure of :func:`curves`, in Matplotlib's present style."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1500 / 72, 480 / 72))
    left, right = figure.subplots(1, 2, gridspec_kw={"left": 0, "right": 1, "bottom": 0, "top": 1, "wspace": 0.16})
    epochs = _column(rows, "epoch")
    _draw(left, epochs, _column(rows, "loss"), _column(rows, "validation_loss"))
    left.set_ylim(0)
    left.set_title("Loss", loc="left", pad=50)
    left.legend(ncols=2, loc="lower left", bbox_to_anchor=(-0.015, 1), borderpad=0.3, borderaxespad=0.3)
    validation = 100 * _column(rows, "validation_top1")
    _draw(right, epochs, 100 * _column(rows, "top1"), validation)
    right.set_ylim(top=min(100, right.get_ylim()[1]))
    right.yaxis.set_major_formatter(lambda percent, _: f"{percent:g} %")
    right.set_title("Accuracy", loc="left", pad=50)
    if np.isfinite(validation).any():
        best = int(np.nanargmax(validation))
        ring = right.plot(epochs[best], validation[best], "o", color=ORANGE, markersize=18, clip_on=False)[0]
        ring.set(markerfacecolor="none", markeredgewidth=3, label="best")
        summary = f"best in validation: {validation[best]:.1f} %, epoch {epochs[best]:g}"
        right.annotate(summary, (0, 1), (0, 17), xycoords="axes fraction", textcoords="offset points", color=FAINT)
    return figure


def _draw(axes: Axes, epochs: NDArray[np.float64], *lines: NDArray[np.float64]) -> None:
    """Draw the lines of training and validation."""
    from matplotlib.ticker import MaxNLocator

    for values, color, label in zip(lines, (BLUE, ORANGE), ("training", "validation"), strict=True):
        known = np.isfinite(values)
        form = "o-" if known.sum() <= _DOTTED else "-"
        # Not clipped, because an accuracy of 100 % lies on the frame.
        axes.plot(epochs[known], values[known], form, color=color, lw=3, ms=7, label=label, clip_on=False)
    axes.set(xlabel="epoch", xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.grid()


def _column(rows: Rows, name: str) -> NDArray[np.float64]:
    """The values of a column; NaN where one is missing."""
    return np.array([row.get(name) for row in rows], dtype=np.float64)
