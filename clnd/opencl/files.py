"""Files that appear whole or not at all, whatever stops the process that writes them."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import IO

__all__ = ["lock", "write_whole"]

_READABLE = 50  # characters of a file's name in that of what is written beside it; file systems take 255 bytes
_BESIDE = re.compile(r"\..*\.[0-9a-f]{16}\.new", re.DOTALL)
_clean: set[tuple[int, str]] = set()  # processes, which may fork, and the folders in which they found nothing left behind


def write_whole(path: Path, data: bytes, mode: int | None = None, *, lasting: bool = False) -> None:
    """Write a file so that whoever looks sees the old content or the new one: beside its place, and then renamed.

    Parameters
    ----------
    path
        Where, in a folder that there is.
    data
        The content.
    mode
        Who may do what with the file; by default what the process's mask allows.
    lasting
        Shall the content be on the disk before this returns, whatever happens to the machine then?

    Raises
    ------
    OSError
        When it cannot be written; the old file is there still.
    """
    place = (os.getpid(), os.path.abspath(path.parent))
    if place not in _clean and _sweep(path.parent):  # once: a cache holds thousands of files
        _clean.add(place)
    file, beside = _beside(path, 0o666 if mode is None else 0o600)
    try:
        with file:
            if mode is not None and os.name != "nt":
                os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
            if os.name != "nt":
                os.replace(beside, path)
        if os.name == "nt":  # which renames no file that is open
            os.replace(beside, path)
    except BaseException:
        try:
            beside.unlink(missing_ok=True)
        except OSError:
            pass
        raise
    if lasting and os.name != "nt":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        except OSError:  # some file systems know no such thing; there the name is on the disk a little later
            pass
        finally:
            os.close(folder)


def _beside(path: Path, mode: int) -> tuple[IO[bytes], Path]:
    """Open a file beside a path, with a lock that tells it from what a process left behind that died."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    while True:
        beside = path.with_name(f".{path.name[:_READABLE]}.{secrets.token_hex(8)}.new")
        file = open(os.open(beside, flags, mode), "wb")  # noqa: SIM115
        lock(file, wait=True)
        if beside.exists():
            return file, beside
        file.close()  # somebody swept it before it was locked


def _sweep(folder: Path) -> bool:
    """Delete what processes left in a folder that died while they wrote. Is nothing of theirs, or of living ones, there any more?"""
    try:
        with os.scandir(folder) as found:
            left = [entry.path for entry in found if _BESIDE.fullmatch(entry.name)]
    except OSError:
        return True  # a folder that may be written and not be read, or none
    clean = True
    for path in left:
        try:
            with open(os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)), "r+b") as file:
                dead = lock(file)
                if dead and os.name != "nt":
                    os.unlink(path)  # before whoever made it just now gets the lock
            if dead and os.name == "nt":
                os.unlink(path)
            clean &= dead
        except OSError:
            continue  # somebody else's, or gone
    return clean


def lock(file: IO[bytes], wait: bool = False) -> bool:
    """Take the file's lock, if no other process has it or (where POSIX serves) `wait`; the system gives it back when the process dies."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
