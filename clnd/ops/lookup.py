"""What NumPy's index arrays select, beside slices and integers: read and written."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape

from .creation import along
from .declare import broadcast_shapes, registry
from .indexing import in_range, take, true_positions
from .positions import assign_rows, put


class Lookup:
    """What index arrays select of an array, by NumPy's rule: they are broadcast together, and stand for one element each.

    Their axes come in place of those that they index, or first where other axes stand between these. Integers beside them count as such
    arrays. Axes between are indexed by all their positions, so that positions in one joined axis say it all.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    indices : list of (int, Value)
        Index arrays and masks, each with the axis that it begins with.
    integers : sequence of int
        Axes of one element that integers beside the arrays have selected.
    apart : bool
        Do the axes of the indices come first in any case? So it is where an ellipsis of no axes stands between.

    Attributes
    ----------
    positions : Value
        In the joined axis.
    result : tuple of int
        The shape of what is selected.

    Raises
    ------
    IndexError
        For an index out of range; negative ones count from the end.
    """

    def __init__(self, shape: Shape, indices: Sequence[tuple[int, Value]], integers: Sequence[int] = (), apart: bool = False) -> None:
        widths = {axis: index.ndim if index.dtype == dtypes.bool_ else 1 for axis, index in indices}
        indexed = {axis + i for axis, width in widths.items() for i in range(width)} | set(integers)
        first, last = min(indexed), max(indexed) + 1
        between = [axis for axis in range(first, last) if axis not in indexed]
        whole: list[tuple[int, Value]] = []  # the distance of neighbours in the joined axis, and positions
        for axis, index in indices:
            end = axis + widths[axis]
            n = prod(shape[axis:end])
            index = registry["stop_gradient"](index)
            checked = true_positions(index) if index.dtype == dtypes.bool_ else in_range(f"x[...], axis {axis}", index, n, "raise")
            whole.append((prod(shape[end:last]), checked))
        common = broadcast_shapes("x[...]", [index.shape for _, index in whole])
        total: Any = 0
        for step, index in whole:
            index = registry["reshape"](index, shape=index.shape + (1,) * len(between)) if between else index
            index = index if step == 1 else index * step
            total = index + total if isinstance(total, Value) else index
        for i, axis in enumerate(between):
            total = total + along(i - len(between), len(between), shape[axis], index.device) * prod(shape[axis + 1 : last])
        wide = common + tuple(shape[axis] for axis in between)
        self.positions: Value = total if total.shape == wide else registry["broadcast_to"](total, shape=wide)
        self.shape, self.axis = shape, first
        self.joined = (*shape[:first], prod(shape[first:last]), *shape[last:])
        picked = shape[:first] + wide + shape[last:]
        # Where the axes of the indices come first: the order of the axes that says so, and the way back.
        moved = range(first, first + len(common)) if between or apart else ()
        self.order = (*moved, *(axis for axis in range(len(picked)) if axis not in moved))
        self.back = tuple(self.order.index(axis) for axis in range(len(picked)))
        self.result = tuple(picked[axis] for axis in self.order)

    def of(self, data: Value) -> Value:
        """What is selected of `data`."""
        data = data if data.shape == self.joined else registry["reshape"](data, shape=self.joined)
        found = take(data, self.positions, axis=self.axis, mode="clip")
        return found if self.back == tuple(range(found.ndim)) else registry["transpose"](found, axes=self.order)

    def turned(self, source: Value) -> Value:
        """`source`, of the selection's shape, as the operators on the joined axis take it."""
        return source if self.back == tuple(range(source.ndim)) else registry["transpose"](source, axes=self.back)

    def assigned(self, data: Value, source: Value) -> Value:
        """A copy of `data` with `source` in place of what is selected; of elements selected twice the last one stays."""
        written = put(registry["reshape"](data, shape=self.joined), self.positions, self.turned(source), axis=self.axis)
        return registry["reshape"](written, shape=self.shape)

    def assign_in(self, buffer: Any, source: Value) -> None:
        """Write `source` into a buffer that holds the array, and that nobody else reads."""
        outer, inner = prod(self.joined[: self.axis]), prod(self.joined[self.axis + 1 :])
        assign_rows(buffer, (outer, self.joined[self.axis], inner), self.positions, self.turned(source))
