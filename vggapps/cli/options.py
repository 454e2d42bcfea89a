"""Options that many commands share, and options made from a settings dataclass."""

from __future__ import annotations

import functools
import inspect
import logging
import re
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer
from typer.core import TyperArgument

from vggapps.cli.foreign import option
from vggapps.errors import SettingsError
from vggapps.settings import Settings, hints

if TYPE_CHECKING:
    from vggapps.image._recipe import Recipe

STREAM = "-"


def _verbosity(count: int) -> int:
    """The library logs through ``logging``; here is decided what of it is seen, and whether tracebacks are."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(count, logging.DEBUG)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("vggapps").setLevel(level)
    return count


def _recorded(ctx: typer.Context, picture: str | None) -> Any:  # Typer looks at the type
    """The recipe of ``--settings PICTURE``. Arguments are looked for there, too, so that none has to be typed."""
    if picture is None or ctx.resilient_parsing:
        return None
    if picture == STREAM:
        raise SettingsError("--settings takes a file, not stdin", "save the picture, and name it")
    from vggapps.image._recipe import read_recipe

    found = read_recipe(picture, str(ctx.info_name))
    ctx.default_map = {one.name: words for one in _arguments(ctx) if (words := _words_of(found, one))}
    return found


def _arguments(ctx: typer.Context) -> list[TyperArgument]:
    return [parameter for parameter in ctx.command.params if isinstance(parameter, TyperArgument)]


def _words_of(found: Recipe, argument: TyperArgument, hint: str | None = None) -> Any:
    """What an argument was when the picture was made: names of files, or their paths with a ``hint``; or words."""
    from vggapps.image._recipe import find

    inputs = found.inputs.get(str(argument.name), ())
    paths = [one.name if hint is None else find(one, found.picture, hint) for one in inputs]
    weighted = [
        f"{path}:{one.weight}" if one.weight is not None else path for path, one in zip(paths, inputs, strict=True)
    ]
    words = weighted or found.settings.get(str(argument.name))
    return words[0] if words and argument.nargs == 1 and isinstance(words, list) else words


_output = typer.Option(
    "--output", "-o", metavar="PATH", help="Where the result is written: a file, folder/, or - for stdout."
)

Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, callback=_verbosity, show_default=False, help="Say more; -vv: tracebacks."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes; errors only.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Images = Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Pictures, folders, or - for stdin.")]
Pictures = Annotated[list[str], typer.Argument(metavar="DIR|FILES...", help="Folders or pictures.", show_default=False)]
Output = Annotated[str | None, _output]
OutputFile = Annotated[str, _output]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the files that are named.")]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Continue with a folder: skip pictures that have their result already.")
]
if TYPE_CHECKING:
    Recorded = Recipe | None
else:  # Typer reads a word, which the callback turns into its recipe
    Recorded = Annotated[
        str | None,
        typer.Option(
            "--settings",
            metavar="PICTURE",
            callback=_recorded,
            is_eager=True,
            help="Take the settings of a picture that this command has made; alone: make it again.",
        ),
    ]
Shard = Annotated[str, typer.Option("--shard", metavar="I/N", help="Take the I-th of N shares of the pictures.")]
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


def words(text: str) -> tuple[str, ...]:
    """What is listed between commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def with_settings(
    settings: type[Settings], **more: type[Settings]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make an option of every field of a settings dataclass, and of those in ``more``.

    The command is called with ``settings`` and an instance of each class in ``more``, by that name, beside its own
    arguments. What is not typed is the dataclass's default. Where the command has an option :data:`Recorded`, settings
    and the command's own options that are not typed are taken from that recipe.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        groups = {"settings": settings, **more}
        options = [_option(f, hints(kind)[f.name]) for kind in groups.values() for f in _in_order(kind)]

        @functools.wraps(command)
        def run(ctx: typer.Context, **arguments: Any) -> Any:
            values = {option.name: arguments.pop(option.name) for option in options}
            typed = {name for name in values if str(ctx.get_parameter_source(name)).endswith("COMMANDLINE")}
            given = {
                group: {n: _value(values[n], hint) for n, hint in hints(kind).items() if n in typed}
                for group, kind in groups.items()
            }
            made: dict[str, Any] = {group: kind(**given[group]) for group, kind in more.items()}
            if found := arguments.get("recorded"):
                made["settings"] = _made_again(ctx, settings, found, given["settings"], arguments)
            else:
                made["settings"] = settings(**given["settings"])
            return command(**made, **arguments)

        own = inspect.signature(command, eval_str=True).parameters.values()
        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own if p.name not in groups]
        first = [p for p in parameters if _is_argument(p)]
        rest = [p for p in parameters if not _is_argument(p)]
        run.__signature__ = inspect.Signature([context, *first, *rest, *options])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [context, *first, *rest, *options]}
        return run

    return decorate


