"""The log of a training run: a table, the same as JSON lines, learning curves, and events for TensorBoard."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from numbers import Integral
from pathlib import Path
from typing import Any, SupportsFloat

from vggapps._files import created, write_file
from vggapps.errors import SettingsError
from vggapps.figures._curves import curves
from vggapps.figures._plots import check_matplotlib

log = logging.getLogger(__name__)

Cell = float | str | None
_PAUSE = 5.0  # seconds between two drawings, which take about 0.1 s, as an epoch of a small run does


class TrainingLog:
    """The values of each epoch, kept in ``log.csv``, ``log.jsonl`` and ``curves.png``.

    The first two have a row for each epoch and equal values. What is missing is empty in CSV and null or left out in
    JSON; values that are not finite are ``nan``, ``inf`` or ``-inf``, in JSON as strings. Each :meth:`add` replaces
    the files atomically; the curves follow within seconds, and at :meth:`close`. Without Matplotlib they are not
    drawn, and a warning is logged.

    Args:
        folder: of the run; it exists.
        rows: of the earlier part of a resumed run; rows in the files after these are dropped.
        tensorboard: also write all numbers as events to the folder ``tensorboard``, with the epoch as step.

    Attributes:
        rows: one per epoch, as Python's numbers and strings.

    Raises:
        SettingsError: the package tensorboard is not installed.
    """

    def __init__(self, folder: str | Path, rows: Sequence[Mapping[str, Any]] = (), *, tensorboard: bool = False):
        self.folder = Path(folder)
        self.rows = [_plain_row(row) for row in rows]
        self._next_drawing = 0.0
        try:
            check_matplotlib()
        except SettingsError as error:
            log.warning("curves.png is not drawn: %s", error)
            self._next_drawing = math.inf  # never
        self._events = _events(self.folder / "tensorboard") if tensorboard else None
        for row in self.rows:
            self._add_events(row)

    def add(self, row: Mapping[str, SupportsFloat | str | None]) -> None:
        """Append the row of an epoch.

        Args:
            row: ``epoch`` and any other columns; numbers may also be those of NumPy or tensors with one element. What
                the curves show is listed at :func:`~vggapps.figures._curves.curves`.

        Raises:
            PictureError: a file can't be written.
        """
        self.rows.append(_plain_row(row))
        write_file(self.folder / "log.csv", _as_csv(self.rows).encode(), overwrite=True)
        write_file(self.folder / "log.jsonl", _as_json_lines(self.rows).encode(), overwrite=True)
        self._add_events(self.rows[-1])
        if time.monotonic() >= self._next_drawing:
            self._draw()

    def close(self) -> None:
        """Draw the final curves, and close the file of events."""
        if self.rows and self._next_drawing < math.inf:
            self._draw()
        if self._events:
            self._events.close()

    def _draw(self) -> None:
        with created(self.folder / "curves.png", overwrite=True) as part:
            curves(self.rows).save(part)
        self._next_drawing = time.monotonic() + _PAUSE

    def _add_events(self, row: Mapping[str, Cell]) -> None:
        if self._events:
            for name, value in row.items():
                if name != "epoch" and isinstance(value, int | float):
                    self._events.add_scalar(name, value, row["epoch"])
            self._events.flush()


def _events(folder: Path) -> Any:
    """A writer of TensorBoard's events, which replace all earlier ones in the folder."""
    if not find_spec("tensorboard"):
        raise SettingsError("events need TensorBoard", "pip install 'vggapps[tensorboard]'")
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=0)


def _plain_row(row: Mapping[str, Any]) -> dict[str, Cell]:
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Cell:
    """The value as one of Python's own types, which checkpoints and JSON can hold."""
    if value is None or isinstance(value, str):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _as_csv(rows: Sequence[Mapping[str, Cell]]) -> str:
    """All columns of all rows, in the order of their first appearance."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _as_json_lines(rows: Sequence[Mapping[str, Cell]]) -> str:
    lines = ({name: _finite(value) for name, value in row.items()} for row in rows)
    return "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)


def _finite(value: Cell) -> Cell:
    """The value for JSON, which has neither infinite numbers nor NaN."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
