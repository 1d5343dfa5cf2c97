"""What was measured on a device and is kept on disk, so that it need not be measured again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from clnd.opencl import cache
from clnd.opencl.program import clnd_version
from clnd.opencl.trial import describe, trial_key

if TYPE_CHECKING:
    from clnd.opencl.device import Device

__all__ = ["forget_measured", "keep_measured", "read_measured"]

_KIND = "measured"


def read_measured(device: Device, subject: str) -> dict[str, Any]:
    """Give what is kept of a subject for a device, its driver and this version of clnd; nothing where the entry is damaged.

    Returns
    -------
    dict
        What was found, by what it was found for.
    """
    data = cache.read(_KIND, _name(device, subject))
    try:
        kept = {} if data is None else json.loads(data)["found"]
    except (ValueError, KeyError, TypeError):
        return {}
    return kept if isinstance(kept, dict) else {}


def keep_measured(device: Device, subject: str, **found: Any) -> None:
    """Keep something more. Where another process writes at the same time, one of the two is lost, and measured again."""
    kept = {**read_measured(device, subject), **found}
    cache.keep(_KIND, _name(device, subject), json.dumps({"device": describe(device.cl), "found": kept}, indent=1).encode())


def forget_measured() -> int:
    """Delete all that is kept.

    Returns
    -------
    int
        How many files were deleted.
    """
    return cache.forget(_KIND)


def _name(device: Device, subject: str) -> str:
    about = (subject, trial_key(device.cl), device.traits, clnd_version())
    return f"{hashlib.sha256(repr(about).encode()).hexdigest()[:32]}.json"
