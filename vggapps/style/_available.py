"""How much memory this process can have: of the machine's, what its container and its limits leave."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

# Of the address space more is taken than memory: holes between allocations, and libraries that are loaded on the way.
# Measured at 2,000 x 1,500 px in tiles: 0.3 GB above the memory taken.
_HOLES = 400_000_000


def available_memory(root: Path = Path("/")) -> tuple[int, str]:
    """Bytes that can be had now, and what it is that leaves no more.

    psutil knows the machine's memory only. A container may have far less: it is killed, not told, when it takes more.

    Args:
        root: where ``proc`` and ``sys`` lie.
    """
    left = [(psutil.virtual_memory().available, "the machine"), *_of_groups(root), *_of_limits()]
    free, limit = min(left)
    return max(0, free), limit


def _of_groups(root: Path) -> Iterator[tuple[int, str]]:
    """What each control group around this process leaves; the one around all others counts, too.

    https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files, and cgroup-v1/memory.html. In a
    container the path may be that outside of it, where inside only its end, or the root, is to be seen.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers == "":  # the second version, which may be mounted beside the first
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
    """Bytes between a group's limit and its use, not counting cached files; None where it has no limit."""
    try:
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        most, now = (folder / limit).read_text(), (folder / used).read_text()
        return int(most) - int(now) + int(statistics.get(reclaimable, 0))
    except (OSError, ValueError):  # "max", which is none
        return None


def _of_limits() -> Iterator[tuple[int, str]]:
    """What the limits of the shell leave of the address space, which is what torch's allocator runs into."""
    if sys.platform == "win32":
        return
    import resource

    held = psutil.Process().memory_info()
    taken = {"ulimit -v": (resource.RLIMIT_AS, held.vms), "ulimit -d": (resource.RLIMIT_DATA, getattr(held, "data", 0))}
    for name, (limit, used) in taken.items():
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY:
            yield soft - used - _HOLES, name
