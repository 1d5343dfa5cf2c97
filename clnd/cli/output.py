"""How the `clnd` command writes: to the terminal as it is, and wide enough for a table where there is none."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console

_WIDE = 200  # columns, where nobody's terminal says otherwise


def console() -> Console:
    """Give the console of the standard output."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=_WIDE)


def fail(message: str) -> NoReturn:
    """Write a message where errors go, and exit with status 1."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(message, style="red", markup=False)
    raise typer.Exit(1)


def gigabytes(size: int) -> str:
    """Give a size for people to read.

    Examples
    --------
    >>> gigabytes(25276502016), gigabytes(5 << 20)
    ('23.5 GiB', '5.0 MiB')
    """
    unit, name = (1 << 30, "GiB") if size >= 1 << 30 else (1 << 20, "MiB")
    return f"{size / unit:.1f} {name}"


def yes(answer: bool) -> str:
    """Give "yes" or "no"."""
    return "yes" if answer else "no"
