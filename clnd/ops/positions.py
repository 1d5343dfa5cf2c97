"""Writing and adding where arrays of indices say, and positions in several axes as one. No index reaches memory unchecked."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape
from clnd.errors import ShapeError

from .creation import along
from .declare import composed, converted, launched, normalize_axis, registry, whole_numbers, zero
from .indexing import beyond, checked_rows, from_begin, in_range, readable, row_code, take

_PART = 2 * engine.ROUNDS  # of the indices: a launch goes through so many, and a work-item through all of them where they are equal
_BLOCK = 16  # neighbouring rows that one work-item writes: a line of the cache at least


def _scatter(step: str, buffer: Any, sizes: tuple[int, int, int], indices: Value, data: Value, mode: str) -> None:
    """Write the rows of `data` to those of a buffer that nobody else reads, in the order of the indices."""
    data, traits, info = engine.gathered(data), data.device.traits, dtypes.INFO[data.dtype]
    cpu = traits.schedule == "cpu"
    indices = registry["reshape"](indices, shape=(indices.size,))
    if not cpu:  # the order is that of the rows
        indices, mode = in_range(step, indices, sizes[1], mode), "clip"
    indices = readable(indices)
    kernel = data.device.kernel(
        "scatter",
        f"{step}__{data.dtype}__{indices.dtype}_{mode}",
        arguments=("buffer", *("buffer", "long") * (2 if cpu else 3), *["long"] * (9 if cpu else 7 if step == "add" else 4)),
        step=step,
        storage=info.storage if info.storage != "half" else "ushort",
        category=info.category if step == "add" else "",
        block=_BLOCK,
        **row_code(indices.dtype, mode),
    )
    given = (buffer, data.buffer, data.offset, indices.buffer, indices.offset)
    if cpu:
        _scatter_shared(kernel, traits, given, (*sizes, indices.size))
    else:
        order = engine.gathered(registry["sorted_places"](indices))
        _scatter_ordered(kernel, traits, step, (*given, order.buffer, order.offset), (*sizes, indices.size))


def _scatter_shared(kernel: Any, traits: Any, given: tuple[Any, ...], sizes: tuple[int, int, int, int]) -> None:
    """Launch the kernel of the cpu schedule: outer axes, columns and rows are shared out, in this order."""
    outer, rows, inner, picked = sizes
    lanes, wanted = traits.lanes, 4 * traits.compute_units
    width = min(inner, 64 * lanes, max(4, -(-inner // (wanted * lanes))) * lanes)
    columns, rounds = -(-inner // width), 1 + width // lanes + width % lanes
    part = min(picked, max(1, 4 * engine.ROUNDS // rounds))
    depth = min(outer, max(1, min(outer * columns // wanted, 4 * engine.ROUNDS // (rounds * part))))
    items = -(-outer // depth) * columns
    parts = 1
    while 2 * parts * items <= wanted and parts * _BLOCK < rows and 64 * parts <= picked:
        parts *= 2
    for begin in range(0, picked, part):
        kernel((items * parts,), (1,), *given, *sizes, depth, width, parts, begin, min(picked, begin + part))


def _scatter_ordered(kernel: Any, traits: Any, step: str, given: tuple[Any, ...], sizes: tuple[int, int, int, int]) -> None:
    """Launch the kernel of the gpu schedule, which needs the order of the indices."""
    outer, _, inner, picked = sizes
    if step == "assign":
        kernel(*engine.grid(traits, outer * inner * picked), *given, *sizes)
        return
    shares = min(picked, _PART)
    grid = (-(-outer * inner * shares // traits.group) * traits.group,), (traits.group,)
    for begin in range(0, picked, _PART):
        kernel(*grid, *given, *sizes, shares, begin, min(picked, begin + _PART))


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
    result = engine.ready(result)
    indices, mode = checked_rows("add_at", indices, n, mode)
    _scatter("add", result.buffer, (outer, n, inner), indices, converted(data, wide), mode)
    return converted(result, dtype)


def assign_rows(buffer: Any, sizes: tuple[int, int, int], indices: Value, source: Value) -> None:
    """out[o, indices[j], i] = source[o, j, i] in a buffer that nobody else reads; `sizes` are those of its axes.

    An index out of range becomes the nearest; of repeated ones the last wins.
    """
    if source.size:
        _scatter("assign", buffer, sizes, indices, source, "clip")


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
        assign_rows(result.buffer, sizes, checked_rows("put", indices, data.shape[axis], "clip")[0], source)
    return result


def _joined(name: str, indices: Value, sizes: Shape) -> Value:
    """Positions in the axes of `sizes` joined to one, from an array that holds those in each axis along its first."""
    if not indices.ndim or indices.shape[0] > len(sizes):
        raise ShapeError(
            f"{name}: indices of shape {indices.shape} do not have, along their first axis, one of at most {len(sizes)} axes each"
        )
    total = registry["full"](shape=indices.shape[1:], value=0, dtype=dtypes.int64, device=indices.device)
    parts = [converted(_part(indices, axis), dtypes.int64) for axis in range(indices.shape[0])]
    # One number tells of all axes, and is waited for once.
    farthest = [beyond(part, n) for part, n in zip(parts, sizes, strict=False)]
    if indices.size and engine.to_numpy(registry["max"](reduce(registry["maximum"], farthest))).item() >= 0:
        for axis, part in enumerate(parts):
            in_range(f"{name}, axis {axis}", part, sizes[axis], "raise")
    for part, n in zip(parts, sizes, strict=False):
        total = total * n + from_begin(part, n)
    return total


def _part(data: Value, i: int) -> Value:
    """data[i]"""
    return registry["reshape"](registry["slice_axis"](data, axis=0, begin=i, end=i + 1), shape=data.shape[1:])


@composed(numpy=None, methods=[])
def gather_nd(data: Value, indices: Value) -> Value:
    """What `data` holds at indices into its first axes: indices[k] are those into axis k.

    Negative indices count from the end; others out of range raise IndexError, which waits for the device.

    >>> from clnd import nd
    >>> nd.gather_nd(nd.array([[1, 2], [3, 4]]), nd.array([[1, 0, 1], [0, 1, 1]])).asnumpy()
    array([3., 2., 4.], dtype=float32)
    """
    depth = indices.shape[0] if indices.ndim else 0
    positions = _joined("gather_nd", indices, data.shape)
    return take(registry["reshape"](data, shape=(prod(data.shape[:depth]), *data.shape[depth:])), positions)


@composed(numpy=None, methods=[])
def scatter_nd(data: Value, indices: Value, *, shape: Shape) -> Value:
    """Zeros of `shape` but for `data` at indices into the first axes: indices[k] are those into axis k. Of repeated ones the last stays.

    Negative indices count from the end; others out of range raise IndexError, which waits for the device. The gradient of what was
    written over is zero.

    >>> from clnd import nd
    >>> nd.scatter_nd(nd.array([1, 2]), nd.array([[0, 1], [1, 0]]), shape=(2, 2)).asnumpy()
    array([[0., 1.],
           [2., 0.]], dtype=float32)
    """
    shape = tuple(shape)
    positions = _joined("scatter_nd", indices, shape)
    depth = indices.shape[0]
    if data.shape != indices.shape[1:] + shape[depth:]:
        raise ShapeError(f"scatter_nd: data of shape {data.shape} and indices of shape {indices.shape} do not fit the shape {shape}")
    rows = _zero(data, data.dtype, (prod(shape[:depth]), *shape[depth:]))
    return registry["reshape"](put(rows, positions, data, axis=0), shape=shape)


@composed(numpy=None, methods=[])
def index_copy(old_tensor: Value, index_vector: Value, new_tensor: Value) -> Value:
    """`old_tensor` with the rows at `index_vector` replaced by those of `new_tensor`; of repeated ones the last stays.

    Negative indices count from the end; others out of range raise IndexError, which waits for the device.

    >>> from clnd import nd
    >>> nd.contrib.index_copy(nd.zeros((3, 2)), nd.array([2, 0]), nd.array([[1, 2], [3, 4]])).asnumpy()
    array([[3., 4.],
           [0., 0.],
           [1., 2.]], dtype=float32)
    """
    if not old_tensor.ndim or index_vector.ndim != 1 or new_tensor.shape != index_vector.shape + old_tensor.shape[1:]:
        raise ShapeError(
            f"index_copy: indices of shape {index_vector.shape} and rows of shape {new_tensor.shape} do not fit shape {old_tensor.shape}"
        )
    return put(old_tensor, in_range("index_copy", index_vector, old_tensor.shape[0], "raise"), new_tensor, axis=0)


def _sizes(name: str, shape: Any) -> list[int]:
    """The sizes of `shape`, of which the first is of no importance and may be -1."""
    sizes = list(whole_numbers(name, "shape", shape))
    if not sizes or any(n < 1 for n in sizes[1:]):
        raise ShapeError(f"{name}: {tuple(sizes)} is no shape of an array with elements")
    return sizes


@composed(numpy=lambda data, shape: np.ravel_multi_index(tuple(data), shape), methods=[])
def ravel_multi_index(data: Value, *, shape: Shape) -> Value:
    """Positions in an array of `shape`, flattened, from those in each axis: data[k] are those in axis k. Ranges are not checked.

    >>> from clnd import nd
    >>> nd.ravel_multi_index(nd.array([[3, 6], [4, 5]]), shape=(7, 6)).asnumpy()
    array([22., 41.], dtype=float32)
    """
    sizes = _sizes("ravel_multi_index", shape)
    if not data.ndim or data.shape[0] != len(sizes):
        raise ShapeError(f"ravel_multi_index: positions of shape {data.shape} do not have {len(sizes)} numbers along their first axis")
    whole = converted(data, dtypes.int64)
    total = _part(whole, 0)
    for axis in range(1, len(sizes)):
        total = total * sizes[axis] + _part(whole, axis)
    return converted(total, data.dtype)


@composed(numpy=lambda data, shape: np.stack(np.unravel_index(data, shape)), methods=[])
def unravel_index(data: Value, *, shape: Shape) -> Value:
    """Positions in each axis of an array of `shape`, along a new first axis, from those in the flattened array. Ranges are not checked.

    >>> from clnd import nd
    >>> nd.unravel_index(nd.array([22, 41]), shape=(7, 6)).asnumpy()
    array([[3., 6.],
           [4., 5.]], dtype=float32)
    """
    sizes = _sizes("unravel_index", shape)
    rest, parts = converted(data, dtypes.int64), []
    for n in reversed(sizes[1:]):
        quotient = registry["truncated_divide"](rest, n)
        parts.append(rest - quotient * n)
        rest = quotient
    return converted(registry["stack"](rest, *reversed(parts), axis=0), data.dtype)
