"""The `clnd` command: devices, what is wrong with them, how fast they are, the kernels of an expression, the cache, and tuning."""

from __future__ import annotations

import typer

from clnd.cli import bench, cache, devices, doctor, kernels, tune

app = typer.Typer(
    help="Arrays with automatic differentiation on OpenCL devices: look at devices, kernels and the cache.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("devices")(devices.main)
app.command("doctor")(doctor.main)
app.command("kernels")(kernels.main)
app.command("bench")(bench.main)
app.command("cache")(cache.main)
app.command("tune")(tune.main)


def main() -> None:
    """Run the `clnd` command."""
    app()
