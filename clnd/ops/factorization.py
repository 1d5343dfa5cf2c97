"""Factorisations of matrices, and what is computed from them: the operators that MXNet has as `linalg_...`.

Kernels factorise narrow blocks; what is left, nearly all of the work on large matrices, are products of matrices (Golub and Van Loan,
Matrix Computations, 4th edition, 2013, sections 3.4, 4.2, 5.2). The gradients, written with operators so that they can be differentiated
again, are those of M. Giles (Collected matrix derivative results, 2008), I. Murray (arXiv:1602.07527, 2016) and M. Seeger et al.
(arXiv:1710.08717, 2017).

No matrix is refused for its numbers, which would mean to wait for the device: what has no value is NaN or infinite.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import compact
from clnd.errors import ShapeError

from .creation import full_like
from .declare import composed, converted, launched, registry
from .linalg import _diagonal, _identity, _lower, _part, _square_stack, _swapped
from .products import matmul

BLOCK = 32  # rows or columns that kernels factorise alone: a work-item goes through the cube of it
WHOLE = 256  # rows that a work-item of vectors takes alone: products of smaller matrices cost more than they save
SWEEPS = 30  # of Jacobi's method at most, which needs about ten

# --- stacks of matrices ---


def _matrices(name: str, array: Value, *, square: bool = True) -> Value:
    """The array as a stack of matrices, (batch, m, n), of the dtype that is computed in."""
    wide = dtypes.promote(dtypes.floating(array.dtype), dtypes.float32)
    if square:
        return converted(_square_stack(name, array), wide)
    if array.ndim < 2:
        raise ShapeError(f"{name}: an array of shape {list(array.shape)} is no stack of matrices")
    return converted(registry["reshape"](array, shape=(prod(array.shape[:-2]), *array.shape[-2:])), wide)


def _restored(result: Value, array: Value) -> Value:
    """What was computed for each matrix of a stack, with the leading axes and the dtype of the array that it came from."""
    whole: Value = registry["reshape"](result, shape=array.shape[:-2] + result.shape[1:])
    return converted(whole, dtypes.floating(array.dtype))


def _mirrored(a: Value) -> Value:
    """The symmetric matrix with the lower triangle of `a`: "copyltu" of Seeger et al."""
    return _lower(a) + _swapped(_lower(a, -1))


def _reversed(a: Value, *axes: int) -> Value:
    turned: Value = registry["flip"](a, axis=axes)
    return turned


def _write(target: Value, rows: slice, columns: slice, source: Value) -> None:
    """Write a block of each matrix of a stack that nobody else holds."""
    block = _part(target, rows, columns)
    engine.write_region(engine.Slot(target), block.layout, source)


# --- launching ---


def _kernel(template: str, step: str, like: Value, arguments: tuple[str, ...], together: bool = False) -> Any:
    """The kernel of a step, for the dtype of `like`. Do work-groups work `together`?"""
    storage, group = dtypes.INFO[like.dtype].storage, like.device.traits.group if together else 0
    return like.device.kernel(template, f"{step}__{like.dtype}", arguments=arguments, storage=storage, step=step, group=group)


def _items(device: Any, count: int) -> Any:
    """Global and local size for `count` work-items or a few more."""
    group = device.traits.group
    return ((count,), (1,)) if device.traits.schedule == "cpu" else ((-(-count // group) * group,), (group,))


def _groups(device: Any, count: int, length: int) -> Any:
    """Global and local size for `count` work-groups, each of which goes through `length` elements together."""
    group = device.traits.group
    if device.traits.schedule == "cpu":
        group = min(group, 1 << max(0, -(-length // engine.ROUNDS) - 1).bit_length())
    return (count * group,), (group,)


def _by_vectors(device: Any) -> bool:
    """Does a work-item take much alone, in vectors?"""
    return bool(device.traits.schedule == "cpu" and device.traits.lanes > 1)


def _alone(device: Any) -> int:
    """Of how many rows a work-item solves and eliminates alone."""
    return WHOLE if _by_vectors(device) else BLOCK


def _halves(n: int) -> tuple[slice, slice]:
    """The two halves of n rows, the first one in whole blocks."""
    middle = -(-n // (2 * BLOCK)) * BLOCK
    return slice(0, middle), slice(middle, n)


# --- triangular systems ---


def _solution_back(dz: Value, a: Value, unit: bool) -> Value:
    return _solved(_swapped(a), dz, lower=False, unit=unit)


@launched(
    grad=(
        lambda dz, z, a, unit: -_lower(matmul(_solution_back(dz, a, unit), _swapped(z)), -1 if unit else 0),
        lambda dz, a, unit: _solution_back(dz, a, unit),
    )
)
def triangular_solve(a: Value, b: Value, *, unit: bool) -> Value:
    """x with L x = b for the lower triangle L of each matrix, with a diagonal of ones if `unit`. Stacks of one dtype."""
    batch, n, m = b.shape
    if b.size == 0:
        return b
    if n > _alone(b.device):
        first, last = _halves(n)
        whole = slice(None)
        upper = triangular_solve(_part(a, first, first), _part(b, first, whole), unit=unit)
        rest = _part(b, last, whole) - matmul(_part(a, last, first), upper)
        return registry["concat"](upper, triangular_solve(_part(a, last, last), rest, unit=unit), dim=1)
    device, x, a = b.device, engine.copied(b), engine.ready(a)
    kernel = _kernel("triangular_solve", "triangular_solve", b, ("buffer", "buffer", *["long"] * 7, "int"))
    runs = -(-m // device.traits.lanes)
    kernel(*_items(device, batch * runs), x.buffer, a.buffer, a.offset, *a.layout.strides, batch, n, m, int(unit))
    return x


def _solved(a: Value, b: Value, *, lower: bool = True, unit: bool = False) -> Value:
    """x with T x = b for the lower or upper triangle T: an upper one is a lower one, seen from the other end."""
    if lower:
        return triangular_solve(a, b, unit=unit)
    return _reversed(triangular_solve(_reversed(a, 1, 2), _reversed(b, 1), unit=unit), 1)


# --- Cholesky ---


def _cholesky_back(dz: Value, z: Value) -> Value:
    """Half of L^-T copyltu(L^T dL) L^-1."""
    inner = _mirrored(matmul(_swapped(z), dz))
    half = _solved(_swapped(z), inner, lower=False)
    return _swapped(_solved(_swapped(z), _swapped(half), lower=False)) * 0.5


@launched(grad=_cholesky_back)
def cholesky(a: Value) -> Value:
    """The lower triangular L with L L^T = a, of whose matrices the lower triangle is read: by halves, block by block."""
    batch, n, _ = a.shape
    result = Value(a.shape, a.dtype, a.device)
    if result.size == 0:
        return result
    if _by_vectors(a.device) and BLOCK < n <= WHOLE and n**3 <= 96 * a.device.traits.lanes * engine.ROUNDS:
        work = engine.copied(_swapped(a))
        _kernel("cholesky", "whole", a, ("buffer", "long"))((batch,), (1,), work.buffer, n)
        return _lower(_swapped(work))
    if n > BLOCK:
        first, last = _halves(n)
        upper = cholesky(_part(a, first, first))
        left = _swapped(triangular_solve(upper, _swapped(_part(a, last, first)), unit=False))
        lower = cholesky(_part(a, last, last) - matmul(left, _swapped(left)))
        concat = registry["concat"]
        above = concat(upper, full_like(_part(a, first, last), 0), dim=2)
        return concat(above, concat(left, lower, dim=2), dim=1)
    device, a = a.device, engine.ready(a)
    kernel = _kernel("cholesky", "cholesky", a, ("buffer", "buffer", *["long"] * 5), together=True)
    buffer = device.allocate(result.size * a.dtype.itemsize)
    group = 1 if device.traits.schedule == "cpu" else min(BLOCK, device.traits.group)
    kernel((batch * group,), (group,), buffer, a.buffer, a.offset, *a.layout.strides, n)
    return result.place(buffer, compact(result.shape))


# --- elimination ---


def _eliminated(a: Value) -> tuple[Value, Value]:
    """Gaussian elimination with partial pivoting of the first n columns of (batch, n, width).

    Returns
    -------
    (Value, Value)
        The factors L (below the diagonal, its own being ones) and U, behind them L^-1 P times the further columns; and the signs
        of P, (batch,).
    """
    batch, n, width = a.shape
    device, work = a.device, engine.copied(a)
    signs = engine.copied(registry["full"](shape=(batch,), value=1, dtype=a.dtype, device=device))
    if work.size == 0:
        return work, signs
    size = n if n <= _alone(device) else BLOCK
    for begin in range(0, n, size):
        end = min(n, begin + size)
        _eliminate(work, signs, begin, end, width if size == n else end)
        block, below, right = slice(begin, end), slice(end, n), slice(end, width)
        if size < n and end < width:
            upper = triangular_solve(_part(work, block, block), _part(work, block, right), unit=True)
            _write(work, block, right, upper)
            if end < n:
                _write(work, below, right, _part(work, below, right) - matmul(_part(work, below, block), upper))
    return work, signs


def _eliminate(work: Value, signs: Value, begin: int, end: int, right: int) -> None:
    """Eliminate with the columns from begin to end, up to the column `right`."""
    (batch, n, width), device = work.shape, work.device
    lanes = device.traits.lanes
    several = 4 * engine.ROUNDS // (n * ((right - begin) // (4 * lanes) + 5 + lanes) + width)  # columns that a work-item has the rounds for
    if _by_vectors(device) and several:
        columns = _kernel("elimination", "columns", work, ("buffer", "buffer", *["long"] * 5))
        for column in range(begin, end, several):
            columns((batch,), (1,), work.buffer, signs.buffer, n, width, column, min(end, column + several), right)
        return
    pivot = _kernel("elimination", "pivot", work, ("buffer", "buffer", *["long"] * 3), together=True)
    eliminate = _kernel("elimination", "eliminate", work, ("buffer", *["long"] * 5))
    for column in range(begin, end):
        pivot(*_groups(device, batch, n + width), work.buffer, signs.buffer, n, width, column)
        if column + 1 < n:
            eliminate(*_items(device, batch * (n - column - 1)), work.buffer, batch, n, width, column, right)


@launched(grad=lambda dz, z: -matmul(_swapped(z), matmul(dz, _swapped(z))))
def matrix_inverse(a: Value) -> Value:
    """The inverse of each matrix."""
    n = a.shape[2]
    identity = registry["broadcast_to"](_identity(n, a), shape=a.shape)
    work, _ = _eliminated(registry["concat"](a, identity, dim=2))
    whole = slice(None)
    return _solved(_part(work, whole, slice(0, n)), _part(work, whole, slice(n, None)), lower=False)


def _logarithm_back(dz: Value, determinants: Value, a: Value) -> Value:
    """dz A^-T, and zeros for singular matrices."""
    singular = registry["reshape"](registry["equal"](determinants, 0), shape=(a.shape[0], 1, 1))
    where = registry["where"]
    inverse = matrix_inverse(where(singular, _identity(a.shape[2], a), a))
    back: Value = where(singular, 0, registry["reshape"](dz, shape=(a.shape[0], 1, 1)) * _swapped(inverse))
    return back


@launched(grad=lambda dz, z, a: _logarithm_back(dz * z, z, a))
def determinant(a: Value) -> Value:
    """The determinant of each matrix of (batch, n, n)."""
    work, signs = _eliminated(a)
    product: Value = signs * registry["prod"](_diagonal(work), axis=1, keepdims=False)
    return product


def _column(packed: Value, at: int) -> Value:
    """A column of (batch, n)."""
    part = registry["slice_axis"](packed, axis=1, begin=at, end=at + 1)
    return registry["reshape"](part, shape=(packed.shape[0],))


@launched(grad=lambda dz, z, a: _logarithm_back(_column(dz, 1), _column(z, 0), a))
def determinant_sign_and_logarithm(a: Value) -> Value:
    """The sign of the determinant of each matrix of (batch, n, n) and the logarithm of its size, as (batch, 2)."""
    work, signs = _eliminated(a)
    diagonal = _diagonal(work)
    sign = signs * registry["prod"](registry["sign"](diagonal), axis=1, keepdims=False)
    size = registry["sum"](registry["log"](registry["abs"](diagonal)), axis=1, keepdims=False)
    return registry["stack"](sign, size, axis=1)


# --- orthogonal rows ---


def _orthogonal_back(dz: Value, z: Value) -> Value:
    """L^-T (dQ + copyltu(M) Q) with M = L^T dL - dQ Q^T, by Seeger et al."""
    n = z.shape[2] - z.shape[1]
    (q, triangle), (dq, dtriangle) = ((_part(x, slice(None), slice(0, n)), _part(x, slice(None), slice(n, None))) for x in (z, dz))
    inner = _mirrored(matmul(_swapped(triangle), dtriangle) - matmul(dq, _swapped(q)))
    return _solved(_swapped(triangle), dq + matmul(inner, q), lower=False)


@launched(grad=_orthogonal_back)
def lq_factors(a: Value) -> Value:
    """Q with orthonormal rows, and behind it the lower triangular L, with L Q = a for (batch, m, n) with m <= n: (batch, m, n + m).

    A block of reflections H1 ... Hb is I - V^T T V, where the inverse of T is the upper triangle of V V^T with ones on the diagonal
    (C. Puglisi, 1992): so a triangular system is solved in place of computing T.
    """
    batch, m, n = a.shape
    if 0 in (batch, m):
        return Value((batch, m, n + m), a.dtype, a.device)
    scale, whole = _largest(a), slice(None)
    work = engine.copied(a / scale)
    vectors, blocks = _reflections(work)
    q = registry["broadcast_to"](_part(registry["reshape"](_identity(n, a), shape=(1, n, n)), slice(0, m), whole), shape=a.shape)
    for block in reversed(blocks):
        q = engine.ready(_reflected(q, _part(vectors, block, whole), back=True))
    return registry["concat"](q, _part(work, whole, slice(0, m)) * scale, dim=2)


def _reflections(work: Value) -> tuple[Value, list[slice]]:
    """Make L of the matrices, in place.

    Returns
    -------
    (Value, list of slice)
        The vectors of the reflections, and which of them are a block.
    """
    (batch, m, n), device = work.shape, work.device
    vectors = Value(work.shape, work.dtype, device)
    vectors.place(device.allocate(vectors.size * work.dtype.itemsize), compact(work.shape))
    reflector = _kernel("reflection", "reflector", work, ("buffer", "buffer", *["long"] * 3), together=True)
    reflect = _kernel("reflection", "reflect", work, ("buffer", "buffer", *["long"] * 4), together=True)
    blocks = [slice(begin, min(m, begin + BLOCK)) for begin in range(0, m, BLOCK)]
    for block in blocks:
        for row in range(block.start, block.stop):
            reflector(*_groups(device, batch, 2 * n), work.buffer, vectors.buffer, m, n, row)
            if rows := block.stop - row - 1:
                reflect(*_groups(device, batch * rows, 2 * n), work.buffer, vectors.buffer, m, n, row, rows)
        below, behind = slice(block.stop, m), slice(block.start, n)
        if block.stop < m:
            _write(work, below, behind, _reflected(_part(work, below, behind), _part(vectors, block, behind)))
    return vectors, blocks


def _reflected(a: Value, vectors: Value, back: bool = False) -> Value:
    """The rows of `a` after all reflections of a block, from first to last or `back` from last to first."""
    products = matmul(vectors, _swapped(vectors))
    factors = _solved(products, matmul(vectors, _swapped(a)), lower=not back, unit=True)
    return a - matmul(_swapped(factors), vectors)


def _largest(a: Value) -> Value:
    """The size of the largest element of each matrix, 1 for zeros: divided by it nothing overflows when it is squared."""
    size = registry["max"](registry["abs"](a), axis=(1, 2), keepdims=True)
    return registry["where"](registry["equal"](size, 0), 1, size)


# --- symmetric matrices ---


def _eigen_back(dz: Value, z: Value) -> Value:
    """U^T (F * (dU U^T) + diag(dL)) U, made symmetric, where F = 1 / (L_i - L_j), and zero where these are equal."""
    n = z.shape[1]
    (u, values), (du, dvalues) = ((_part(x, slice(None), slice(0, n)), _part(x, slice(None), slice(n, None))) for x in (z, dz))
    gaps, where = values - _swapped(values), registry["where"]
    equal = registry["equal"](gaps, 0)
    inner = where(equal, 0, matmul(du, _swapped(u)) / where(equal, 1, gaps)) + _identity(n, z) * dvalues
    return matmul(_swapped(u), matmul((inner + _swapped(inner)) * 0.5, u))


@launched(grad=_eigen_back)
def symmetric_eigen(a: Value) -> Value:
    """The orthonormal eigenvectors of each matrix of (batch, n, n) as rows, and behind each its eigenvalue: (batch, n, n + 1).

    The lower triangles are read. Waits for the device, since the number of rotations depends on the values.
    """
    (batch, n, _), device = a.shape, a.device
    result = Value((batch, n, n + 1), a.dtype, device)
    if result.size == 0:
        return result
    scale = _largest(_lower(a))
    given = engine.ready(_mirrored(a) / scale)
    u = _diagonalizing(given)
    # The rotations lose some digits of the diagonal, which the vectors still have: their Rayleigh quotients.
    quotients = engine.copied(registry["sum"](matmul(u, given) * u, axis=2, keepdims=False))
    sort = _kernel("rotation", "sorted", a, ("buffer",) * 3 + ("long",) * 2)
    buffer = device.allocate(result.size * a.dtype.itemsize)
    sort(*_items(device, batch * n), buffer, quotients.buffer, u.buffer, batch, n)
    result.place(buffer, compact(result.shape))
    whole = slice(None)
    vectors, values = _part(result, whole, slice(0, n)), _part(result, whole, slice(n, None))
    return registry["concat"](vectors + values * 0, values * scale, dim=2)  # so vectors are NaN where their values are


def _diagonalizing(a: Value) -> Value:
    """The orthogonal U for which U A U^T is diagonal, by Jacobi's method: n / 2 rotations at a time, which do not meet."""
    (batch, n, _), device, traits = a.shape, a.device, a.device.traits
    work, u = engine.copied(a), engine.copied(registry["broadcast_to"](_identity(n, a), shape=a.shape))
    norm = registry["sqrt"](registry["sum"](registry["square"](a), axis=(1, 2), keepdims=False))
    least = engine.copied(norm * (float(np.finfo(a.dtype).eps) / n))
    half = (n + 1) // 2
    rotations, rotated = (engine.copied(registry["full"](shape=(batch, half, k), value=0, dtype=a.dtype, device=device)) for k in (2, 1))
    find = _kernel("rotation", "rotations", a, ("buffer",) * 4 + ("long",) * 4)
    rotate = _kernel("rotation", "rotate", a, ("buffer",) * 3 + ("long",) * 3)
    across = min(64, traits.group) if traits.schedule == "gpu" else 1
    for _ in range(SWEEPS):
        for number in range(2 * half - 1):
            find(*_items(device, batch * half), work.buffer, rotations.buffer, rotated.buffer, least.buffer, batch, n, half, number)
            rotate((across, batch * half), (across, 1), work.buffer, u.buffer, rotations.buffer, n, half, number)
        if not engine.to_numpy(registry["max"](rotated)).item():
            break
    return u


