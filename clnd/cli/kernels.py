"""`clnd kernels`: the OpenCL C that an expression runs as, and how many launches that takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import chain
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.syntax import Syntax

import clnd as mx
from clnd import autograd, nd, ops
from clnd.cli.expression import Expression, ExpressionError
from clnd.cli.output import console, fail
from clnd.errors import MXNetError
from clnd.nd import names
from clnd.opencl.watch import Launch, watched


def main(
    expression: Annotated[str, typer.Argument(help="For instance 'tanh(x * y + 1)'. It is parsed, never run as Python.")],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=SIZES]...", help="More shapes, after --shape.", show_default=False)
    ] = None,
    shape: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SIZES", help="The shape of an array: x=1000,10 (x= for a 0-d one).")
    ] = None,
    dtype: Annotated[str, typer.Option(help="The arrays' dtype.")] = "float32",
    device: Annotated[str, typer.Option(help="The context: cpu, gpu, cpu(1), ...")] = "",
    grad: Annotated[bool, typer.Option("--grad", help="Show the backward pass, too.")] = False,
) -> None:
    """Print the OpenCL C that an expression runs as, and the number of launches."""
    try:
        parsed = Expression.parse(expression)
        shapes = read_shapes([*(shape or []), *(more or [])], parsed)
        phases, where = run(parsed, shapes, dtype, read_context(device), grad)
    except (MXNetError, ValueError, TypeError, MemoryError) as error:
        fail(str(error) or type(error).__name__)
    show(phases, where)


def read_shapes(texts: Sequence[str], expression: Expression) -> dict[str, tuple[int, ...]]:
    """Read shapes as they are typed: ``x=1000,10``.

    Raises
    ------
    ValueError
        When one cannot be read, is given twice, is missing, or belongs to no array of the expression.

    Examples
    --------
    >>> read_shapes(["x=1000,10", "y="], Expression.parse("x + y"))
    {'x': (1000, 10), 'y': ()}
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        match = re.fullmatch(r"\s*(\w+)\s*=\s*\(?\s*((?:\d+\s*,?\s*)*)\)?\s*", text)
        if match is None:
            raise ValueError(f"--shape {text}: a shape is given as a name and sizes, x=1000,10")
        name, sizes = match[1], tuple(map(int, re.findall(r"\d+", match[2])))
        if name not in expression.names:
            known = ", ".join(expression.names) or "none"
            raise ValueError(f"--shape {text}: there is no array {name} in {expression.text} (there are: {known})")
        if shapes.setdefault(name, sizes) != sizes:
            raise ValueError(f"--shape {text}: {name} has the shape {shapes[name]} already")
    return shapes


def read_context(text: str) -> mx.Context:
    """Read a context as it is typed; the current one for nothing.

    Raises
    ------
    ValueError
        When it is none.
    """
    if not text:
        return mx.current_context()
    match = re.fullmatch(r"(cpu|gpu)(?:[(:]?(\d+)\)?)?", text)
    if match is None:
        raise ValueError(f"--device {text}: a context is given as cpu, gpu, cpu(1), gpu(1), ...; `clnd devices` lists them")
    return mx.Context(match[1], int(match[2] or 0))


def operators() -> dict[str, Any]:
    """Give the functions that an expression may call: the operators, by all their names in `nd`, and no other function there."""
    known = {*ops.registry, *chain(*names.RENAMED.values(), *names.ALIASES.values())}
    return {name: function for name, function in vars(nd).items() if name in known and function.__module__ == nd.__name__}


def run(
    expression: Expression, shapes: dict[str, tuple[int, ...]], dtype: str, context: mx.Context, grad: bool
) -> tuple[dict[str, list[Launch]], str]:
    """Run an expression and watch.

    Returns
    -------
    launches, where
        The launches of each phase, and the device.
    """
    device = context.device
    with watched(device) as launches, context:
        arrays = {name: nd.ones(sizes, dtype=dtype) for name, sizes in shapes.items()}
        if grad:
            for array in arrays.values():
                array.attach_grad()
        wait(*arrays.values())
        launches.clear()  # of what only makes the arrays
        with autograd.record() if grad else nullcontext():
            value = expression.evaluate(arrays, operators())
        results = list(value) if isinstance(value, list | tuple) else [value]
        if not all(isinstance(result, nd.NDArray) for result in results):
            raise ExpressionError(expression.text, 0, "this is a number: there is no array in it")
        wait(*results)
        phases = {"forward": launches[:]}
        if grad:
            autograd.backward(results)
            wait(*arrays.values())
            phases["backward"] = launches[len(phases["forward"]) :]
    return phases, f"{context}, {device.name}"


def wait(*arrays: nd.NDArray) -> None:
    """Wait until arrays and their gradients are computed."""
    for array in arrays:
        array.wait_to_read()
        if array.grad is not None:
            array.grad.wait_to_read()


def show(phases: dict[str, list[Launch]], where: str) -> None:
    """Print launches as OpenCL C, each kernel once."""
    out = console()
    shown: set[str] = set()
    for phase, launches in phases.items():
        for number, launch in enumerate(launches, 1):
            groups = "" if launch.local_size is None else f" in groups of {_size(launch.local_size)}"
            again = "; its source is above" if launch.source in shown else ""
            _print(
                out, f"// {phase}, launch {number} of {len(launches)}: {launch.name}, {_size(launch.global_size)} work-items{groups}{again}"
            )
            if launch.source not in shown:
                _print(out, launch.source.rstrip() + "\n")
                shown.add(launch.source)
    counts = ", ".join(f"{len(launches)} {phase}" for phase, launches in phases.items())
    _print(out, f"// launches: {counts}, on {where}")


def _size(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))


def _print(out: Console, source: str) -> None:
    if out.is_terminal:
        out.print(Syntax(source, "c", theme="ansi_dark", word_wrap=True))
    else:
        typer.echo(source)
