"""Factorisations of matrices: what they multiply to, their derivatives, and what comes of matrices that have none."""

from __future__ import annotations

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, nd
from clnd.ops import factorization
from measures import CONTEXTS
from ops.checks import dtypes_of

portability = pytest.mark.portability
linalg = nd.linalg


@pytest.fixture(params=CONTEXTS, ids=str)
def context(request):
    return request.param


@pytest.fixture
def generator(seeded):
    return np.random.default_rng(seeded)


def swapped(x):
    return x.swapaxes(-1, -2)


def regular(generator, *shape):
    """Matrices far from singular: the diagonal outweighs the rest, in rows that stand in another order."""
    n = shape[-1]
    return generator.uniform(-1, 1, shape) / n + generator.permuted(np.eye(n), axis=0)


def positive(generator, *shape):
    """Symmetric positive definite matrices."""
    x = generator.uniform(-1, 1, shape)
    return x @ swapped(x) / shape[-1] + np.eye(shape[-1])


def agree(got, expected, dtype, n):
    """Within the roundings of n operations on numbers of size 1."""
    assert got.dtype == dtype
    assert got.shape == expected.shape
    bound = float(np.finfo(dtype).eps) * 8 * max(n, 1) * np.abs(expected).max(initial=1)
    np.testing.assert_allclose(got.asnumpy(), expected, rtol=0, atol=bound)


# Kernels of single numbers take 32 rows at once: 70 are two blocks and a part of one.
SHAPES = [(1, 1), (2, 3, 3), (70, 70), (0, 4, 4), (2, 0, 0)]


@portability
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cholesky_factors_and_triangular_systems(shape, context, generator):
    n, x = shape[-1], positive(generator, *shape)
    unread = np.triu(np.full((n, n), np.nan), 1)
    for dtype in dtypes_of(context.device, ("float16", "float32", "float64") if n == 3 else ("float32",)):
        factor = linalg.potrf(nd.array(x + unread, dtype=dtype, ctx=context))
        expected = np.linalg.cholesky(x)
        agree(factor, expected, dtype, n)
        agree(linalg.potrf(nd.array(x + unread.T, dtype=dtype, ctx=context), lower=False), swapped(expected), dtype, n)
        agree(linalg.potri(nd.array(expected + unread, dtype=dtype, ctx=context)), np.linalg.inv(x), dtype, 4 * n)
        agree(linalg.potri(nd.array(swapped(expected) + unread.T, dtype=dtype, ctx=context), lower=False), np.linalg.inv(x), dtype, 4 * n)
        b = generator.uniform(-1, 1, (*shape[:-1], 5))
        for transpose, rightside, lower in np.ndindex(2, 2, 2):
            triangle = expected if lower else swapped(expected)
            given = nd.array(triangle + (unread if lower else unread.T), dtype=dtype, ctx=context)
            right = nd.array(swapped(b) if rightside else b, dtype=dtype, ctx=context)
            found = linalg.trsm(given, right, transpose=transpose, rightside=rightside, lower=lower, alpha=2)
            a = swapped(triangle) if transpose else triangle
            agree(found, swapped(np.linalg.solve(swapped(a), 2 * b)) if rightside else np.linalg.solve(a, 2 * b), dtype, 4 * n)


@portability
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_inverses_and_determinants(shape, context, generator):
    n, x = shape[-1], regular(generator, *shape)
    for dtype in dtypes_of(context.device, ("float32", "float64") if n == 3 else ("float32",)):
        given = nd.array(x, dtype=dtype, ctx=context)
        agree(linalg.inverse(given), np.linalg.inv(x), dtype, 4 * n)
        agree(linalg.det(given), np.linalg.det(x).reshape(shape[:-2] or 1), dtype, 4 * n)
        for got, expected in zip(linalg.slogdet(given), np.linalg.slogdet(x), strict=True):
            agree(got, np.reshape(expected, shape[:-2] or 1), dtype, 4 * n)


@pytest.mark.parametrize("alone", [32, 256])
def test_blocks_and_what_a_work_item_takes_alone_agree(alone, generator, monkeypatch):
    monkeypatch.setattr(factorization, "WHOLE", alone)
    x, b = regular(generator, 70, 70), generator.uniform(-1, 1, (70, 40))
    triangle = np.tril(x) + np.eye(70)
    agree(linalg.inverse(nd.array(x)), np.linalg.inv(x), np.float32, 280)
    agree(linalg.det(nd.array(x)), np.linalg.det(x).reshape(1), np.float32, 280)
    agree(linalg.trsm(nd.array(triangle), nd.array(b)), np.linalg.solve(triangle, b), np.float32, 280)
    agree(linalg.potrf(nd.array(x @ x.T + np.eye(70))), np.linalg.cholesky(x @ x.T + np.eye(70)), np.float32, 280)


