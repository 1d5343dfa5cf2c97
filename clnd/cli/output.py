"""How the `clnd` command writes."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console

from clnd.console import console

__all__ = ["console", "fail", "gigabytes", "yes"]


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
