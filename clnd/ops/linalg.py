"""Products of matrices."""

from __future__ import annotations

from math import prod

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import compact
from clnd.errors import ShapeError

from .declare import composed, converted, launched, registry

ROWS = 4  # of the result, and
VECTORS = 2  # columns in vectors, that one pass of the inner loop of the CPU schedule computes
TILE = 16  # edge of the square that a work-group of the GPU schedule computes


def _swapped(x: Value) -> Value:
    return registry["swapaxes"](x, dim1=1, dim2=2)


@launched(
    grad=(lambda dz, rhs: registry["matmul"](dz, _swapped(rhs)), lambda dz, lhs: registry["matmul"](_swapped(lhs), dz)),
    numpy=np.matmul,
)
def matmul(lhs: Value, rhs: Value) -> Value:
    """The products of two stacks of matrices, (batch, m, k) by (batch, k, n)."""
    device = registry["matmul"].device([lhs, rhs])
    dtype = dtypes.promote(lhs.dtype, rhs.dtype)
    lhs, rhs = engine.ready(converted(lhs, dtype)), engine.ready(converted(rhs, dtype))
    (batch, m, k), n = lhs.shape, rhs.shape[2]
    result = Value((batch, m, n), dtype, device)
    if result.size == 0:
        return result
    if k == 0:
        return registry["full"](shape=result.shape, value=0, dtype=dtype, device=device)
    if k > 2 * engine.ROUNDS:
        return _in_parts(lhs, rhs)
    if min(m, n) == 1 and dtypes.category(dtype) == "float":
        return _as_sum(lhs, rhs)
    traits = device.traits
    if traits.schedule == "cpu" and rhs.layout.strides[2] != 1 and n > 1:
        rhs = engine.copied(rhs)  # its rows are read as vectors
    info = dtypes.INFO[dtype]
    wide = {"float": "float", "double": "double", "long": "ulong", "ulong": "ulong"}.get(info.compute, "uint")
    sizes = (batch, m, n, k)
    index = engine.index_type([lhs.layout, rhs.layout, compact(result.shape)], result.size)
    kernel = device.kernel(
        "matmul",
        f"matmul__{dtype}",
        arguments=("buffer", *["buffer", index, index, index, index] * 2, *[index] * 4),
        index=index,
        storage=info.storage,
        compute=info.compute,
        wide=wide,
        logical=info.category == "bool",
        rows=ROWS,
        vectors=VECTORS,
        tile=TILE,
    )
    buffer = device.allocate(result.size * dtype.itemsize)
    operands = [x for value in (lhs, rhs) for x in (value.buffer, value.offset, *value.layout.strides)]
    if traits.schedule == "cpu":
        tiles = batch * -(-m // ROWS) * -(-n // (VECTORS * traits.lanes))
        wanted = min(4 * traits.compute_units, batch * m * n * k // 16384)
        items = max(1, min(tiles, max(wanted, -(-tiles * k // engine.ROUNDS))))
        kernel((items,), (1,), buffer, *operands, *sizes)
    else:
        blocks = (-(-n // TILE) * TILE, -(-m // TILE) * TILE, batch)
        kernel(blocks, (TILE, TILE, 1), buffer, *operands, *sizes)
    return result.place(buffer, compact(result.shape))


def _in_parts(lhs: Value, rhs: Value) -> Value:
    """A product whose sums are so long that no work-item should run through one alone."""
    part, window = engine.ROUNDS, registry["slice_axis"]
    total: Value | None = None
    for begin in range(0, lhs.shape[2], part):
        end = min(lhs.shape[2], begin + part)
        product = registry["matmul"](window(lhs, axis=2, begin=begin, end=end), window(rhs, axis=1, begin=begin, end=end))
        total = product if total is None else total + product
    assert total is not None
    return total


def _as_sum(lhs: Value, rhs: Value) -> Value:
    """A product with a vector on one side: one reduction, in which all elements of the matrix are read once."""
    reshape, total, dtype = registry["reshape"], registry["sum"], lhs.dtype
    batch, m, _ = lhs.shape
    n = rhs.shape[2]
    # The products of float16 are not rounded to it, as they are not in the kernel for matrices.
    lhs, rhs = (converted(x, dtypes.promote(dtype, dtypes.float32)) for x in (lhs, rhs))
    if n == 1:
        return converted(reshape(total(lhs * _swapped(rhs), axis=2), shape=(batch, m, 1)), dtype)
    return converted(reshape(total(_swapped(lhs) * rhs, axis=1), shape=(batch, 1, n)), dtype)


@composed(numpy=None, methods=["dot"])
def dot(lhs: Value, rhs: Value, *, transpose_a: bool = False, transpose_b: bool = False) -> Value:
    """Sum of products over the last axis of `lhs` and the first of `rhs` (with `transpose_a` the first, with `transpose_b` the last).

    >>> from clnd import nd
    >>> nd.dot(nd.array([[1, 2], [3, 4]]), nd.array([1, 10])).asnumpy()
    array([21., 43.], dtype=float32)
    """
    reshape = registry["reshape"]
    transpose_a, transpose_b = transpose_a and lhs.ndim > 1, transpose_b and rhs.ndim > 1
    if not lhs.ndim or not rhs.ndim:
        raise ShapeError(f"dot shape error: {list(lhs.shape)} X {list(rhs.shape)}: both need at least one axis")
    left = lhs.shape[1:] if transpose_a else lhs.shape[:-1]
    right = rhs.shape[:-1] if transpose_b else rhs.shape[1:]
    k, other = lhs.shape[0 if transpose_a else -1], rhs.shape[-1 if transpose_b else 0]
    if k != other:
        how = ", ".join(name for name, on in (("transpose_a", transpose_a), ("transpose_b", transpose_b)) if on)
        raise ShapeError(f"dot shape error: {list(lhs.shape)} X {list(rhs.shape)}{' with ' + how if how else ''}: {k} is not {other}")
    a = reshape(lhs, shape=(1, k, prod(left)) if transpose_a else (1, prod(left), k))
    b = reshape(rhs, shape=(1, prod(right), k) if transpose_b else (1, k, prod(right)))
    product = matmul(_swapped(a) if transpose_a else a, _swapped(b) if transpose_b else b)
    return reshape(product, shape=left + right)


@composed(numpy=np.matmul)
def batch_dot(lhs: Value, rhs: Value, *, transpose_a: bool = False, transpose_b: bool = False) -> Value:
    """Matrix product of each pair of matrices in two stacks: arrays of three or more dimensions with the same leading ones.

    >>> from clnd import nd
    >>> nd.batch_dot(nd.ones((2, 3, 4)), nd.ones((2, 4, 5))).shape
    (2, 3, 5)
    """
    reshape = registry["reshape"]
    if lhs.ndim < 3 or lhs.ndim != rhs.ndim or lhs.shape[:-2] != rhs.shape[:-2]:
        raise ShapeError(f"batch_dot: shapes {list(lhs.shape)} and {list(rhs.shape)} are not stacks of matrices with the same leading axes")
    batch = lhs.shape[:-2]
    a, b = (reshape(x, shape=(prod(batch), *x.shape[-2:])) for x in (lhs, rhs))
    a, b = _swapped(a) if transpose_a else a, _swapped(b) if transpose_b else b
    if a.shape[2] != b.shape[1]:
        raise ShapeError(f"batch_dot: shapes {list(lhs.shape)} and {list(rhs.shape)} do not fit: {a.shape[2]} is not {b.shape[1]}")
    return reshape(matmul(a, b), shape=(*batch, a.shape[1], b.shape[2]))
