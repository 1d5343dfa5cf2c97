"""Sizes at which a work-item would take more rounds than every driver allows, if a launch had too few of them."""

from unittest.mock import Mock

import numpy as np
import pytest

import clnd as mx
from clnd import MXNetError, autograd, nd
from clnd.engine import fusion, launch
from clnd.opencl import Device
from measures import forget_kernels

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


@pytest.fixture
def narrow(monkeypatch):
    """As if indices of 32 bits did not reach beyond a thousand elements."""
    forget_kernels(monkeypatch)
    monkeypatch.setattr(launch, "NARROW", launch.MARGIN + 1000)


@pytest.fixture
def launched(monkeypatch):
    """The argument types of the kernels that are launched."""
    listener = Mock()
    monkeypatch.setattr(Device, "listeners", (listener,))
    return lambda: [call.args[0].arguments for call in listener.launched.call_args_list]


def test_indices_are_wide_where_32_bits_do_not_reach(narrow, launched):
    size = 1100
    x = np.arange(3 * size, dtype=np.float32).reshape(size, 3)
    y, first = nd.array(x), nd.array(x[:, :1])
    assert (y.shape, (y + first).asnumpy().tobytes()) == (x.shape, (x + x[:, :1]).tobytes())
    np.testing.assert_array_equal(nd.sum(first[::-1] * 2, axis=0).asnumpy(), [2 * x[:, 0].sum()])
    np.testing.assert_array_equal(first[5:8][:, 0].asnumpy(), x[5:8, 0])
    np.testing.assert_allclose(nd.softmax(nd.zeros((1, size))).asnumpy(), 1 / size, rtol=1e-6)
    before = len(launched())
    (nd.zeros(5) + 1).wait_to_read()
    wide, small = ({kind for kinds in some for kind in kinds} for some in (launched()[:before], launched()[before:]))
    assert "long" in wide
    assert "long" not in small


def test_what_wide_indices_take_of_the_arguments_is_counted(narrow, launched):
    arrays = [nd.array(np.full((3, 1, 2, 1), number, np.float32)) for number in range(fusion.MAX_ARRAYS)]
    whole = nd.zeros((3, 20, 2, 10))
    before = len(launched())
    np.testing.assert_array_equal(sum(arrays, whole).asnumpy(), sum(range(fusion.MAX_ARRAYS)))
    sizes = [sum(launch._BYTES.get(kind, 4) for kind in kinds) for kinds in launched()[before:]]
    assert max(sizes) <= launch.MAX_ARGUMENTS
    assert any("long" in kinds for kinds in launched()[before:])


def test_the_largest_buffer_is_a_border_that_is_told_of(monkeypatch):
    most = 300_000
    monkeypatch.setattr(mx.cpu().device.memory, "_largest", 4 * most)
    x = nd.ones(most)
    np.testing.assert_array_equal((x[::-1] + 1).asnumpy(), 2)
    for beyond in (lambda: nd.ones(most + 1), lambda: nd.concat(x, x[:1], dim=0), lambda: nd.broadcast_to(x[:2], (most, 2)) + 1):
        with pytest.raises(MXNetError, match=r"an array of [\d,]+ bytes is more than the device takes in one piece, 1,200,000 bytes"):
            beyond().wait_to_read()
    assert nd.sum(x).asscalar() == most
