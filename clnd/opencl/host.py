"""The machine that the process runs on: its free memory and its processor, and what becomes of locks when the process forks."""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from functools import cache
from pathlib import Path
from typing import Any


def available_memory(swap: bool = False) -> int:
    """Give the bytes that this process may still take, by the machine's account (with what it may swap out) and by its control group's.

    Examples
    --------
    >>> available_memory() > 0
    True
    """
    return min([_machine_available(swap), *_group_available()])


def fork_safe_lock() -> Any:
    """Make a reentrant lock that is free in a forked process, which lacks the thread that may hold it.

    Examples
    --------
    >>> with fork_safe_lock():
    ...     pass
    """
    lock: Any = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lock._at_fork_reinit)
    return lock


def trim() -> None:
    """Have the C library hand back to the system what it was given back: it keeps pages between blocks that are still used."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        pass  # not glibc


def _machine_available(swap: bool) -> int:
    try:
        with open("/proc/meminfo", "rb") as file:
            wanted = (b"MemAvailable:", b"SwapFree:")[: 1 + swap]
            found = [int(line.split()[1]) * 1024 for line in file if line.startswith(wanted)]
            if len(found) == len(wanted):
                return sum(found)
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 1 << 62  # unknown: the device's own limit remains


def _group_available() -> list[int]:
    """Read what is left under each memory limit of the control groups around this process (version 2, then 1)."""
    left = []
    for limit_file, used_file, stat_file in _group_files():
        try:
            limit, used = limit_file.read_text().strip(), int(used_file.read_text())
            if limit == "max" or int(limit) >= 1 << 60:
                continue
            # Version 1 says last what the groups below have, too, and counts it as used; version 2 does so everywhere.
            *_, cached = 0, *(int(line.split()[1]) for line in stat_file.read_text().splitlines() if "inactive_file " in line)
        except (OSError, ValueError):
            continue
        left.append(max(0, int(limit) - used + cached))
    return left


@cache
def _group_files() -> list[tuple[Path, Path, Path]]:
    found = []
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            root, names = Path("/sys/fs/cgroup"), ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            root, names = Path("/sys/fs/cgroup/memory"), ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        folder = root / group.lstrip("/")
        for place in [folder, *folder.parents]:
            if (place / names[0]).is_file():
                found.append((place / names[0], place / names[1], place / "memory.stat"))
            if place == root:
                break
    return found


@cache
def processor() -> str:
    """Describe the processor closely enough that code compiled for one description runs on every machine that has it.

    Examples
    --------
    >>> processor() == processor()
    True
    """
    wanted = ("vendor_id", "cpu family", "model", "model name", "flags", "CPU implementer", "CPU part", "Features")
    found: dict[str, str] = {}
    try:
        with open("/proc/cpuinfo", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() in wanted:
                    found.setdefault(key.strip(), value.strip())
                if not line.strip() and found:
                    break
    except OSError:
        pass
    return f"{platform.machine()} {platform.processor()} {sorted(found.items())}"
