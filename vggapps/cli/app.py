"""The command ``vggapps``: a list of commands, and the one place where errors become a line and an exit code."""

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
from vggapps.cli.foreign import known
from vggapps.cli.outcome import exit_code, tell
from vggapps.errors import VggappsError

EPILOG = "[dim]vggapps COMMAND --help[/dim] shows the options and examples of one command."

app = typer.Typer(
    name="vggapps",
    help="Everything people use VGG for.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Everything people use VGG for."""


# Each command lives in its own file and imports what is heavy in its body: `vggapps --help` loads no torch.
from vggapps.cli import (  # noqa: E402
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
    visualize,
    web,
    weights,
)

app.command(name="stylize", help=stylize.HELP, no_args_is_help=True)(stylize.stylize)
app.command(name="compare", help=compare.HELP, no_args_is_help=True)(compare.compare)
app.command(name="classify", help=classify.HELP, no_args_is_help=True)(classify.classify)
app.command(name="evaluate", help=evaluate.HELP, no_args_is_help=True)(evaluate.evaluate)
app.command(name="localize", help=localize.HELP, no_args_is_help=True)(localize.localize)
app.command(name="visualize", help=visualize.HELP, no_args_is_help=True)(visualize.visualize)
app.command(name="dream", help=dream.HELP, no_args_is_help=True)(dream.dream)
app.command(name="invert", help=invert.HELP, no_args_is_help=True)(invert.invert)
app.command(name="explain", help=explain.HELP, no_args_is_help=True)(explain.explain)
app.command(name="activations", help=activations.HELP, no_args_is_help=True)(activations.activations)
app.command(name="exemplars", help=exemplars.HELP, no_args_is_help=True)(exemplars.exemplars)
app.command(name="atlas", help=atlas.HELP, no_args_is_help=True)(atlas.atlas)
app.command(name="extract", help=extract.HELP, no_args_is_help=True)(extract.extract)
app.command(name="probe", help=probe.HELP, no_args_is_help=True)(probe.probe)
app.command(name="similar", help=similar.HELP, no_args_is_help=True)(similar.similar)
app.command(name="web", help=web.HELP)(web.web)
app.command(name="layers")(layers.layers)
app.command(name="info")(info.info)
app.add_typer(weights.app, name="weights")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line; always ends by SystemExit, with the exit code of ``vggapps.errors``."""
    try:
        _name_account()
        app(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as end:
        sys.exit(exit_code() or end.code if end.code in (0, None) else end.code)
    except Exception as error:
        sys.exit(_explain(error))


def _name_account() -> None:
    """Spare torch from asking for the name of this account where it has none, as in many containers."""
    try:
        getpass.getuser()
    except (ImportError, KeyError, OSError):  # OSError: from Python 3.13 on
        number = getattr(os, "getuid", os.getpid)()
        folder = Path(tempfile.gettempdir()) / f"torchinductor_{number}"  # torch's own choice, but for the name
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def _explain(error: Exception) -> int:
    """Say on stderr what happened; the exit code."""
    if logging.getLogger("vggapps").isEnabledFor(logging.DEBUG):
        traceback.print_exception(error)
    told = known(error) or _defect(error)
    tell(told)
    return told.exit_code


def _defect(error: Exception) -> VggappsError:
    text = " ".join(str(error).split()) or "no message"
    return VggappsError(f"{type(error).__name__}: {text}", "this is a defect of vggapps: -vv shows where it happened")
