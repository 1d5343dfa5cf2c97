"""The user's cache folder: where it is, and files that appear in it whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs


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


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that another process sees all of it or none.

    Raises
    ------
    OSError
        When the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
