"""Writing and adding where arrays of indices say, and positions in several axes as one. No index reaches memory unchecked."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape

from .declare import broadcast_shapes, converted, launched, normalize_axis, registry, zero
from .indexing import along, in_range, take, true_positions

_PART = 2 * engine.ROUNDS  # of the indices: a launch goes through so many, and a work-item through all of them where they are equal


def _ordered(indices: Value) -> tuple[Value, Value]:
    """Indices that are in range, flattened, and the order that sorts them, equal ones by their place."""
    flat = engine.gathered(registry["reshape"](indices, shape=(indices.size,)))
    return flat, engine.gathered(registry["sorted_places"](flat))


@launched(grad=(lambda dz, indices, axis, mode: take(dz, indices, axis=axis, mode=mode),), numpy=None)
def add_at(data: Value, indices: Value, *, shape: Shape, axis: int, mode: str) -> Value:
    """Zeros of `shape` to which `data` is added at `indices` along `axis`: what `take` does, backwards.

    Repeated indices add up in the order in which they stand, whatever the device.
    """
    axis = normalize_axis("add_at", axis, len(shape))
    outer, n, inner = prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
    dtype = data.dtype
    wide = dtypes.float32 if dtype == dtypes.float16 else dtype
    result = registry["full"](shape=shape, value=0, dtype=wide, device=data.device)
    if result.size == 0 or indices.size == 0:
        return converted(result, dtype)
    data, result = engine.gathered(converted(data, wide)), engine.ready(result)
    indices, order = _ordered(in_range("add_at", indices, n, mode))
    device, info, traits = data.device, dtypes.INFO[wide], data.device.traits
    kernel = device.kernel(
        "scatter",
        f"add_at__{wide}",
        arguments=("buffer", "buffer", "long", "buffer", "long", "buffer", "long", *["long"] * 7),
        step="add",
        storage=info.storage,
        category=info.category,
    )
    pieces = outer * (inner // traits.lanes + inner % traits.lanes)
    part = min(indices.size, _PART)
    shares = max(1, min(part // 256, 4 * traits.compute_units)) if traits.schedule == "cpu" else part
    group = 1 if traits.schedule == "cpu" else traits.group
    grid = (-(-pieces * shares // group) * group,), (group,)
    given = (result.buffer, data.buffer, data.offset, indices.buffer, indices.offset, order.buffer, order.offset)
    for begin in range(0, indices.size, _PART):
        kernel(*grid, *given, outer, n, inner, indices.size, shares, begin, min(indices.size, begin + _PART))
    return converted(result, dtype)


def assign_rows(buffer: Any, sizes: tuple[int, int, int], indices: Value, source: Value) -> None:
    """out[o, indices[j], i] = source[o, j, i] in a buffer that nobody else reads; `sizes` are those of its axes.

    The indices are in range; of repeated ones the last wins.
    """
    source = engine.gathered(source)
    if source.size == 0:
        return
    indices, order = _ordered(indices)
    device, info = source.device, dtypes.INFO[source.dtype]
    kernel = device.kernel(
        "scatter",
        f"put__{source.dtype}",
        arguments=("buffer", "buffer", "long", "buffer", "long", "buffer", "long", *["long"] * 4),
        step="assign",
        storage=info.storage if info.storage != "half" else "ushort",
    )
    given = (buffer, source.buffer, source.offset, indices.buffer, indices.offset, order.buffer, order.offset)
    kernel(*engine.grid(device.traits, source.size), *given, *sizes, indices.size)


def _zero(like: Value, dtype: Any, shape: Shape = ()) -> Value:
    return registry["full"](shape=shape, value=0, dtype=dtype, device=like.device)


def _put_back(dz: Value, indices: Value, axis: int) -> Value:
    """The gradient of the source of `put`: zero where a later one was written over it."""
    places = registry["reshape"](along(0, 1, indices.size, dz.device), shape=indices.shape)
    last = registry["put"](_zero(dz, dtypes.int64, dz.shape[axis : axis + 1]), indices, places, axis=0)
    won = registry["reshape"](registry["equal"](take(last, indices), places), shape=indices.shape + (1,) * (dz.ndim - axis - 1))
    return registry["where"](won, take(dz, indices, axis=axis), 0)


@launched(
    grad=(
        lambda dz, indices, axis: registry["put"](dz, indices, _zero(dz, dz.dtype), axis=axis),
        zero,
        lambda dz, indices, axis: _put_back(dz, indices, axis),
    ),
    numpy=None,
)
def put(data: Value, indices: Value, source: Value, *, axis: int) -> Value:
    """A copy of `data` in which the elements at `indices` along `axis` are those of `source`, broadcast and converted.

    An index out of range becomes the nearest; of repeated ones the last wins.
    """
    axis = normalize_axis("put", axis, data.ndim)
    shape = data.shape[:axis] + indices.shape + data.shape[axis + 1 :]
    source = registry["broadcast_to"](converted(source, data.dtype), shape=shape)
    result = engine.copied(data)
    if source.size:
        sizes = (prod(data.shape[:axis]), data.shape[axis], prod(data.shape[axis + 1 :]))
        assign_rows(result.buffer, sizes, in_range("put", indices, data.shape[axis], "clip"), source)
    return result


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

    def __init__(self, shape: Shape, indices: Sequence[tuple[int, Value]], integers: Sequence[int] = ()) -> None:
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
            total = registry["reshape"](index, shape=index.shape + (1,) * len(between)) * step + total
        for i, axis in enumerate(between):
            total = total + along(i - len(between), len(between), shape[axis], index.device) * prod(shape[axis + 1 : last])
        wide = common + tuple(shape[axis] for axis in between)
        self.positions: Value = registry["broadcast_to"](total, shape=wide)
        self.shape, self.axis = shape, first
        self.joined = (*shape[:first], prod(shape[first:last]), *shape[last:])
        picked = shape[:first] + wide + shape[last:]
        # Where the axes of the indices come first: the order of the axes that says so, and the way back.
        moved = range(first, first + len(common)) if between else ()
        self.order = (*moved, *(axis for axis in range(len(picked)) if axis not in moved))
        self.back = tuple(self.order.index(axis) for axis in range(len(picked)))
        self.result = tuple(picked[axis] for axis in self.order)

    def of(self, data: Value) -> Value:
        """What is selected of `data`."""
        found = take(registry["reshape"](data, shape=self.joined), self.positions, axis=self.axis, mode="clip")
        return registry["transpose"](found, axes=self.order) if found.ndim else found

    def turned(self, source: Value) -> Value:
        """`source`, of the selection's shape, as the operators on the joined axis take it."""
        return registry["transpose"](source, axes=self.back) if source.ndim else source

    def assigned(self, data: Value, source: Value) -> Value:
        """A copy of `data` with `source` in place of what is selected; of elements selected twice the last one stays."""
        written = put(registry["reshape"](data, shape=self.joined), self.positions, self.turned(source), axis=self.axis)
        return registry["reshape"](written, shape=self.shape)

    def assign_in(self, buffer: Any, source: Value) -> None:
        """Write `source` into a buffer that holds the array, and that nobody else reads."""
        outer, inner = prod(self.joined[: self.axis]), prod(self.joined[self.axis + 1 :])
        assign_rows(buffer, (outer, self.joined[self.axis], inner), self.positions, self.turned(source))
