"""Where tables are printed: to the terminal as it is, and elsewhere as wide as they are, so that no name is broken."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_UNBROKEN = 10_000  # columns


def console(file: IO[str] | None = None) -> Console:
    """Give the console of a file, or of the standard output.

    Examples
    --------
    >>> from io import StringIO
    >>> text = StringIO()
    >>> console(text).print("a line of " + "many " * 50 + "words")
    >>> text.getvalue().count("\\n")
    1
    """
    from rich.console import Console

    plain = Console(file=file, highlight=False)
    return plain if plain.is_terminal else Console(file=file, highlight=False, width=_UNBROKEN)
