"""The log of a training run: table, JSON lines, events and curves."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.lines import Line2D
from PIL import Image

from vggapps.errors import PictureError, SettingsError
from vggapps.figures import _plots as plots
from vggapps.figures._curves import curves, draw_curves
from vggapps.training import _log as logs
from vggapps.training._checkpoints import save_checkpoint
from vggapps.training._log import TrainingLog

NUMBERS = {"loss": 0.1 + 0.2, "top1": 1 / 3, "validation_loss": 1e-17, "validation_top1": 0.75, "seconds": 12.5}


def rows_of(count: int, first: int = 1) -> list[dict[str, Any]]:
    return [{"epoch": epoch, "steps": 10 * epoch, **NUMBERS} for epoch in range(first, first + count)]


def read_csv(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def read_json(folder: Path) -> list[dict[str, Any]]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line, parse_constant=refuse) for line in lines]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for logs whose curves are not drawn, which takes long."""
    monkeypatch.setattr(logs, "curves", lambda rows: Image.new("RGB", (1, len(rows))))
    yield tmp_path
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


class TestLog:
    def test_the_table_and_the_lines_have_equal_values(self, run: Path) -> None:
        log = TrainingLog(run)
        for row in rows_of(3):
            log.add(row)
        assert read_json(run) == rows_of(3) == log.rows
        assert [{name: float(cell) for name, cell in row.items()} for row in read_csv(run)] == rows_of(3)

    def test_the_files_are_complete_after_each_epoch(self, run: Path) -> None:
        log = TrainingLog(run)
        for count in range(1, 6):
            log.add(rows_of(count)[-1])
            assert len(read_csv(run)) == len(read_json(run)) == count
        log.close()

    def test_a_resumed_run_repeats_no_row(self, run: Path) -> None:
        first = TrainingLog(run)
        for row in rows_of(4):
            first.add(row)
        resumed = TrainingLog(run, rows_of(2))  # the checkpoint was that of epoch 2
        for row in rows_of(3, first=3):
            resumed.add(row)
        assert [row["epoch"] for row in read_json(run)] == [1, 2, 3, 4, 5]
        assert [row["epoch"] for row in read_csv(run)] == ["1", "2", "3", "4", "5"]

    def test_values_that_are_not_finite(self, run: Path) -> None:
        values = {"loss": math.nan, "validation_loss": -math.inf, "accuracy": np.float32("inf"), "top1": None}
        TrainingLog(run).add({"epoch": 1, **values})
        (line,), (row,) = read_json(run), read_csv(run)
        assert line == {"epoch": 1, "loss": "nan", "validation_loss": "-inf", "accuracy": "inf", "top1": None}
        assert row == {"epoch": "1", "loss": "nan", "validation_loss": "-inf", "accuracy": "inf", "top1": ""}

    def test_columns_that_appear_later(self, run: Path) -> None:
        log = TrainingLog(run)
        log.add({"epoch": 1, "loss": 2.0})
        log.add({"epoch": 2, "f1": 0.5, "loss": 1.0, "note": 'said "a,b"\nö'})
        assert read_csv(run) == [
            {"epoch": "1", "loss": "2.0", "f1": "", "note": ""},
            {"epoch": "2", "loss": "1.0", "f1": "0.5", "note": 'said "a,b"\nö'},
        ]
        assert read_json(run)[0] == {"epoch": 1, "loss": 2.0}
        assert read_json(run)[1]["note"] == 'said "a,b"\nö'

    def test_numbers_of_numpy_and_torch_become_those_of_python(self, run: Path) -> None:
        log = TrainingLog(run)
        log.add({"epoch": np.int64(1), "loss": torch.tensor(0.5), "top1": np.float32(0.25), "f1": np.float64(0.1)})
        assert [type(value) for value in log.rows[0].values()] == [int, float, float, float]
        save_checkpoint(run, {"rows": log.rows})  # which refuses those of NumPy
        assert read_json(run) == [{"epoch": 1, "loss": 0.5, "top1": 0.25, "f1": 0.1}]

    def test_a_folder_that_is_gone_is_an_error_with_a_remedy(self, tmp_path: Path) -> None:
        with pytest.raises(PictureError, match=r"log\.csv") as caught:
            TrainingLog(tmp_path / "gone").add({"epoch": 1})
        assert caught.value.hint

    def test_curves_are_drawn_now_and_then_and_at_the_end(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def drawn() -> int:
            with Image.open(run / "curves.png") as image:
                return image.height  # the number of rows

        now = 100.0
        monkeypatch.setattr(logs.time, "monotonic", lambda: now)
        log = TrainingLog(run)
        heights = []
        for seconds, row in zip((0, 1, 1, 100), rows_of(4), strict=True):
            now += seconds
            log.add(row)
            heights.append(drawn())
        log.add(rows_of(5)[-1])
        log.close()
        assert [*heights, drawn()] == [1, 1, 1, 4, 5]

    def test_a_run_without_rows_draws_nothing(self, run: Path) -> None:
        TrainingLog(run).close()
        assert list(run.iterdir()) == []

    def test_without_matplotlib_the_run_goes_on_and_says_so_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(plots, "find_spec", lambda name: None)
        with caplog.at_level(logging.WARNING), closing(TrainingLog(tmp_path)) as log:
            for row in rows_of(3):
                log.add(row)
        (record,) = caplog.records
        assert "curves.png is not drawn" in record.getMessage()
        assert "pip install 'vggapps[plots]'" in record.getMessage()
        assert sorted(file.name for file in tmp_path.iterdir()) == ["log.csv", "log.jsonl"]


class TestTensorBoard:
    @staticmethod
    def read(folder: Path) -> dict[str, dict[int, float]]:
        event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        found = event_accumulator.EventAccumulator(str(folder / "tensorboard"))
        found.Reload()
        return {tag: {event.step: event.value for event in found.Scalars(tag)} for tag in found.Tags()["scalars"]}

    def test_it_has_the_numbers_of_the_log(self, run: Path) -> None:
        with closing(TrainingLog(run, tensorboard=True)) as log:
            for row in rows_of(3):
                log.add({**row, "note": "text", "top5": None})
            written = self.read(run)  # before the run ends
        expected = {name: [row[name] for row in rows_of(3)] for name in rows_of(1)[0] if name != "epoch"}
        assert set(written) == set(expected)
        for name, values in expected.items():
            assert list(written[name]) == [1, 2, 3]
            assert list(written[name].values()) == pytest.approx(values, rel=1e-6)  # TensorBoard has float32

    def test_a_resumed_run_replaces_the_epochs_after_its_checkpoint(self, run: Path) -> None:
        with closing(TrainingLog(run, tensorboard=True)) as log:
            for row in rows_of(4):
                log.add(row)
        with closing(TrainingLog(run, rows_of(2), tensorboard=True)) as resumed:
            resumed.add({"epoch": 3, "loss": 7.0})
        assert self.read(run)["loss"] == {1: pytest.approx(0.3), 2: pytest.approx(0.3), 3: 7.0}

    def test_a_missing_package_is_an_error_before_the_run(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(logs, "find_spec", lambda name: None)
        with pytest.raises(SettingsError, match="TensorBoard") as caught:
            TrainingLog(run, tensorboard=True)
        assert caught.value.hint == "pip install 'vggapps[tensorboard]'"


class TestCurves:
    @staticmethod
    def lines(rows: list[dict[str, Any]]) -> tuple[dict[str, Line2D], dict[str, Line2D]]:
        with plots._style():
            figure = draw_curves(rows)
        left, right = ({str(line.get_label()): line for line in axes.lines} for axes in figure.axes)
        return left, right

    def test_lines_have_the_values_of_the_rows(self) -> None:
        numbers = np.random.default_rng(0).random((40, 4))
        names = ("loss", "validation_loss", "top1", "validation_top1")
        rows = [{"epoch": 1 + i, **dict(zip(names, map(float, row), strict=True))} for i, row in enumerate(numbers)]
        left, right = self.lines(rows)
        for line, values in (
            (left["training"], numbers[:, 0]),
            (left["validation"], numbers[:, 1]),
            (right["training"], 100 * numbers[:, 2]),
            (right["validation"], 100 * numbers[:, 3]),
        ):
            assert np.array_equal(line.get_xdata(), np.arange(1, 41))
            assert np.allclose(np.asarray(line.get_ydata()), values)
        best = int(numbers[:, 3].argmax())
        assert np.allclose(right["best"].get_xydata(), [[best + 1, 100 * numbers[best, 3]]])

    def test_of_equal_accuracies_the_first_is_the_best(self) -> None:
        shares = (0.5, 0.9, 0.7, 0.9)
        _, right = self.lines([{"epoch": i, "validation_top1": share} for i, share in enumerate(shares, 1)])
        assert right["best"].get_xydata().tolist() == [[2, 90]]

    def test_values_that_are_missing_or_not_finite_are_left_out(self) -> None:
        losses = (math.nan, 1.0, math.inf, None, 2.0)
        left, right = self.lines([{"epoch": i, "loss": loss} for i, loss in enumerate(losses, 1)])
        assert left["training"].get_xydata().tolist() == [[2, 1], [5, 2]]
        assert len(left["validation"].get_xydata()) == 0
        assert "best" not in right

    @pytest.mark.parametrize("count", [1, 2, 30, 31, 1000])
    def test_epochs_are_whole_numbers_and_few_points_are_dots(self, count: int) -> None:
        with plots._style():
            figure = draw_curves(rows_of(count))
            for axes in figure.axes:
                low, high = axes.get_xlim()
                ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
                assert 1 <= len(ticks) <= 11
                assert all(tick == round(tick) >= 1 for tick in ticks)
                assert (axes.lines[0].get_marker() == "o") == (count <= 30)

    def test_no_axis_goes_beyond_all_pictures_or_below_no_loss(self) -> None:
        with plots._style():
            left, right = draw_curves([{"epoch": 1, "loss": 0.4, "validation_loss": 0.5, "validation_top1": 1.0}]).axes
        assert left.get_ylim()[0] == 0
        assert right.get_ylim()[1] == 100

    def test_the_file_is_a_picture_for_a_page(self, tmp_path: Path) -> None:
        with closing(TrainingLog(tmp_path)) as log:
            log.add(rows_of(1)[0])
        with Image.open(tmp_path / "curves.png") as image:
            assert (image.format, image.mode) == ("PNG", "RGB")
            assert 1200 < image.width < 2000
            assert image.tobytes() == curves(rows_of(1)).tobytes()
