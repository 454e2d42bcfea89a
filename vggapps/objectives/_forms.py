"""The text forms of objectives: each is declared by a decorator of the function that makes the objective."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from vggapps.objectives._objective import Objective

_ARGUMENT = re.compile("[A-Z]+")
_PATTERNS = {"LAYER": "([^:]+)", "CHANNEL": "([^@]+)"}  # others match the rest of the text
Make = TypeVar("Make", bound="Callable[..., Objective]")


@dataclass(frozen=True)
class Form:
    """One text form of an objective.

    >>> Form("LAYER:CHANNEL", "a channel", print).match("conv4_3:12")
    ['conv4_3', '12']

    Attributes:
        text: the syntax. Words in capitals are the function's arguments, in order: ``LAYER``, ``CHANNEL``, ``ROW``,
            ``COLUMN``, ``CLASS``, ``OBJECTIVE``; the files ``VECTOR`` and ``IMAGE`` give two arguments each, the
            content and a name.
        help: a short description.
        make: the function.
    """

    text: str
    help: str
    make: Callable[..., Objective]

    @cached_property
    def name(self) -> str:
        """The function name of a form like ``diversity(LAYER)``; empty for other forms."""
        return self.text.partition("(")[0] if "(" in self.text else ""

    @cached_property
    def arguments(self) -> list[str]:
        """The words in capitals."""
        return _ARGUMENT.findall(self.text)

    def match(self, text: str) -> list[str] | None:
        """The arguments in a text of this form; None if the text has another form. Not for calls."""
        pattern = _ARGUMENT.sub(lambda word: _PATTERNS.get(word[0], "(.+)"), re.escape(self.text))
        found = re.fullmatch(pattern, text, re.S)
        return None if found is None else list(found.groups())


FORMS: list[Form] = []
"""The text forms of all objectives, in the order of their declaration."""


def text_form(text: str, help: str) -> Callable[[Make], Make]:
    """Register a text form for a function that makes objectives; :func:`~vggapps.objectives.parse` then accepts it.

    >>> @text_form("brightness(LAYER)", "the mean of a layer")
    ... def brightness(layer): ...
    >>> FORMS.pop().name
    'brightness'

    Args:
        text: see :class:`Form`.
        help: a short description.
    """

    def declare(make: Make) -> Make:
        FORMS.append(Form(text, help, make))
        return make

    return declare
