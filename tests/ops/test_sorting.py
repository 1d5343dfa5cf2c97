"""Sorting: what the table of operators cannot say. Values and derivatives are in cases_sorting.py."""

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, nd
from ops.cases_sorting import order


def device():
    return mx.current_context().device


@pytest.mark.portability
@pytest.mark.parametrize("step", ["runs", "merge"])
@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("kind", ["uint", "ulong"])
def test_equal_keys_keep_their_order(step, schedule, kind):
    rows, n, width = 3, 101, 64
    dtype = {"uint": np.uint32, "ulong": np.uint64}[kind]
    keys = np.random.default_rng(0).integers(0, 3, (rows, n)).astype(dtype)
    starts = n * np.arange(rows)[:, None]
    places = starts + np.arange(n)
    expected = starts + np.argsort(keys, kind="stable")
    given = keys
    if step == "merge":
        for first in range(0, n, width):
            places[:, first : first + width] = starts + first + np.argsort(keys[:, first : first + width], kind="stable")
        given = keys.reshape(-1)[places]
    sizes = (keys.nbytes, places.nbytes) * 2
    buffers = [device().allocate(size) for size in sizes]
    device().write(buffers[0], 0, given)
    device().write(buffers[1], 0, places)
    inputs, last = (buffers[:1], ()) if step == "runs" else (buffers[:2], (width,))
    kernel = device().kernel(
        "sort",
        f"sort_{step}_{schedule}__{kind}",
        arguments=("buffer",) * (len(inputs) + 2) + ("long",) * (len(last) + 2),
        step=step,
        schedule=schedule,
        key=kind,
        run=128,
        part=16,
    )
    kernel((3,), (1,), *inputs, *buffers[2:], rows * n, n, *last)
    sorted_keys, sorted_places = np.empty_like(keys), np.empty_like(places)
    device().read(buffers[2], 0, sorted_keys)
    device().read(buffers[3], 0, sorted_places)
    np.testing.assert_array_equal(sorted_keys, np.sort(keys))
    np.testing.assert_array_equal(sorted_places, expected)


@pytest.mark.portability
@pytest.mark.parametrize("name", ["sorted", "backwards", "the same", "right run inside one gap of the left"])
def test_keys_that_are_not_random(name):
    count = 40_000
    numbers = np.arange(count)
    gap = np.where(numbers < 2**15, np.where(numbers < 2**14, 0, 2), 1)
    keys = {"sorted": numbers, "backwards": numbers[::-1], "the same": numbers * 0, "right run inside one gap of the left": gap}[name]
    for is_ascend in (True, False):
        found = nd.argsort(nd.array(keys, dtype="int32"), is_ascend=is_ascend, dtype="int32").asnumpy()
        np.testing.assert_array_equal(found, order(keys, is_ascend=is_ascend))


def test_nan_comes_last_and_zeros_are_equal():
    x = nd.array([0.0, np.nan, -np.inf, -0.0, 1.0, np.nan, np.inf])
    np.testing.assert_array_equal(nd.argsort(x).asnumpy(), [2, 0, 3, 4, 6, 1, 5])
    np.testing.assert_array_equal(nd.argsort(x, is_ascend=False).asnumpy(), [6, 4, 0, 3, 2, 1, 5])
    np.testing.assert_array_equal(np.signbit(nd.sort(x).asnumpy()[1:3]), [False, True])
    np.testing.assert_array_equal(nd.topk(x, k=3, ret_typ="value").asnumpy(), [np.inf, 1, 0])


@pytest.mark.portability
@pytest.mark.parametrize(("n", "k"), [(5000, 100), (70_001, 7)])
def test_the_first_of_many_are_those_of_a_sort(n, k):
    x = np.random.default_rng(0).integers(-3, 4, (2, n)).astype("float32")
    x[x == 3] = np.nan
    x[1] = np.nan  # equal all of them, to what stands past the end as well
    x[1, 1::2000] = 1
    for is_ascend in (True, False):
        found = nd.topk(nd.array(x), k=k, is_ascend=is_ascend, dtype="int32").asnumpy()
        np.testing.assert_array_equal(found, order(x, is_ascend=is_ascend)[:, :k])


def test_mxnets_results():
    x = nd.array([[3, 1, 2], [6, 7, 5]])
    assert nd.argsort(x).dtype == np.float32
    assert x.argsort(axis=0, dtype="int32").dtype == np.int32
    np.testing.assert_array_equal(x.sort(0, False).asnumpy(), [[6, 7, 5], [3, 1, 2]])
    values, positions = nd.topk(x, 1, 2, "both", dtype="uint8")
    np.testing.assert_array_equal(values.asnumpy(), [[3, 2], [7, 6]])
    np.testing.assert_array_equal(positions.asnumpy(), [[0, 2], [1, 0]])
    assert (values.dtype, positions.dtype) == (np.float32, np.uint8)
    out = [nd.zeros((2, 2)), nd.zeros((2, 2))]
    nd.topk(x, k=2, ret_typ="both", out=out)
    np.testing.assert_array_equal(out[1].asnumpy(), [[0, 2], [1, 0]])
    np.testing.assert_array_equal(nd.topk(x, k=2, axis=None, ret_typ="mask").asnumpy(), [[0, 0, 0], [1, 1, 0]])


def test_gradients_of_topk():
    x = nd.array([[3, 1, 2], [6, 7, 5]])
    x.attach_grad()
    for ret_typ, expected in (("both", [[1, 0, 1], [1, 1, 0]]), ("mask", np.zeros((2, 3))), ("indices", np.zeros((2, 3)))):
        with autograd.record():
            result = nd.topk(x, k=2, ret_typ=ret_typ)
        autograd.backward(result if ret_typ == "both" else [result])
        np.testing.assert_array_equal(x.grad.asnumpy(), expected)


def test_what_is_refused():
    x = nd.zeros((2, 300))
    with pytest.raises(mx.MXNetError, match="topk: there are no 301 elements along an axis of 300"):
        nd.topk(x, k=301)
    with pytest.raises(mx.MXNetError, match="sort: axis 2"):
        nd.sort(x, axis=2)
    with pytest.raises(TypeError, match="topk: ret_typ 'all'"):
        nd.topk(x, ret_typ="all")
    with pytest.raises(TypeError, match="argsort: uint8 does not hold all positions of 300"):
        nd.argsort(x, dtype="uint8")
    with pytest.raises(TypeError, match="argsort: positions cannot be bool"):
        nd.argsort(x, dtype="bool")
