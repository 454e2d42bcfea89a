"""``vggapps web``: the web page."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from typing import Annotated

import typer

from vggapps.cli.interrupt import stoppable
from vggapps.cli.options import Quiet, with_settings
from vggapps.errors import SettingsError
from vggapps.web.limits import Limits

LOCAL = ("127.0.0.1", "localhost", "::1")
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all networks.")]
Port = Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Port to listen on; 0 for any free port.")]
Share = Annotated[bool, typer.Option("--share", help="Share the page on the internet through a Gradio tunnel.")]
Auth = Annotated[str | None, typer.Option(metavar="FILE", help="Require a login; the file has lines NAME:PASSWORD.")]
Mcp = Annotated[bool, typer.Option("--mcp", help="Also run an MCP server: tools for language models.")]


@with_settings(Limits)
def web(
    settings: Limits,
    host: Host = "127.0.0.1",
    port: Port = 7860,
    share: Share = False,
    auth: Auth = None,
    mcp: Mcp = False,
    quiet: Quiet = False,
) -> None:
    """Serve a web page for style transfer, classification and visualization.

    Open the printed address in a browser. Only this machine can reach it unless
    --host or --share is given, and the page loads nothing from other hosts.
    Files of visitors are deleted after an hour and when the server stops.
    Ctrl-C stops it.

    The page is also an API: each button is an endpoint for gradio_client and,
    with --mcp, a tool for language models.

    [bold]Examples[/bold]

      vggapps web

      vggapps web --host 0.0.0.0 --auth people.txt --max-size 512

      vggapps web --port 8000 --mcp
    """
    if find_spec("gradio") is None:
        raise SettingsError("the page needs an extra package", run="pip install 'vggapps[web]'")

    from vggapps.web.serve import read_passwords, served

    people = read_passwords(auth) if auth else []
    with (
        stoppable("stopping all runs and deleting the visitors' files") as stop,
        served(settings, host=host, port=port, share=share, auth=people, mcp=mcp) as page,
    ):
        typer.echo(page.share or page.url)
        if not people and not quiet and (share or host not in LOCAL):
            whom = "the internet" if share else "everyone who can reach this machine"
            typer.echo(f"the page is open to {whom}; use --auth FILE to require a login", err=True)
        while not stop.code:
            time.sleep(0.1)
    sys.exit(stop.code)
