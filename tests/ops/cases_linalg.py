"""Cases of the linear algebra that one array comes out of. Factorisations are in test_factorization.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ops.case import Case, cases, floated, magnitudes
from ops.table import FLOATS, Array


def gemm2(A: Array, B: Array, transpose_a: bool = False, transpose_b: bool = False, alpha: float = 1, axis: int = -2) -> Array:
    a, b = np.moveaxis(A, axis, -2), np.moveaxis(B, axis, -2)
    a, b = a.swapaxes(-1, -2) if transpose_a else a, b.swapaxes(-1, -2) if transpose_b else b
    return np.moveaxis(A.dtype.type(alpha) * (a @ b), -2, axis)


def gemm(A: Array, B: Array, C: Array, beta: float = 1, **attributes: Any) -> Array:
    return gemm2(A, B, **attributes) + C.dtype.type(beta) * C


def syrk(A: Array, transpose: bool = False, alpha: float = 1) -> Array:
    return gemm2(A, A, transpose, not transpose, alpha)


def trmm(A: Array, B: Array, transpose: bool = False, rightside: bool = False, lower: bool = True, alpha: float = 1) -> Array:
    a = np.tril(A) if lower else np.triu(A)
    a = a.swapaxes(-1, -2) if transpose else a
    return B.dtype.type(alpha) * (B @ a if rightside else a @ B)


def khatri_rao(*matrices: Array) -> Array:
    result = matrices[0]
    for x in matrices[1:]:
        result = np.stack([np.kron(a, b) for a, b in zip(result.T, x.T, strict=True)], axis=1)
    return result


def makediag(A: Array, offset: int = 0) -> Array:
    n = A.shape[-1] + abs(offset)
    result = np.zeros((*A.shape[:-1], n, n), A.dtype)
    rows = np.arange(A.shape[-1])
    result[..., rows + max(0, -offset), rows + max(0, offset)] = A
    return result


def triangle(n: int, offset: int, lower: bool) -> tuple[Array, Array]:
    """Rows and columns of a triangle, in the order in which it is packed."""
    if offset > 0 or (offset == 0 and not lower):
        columns, rows = np.tril_indices(n, -offset)
    else:
        rows, columns = np.tril_indices(n, offset)
    return rows, columns


def extracttrian(A: Array, offset: int = 0, lower: bool = True) -> Array:
    return A[(..., *triangle(A.shape[-1], offset, lower))]


def maketrian(A: Array, offset: int = 0, lower: bool = True) -> Array:
    n = int((2 * A.shape[-1]) ** 0.5) + abs(offset)
    result = np.zeros((*A.shape[:-1], n, n), A.dtype)
    result[(..., *triangle(n, offset, lower))] = A
    return result


def rows_multiplied(A: Array) -> Array:
    """Hadamard's bound of the determinant, of which elimination may lose some units."""
    return np.prod(np.linalg.norm(A.astype(float), axis=-1), axis=-1)


