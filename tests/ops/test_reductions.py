"""Reductions, scans and what goes with them: several outputs, MXNet's conventions, bad input. The table has the rest."""

from __future__ import annotations

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, nd
from clnd.ndarray import NDArray
from measures import CONTEXTS
from ops.checks import dtypes_of

portability = pytest.mark.portability
INF, NAN = np.inf, np.nan


@pytest.fixture
def context():
    return mx.current_context()


# Several outputs.


@portability
@pytest.mark.parametrize("axes", [None, (), 0, (1,), (0, -1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_moments(axes, keepdims):
    x = np.random.default_rng(0).normal(7, 2, (3, 4, 5)).astype(np.float32)
    mean, variance = nd.moments(nd.array(x), axes=axes, keepdims=keepdims)
    for got, function in ((mean, np.mean), (variance, np.var)):
        expected = function(x.astype(float), axis=axes or (axes if axes == 0 else None), keepdims=keepdims)
        assert got.shape == (expected.shape or (1,))
        np.testing.assert_allclose(got.asnumpy().reshape(expected.shape), expected, rtol=1e-6)


def test_moments_of_other_dtypes():
    mean, variance = nd.moments(nd.array([60000, 60004], dtype="float16"))
    assert (mean.dtype, mean.asscalar(), variance.asscalar()) == (np.float16, 60000, 0)
    mean, variance = nd.moments(nd.array([1, 2, 6], dtype="int32"), axes=0)
    assert (mean.dtype, mean.asscalar(), variance.asscalar()) == (np.int32, 3, 4)


def test_results_go_into_out():
    x = nd.array([[1, 2], [3, 6]])
    mean, variance = out = [nd.zeros(2), nd.zeros(2)]
    assert nd.moments(x, axes=0, out=out)[0] is mean
    assert (mean.asnumpy().tolist(), variance.asnumpy().tolist()) == ([2, 4], [1, 4])
    total = nd.zeros((2, 2))
    assert nd.add_n(x, x, x, out=total, name="total") is total
    assert total.asnumpy().tolist() == [[3, 6], [9, 18]]


# Whole arrays.


@portability
def test_norms_neither_overflow_nor_underflow():
    for scale in (1e-42, 1e-30, 1, 1e25, 5e37):
        x = np.array([[3, 4, 0], [0, 0, 0]], np.float32) * np.float32(scale)
        np.testing.assert_allclose(nd.norm(nd.array(x), axis=1).asnumpy(), [5 * scale, 0], rtol=1e-2 if scale < 1e-40 else 1e-6)
    assert nd.norm(nd.array([1, INF])).asscalar() == INF
    assert np.isnan(nd.norm(nd.array([1, NAN])).asscalar())


def test_norms_of_every_axis_and_dtype():
    x = nd.array([[3, -4]])
    assert nd.norm(x, axis=()).shape == (1,)
    assert nd.norm(x, keepdims=True, out_dtype="float16").dtype == np.float16
    assert nd.norm(x, ord=1, axis=(0, 1), out_dtype="int32").asnumpy().tolist() == [7]
    x.attach_grad()
    with autograd.record():
        y = nd.norm(x, out_dtype="float16")
    y.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), [[0.6, -0.8]], rtol=1e-6)
    with pytest.raises(mx.MXNetError, match="ord must be 1 or 2, not 3"):
        nd.norm(x, ord=3)


@pytest.mark.parametrize("name", ["nansum", "nanprod"])
def test_nan_gets_no_gradient(name):
    x = nd.array([2, NAN, 4])
    x.attach_grad()
    with autograd.record():
        y = getattr(x, name)()
    y.backward()
    assert x.grad.asnumpy().tolist() == ([1, 0, 1] if name == "nansum" else [4, 0, 2])
    assert getattr(nd, name)(nd.array([[NAN, NAN]]), axis=0, exclude=True).shape == (1,)


@portability
def test_finite_or_not():
    x, y = nd.array([1, 2]), nd.array([1, INF], dtype="float16")
    assert nd.all_finite(x).asnumpy().tolist() == [1]
    assert nd.multi_all_finite(x, y, num_arrays=2).asnumpy().tolist() == [0]
    assert nd.multi_all_finite(*[x] * 30, num_arrays=30).asnumpy().tolist() == [1]
    found = nd.zeros(1)
    assert nd.all_finite(x, init_output=False, out=found).asscalar() == 0
    assert nd.all_finite(x, out=found).asscalar() == 1
    assert nd.multi_all_finite(x, num_arrays=1, init_output=False, out=found).asscalar() == 1
    with pytest.raises(mx.MXNetError, match="num_arrays is 2, but 1 arrays are given"):
        nd.multi_all_finite(x, num_arrays=2)


def test_sums_of_squares_of_many_arrays():
    arrays = [nd.full((i + 1,), 2, dtype="float16" if i % 2 else "float32") for i in range(30)]
    arrays[0].attach_grad()
    with autograd.record():
        sums = nd.multi_sum_sq(*arrays, num_arrays=30)
    sums.backward()
    assert sums.asnumpy().tolist() == [4 * (i + 1) for i in range(30)]
    assert arrays[0].grad.asnumpy().tolist() == [4]


def test_close_or_not():
    x = nd.array([1, INF, NAN])
    close = nd.contrib.allclose(x, x)
    assert (close.shape, close.dtype, bool(close)) == ((), np.uint8, True)
    assert not nd.contrib.allclose(x, x, equal_nan=False)
    assert not nd.contrib.allclose(nd.array([1.0]), nd.array([INF]))
    assert nd.contrib.allclose(nd.array([1.0]), nd.array([1.001]), rtol=0.01)
    assert nd.contrib.isnan(x).dtype == np.float32


# Sums of many arrays.


@portability
@pytest.mark.parametrize("count", [1, 16, 17, 200])
def test_the_sum_of_many_arrays(count):
    arrays = [nd.full((3,), i) for i in range(count)]
    for x in arrays:
        x.attach_grad()
    with autograd.record():
        y = nd.ElementWiseSum(*[x * 2 for x in arrays], num_args=count)
    y.backward(nd.array([1, 2, 3]))
    assert y.asnumpy().tolist() == [count * (count - 1)] * 3
    assert all(x.grad.asnumpy().tolist() == [2, 4, 6] for x in arrays)


def test_elementwise_operators_that_do_not_broadcast():
    x = nd.array([[1, 2], [3, 4]])
    assert nd.elemwise_mul(x, x).asnumpy().tolist() == [[1, 4], [9, 16]]
    assert nd.elemwise_div(lhs=x, rhs=2).asnumpy().tolist() == [[0.5, 1], [1.5, 2]]
    for name in ("elemwise_add", "elemwise_sub", "elemwise_mul", "elemwise_div"):
        with pytest.raises(mx.MXNetError, match=rf"{name}: the shapes \(2, 2\) and \(2,\) are not the same"):
            getattr(nd, name)(x, nd.ones(2))
    with pytest.raises(mx.MXNetError, match="add_n: the arrays have shapes"):
        nd.add_n(x, nd.ones(2))


def test_powers_are_called_as_in_mxnet():
    x = nd.array([1, 2, 3])
    assert nd.power(base=x, exp=2).asnumpy().tolist() == [1, 4, 9]
    assert nd.broadcast_power(lhs=2, rhs=x).asnumpy().tolist() == [2, 4, 8]


# Running sums.


@pytest.mark.parametrize(("dtype", "expected"), [("int8", "int8"), ("uint8", "uint8"), ("bool", "int64"), ("float16", "float16")])
def test_dtypes_of_running_sums(dtype, expected):
    x = np.array([1, 1, 100, 100], dtype)
    got = nd.cumsum(nd.array(x, dtype=dtype))
    assert np.dtype(got.dtype) == expected
    np.testing.assert_array_equal(got.asnumpy(), np.cumsum(x, dtype=expected))


@portability
def test_running_sums_reach_the_last_element():
    n = 3_000_000
    for shape, axis in (((n,), 0), ((n // 10, 10), 1), ((n // 10, 10), 0), ((2, n // 40, 20), 1)):
        np.testing.assert_array_equal(nd.cumsum(nd.ones(shape), axis=axis).asnumpy(), np.cumsum(np.ones(shape, np.float32), axis))


@portability
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_running_sums_of_many_lines_have_the_bits_of_those_of_one(dtype):
    x = (np.random.default_rng(0).normal(size=(101, 37)) * 1000).astype(dtype)
    if dtype == "float32":
        x[5, 7], x[9, 3] = INF, np.nan
    together = nd.cumsum(nd.array(x, dtype=dtype), axis=1).asnumpy()
    for line, row in zip(together, x, strict=True):
        np.testing.assert_array_equal(line, nd.cumsum(nd.array(row, dtype=dtype)).asnumpy())


def test_running_sums_lose_little():
    x = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
    got, exact = nd.cumsum(nd.array(x)).asnumpy(), np.cumsum(x.astype(np.longdouble))
    assert np.max(abs(got - exact) / np.spacing(abs(exact.astype(np.float32)))) <= 1
    assert nd.cumsum(nd.array([1e8, 1, -1e8, INF, 1, -INF])).asnumpy().tolist()[:5] == [1e8, 1e8, 1, INF, INF]


def test_the_gradient_of_running_sums_passes_other_dtypes():
    x = nd.array([[1, 2], [3, 4]])
    x.attach_grad()
    with autograd.record():
        y = nd.cumsum(x, dtype="float16")
    y.backward(nd.array([1, 10, 100, 1000], dtype="float16"))
    assert x.grad.asnumpy().tolist() == [[1111, 1110], [1100, 1000]]


@pytest.mark.parametrize(("attributes", "match"), [({"axis": 2}, "axis 2 is out of bounds"), ({"dtype": "bool"}, "no dtype bool")])
def test_running_sums_that_there_are_not(attributes, match):
    with pytest.raises(mx.MXNetError, match=match):
        nd.cumsum(nd.ones((2, 3)), **attributes)


# Histograms.


@portability
@pytest.mark.parametrize("context", CONTEXTS, ids=str)
def test_histograms(context):
    generator = np.random.default_rng(0)
    for dtype in dtypes_of(context.device, ("float16", "float32", "float64", "int32", "uint8")):
        x = generator.normal(50, 20, (300, 70)).clip(0).astype(dtype)
        for bins, between in ((10, None), (7, (0.7, 90.3)), (1000, (0, 50))):
            counts, edges = nd.histogram(nd.array(x, dtype=dtype, ctx=context), bins=bins, range=between)
            assert (counts.dtype, edges.dtype) == (np.int64, dtype if dtype.kind == "f" else np.float32)
            np.testing.assert_allclose(
                edges.asnumpy(), np.histogram_bin_edges(x.astype(float), bins, between), rtol=2e-3 if dtype == np.float16 else 1e-6
            )
            np.testing.assert_array_equal(counts.asnumpy(), np.histogram(x, edges.asnumpy())[0])


def test_histograms_with_given_edges():
    x = nd.array([[0, 1, 2, 2.5], [3, 4, 4, NAN], [-1, INF, -INF, 5]])
    counts, edges = nd.histogram(x, nd.array([0, 1, 2, 4]))
    assert counts.asnumpy().tolist() == [1, 1, 5]
    assert edges.asnumpy().tolist() == [0, 1, 2, 4]
    assert nd.histogram(x, bins=nd.array([4, 1, 2, 0]))[0].shape == (3,)
    assert nd.histogram(x[0], bins=3)[1].asnumpy().tolist() == nd.histogram(x[0], bins=3, range=(0, 2.5))[1].asnumpy().tolist()


def test_histograms_of_little():
    assert nd.histogram(nd.zeros((0,)), bins=2)[0].asnumpy().tolist() == [0, 0]
    counts, edges = nd.histogram(nd.array([2, 2]), bins=1)
    assert (counts.asnumpy().tolist(), edges.asnumpy().tolist()) == ([2], [1.5, 2.5])
    assert nd.histogram(nd.array(3), bins=1, range=(0, 3))[0].asnumpy().tolist() == [1]


@pytest.mark.parametrize(
    ("bins", "between", "match"),
    [
        (0, None, "number of bins is 0"),
        (2.5, None, "number of bins is 2.5"),
        (3, (2, 1), "range 2.0 to 1.0 has no bins"),
        (3, (0, INF), "must be finite"),
        (3, None, "must be finite"),
        (np.ones(1), None, r"edges of the bins have shape \(1,\)"),
        (np.ones((2, 2)), None, r"edges of the bins have shape \(2, 2\)"),
    ],
)
def test_histograms_that_there_are_not(bins, between, match):
    with pytest.raises(mx.MXNetError, match=match):
        nd.histogram(nd.array([1, NAN]), bins=bins, range=between)


# Names.


@pytest.mark.parametrize("name", ["argmax", "argmin", "argmax_channel"])
def test_positions_have_the_dtype_of_the_elements_where_it_can_count(name):
    given = {} if name == "argmax_channel" else {"axis": 1}
    for dtype in ("float32", "int32", "int64", "uint32"):
        assert getattr(nd, name)(nd.array([[1, 3, 2]], dtype=dtype), **given).dtype == np.dtype(dtype)
    for dtype in ("float16", "int8", "uint8", "bool"):
        assert getattr(nd, name)(nd.array([[0, 1, 0]], dtype=dtype), **given).dtype == np.float32
    long = np.zeros((1, 2**24 + 2), np.int32)
    long[0, -1 if name != "argmin" else 0] = 1
    long[0, -1] -= name == "argmin"
    assert getattr(nd, name)(nd.array(long, dtype="int32"), **given).asscalar() == 2**24 + 1


def test_methods():
    x = nd.array([[1, 3], [2, 4]])
    assert x.argmax_channel().asnumpy().tolist() == [1, 1]
    assert isinstance(x.nansum(axis=0, exclude=True), NDArray)
    assert nd.sum_axis(x, axis=0).asnumpy().tolist() == [3, 7]
    assert not {"counts", "allclose", "div_sqrt_dim"} & set(dir(nd))
    with pytest.raises(mx.MXNetError, match="out of bounds"):
        nd.argmax_channel(x[0])
    with pytest.raises(mx.MXNetError, match=r"axis is \(0, 1\), but must be a single number"):
        nd.argmax(x, axis=(0, 1))


@portability
def test_what_is_made_on_the_way_is_summed_to_the_last_element_alone():
    for count in (1, 5, 17):
        x, y = nd.arange(count).reshape((1, count)), nd.array([[1], [2]])
        np.testing.assert_array_equal(nd.sum((x + y).astype("int64"), axis=1).asnumpy(), (np.arange(count) + [[1], [2]]).sum(axis=1))
