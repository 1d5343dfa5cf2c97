"""Arrays put together, and taken apart: joined, split, repeated, padded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes, layout
from clnd.engine.layout import Shape
from clnd.errors import DTypeError, ShapeError

from .declare import composed, converted, launched, normalize_axis, registry, shape_of, whole_number, whole_numbers
from .shape import reshape, slice_axis, squeeze, window

Widths = tuple[tuple[int, int], ...]  # how many elements stand before and after those of each axis
MEMBERS = (4, 16)  # arrays that one launch joins
_SEGMENT = 1024  # elements of a row that a work-item of the CPU schedule writes in one go


@launched(
    grad=lambda dz, position, shapes, dim: _part(dz, position, shapes, dim),
    numpy=lambda *data, dim: np.concatenate(data, dim),
    methods=[],
)
def concat(*data: Value, dim: int = 1) -> Value:
    """The arrays one after another along axis `dim`.

    >>> from clnd import nd
    >>> nd.concat(nd.array([[1], [2]]), nd.array([[3], [4]]), dim=1).asnumpy()
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    check_arrays("concat", data)
    first = data[0]
    axis = normalize_axis("concat", dim, first.ndim)
    dtype = first.dtype
    for x in data:
        if x.ndim != first.ndim or any(n != m for i, (n, m) in enumerate(zip(x.shape, first.shape, strict=True)) if i != axis):
            listed = " ".join(str(list(x.shape)) for x in data)
            raise ShapeError(f"concat: shapes {listed} differ in another axis than {axis}")
        dtype = dtypes.promote(dtype, x.dtype)
    registry["concat"].device(data)
    shape = tuple(sum(x.shape[axis] for x in data) if i == axis else n for i, n in enumerate(first.shape))
    return _joined(Value(shape, dtype, first.device), data, axis)


def _joined(result: Value, data: Sequence[Value], axis: int) -> Value:
    """The arrays one after another along an axis of the result, which those that are stacked lack."""
    shape, dtype = result.shape, result.dtype
    if result.size == 0:
        return result
    result.place(result.device.allocate(result.size * dtype.itemsize), layout.compact(shape))
    stacked, rows, row = data[0].ndim < len(shape), prod(shape[:axis]), prod(shape[axis:])
    strides = tuple(step for i, step in enumerate(result.layout.strides) if not (stacked and i == axis))
    at, lying = 0, []
    for x in data:
        if x.size:
            x = registry["cast"](x, dtype=dtype) if x.dtype != dtype else x
            wide = x.size // rows
            part = None if x.strides is None else layout.reshape(x.layout, (rows, wide))
            if part is not None and (part.strides[1] == 1 or wide == 1):
                lying.append((x, part, at))
            else:
                engine.write_region(engine.Slot(result), layout.Layout(x.shape, strides, at), x)
            at += wide
    for first in range(0, len(lying), MEMBERS[-1]):
        _join(result, rows, row, lying[first : first + MEMBERS[-1]])
    return result


