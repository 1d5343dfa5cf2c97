"""Which records run together, what a kernel stores, what waits, and that none of it shows in the values."""

import gc
import inspect
import operator
import shutil
import sys
import weakref
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clnd as mx
from clnd import autograd, engine, nd
from clnd.engine import fusion, launch, plan
from clnd.opencl import source
from measures import alive, allocated, counted, forget_kernels, launches, waits


def bits(array) -> bytes:
    """All that tells two arrays apart. A NaN is a NaN whatever its sign, which OpenCL does not tell."""
    values = array.asnumpy()
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values)
    return b"%s %r " % (values.dtype.name.encode(), values.shape) + values.tobytes()


def random(*shape, seed=0):
    return nd.array(np.random.default_rng(seed).uniform(0.5, 1.5, shape))


# What becomes one kernel.


@pytest.mark.parametrize(
    "shapes",
    [
        pytest.param([(), (), ()], id="0-d"),
        pytest.param([(1,), (1,), (1,)], id="one element"),
        pytest.param([(7,), (7,), (7,)], id="one axis"),
        pytest.param([(3, 5), (1, 5), (3, 1)], id="an outer sum"),
        pytest.param([(2, 3, 4, 5), (3, 1, 5), (1,)], id="four axes"),
        pytest.param([(2, 1, 3), (4, 1), (3,)], id="no operand of the result's shape"),
        pytest.param([(100, 70), (70,), ()], id="more than one work-item"),
    ],
)
def test_a_chain_of_elementwise_work_is_one_launch_whatever_its_shapes(shapes):
    def chain(x, y, z, where, tanh, cast):
        u = tanh(x * 2 - y) + z / 3
        v = where(u > x, cast(u * 4, "int32") * 3, cast(y, "int32") - 1)
        return (cast(v, "float32") - u) * (z != 0.75) + 1 - (x >= y) * 2

    x, y, z = (random(*shape, seed=i) for i, shape in enumerate(shapes))
    with counted() as counts:
        got = chain(x, y, z, nd.where, nd.tanh, lambda x, dtype: x.astype(dtype)).asnumpy()
    assert counts.launches == 1
    expected = chain(*(a.asnumpy().astype(np.float32) for a in (x, y, z)), np.where, np.tanh, lambda x, dtype: np.asarray(x).astype(dtype))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_twenty_operations_forward_are_one_launch_and_forward_and_backward_are_one_too():
    def twenty(x):
        for number in range(5):
            x = (nd.tanh(x * number + 0.5) - x) / 2
        return x

    x = random(30, 4)
    assert launches(lambda: twenty(x).wait_to_read()) == 1
    x.attach_grad()

    def differentiated():
        with autograd.record():
            y = twenty(x)
        y.backward()

    assert launches(differentiated) == 1
    assert launches(lambda: x.grad.asnumpy()) == 0


def test_the_tutorial_is_one_launch():
    x = nd.array([[1, 2], [3, 4]])
    x.attach_grad()

    def step():
        with autograd.record():
            y = x * 2
            z = y * x
        z.backward()

    assert launches(step) == 1
    np.testing.assert_array_equal(x.grad.asnumpy(), [[4, 8], [12, 16]])


def test_a_step_of_gradient_descent_is_one_launch_and_a_new_rate_compiles_nothing():
    w = random(20, 5)
    w.attach_grad()
    for number in range(4):
        with autograd.record():
            loss = nd.sum(w * w)
        loss.backward()
        before, gradient = w.asnumpy(), w.grad.asnumpy()
        with counted() as counts:
            w -= 0.1 / (1 + number) * w.grad
            w.wait_to_read()
        assert counts.launches == 1
        assert counts.kernels == 0 or number == 0
        np.testing.assert_allclose(w.asnumpy(), before - np.float32(0.1 / (1 + number)) * gradient, rtol=1e-6)