@portability
@pytest.mark.parametrize("shape", [*SHAPES, (3, 5), (40, 70), (2, 1, 3)], ids=str)
def test_rows_are_made_orthonormal(shape, context, generator):
    (m, n), x = shape[-2:], generator.uniform(-1, 1, shape)
    for dtype in dtypes_of(context.device, ("float32", "float64") if n == 5 else ("float32",)):
        q, triangle = linalg.gelqf(nd.array(x, dtype=dtype, ctx=context))
        assert (q.dtype, triangle.dtype) == (dtype, dtype)
        assert (q.shape, triangle.shape) == (shape, (*shape[:-1], m))
        q, triangle = q.asnumpy().astype(float), triangle.asnumpy().astype(float)
        bound = float(np.finfo(dtype).eps) * 8 * n
        np.testing.assert_allclose(triangle @ q, x, rtol=0, atol=4 * bound)
        np.testing.assert_allclose(q @ swapped(q), np.broadcast_to(np.eye(m), triangle.shape), rtol=0, atol=bound)
        np.testing.assert_array_equal(triangle, np.tril(triangle))
        expected = np.linalg.qr(swapped(x))[1]
        np.testing.assert_array_equal(np.sign(np.diagonal(triangle, 0, -2, -1)), np.sign(np.diagonal(expected, 0, -2, -1)))


@portability
@pytest.mark.parametrize("shape", [*SHAPES[:-3], (35, 35), *SHAPES[-2:]], ids=str)
def test_eigenvalues_and_eigenvectors(shape, context, generator):
    n, x = shape[-1], generator.uniform(-1, 1, shape)
    x = x + swapped(x)
    unread = np.triu(np.full((n, n), np.nan), 1)
    for dtype in dtypes_of(context.device, ("float32", "float64") if n == 3 else ("float32",)):
        u, values = linalg.syevd(nd.array(x + unread, dtype=dtype, ctx=context))
        agree(values, np.linalg.eigvalsh(x), dtype, n)
        assert (u.shape, u.dtype) == (shape, dtype)
        u = u.asnumpy().astype(float)
        bound = float(np.finfo(dtype).eps) * 8 * n
        np.testing.assert_allclose(u @ swapped(u), np.broadcast_to(np.eye(n), shape), rtol=0, atol=bound)
        np.testing.assert_allclose(u @ x @ swapped(u), np.eye(n) * values.asnumpy()[..., None, :], rtol=0, atol=4 * bound)
        assert not u.size or np.all(np.take_along_axis(u, abs(u).argmax(-1, keepdims=True), -1) > 0)


def test_eigenvalues_of_special_matrices(context):
    for x in (np.eye(3), np.zeros((4, 4)), np.ones((5, 5)), np.diag([1e30, -1e30, 1.0]), np.full((2, 2), 1e-30)):
        u, values = linalg.syevd(nd.array(x, ctx=context))
        np.testing.assert_allclose(values.asnumpy(), np.linalg.eigvalsh(x), rtol=1e-6, atol=1e-6 * np.abs(x).max())
        np.testing.assert_allclose((u.asnumpy() @ u.asnumpy().T), np.eye(len(x)), atol=1e-6)


# Derivatives.


def test_derivatives_of_large_matrices(context, generator):
    """With blocks, and the rounding of products of matrices."""
    x = nd.array(positive(generator, 40, 40), ctx=context)
    x.attach_grad()
    with autograd.record():
        total = linalg.sumlogdiag(linalg.potrf(x)) * 2 + linalg.slogdet(x)[1]
    total.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), 2 * np.linalg.inv(x.asnumpy()), atol=1e-4)


def test_the_gradient_of_a_cholesky_factor_is_symmetric(context):
    x = nd.array([[4, 1], [1, 3]], ctx=context)
    x.attach_grad()
    with autograd.record():
        y = linalg.potrf(x)
    y.backward(nd.array([[1, 2], [3, 4]], ctx=context))
    np.testing.assert_allclose(x.grad.asnumpy(), [[0.13787781, 0.4484887], [0.4484887, 1.2060454]], rtol=1e-5)


# Where there is no factor.


