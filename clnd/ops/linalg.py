"""BLAS-like products of stacks of matrices, their diagonals and triangles."""

from __future__ import annotations

from math import isqrt, prod
from typing import Any

from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape
from clnd.errors import ShapeError

from .creation import along, full_like
from .declare import composed, converted, launched, normalize_axis, registry
from .indexing import take
from .products import batch_dot


def _swapped(x: Value) -> Value:
    return registry["swapaxes"](x, dim1=1, dim2=2)


def _rows_at(name: str, x: Value, axis: int, transpose: bool) -> Value:
    """A stack of matrices whose rows are along `axis` and whose columns along the last one, as batch_dot takes it."""
    last = x.ndim - 1
    at = normalize_axis(name, axis, x.ndim)
    if last < 1 or at == last:
        raise ShapeError(
            f"{name}: an array of shape {list(x.shape)} has no matrices with rows along axis {axis} and columns along the last"
        )
    order = [i for i in range(last) if i != at] + ([last, at] if transpose else [at, last])
    turned: Value = registry["transpose"](x, axes=tuple(order))
    return turned if x.ndim > 2 else registry["expand_dims"](turned, axis=0)


def _product(name: str, A: Value, B: Value, transpose_a: bool, transpose_b: bool, alpha: float, axis: int) -> Value:
    a, b = _rows_at(name, A, axis, transpose_a), _rows_at(name, B, axis, transpose_b)
    if A.ndim != B.ndim or a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2]:
        raise ShapeError(f"{name}: shapes {list(A.shape)} and {list(B.shape)} do not fit, with rows along axis {axis}")
    product = batch_dot(a, b)
    if A.ndim == 2:
        product = registry["reshape"](product, shape=product.shape[1:])
    at = normalize_axis(name, axis, A.ndim)
    order = [*range(at), A.ndim - 2, *range(at, A.ndim - 2), A.ndim - 1]
    product = registry["transpose"](product, axes=tuple(order))
    return product if alpha == 1 else product * alpha


@composed(numpy=None)
def linalg_gemm(
    A: Value,
    B: Value,
    C: Value,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    alpha: float = 1.0,
    beta: float = 1.0,
    axis: int = -2,
) -> Value:
    """alpha A B + beta C for each three matrices of stacks.

    Parameters
    ----------
    transpose_a, transpose_b : bool
        Use the transposes of A or B.
    axis : int
        Along which axis the rows of all matrices lie. Their columns are along the last one.

    >>> from clnd import nd
    >>> nd.linalg.gemm(nd.array([[1, 2]]), nd.array([[3], [4]]), nd.array([[100]]), alpha=2).asnumpy()
    array([[122.]], dtype=float32)
    """
    product = _product("linalg_gemm", A, B, transpose_a, transpose_b, alpha, axis)
    if C.shape != product.shape:
        raise ShapeError(f"linalg_gemm: C has shape {list(C.shape)}, the product {list(product.shape)}")
    return product + (C if beta == 1 else C * beta)


@composed(numpy=None)
def linalg_gemm2(A: Value, B: Value, *, transpose_a: bool = False, transpose_b: bool = False, alpha: float = 1.0, axis: int = -2) -> Value:
    """alpha A B for each two matrices of stacks.

    Parameters
    ----------
    transpose_a, transpose_b : bool
        Use the transposes of A or B.
    axis : int
        Along which axis the rows of all matrices lie. Their columns are along the last one.

    >>> from clnd import nd
    >>> nd.linalg.gemm2(nd.array([[1, 2]]), nd.array([[3, 4]]), transpose_b=True).asnumpy()
    array([[11.]], dtype=float32)
    """
    return _product("linalg_gemm2", A, B, transpose_a, transpose_b, alpha, axis)


@composed(numpy=None)
def linalg_syrk(A: Value, *, transpose: bool = False, alpha: float = 1.0) -> Value:
    """alpha A A^T, or with `transpose` alpha A^T A, for each matrix.

    >>> from clnd import nd
    >>> nd.linalg.syrk(nd.array([[1, 2]])).asnumpy()
    array([[5.]], dtype=float32)
    """
    return _product("linalg_syrk", A, A, transpose, not transpose, alpha, -2)


