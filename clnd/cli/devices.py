"""`clnd devices`: every OpenCL device, its name in code, and why it cannot be used."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from clnd.cli.output import console, fail, gigabytes, yes
from clnd.errors import MXNetError
from clnd.opencl.inspect import DeviceReport, device_reports


def main(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the OpenCL devices: names in code, drivers, abilities, and why one cannot be used."""
    try:
        reports = device_reports()
    except MXNetError as error:
        fail(str(error))
    if as_json:
        typer.echo(json.dumps([asdict(report) for report in reports], indent=2))
    else:
        show(reports)
    if not any(report.usable for report in reports):
        fail("There is no usable OpenCL device. `clnd doctor` says why and what to install.")


def show(reports: list[DeviceReport]) -> None:
    """Print devices as a table, and the reasons below it."""
    if not reports:
        return
    table = Table()
    for title in ("Context", "Device", "Platform", "Driver", "Kind"):
        table.add_column(title, overflow="fold")
    for title in ("Units", "Memory"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("fp64", "fp16", "Usable"):
        table.add_column(title, no_wrap=True)
    for report in reports:
        cells = (
            *(report.context or "-", report.device, report.platform, report.driver_version, report.kind),
            *(str(report.compute_units), gigabytes(report.memory), yes(report.fp64), yes(report.fp16), yes(report.usable)),
        )
        table.add_row(*map(escape, cells), style=None if report.usable else "dim")
    out = console()
    out.print(table)
    for report in reports:
        if report.reason is not None:
            out.print(f"{report.device} ({report.platform} {report.driver_version}) is not used: {report.reason}", markup=False)
            if report.advice is not None:
                out.print(f"    {report.advice}", markup=False)
