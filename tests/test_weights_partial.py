"""Tensors out of a file on a server: the same that torch reads there, and little else is transferred.

The files are torch.save's own, in both of its formats, with fully connected layers that nobody wants.
"""

from __future__ import annotations

import hashlib
import io
import socket
import subprocess
import sys
from dataclasses import replace
from functools import cache as once
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tests import server as fixtures
from tests.server import PAGE, Server, names, refused
from vggapps.weights import _store as store
from vggapps.weights._records import RECORDS, WeightsRecord

server, cache = fixtures.server, fixtures.cache  # pytest finds them by these names
pytestmark = pytest.mark.usefixtures("cache")
both_formats = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
KIB64 = 1 << 16


def saved(state: Any, zipped: bool) -> bytes:
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


@once
def network(zipped: bool) -> bytes:
    """0.6 MB of convolutions, 8 MB of fully connected layers, as a network's own state."""
    torch.manual_seed(5)
    features = nn.Sequential(nn.Conv2d(128, 128, 3), nn.ReLU(), nn.Conv2d(128, 3, 3))
    return saved(nn.ModuleDict({"features": features, "classifier": nn.Linear(2000, 1000)}).state_dict(), zipped)


def wanted(content: bytes) -> dict[str, Tensor]:
    loaded = torch.load(io.BytesIO(content), weights_only=True)
    return {key: value.detach() for key, value in loaded.items() if key.startswith("features.")}


def serve(server: Server, content: bytes) -> WeightsRecord:
    """A published file, of which the convolutions are wanted."""
    server.content = content
    return replace(
        RECORDS["vgg16-convolutions"],
        name="tiny",
        file="tiny.pth",
        urls=(server.url,),
        sha256=server.sha256[:8],
        size=1,
    )


def same(path: Path, expected: dict[str, Tensor]) -> None:
    found = load_file(path)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value), key


def flipped(content: bytes) -> bytes:
    """One bit, in the middle of a weight."""
    at = content.index(wanted(content)["features.0.weight"].numpy().tobytes()) + 1000
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@both_formats
def test_the_convolutions_come_and_little_else(server: Server, cache: Path, zipped: bool) -> None:
    seen: list[tuple[int, int | None]] = []
    record = serve(server, network(zipped))
    path = store.get(record, lambda done, total: seen.append((done, total)))
    same(path, wanted(network(zipped)))
    bytes_ = sum(value.nbytes for value in wanted(network(zipped)).values())
    assert bytes_ < server.sent < bytes_ + 4 * KIB64 < len(network(zipped)) / 8
    assert len(server.asked) <= 7  # a tensor each, and what says where they are
    assert seen == sorted(seen)
    assert seen[-1] == (bytes_, bytes_)
    assert path == cache / f"tiny-{record.sha256}.safetensors"
    assert names(cache) == {path.name, f"{path.name}.sha256"}
    assert (cache / f"{path.name}.sha256").read_text().split()[0] == hashlib.sha256(path.read_bytes()).hexdigest()


@both_formats
def test_what_is_here_is_not_fetched_again(server: Server, zipped: bool) -> None:
    record = serve(server, network(zipped))
    path, requests = store.get(record), len(server.asked)
    assert store.get(record) == path == store.find(record)
    assert len(server.asked) == requests
    assert store.is_intact(path, record)


# Servers and lines


@both_formats
def test_a_line_that_breaks_is_taken_up_where_it_broke(server: Server, zipped: bool) -> None:
    server.ways = ["cut"] * 12 + ["good"]
    record = serve(server, network(zipped))
    same(store.get(record), wanted(network(zipped)))
    assert server.ranges[:3] == ["bytes=0-65535", "bytes=32768-65535", "bytes=49152-65535"]
    assert server.sent < len(network(zipped)) / 8


def test_a_line_that_stays_broken_is_given_up(server: Server, cache: Path) -> None:
    server.ways = ["good", 503]
    message = refused(serve(server, network(True)))
    assert "503" in message
    assert f"download tiny.pth another way and put it into {cache}" in message
    assert len(server.asked) == 4
    assert names(cache) == set()


@both_formats
def test_a_server_that_knows_no_ranges_sends_all(server: Server, cache: Path, zipped: bool) -> None:
    server.ways = ["no ranges"]
    path = store.get(serve(server, network(zipped)))
    same(path, wanted(network(zipped)))
    assert (cache / "tiny.pth").read_bytes() == network(zipped)
    assert len(server.asked) == 2


def test_a_file_that_changes_meanwhile_is_not_mixed(server: Server) -> None:
    server.ways = ["good", "other", "good"]
    same(store.get(serve(server, network(True))), wanted(network(True)))
    assert [request["mark"] is None for request in server.asked] == [True, False, True]


