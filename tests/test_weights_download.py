"""Downloads: whole or not there at all, whatever the server and the line do.

The server runs on this machine. Every error is one line that says what to do.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import server as fixtures
from tests.server import CONTENT, Server, names, refused
from vggapps.weights import _download as download
from vggapps.weights import _store as store
from vggapps.weights._records import WeightsRecord

server, record, cache = fixtures.server, fixtures.record, fixtures.cache  # pytest finds them by these names
pytestmark = pytest.mark.usefixtures("cache")


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
    assert f"download tiny.pth another way and put it into {cache}" in message
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
    monkeypatch.setattr(download, "TIMEOUT", 0.4)
    server.ways = ["stall", "good"]
    assert store.get(record).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-"]


def test_a_server_that_stays_silent_is_told(
    record: WeightsRecord, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    monkeypatch.setattr(download, "WAITS", ())
    server.ways = ["stall"]
    assert "no data for 0.2 seconds" in refused(record)


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
from vggapps.weights import _download as download
from vggapps.weights import _store as store
from vggapps.weights._records import WeightsRecord
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
