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
        Arithmetic operations that the operator says it takes, where its kernels do not tell.

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
