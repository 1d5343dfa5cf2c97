"""What was measured on a device and is kept on disk, so that it need not be measured again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from clnd.opencl.cache import cache_folder, write_whole
from clnd.opencl.program import clnd_version
from clnd.opencl.trial import describe, trial_key

if TYPE_CHECKING:
    from pathlib import Path

    from clnd.opencl.device import Device

__all__ = ["forget_measured", "keep_measured", "read_measured"]


def read_measured(device: Device, subject: str) -> dict[str, Any]:
    """Give what is kept of a subject for a device, its driver and this version of clnd; nothing where the file is damaged.

    Returns
    -------
    dict
        What was found, by what it was found for.
    """
    file = _file(device, subject)
    try:
        kept = {} if file is None else json.loads(file.read_bytes())["found"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return kept if isinstance(kept, dict) else {}


def keep_measured(device: Device, subject: str, name: str, found: Any) -> None:
    """Keep one thing more. Where another process writes at the same time, one of the two is lost, and measured again."""
    file = _file(device, subject)
    if file is None:
        return
    kept = {**read_measured(device, subject), name: found}
    try:
        write_whole(file, json.dumps({"device": describe(device.cl), "found": kept}, indent=1).encode())
    except OSError:
        pass  # then it is measured again


def forget_measured() -> int:
    """Delete all that is kept.

    Returns
    -------
    int
        How many files were deleted.
    """
    folder = cache_folder()
    deleted = 0
    for file in (folder / "measured").glob("*.json") if folder is not None else []:
        try:
            file.unlink()
            deleted += 1
        except OSError:
            continue
    return deleted


def _file(device: Device, subject: str) -> Path | None:
    folder = cache_folder()
    about = (subject, trial_key(device.cl), device.traits, clnd_version())
    return None if folder is None else folder / "measured" / f"{hashlib.sha256(repr(about).encode()).hexdigest()[:32]}.json"
