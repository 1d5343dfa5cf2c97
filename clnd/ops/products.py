"""Products of matrices."""

from __future__ import annotations

import functools
from math import prod
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.errors import ShapeError

from .declare import composed, converted, launched, registry
from .product_plans import Lines, Plan, Problem, computed_in, plan
from .tuning import choose


def _to_left(dz: Value, rhs: Value, transpose_a: bool, transpose_b: bool) -> Any:
    product = registry["matmul"]
    if transpose_a:
        return product(rhs, dz, transpose_a=transpose_b, transpose_b=True)
    return product(dz, rhs, transpose_b=not transpose_b)


def _to_right(dz: Value, lhs: Value, transpose_a: bool, transpose_b: bool) -> Any:
    product = registry["matmul"]
    if transpose_b:
        return product(dz, lhs, transpose_a=True, transpose_b=transpose_a)
    return product(lhs, dz, transpose_a=not transpose_a)


@launched(grad=(_to_left, _to_right), numpy=np.matmul, gathers=True)
def matmul(lhs: Value, rhs: Value, *, transpose_a: bool = False, transpose_b: bool = False) -> Value:
    """The products of two matrices, (m, k) by (k, n), or of two stacks of them, (batch, m, k) by (batch, k, n); or of their transposes."""
    device = lhs.device if lhs.device is rhs.device else registry["matmul"].device([lhs, rhs])
    dtype = dtypes.promote(lhs.dtype, rhs.dtype)
    wide = computed_in(dtype)
    lhs, rhs = (engine.ready(x if x.dtype == wide else converted(x, wide)) for x in (lhs, rhs))
    batch, m, k = lhs.shape[:-2], lhs.shape[-1 if transpose_a else -2], lhs.shape[-2 if transpose_a else -1]
    result = Value((*batch, m, rhs.shape[-2 if transpose_b else -1]), wide, device)
    if result.size == 0 or k == 0:
        return registry["full"](shape=result.shape, value=0, dtype=dtype, device=device)
    assert lhs.strides is not None and rhs.strides is not None
    how = _plan(device, wide, lhs.shape, lhs.strides, lhs.offset, transpose_a, rhs.shape, rhs.strides, rhs.offset, not transpose_b)
    buffer = device.allocate(how.parts * result.size * wide.itemsize)
    how.launch(device, buffer, lhs.buffer, rhs.buffer, 2 * result.size * k)
    if how.parts > 1:
        shape = (*batch, how.parts, *result.shape[-2:])
        sums = Value(shape, wide, device).place(buffer, engine.compact(shape))
        result = registry["sum"](sums, axis=len(batch), dtype=wide)
    else:
        result.place(buffer, engine.compact(result.shape))
    return result if dtype == wide else converted(result, dtype)


@functools.lru_cache(maxsize=1024)
def _plan(device: Any, dtype: np.dtype[Any], *factors: Any) -> Plan:
    """What is launched for factors of these shapes, strides, offsets and directions."""
    problem = Problem(device, dtype, Lines.of(*factors[:4]), Lines.of(*factors[4:]))
    return plan(problem, choose(problem))


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
    k, other = lhs.shape[0 if transpose_a else -1], rhs.shape[-1 if transpose_b else 0]
    if k != other:
        how = ", ".join(name for name, on in (("transpose_a", transpose_a), ("transpose_b", transpose_b)) if on)
        raise ShapeError(f"dot shape error: {list(lhs.shape)} X {list(rhs.shape)}{' with ' + how if how else ''}: {k} is not {other}")
    if lhs.ndim == rhs.ndim == 2:
        return matmul(lhs, rhs, transpose_a=transpose_a, transpose_b=transpose_b)
    left = lhs.shape[1:] if transpose_a else lhs.shape[:-1]
    right = rhs.shape[:-1] if transpose_b else rhs.shape[1:]
    a = reshape(lhs, shape=(k, prod(left)) if transpose_a else (prod(left), k))
    b = reshape(rhs, shape=(prod(right), k) if transpose_b else (k, prod(right)))
    return reshape(matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b), shape=left + right)


@composed(numpy=np.matmul)
def batch_dot(lhs: Value, rhs: Value, *, transpose_a: bool = False, transpose_b: bool = False) -> Value:
    """Matrix product of each pair of matrices in two stacks: arrays of three or more dimensions with the same leading ones.

    >>> from clnd import nd
    >>> nd.batch_dot(nd.ones((2, 3, 4)), nd.ones((2, 4, 5))).shape
    (2, 3, 5)
    """
    if lhs.ndim < 3 or lhs.ndim != rhs.ndim or lhs.shape[:-2] != rhs.shape[:-2]:
        raise ShapeError(f"batch_dot: shapes {list(lhs.shape)} and {list(rhs.shape)} are not stacks of matrices with the same leading axes")
    k, other = lhs.shape[-2 if transpose_a else -1], rhs.shape[-1 if transpose_b else -2]
    if k != other:
        raise ShapeError(f"batch_dot: shapes {list(lhs.shape)} and {list(rhs.shape)} do not fit: {k} is not {other}")
    if lhs.ndim == 3:
        return matmul(lhs, rhs, transpose_a=transpose_a, transpose_b=transpose_b)
    batch, reshape = lhs.shape[:-2], registry["reshape"]
    a, b = (reshape(x, shape=(prod(batch), *x.shape[-2:])) for x in (lhs, rhs))
    product = matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    return reshape(product, shape=(*batch, *product.shape[1:]))
