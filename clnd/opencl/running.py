"""Which operator call is being launched: what profiles and accounts of memory go by."""

from __future__ import annotations

import threading
from typing import Any


class Call:
    """An operator call that is being launched.

    Attributes
    ----------
    name
        The operator's.
    site
        The user's line, in the caller's form.
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

    def __init__(self, name: str, site: Any, order: int) -> None:
        self.name, self.site, self.order = name, site, order
        self.operations = 0

    def __repr__(self) -> str:
        return f"<Call of {self.name}>"


class _Running(threading.local):
    call: Call | None = None


running = _Running()


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
