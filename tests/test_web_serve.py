"""Serving the page: what is needed is said, who is not wanted stays out, and nothing is left behind."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.conftest import Ran
from tests.web_site import GRADIOS_OWN, PATIENCE, file, loops_closed  # noqa: F401
from tests.web_work import until
from vggapps.errors import SettingsError
from vggapps.web import Limits, build, served
from vggapps.web.files import SHARED
from vggapps.web.serve import read_passwords

pytestmark = GRADIOS_OWN
Cli = Callable[..., Ran]


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """The page names its folder in the environment; other tests should not find it there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", "")
        patch.delenv("GRADIO_TEMP_DIR")
        yield


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files that are passing go; not the folder that torch makes when its compiler is imported."""
    import vggapps.style._transfer  # noqa: F401

    folder = tmp_path / "passing"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_page_goes_as_it_came(empty: Path) -> None:
    threads = {thread.name for thread in threading.enumerate()}
    with served(Limits(max_size=128)) as site:
        assert httpx.get(site.url).status_code == 200
        assert [site.page.results.folder] == list(empty.iterdir())
        assert site.page.results.folder.stat().st_mode & 0o77 == 0
    assert list(empty.iterdir()) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(site.url)
    assert until(lambda: {thread.name for thread in threading.enumerate()} == threads)


def test_the_page_goes_when_something_breaks_too(empty: Path) -> None:
    with pytest.raises(ZeroDivisionError), served() as site:
        raise ZeroDivisionError
    assert list(empty.iterdir()) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(site.url)


def test_the_environment_is_afterwards_what_it_was(empty: Path) -> None:
    before = dict(os.environ)
    with served():
        pass
    assert dict(os.environ) == before


def test_two_pages_of_one_process_do_not_mix(empty: Path) -> None:
    from gradio_client import Client

    Image.linear_gradient("L").resize((64, 64)).save(empty.parent / "fine.png")
    with served() as one, served():
        client = Client(one.url, verbose=False, analytics_enabled=False, download_files=str(empty.parent / "got"))
        try:
            client.predict(file(empty.parent / "fine.png"), api_name="/classify")
        finally:
            client.close()


def test_parts_of_megabytes_can_be_the_limit(empty: Path) -> None:
    with served(Limits(max_upload=0.5)) as site:
        assert httpx.get(site.url).status_code == 200


def test_a_port_that_is_taken_is_told_and_nothing_is_left(empty: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f":{port}.*taken") as refused, served(port=port):
            pass
    assert "another port" in refused.value.hint
    assert list(empty.iterdir()) == []


def test_an_address_that_is_not_this_machines_is_told_as_that(empty: Path) -> None:
    with pytest.raises(SettingsError) as refused, served(host="203.0.113.7", port=7999):  # one for documentation
        pass
    assert list(empty.iterdir()) == []
    assert "203.0.113.7" in refused.value.message
    assert "taken" not in refused.value.message


@pytest.mark.skipif(find_spec("mcp") is not None, reason="the package mcp is installed")
def test_an_mcp_server_says_which_package_it_needs() -> None:
    with pytest.raises(SettingsError) as refused, served(mcp=True):
        pass
    assert refused.value.hint == "run: pip install 'vggapps[mcp]'"


def test_every_endpoint_says_what_it_does_and_what_it_takes() -> None:
    from gradio.utils import get_function_description

    demo, _, page = build()
    try:
        public = [one for one in demo.fns.values() if one.api_visibility == "public"]
        assert len(public) == 8
        for one in public:
            purpose, parameters, _ = get_function_description(one.fn)  # type: ignore[arg-type]
            assert len(purpose) > 20
            names = {name for name in parameters if parameters[name]}
            given = [component for component in one.inputs if component.get_block_name() != "state"]  # by nobody
            assert len(names) == len(given)
    finally:
        page.close()
        SHARED.leave()


def test_only_who_knows_a_password_gets_in(empty: Path) -> None:
    from gradio_client import Client
    from gradio_client.exceptions import AuthenticationError

    with served(auth=[("ann", "secret"), ("bob", "other")]) as site:
        for door in ("config", "gradio_api/info", "gradio_api/file=/etc/hostname"):
            assert httpx.get(site.url + door).status_code == 401
        assert httpx.post(f"{site.url}gradio_api/call/stop", json={"data": []}).status_code == 401
        assert httpx.post(f"{site.url}gradio_api/upload", files={"files": b"x"}).status_code == 401
        assert '"auth_required":true' in httpx.get(site.url).text
        options: dict[str, Any] = {"verbose": False, "analytics_enabled": False, "download_files": str(empty)}
        with pytest.raises(AuthenticationError):
            Client(site.url, **options)
        with pytest.raises(ValueError, match="login"):
            Client(site.url, auth=("ann", "other"), **options)
        client = Client(site.url, auth=("bob", "other"), **options)
        client.predict(api_name="/stop")
        client.close()


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("ann:secret\n", [("ann", "secret")]),
        ("# people\n\n ann:a:b \nbob:pass word\r\n", [("ann", "a:b"), ("bob", "pass word")]),
        ("ünal:пароль", [("ünal", "пароль")]),
    ],
)
def test_passwords_are_read_line_by_line(tmp_path: Path, text: str, pairs: list[tuple[str, str]]) -> None:
    (tmp_path / "people.txt").write_text(text, encoding="utf-8")
    assert read_passwords(str(tmp_path / "people.txt")) == pairs


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "can't be read"),
        (b"\xff\xfe\x00", "can't be read"),
        (b"ann:secret\nbob\n", "line 2"),
        (b":secret\n", "line 1"),
        (b"ann:\n", "line 1"),
        (b"# ann:secret\n\n", "no names and passwords"),
    ],
)
def test_a_file_without_passwords_is_refused(tmp_path: Path, data: bytes | None, reason: str) -> None:
    people = tmp_path / "people.txt"
    if data is not None:
        people.write_bytes(data)
    with pytest.raises(SettingsError, match=reason) as refused:
        read_passwords(str(people))
    assert "people.txt" in refused.value.message
    assert "secret" not in str(refused.value)
    assert refused.value.hint