def _made_again(
    ctx: typer.Context, kind: type[Settings], found: Recipe, given: dict[str, Any], arguments: dict[str, Any]
) -> Settings:
    """The recipe's settings with those changed that were typed; puts into ``arguments`` what it has of those."""
    from dataclasses import replace

    from vggapps.image._recipe import damaged, settings_from, with_files

    recorded = {name: value for name, value in found.settings.items() if name not in arguments}
    made = settings_from(kind, replace(found, settings=recorded), given)
    for name in found.settings.keys() & arguments.keys():
        if str(ctx.get_parameter_source(name)).endswith(".DEFAULT"):
            if arguments[name] is not None and type(arguments[name]) is not type(found.settings[name]):
                raise damaged(found.picture, TypeError(f"its {name} is {found.settings[name]!r}"))
            arguments[name] = found.settings[name]
    names: list[str] = []
    for one in _arguments(ctx):
        names.append(str(one.metavar).strip(".").replace("|", " or "))
        if str(ctx.get_parameter_source(str(one.name))).endswith("DEFAULT_MAP"):
            arguments[str(one.name)] = _words_of(found, one, f"give {' and '.join(names)} on the command line")
    return with_files(made, found, given)


def _in_order(settings: type[Settings]) -> list[Any]:
    """A dataclass's fields for the help: what is inherited comes last."""
    return sorted(fields(settings), key=lambda field: field.name not in settings.__annotations__)


def _is_argument(parameter: inspect.Parameter) -> bool:
    return any(type(m).__name__ == "ArgumentInfo" for m in getattr(parameter.annotation, "__metadata__", ()))


def _is_list(hint: Any) -> bool:
    return get_origin(hint) is tuple or any(get_origin(h) is tuple for h in get_args(hint))


def _is_number_or_word(hint: Any) -> bool:
    return {int, str} <= set(get_args(hint))


def _choices(hint: Any) -> tuple[str, ...]:
    return next((get_args(kind) for kind in (hint, *get_args(hint)) if get_origin(kind) is Literal), ())


def _value(value: Any, hint: Any) -> Any:
    if _is_number_or_word(hint) and re.fullmatch(r"[+-]?\d+", value or "", re.ASCII):
        return int(value)
    return words(value) if _is_list(hint) and value is not None else value


def _option(field: Any, hint: Any) -> inspect.Parameter:
    """One field as a Typer option; comma lists are typed as one word, and so is what is a number or a word.

    A wrong word for a choice is left to the settings, which say what is near.
    """
    completed = list(_choices(hint))
    meta, default = dict(field.metadata), None if field.default is MISSING else field.default
    if _is_list(hint):
        hint, default = str, ",".join(default or ())
    elif _is_number_or_word(hint):
        hint, default = str, str(default)
        meta |= {"minimum": None, "maximum": None}  # for the settings to check: Typer compares numbers only
    elif choices := _choices(hint):
        hint = str | None if default is None else str
        meta["metavar"] = meta["metavar"] or "|".join(choices)
    info = typer.Option(
        option(field.name),
        autocompletion=(lambda: completed) if completed else None,
        help=meta["help"],
        metavar=meta["metavar"],
        min=meta["minimum"],
        max=meta["maximum"],
        rich_help_panel=meta["panel"],
    )
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, info]
    )