@composed(numpy=None)
def khatri_rao(*matrices: Value) -> Value:
    """For each column the Kronecker product of that column of all matrices.

    >>> from clnd import nd
    >>> nd.khatri_rao(nd.array([[1, 2], [3, 4]]), nd.array([[1, 10]])).asnumpy()
    array([[ 1., 20.],
           [ 3., 40.]], dtype=float32)
    """
    if any(x.ndim != 2 or x.shape[1] != matrices[0].shape[-1] for x in matrices):
        listed = " ".join(str(list(x.shape)) for x in matrices)
        raise ShapeError(f"khatri_rao takes matrices with the same number of columns, not shapes {listed}")
    result, reshape = matrices[0], registry["reshape"]
    for x in matrices[1:]:
        (m, columns), n = result.shape, x.shape[0]
        pairs = reshape(result, shape=(m, 1, columns)) * reshape(x, shape=(1, n, columns))
        result = reshape(pairs, shape=(m * n, columns))
    return result


# --- diagonals and triangles ---


def _numbers(n: int, like: Value) -> tuple[Value, Value]:
    """0 to n - 1 as a column, the numbers of the rows, and as a row, those of the columns."""
    rows = along(0, 2, n, like.device, dtypes.int32)
    return rows, registry["reshape"](rows, shape=(1, n))


def _lower(a: Value, offset: int = 0) -> Value:
    """Zeros above the diagonal that is `offset` above the main one."""
    rows, columns = _numbers(a.shape[-1], a)
    kept: Value = registry["where"](registry["less_equal"](columns, rows + offset), a, full_like(a, 0))
    return kept


def _identity(n: int, like: Value) -> Value:
    return converted(registry["equal"](*_numbers(n, like)), like.dtype)


def _diagonal(a: Value, offset: int = 0) -> Value:
    """A diagonal of each matrix of (batch, n, n)."""
    begin, count, step = _along_diagonal(a.shape[2], offset)
    flat = registry["reshape"](a, shape=(a.shape[0], a.shape[1] * a.shape[2]))
    seen: Value = registry["window"](flat, begin=(0, begin), count=(a.shape[0], count), step=(1, step))
    return seen


def _along_diagonal(n: int, offset: int) -> tuple[int, int, int]:
    """Of a diagonal of n rows after each other: where it begins, how long it is, and how far its elements are apart."""
    return max(0, offset) + max(0, -offset) * n, n - abs(offset), n + 1


def _block(a: Value, rows: slice, columns: slice) -> tuple[Shape, Shape, Shape]:
    """Of a block of each matrix: where it begins, how large it is, and how far its elements are apart."""
    ranges = [range(*given.indices(n)) for given, n in zip((rows, columns), a.shape[1:], strict=True)]
    begin, count, step = zip(*((r.start, len(r), r.step) for r in ranges), strict=True)
    return (0, *begin), (a.shape[0], *count), (1, *step)


def _part(a: Value, rows: slice, columns: slice) -> Value:
    """A block of each matrix."""
    begin, count, step = _block(a, rows, columns)
    part: Value = registry["window"](a, begin=begin, count=count, step=step)
    return part


def _checked_offset(name: str, offset: int, n: int) -> None:
    if abs(offset) >= max(n, 1):
        raise ShapeError(f"{name}: matrices of {n} rows have no diagonal with the offset {offset}")


def _square_stack(name: str, A: Value) -> Value:
    """Square matrices as (batch, n, n)."""
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ShapeError(f"{name}: an array of shape {list(A.shape)} is no stack of square matrices")
    return registry["reshape"](A, shape=(prod(A.shape[:-2]), *A.shape[-2:]))


@composed(numpy=None)
def linalg_extractdiag(A: Value, *, offset: int = 0) -> Value:
    """A diagonal of each matrix: the main one, or that `offset` above it (below it, if negative).

    >>> from clnd import nd
    >>> nd.linalg.extractdiag(nd.array([[1, 2], [3, 4]])).asnumpy()
    array([1., 4.], dtype=float32)
    """
    stack = _square_stack("linalg_extractdiag", A)
    _checked_offset("linalg_extractdiag", offset, A.shape[-1])
    diagonal = _diagonal(stack, offset)
    return registry["reshape"](diagonal, shape=A.shape[:-2] + diagonal.shape[1:])


@composed(numpy=None)
def linalg_makediag(A: Value, *, offset: int = 0) -> Value:
    """Square matrices with the last axis of A as the diagonal that is `offset` above the main one, and zeros elsewhere.

    >>> from clnd import nd
    >>> nd.linalg.makediag(nd.array([1, 2])).asnumpy()
    array([[1., 0.],
           [0., 2.]], dtype=float32)
    """
    if not A.ndim:
        raise ShapeError("linalg_makediag: an array without axes has no diagonals")
    batch, n = prod(A.shape[:-1]), A.shape[-1] + abs(offset)
    begin, count, step = _along_diagonal(n, offset)
    nothing = registry["full"](shape=(batch, n * n), value=0, dtype=A.dtype, device=A.device)
    rows = registry["reshape"](A, shape=(batch, count))
    flat = registry["assign"](nothing, rows, steps=(("window", ((0, begin), (batch, count), (1, step))),))
    return registry["reshape"](flat, shape=(*A.shape[:-1], n, n))


