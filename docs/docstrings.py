"""Docstrings as Markdown, for the API reference: doctests and trees become code blocks, roles become code, and a
setting is described by its help and its bounds."""

from __future__ import annotations

import ast
import importlib
import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^(?P<indent> *)>>> .*(?:\n(?P=indent)\S.*|\n(?P=indent) +\S.*)*", re.MULTILINE)
ROLE = re.compile(r":(?:class|func|meth|data|mod|attr):`~?(?:[\w.]*\.)?(\w+)`")
TREE = re.compile(r"^\S.*\n(?:[│├└].*\n?)+", re.MULTILINE)
BOUNDS = {"minimum": "Minimum", "maximum": "Maximum"}


def fenced(doctest: re.Match[str]) -> str:
    """A block of ``>>>`` lines and their output as a code block."""
    indent = doctest["indent"]
    code = re.sub(r" *# doctest: .*", "", doctest[0])
    return f"{indent}```pycon\n{code}\n{indent}```"


def _text(attribute: griffe.Attribute, value: Any) -> str:
    """A literal, or the value of a constant that several settings share."""
    try:
        return str(ast.literal_eval(str(value)))
    except ValueError:
        return str(getattr(importlib.import_module(attribute.module.path), str(value)))


def read_setting(attribute: griffe.Attribute) -> None:
    """``size: int = setting(512, help=..., minimum=32)``: value 512; help and bounds become its docstring."""
    call = attribute.value
    if not isinstance(call, griffe.ExprCall) or str(call.function) != "setting":
        return
    named = {argument.name: argument.value for argument in call.arguments if isinstance(argument, griffe.ExprKeyword)}
    text = _text(attribute, named["help"])
    bounds = [f"{word} `{named[name]}`" for name, word in BOUNDS.items() if name in named]
    attribute.docstring = griffe.Docstring(f"{text} {' and '.join(bounds)}", parent=attribute)
    attribute.value = next((a for a in call.arguments if not isinstance(a, griffe.ExprKeyword)), None)


class Docstrings(griffe.Extension):
    """Applied to what is read from the sources."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        """Before dataclasses get their signatures, which show the values."""
        read_setting(attr)

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """When everything is read."""
        if obj.docstring:
            text = ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = DOCTEST.sub(fenced, TREE.sub("```text\n\\g<0>```\n", text))