def test_several_live_results_come_out_of_one_launch():
    x = random(6, 4)
    a = x * 2
    b = nd.tanh(a) + 1
    c = (b > 1.5).astype("int32")
    assert launches(lambda: c.asnumpy()) == 1
    assert not any(map(waits, (a, b, c)))
    assert launches(lambda: (a.asnumpy(), b.asnumpy())) == 0
    np.testing.assert_allclose(b.asnumpy(), np.tanh(x.asnumpy() * 2) + 1, rtol=1e-6)
    np.testing.assert_array_equal(c.asnumpy(), b.asnumpy() > 1.5)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda x: x.T, id="transposed"),
        pytest.param(lambda x: nd.flip(x, axis=0), id="flipped"),
        pytest.param(lambda x: x.reshape((-1,)), id="reshaped"),
        pytest.param(lambda x: nd.flip(nd.transpose(x.reshape((2, 3, 4)), axes=(1, 2, 0)), axis=(0, 2)), id="all of it"),
        pytest.param(lambda x: nd.expand_dims(x, axis=1), id="with a new axis"),
    ],
)
@pytest.mark.parametrize("reduced", [False, True], ids=["elementwise", "reduction"])
def test_a_live_result_is_stored_where_a_kernel_sees_all_of_it_in_another_order(view, reduced):
    x = random(6, 4)
    with counted() as counts:
        y = nd.tanh(x) + 1
        z = nd.sum(view(y) * 2, axis=0) if reduced else view(y) * 2
        z.wait_to_read()
    assert counts.launches == 1
    assert launches(lambda: y.asnumpy()) == 0
    expected = np.tanh(x.asnumpy()) + 1
    np.testing.assert_allclose(y.asnumpy(), expected, rtol=1e-6)
    expected = view(nd.array(expected)).asnumpy() * 2
    np.testing.assert_allclose(z.asnumpy(), expected.sum(0) if reduced else expected, rtol=1e-5)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda x: x[1:3], id="a part"),
        pytest.param(lambda x: x[:, ::2], id="every other column"),
        pytest.param(lambda x: nd.broadcast_to(nd.expand_dims(x, axis=0), shape=(3, 6, 4)), id="repeated"),
        pytest.param(
            lambda x: nd.broadcast_to(x[2:4].reshape((1, 8)), shape=(3, 8)).reshape((6, 4)), id="a part repeated to the same size"
        ),
    ],
)
def test_a_live_result_of_which_a_kernel_sees_a_part_or_repeats_is_right_all_the_same(view):
    x = random(6, 4)
    y = x * 3 - 1
    z = view(y) * 2
    expected = x.asnumpy() * np.float32(3) - np.float32(1)
    np.testing.assert_allclose(z.asnumpy(), view(nd.array(expected)).asnumpy() * 2, rtol=1e-6)
    np.testing.assert_allclose(y.asnumpy(), expected, rtol=1e-6)


def test_a_reduction_takes_the_work_before_it_into_its_kernel_and_stores_what_is_alive():
    x = random(8, 5)
    assert launches(lambda: nd.sum(nd.tanh(x * 2) + 1, axis=0).asnumpy()) == 1
    y = x * 2
    z = nd.tanh(y)
    total = nd.max(z + 1, axis=1)
    assert launches(lambda: total.asnumpy()) == 1
    assert launches(lambda: (y.asnumpy(), z.asnumpy())) == 0
    np.testing.assert_array_equal(y.asnumpy(), x.asnumpy() * 2)
    np.testing.assert_allclose(total.asnumpy(), (np.tanh(x.asnumpy() * 2) + 1).max(1), rtol=1e-6)


def test_a_dear_result_that_is_repeated_is_computed_once():
    x, y = random(4, 1), random(1, 5)
    assert launches(lambda: (nd.tanh(x) * y).asnumpy()) == 2
    assert launches(lambda: ((x * 2 + 1) * y).asnumpy()) == 1


def test_work_after_a_reduction_is_one_launch_more():
    x = random(8, 5)
    assert launches(lambda: ((x - nd.mean(x, axis=1, keepdims=True)) ** 2 + 1).asnumpy()) == 2


def test_new_numbers_and_new_shapes_compile_nothing():
    def work(shape, number):
        x, row = random(*shape), random(*shape[-1:])
        y = nd.tanh(x * number + row) - number
        return nd.sum(y, axis=0).asnumpy(), nd.max(y * number).asnumpy(), y[1:].asnumpy(), y.T.asnumpy()

    work((6, 4), 0.5)
    with counted() as counts:
        for shape in [(6, 4), (7, 3), (60, 33), (2, 2)]:
            for number in (0.25, 3, -1e-3, 1e6):
                work(shape, number)
    assert counts.kernels == 0
    assert counts.renders == 0


def test_different_numbers_of_axes_that_merge_to_one_are_one_kernel():
    work = [partial(lambda x: (nd.tanh(x) * 3 - x).asnumpy(), random(*shape)) for shape in [(24,), (4, 6), (2, 3, 4), (1, 24, 1)]]
    work[0]()
    with counted() as counts:
        for w in work:
            w()
    assert counts.kernels == 0


