"""The classes that a network names, and how they are printed."""

from __future__ import annotations

from dataclasses import dataclass

from vggapps._tables import html_table


@dataclass(frozen=True)
class Prediction:
    """A class, and how sure the network is of it.

    Attributes:
        index: which output it is.
        label: its name.
        wordnet: its WordNet id, empty where it has none.
        probability: in [0, 1], after the temperature that is stored with the weights.
    """

    index: int
    label: str
    wordnet: str
    probability: float


class Predictions(list[Prediction]):
    """The most probable classes of a picture, best first: a list that prints as a table."""

    def __repr__(self) -> str:
        width = max((len(one.label) for one in self), default=0)
        lines = [f"{_percent(one)}  {one.label:<{width}}  {one.wordnet}".rstrip() for one in self]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """A table in a notebook."""
        rows = [(_percent(one), one.label, one.wordnet) for one in self]
        return html_table(("probability", "class", "WordNet"), rows)


def _percent(one: Prediction) -> str:
    return f"{100 * one.probability:5.1f} %"
