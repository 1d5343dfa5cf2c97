"""Which operator call is being launched: what profiles and accounts of memory go by."""

from __future__ import annotations

import threading
from types import CodeType
from typing import Any, TypeAlias

Site: TypeAlias = "tuple[CodeType, int] | None"


class Call:
    """An operator call that is being launched.

    Attributes
    ----------
    name
        The operator's.
    site
        The user's line, as `describe_site` takes it.
    order
        Its creation number.
    operations
        Arithmetic operations of the launch that comes next, as far as the operator has told.

    Examples
    --------
    >>> Call("add", None, 0)
    <Call of add>
    """

    __slots__ = ("name", "operations", "order", "site")

    def __init__(self, name: str, site: Site, order: int) -> None:
        self.name, self.site, self.order = name, site, order
        self.operations = 0

    def __repr__(self) -> str:
        return f"<Call of {self.name}>"


class _Running(threading.local):
    call: Call | None = None


running = _Running()


def describe_site(site: Site) -> str:
    """`file.py:12`, worked out only when somebody asks."""
    if site is None:
        return "an unknown line"
    code, at = site
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= at < end and number is not None:
            line = number
    return f"{code.co_filename}:{line}"


def event_times(event: Any) -> tuple[int, int, int] | None:
    """When a launch was put into the queue, began and ended, in nanoseconds of the device's clock; waits for it.

    Returns
    -------
    tuple or None
        None where the driver does not tell.
    """
    import pyopencl as cl

    try:
        event.wait()
        about = event.profile
        return about.queued, about.start, about.end
    except cl.Error:
        return None
