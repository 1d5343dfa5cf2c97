"""`clnd cache`: the compiled programs that are kept on disk."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from clnd.cli.output import console, fail, gigabytes
from clnd.opencl import cache_entries, clear_cache
from clnd.opencl.inspect import cache_report


def main(clear: Annotated[bool, typer.Option("--clear", help="Delete the compiled programs.")] = False) -> None:
    """Show the compiled programs kept on disk, or clear them."""
    out = console()
    report = cache_report()
    if report.folder is None:
        out.print("The cache is turned off: CLND_CACHE is empty.")
        return
    out.print(f"Folder    {report.folder}", markup=False, soft_wrap=True)
    out.print(f"Programs  {report.programs} ({gigabytes(report.size)})")
    if clear:
        removed = clear_cache()
        out.print(f"Removed   {removed}")
        if removed < report.programs:
            fail(f"{report.programs - removed} programs could not be removed.")
    elif report.programs:
        times = sorted(entry.written for entry in cache_entries())
        first, last = (datetime.fromtimestamp(times[i]).strftime("%Y-%m-%d %H:%M") for i in (0, -1))
        out.print(f"Written   {first} to {last}")
    if report.error is not None:
        fail(f"The folder cannot be written, so every program is compiled in every run: {report.error}")
