"""What is kept of each picture of an evaluation: the table, and the sheet of the surest mistakes."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vggapps.classification import _outcomes as room
from vggapps.classification._classifier import Result
from vggapps.classification._evaluation import evaluate
from vggapps.classification._outcomes import Outcome, mistakes_sheet, record_outcomes, table
from vggapps.datasets._dataset import Example
from vggapps.errors import DivergedError, PictureError
from vggapps.image import Picture, to_pil
from vggapps.weights._labels import Label, labels_of

EIGHT = labels_of([f"class {letter}" for letter in "abcdefg"] + ['big, "red" ö'])


def kept(rows: Sequence[Sequence[float] | None], truths: Sequence[int], folder: Path = Path()) -> list[Outcome]:
    found: list[Outcome] = []
    results = (
        Result(i, error=PictureError(f"{i}: it is damaged")) if row is None else Result(i, torch.tensor(row))
        for i, row in enumerate(rows)
    )
    examples = [Example(folder / f"{i}.png", truth) for i, truth in enumerate(truths)]
    assert [result.index for result in record_outcomes(results, examples, found)] == list(range(len(rows)))
    return found


def read(outcomes: list[Outcome], labels: Sequence[Label] = EIGHT) -> list[dict[str, str]]:
    return list(csv.DictReader(table(outcomes, labels).splitlines()))


def test_a_hand_worked_table() -> None:
    rows = [
        [0.5, 0.2, 0.1, 0.1, 0.05, 0.03, 0.015, 0.005],
        [0.5, 0.2, 0.1, 0.1, 0.05, 0.03, 0.015, 0.005],
        None,
        [0.5, 0.2, 0.1, 0.1, 0.05, 0.03, 0.015, 0.005],
    ]
    found = read(kept(rows, [0, 4, 3, 7]))
    names = ("path", "truth", "guess", "guess_probability", "truth_probability", "right", "top5", "error")
    assert [tuple(row[name] for name in names) for row in found] == [
        ("0.png", "class a", "class a", "0.5", "0.5", "true", "true", ""),
        ("1.png", "class e", "class a", "0.5", "0.05", "false", "true", ""),
        ("2.png", "class d", "", "", "", "", "", "2: it is damaged"),
        ("3.png", 'big, "red" ö', "class a", "0.5", "0.005", "false", "false", ""),
    ]


def test_the_table_has_the_numbers_of_the_whole_evaluation() -> None:
    torch.manual_seed(0)
    rows, truths = (3 * torch.randn(200, 8)).softmax(1), torch.randint(8, (200,)).tolist()
    rows[:100] = torch.eye(8)[truths[:100]] * 0.3 + rows[:100] * 0.7
    examples = [Example(Path(f"{i}.png"), truth) for i, truth in enumerate(truths)]
    found: list[Outcome] = []
    results: Iterator[Result] = (Result(i, row) for i, row in enumerate(rows))
    whole = evaluate(record_outcomes(results, examples, found), examples, EIGHT)
    told = read(found)
    wrong = [row for row in told if row["right"] == "false"]
    assert whole.top1_error.percent == pytest.approx(100 * len(wrong) / 200)
    assert whole.top5_error is not None
    assert whole.top5_error.percent == pytest.approx(100 * sum(row["top5"] == "false" for row in told) / 200)
    assert whole.nll == pytest.approx(-np.mean(np.log([float(row["truth_probability"]) for row in told])), abs=1e-3)
    assert all((row["guess"] == row["truth"]) == (row["right"] == "true") for row in told)


def test_five_classes_or_fewer_have_no_top_five() -> None:
    (row,) = read(kept([[0.9, 0.1]], [1]), labels_of(["cat", "dog"]))
    assert (row["right"], row["top5"]) == ("false", "")


def test_probabilities_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(DivergedError):
        kept([[float("nan")] * 8], [0])


def test_the_sheet_shows_the_surest_mistakes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of one colour each; which of them are on the sheet, and in which order, is read off its pixels."""
    colors = ["red", "lime", "blue", "yellow", "cyan", "magenta"]
    for i, color in enumerate(colors):
        Image.new("RGB", (300, 300 + 300 * (i % 2)), color).save(tmp_path / f"{i}.png")
    sure = [0.3, 0.9, 0.99, 0.6, 0.5, 0.8]
    rows = [[p, *[(1 - p) / 7] * 7] for p in sure]
    found = kept(rows, [1, 1, 0, 1, 1, 1], tmp_path)  # the surest guess of all, blue, is right
    (tmp_path / "3.png").unlink()  # after it was classified
    captions: list[str] = []
    contact_sheet = room.contact_sheet

    def seen(pictures: list[Tensor | None], labels: list[str], *rest: Any) -> Picture:
        captions.extend(labels)
        captions.append(rest[-1])
        assert all(max(tile.shape[2:]) == 224 for tile in pictures if tile is not None)
        return contact_sheet(pictures, labels, *rest)

    monkeypatch.setattr(room, "contact_sheet", seen)
    sheet = mistakes_sheet(found, EIGHT, count=4)
    assert sheet
    image = np.asarray(to_pil(sheet))
    first = {}
    for color in ("lime", "magenta", "cyan", "red", "blue", "yellow"):
        where = np.argwhere((image == np.array(Image.new("RGB", (1, 1), color))[0, 0]).all(2))
        if len(where):
            first[color] = int(where[:, 1].min())
    assert sorted(first, key=lambda color: first[color]) == ["lime", "magenta", "cyan"]  # yellow's place is empty
    assert captions[0] == "guess: class a, 90.0 %\ntrue: class b, 1.4 %\n1.png"
    assert [caption.splitlines()[-1] for caption in captions] == [
        "1.png",
        "5.png",
        "3.png",
        "4.png",
        "The 4 most confident of 5 mistakes in 6 pictures",
    ]


def test_where_nothing_is_wrong_there_is_no_sheet() -> None:
    assert mistakes_sheet(kept([[0.9, 0.1], None], [0, 1]), labels_of(["cat", "dog"])) is None
