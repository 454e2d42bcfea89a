"""Help fits a terminal of 80 columns as it was written."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from rich.text import Text
from typer.main import get_command

from vggapps.cli.app import app

WIDTH = 78  # of 80 columns; the help has a margin of one on either side


def commands(group: Any, path: str = "") -> Iterator[Any]:
    for name, command in group.commands.items():
        yield pytest.param(command, id=f"{path}{name}")
        yield from commands(command, f"{path}{name} ") if hasattr(command, "commands") else ()


@pytest.mark.parametrize("command", list(commands(get_command(app))))
def test_no_line_of_a_paragraph_or_example_is_broken_by_the_terminal(command: Any) -> None:
    """A paragraph that is one line of text is wrapped well; one that was wrapped by hand would be wrapped again."""
    text = Text.from_markup(inspect.cleandoc(command.help)).plain
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        if len(lines) > 1 or paragraph.startswith(" "):
            assert [line for line in lines if len(line) > WIDTH] == []
