"""Picking elements by arrays of indices. No index reaches memory unchecked: it is clipped, wrapped, or checked before."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape, compact
from clnd.errors import DTypeError, IndexOutOfRange, ShapeError

from .creation import along
from .declare import composed, converted, launched, normalize_axis, registry

MODES = ("clip", "wrap", "raise")
_INDICES = (dtypes.int32, dtypes.int64, dtypes.float32)  # dtypes that kernels read indices in; others are converted
_RUN = 1024  # elements of a row that are worth a work-item


def beyond(indices: Value, n: int) -> Value:
    """How far indices are beyond an axis of n elements; below 0 for those within. -1, -2, ... are as far in as 0, 1, ... are."""
    return registry["maximum"](indices, -1 - indices) - n


def from_begin(indices: Value, n: int) -> Value:
    """Indices into an axis of n elements, of which -1, -2, ... count from its end, all counted from its begin."""
    return registry["where"](registry["less"](indices, 0), indices + n, indices)


def in_range(name: str, indices: Value, n: int, mode: str) -> Value:
    """The indices as integers from 0 to n - 1. Raises IndexError for others with mode "raise", which waits for the device."""
    if mode not in MODES:
        raise DTypeError(f"{name}: mode {mode!r} is not one of {', '.join(MODES)}")
    if n == 0 and indices.size:
        raise IndexOutOfRange(f"{name}: an axis without elements has nothing to pick")
    whole = converted(indices, dtypes.int64)
    if mode == "wrap":
        return registry["modulo"](whole, n)
    if mode == "raise" and indices.size:
        if engine.to_numpy(registry["max"](beyond(whole, n))).item() >= 0:  # one number tells of all indices, and is waited for once
            least, largest = (engine.to_numpy(registry[fold](whole)).item() for fold in ("min", "max"))
            wrong = largest if largest >= n else least
            raise IndexOutOfRange(f"{name}: index {wrong} is out of bounds for an axis of {n} elements")
        return from_begin(whole, n)
    return registry["minimum"](registry["maximum"](whole, 0), n - 1)


def readable(indices: Value) -> Value:
    """The indices as they lie in memory, of a dtype that kernels read."""
    return engine.gathered(indices if indices.dtype in _INDICES else converted(indices, dtypes.int64))


def row_code(dtype: np.dtype[Any], mode: str) -> dict[str, str]:
    """What a template needs for the rows that indices stand for: none is out of range, whatever they are."""
    whole = engine.cast("own", dtype, dtypes.int64, 1)
    row = f"clamp({whole}, 0L, rows - 1)" if mode == "clip" else f"(({whole}) % rows + rows) % rows"
    return {"index": dtypes.INFO[dtype].storage, "row": row}


def checked_rows(name: str, indices: Value, n: int, mode: str) -> tuple[Value, str]:
    """What `row_code` takes for indices into an axis of `n` elements. Raises IndexError with mode "raise", which waits for the device."""
    if mode not in MODES or n == 0 or mode == "raise":
        return in_range(name, indices, n, mode), "clip"
    return indices, mode


def _gather_kernel(device: Any, dtype: np.dtype[Any], index: np.dtype[Any], mode: str, form: str) -> Any:
    storage = dtypes.INFO[dtype].storage
    return device.kernel(
        "gather",
        f"gather_{form}__{dtype}__{index}_{mode}",
        arguments=("buffer", "buffer", "long", "buffer", "long", "long", "long", "long", "long", "long"),
        storage=storage if storage != "half" else "ushort",
        form=form,
        **row_code(index, mode),
    )


def gather(data: Value, indices: Value, sizes: Shape, shape: Shape, mode: str = "clip", back: bool = False) -> Value:
    """out[o, j, i] = data[o, indices[j], i], or data[o, indices[o, i], i] where one index stands for each pair (o, i): `sizes` tells both.

    With `back`, the latter's transpose: out[o, indices[o, i], i] = data[o, i], and zeros elsewhere.
    """
    outer, n, inner, picked = sizes
    result = Value(shape, data.dtype, data.device)
    if result.size == 0:
        return result
    data, indices = engine.gathered(data), readable(indices)
    device, traits = data.device, data.device.traits
    form = "back" if back else "each" if not picked else "elements" if inner == 1 else "rows"
    key = (device, "gather", data.dtype, indices.dtype, mode, form)
    kernel = engine.kept(key, lambda: _gather_kernel(device, data.dtype, indices.dtype, mode, form))
    buffer = device.allocate(result.size * data.dtype.itemsize)
    run, together = 1, 1 if back else picked
    if traits.schedule == "cpu":  # whole rows, with `back` several, or parts where there are few
        wanted = min(max(-(-result.size // (4 * traits.compute_units)), _RUN), 16 * _RUN)
        run = min(inner, wanted)
        if back and run == inner:
            together = min(n, wanted // inner)
    grid = engine.grid(traits, result.size, engine.ROUNDS // 4)
    kernel(*grid, buffer, data.buffer, data.offset, indices.buffer, indices.offset, outer, n, inner, together, run)
    return result.place(buffer, compact(shape))


@launched(
    grad=(lambda dz, indices, a_shape, axis, mode: registry["add_at"](dz, indices, shape=a_shape, axis=axis, mode=mode),),
    numpy=None,
    methods=["take"],
    gathers=True,
)
def take(a: Value, indices: Value, *, axis: int = 0, mode: str = "clip") -> Value:
    """The elements of `a` at `indices` along `axis`.

    Parameters
    ----------
    mode : {"clip", "wrap", "raise"}
        An index out of range becomes the nearest, is taken modulo the size, or raises IndexError (which waits for the device).

    >>> from clnd import nd
    >>> nd.take(nd.array([[1, 2], [3, 4]]), nd.array([1, 0, 5])).asnumpy()
    array([[3., 4.],
           [1., 2.],
           [3., 4.]], dtype=float32)
    """
    axis = normalize_axis("take", axis, a.ndim)
    n = a.shape[axis]
    sizes = (prod(a.shape[:axis]), n, prod(a.shape[axis + 1 :]), indices.size)
    shape = a.shape[:axis] + indices.shape + a.shape[axis + 1 :]
    if indices.size == 0:
        return Value(shape, a.dtype, a.device)
    indices, mode = checked_rows("take", indices, n, mode)
    return gather(a, indices, sizes, shape, mode)


@launched(
    grad=(lambda dz, index, shape, axis, keepdims, mode: registry["pick"](dz, index, axis=axis, keepdims=keepdims, mode=mode),),
    numpy=None,
    methods=[],
    gathers=True,
)
def unpicked(data: Value, index: Value, *, shape: Shape, axis: int, keepdims: bool, mode: str) -> Value:
    """Zeros of `shape` with the elements of `data` at the positions along `axis` that `index` gives for them: `pick`, backwards."""
    axis = normalize_axis("pick", axis, len(shape))
    index, mode = checked_rows("pick", index, shape[axis], mode)
    return gather(data, index, (prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]), 0), shape, mode, back=True)


@launched(
    grad=(
        lambda dz, index, data_shape, axis, keepdims, mode: unpicked(dz, index, shape=data_shape, axis=axis, keepdims=keepdims, mode=mode),
    ),
    numpy=None,
    gathers=True,
)
def pick(data: Value, index: Value, *, axis: int = -1, keepdims: bool = False, mode: str = "clip") -> Value:
    """One element from each line along `axis`, at the position that `index` gives for it.

    Parameters
    ----------
    mode : {"clip", "wrap"}
        What becomes of a position out of range: the nearest, or modulo the size.

    >>> from clnd import nd
    >>> nd.pick(nd.array([[1, 2], [3, 4]]), nd.array([0, 1])).asnumpy()
    array([1., 4.], dtype=float32)
    """
    axis = normalize_axis("pick", axis, data.ndim)
    shape = data.shape[:axis] + data.shape[axis + 1 :]
    kept = (*data.shape[:axis], 1, *data.shape[axis + 1 :])
    if index.shape not in (shape, kept):
        raise ShapeError(f"pick: the index of shape {index.shape} does not fit data of shape {data.shape} without axis {axis}")
    sizes = (prod(data.shape[:axis]), data.shape[axis], prod(data.shape[axis + 1 :]), 0)
    index, mode = checked_rows("pick", index, data.shape[axis], mode)
    return gather(data, index, sizes, kept if keepdims else shape, mode)


@composed(numpy=None)
def batch_take(a: Value, indices: Value) -> Value:
    """One element from each line along the last axis, in the shape of `indices`; an index out of range becomes the nearest.

    >>> from clnd import nd
    >>> nd.batch_take(nd.array([[1, 2], [3, 4]]), nd.array([0, 1], dtype="int32")).asnumpy()
    array([1., 4.], dtype=float32)
    """
    if not a.ndim or indices.size != prod(a.shape[:-1]):
        raise ShapeError(
            f"batch_take: indices of shape {indices.shape} do not fit the {prod(a.shape[:-1])} lines of an array of shape {a.shape}"
        )
    lines = registry["reshape"](a, shape=(indices.size, a.shape[-1]))
    found = pick(lines, registry["reshape"](indices, shape=(indices.size,)), axis=1)
    return registry["reshape"](found, shape=indices.shape)


@composed(numpy=None)
def fill_element_0index(lhs: Value, mhs: Value, rhs: Value) -> Value:
    """`lhs` with one element of each row, at the position that `rhs` gives, replaced by that of `mhs`; a position out of range is nowhere.

    >>> from clnd import nd
    >>> nd.fill_element_0index(nd.zeros((2, 3)), nd.array([5, 6]), nd.array([0, 2])).asnumpy()
    array([[5., 0., 0.],
           [0., 0., 6.]], dtype=float32)
    """
    if lhs.ndim != 2 or mhs.shape != lhs.shape[:1] or rhs.shape != lhs.shape[:1]:
        raise ShapeError(f"fill_element_0index: numbers and positions of shapes {mhs.shape} and {rhs.shape} do not fit shape {lhs.shape}")
    column = (lhs.shape[0], 1)
    here = registry["equal"](registry["reshape"](converted(rhs, dtypes.int64), shape=column), along(1, 2, lhs.shape[1], lhs.device))
    return registry["where"](here, registry["reshape"](converted(mhs, lhs.dtype), shape=column), lhs)


@composed(numpy=None, methods=["one_hot"])
def one_hot(indices: Value, *, depth: int, on_value: float = 1.0, off_value: float = 0.0, dtype: Any = "float32") -> Value:
    """A new last axis of `depth` elements: `on_value` at the index, `off_value` elsewhere; an index out of range is nowhere.

    >>> from clnd import nd
    >>> nd.one_hot(nd.array([1, 0]), depth=2).asnumpy()
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    if depth < 0:
        raise ShapeError(f"one_hot: depth must be 0 or more, but is {depth}")
    found = dtypes.as_dtype(dtype)
    whole = converted(indices, dtypes.int64)
    here = registry["equal"](registry["expand_dims"](whole, axis=indices.ndim), along(0, 1, depth, indices.device))
    on, off = (registry["full"](shape=(), value=value, dtype=found, device=indices.device) for value in (on_value, off_value))
    return registry["where"](here, on, off)