CASES: list[Case] = [
    *cases(
        "linalg_gemm",
        [
            (((3, 4), (4, 5), (3, 5)), {"alpha": 2.0, "beta": -0.5}),
            (((2, 4, 3), (2, 5, 4), (2, 3, 5)), {"transpose_a": True, "transpose_b": True}),
            (((0, 2, 3), (0, 3, 2), (0, 2, 2)), {}),
        ],
        numpy=gemm,
        dtypes=FLOATS,
        rounded=8,
        halves=4,
        terms=lambda A, B, C, **attributes: gemm(abs(A), abs(B), abs(C), **{k: abs(v) for k, v in attributes.items()}),
    ),
    *cases(
        "linalg_gemm2",
        [
            (((3, 4), (5, 4)), {"transpose_b": True}),
            (((3, 2, 4), (4, 2, 5)), {"axis": 0, "alpha": 0.5}),
            (((2, 4, 3, 2), (2, 4, 3, 5)), {"axis": 1, "transpose_a": True}),
        ],
        numpy=gemm2,
        dtypes=FLOATS,
        rounded=6,
        halves=2,
        terms=lambda A, B, **attributes: gemm2(abs(A), abs(B), **attributes),
    ),
    *cases(
        "linalg_syrk",
        [(((2, 3, 4),), {}), (((3, 4),), {"transpose": True, "alpha": 2.0})],
        numpy=syrk,
        dtypes=FLOATS,
        rounded=6,
        halves=2,
        terms=lambda A, **attributes: syrk(abs(A), **attributes),
    ),
    *cases(
        "linalg_trmm",
        [
            (((2, 3, 3), (2, 3, 4)), {}),
            (((3, 3), (2, 3)), {"rightside": True, "lower": False, "alpha": 2.0}),
            (((3, 3), (3, 1)), {"transpose": True}),
        ],
        numpy=trmm,
        dtypes=(*FLOATS, "int32"),
        result=floated,
        rounded=6,
        halves=2,
        terms=lambda A, B, **attributes: trmm(abs(A), abs(B), **attributes),
    ),
    *cases(
        "khatri_rao",
        [(((2, 3), (4, 3), (1, 3)), {}), (((2, 3),), {}), (((0, 3), (2, 3)), {})],
        numpy=khatri_rao,
        dtypes=(*FLOATS, "int32"),
        rounded=2,
        halves=2,
        terms=magnitudes(khatri_rao),
    ),
    *cases(
        "linalg_extractdiag",
        [(((2, 3, 3),), {}), (((4, 4),), {"offset": 1}), (((4, 4),), {"offset": -3}), (((0, 2, 2),), {})],
        numpy=lambda A, offset=0: np.diagonal(A, offset, -2, -1),
    ),
    *cases(
        "linalg_makediag",
        [(((2, 3),), {}), (((3,),), {"offset": 1}), (((1,),), {"offset": -2}), (((0, 2),), {})],
        numpy=makediag,
    ),
    *cases(
        "linalg_extracttrian",
        [(((2, 3, 3),), {}), (((4, 4),), {"lower": False}), (((4, 4),), {"offset": 1}), (((4, 4),), {"offset": -3}), (((0, 2, 2),), {})],
        numpy=extracttrian,
    ),
    *cases(
        "linalg_maketrian",
        [(((2, 6),), {}), (((6,),), {"lower": False}), (((6,),), {"offset": 1}), (((1,),), {"offset": -2}), (((0, 3),), {})],
        numpy=maketrian,
    ),
    *cases(
        "linalg_sumlogdiag",
        [(((2, 3, 3),), {}), (((1, 1),), {}), (((0, 2, 2),), {})],
        numpy=lambda A: np.log(np.diagonal(A, 0, -2, -1)).sum(-1),
        dtypes=FLOATS,
        rounded=12,
        terms=lambda A: abs(np.log(np.diagonal(A, 0, -2, -1))).sum(-1) + 1,
        domain=(0.5, 3.0),
    ),
    *cases(
        "linalg_det",
        [(((2, 3, 3),), {}), (((1, 1),), {}), (((0, 2, 2),), {}), (((2, 0, 0),), {})],
        numpy=lambda A: np.linalg.det(A.astype(float)),
        dtypes=FLOATS,
        rounded=24,
        terms=rows_multiplied,
    ),
]

ELSEWHERE = dict.fromkeys(
    [
        "cholesky",
        "determinant",
        "determinant_sign_and_logarithm",
        "linalg_gelqf",
        "linalg_inverse",
        "linalg_potrf",
        "linalg_potri",
        "linalg_slogdet",
        "linalg_syevd",
        "linalg_trsm",
        "lq_factors",
        "matrix_inverse",
        "symmetric_eigen",
        "triangular_solve",
    ],
    "test_factorization.py",
) | {
    "packed_triangle": "as linalg_extracttrian",
    "unpacked_triangle": "as linalg_maketrian",
}
