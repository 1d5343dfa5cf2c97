"""Settings that are given by environment variables of the same kind."""

from __future__ import annotations

import os

from clnd.errors import MXNetError, shown


def switch(variable: str) -> str:
    """Read a variable that is 0, 1 or nothing.

    Raises
    ------
    MXNetError
        If it is something else.

    Examples
    --------
    >>> switch("CLND_NO_SUCH_THING")
    ''
    """
    value = os.environ.get(variable, "").strip()
    if value not in ("", "0", "1"):
        raise MXNetError(f"{variable}={shown(value)}: it is 0 or 1, or not set")
    return value
