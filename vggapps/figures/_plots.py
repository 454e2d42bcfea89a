"""Plots of an evaluation, drawn by Matplotlib: a reliability diagram and a confusion matrix."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vggapps._rates import Bin
from vggapps.errors import SettingsError
from vggapps.image._fonts import BUNDLED, opened
from vggapps.image._lettering import faces_of, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 40  # up to this many classes each have a row with name and counts
BLOCKS = 100  # rows of the matrix for more classes
PAIRS = 26  # confusions listed next to it
LONGEST = 11  # em; width of class names, about 22 letters
OTHER = "any other class"

# Colour-blind safe blue and vermilion (M. Okabe, K. Ito, 2008), and lighter shades.
BLUE, ORANGE, PALE_BLUE, PALE_ORANGE = "#0072b2", "#d55e00", "#b0d4e9", "#f7cdac"
INK, FAINT, GRID = "#222222", "#787e8a", "#e2e5eb"


def check_matplotlib() -> None:
    """Check that plots can be drawn.

    Raises:
        SettingsError: Matplotlib is not installed.
    """
    if not find_spec("matplotlib"):
        raise SettingsError("plots need Matplotlib", "pip install 'vggapps[plots]'")


def reliability_plot(bins: Sequence[Bin], ece: float) -> Image.Image:
    """A reliability diagram: accuracy and its gap to the mean confidence, per bin of confidence.

    Top: blue bars are the accuracy; an overconfident bin has an orange bar from there up to the mean confidence, an
    underconfident bin is pale above the mean confidence. Bottom: the share of the pictures in each bin.

    Args:
        bins: of equal width, over [0, 1].
        ece: expected calibration error in percent, for the title.

    Returns:
        8-bit RGB.

    Raises:
        SettingsError: Matplotlib is not installed.

    Source: C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017, figure 1.
    """
    names = ("low", "high", "count", "confidence", "accuracy")
    low, high, counts, confidence, accuracy = (np.array([getattr(b, name) for b in bins]) for name in names)
    middle, width, total = (low + high) / 2, 0.94 * (high - low), int(counts.sum())
    with _style():
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
        from matplotlib.ticker import MaxNLocator

        figure = Figure(figsize=(750 / 72, 850 / 72))
        sizes = {"left": 0, "right": 1, "bottom": 0, "top": 1, "height_ratios": [620, 180], "hspace": 0.125}
        above, below = figure.subplots(2, 1, sharex=True, gridspec_kw=sizes)
        above.bar(middle, accuracy, width, color=BLUE)
        shades = {"overconfident": (PALE_ORANGE, ORANGE), "underconfident": (PALE_BLUE, BLUE)}
        for (fill, edge), found in zip(shades.values(), (confidence > accuracy, confidence < accuracy), strict=True):
            at = found & (counts > 0)
            gap, start = np.abs(confidence - accuracy)[at], np.minimum(confidence, accuracy)[at]
            above.bar(middle[at], gap, width[at], start, facecolor=fill, edgecolor=edge, linewidth=2)
        (line,) = above.plot([0, 1], [0, 1], color=INK, linewidth=3, dashes=(4, 3), label="perfect", clip_on=False)
        above.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
        key = [Patch(color=BLUE, label="accuracy")]
        key += [Patch(facecolor=f, edgecolor=e, linewidth=2, label=word) for word, (f, e) in shades.items()]
        above.legend(handles=[*key, line], ncols=4, loc="lower left", bbox_to_anchor=(-0.02, 1))
        below.bar(middle, counts / max(1, total), width, color=FAINT)
        below.yaxis.set_major_locator(MaxNLocator(4))
        below.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        below.set(xlabel="confidence of the prediction", ylabel="pictures")
        for axes in (above, below):
            axes.grid()
        above.set_title("Reliability diagram", loc="left", pad=86)
        summary = f"expected calibration error {ece:.1f} %, {total} picture{'s' * (total != 1)}, {len(bins)} bins"
        above.annotate(summary, (0, 1), (0, 54), xycoords="axes fraction", textcoords="offset points", color=FAINT)
        return _to_image(figure)


def confusion_picture(confusion: Mapping[tuple[int, int], int], names: Sequence[str]) -> Image.Image:
    """A confusion matrix: a row for each true class that occurs, a column for each of them as prediction.

    Blue is right and orange wrong; darker means a larger share of the row. Predictions outside of the data set's
    classes share the last column. Up to 40 classes have names and counts; more classes are merged into blocks of
    neighbouring outputs, and the most frequent confusions are listed next to the matrix.

    Args:
        confusion: {(true index, predicted index): count}.
        names: of all classes, by output index.

    Returns:
        8-bit RGB.

    Raises:
        SettingsError: Matplotlib is not installed.
    """
    classes = sorted({truth for truth, _ in confusion})
    place = {index: i for i, index in enumerate(classes)}
    others = any(guess not in place for _, guess in confusion)
    matrix = np.zeros((len(classes), len(classes) + others), dtype=np.int64)
    for (truth, guess), n in confusion.items():
        matrix[place[truth], place.get(guess, len(classes))] += n
    shown = [names[index] for index in classes]
    pairs = sorted(((n, t, g) for (t, g), n in confusion.items() if t != g), key=lambda pair: (-pair[0], pair[1:]))
    listed = [(n, names[t], names[g]) for n, t, g in pairs[:PAIRS]]
    with _style([*shown, *(name for _, *both in listed for name in both)]):
        return _to_image(_named(matrix, shown) if len(classes) <= NAMED else _blocks(matrix, shown, listed))


def _named(matrix: NDArray[np.int64], names: Sequence[str]) -> Figure:
    rows = len(names)
    cell = min(72, max(30, 840 // rows))
    size = min(22, round(cell * 0.52))
    share = matrix / matrix.sum(1, keepdims=True)
    axes = _matrix_axes(share, cell)
    _name_classes(axes, names, range(rows), size)
    axes.set_xticks(np.arange(matrix.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor")
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            fits = min(size, (cell - 6) / (0.6 * len(str(count))))  # a digit is about 0.57 em wide
            ink = "white" if share[row, column] > 0.5 else INK
            axes.text(column, row, str(count), size=fits, color=ink, ha="center", va="center")
    return axes.get_figure()  # type: ignore[return-value]


def _blocks(matrix: NDArray[np.int64], names: Sequence[str], pairs: Sequence[tuple[int, str, str]]) -> Figure:
    count, others = len(names), matrix.shape[1] - len(names)
    together = math.ceil(count / BLOCKS)
    starts = list(range(0, count, together))
    # The column of other classes remains a separate block.
    sums = np.add.reduceat(np.add.reduceat(matrix, starts, axis=0), starts + [count] * others, axis=1)
    cell = 900 // len(starts)
    # The square root makes rare confusions visible.
    axes = _matrix_axes(np.sqrt(sums / sums.sum(1, keepdims=True)), cell)
    step = math.ceil(28 / cell)  # also the distance from the column of other classes
    _name_classes(axes, [names[start] for start in starts], range(0, len(starts) - step + 1, step), 18)
    meaning = "blue: right, or wrong within the row; orange: wrong" if together > 1 else "blue: right, orange: wrong"
    note = partial(axes.annotate, xycoords="axes fraction", textcoords="offset points", va="center")
    note(f"{count} classes{f', {together} in a row' * (together > 1)}; {meaning}", (0, 0), (0, -28), color=FAINT)
    note("most frequent confusions" if pairs else "no confusions", (1, 1), (84, 12), color=FAINT)
    for i, (n, *both) in enumerate(pairs):
        true, guess = (shorten(name, 20, LONGEST * 20) for name in both)
        note(str(n), (1, 1), (70, -18 - 34 * i), color=ORANGE, ha="right")
        note(f"{true} taken for {guess}", (1, 1), (84, -18 - 34 * i))
    return axes.get_figure()  # type: ignore[return-value]


def _matrix_axes(share: NDArray[np.float64], cell: int) -> Axes:
    """Axes with shares in [0, 1] as cells of ``cell`` pixels: the diagonal blue, the rest orange."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    rows, columns = share.shape
    axes = Figure(figsize=(columns * cell / 72, rows * cell / 72)).add_axes((0, 0, 1, 1))
    diagonal = np.eye(rows, columns, dtype=bool)
    for color, hidden in ((BLUE, ~diagonal), (ORANGE, diagonal)):
        shades = LinearSegmentedColormap.from_list("", ["white", color])
        axes.imshow(np.ma.masked_array(share, hidden), shades, aspect="auto", vmin=0, vmax=1, interpolation="nearest")
    if columns > rows:
        axes.axvline(rows - 0.5, color=FAINT)
    axes.set_title("Confusion matrix", loc="left", pad=14)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("predicted class", color=FAINT, labelpad=10)
    axes.set_ylabel("true class", color=FAINT, labelpad=10)
    return axes


