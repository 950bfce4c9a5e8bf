"""How many cores and how much memory this process may use: the machine's, or less where a control group says so."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_WORKERS = 1024
"""Processes that a batch may start on this machine."""
_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_MEMORY = Path("/proc/meminfo")
_UNLIMITED = 1 << 60
"""Version 1 has a number near 2^63 where there is no limit."""


def available_cores() -> int:
    """Cores that this process may use, by its affinity and its control groups; at least 1."""
    if sys.platform == "linux":
        return max(1, min(len(os.sched_getaffinity(0)), core_quota(_ROOT, _MEMBERSHIP)))
    return os.cpu_count() or 1


def free_memory() -> int | None:
    """Bytes that this process may still take; None where the system does not tell."""
    found = [bytes_left(_ROOT, _MEMBERSHIP), _available(_MEMORY)] if sys.platform == "linux" else []
    return min((value for value in found if value is not None), default=None)


def core_quota(root: Path, membership: Path) -> int:
    """Whole cores that the control groups allow; `sys.maxsize` where there is no limit.

    Parameters
    ----------
    root
        Where control groups are mounted.
    membership
        The file that tells which ones a process is in, ``/proc/self/cgroup``.
    """
    least = sys.maxsize
    for folder in groups(root, membership, "cpu"):
        quota, period = _numbers(folder / "cpu.max", 2) or (0, 0)
        if not period:  # version 1
            (quota,) = _numbers(folder / "cpu.cfs_quota_us") or (0,)
            (period,) = _numbers(folder / "cpu.cfs_period_us") or (0,)
        if quota > 0 and period > 0:
            least = min(least, max(1, quota // period))
    return least


def bytes_left(root: Path, membership: Path) -> int | None:
    """Bytes that the control groups' memory limits leave; None without a limit. Else as `core_quota`."""
    names = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
    left = []
    for folder in groups(root, membership, "memory"):
        for limit_name, usage_name in names:
            limit, usage = (_numbers(folder / name) for name in (limit_name, usage_name))
            if limit and limit[0] < _UNLIMITED:
                # pages of files that nobody waits for are given back before the limit is reached
                left.append(max(0, limit[0] - (usage[0] if usage else 0) + _reclaimable(folder / "memory.stat")))
    return min(left, default=None)


def groups(root: Path, membership: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups that a process is in, and of those above: version 2, then the controller's."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        lines = []
    found = {root: root}
    for line in lines:
        number, names, path = line.split(":", 2)
        if number == "0" or controller in names.split(","):
            top = root if number == "0" else root / controller
            found[top] = top / path.lstrip("/")
    for top, group in found.items():
        # in a container the path may be one of the host's: what is not there has no limits
        yield from (folder for folder in (group, *group.parents) if folder == top or top in folder.parents)


def _numbers(path: Path, count: int = 1) -> list[int] | None:
    """The numbers in a file; None where there is no such file, or "max" in it."""
    try:
        words = path.read_text().split()
        return [int(word) for word in words] if len(words) == count else None
    except (OSError, ValueError):
        return None


def _reclaimable(path: Path) -> int:
    return _labelled(path, "total_inactive_file") or _labelled(path, "inactive_file") or 0


def _available(path: Path) -> int | None:
    kibibytes = _labelled(path, "MemAvailable:")
    return None if kibibytes is None else 1024 * kibibytes


def _labelled(path: Path, label: str) -> int | None:
    """The number after a word in a file of lines; None where there is none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(words[1]) for words in map(str.split, lines) if words[0] == label), None)