@composed(numpy=None)
def Embedding(data: Value, weight: Value, *, input_dim: int = 0, output_dim: int = 0) -> Value:
    """The rows of `weight` at the indices `data`; an index out of range becomes the nearest.

    >>> from clnd import nd
    >>> nd.Embedding(nd.array([1, 0]), nd.array([[1, 2], [3, 4]]), input_dim=2, output_dim=2).asnumpy()
    array([[3., 4.],
           [1., 2.]], dtype=float32)
    """
    if weight.ndim != 2 or (input_dim and output_dim and weight.shape != (input_dim, output_dim)):
        raise ShapeError(f"Embedding: the weight has shape {weight.shape}, not ({input_dim or 'n'}, {output_dim or 'm'})")
    return take(weight, data, axis=0, mode="clip")


@composed(numpy=None)
def boolean_mask(data: Value, index: Value, *, axis: int = 0) -> Value:
    """What `data` holds where `index`, a mask over the axes from `axis` on, is not zero.

    It waits for the device: the size depends on the values.

    >>> from clnd import nd
    >>> nd.contrib.boolean_mask(nd.array([[1, 2], [3, 4], [5, 6]]), nd.array([1, 0, 1])).asnumpy()
    array([[1., 2.],
           [5., 6.]], dtype=float32)
    """
    axis = normalize_axis("boolean_mask", axis, data.ndim)
    end = axis + index.ndim
    if index.shape != data.shape[axis:end]:
        raise IndexOutOfRange(f"boolean_mask: a mask of shape {index.shape} does not fit shape {data.shape} from axis {axis} on")
    lines = registry["reshape"](data, shape=(*data.shape[:axis], index.size, *data.shape[end:]))
    return take(lines, true_positions(converted(index, dtypes.bool_)), axis=axis, mode="clip")