def _join(result: Value, rows: int, row: int, parts: Sequence[tuple[Value, layout.Layout, int]]) -> None:
    """Write rows of arrays into rows of the result; each of `parts` is an array, its rows, and where in a row of the result they go."""
    device, storage = result.device, dtypes.UNSIGNED[result.dtype.itemsize]
    index = engine.index_type([result.layout, *(part for _, part, _ in parts)], result.size)
    members = next(n for n in MEMBERS if n >= len(parts))
    kernel = engine.kept(
        (device, "join", storage, index, members),
        lambda: device.kernel(
            "join",
            f"join_{members}__{storage}",
            arguments=("buffer", index, index, *("buffer", *[index] * 4) * members),
            index=index,
            storage=storage,
            members=members,
        ),
    )
    arguments: list[Any] = []
    for x, part, place in parts:
        arguments += [x.buffer, part.offset, part.strides[0], part.shape[1], place]
    arguments += [parts[0][0].buffer, 0, 0, 0, 0] * (members - len(parts))
    lanes, narrowest = device.traits.lanes, min(part.shape[1] for _, part, _ in parts)
    rounds = max(1, engine.ROUNDS * min(lanes, narrowest) // (2 * lanes))
    kernel(*engine.grid(device.traits, rows * sum(part.shape[1] for _, part, _ in parts), rounds), result.buffer, rows, row, *arguments)


def check_arrays(name: str, data: Sequence[Any]) -> None:
    """Raise DTypeError unless there are values, and nothing else."""
    wrong = [repr(x) for x in data if not isinstance(x, Value)]
    if wrong or not data:
        raise DTypeError(f"{name} takes one array or more, and was given {', '.join(wrong) or 'nothing'}")


def _part(dz: Value, position: int, shapes: Sequence[Shape], dim: int) -> Value:
    axis = dim % dz.ndim
    return _run(dz, axis, sum(shape[axis] for shape in shapes[:position]), shapes[position][axis])


def _layer(dz: Value, position: int, axis: int) -> Value:
    return reshape(_run(dz, axis, position, 1), shape=(*dz.shape[:axis], *dz.shape[axis + 1 :]))


def _run(dz: Value, axis: int, begin: int, count: int) -> Value:
    before, after = (0,) * axis, (0,) * (dz.ndim - axis - 1)
    counts = (*dz.shape[:axis], count, *dz.shape[axis + 1 :])
    return window(dz, begin=(*before, begin, *after), count=counts, step=(1,) * dz.ndim)


@launched(
    grad=lambda dz, position, axis: _layer(dz, position, axis % dz.ndim),
    numpy=lambda *data, axis: np.stack(data, axis),
    methods=[],
)
def stack(*data: Value, axis: int = 0) -> Value:
    """The arrays, all of one shape, along a new axis.

    >>> from clnd import nd
    >>> nd.stack(nd.array([1, 2]), nd.array([3, 4]), axis=1).asnumpy()
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    check_arrays("stack", data)
    if any(x.shape != data[0].shape for x in data):
        raise ShapeError(f"stack: the shapes differ: {' '.join(str(list(x.shape)) for x in data)}")
    first = data[0]
    axis = normalize_axis("stack", axis, first.ndim + 1)
    dtype = reduce(dtypes.promote, (x.dtype for x in data))
    shape = shape_of("stack", (*first.shape[:axis], len(data), *first.shape[axis:]), "result")
    return _joined(Value(shape, dtype, registry["stack"].device(data)), data, axis)


@composed(numpy=None)
def split(data: Value, *, sections: Sequence[tuple[int, int]], axis: int) -> list[Value]:
    """Parts of an axis.

    >>> from clnd import nd
    >>> [part.asnumpy() for part in nd.split(nd.array([[1, 2, 3, 4]]), num_outputs=2)]
    [array([[1., 2.]], dtype=float32), array([[3., 4.]], dtype=float32)]
    """
    return [slice_axis(data, axis=axis, begin=begin, end=end) for begin, end in sections]


@composed(numpy=None, methods=["split_v2"])
def split_v2(ary: Value, *, indices_or_sections: Any, axis: int = 0, squeeze_axis: bool = False) -> list[Value]:
    """Parts of an axis: as many equal ones as a number says, or such that the second and each further one begins where a tuple says.

    Parameters
    ----------
    squeeze_axis : bool
        Drop the axis, of which each part has one element then?

    >>> from clnd import nd
    >>> [part.asnumpy() for part in nd.split_v2(nd.array([1, 2, 3, 4]), (1, 3))]
    [array([1.], dtype=float32), array([2., 3.], dtype=float32), array([4.], dtype=float32)]
    """
    axis = normalize_axis("split_v2", axis, ary.ndim)
    n, given = ary.shape[axis], whole_numbers("split_v2", "indices_or_sections", indices_or_sections)
    if isinstance(indices_or_sections, (int, np.integer)):
        sections = equal_parts("split_v2", n, given[0])
    else:
        ends = (0, *given, n)
        sections = list(pairwise(ends))
        if any(begin > end for begin, end in sections):
            raise ShapeError(f"split_v2: the indices {given} must be in order, from 0 to the {n} elements of axis {axis}")
    parts: list[Value] = split(ary, sections=sections, axis=axis)
    if squeeze_axis and any(end - begin != 1 for begin, end in sections):
        raise ShapeError(f"split_v2: squeeze_axis needs parts of one element, but axis {axis} of {n} is split at {given}")
    return [squeeze(part, axis=axis) for part in parts] if squeeze_axis else parts


def equal_parts(name: str, n: int, count: int) -> list[tuple[int, int]]:
    """Where `count` equal parts of `n` elements begin and end."""
    if count < 1 or n % count:
        raise ShapeError(f"{name}: an axis of {n} elements cannot be split into {count} equal parts")
    return [(i * n // count, (i + 1) * n // count) for i in range(count)]


def _tile_back(dz: Value, data_shape: Shape, reps: Any) -> Value:
    sizes, counts = _tiled(data_shape, reps)
    parts = registry["reshape"](dz, shape=tuple(n for pair in zip(counts, sizes, strict=True) for n in pair))
    return reshape(registry["sum"](parts, axis=tuple(range(0, parts.ndim, 2))), shape=data_shape)


def _tiled(shape: Shape, reps: Any) -> tuple[Shape, Shape]:
    """Sizes and how often each axis is repeated, both with leading ones to be as many as the other."""
    counts = whole_numbers("tile", "reps", reps)
    ndim = max(len(counts), len(shape))
    return (1,) * (ndim - len(shape)) + shape, (1,) * (ndim - len(counts)) + counts


@launched(grad=_tile_back, numpy=np.tile)
def tile(data: Value, *, reps: Any) -> Value:
    """The whole array repeated `reps[i]` times along axis i.

    >>> from clnd import nd
    >>> nd.tile(nd.array([1, 2]), reps=2).asnumpy()
    array([1., 2., 1., 2.], dtype=float32)
    """
    sizes, counts = _tiled(data.shape, reps)
    if min(counts, default=0) < 0:
        raise ShapeError(f"tile: reps {counts} must not be negative")
    shape = shape_of("tile", tuple(c * size for c, size in zip(counts, sizes, strict=True)))
    wide = 1
    for axis in reversed(range(len(sizes))):
        wide *= sizes[axis]
        if counts[axis] != 1:
            data = _repeated(data, counts[axis], wide)
            wide *= counts[axis]
    return reshape(data, shape=shape)


def _repeat_back(dz: Value, data_shape: Shape, repeats: int, axis: int | None) -> Value:
    shape = (prod(data_shape),) if axis is None else data_shape
    axis = normalize_axis("repeat", axis or 0, len(shape))
    parts = reshape(dz, shape=(*shape[: axis + 1], whole_number("repeat", "repeats", repeats), *shape[axis + 1 :]))
    return reshape(registry["sum"](parts, axis=axis + 1), shape=data_shape)


@launched(grad=_repeat_back, numpy=np.repeat)
def repeat(data: Value, *, repeats: int, axis: int | None = None) -> Value:
    """Each element `repeats` times, along `axis` (None: of the flattened array).

    >>> from clnd import nd
    >>> nd.repeat(nd.array([1, 2]), repeats=2).asnumpy()
    array([1., 1., 2., 2.], dtype=float32)
    """
    shape = (data.size,) if axis is None else data.shape
    axis = normalize_axis("repeat", axis or 0, len(shape))
    repeats = whole_number("repeat", "repeats", repeats)
    if repeats < 0:
        raise ShapeError(f"repeat: repeats {repeats} must not be negative")
    wide = shape_of("repeat", (*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :]))
    return reshape(_repeated(data, repeats, prod(shape[axis + 1 :])), shape=wide)


def _repeated(data: Value, copies: int, wide: int) -> Value:
    """Each run of `wide` elements so many times, in one axis."""
    result = Value((data.size * copies,), data.dtype, data.device)
    if result.size == 0:
        return result
    data, device, storage = engine.gathered(data), data.device, dtypes.UNSIGNED[data.dtype.itemsize]
    index = engine.index_type([data.layout], result.size + copies * wide)
    kernel = engine.kept(
        (device, "repeat", storage, index),
        lambda: device.kernel("repeat", f"repeat__{storage}", arguments=("buffer", "buffer", *[index] * 4), index=index, storage=storage),
    )
    result.place(device.allocate(result.size * data.dtype.itemsize), layout.compact(result.shape))
    lanes = device.traits.lanes
    rounds = max(1, engine.ROUNDS * min(lanes, max(wide, copies if wide == 1 else 1)) // (2 * lanes))
    kernel(*engine.grid(device.traits, result.size, rounds), result.buffer, data.buffer, data.offset, data.size // wide, copies, wide)
    return result


@composed(numpy=None)
def pad(data: Value, *, mode: str, pad_width: Any, constant_value: float = 0) -> Value:
    """More elements around the array; its gradient adds up what was repeated.

    Parameters
    ----------
    mode : {"constant", "edge", "reflect"}
        Around it stands `constant_value`, the nearest element, or the array mirrored at its first and last elements.
    pad_width : tuple of int
        For each axis two numbers: how many before and after it. With "constant", negative ones cut elements off.

    >>> from clnd import nd
    >>> nd.pad(nd.array([1, 2, 3]), mode="reflect", pad_width=(2, 1)).asnumpy()
    array([3., 2., 1., 2., 3., 2.], dtype=float32)
    """
    numbers = whole_numbers("pad", "pad_width", pad_width)
    if mode not in ("constant", "edge", "reflect"):
        raise DTypeError(f"pad: mode {mode!r} is not one of constant, edge, reflect")
    if len(numbers) != 2 * data.ndim:
        raise ShapeError(f"pad: pad_width {numbers} must have two numbers for each of the {data.ndim} axes of shape {data.shape}")
    widths = list(zip(numbers[::2], numbers[1::2], strict=True))
    if mode == "constant":
        return _surrounded(data, widths, constant_value)
    for n, (before, after) in zip(data.shape, widths, strict=True):
        if (before or after) and (min(before, after) < 0 or not n or (mode == "reflect" and max(before, after) >= n)):
            raise ShapeError(f"pad: an axis of {n} elements cannot be padded by {before} and {after} with mode {mode!r}")
    return padded(data, mode=mode, widths=tuple(widths), value=0)


def _surrounded(data: Value, widths: list[tuple[int, int]], constant: Any) -> Value:
    """With constants around it; what is cut off is left out before."""
    begin = tuple(max(0, -before) for before, _ in widths)
    count = tuple(n + min(0, before) + min(0, after) for n, (before, after) in zip(data.shape, widths, strict=True))
    if min(count, default=0) < 0:
        raise ShapeError(f"pad: pad_width {widths} cuts off more than the array of shape {data.shape} has")
    kept = window(data, begin=begin, count=count, step=(1,) * data.ndim)
    around = tuple((max(0, before), max(0, after)) for before, after in widths)
    return padded(kept, mode="constant", widths=around, value=dtypes.to_scalar(constant, data.dtype))


def _pad(data: Value, inner: Shape, widths: Widths, mode: str, value: Any = 0) -> Value:
    """Launch templates/pad.cl.mako: an array of shape `inner` with more elements around it, or with "reflect_back" back to it."""
    device, dtype, back = data.device, data.dtype, mode == "reflect_back"
    outer = shape_of("pad", [n + before + after for n, (before, after) in zip(inner, widths, strict=True)])
    result = Value(inner if back else outer, dtype, device)
    if 0 in (data.size, result.size):
        return registry["full"](shape=result.shape, value=value, dtype=dtype, device=device)
    axes = [(1, 0, 1)]  # elements inside, before them, and in all; axes that get none are joined
    for n, (before, after) in zip(inner, widths, strict=True):
        if (before, after) == (0, 0) == (axes[-1][1], axes[-1][2] - axes[-1][0]):
            axes[-1] = (axes[-1][0] * n, 0, axes[-1][0] * n)
        else:
            axes.append((n, before, before + n + after))
    if len(axes) > 1 and axes[0] == (1, 0, 1):
        del axes[0]
    traits, data, size = device.traits, engine.gathered(data), dtype.itemsize
    # Elements that are only moved are bits; sums of signed integers are those of unsigned ones, which may overflow.
    storage = dtypes.INFO[dtype].storage if back and dtypes.category(dtype) == "float" else dtypes.UNSIGNED[size]
    index = engine.index_type([data.layout], result.size)
    surround = [int(np.array(value, dtype).view(f"u{size}"))] if mode == "constant" else []
    kernel = engine.kept(
        (device, "pad", mode, storage, len(axes), index),
        lambda: device.kernel(
            "pad",
            f"pad_{mode}__{storage}_{len(axes)}d",
            arguments=("buffer", "buffer", *[index] * (2 + 3 * len(axes)), *[dtypes.UNSIGNED[size]] * len(surround)),
            index=index,
            storage=storage,
            dims=len(axes),
            mode=mode,
        ),
    )
    buffer = device.allocate(result.size * size)
    row = axes[-1][0] if back else axes[-1][2]
    rounds = (1 + 8 // row) * (3 ** len(axes) if back else 1)  # of an element, with its share of what there is around a row
    grid = engine.grid(traits, result.size, max(1, engine.ROUNDS // (traits.lanes * rounds)))
    segment = _SEGMENT if traits.schedule == "cpu" else 1
    kernel(*grid, buffer, data.buffer, data.offset, *(n for axis in axes for n in axis), segment, *surround)
    return result.place(buffer, layout.compact(result.shape))


def _inner(shape: Shape, widths: Widths) -> Shape:
    """The shape of what was padded to `shape`."""
    return tuple(n - before - after for n, (before, after) in zip(shape, widths, strict=True))


def _pad_back(dz: Value, mode: str, widths: Widths) -> Value:
    if mode == "edge":
        return _edges_added(dz, widths)
    if mode == "reflect":
        wide = dtypes.promote(dz.dtype, dtypes.float32) if dtypes.category(dz.dtype) == "float" else dz.dtype
        return converted(padded_back(converted(dz, wide), widths=widths), dz.dtype)
    begin = tuple(before for before, _ in widths)
    kept: Value = window(dz, begin=begin, count=_inner(dz.shape, widths), step=(1,) * dz.ndim)
    return kept


def _edges_added(dz: Value, widths: Widths) -> Value:
    """Without the elements around it, which are added to the first and last ones."""
    for axis, (before, after) in enumerate(widths):
        if not before and not after:
            continue
        n = dz.shape[axis] - before - after
        if n == 1:
            dz = registry["sum"](dz, axis=axis, keepdims=True)
            continue
        first, last = ((0, before + 1), (before + n - 1, dz.shape[axis]))
        ends = [registry["sum"](slice_axis(dz, axis=axis, begin=a, end=b), axis=axis, keepdims=True) for a, b in (first, last)]
        dz = concat(ends[0], slice_axis(dz, axis=axis, begin=first[1], end=last[0]), ends[1], dim=axis)
    return dz


@launched(grad=_pad_back, methods=[])
def padded(data: Value, *, mode: str, widths: Widths, value: Any) -> Value:
    """`pad` by numbers that are not negative, and fit."""
    return _pad(data, data.shape, widths, mode, value)


@launched(grad=lambda dz, widths: padded(dz, mode="reflect", widths=widths, value=0), methods=[])
def padded_back(data: Value, *, widths: Widths) -> Value:
    """The gradient of what was padded by reflection: its elements, with all that mirror them added."""
    return _pad(data, _inner(data.shape, widths), widths, "reflect_back")