# --- what MXNet calls `linalg_...` ---


@composed(numpy=None)
def linalg_potrf(A: Value, *, lower: bool = True) -> Value:
    """The Cholesky factor of each symmetric positive definite matrix: the lower triangular L with A = L L^T.

    It is NaN from the first column on whose leading minor is not positive; MXNet raises an error there. The gradient is symmetric.

    Parameters
    ----------
    lower : bool
        Else the factor is its transpose. The other triangle of A is not read.

    >>> from clnd import nd
    >>> nd.linalg.potrf(nd.array([[4, 2], [2, 2]])).asnumpy()
    array([[2., 0.],
           [1., 1.]], dtype=float32)
    """
    a = _matrices("linalg_potrf", A)
    return _restored(cholesky(a) if lower else _swapped(cholesky(_swapped(a))), A)


@composed(numpy=None)
def linalg_potri(A: Value, *, lower: bool = True) -> Value:
    """The inverse of L L^T for each Cholesky factor L; infinite or NaN where that is singular (MXNet raises an error there).

    Parameters
    ----------
    lower : bool
        Is the factor given as a lower triangle, or as its transpose?

    >>> from clnd import nd
    >>> nd.linalg.potri(nd.array([[2, 0], [0, 1]])).asnumpy()
    array([[0.25, 0.  ],
           [0.  , 1.  ]], dtype=float32)
    """
    a = _matrices("linalg_potri", A)
    factor = a if lower else _swapped(a)
    inverse = _solved(factor, registry["broadcast_to"](_identity(a.shape[2], a), shape=a.shape))
    return _restored(matmul(_swapped(inverse), inverse), A)