def _name_classes(axes: Axes, names: Sequence[str], rows: Iterable[int], size: int) -> None:
    """Label some rows, and the same columns."""
    titles = {row: shorten(names[row], size, LONGEST * size) for row in rows}
    axes.set_yticks(list(titles), list(titles.values()), size=size)
    if axes.get_xlim()[1] > len(names):
        titles[len(names)] = OTHER
    axes.set_xticks(list(titles), list(titles.values()), size=size, rotation=90)


@contextmanager
def _style(names: Iterable[str] = ()) -> Iterator[None]:
    """Fonts and colours of the figures made inside, with fonts for the letters of ``names``; a point is a pixel."""
    check_matplotlib()
    from matplotlib import style
    from matplotlib.font_manager import FontEntry, fontManager

    faces = dict.fromkeys([BUNDLED, *(face for name in names for face in faces_of(name))])
    known = {entry.name for entry in fontManager.ttflist}
    for face in faces:
        # By path: two files can have the same font name. Matplotlib can't draw bitmap fonts.
        if face.path not in known and opened(face, 20)[1] == 1:
            fontManager.ttflist.append(FontEntry(face.path, face.index, face.path))
    options = {
        "font.family": [face.path for face in faces],
        "font.size": 20,
        "text.color": INK,
        "text.parse_math": False,
        "axes.titlesize": 32,
        "axes.edgecolor": GRID,
        "axes.labelcolor": INK,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "legend.frameon": False,
        "legend.columnspacing": 1,
        "legend.handlelength": 1.5,
        "xtick.color": GRID,
        "ytick.color": GRID,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
    }
    with style.context(["default", options]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # reported by faces_of
        yield


def _to_image(figure: Figure) -> Image.Image:
    """The figure with everything around its axes, on white."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=72, bbox_inches="tight", pad_inches=0.4, facecolor="white")
    return Image.open(stream).convert("RGB")
