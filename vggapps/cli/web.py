"""``vggapps web``: the page."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from typing import Annotated

import typer

from vggapps.cli.options import Quiet, Verbose, with_settings
from vggapps.cli.progress import silence, stoppable
from vggapps.errors import SettingsError
from vggapps.web.limits import Limits

HELP = """
Serve a page on which people paint, classify, explain, visualize and compare.

Open the address that it prints in a browser. Only this machine can reach it,
unless --host says otherwise; nothing on it is fetched from elsewhere. What
visitors upload and make is deleted after an hour, and when it ends. Ctrl-C
ends it.

The page is an API, too: every button is an endpoint for gradio_client, and
with --mcp a tool for language models.

[bold]Examples[/bold]

  vggapps web

  vggapps web --host 0.0.0.0 --auth people.txt --max-size 512

  vggapps web --port 8000 --mcp
"""

LOCAL = ("127.0.0.1", "localhost", "::1")
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0: for everybody who gets here.")]
Port = Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="The port; 0: any that is free.")]
Share = Annotated[bool, typer.Option("--share", help="Also through a tunnel of Gradio's, for the whole internet.")]
Auth = Annotated[
    str | None, typer.Option(metavar="FILE", help="Let in only those named in it: NAME:PASSWORD, one a line.")
]
Mcp = Annotated[bool, typer.Option("--mcp", help="Be an MCP server, too: tools for language models.")]


@with_settings(Limits)
def web(  # noqa: D103 - people see HELP
    settings: Limits,
    host: Host = "127.0.0.1",
    port: Port = 7860,
    share: Share = False,
    auth: Auth = None,
    mcp: Mcp = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    silence(quiet)
    if find_spec("gradio") is None:
        raise SettingsError("the page needs another package", run="pip install 'vggapps[web]'")

    from vggapps.web.serve import read_passwords, served

    people = read_passwords(auth) if auth else []
    with (
        stoppable("ending what runs, and deleting what visitors left") as stop,
        served(settings, host=host, port=port, share=share, auth=people, mcp=mcp) as page,
    ):
        typer.echo(page.share or page.url)
        if not people and not quiet and (share or host not in LOCAL):
            whom = "the whole internet" if share else "everybody who reaches this machine"
            typer.echo(f"it is open to {whom}; --auth FILE lets in only some", err=True)
        while not stop.code:
            time.sleep(0.1)
    sys.exit(stop.code)
