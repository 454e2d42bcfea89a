"""Drawings of an evaluation, with Pillow alone: how sure a network is and should be, and what it mixes up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vggapps._rates import Bin
from vggapps.image._lettering import INK, draw_text, shorten, text_width

NAMED = 40  # the most classes that get a row with a name and numbers each
BLOCKS = 100  # rows of the map of more classes
PAIRS = 26  # confusions listed beside it
LONGEST = 11  # of a class's name, in sizes of its letters: about 22 of them

Color = tuple[int, int, int]
FAINT, GRID, PAPER = (120, 126, 138), (226, 229, 235), (255, 255, 255)
# Blue and vermilion are told apart by colour-blind people, too (M. Okabe, K. Ito, 2008).
RIGHT, WRONG = (0, 114, 178), (213, 94, 0)
PALE_RIGHT, PALE_WRONG = (176, 212, 233), (247, 205, 172)


def reliability_plot(bins: Sequence[Bin], ece: float) -> Image.Image:
    """A reliability diagram: of each bin of confidence the accuracy, and how far the two are apart.

    Above, a blue bar is the accuracy. Where the network is too sure, an orange one goes on from there to its mean
    confidence; where it is not sure enough, the part of the blue bar beyond its mean confidence is pale. Below, the
    share of the pictures in each bin.

    Args:
        bins: of equal width, over [0, 1].
        ece: expected calibration error in percent, for the title.

    Returns:
        8-bit RGB, 900 pixels wide.

    Source: C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017, figure 1.
    """
    image = Image.new("RGB", (900, 1080), PAPER)
    draw = ImageDraw.Draw(image)
    total = sum(b.count for b in bins)
    draw_text(image, (110, 34), "How sure, and how often right", 32, "lm")
    said = f"expected calibration error {ece:.1f} %, {total} picture{'s' * (total != 1)}, {len(bins)} bins"
    draw_text(image, (110, 72), said, 21, "lm", FAINT)

    main = _Axes(image, (110, 150, 860, 770), 1.0)
    main.grid([0, 0.2, 0.4, 0.6, 0.8, 1], [0, 0.2, 0.4, 0.6, 0.8, 1])
    for b in bins:
        if b.count:
            main.bar(b.low, b.high, 0, b.accuracy, RIGHT)
            if b.confidence > b.accuracy:
                main.bar(b.low, b.high, b.accuracy, b.confidence, PALE_WRONG, WRONG)
            else:
                main.bar(b.low, b.high, b.confidence, b.accuracy, PALE_RIGHT, RIGHT)
    for i in range(0, 100, 2):
        draw.line([main.at(i / 100, i / 100), main.at((i + 1) / 100, (i + 1) / 100)], INK, 3)
    draw_text(image, (34, 460), "accuracy", 23, "mm", upwards=True)
    key = (
        (110, RIGHT, RIGHT, "accuracy"),
        (262, PALE_WRONG, WRONG, "too sure"),
        (390, PALE_RIGHT, RIGHT, "too unsure"),
    )
    for left, fill, edge, word in key:
        draw.rectangle((left, 106, left + 22, 128), fill, edge, 2)
        draw_text(image, (left + 32, 117), word, 20, "lm")
    for left in (546, 566):
        draw.line((left, 117, left + 14, 117), INK, 3)
    draw_text(image, (590, 117), "calibrated", 20, "lm")

    shares = [b.count / (total or 1) for b in bins]
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.25) if max(shares) <= 4 * s or s == 0.25)
    ticks = [step * i for i in range(math.ceil(max(shares) / step - 1e-9) + 1)]
    below = _Axes(image, (110, 820, 860, 1000), max(ticks[-1], step))
    below.grid([0, 0.2, 0.4, 0.6, 0.8, 1], ticks, percent=True)
    for b, share in zip(bins, shares, strict=True):
        below.bar(b.low, b.high, 0, share, FAINT)
    draw_text(image, (34, 910), "pictures", 23, "mm", upwards=True)
    draw_text(image, (485, 1052), "confidence of the first guess", 23, "mm")
    return image


class _Axes:
    """A box in which [0, 1] goes to the right and [0, top] up."""

    def __init__(self, image: Image.Image, box: tuple[int, int, int, int], top: float) -> None:
        self.image, self.draw, self.box, self.top = image, ImageDraw.Draw(image), box, top

    def at(self, x: float, y: float) -> tuple[int, int]:
        left, upper, right, lower = self.box
        return round(left + x * (right - left)), round(lower - y / self.top * (lower - upper))

    def grid(self, xs: Sequence[float], ys: Sequence[float], *, percent: bool = False) -> None:
        for x in xs:
            self.draw.line([self.at(x, 0), self.at(x, self.top)], GRID, 1)
            draw_text(self.image, (self.at(x, 0)[0], self.box[3] + 18), f"{x:g}", 20, "mm")
        for y in ys:
            self.draw.line([self.at(0, y), self.at(1, y)], GRID, 1)
            word = f"{100 * y:.0f} %" if percent else f"{y:g}"
            draw_text(self.image, (self.box[0] - 10, self.at(0, y)[1]), word, 20, "rm")

    def bar(
        self, left: float, right: float, low: float, high: float, fill: Color, outline: Color | None = None
    ) -> None:
        (x0, y0), (x1, y1) = self.at(left, high), self.at(right, low)
        if y1 > y0:
            self.draw.rectangle((x0 + 2, y0, x1 - 2, y1), fill, outline or fill, 2)


def confusion_picture(confusion: Mapping[tuple[int, int], int], names: Sequence[str]) -> Image.Image:
    """What was taken for what: a row for each true class that occurs, a column for each of them as the guess.

    Blue is right and orange wrong, the deeper the larger the share of the row. Guesses of classes that are not in
    the data set share the last column. Up to 40 classes have names and numbers; of more, neighbours in the order of
    the outputs are put together into blocks, and the most frequent confusions are listed beside.

    Args:
        confusion: {(true index, guessed index): count}.
        names: of all classes, by index.

    Returns:
        8-bit RGB.
    """
    classes = sorted({truth for truth, _ in confusion})
    place = {index: i for i, index in enumerate(classes)}
    others = any(guess not in place for _, guess in confusion)
    matrix = np.zeros((len(classes), len(classes) + others), dtype=np.int64)
    for (truth, guess), n in confusion.items():
        matrix[place[truth], place.get(guess, len(classes))] += n
    shown = [names[index] for index in classes]
    if len(classes) <= NAMED:
        return _named(matrix, shown)
    pairs = sorted(((n, t, g) for (t, g), n in confusion.items() if t != g), key=lambda pair: (-pair[0], pair[1:]))
    return _blocks(matrix, shown, [(n, names[t], names[g]) for n, t, g in pairs[:PAIRS]])


def _named(matrix: NDArray[np.int64], names: Sequence[str]) -> Image.Image:
    rows, columns = matrix.shape
    cell = min(72, max(30, 840 // rows))
    size = min(22, round(cell * 0.52))
    titles = [shorten(name, size, LONGEST * size) for name in names] + ["any other"] * (columns - rows)
    margin = math.ceil(max(text_width(title, size) for title in titles)) + 24
    left, top = 48 + margin, 96 + margin
    # Few classes leave no room for the title above them.
    image = Image.new("RGB", (max(left + columns * cell + 30, 420), top + rows * cell + 30), PAPER)
    draw = ImageDraw.Draw(image)
    draw_text(image, (30, 36), "What was taken for what", 28, "lm")
    draw_text(image, (left, 76), "taken for", 20, "lm", FAINT)
    draw_text(image, (30, top + rows * cell // 2), "true class", 20, "mm", FAINT, upwards=True)
    for column, title in enumerate(titles):
        draw_text(image, (left + column * cell + cell // 2, top - 10), title, size, "lm", upwards=True)
    share = matrix / matrix.sum(1, keepdims=True)
    for row in range(rows):
        draw_text(image, (left - 10, top + row * cell + cell // 2), titles[row], size, "rm")
        for column in range(columns):
            x, y = left + column * cell, top + row * cell
            fill = _mix(RIGHT if row == column else WRONG, share[row, column])
            draw.rectangle((x, y, x + cell, y + cell), fill, GRID)
            if matrix[row, column]:
                ink = PAPER if share[row, column] > 0.5 else INK
                number = str(matrix[row, column])
                fits = max(8, min(size, int(size * (cell - 6) / text_width(number, size))))
                draw_text(image, (x + cell // 2, y + cell // 2), number, fits, "mm", ink)
    return image


def _blocks(matrix: NDArray[np.int64], names: Sequence[str], pairs: Sequence[tuple[int, str, str]]) -> Image.Image:
    count, others = len(names), matrix.shape[1] - len(names)
    together = math.ceil(count / BLOCKS)
    starts = list(range(0, count, together))
    # The column of other classes stays a block of its own.
    sums = np.add.reduceat(np.add.reduceat(matrix, starts, axis=0), starts + [count] * others, axis=1)
    share = sums / sums.sum(1, keepdims=True)
    cell = 900 // len(starts)
    titles = {at: shorten(names[starts[at]], 18, LONGEST * 18) for at in range(0, len(starts), math.ceil(28 / cell))}
    margin = math.ceil(max(text_width(title, 18) for title in titles.values())) + 24
    left, top = 48 + margin, 124 + margin
    side = cell * len(starts)
    beside = left + side + cell * 2 * others + 60
    image = Image.new("RGB", (beside + 620, top + side + 60), PAPER)
    draw = ImageDraw.Draw(image)
    draw_text(image, (30, 38), "What was taken for what", 30, "lm")
    said = (
        f"{count} classes, {together} in a row; blue: right or within the row's own classes, orange: taken for others"
    )
    draw_text(
        image, (30, 78), said if together > 1 else f"{count} classes; blue: right, orange: wrong", 20, "lm", FAINT
    )
    draw_text(image, (left, 112), "taken for", 18, "lm", FAINT)
    draw_text(image, (30, top + side // 2), "true class", 18, "mm", FAINT, upwards=True)
    for row in range(len(starts)):
        for column in range(sums.shape[1]):
            other = column == len(starts)
            x, y = left + column * cell + other * cell, top + row * cell
            # The root shows the rare confusions, which are what the map is looked at for.
            fill = _mix(RIGHT if row == column else WRONG, math.sqrt(share[row, column]))
            draw.rectangle((x, y, x + cell - 1, y + cell - 1), fill)
    draw.rectangle((left - 1, top - 1, left + side, top + side), outline=FAINT)
    if others:
        draw.rectangle((left + side + cell - 1, top - 1, left + side + 2 * cell, top + side), outline=FAINT)
        draw_text(image, (left + side + 2 * cell, top + side + 20), "any other", 18, "rm", FAINT)
    for at, title in titles.items():
        middle = at * cell + cell // 2
        draw_text(image, (left - 12, top + middle), title, 18, "rm")
        draw_text(image, (left + middle, top - 12), title, 18, "lm", upwards=True)
    draw_text(image, (beside, top - 18), "most frequent confusions" if pairs else "no confusions", 20, "lm", FAINT)
    for i, (n, true, guess) in enumerate(pairs):
        y = top + 18 + i * 34
        draw_text(image, (beside + 44, y), str(n), 20, "rm", WRONG)
        taken = " taken for ".join(shorten(name, 20, LONGEST * 20) for name in (true, guess))
        draw_text(image, (beside + 60, y), taken, 20, "lm")
    return image


def _mix(color: Color, share: float) -> Color:
    """White at 0, the colour at 1."""
    red, green, blue = (round(255 + (channel - 255) * float(share)) for channel in color)
    return red, green, blue