@composed(numpy=None)
def linalg_trsm(A: Value, B: Value, *, transpose: bool = False, rightside: bool = False, lower: bool = True, alpha: float = 1.0) -> Value:
    """X with A X = alpha B for triangular matrices A; infinite or NaN where A is singular.

    Parameters
    ----------
    transpose : bool
        Solve with the transpose of A.
    rightside : bool
        Solve X A = alpha B.
    lower : bool
        Which triangle of A is meant; the other is not read.

    >>> from clnd import nd
    >>> nd.linalg.trsm(nd.array([[2, 0], [1, 1]]), nd.array([[2], [3]])).asnumpy()
    array([[1.],
           [2.]], dtype=float32)
    """
    return _triangular("linalg_trsm", _solved, A, B, transpose, rightside, lower, alpha)


@composed(numpy=None)
def linalg_trmm(A: Value, B: Value, *, transpose: bool = False, rightside: bool = False, lower: bool = True, alpha: float = 1.0) -> Value:
    """alpha A B for triangular matrices A.

    Parameters
    ----------
    transpose : bool
        Multiply with the transpose of A.
    rightside : bool
        Compute alpha B A.
    lower : bool
        Which triangle of A is meant; the other is not read.

    >>> from clnd import nd
    >>> nd.linalg.trmm(nd.array([[2, 9], [1, 1]]), nd.array([[2], [3]])).asnumpy()
    array([[4.],
           [5.]], dtype=float32)
    """
    return _triangular("linalg_trmm", _multiplied, A, B, transpose, rightside, lower, alpha)


