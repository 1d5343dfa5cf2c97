"""`clnd bench`: what each device reaches, and what small things cost on it, in some seconds."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from clnd.cli.kernels import read_context
from clnd.cli.output import console, fail
from clnd.errors import MXNetError
from clnd.limits import costs, measure
from clnd.opencl import Device, cpu_devices, gpu_devices


def main(
    device: Annotated[str, typer.Option(help="One context: cpu, gpu, cpu(1), ...; by default all of them.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure each device: copy, product, and what a launch, a wait, a read, an operation and a compilation cost."""
    try:
        chosen = [read_context(device).device] if device else [*gpu_devices(), *cpu_devices()]
    except (MXNetError, ValueError) as error:
        fail(str(error))
    if not chosen:
        fail("There is no usable OpenCL device. `clnd doctor` says why and what to install.")
    reports = [report(each) for each in chosen]
    if as_json:
        typer.echo(json.dumps(reports, indent=2))
        return
    table = Table()
    table.add_column("Context", no_wrap=True)
    table.add_column("Device", overflow="fold")
    for title in ("Copy", "Product", "Launch", "Wait", "Read", "Operation", "Compilation"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in reports:
        cells = [f"{row['copy'] / 1e9:.1f} GB/s", f"{row['product'] / 1e9:.1f} GFLOP/s"]
        cells += [f"{row[name] * 1e6:.1f} us" for name in ("launch", "wait", "read", "operation")] + [f"{row['build'] * 1e3:.0f} ms"]
        table.add_row(escape(row["context"]), escape(row["device"]), *cells)
    console().print(table)


def report(device: Device) -> dict[str, Any]:
    """What was measured, with the device's names."""
    return {"context": f"{device.kind}({device.index})", "device": device.name, **asdict(measure(device)), **asdict(costs(device))}
