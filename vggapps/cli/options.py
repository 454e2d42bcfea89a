"""Options shared by many commands, and options generated from settings dataclasses."""

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

from vggapps.cli.outcome import option
from vggapps.errors import SettingsError
from vggapps.settings import Settings, hints

if TYPE_CHECKING:
    from vggapps.image._recipe import Recipe

STREAM = "-"


def _set_verbosity(count: int) -> int:
    """Set which log messages of the library are shown; DEBUG also shows tracebacks."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(count, logging.DEBUG)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("vggapps").setLevel(level)
    return count


def _read_recorded(ctx: typer.Context, picture: str | None) -> Any:  # Typer evaluates the annotation
    """The recipe of ``--settings PICTURE``. It also provides arguments, so that none has to be typed."""
    if picture is None or ctx.resilient_parsing:
        return None
    if picture == STREAM:
        raise SettingsError("--settings takes a file, not stdin", "save the picture, and name it")
    from vggapps.image._recipe import read_recipe

    found = read_recipe(picture, str(ctx.info_name))
    ctx.default_map = {one.name: words for one in _arguments(ctx) if (words := _recorded_words(found, one))}
    return found


def _arguments(ctx: typer.Context) -> list[TyperArgument]:
    return [parameter for parameter in ctx.command.params if isinstance(parameter, TyperArgument)]


def _recorded_words(found: Recipe, argument: TyperArgument, hint: str | None = None) -> Any:
    """An argument's value when the picture was made; files as names, or with a ``hint`` for errors as found paths."""
    from vggapps.image._recipe import find_input

    inputs = found.inputs.get(str(argument.name), ())
    paths = [one.name if hint is None else find_input(one, found.picture, hint) for one in inputs]
    weighted = [
        f"{path}:{one.weight}" if one.weight is not None else path for path, one in zip(paths, inputs, strict=True)
    ]
    words = weighted or found.settings.get(str(argument.name))
    return words[0] if words and argument.nargs == 1 and isinstance(words, list) else words


_output = typer.Option("--output", "-o", metavar="PATH", help="Output: a file, folder/, or - for stdout.")

Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, callback=_set_verbosity, show_default=False,
        help="Show more messages; -vv: debug messages and tracebacks.",
    ),
]  # fmt: skip
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show errors only, no progress.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
Images = Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Pictures, folders, or - for stdin.")]
Pictures = Annotated[list[str], typer.Argument(metavar="DIR|FILES...", help="Folders or pictures.", show_default=False)]
Output = Annotated[str | None, _output]
OutputFile = Annotated[str, _output]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the named output files.")]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Skip pictures that already have a finished result.")
]
if TYPE_CHECKING:
    Recorded = Recipe | None
else:  # Typer parses a word, which the callback replaces by its recipe
    Recorded = Annotated[
        str | None,
        typer.Option(
            "--settings",
            metavar="PICTURE",
            callback=_read_recorded,
            is_eager=True,
            help="Use the settings stored in a result of this command; alone, it makes the result again.",
        ),
    ]
Shard = Annotated[str, typer.Option("--shard", metavar="I/N", help="Process the I-th of N shares of the pictures.")]


def split_list(text: str) -> tuple[str, ...]:
    """The items of a comma-separated list."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def with_settings(
    settings: type[Settings], **more: type[Settings]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an option for every field of the settings dataclasses, and ``--verbose``.

    The command receives ``settings`` and an instance of each class in ``more``, under that name. If it has an option
    :data:`Recorded`, that recipe provides the settings and the command's own options that are not typed. A command with
    a parameter ``typed`` receives the names of all arguments and options that were typed.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        groups = {"settings": settings, **more}
        options = [_option(f, hints(kind)[f.name]) for kind in groups.values() for f in _in_order(kind)]

        @functools.wraps(command)
        def run(ctx: typer.Context, **arguments: Any) -> Any:
            del arguments["verbose"]
            if arguments.get("quiet"):
                logging.getLogger("vggapps").setLevel(logging.ERROR)
            typed = {name for name in arguments if str(ctx.get_parameter_source(name)).endswith("COMMANDLINE")}
            values = {option.name: arguments.pop(option.name) for option in options}
            given = {
                group: {n: _value(values[n], hint) for n, hint in hints(kind).items() if n in typed}
                for group, kind in groups.items()
            }
            made: dict[str, Any] = {group: kind(**given[group]) for group, kind in more.items()}
            if wants_typed:
                made["typed"] = frozenset(typed)
            if found := arguments.get("recorded"):
                made["settings"] = _settings_from_recipe(ctx, settings, found, given["settings"], arguments)
            else:
                made["settings"] = settings(**given["settings"])
            return command(**made, **arguments)

        signature = inspect.signature(command, eval_str=True).parameters
        wants_typed = "typed" in signature
        keyword = inspect.Parameter.KEYWORD_ONLY
        context = inspect.Parameter("ctx", keyword, annotation=typer.Context)
        verbose = inspect.Parameter("verbose", keyword, default=0, annotation=Verbose)
        own = [p for p in signature.values() if p.name not in (*groups, "typed")]
        parameters = [p.replace(kind=keyword) for p in own]
        parameters = [context, *sorted(parameters, key=_is_option), verbose, *options]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _settings_from_recipe(
    ctx: typer.Context, kind: type[Settings], found: Recipe, given: dict[str, Any], arguments: dict[str, Any]
) -> Settings:
    """The recipe's settings, replaced by those that were typed; fills ``arguments`` from the recipe likewise."""
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
            arguments[str(one.name)] = _recorded_words(found, one, f"give {' and '.join(names)} on the command line")
    return with_files(made, found, given)


def _in_order(settings: type[Settings]) -> list[Any]:
    """A dataclass's fields in the order of the help page: inherited ones last."""
    return sorted(fields(settings), key=lambda field: field.name not in settings.__annotations__)


def _is_option(parameter: inspect.Parameter) -> bool:
    return not any(type(m).__name__ == "ArgumentInfo" for m in getattr(parameter.annotation, "__metadata__", ()))


def _is_list(hint: Any) -> bool:
    return get_origin(hint) is tuple or any(get_origin(h) is tuple for h in get_args(hint))


def _is_number_or_word(hint: Any) -> bool:
    return {int, str} <= set(get_args(hint))


def _choices(hint: Any) -> tuple[str, ...]:
    return next((get_args(kind) for kind in (hint, *get_args(hint)) if get_origin(kind) is Literal), ())


def _value(value: Any, hint: Any) -> Any:
    if _is_number_or_word(hint) and re.fullmatch(r"[+-]?\d+", value or "", re.ASCII):
        return int(value)
    return split_list(value) if _is_list(hint) and value is not None else value


def _option(field: Any, hint: Any) -> inspect.Parameter:
    """A field as a Typer option. Lists, and numbers that may also be words, are strings for Typer.

    Choices are checked by the settings, whose error suggests the nearest one.
    """
    completed = list(_choices(hint))
    meta, default = dict(field.metadata), None if field.default is MISSING else field.default
    if _is_list(hint):
        hint, default = str, ",".join(default or ())
    elif _is_number_or_word(hint):
        hint, default = str, str(default)
        meta |= {"minimum": None, "maximum": None}  # checked by the settings: Typer compares numbers only
    elif choices := _choices(hint):
        hint = str | None if default is None else str
        meta["metavar"] = meta["metavar"] or "|".join(choices)
    name = option(field.name)
    if bool in (hint, *get_args(hint)) and default is not False:  # a flag that can be switched off
        name += f"/{option(field.name, 'False')}"
    info = typer.Option(
        name,
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
