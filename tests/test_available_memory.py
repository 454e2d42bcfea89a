"""Memory that can be had: the least of what the machine, its control groups and the shell's limits leave."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from vggapps import _memory as available
from vggapps._memory import available_memory
from vggapps.style import _memory as memory
from vggapps.style._memory import plan_memory

GB = 10**9
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="control groups and these limits are Linux's")


@pytest.fixture(autouse=True)
def _a_machine_with_64_gb(monkeypatch: pytest.MonkeyPatch) -> None:
    class State:
        available = 64 * GB

    monkeypatch.setattr(psutil, "virtual_memory", lambda: State)
    monkeypatch.setattr(available, "_of_limits", lambda: iter(()))


def group(folder: Path, limit: int | str, used: int, cached: int = 0, *, version: int = 2) -> None:
    """A control group's files, as the kernel writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for name, value in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{value}\n")
    key = "inactive_file" if version == 2 else "total_inactive_file"
    (folder / "memory.stat").write_text(f"anon 1\n{key} {cached}\nactive_file 7\n")


def belongs(root: Path, *lines: str) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("".join(f"{line}\n" for line in lines))


def test_without_groups_it_is_the_machines(tmp_path: Path) -> None:
    assert available_memory(tmp_path) == (64 * GB, "the machine")


def test_a_container_has_what_its_limit_leaves_and_cached_files_count_as_free(tmp_path: Path) -> None:
    belongs(tmp_path, "0::/")
    group(tmp_path / "sys/fs/cgroup", 3 * GB, 2 * GB, cached=GB // 2)
    assert available_memory(tmp_path) == (3 * GB // 2, "the control group")


def test_a_service_has_what_the_tightest_group_around_it_leaves(tmp_path: Path) -> None:
    belongs(tmp_path, "0::/user.slice/user-1000.slice/job.scope")
    top = tmp_path / "sys/fs/cgroup"
    group(top / "user.slice/user-1000.slice/job.scope", "max", GB)
    group(top / "user.slice/user-1000.slice", 8 * GB, 6 * GB)
    group(top / "user.slice", 32 * GB, 6 * GB)
    assert available_memory(tmp_path)[0] == 2 * GB


def test_the_first_version_beside_others(tmp_path: Path) -> None:
    belongs(tmp_path, "9:name=systemd:/", "8:pids:/", "4:memory:/docker/0123abc", "3:cpu,cpuacct:/", "0::/")
    group(tmp_path / "sys/fs/cgroup/memory/docker/0123abc", 5 * GB, GB, cached=GB, version=1)
    assert available_memory(tmp_path)[0] == 5 * GB


@pytest.mark.parametrize("version", [1, 2])
def test_inside_a_container_the_path_may_be_the_one_outside(tmp_path: Path, version: int) -> None:
    """Then what is to be seen is the root of the mount."""
    belongs(tmp_path, "4:memory:/kubepods/pod7/abc" if version == 1 else "0::/kubepods/pod7/abc")
    group(tmp_path / ("sys/fs/cgroup/memory" if version == 1 else "sys/fs/cgroup"), 4 * GB, GB, version=version)
    assert available_memory(tmp_path)[0] == 3 * GB


@pytest.mark.parametrize("limit", ["max", 2**63 - 4096, "nonsense", ""])
def test_no_limit_is_none(tmp_path: Path, limit: int | str) -> None:
    belongs(tmp_path, "0::/", "no line of the kernel's")
    group(tmp_path / "sys/fs/cgroup", limit, GB)
    assert available_memory(tmp_path) == (64 * GB, "the machine")


def test_a_group_that_has_more_than_its_limit_leaves_nothing(tmp_path: Path) -> None:
    belongs(tmp_path, "0::/")
    group(tmp_path / "sys/fs/cgroup", GB, 2 * GB)
    assert available_memory(tmp_path)[0] == 0


@LINUX
@pytest.mark.parametrize(("option", "resource"), [("-v", "RLIMIT_AS"), ("-d", "RLIMIT_DATA")])
def test_the_shells_limit_counts(option: str, resource: str) -> None:
    code = "from vggapps._memory import available_memory as a; print(*a(), sep='|')"
    command = f'ulimit {option} 3000000; exec "{sys.executable}" -c "{code}"'
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    free, limit = ran.stdout.strip().split("|")
    assert limit == f"ulimit {option}"
    assert GB < int(free) < 3000000 * 1024 - 0.4 * GB


@LINUX
def test_info_tells_the_same_number_and_what_limits_it() -> None:
    command = f'ulimit -v 8000000; exec "{sys.executable}" -m vggapps info --json'
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    told = json.loads(ran.stdout)["memory"]
    assert told["limited_by"] == "ulimit -v"
    assert told["free"] < 8000000 * 1024 < told["total"] + 8000000 * 1024


def test_little_memory_gives_tiles_and_large_inputs_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    size, cpu = (1500, 2000), torch.device("cpu")
    monkeypatch.setattr(available, "available_memory", lambda: (64 * GB, "the machine"))
    plenty = plan_memory(size, 16, torch.float32, cpu)
    assert plenty.tile is None
    assert plan_memory(size, 16, torch.float32, cpu, inputs=5 * GB).bytes == plenty.bytes + 5 * GB
    assert plan_memory(size, 16, torch.float32, cpu, inputs=60 * GB).tile is not None
    monkeypatch.setattr(available, "available_memory", lambda: (4 * GB, "ulimit -v"))
    tiles = plan_memory(size, 16, torch.float32, cpu)
    assert (tiles.tile, tiles.free) == (memory.TILE, 4 * GB)
    assert tiles.bytes < plenty.bytes / 2
