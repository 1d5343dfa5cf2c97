"""Kernels that take rows whole, in several passes of which the first brings a row to the cache: softmax and normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes

# Arithmetic operations on an element in each step, its part in the row's sums and greatest number among them.
_OPERATIONS = {
    "softmax": 5,
    "log_softmax": 5,
    "softmax_back": 4,
    "log_softmax_back": 4,
    "normalized": 8,
    "normalized_back": 12,
}


class Rows(NamedTuple):
    """`rows` rows, `step` elements apart, each of `parts` pieces of `n` elements, `part_step` apart."""

    rows: int
    parts: int
    n: int
    step: int
    part_step: int


def along(data: Value, axis: int) -> Rows | None:
    """The rows along an axis; None where elements of others lie between."""
    n = data.shape[axis]
    if any(size != 1 for size in data.shape[axis + 1 :]):
        return None
    return Rows(data.size // max(1, n), 1, n, n, n)


def grid(device: Any, rows: Rows, passes: int) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Global and local size for kernels that go over each row so many times; None where rows are too few to share, or too long."""
    traits, size = device.traits, rows.rows * rows.parts * rows.n
    if traits.schedule == "gpu":
        items = min(rows.rows, 64 * traits.compute_units)
        taken = -(-rows.rows // max(1, items)) * passes * -(-rows.parts * rows.n // traits.group)
        group = (traits.group,)
    else:
        row = passes * rows.parts * (-(-rows.n // traits.lanes) + 1)
        items = max(
            min(rows.rows, 4 * traits.compute_units, rows.rows * rows.parts * rows.n // 4096), -(-rows.rows * row // engine.ROUNDS), 1
        )
        taken = -(-rows.rows // items) * row
        group = (1,)
    few = rows.rows < 2 * traits.compute_units and size >= 65536
    if few or not size or taken > 4 * engine.ROUNDS:
        return None
    return (items * group[0],), group


def launch(
    template: str,
    step: str,
    rows: Rows,
    sizes: tuple[tuple[int, ...], tuple[int, ...]],
    results: Sequence[Any],
    arrays: Sequence[Value],
    storage: np.dtype[Any],
    numbers: Sequence[Any] = (),
    **parameters: Any,
) -> None:
    """Launch a step of a template: results (buffers), arrays (compact, with where each starts), rows, numbers of the computing type."""
    device, info = arrays[0].device, dtypes.INFO[storage]
    reach = rows.rows * rows.step + rows.parts * rows.part_step
    index = engine.index_type([x.layout for x in arrays], reach)
    key = (device, template, step, storage, index, len(arrays), *parameters.items())
    kernel = engine.kept(
        key,
        lambda: device.kernel(
            template,
            f"{step}__{storage}",
            arguments=(*["buffer"] * len(results), *["buffer", index] * len(arrays), *[index] * 5, *[info.compute] * len(numbers)),
            step=step,
            index=index,
            storage=info.storage,
            compute=info.compute,
            group=device.traits.group,
            **parameters,
        ),
    )
    places = [part for x in arrays for part in (x.buffer, x.offset)]
    engine.operations(_OPERATIONS[step] * rows.rows * rows.parts * rows.n)
    kernel(*sizes, *results, *places, *rows, *numbers)