def test_a_parameter_that_is_only_read_broadcast_is_not_computed_from_ever_more():
    """It would be another, larger kernel in each step of a training."""
    x, b = random(32, 4), nd.zeros((4,))
    b.attach_grad()
    kernels, arrays = [], []
    for _ in range(12):
        with counted() as counts, allocated(x.context.device) as sizes:
            with autograd.record():
                loss = nd.sum(nd.tanh(x + b), axis=0)
            loss.backward()
            b -= 0.1 * b.grad
            loss.asnumpy()
        kernels.append(counts.kernels)
        arrays.append(len(sizes))
    assert kernels[4:] == [0] * 8
    assert max(arrays[4:]) <= max(arrays[:4]) + 1
    assert b.value.record is None or b.value.record.depth < 10


# What waits.


def test_a_loop_that_never_reads_is_bounded():
    x = nd.zeros((3,))
    before = alive()[1]
    with counted() as counts:
        for number in range(10_000):
            x = x + 1
            if number % 1000 == 999:
                assert alive()[1] - before <= plan.MAX_DEPTH + 2
    assert counts.launches <= 10_000 / (plan.MAX_DEPTH / 2)
    with counted() as more:
        np.testing.assert_array_equal(x.asnumpy(), [10_000] * 3)
    assert counts.kernels + more.kernels <= 3


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(lambda x, one: operator.iadd(x, 1), id="in place"),
        pytest.param(lambda x, one: nd.flip(x, axis=0) + 1, id="through a view"),
        pytest.param(lambda x, one: x.reshape((-1,)).reshape((2, 2)) + one, id="through two reshapes"),
        pytest.param(lambda x, one: x + nd.sum(one) / 4, id="with reductions"),
        pytest.param(lambda x, one: nd.broadcast_to(x[:1, :1], shape=(2, 2)) + one, id="through broadcasting"),
    ],
)
def test_loops_that_never_read_are_bounded(step):
    x, one = nd.zeros((2, 2)), nd.ones((2, 2))
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 40 + 6 * plan.MAX_DEPTH)
    try:
        before = alive()[1]
        with counted() as counts:
            for _ in range(1000):
                x = step(x, one)
            assert alive()[1] - before <= 3 * plan.MAX_DEPTH
            np.testing.assert_array_equal(x.asnumpy(), np.full((2, 2), 1000))
    finally:
        sys.setrecursionlimit(limit)
    assert counts.kernels <= 8


def test_a_balanced_tree_of_a_thousand_arrays():
    arrays = [nd.array([number, 1]) for number in range(1000)]
    with counted() as counts:
        while len(arrays) > 1:
            arrays = [a + b for a, b in zip(arrays[::2], arrays[1::2])]
            if len(arrays) % 2 and len(arrays) > 1:
                arrays.append(nd.zeros((2,)))
        np.testing.assert_array_equal(arrays[0].asnumpy(), [499_500, 1000])
    assert counts.launches <= 100


def test_a_sum_of_two_hundred_arrays():
    arrays = [nd.array([number, 1]) for number in range(200)]
    with counted() as counts:
        total = arrays[0]
        for array in arrays[1:]:
            total = total + array
        np.testing.assert_array_equal(total.asnumpy(), [19_900, 200])
    assert counts.launches <= 200 // (fusion.MAX_ARRAYS - 1) + 4


def test_squaring_sixty_times_is_sixty_operations():
    x = y = nd.array([1.0, -1.0, 1 + 2**-20])
    for _ in range(60):
        y = y * y
    with counted() as counts:
        got = y.asnumpy()
    assert counts.launches == 1
    expected = x.asnumpy()
    with np.errstate(over="ignore"):
        for _ in range(60):
            expected = expected * expected
    np.testing.assert_array_equal(got, expected)