def _multiplied(a: Value, b: Value, *, lower: bool) -> Value:
    return matmul(_lower(a) if lower else _swapped(_lower(_swapped(a))), b)


def _triangular(name: str, function: Any, A: Value, B: Value, transpose: bool, rightside: bool, lower: bool, alpha: float) -> Value:
    """Apply a function of triangular matrices and columns: what is done with rows is done with their transposes."""
    a, b = _matrices(name, A), _matrices(name, B, square=False)
    if A.shape[:-2] != B.shape[:-2] or A.shape[-1] != B.shape[-1 if rightside else -2]:
        raise ShapeError(f"{name}: shapes {list(A.shape)} and {list(B.shape)} do not fit{' from the right side' * rightside}")
    wide = dtypes.promote(a.dtype, b.dtype)
    a, b = converted(a, wide), converted(b, wide)
    turned = bool(transpose) != bool(rightside)
    result = function(_swapped(a) if turned else a, _swapped(b) if rightside else b, lower=bool(lower) != turned)
    result = _swapped(result) if rightside else result
    shaped = _restored(result if alpha == 1 else result * alpha, B)
    return converted(shaped, dtypes.promote(dtypes.floating(A.dtype), shaped.dtype))


@composed(numpy=None)
def linalg_gelqf(A: Value) -> tuple[Value, Value]:
    """The LQ factors of matrices with at least as many columns as rows: Q with orthonormal rows and the lower triangular L, A = L Q.

    Householder's reflections decide about signs, as in LAPACK.

    >>> from clnd import nd
    >>> q, l = nd.linalg.gelqf(nd.array([[3, 4]]))
    >>> q.asnumpy(), l.asnumpy()
    (array([[-0.6, -0.8]], dtype=float32), array([[-5.]], dtype=float32))
    """
    a = _matrices("linalg_gelqf", A, square=False)
    m, n = a.shape[1:]
    if m > n:
        raise ShapeError(f"linalg_gelqf: the matrices of shape {list(A.shape)} have more rows than columns; transpose them")
    packed, whole = lq_factors(a), slice(None)
    return _restored(_part(packed, whole, slice(0, n)), A), _restored(_part(packed, whole, slice(n, None)), A)


