"""Sizes at which a work-item would take more rounds than every driver allows, if a launch had too few of them."""

import numpy as np
import pytest

from clnd import autograd, nd

pytestmark = pytest.mark.portability
LARGE = 3_000_000


def test_elementwise_work_reaches_the_last_element():
    np.testing.assert_array_equal((nd.ones(LARGE) + 1).asnumpy(), 2)
    np.testing.assert_array_equal((nd.ones((3, LARGE // 3)) + nd.ones((3, 1))).asnumpy(), 2)


@pytest.mark.parametrize(
    "function", [nd.gamma, nd.gammaln, lambda x: nd.cast(nd.cast(x, "int32") ** 9, "float32")], ids=["gamma", "gammaln", "power"]
)
def test_functions_that_loop_for_each_element_reach_the_last(function):
    x = nd.full(LARGE // 10, 9.0)
    one = function(x[:1]).asscalar()
    np.testing.assert_array_equal(function(x).asnumpy(), one)
    np.testing.assert_array_equal(nd.max(-function(x)).asnumpy(), -one)


def test_ranges_and_gathers_reach_the_last_element():
    numbers = nd.arange(LARGE, dtype="int64")
    assert numbers[-1].asscalar() == LARGE - 1
    np.testing.assert_array_equal(nd.take(numbers, numbers[::-1]).asnumpy(), np.arange(LARGE)[::-1])


@pytest.mark.parametrize(
    ("shape", "axis"), [((LARGE,), 0), ((2, LARGE // 2), 1), ((200_000, 15), 0), ((200_000, 15), 1), ((3, 5, 200_000), (0, 2))]
)
def test_reductions_take_every_element(shape, axis):
    x = nd.ones(shape)
    expected = np.ones(shape, np.float32).sum(axis)
    np.testing.assert_array_equal(nd.sum(x, axis=axis).asnumpy().reshape(expected.shape), expected)
    np.testing.assert_array_equal(nd.max(x - nd.ones((1,)) * 3, axis=axis).asnumpy(), -2)


@pytest.mark.parametrize(("m", "n"), [(4, 2), (1, 1), (3, 1)])
def test_products_with_long_sums(m, n):
    np.testing.assert_array_equal(nd.dot(nd.ones((m, 300_000)), nd.ones((300_000, n))).asnumpy(), 300_000)


@pytest.mark.parametrize(("rows", "columns", "picked"), [(1000, 7, 70_000), (60_000, 9, 300)])
def test_the_gradient_of_many_picked_rows(rows, columns, picked):
    weight = nd.zeros((rows, columns))
    weight.attach_grad()
    indices = np.random.default_rng(0).integers(0, rows, picked)
    with autograd.record():
        y = nd.take(weight, nd.array(indices, dtype="int64"))
    y.backward()
    expected = np.broadcast_to(np.bincount(indices, minlength=rows)[:, None], (rows, columns))
    np.testing.assert_array_equal(weight.grad.asnumpy(), expected)


def test_a_large_mask():
    mask = np.arange(LARGE) % 3 == 0
    x = nd.arange(LARGE, dtype="int64")
    np.testing.assert_array_equal(x[nd.array(mask, dtype="bool")].asnumpy(), np.flatnonzero(mask))