def test_many_operations_on_few_arrays_are_divided_into_large_kernels():
    x = random(5)
    parts = [x * number + number for number in range(200)]
    with counted() as counts:
        while len(parts) > 1:
            parts = [a + b for a, b in zip(parts[::2], parts[1::2])] + parts[len(parts) // 2 * 2 :]
        np.testing.assert_allclose(parts[0].asnumpy(), (x.asnumpy() + 1) * 19_900, rtol=1e-5)
    assert counts.launches <= 2 * 1000 // fusion.MAX_TERMS


def test_terms_seen_from_ever_more_sides_are_bounded():
    x = nd.array(np.arange(8.0))
    expected = np.arange(8.0)
    for _ in range(20):
        x, expected = nd.flip(x, axis=0) + x, expected[::-1] + expected
    with counted() as counts:
        np.testing.assert_allclose(x.asnumpy(), expected, rtol=1e-5)
    assert counts.launches <= 8


def test_a_value_that_nobody_can_ask_for_is_not_computed():
    x = random(10)
    x.wait_to_read()
    with counted() as counts:
        y = nd.tanh(x) * 2
        z = nd.sum(y)
        del y, z
        for _ in range(30):
            x + 1
        y = x * 3  # and another way to drop: another value under the same name
        y = x * 4
        del y
        nd.waitall()
    assert counts.launches == 0


def test_what_a_dead_value_was_computed_from_is_not_stored():
    x = random(1000)
    with allocated(x.context.device) as sizes:
        y = nd.tanh(nd.tanh(x) * 2) + 1
        y.wait_to_read()
    assert sizes == [4000]


def test_a_reduction_is_launched_with_the_next_operation_so_that_a_list_of_losses_holds_no_large_buffers():
    x = random(1 << 19)
    device = x.context.device
    x.wait_to_read()
    losses = []
    used = []
    for number in range(20):
        y = x * number
        y.wait_to_read()
        losses.append(nd.sum(y))
        losses.append(y[:1] + 1)
        del y
        used.append(device.memory.used)
    assert max(used[3:]) <= used[2] + 2 * 256 * 20
    assert len(losses) == 40
    np.testing.assert_allclose(losses[-2].asscalar(), 19 * x.asnumpy().astype(float).sum(), rtol=1e-6)


# Lifetimes.


@pytest.fixture
def no_collector():
    """Without Python's cycle collector: what dies, dies because nobody refers to it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("launched", [False, True], ids=["waiting", "launched"])
def test_graphs_die_by_reference_count(no_collector, launched):
    x = random(4, 3)
    x.attach_grad()
    with autograd.record():
        y = nd.tanh(x) * 2
        z = nd.sum(nd.dot(y, y.T) + y[0, 0])
    if launched:
        z.wait_to_read()
    records = []
    stack = [z.value.record]
    while stack:
        record = stack.pop()
        records.append(weakref.ref(record))
        stack += [v.record for v in record.inputs if isinstance(v, engine.Value) and v.record is not None]
    values = [weakref.ref(array.value) for array in (y, z)]
    assert len(records) >= 5
    del record, stack, y
    del z
    assert [ref for ref in (*records, *values) if ref() is not None] == []


def test_a_launched_value_that_no_tape_holds_forgets_what_it_was_computed_from(no_collector):
    x = random(5)
    y = nd.tanh(x)
    source_value, record = weakref.ref(x.value), weakref.ref(y.value.record)
    y.wait_to_read()
    del x
    assert source_value() is None
    assert record() is None


# The same bits.

FUNCTIONS = {
    **{
        name: getattr(nd, name)
        for name in ("exp", "log", "tanh", "sin", "cos", "erf", "sqrt", "gamma", "cbrt", "arctan", "log1p", "sigmoid")
    },
    "power": lambda x: nd.power(x, 1.7),
    "reciprocal": lambda x: 1 / x,
    "hypot": lambda x: nd.broadcast_hypot(x, x + 1),
    "modulo": lambda x: x % 0.3,
    "products": lambda x: x * x + x * 3 - x / 7,
}
WILD = [0.0, -0.0, 1e-42, -1e-42, np.inf, -np.inf, np.nan, 3e38, -3e38, 1e-30, -1.0, 88.5, -88.5, 710.0, 65504.0, 1.17e-38]


def sample(dtype) -> np.ndarray:
    values = np.concatenate([np.random.default_rng(1).normal(size=50) * 3, WILD])
    with np.errstate(all="ignore"):
        return values.astype(dtype)


def placed(x: np.ndarray, lanes: int):
    """The same elements, standing elsewhere: each comes with the array as it then is."""
    dtype = x.dtype
    whole = nd.array(x, dtype=dtype)
    yield "as it is", whole
    for offset in (1, 3, lanes - 1, lanes + 1):
        padded = nd.array(np.concatenate([np.ones(offset, dtype), x, np.ones(5, dtype)]), dtype=dtype)
        yield f"at offset {offset}", padded[offset : offset + x.size]
    yield "backwards", nd.flip(nd.array(x[::-1].copy(), dtype=dtype), axis=0)
    yield "every third", nd.array(np.repeat(x, 3), dtype=dtype)[1::3]
    yield "a column", nd.array(np.stack([x, x + 1], 1), dtype=dtype)[:, 0]
    yield "in rows", nd.array(x.reshape(3, -1).T.copy(), dtype=dtype).T.reshape((-1,))


def applied(array) -> dict[str, bytes]:
    """All functions of an array, out of one kernel."""
    same = nd.maximum(array, array)
    results = {name: function(same) for name, function in FUNCTIONS.items()}
    engine.evaluate(*(result.value for result in results.values()))
    return {name: bits(result) for name, result in results.items()}


@pytest.mark.portability
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_the_same_bits_wherever_the_value_stands(dtype, device):
    if dtype == "float64" and not device.traits.fp64:
        return
    x = sample(dtype)
    whole = nd.array(x, dtype=dtype)
    expected = applied(whole)
    for where, array in placed(x, max(4, device.traits.lanes)):
        assert applied(array) == expected, where
    wide = nd.broadcast_to(whole, shape=(3, x.size))
    assert {name: bits(function(wide)[2]) for name, function in FUNCTIONS.items()} == expected
    for i in range(0, x.size, 7):
        alone = applied(nd.array(x[i : i + 1], dtype=dtype))
        assert alone == {name: bits(function(whole)[i : i + 1]) for name, function in FUNCTIONS.items()}, f"element {i} alone"


CASES = [
    *((name, "float32") for name in FUNCTIONS),
    *((name, dtype) for name in ("exp", "erf", "power", "products") for dtype in ("float16", "float64")),
]


@pytest.mark.portability
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_the_same_bits_fused_or_not_eager_or_not_recorded_or_not(name, dtype, device):
    if dtype == "float64" and not device.traits.fp64:
        return
    function, x = FUNCTIONS[name], nd.array(sample(dtype), dtype=dtype)

    def work(pause=lambda array: array):
        y = pause(function(pause(x * 1.3)))
        z = pause(pause(y * 3.1) - pause(x / 3))
        return pause(z + pause(y * x))

    def read(array):
        array.wait_to_read()
        return array

    expected = bits(work())
    assert bits(work(read)) == expected
    with engine.eager():
        assert bits(work()) == expected
    x.attach_grad()
    with autograd.record():
        recorded = work()
    assert bits(recorded) == expected
    with autograd.record():
        again = work(read)
    assert bits(again) == expected
    recorded.backward()
    gradient = bits(x.grad)
    again.backward()
    assert bits(x.grad) == gradient
    with engine.eager():
        with autograd.record():
            eager = work()
        eager.backward()
    assert bits(x.grad) == gradient


@pytest.mark.portability
def test_products_are_not_contracted():
    a = np.float32(1 + 2**-12)
    x, y, z = (nd.array(np.full(40, v, np.float32)) for v in (a, a, -(a * a)))
    np.testing.assert_array_equal((x * y + z).asnumpy(), np.zeros(40))  # a fused multiply-add would leave 2**-24


@pytest.mark.portability
@pytest.mark.parametrize("kind", ["elementwise", "reduction"])
def test_indices_of_64_bits_give_what_those_of_32_give(kind, monkeypatch):
    x, row = random(37, 5), random(5)

    def work():
        y = nd.tanh(x.T[::2] * 2) + row[::2].reshape((-1, 1))
        return [y, nd.flip(y, axis=1) * 2] if kind == "elementwise" else [nd.sum(y, axis=0), nd.sum(y, axis=1), nd.max(y)]

    expected = [bits(array) for array in work()]
    monkeypatch.setattr(launch, "index_type", lambda layouts, total: "long")
    assert [bits(array) for array in work()] == expected


# What is kept for a gradient.


def test_a_dear_result_that_a_gradient_reads_is_stored_and_a_cheap_one_is_not():
    x = random(1000)
    x.attach_grad()
    with allocated(x.context.device) as sizes, autograd.record():
        y = nd.tanh(x * 2) * x
        y.wait_to_read()
    assert sizes == [4000, 4000]  # y, and tanh(x * 2), which two rules read; x * 2 is computed again
    del y
    with allocated(x.context.device) as sizes, autograd.record():
        y = (x * 2) * (x + 1)
        y.wait_to_read()
    assert sizes == [4000]
    y.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), 4 * x.asnumpy() + 2, rtol=1e-6)


def test_nothing_is_kept_for_a_gradient_that_reads_nothing():
    x = random(1000)
    x.attach_grad()
    with allocated(x.context.device) as sizes, autograd.record():
        y = nd.sum((x * 2 + 1) - x / 3)
        y.wait_to_read()
    assert sizes == [4]
    y.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), np.full(1000, 2 - 1 / 3), rtol=1e-6)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda y: y.T, id="all of it in another order"),
        pytest.param(lambda y: y[1:2], id="a part of it"),
        pytest.param(lambda y: nd.broadcast_to(nd.expand_dims(y, axis=0), shape=(2, 3, 4)), id="it repeated"),
        pytest.param(lambda y: nd.broadcast_to(y[:1].reshape((1, 1, 4)), shape=(2, 2, 4)), id="a part of it repeated"),
    ],
)
@pytest.mark.parametrize("read_first", [False, True])
def test_an_output_that_died_before_it_was_stored_is_there_for_its_gradient(view, read_first):
    x = random(3, 4)
    x.attach_grad()
    with autograd.record():
        z = nd.sum(view(nd.tanh(x)) * 3) if read_first else view(nd.tanh(x)) * 3
    z.wait_to_read()
    z.backward()
    slope = 1 - np.tanh(x.asnumpy()) ** 2
    times = view(nd.array(np.arange(12.0).reshape(3, 4))).asnumpy().ravel()
    times = np.bincount(times.astype(int), minlength=12).reshape(3, 4)
    np.testing.assert_allclose(x.grad.asnumpy(), 3 * slope * times, rtol=1e-5)


def test_long_chains_of_cheap_operations_are_not_computed_again_from_their_beginning():
    w = random(8)
    w.attach_grad()

    def train(steps):
        with autograd.record():
            y = nd.ones((8,))
            for _ in range(steps):
                y = y * w + 0.1
            loss = nd.sum(y)
        loss.backward()

    train(200)
    before = len(launch._kernels)
    train(200)
    assert len(launch._kernels) == before
    terms = [len(key[2]) for key in launch._kernels if key[1] == "elementwise"]
    assert max(terms) <= fusion.MAX_TERMS + 4


@st.composite
def graphs(draw):
    """Steps of a graph: an operator with the numbers of its operands; then what is read and what is dropped, when."""
    steps = []
    for number in range(draw(st.integers(2, 14))):
        name = draw(
            st.sampled_from(["add", "multiply", "tanh", "scale", "flip", "transpose", "part", "spread", "sum", "exp", "shift", "where"])
        )
        steps.append((name, draw(st.integers(0, number)), draw(st.integers(0, number))))
    moments = st.lists(st.tuples(st.integers(0, len(steps)), st.integers(0, len(steps))), max_size=8)
    return steps, draw(moments), draw(moments)


def run_graph(steps, reads, drops, x):
    """Run the steps on (4, 4) arrays, reading and dropping what the graph says; the result weighs all that is left."""
    arrays = [x]
    for number, (name, i, j) in enumerate(steps):
        living = [array for array in arrays if array is not None]
        a, b = living[i % len(living)], living[j % len(living)]
        arrays.append(
            {
                "add": lambda a, b: a + b,
                "multiply": lambda a, b: a * b,
                "tanh": lambda a, b: nd.tanh(a),
                "exp": lambda a, b: nd.exp(-a * a),
                "scale": lambda a, b: a * 0.7,
                "shift": lambda a, b: 1 - a,
                "flip": lambda a, b: nd.flip(a, axis=0),
                "transpose": lambda a, b: a.T,
                "part": lambda a, b: a[1:3].reshape((8,))[:4] * b,
                "spread": lambda a, b: nd.broadcast_to(a[0:1], shape=(4, 4)),
                "sum": lambda a, b: nd.sum(a, axis=0, keepdims=True) * 0.3 + b,
                "where": lambda a, b: nd.where(a > b, a, b * 0.5),
            }[name](a, b)
        )
        for when, which in reads:
            if when == number and which < len(arrays) and arrays[which] is not None:
                arrays[which].wait_to_read()
        for when, which in drops:
            if when == number and 0 < which < len(arrays) - 1:
                arrays[which] = None
        del living, a, b
    return arrays[-1] * 1.5


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs())
def test_what_is_read_and_dropped_when_changes_no_bit_of_a_gradient(graph):
    steps, reads, drops = graph
    found = []
    survivors = {which for _, which in drops}
    for eager, reading in [(True, []), (False, []), (False, reads), (False, [(n, n + 1) for n in range(len(steps))])]:
        x = nd.array(np.linspace(-1, 1, 16).reshape(4, 4))
        x.attach_grad()
        with engine.eager(eager):
            with autograd.record():
                y = run_graph(steps, reading, drops, x)
            y.backward(nd.array(np.linspace(1, 2, 16).reshape(4, 4)))
            found.append((bits(y), bits(x.grad)))
    assert len(set(found)) == 1, survivors


def test_heads_of_which_one_is_seen_from_two_sides():
    x = nd.array([1.0, 2.0, 3.0])
    x.attach_grad()
    with autograd.record():
        y = x * 2
        z = y + nd.flip(y, axis=0)
    autograd.backward([y, z])
    np.testing.assert_array_equal(x.grad.asnumpy(), [6, 6, 6])
    np.testing.assert_array_equal(z.asnumpy(), [8, 8, 8])


# Limits of a kernel.


@pytest.fixture
def argument_bytes(device, monkeypatch):
    """The bytes of arguments of each kernel that is asked for."""
    seen = []
    plain = device.kernel

    def kernel(template, name, *, arguments=None, **parameters):
        seen.append(sum({"buffer": 8, "long": 8, "ulong": 8, "double": 8}.get(kind, 4) for kind in arguments))
        return plain(template, name, arguments=arguments, **parameters)

    monkeypatch.setattr(device, "kernel", kernel)
    forget_kernels(monkeypatch)
    return seen


def test_arguments_stay_within_what_opencl_promises(argument_bytes):
    x = nd.array(np.arange(10.0))
    held = [x, -x]
    for number in range(150):
        held.append(held[number * 7 % len(held)] * number - held[-1])
    for _ in range(60):
        held.append(-held[-1])
    held[-1].wait_to_read()
    total = nd.zeros((2, 2, 2, 2, 2))
    generator = np.random.default_rng(0)
    cubes = [nd.transpose(nd.ones((2, 2, 2, 2, 2)), axes=generator.permutation(5).tolist()) for _ in range(60)]
    for number, cube in enumerate(cubes):
        total = total + cube * number
    np.testing.assert_array_equal(total.asnumpy(), np.full((2,) * 5, 1770))
    nd.sum(total, axis=(1, 3)).wait_to_read()
    assert max(argument_bytes) <= 1024
    expected = [np.arange(10, dtype=np.float32), -np.arange(10, dtype=np.float32)]
    with np.errstate(all="ignore"):
        for number in range(150):
            expected.append(expected[number * 7 % len(expected)] * np.float32(number) - expected[-1])
        for _ in range(60):
            expected.append(-expected[-1])
    for array, values in zip(held, expected):
        np.testing.assert_array_equal(array.asnumpy(), values)


def test_kernels_are_named_after_their_operators():
    def name(*names):
        return launch.kernel_name(names, np.dtype("float32"), 2)

    assert name("multiply", "add", "tanh") == "multiply_add_tanh__float32_2d"
    assert name("add", "add", "add") == "add__float32_2d"
    assert name() == "copy__float32_2d"
    assert name(*"abcdefgh") == "a_b_c_d_e_3_more__float32_2d"


# Failures.


def test_a_record_knows_the_line_that_made_it():
    x = random(3)
    y = nd.tanh(x)
    line = inspect.currentframe().f_lineno - 1
    assert y.value.record.line == f"{__file__}:{line}"
    z = nd.mean(y)
    assert z.value.record.line == f"{__file__}:{line + 3}"


@pytest.fixture
def broken_templates(device, tmp_path, monkeypatch):
    """Templates whose kernels do not build, until `mend()` is called."""
    folder = tmp_path / "templates"
    shutil.copytree(source.template_folder(), folder)
    for file in folder.glob("*.cl.mako"):
        if "kernel void" in file.read_text():
            file.write_text(file.read_text() + "\nthis is no C;\n")
    whole = source.template_folder

    def use(where):
        monkeypatch.setattr(source, "template_folder", where)
        source._texts.cache_clear()
        forget_kernels(monkeypatch)
        monkeypatch.setattr(device.programs, "_kernels", {})

    use(lambda: folder)
    yield lambda: use(whole)
    source._texts.cache_clear()


@pytest.mark.parametrize(
    ("operator", "work"),
    [
        pytest.param("tanh", lambda x: nd.tanh(x * 2), id="elementwise"),
        pytest.param("sum", lambda x: nd.sum(nd.tanh(x * 2)), id="reduction"),
        pytest.param("reshape", lambda x: nd.reshape(x.T, shape=(-1,)), id="a copy for a view"),
    ],
)
def test_a_kernel_that_does_not_build_says_operator_device_and_line(operator, work, broken_templates, device):
    gc.collect()
    used = device.memory.used
    x = nd.array(np.ones((2, 3)))
    results = []
    for _ in range(3):  # the array raises again
        with pytest.raises(mx.MXNetError) as error:
            results = results or [work(x)]
            results[0].wait_to_read()
        where = f"{operator}, called at {__file__}:{work.__code__.co_firstlineno}: {device}: "
        assert str(error.value).startswith(where + "the driver cannot build kernel ")
    broken_templates()
    for y in results:
        np.testing.assert_array_equal(y.asnumpy(), work(x).asnumpy())
        del y
    del error, x
    results.clear()
    gc.collect()
    assert device.memory.used == used


def test_a_write_that_does_not_build_says_so_and_leaves_the_array(broken_templates, device):
    x = nd.array(np.zeros((5, 5)))
    with pytest.raises(mx.MXNetError) as error:
        x[1] = 1
    line = inspect.currentframe().f_lineno - 1
    assert f"assign, called at {__file__}:{line}: {device}: the driver cannot build" in str(error.value)
    np.testing.assert_array_equal(x.asnumpy(), np.zeros((5, 5)))
    broken_templates()
    x[1] = 1
    np.testing.assert_array_equal(x.asnumpy(), np.arange(5)[:, None] * np.ones(5) == 1)


@pytest.mark.parametrize(
    ("operator", "work"),
    [
        pytest.param("multiply", lambda x: x * x, id="elementwise"),
        pytest.param("sum", lambda x: nd.sum(nd.broadcast_to(x, shape=(3, 1 << 20)), axis=0), id="reduction"),
        pytest.param("matmul", lambda x: nd.dot(x.reshape((1 << 10, 1 << 10)), x.reshape((1 << 10, 1 << 10))), id="a kernel of its own"),
    ],
)
def test_exhausted_memory_says_operator_device_and_line_and_the_array_stays_readable(operator, work, device, monkeypatch):
    x = nd.array(np.full(1 << 20, 3.0))
    x.wait_to_read()
    gc.collect()
    device.memory.drop_free()
    used = device.memory.used
    with monkeypatch.context() as patched:
        patched.setattr(type(device.memory), "limit", property(lambda pool: used + 100_000))
        results = []
        for _ in range(2):
            with pytest.raises(mx.MXNetError) as error:
                results = results or [work(x)]
                results[0].wait_to_read()
            where = f"{operator}, called at {__file__}:{work.__code__.co_firstlineno}: {device}: "
            assert where + "no memory for an array of 4,194,304 bytes" in str(error.value)
        np.testing.assert_array_equal(x[:5].asnumpy(), [3] * 5)
        del error
        gc.collect()
        assert device.memory.used <= used + 256
    for y in results:
        np.testing.assert_array_equal(y.asnumpy(), np.full(1 << 20, 9))


def test_a_failed_backward_leaves_all_to_be_computed(device, monkeypatch):
    x = nd.array(np.full(1 << 20, 3.0))
    x.attach_grad()
    x.grad.wait_to_read()
    with autograd.record():
        y = x * x
    gc.collect()
    device.memory.drop_free()
    used = device.memory.used
    with monkeypatch.context() as patched:
        patched.setattr(type(device.memory), "limit", property(lambda pool: used + 100_000))
        with pytest.raises(mx.MXNetError, match="no memory"):
            y.backward()
        assert not autograd.is_recording()
        np.testing.assert_array_equal(y.asnumpy(), np.full(1 << 20, 9))  # in the memory of the gradient before
    np.testing.assert_array_equal(x.grad.asnumpy(), np.full(1 << 20, 6))
    np.testing.assert_array_equal(y.asnumpy(), np.full(1 << 20, 9))


def test_shapes_dtypes_and_devices_are_checked_at_the_call():
    x = random(3, 4)
    with counted() as counts:
        with pytest.raises(mx.MXNetError, match=r"add: operands could not be broadcast together with shapes \[3,\s?4\] \[3\]"):
            x + nd.zeros((3,))
        with pytest.raises(mx.MXNetError, match=r"\[3, 4\].*\[5, 4\]|\[3,4\].*\[5,4\]"):
            nd.dot(x, nd.zeros((5, 4)))
    assert counts.launches == 0
