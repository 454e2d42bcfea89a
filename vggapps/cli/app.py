"""The command ``vggapps``: its subcommands, and the one place where an exception becomes a message and an exit code."""

from __future__ import annotations

import getpass
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from vggapps import __version__

# Each command imports heavy libraries in its body: `vggapps --help` does not load torch.
from vggapps.cli import (
    activations,
    atlas,
    classify,
    compare,
    dream,
    evaluate,
    exemplars,
    explain,
    extract,
    info,
    invert,
    layers,
    localize,
    probe,
    similar,
    stylize,
    train,
    train_style,
    visualize,
    web,
    weights,
)
from vggapps.cli.outcome import exit_code, print_error, to_vggapps_error
from vggapps.errors import VggappsError

app = typer.Typer(
    name="vggapps",
    epilog="[dim]vggapps COMMAND --help[/dim] shows the options and examples of a command.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Style transfer, comparison, classification, training and visualization with VGG networks."""


app.command(no_args_is_help=True)(stylize.stylize)
app.command(no_args_is_help=True)(compare.compare)
app.command(no_args_is_help=True)(classify.classify)
app.command(no_args_is_help=True)(evaluate.evaluate)
app.command(no_args_is_help=True)(localize.localize)
app.command(no_args_is_help=True)(train.train)
app.command(no_args_is_help=True)(train.finetune)
app.command(no_args_is_help=True)(train_style.train_style)
app.command(no_args_is_help=True)(visualize.visualize)
app.command(no_args_is_help=True)(dream.dream)
app.command(no_args_is_help=True)(invert.invert)
app.command(no_args_is_help=True)(explain.explain)
app.command(no_args_is_help=True)(activations.activations)
app.command(no_args_is_help=True)(exemplars.exemplars)
app.command(no_args_is_help=True)(atlas.atlas)
app.command(no_args_is_help=True)(extract.extract)
app.command(no_args_is_help=True)(probe.probe)
app.command(no_args_is_help=True)(similar.similar)
app.command()(web.web)
app.command()(layers.layers)
app.command()(info.info)
app.add_typer(weights.app, name="weights")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line. Always raises SystemExit, with an exit code of ``vggapps.errors``."""
    try:
        _set_torch_cache_folder()
        app(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as end:
        sys.exit(exit_code() or end.code if end.code in (0, None) else end.code)
    except Exception as error:
        sys.exit(_report(error))


def _set_torch_cache_folder() -> None:
    """torch asks for the account's name to build this path, which fails in containers whose user has no name."""
    try:
        getpass.getuser()
    except (ImportError, KeyError, OSError):  # OSError: from Python 3.13 on
        number = getattr(os, "getuid", os.getpid)()
        folder = Path(tempfile.gettempdir()) / f"torchinductor_{number}"  # torch's default, with the number as name
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def _report(error: Exception) -> int:
    """Print an error to stderr; returns the exit code."""
    if logging.getLogger("vggapps").isEnabledFor(logging.DEBUG):
        traceback.print_exception(error)
    reported = to_vggapps_error(error) or _bug(error)
    print_error(reported)
    return reported.exit_code


def _bug(error: Exception) -> VggappsError:
    text = " ".join(str(error).split()) or "no message"
    return VggappsError(f"{type(error).__name__}: {text}", "this is a bug in vggapps: -vv shows the traceback")
