"""Serving the page, from its start to its end: nothing of it is left behind."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vggapps.errors import SettingsError, argument
from vggapps.web.files import SHARED
from vggapps.web.limits import Limits
from vggapps.web.page import build
from vggapps.web.running import Page


@dataclass(frozen=True, eq=False)
class Served:
    """A page that is being served.

    Attributes:
        url: where.
        share: where for everybody; None unless it was asked for.
        page: what it consists of.
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
    """The page, served by threads of this process as long as the context lasts. Its files are gone afterwards.

    Args:
        limits: what it takes on.
        host: the address to listen on; ``0.0.0.0`` for all.
        port: 0 for the first that is free from 7860.
        share: also through Gradio's tunnel, for everybody who has the address.
        auth: names and passwords, of which a visitor must know one.
        mcp: also as tools for language models.

    Raises:
        SettingsError: the port is taken, there is no such address, or a package is missing.
    """
    if mcp and find_spec("mcp") is None:
        raise SettingsError("an MCP server needs another package", run="pip install 'vggapps[mcp]'")
    _check_address(host, port)
    demo, options, page = build(limits)
    options |= {"server_name": host, "server_port": port or None, "share": share, "auth": list(auth) or None}
    try:
        # Stdout is for the address; and a program has no visit whose pictures it would want to see again.
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*gr.State input")
            try:
                demo.launch(**options, mcp_server=mcp, prevent_thread_lock=True)
            except OSError as error:  # somebody took the port in the meantime
                raise SettingsError(
                    f"the page can't be served at {host}: {error}", f"choose another {argument('port')}"
                ) from None
        if mcp and getattr(demo, "mcp_error", None):
            raise SettingsError(f"the page is no MCP server: {demo.mcp_error}", run="pip install 'vggapps[mcp]'")
        page.device.submit("", lambda _: _warm_up())
        yield Served(str(demo.local_url), demo.share_url, page)
    finally:
        page.device.close()
        demo.close(verbose=False)
        SHARED.leave()


def _check_address(host: str, port: int) -> None:
    """Before anything is made: Gradio calls every reason a port that is taken, after trying for minutes."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        where = f"{host}:{port}" if port else host
        reason = "the port is taken" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise SettingsError(
            f"the page can't be served at {where}: {reason}", f"choose another {argument('port')} or {argument('host')}"
        ) from None


def read_passwords(file: str) -> list[tuple[str, str]]:
    """Names and passwords, ``name:password`` a line; empty lines and those that begin with # don't count.

    Raises:
        SettingsError: the file can't be read, or holds something else.
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
        raise SettingsError(f"{file}: there is nobody in it", "write NAME:PASSWORD, one a line")
    return pairs


def _warm_up() -> Iterator[dict[Any, Any]]:
    """Load what the first visitor is likely to want before he comes, and take a step with it: a first one is slow."""
    import torch

    from vggapps.style._settings import StylizeSettings
    from vggapps.style._transfer import stylize_steps
    from vggapps.web.stylize import network

    settings = StylizeSettings(size=128, steps=6)
    next(stylize_steps(torch.rand(1, 3, 96, 128), torch.rand(1, 3, 96, 128), settings, vgg=network(settings)))
    yield {}