@portability
def test_matrices_without_a_factor_give_nan_and_leave_the_others_alone(context):
    good = [[2, 1], [1, 3]]
    factors = linalg.potrf(nd.array([good, [[1, 2], [2, 1]], [[0, 0], [0, 0]]], ctx=context)).asnumpy()
    np.testing.assert_allclose(factors[0], np.linalg.cholesky(good), rtol=1e-6)
    np.testing.assert_array_equal(factors[1:], [[[1, 0], [2, np.nan]], [[np.nan, 0], [np.nan, np.nan]]])
    inverses = linalg.inverse(nd.array([good, [[1, 2], [2, 4]]], ctx=context)).asnumpy()
    np.testing.assert_allclose(inverses[0], np.linalg.inv(good), rtol=1e-6)
    assert not np.isfinite(inverses[1]).any()
    assert not np.isfinite(linalg.potri(nd.zeros((2, 2), ctx=context)).asnumpy()).any()
    broken = nd.array([[np.nan, 1], [1, np.inf]], ctx=context)
    for name in ("potrf", "potri", "inverse", "det", "slogdet", "syevd", "gelqf"):
        found = getattr(linalg, name)(broken)
        for part in found if isinstance(found, list) else [found]:
            assert np.isnan(part.asnumpy()).any(), name
    np.testing.assert_array_equal(linalg.gelqf(nd.zeros((2, 3), ctx=context))[0].asnumpy(), np.eye(2, 3))


def test_singular_matrices_have_determinants_but_no_gradient(context):
    x = nd.array([[[1, 2], [2, 4]], [[0, 0], [0, 0]], [[1, 2], [3, 4]]], ctx=context)
    x.attach_grad()
    for function, values, gradient in (
        (linalg.det, [0, 0, -2], [[4, -3], [-2, 1]]),
        (lambda x: linalg.slogdet(x)[1], [-np.inf, -np.inf, np.log(2)], [[-2, 1.5], [1, -0.5]]),
    ):
        with autograd.record():
            y = function(x)
        y.backward()
        np.testing.assert_allclose(y.asnumpy(), values, rtol=1e-6)
        np.testing.assert_allclose(x.grad.asnumpy(), [np.zeros((2, 2)), np.zeros((2, 2)), gradient], rtol=1e-5)
    np.testing.assert_array_equal(linalg.slogdet(x)[0].asnumpy(), [0, 0, -1])


def test_equal_eigenvalues_have_finite_gradients(context):
    x = nd.array(np.eye(2), ctx=context)
    x.attach_grad()
    with autograd.record():
        u, values = linalg.syevd(x)
        total = u.sum() + (values * nd.array([1, 2], ctx=context)).sum()
    total.backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), [[1, 0], [0, 2]])


# Calls.


def test_results_are_written_into_out():
    x = nd.array([[4, 2], [2, 2]])
    factor, sign, logarithm = nd.zeros((2, 2)), nd.zeros(1), nd.zeros(1)
    assert linalg.potrf(x, out=factor) is factor
    nd.linalg_slogdet(x, out=[sign, logarithm], name="x")
    np.testing.assert_array_equal(factor.asnumpy(), [[2, 0], [1, 1]])
    np.testing.assert_allclose([sign.asscalar(), logarithm.asscalar()], [1, np.log(4)], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "shapes", "attributes"),
    [
        ("potrf", [(2, 3)], {}),
        ("potri", [(2,)], {}),
        ("trsm", [(2, 2), (3, 2)], {}),
        ("trsm", [(2, 2), (2, 3)], {"rightside": True}),
        ("trmm", [(2, 2), (3, 2, 2)], {}),
        ("gelqf", [(3, 2)], {}),
        ("syevd", [(2, 3)], {}),
        ("inverse", [(2,)], {}),
        ("det", [(2, 3)], {}),
        ("slogdet", [(1,)], {}),
        ("sumlogdiag", [(2, 3)], {}),
        ("gemm", [(2, 3), (3, 2), (3, 3)], {}),
        ("gemm2", [(2, 3), (2, 3)], {}),
        ("gemm2", [(2, 2), (2, 2)], {"axis": 1}),
        ("gemm2", [(2, 2), (2, 2)], {"axis": 3}),
        ("gemm2", [(2,), (2,)], {}),
        ("syrk", [(2,)], {}),
        ("extractdiag", [(2, 3)], {}),
        ("extractdiag", [(2, 2)], {"offset": 2}),
        ("extracttrian", [(2, 2)], {"offset": -2}),
        ("maketrian", [(2, 4)], {}),
    ],
)
def test_wrong_arrays_are_refused(name, shapes, attributes):
    with pytest.raises(mx.MXNetError, match=f"linalg_{name}"):
        getattr(linalg, name)(*(nd.ones(shape) for shape in shapes), **attributes)


def test_khatri_rao_refuses_other_shapes():
    for shapes in [((2, 3), (2, 2)), ((3,), (3,))]:
        with pytest.raises(mx.MXNetError, match="khatri_rao"):
            nd.khatri_rao(*(nd.ones(shape) for shape in shapes))
