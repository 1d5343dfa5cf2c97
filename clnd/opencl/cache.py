"""What clnd keeps on disk between runs: compiled programs, measurements, which devices work. All of it is read and written here.

Some of it is run, so the folder and the files in it belong to the user alone. An entry has a checksum; one that is damaged, or that
others may write, counts as none and is written anew. What cannot be kept costs time, never a result.
"""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from pathlib import Path
from typing import IO, NamedTuple

import platformdirs

from clnd.opencl.files import write_whole

__all__ = ["Entry", "cache_folder", "entries", "folder_for", "forget", "keep", "marker", "read", "refusal", "why_not"]

_MAGIC = b"clnd entry 1 "
_HEAD = len(_MAGIC) + 64 + 1  # with the checksum and the end of the line
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_refused: set[Path] = set()


class Entry(NamedTuple):
    """What is kept under a name.

    Attributes
    ----------
    name
    size
        In bytes.
    written
        When, in seconds since the epoch.
    """

    name: str
    size: int
    written: float


def cache_folder() -> Path | None:
    """Give the folder for what clnd keeps between runs.

    Returns
    -------
    Path or None
        ``CLND_CACHE`` if it is set, else the user's cache folder; None when ``CLND_CACHE`` is empty, which turns the cache off.

    Examples
    --------
    >>> folder = cache_folder()
    >>> folder is None or folder.is_absolute()
    True
    """
    chosen = os.environ.get("CLND_CACHE")
    if chosen is not None:
        return Path(chosen).expanduser().absolute() if chosen else None
    return Path(platformdirs.user_cache_dir("clnd", appauthor=False)).absolute()


def refusal(folder: Path) -> str | None:
    """Say why nothing in a folder may be used: others could have put it there. None where all is well, or there is no folder."""
    try:
        about = folder.lstat()
    except OSError:
        return None
    if stat.S_ISLNK(about.st_mode):
        return f"{folder} is a symbolic link; CLND_CACHE can name where it leads"
    if os.name == "nt":  # where a user's folders are that user's
        return None
    if about.st_uid != os.geteuid():
        return f"{folder} belongs to another user ({about.st_uid}); CLND_CACHE can name a folder of one's own"
    if about.st_mode & _OTHERS_WRITE:
        return f"others may write {folder} (mode {stat.S_IMODE(about.st_mode):o}); delete it, since they may have done so"
    return None


def folder_for(*parts: str, make: bool = False) -> Path | None:
    """Give a folder in the cache folder; None where there is no cache.

    There is none either where one of the folders is not the user's alone. A warning says so, once.

    Raises
    ------
    OSError
        When it cannot be made.
    """
    folder = cache_folder()
    if folder is None:
        return None
    for i in range(len(parts) + 1):
        place = folder.joinpath(*parts[:i])
        if make and not place.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.mkdir(mode=0o700, exist_ok=True)
        problem = refusal(place)
        if problem is not None:
            if place not in _refused:
                _refused.add(place)
                warnings.warn(f"clnd keeps compiled programs on disk, but not here: {problem}", RuntimeWarning, stacklevel=2)
            return None
    return folder.joinpath(*parts)


def _opened(path: Path, flags: int) -> IO[bytes]:
    """Open a file that is the user's alone, and no link."""
    handle = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), 0o600)
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or (os.name != "nt" and (about.st_uid != os.geteuid() or about.st_mode & _OTHERS_WRITE)):
        os.close(handle)
        raise PermissionError(f"{path} is not the user's alone")
    return open(handle, "rb" if flags == os.O_RDONLY else "ab")


def read(kind: str, name: str) -> bytes | None:
    """Read what is kept under a name, if it is whole."""
    try:
        folder = folder_for(kind)
        if folder is None:
            return None
        with _opened(folder / name, os.O_RDONLY) as file:
            data = file.read()
    except OSError:
        return None
    return data[_HEAD:] if data[:_HEAD] == _head(name, data[_HEAD:]) else None


def keep(kind: str, name: str, data: bytes) -> bool:
    """Keep data under a name; says whether that was possible."""
    try:
        folder = folder_for(kind, make=True)
        if folder is None:
            return False
        write_whole(folder / name, _head(name, data) + data, 0o600)
    except OSError:
        return False
    return True


def _head(name: str, data: bytes) -> bytes:
    """The line before the data. The name is in the checksum, so that no entry passes for another one."""
    return _MAGIC + hashlib.sha256(name.encode() + b"\0" + data).hexdigest().encode() + b"\n"


def marker(kind: str, name: str) -> IO[bytes]:
    """Open a file without content, made if it is missing.

    Raises
    ------
    OSError
        When there is no cache, or it cannot be written.
    """
    folder = folder_for(kind, make=True)
    if folder is None:
        raise FileNotFoundError("there is no cache")
    return _opened(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def entries(kind: str) -> list[Entry]:
    """List what is kept, by name."""
    found = []
    for file in _files(kind):
        try:
            about = file.stat()
        except OSError:
            continue
        found.append(Entry(file.name, about.st_size, about.st_mtime))
    return found


def forget(kind: str, name: str | None = None) -> int:
    """Delete what is kept under a name, or all of a kind.

    Returns
    -------
    int
        How many entries were deleted.
    """
    deleted = 0
    for file in _files(kind, name):
        try:
            file.unlink()
        except OSError:
            continue
        deleted += 1
    return deleted


def _files(kind: str, name: str | None = None) -> list[Path]:
    try:
        folder = folder_for(kind)
        if folder is not None and name is not None:
            return [folder / name]
        return [] if folder is None else sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    except OSError:
        return []


def why_not() -> str | None:
    """Say why nothing can be kept, or None where it can."""
    folder = cache_folder()
    if folder is None:
        return "CLND_CACHE is empty"
    problem = refusal(folder)
    if problem is None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            trial = folder / f"writable-{os.getpid()}"
            write_whole(trial, bytes(4096), 0o600)  # a full disk takes names still
            trial.unlink()
        except OSError as error:
            problem = str(error)
    return problem
