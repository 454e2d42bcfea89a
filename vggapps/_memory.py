"""The memory that is available: of the machine, the process's control groups and resource limits, or a GPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

# Address space used beyond memory, by fragmentation and by libraries loaded later: 0.3 GB, measured at 2,000 x 1,500 px
# in tiles.
_OVERHEAD = 400_000_000


def available_memory(root: Path = Path("/")) -> tuple[int, str]:
    """Available bytes, and what limits them.

    psutil reports the memory of the machine. A container may have much less, and is killed when it exceeds that.

    Args:
        root: the folder of ``proc`` and ``sys``.
    """
    free, limit = min([(psutil.virtual_memory().available, "the machine"), *_of_groups(root), *_of_limits()])
    return max(0, free), limit


def free_memory(device: torch.device) -> int:
    """Available bytes on a device; for the CPU see :func:`available_memory`."""
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    return available_memory()[0]


def _of_groups(root: Path) -> Iterator[tuple[int, str]]:
    """The memory available in each control group of this process, up to the root group.

    https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files, and cgroup-v1/memory.html. In a
    container the path may be that of the host, of which only the end, or the root, is visible.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers == "":  # version 2, which may be mounted beside version 1
            mounts, names = (
                ("sys/fs/cgroup", "sys/fs/cgroup/unified"),
                ("memory.max", "memory.current", "inactive_file"),
            )
        elif "memory" in controllers.split(","):
            mounts = ("sys/fs/cgroup/memory", f"sys/fs/cgroup/{controllers}")
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        for mount in mounts:
            group = root / mount / path.lstrip("/")
            for folder in (group, *group.parents):
                if folder.is_relative_to(root / mount) and (left := _left(folder, *names)) is not None:
                    yield left, "the control group"


def _left(folder: Path, limit: str, used: str, reclaimable: str) -> int | None:
    """Bytes between a group's limit and its usage without cached files; None if it has no limit."""
    try:
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        maximum, usage = (folder / limit).read_text(), (folder / used).read_text()
        return int(maximum) - int(usage) + int(statistics.get(reclaimable, 0))
    except (OSError, ValueError):  # "max" means no limit
        return None


def _of_limits() -> Iterator[tuple[int, str]]:
    """The address space that the resource limits leave, which torch's allocator needs."""
    if sys.platform == "win32":
        return
    import resource

    info = psutil.Process().memory_info()
    limits = {
        "ulimit -v": (resource.RLIMIT_AS, info.vms),
        "ulimit -d": (resource.RLIMIT_DATA, getattr(info, "data", 0)),
    }
    for name, (limit, used) in limits.items():
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY:
            yield soft - used - _OVERHEAD, name
