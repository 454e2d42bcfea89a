"""``vggapps web`` as people start and end it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.conftest import Ran
from tests.web_site import PATIENCE, loops_closed  # noqa: F401
from vggapps.web import Limits

Cli = Callable[..., Ran]
Asked = list[dict[str, Any]]


def test_help_names_every_option(cli: Cli) -> None:
    said = cli("web", "--help").out
    limits = [f"--{field.name.replace('_', '-')}" for field in fields(Limits)]
    for option in [*limits, "--host", "--port", "--share", "--auth", "--mcp", "--quiet", "--verbose"]:
        assert option in said
    for default in ("127.0.0.1", "7860", "1024", "20"):
        assert default in said


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the page is served with; nobody serves it, and Ctrl-C comes at once."""
    calls: Asked = []

    @contextmanager
    def stand_in(limits: Limits, **given: Any) -> Iterator[SimpleNamespace]:
        calls.append({"limits": limits, **given})
        signal.raise_signal(signal.SIGINT)
        share = "https://shared.example" if given["share"] else None
        yield SimpleNamespace(url=f"http://{given['host']}:{given['port']}/", share=share)

    monkeypatch.setattr("vggapps.web.serve.served", stand_in)
    return calls


def test_options_reach_the_page(asked: Asked, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "people.txt").write_text("ann:secret\n")
    ran = cli("web", "--port", 8123, "--max-size", 512, "--max-waiting", 3, "--auth", tmp_path / "people.txt", "--mcp")
    assert (ran.code, ran.out) == (130, "http://127.0.0.1:8123/\n")
    assert asked == [
        {
            "limits": Limits(max_size=512, max_waiting=3), "host": "127.0.0.1", "port": 8123, "share": False,
            "auth": [("ann", "secret")], "mcp": True,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ([], ""),
        (["--host", "localhost"], ""),
        (["--host", "0.0.0.0"], "everyone who can reach"),
        (["--share"], "to the internet"),
        (["--host", "0.0.0.0", "-q"], ""),
        (["--host", "0.0.0.0", "--auth", "people.txt"], ""),
    ],
)
def test_a_page_that_is_open_to_others_says_so(
    asked: Asked,
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    warned: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("people.txt").write_text("ann:secret\n")
    ran = cli("web", *options)
    assert ran.code == 130
    assert ("the page is open to" in ran.err) == bool(warned)
    assert warned in ran.err
    assert ran.out.count("\n") == 1  # stdout is the address


def test_a_list_of_people_that_is_not_there_is_told_in_a_line(asked: Asked, cli: Cli) -> None:
    ran = cli("web", "--auth", "missing.txt")
    assert (ran.code, ran.out, asked) == (2, "", [])
    error, hint = ran.err.splitlines()
    assert error.startswith("error: missing.txt: ")
    assert hint.startswith("hint: ")


@pytest.mark.parametrize("limit", ["--max-size=64", "--max-work=0", "--max-waiting=-1", "--port=70000"])
def test_limits_out_of_bounds_are_refused_before_anything_is_served(asked: Asked, cli: Cli, limit: str) -> None:
    ran = cli("web", limit)
    assert (ran.code, asked) == (2, [])
    assert limit.partition("=")[0] in ran.err


def test_without_gradio_the_package_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vggapps.cli.web.find_spec", lambda _: None)
    ran = cli("web")
    assert ran.code == 2
    assert "pip install 'vggapps[web]'" in ran.err


def test_it_serves_until_ctrl_c_and_leaves_nothing_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    environment.pop("GRADIO_TEMP_DIR", None)
    with subprocess.Popen(
        [sys.executable, "-m", "vggapps", "web", "--port", "0"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
            answer = httpx.get(address, timeout=PATIENCE)
            assert answer.status_code == 200
            assert "vggapps" in answer.text
            assert len(list(temporary.glob("vggapps-web-*"))) == 1
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert list(temporary.glob("vggapps-web-*")) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tmp"]  # nor in the working folder