@launched(grad=lambda dz, a_shape: registry["unpacked_triangle"](dz, n=a_shape[2]))
def packed_triangle(a: Value) -> Value:
    """The lower triangle of each matrix of (batch, n, n), row after row."""
    batch, n, _ = a.shape
    place = registry["arange"](start=0, step=1, count=_first_in_row(n), dtype=dtypes.int64, device=a.device)
    # The row is the largest whose first place is not behind this one: the root is off by less than one.
    row = converted((registry["sqrt"](converted(place * 8 + 1, dtypes.float32)) - 1) * 0.5, dtypes.int64)
    row = row + converted(registry["less_equal"](_first_in_row(row + 1), place), dtypes.int64)
    row = row - converted(registry["greater"](_first_in_row(row), place), dtypes.int64)
    return take(registry["reshape"](a, shape=(batch, n * n)), row * n + place - _first_in_row(row), axis=1)


@launched(grad=lambda dz: packed_triangle(dz))
def unpacked_triangle(packed: Value, *, n: int) -> Value:
    """Matrices, (batch, n, n), with the given lower triangles and zeros above."""
    rows, columns = (converted(x, dtypes.int64) for x in _numbers(n, packed))
    return _lower(take(packed, _first_in_row(rows) + columns, axis=1, mode="clip"))


def _first_in_row(row: Any) -> Any:
    """Where the packed lower triangle has the first element of a row: the number of elements before it."""
    twice = row * (row + 1)
    return registry["truncated_divide"](twice, 2) if isinstance(twice, Value) else twice // 2


def _bounded(offset: int, lower: bool) -> tuple[bool, slice, slice]:
    """Is it an upper triangle that a diagonal bounds; and which rows and columns of a lower one, or of the transpose, are no zeros?"""
    far = abs(offset)
    return offset > 0 or (offset == 0 and not lower), slice(far, None), slice(0, -far or None)


@composed(numpy=None)
def linalg_extracttrian(A: Value, *, offset: int = 0, lower: bool = True) -> Value:
    """The triangle of each matrix up to a diagonal, packed: a lower one by rows, an upper one by columns.

    Parameters
    ----------
    offset : int
        Of the diagonal that bounds the triangle. A negative one bounds a lower triangle, a positive one an upper.
    lower : bool
        Which triangle, if the main diagonal bounds it.

    >>> from clnd import nd
    >>> nd.linalg.extracttrian(nd.array([[1, 2], [3, 4]])).asnumpy()
    array([1., 3., 4.], dtype=float32)
    """
    stack = _square_stack("linalg_extracttrian", A)
    _checked_offset("linalg_extracttrian", offset, A.shape[-1])
    upper, rows, columns = _bounded(offset, lower)
    packed = packed_triangle(_part(_swapped(stack) if upper else stack, rows, columns))
    return registry["reshape"](packed, shape=A.shape[:-2] + packed.shape[1:])


@composed(numpy=None)
def linalg_maketrian(A: Value, *, offset: int = 0, lower: bool = True) -> Value:
    """Square matrices with the last axis of A unpacked as a triangle, and zeros elsewhere: extracttrian backwards.

    Parameters
    ----------
    offset : int
        Of the diagonal that bounds the triangle. A negative one bounds a lower triangle, a positive one an upper.
    lower : bool
        Which triangle, if the main diagonal bounds it.

    >>> from clnd import nd
    >>> nd.linalg.maketrian(nd.array([1, 2, 3])).asnumpy()
    array([[1., 0.],
           [2., 3.]], dtype=float32)
    """
    size = A.shape[-1] if A.ndim else -1
    edge = (isqrt(8 * size + 1) - 1) // 2 if A.ndim else 0
    if edge * (edge + 1) != 2 * size:
        raise ShapeError(f"linalg_maketrian: the last axis of shape {list(A.shape)} is no packed triangle, of n (n + 1) / 2 elements")
    n, stack = edge + abs(offset), registry["reshape"](A, shape=(prod(A.shape[:-1]), size))
    upper, rows, columns = _bounded(offset, lower)
    result = unpacked_triangle(stack, n=edge)
    if offset:
        nothing = registry["full"](shape=(stack.shape[0], n, n), value=0, dtype=A.dtype, device=A.device)
        result = registry["assign"](nothing, result, steps=(("window", _block(nothing, rows, columns)),))
    return registry["reshape"](_swapped(result) if upper else result, shape=(*A.shape[:-1], n, n))