def true_positions(mask: Value) -> Value:
    """The positions of the true elements of a mask, in order: each chunk is counted, then each writes its own."""
    mask, device = engine.gathered(mask), mask.device
    if mask.size == 0:
        return Value((0,), dtypes.int64, device)
    chunks = max(1, min(mask.size, 64 * device.traits.compute_units), -(-mask.size // (4 * engine.ROUNDS)))
    arguments = ("buffer", "buffer", "long", "long")
    count = device.kernel("positions", "count", arguments=arguments, write=False)
    counts = Value((chunks,), dtypes.int64, device)
    counts.place(device.allocate(8 * chunks), compact((chunks,)))
    count((chunks,), None, counts.buffer, mask.buffer, mask.offset, mask.size)
    ends = np.cumsum(engine.to_numpy(counts))
    found = Value((int(ends[-1]),), dtypes.int64, device)
    if found.size == 0:
        return found
    begins = engine.from_numpy(np.concatenate([[0], ends[:-1]]).astype(np.int64), device)
    found.place(device.allocate(8 * found.size), compact(found.shape))
    write = device.kernel("positions", "positions", arguments=(*arguments, "buffer"), write=True)
    write((chunks,), None, begins.buffer, mask.buffer, mask.offset, mask.size, found.buffer)
    return found