@composed(numpy=None)
def linalg_syevd(A: Value) -> tuple[Value, Value]:
    """The eigenvectors of symmetric matrices as the rows of U, and their eigenvalues L in ascending order: A = U^T diag(L) U.

    The lower triangle is read. The largest element of each eigenvector is positive. Waits for the device. The gradient through eigenvectors
    leaves out what is between two eigenvalues that are equal, where it does not exist; MXNet has huge numbers there.

    >>> from clnd import nd
    >>> u, l = nd.linalg.syevd(nd.array([[2, 0], [0, 1]]))
    >>> u.asnumpy(), l.asnumpy()
    (array([[0., 1.],
           [1., 0.]], dtype=float32), array([1., 2.], dtype=float32))
    """
    a = _matrices("linalg_syevd", A)
    packed, n, whole = symmetric_eigen(a), a.shape[2], slice(None)
    values = registry["reshape"](_part(packed, whole, slice(n, None)), shape=(a.shape[0], n))
    return _restored(_part(packed, whole, slice(0, n)), A), _restored(values, A)


@composed(numpy=None)
def linalg_inverse(A: Value) -> Value:
    """The inverse of each matrix; infinite or NaN where there is none (MXNet raises an error there).

    >>> from clnd import nd
    >>> nd.linalg.inverse(nd.array([[2, 0], [0, 4]])).asnumpy()
    array([[0.5 , 0.  ],
           [0.  , 0.25]], dtype=float32)
    """
    return _restored(matrix_inverse(_matrices("linalg_inverse", A)), A)


