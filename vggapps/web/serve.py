"""Serving the page, and cleaning up afterwards."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vggapps.errors import SettingsError, argument
from vggapps.web import previews
from vggapps.web.files import SHARED
from vggapps.web.limits import Limits
from vggapps.web.page import build
from vggapps.web.running import Page


@dataclass(frozen=True, eq=False)
class Served:
    """A page that is being served.

    Attributes:
        url: its local URL.
        share: its public URL, if it is shared.
        page: the page.
    """

    url: str
    share: str | None
    page: Page


@contextmanager
def served(
    limits: Limits | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    share: bool = False,
    auth: Sequence[tuple[str, str]] = (),
    mcp: bool = False,
) -> Iterator[Served]:
    """Serve the page from threads of this process while the context is active; its files are deleted afterwards.

    Args:
        limits: what the page accepts.
        host: the address to listen on; ``0.0.0.0`` for all.
        port: 0 for the first free one from 7860.
        share: serve it publicly as well, through Gradio's tunnel.
        auth: names and passwords of the visitors; by default everyone is admitted.
        mcp: serve tools for language models as well.

    Raises:
        SettingsError: the port is taken, the address is not available, or a package is missing.
    """
    if mcp and find_spec("mcp") is None:
        raise SettingsError("an MCP server needs an extra package", run="pip install 'vggapps[mcp]'")
    _check_address(host, port)
    demo, options, page = build(limits)
    options |= {"server_name": host, "server_port": port or None, "share": share, "auth": list(auth) or None}
    try:
        # Stdout is for the URL. The warning is about state of the page that API clients can't pass.
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*gr.State input")
            try:
                demo.launch(**options, mcp_server=mcp, prevent_thread_lock=True)
            except OSError as error:  # the port was taken in the meantime
                raise SettingsError(
                    f"the page can't be served at {host}: {error}", f"choose another {argument('port')}"
                ) from None
        if mcp and getattr(demo, "mcp_error", None):
            raise SettingsError(
                f"the MCP server could not be started: {demo.mcp_error}", run="pip install 'vggapps[mcp]'"
            )
        page.device.submit("", lambda _: _warm_up())
        page.quick.submit("", lambda _: _warm_up(previews.samples_painter))
        yield Served(str(demo.local_url), demo.share_url, page)
    finally:
        page.close()
        demo.close(verbose=False)
        SHARED.leave()


def _check_address(host: str, port: int) -> None:
    """Check first, because Gradio tries for minutes and then reports any failure as a port that is taken."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        where = f"{host}:{port}" if port else host
        reason = "the port is taken" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise SettingsError(
            f"the page can't be served at {where}: {reason}", f"choose another {argument('port')} or {argument('host')}"
        ) from None


def read_passwords(file: str) -> list[tuple[str, str]]:
    """Read names and passwords, ``name:password`` per line; empty lines and comments (#) are skipped.

    Raises:
        SettingsError: the file can't be read, or has another format.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: it can't be read: {error}", "give a text file") from None
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, password = line.strip().partition(":")
        if not (name and colon and password):
            raise SettingsError(f"{file}, line {number}: no name and password", "write NAME:PASSWORD")
        pairs.append((name, password))
    if not pairs:
        raise SettingsError(f"{file}: it has no names and passwords", "write one NAME:PASSWORD per line")
    return pairs


def _warm_up(*others: Callable[[], Any]) -> Iterator[dict[Any, Any]]:
    """Load the default network and run a step, and load others, so that the first visitor does not wait for it."""
    import torch

    from vggapps.style._settings import StylizeSettings
    from vggapps.style._transfer import stylize_steps
    from vggapps.web.running import loaded, network

    for load in others:
        loaded(load)
    settings = StylizeSettings(size=128, steps=6)
    next(stylize_steps(torch.rand(1, 3, 96, 128), torch.rand(1, 3, 96, 128), settings, vgg=network(settings)))
    yield {}
