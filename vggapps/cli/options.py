"""Options that many commands share, and options made from a settings dataclass."""

from __future__ import annotations

import functools
import inspect
import logging
import re
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Annotated, Any, get_args, get_origin

import typer

from vggapps.settings import Settings, hints, option_name
from vggapps.vgg._settings import ClassSettings


def _verbosity(count: int) -> int:
    """The library logs through ``logging``; here is decided what of it is seen, and whether tracebacks are."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(count, logging.DEBUG)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("vggapps").setLevel(level)
    return count


def _declared(settings: type[Settings], name: str) -> Any:
    """The option of a setting, for commands that list their options themselves."""
    (field,) = (field for field in fields(settings) if field.name == name)
    return typer.Option(option_name(name), help=field.metadata["help"], metavar=field.metadata["metavar"])


Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        callback=_verbosity,
        show_default=False,
        help="Say more; -vv: tracebacks.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes; errors only.")]
Images = Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Pictures, folders, or - for stdin.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute.")]
Backbone = Annotated[
    str,
    typer.Option(metavar="NAME,...", help="Networks, averaged: auto, vgg16, weights, a file, vgg16=FILE."),
]
Classes = Annotated[str | None, _declared(ClassSettings, "classes")]
Convention = Annotated[str | None, _declared(ClassSettings, "convention")]
LookAt = Annotated[str, typer.Option("--views", metavar="VIEWS", help="What of a picture is looked at.")]
BoxesFrom = Annotated[str | None, typer.Option(metavar="FILE", help="Trained boxes, .safetensors.")]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="PATH", help="The file or folder/ to write; - for stdout."),
]
PreviewEvery = Annotated[
    int,
    typer.Option(
        "--preview-every", metavar="N", min=0, help="Write OUTPUT.preview.png every N steps; it goes at the end."
    ),
]
FramesEvery = Annotated[
    int,
    typer.Option("--frames-every", metavar="N", min=0, help="Write every N-th step to OUTPUT_frames/00001.png, ..."),
]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Go on with a folder: leave out what has its result already.")
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the file that -o names.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def words(text: str) -> tuple[str, ...]:
    """What is listed between commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def with_settings(
    settings: type[Settings], **more: type[Settings]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make an option of every field of a settings dataclass, and of those in ``more``.

    The command is called with ``given``, a dictionary of the settings that were typed, and its own arguments; what
    was not typed is left to the dataclass's defaults or to settings read from a picture. Of each class in ``more`` it
    gets an instance, by that name.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        groups = {"given": settings, **more}
        options = [_option(f, hints(kind)[f.name]) for kind in groups.values() for f in _in_order(kind)]

        @functools.wraps(command)
        def run(ctx: typer.Context, **arguments: Any) -> Any:
            values = {option.name: arguments.pop(option.name) for option in options}
            typed = {n: v for n, v in values.items() if str(ctx.get_parameter_source(n)).endswith("COMMANDLINE")}
            parts = {
                part: {n: _value(typed[n], hint) for n, hint in hints(kind).items() if n in typed}
                for part, kind in groups.items()
            }
            made = {part: kind(**parts[part]) for part, kind in more.items()}
            return command(given=parts["given"], **made, **arguments)

        own = inspect.signature(command, eval_str=True).parameters.values()
        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own if p.name not in groups]
        first = [p for p in parameters if _is_argument(p)]
        rest = [p for p in parameters if not _is_argument(p)]
        run.__signature__ = inspect.Signature([context, *first, *rest, *options])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [context, *first, *rest, *options]}
        return run

    return decorate


def _in_order(settings: type[Settings]) -> list[Any]:
    """A dataclass's fields for the help: what is inherited comes last."""
    return sorted(fields(settings), key=lambda field: field.name not in settings.__annotations__)


def _is_argument(parameter: inspect.Parameter) -> bool:
    return any(type(m).__name__ == "ArgumentInfo" for m in getattr(parameter.annotation, "__metadata__", ()))


def _is_list(hint: Any) -> bool:
    return get_origin(hint) is tuple or any(get_origin(h) is tuple for h in get_args(hint))


def _is_number_or_word(hint: Any) -> bool:
    return {int, str} <= set(get_args(hint))


def _value(value: Any, hint: Any) -> Any:
    if _is_number_or_word(hint) and re.fullmatch(r"[+-]?\d+", value or "", re.ASCII):
        return int(value)
    return words(value) if _is_list(hint) and value is not None else value


def _option(field: Any, hint: Any) -> inspect.Parameter:
    """One field as a Typer option; comma lists are typed as one word, and so is what is a number or a word."""
    meta, default = dict(field.metadata), None if field.default is MISSING else field.default
    if _is_list(hint):
        hint, default = str, ",".join(default or ())
    elif _is_number_or_word(hint):
        hint, default = str, str(default)
        meta |= {"minimum": None, "maximum": None}  # for the settings to check: Typer compares numbers only
    info = typer.Option(
        option_name(field.name),
        help=meta["help"],
        metavar=meta["metavar"],
        min=meta["minimum"],
        max=meta["maximum"],
        rich_help_panel=meta["panel"],
    )
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, info]
    )