@composed(numpy=None)
def linalg_det(A: Value) -> Value:
    """The determinant of each matrix. The gradient at singular matrices is zero, as in MXNet.

    >>> from clnd import nd
    >>> nd.linalg.det(nd.array([[2, 1], [1, 4]])).asnumpy()
    array([7.], dtype=float32)
    """
    return _restored(determinant(_matrices("linalg_det", A)), A)


@composed(numpy=None)
def linalg_slogdet(A: Value) -> tuple[Value, Value]:
    """The sign of the determinant of each matrix, and the logarithm of its absolute value: 0 and -inf for singular ones.

    The gradient at singular matrices is zero, as in MXNet.

    >>> from clnd import nd
    >>> sign, logarithm = nd.linalg.slogdet(nd.array([[-1, 0], [0, 1]]))
    >>> sign.asnumpy(), logarithm.asnumpy()
    (array([-1.], dtype=float32), array([0.], dtype=float32))
    """
    packed = determinant_sign_and_logarithm(_matrices("linalg_slogdet", A))
    return _restored(_column(packed, 0), A), _restored(_column(packed, 1), A)


@composed(numpy=None)
def linalg_sumlogdiag(A: Value) -> Value:
    """The sum of the logarithms of the diagonal of each matrix.

    >>> from clnd import nd
    >>> nd.linalg.sumlogdiag(nd.array([[1, 5], [5, 1]])).asnumpy()
    array([0.], dtype=float32)
    """
    diagonal = _diagonal(_matrices("linalg_sumlogdiag", A))
    return _restored(registry["sum"](registry["log"](diagonal), axis=1, keepdims=False), A)
