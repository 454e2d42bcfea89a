"""ILSVRC's localization error, written as the VGG paper's appendix A states it."""

from __future__ import annotations

from collections.abc import Sequence

from vggapps.classification._boxes import Box, iou


def localization_error(
    predicted: Sequence[Sequence[tuple[int, Box]]], truths: Sequence[tuple[int, Sequence[Box]]]
) -> float:
    """Share of pictures without a top-5 prediction of the true class whose IoU with a true box exceeds 0.5."""
    found = [
        any(i == index and iou(guess, box) > 0.5 for i, guess in guesses[:5] for box in boxes)
        for guesses, (index, boxes) in zip(predicted, truths, strict=True)
    ]
    return found.count(False) / len(found)
