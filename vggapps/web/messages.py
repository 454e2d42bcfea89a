"""Error messages for the page: with labels instead of argument names, without commands and the server's folders."""

from __future__ import annotations

import html
import logging
import re
import secrets

import gradio as gr

from vggapps.errors import OutOfMemoryError, VggappsError, argument, out_of_memory

log = logging.getLogger(__name__)

_CAPITALS = {"Tv": "TV"}
_FOLDERS = re.compile(r"(?<![\w.])/(?:[^\s/:'\"](?:[^/:'\"]*[^\s/:'\"])?/)+")  # may contain spaces


def label(field: str) -> str:
    """The label of a setting's control: ``Style weight`` for ``style_weight``."""
    first, *rest = field.split("_")
    first = first.capitalize()
    return " ".join([_CAPITALS.get(first, first), *rest])


def control(name: str, value: str = "") -> str:
    """The label and value of a control, for :meth:`~vggapps.errors.VggappsError.worded`."""
    return f"‘{label(name)}’" + (f" {value}" if value not in ("", "True") else "")


def sentence(error: Exception) -> str:
    """The message for the visitor. An unexpected error is logged with a number that the message quotes."""
    if not isinstance(error, VggappsError) and out_of_memory(error):
        error = OutOfMemoryError("there is not enough memory here for this", f"choose a smaller {argument('size')}")
    if not isinstance(error, VggappsError):
        number = secrets.token_hex(3)
        log.error("%s: unexpected error", number, exc_info=error)
        return f"Something went wrong on the server. Whoever runs this page can find it in the log: {number}."
    error = error.worded(control, commands=False)
    text = _FOLDERS.sub("", "; ".join(filter(None, [error.message, error.hint])))
    first = text.partition(" ")[0]
    begin = text[:1] if set(first) & set(".:") else text[:1].upper()  # file names are not capitalized
    text = begin + text[1:].rstrip(".")
    return text if text.endswith(("?", "!")) else text + "."


def shown_error(error: Exception) -> gr.Error:
    """The error as one of Gradio's."""
    return error if isinstance(error, gr.Error) else refusal(sentence(error))


def refusal(text: str = "", *, visible: bool = True) -> gr.Error:
    """A message as a Gradio error, escaped because Gradio renders HTML; visible as a box on the page."""
    title = "That did not work"
    return gr.Error(html.escape(text, quote=False), title=title, print_exception=False, visible=visible)