def test_a_server_that_marks_nothing_is_good_enough(server: Server) -> None:
    server.ways = ["weak"]
    same(store.get(serve(server, network(False))), wanted(network(False)))
    assert {request["mark"] for request in server.asked} == {None}
    assert server.sent < len(network(False)) / 8


def test_a_moved_file_says_so_at_once(server: Server, cache: Path) -> None:
    server.ways = [404]
    message = refused(serve(server, network(True)))
    assert "404 Not Found" in message
    assert f"download tiny.pth another way and put it into {cache}" in message
    assert len(server.asked) == 1


def test_the_next_mirror_is_asked(server: Server) -> None:
    server.ways = [404, "good"]
    record = serve(server, network(True))
    same(store.get(replace(record, urls=(server.url, f"{server.url}?mirror"))), wanted(network(True)))
    assert {request["path"] for request in server.asked[1:]} == {"/tiny.pth?mirror"}


@pytest.mark.parametrize("way", ["page", "hidden page"])
def test_a_login_page_is_not_taken_for_weights(server: Server, cache: Path, way: str) -> None:
    server.ways = [way]
    assert "web page instead of the weights" in refused(serve(server, network(True)))
    server.ways = ["good"]
    assert "web page instead of the weights" in refused(serve(server, PAGE))
    assert names(cache) == set()


def test_a_disk_that_is_too_small_is_told_before_the_first_byte(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100 * 1024}))
    assert "195.3 KiB are needed" in refused(replace(serve(server, network(True)), size=200_000))
    assert not server.asked


# What is on this machine


@both_formats
@pytest.mark.parametrize("folder", ["cache", "home/.cache/torch/hub/checkpoints"])
def test_a_whole_file_that_is_here_is_enough(
    server: Server, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool, folder: str
) -> None:
    monkeypatch.setenv("VGGAPPS_OFFLINE", "1")
    record, whole = serve(server, network(zipped)), tmp_path / folder / "tiny.pth"
    whole.parent.mkdir(parents=True)
    whole.write_bytes(network(zipped))
    assert store.find(record) == whole
    assert store.is_intact(whole, record)
    path = store.get(record)
    assert path == store.find(record) == cache / record.stored
    same(path, wanted(network(zipped)))
    assert not server.asked


def test_a_damaged_whole_file_is_of_no_use_and_left_alone(server: Server, cache: Path) -> None:
    record = serve(server, network(True))
    cache.mkdir()
    (cache / "tiny.pth").write_bytes(flipped(network(True)))
    assert not store.is_intact(cache / "tiny.pth", record)
    same(store.get(record), wanted(network(True)))
    assert (cache / "tiny.pth").read_bytes() == flipped(network(True))


def test_aflipped_byte_is_found_and_mended(server: Server, cache: Path) -> None:
    record = serve(server, network(True))
    path = store.get(record)
    sound = path.read_bytes()
    path.write_bytes(sound[:-5] + bytes([sound[-5] ^ 1]) + sound[-4:])
    assert not store.is_intact(path, record)
    assert store.get(record).read_bytes() == sound
    assert names(cache) == {path.name, f"{path.name}.sha256", f"{path.name}.corrupt"}


def test_offline_opens_no_socket_and_says_what_to_do(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = serve(server, network(True))
    monkeypatch.setenv("VGGAPPS_OFFLINE", "1")
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("a socket was opened"))
    message = refused(record)
    assert "tiny is not on this machine, and downloads are disabled" in message
    assert "vggapps weights download tiny" in message
    assert f"put tiny.pth into {cache}, from {server.url}" in message
    assert not cache.exists()


FETCH = """
import sys
from vggapps.weights import _store as store
from vggapps.weights._records import WeightsRecord
url, digest = sys.argv[1:]
record = WeightsRecord("tiny", "vgg16", "features", "t.pth", digest, "imagenet", "", "", (url,), part="features.")
print(store.get(record))
"""


def test_two_processes_at_once_download_once(server: Server, cache: Path) -> None:
    store.get(serve(server, network(True)))
    one = len(server.asked)
    (cache / f"tiny-{server.sha256[:8]}.safetensors").unlink()
    command = [sys.executable, "-c", FETCH, server.url, server.sha256[:8]]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    printed = [process.communicate()[0].decode().strip() for process in both]
    assert printed == [str(cache / f"tiny-{server.sha256[:8]}.safetensors")] * 2
    assert len(server.asked) == 2 * one
    same(Path(printed[0]), wanted(network(True)))
