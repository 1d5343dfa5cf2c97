"""`clnd tune`: measure products of matrices on a device, and keep what is fastest."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import track
from rich.table import Table

from clnd.cli.kernels import read_context
from clnd.cli.output import console, fail
from clnd.engine import dtypes
from clnd.engine.layout import row_major
from clnd.errors import MXNetError
from clnd.opencl.cache import cache_folder
from clnd.opencl.measured import forget_measured
from clnd.ops.product_plans import Choice, Lines, Problem, computed_in
from clnd.ops.tuning import Tuned, tune

# Batch, rows, depth, columns, and which factors are transposed.
COMMON = [
    *[(1, n, n, n, turned) for n in (64, 128, 256, 512, 1024, 2048) for turned in ("", "left", "right")],
    *[(1, 1024, 1024, 8, ""), (1, 8, 1024, 1024, ""), (1, 8, 1024, 1024, "right"), (1, 1, 1024, 1024, ""), (1, 1, 1024, 1024, "right")],
    *[(1, 64, 784, 256, "right"), (1, 512, 784, 256, "right"), (1, 1024, 512, 2048, "right"), (1, 1024, 2048, 512, "right")],
    *[(64, 128, 128, 128, ""), (64, 128, 64, 128, "right"), (64, 128, 128, 64, "")],
]


def main(
    device: Annotated[str, typer.Option(help="The context: cpu, gpu, cpu(1), ...")] = "",
    dtype: Annotated[str, typer.Option(help="The factors' dtype.")] = "float32",
    forget: Annotated[bool, typer.Option("--forget", help="Forget what was measured before.")] = False,
) -> None:
    """Measure products of common sizes once, and keep the fastest form of each for later runs."""
    out = console()
    if cache_folder() is None:
        fail("Nothing can be kept: CLND_CACHE is empty.")
    if forget:
        out.print(f"Forgotten: {forget_measured()} files")
        return
    try:
        problems = [problem(device, dtype, *sizes) for sizes in COMMON]
        found = [tune(each) for each in track(problems, description="Measuring", console=out, transient=True)]
    except (MXNetError, ValueError, TypeError) as error:
        fail(str(error))
    out.print(f"{problems[0].device}", markup=False)
    show(list(zip(problems, found, strict=True)))


def problem(device: str, dtype: str, batch: int, m: int, k: int, n: int, turned: str) -> Problem:
    """A product as the operators would meet it: of compact factors."""
    left, right = ((batch, k, m) if turned == "left" else (batch, m, k)), ((batch, n, k) if turned == "right" else (batch, k, n))
    return Problem(
        read_context(device).device,
        computed_in(dtypes.as_dtype(dtype)),
        Lines.of(left, row_major(left), 0, turned == "left"),
        Lines.of(right, row_major(right), 0, turned != "right"),
    )


def show(found: list[tuple[Problem, Tuned]]) -> None:
    """Print what was chosen, and what it gains."""
    table = Table("Product", "Rule", "Chosen")
    for title in ("Rule, us", "Chosen, us", "Gain"):
        table.add_column(title, justify="right", no_wrap=True)
    for (each, tuned), (*_, turned) in zip(found, COMMON, strict=True):
        batch, m, n, k = each.sizes
        name = f"{f'{batch} of ' if batch > 1 else ''}{m}x{k} by {k}x{n}{f', {turned} transposed' if turned else ''}"
        changed = tuned.chosen != tuned.rule
        table.add_row(
            *(name, form(tuned.rule), form(tuned.chosen) if changed else ""),
            *(f"{tuned.before * 1e6:.1f}", f"{tuned.after * 1e6:.1f}", f"{tuned.before / tuned.after:.2f}" if changed else ""),
        )
    console().print(table)


def form(choice: Choice) -> str:
    """Describe a form in a few words.

    Examples
    --------
    >>> form(Choice("tiles", 12, 2, (False, True), False))
    'tiles 12x2, right packed'
    """
    names = ("right", "left") if choice.exchanged else ("left", "right")
    packed = [name for name, yes in zip(names, choice.packed, strict=True) if yes]
    return ", ".join(
        (
            f"{choice.form} {choice.rows}x{choice.columns}",
            *([f"{' and '.join(packed)} packed"] if packed else []),
            *(["exchanged"] if choice.exchanged else []),
        )
    )
