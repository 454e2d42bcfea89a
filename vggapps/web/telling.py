"""What went wrong, in a sentence for visitors: no option names of the command line, no folders of the server."""

from __future__ import annotations

import html
import logging
import re
import secrets

import gradio as gr

from vggapps.errors import OutOfMemoryError, VggappsError, out_of_memory

log = logging.getLogger(__name__)

_CAPITALS = {"Tv": "TV"}


def label(field: str) -> str:
    """``style_weight`` as it stands on the page: ``Style weight``."""
    first, *rest = field.replace("-", "_").split("_")
    first = first.capitalize()
    return " ".join([_CAPITALS.get(first, first), *rest])


def spoken(text: str) -> str:
    """``For --init noise.`` as it stands on the page: For ‘Init’ noise."""
    return re.sub(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)", lambda option: f"‘{label(option[1])}’", text)


def sentence(error: Exception) -> str:
    """What a visitor reads. What is nobody's wish is logged with a number, by which it can be found."""
    if not isinstance(error, VggappsError) and out_of_memory(error):
        error = OutOfMemoryError("there is not enough memory here for this", "choose a smaller size")
    if not isinstance(error, VggappsError):
        number = secrets.token_hex(3)
        log.error("%s: something broke", number, exc_info=error)
        return f"Something broke here, and it is not your doing. Whoever runs this page finds it in the log: {number}."
    hint = "" if "vggapps " in error.hint or "pip " in error.hint else error.hint
    text = f"{error.message}; {hint}" if hint else error.message
    text = spoken(text)
    text = re.sub(r"(?<![\w.])/(?:[^\s/:'\"](?:[^/:'\"]*[^\s/:'\"])?/)+", "", text)  # folders, with blanks in them too
    first = text.partition(" ")[0]
    begin = text[:1] if set(first) & set(".:") else text[:1].upper()  # a file's name is left as it is
    text = begin + text[1:].rstrip(".")
    return text if text.endswith(("?", "!")) else text + "."


def told(error: Exception) -> gr.Error:
    """The error as Gradio shows it."""
    return error if isinstance(error, gr.Error) else refusal(sentence(error))


def refusal(text: str) -> gr.Error:
    """A sentence as Gradio shows it, which takes it for HTML."""
    return gr.Error(html.escape(text, quote=False), title="That did not work", print_exception=False)
