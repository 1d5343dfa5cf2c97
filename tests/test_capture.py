"""Captured functions: the same bits as the functions themselves, from launches alone; and what a capture cannot do is found out."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, engine, nd
from measures import counted

pytestmark = pytest.mark.portability


@pytest.fixture(autouse=True)
def lazily():
    with engine.eager(False):
        yield


def same(got, expected):
    assert [x.asnumpy().tobytes() for x in got] == [x.asnumpy().tobytes() for x in expected]


def numbers(*shape, seed=0):
    return nd.array(np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32"))


class Perceptron:
    """Two layers, trained with momentum, dropout and batch normalisation."""

    def __init__(self):
        self.parameters = [numbers(*shape, seed=i) for i, shape in enumerate(((5, 6), (5,), (5,), (3, 5), (3,)))]
        self.velocities = [nd.zeros(p.shape) for p in self.parameters]
        self.mean, self.deviation = nd.zeros(5), nd.ones(5)
        for p in self.parameters:
            p.attach_grad()

    def step(self, x, labels, rate):
        w1, gamma, beta, w2, b2 = self.parameters
        with autograd.record():
            h = nd.FullyConnected(x, w1, num_hidden=5, no_bias=True)
            h = nd.BatchNorm(h, gamma, beta, self.mean, self.deviation, fix_gamma=False)
            h = nd.Dropout(nd.relu(h), p=0.3)
            loss = nd.softmax_cross_entropy(nd.FullyConnected(h, w2, b2, num_hidden=3), labels)
        loss.backward()
        for p, v in zip(self.parameters, self.velocities):
            v[:] = 0.9 * v - rate * p.grad
            p += v
        return loss

    def arrays(self):
        return [*self.parameters, *self.velocities, *(p.grad for p in self.parameters), self.mean, self.deviation]


def trained(steps, captured):
    mx.random.seed(3)
    model = Perceptron()
    step = mx.capture(model.step) if captured else model.step
    data, labels = numbers(40, 6, seed=9), nd.array(np.arange(40) % 3)
    losses = []
    for i in range(steps):
        begin = i * 8 % 40
        losses.append(step(data[begin : begin + 8], labels[begin : begin + 8], nd.array([0.1 / (1 + i)])))
    if captured:
        assert (step.replays, step.reason) == (steps - 1, None)
    return [*losses, *model.arrays()]


def test_a_training_step_to_the_bit():
    same(trained(7, True), trained(7, False))


def test_a_replay_makes_no_record_and_compiles_nothing():
    w = numbers(4)
    f = mx.capture(lambda x: (nd.tanh(x * w).sum(), nd.exp(x) + 1))
    x = numbers(4, seed=1)
    with counted() as first:
        f(x)
    before = engine.next_order()
    with counted() as later:
        f(x)
    assert engine.next_order() == before + 1
    assert later.launches == first.launches and later.compilations == later.renders == 0


def test_results_of_earlier_calls_stay():
    f = mx.capture(lambda x: x * 2 + 1)
    results = [f(nd.full((300,), i)) for i in range(5)]
    assert [r[299].asscalar() for r in results] == [1, 3, 5, 7, 9]
    results[1][:] = 0
    assert f(nd.full((300,), 7))[0].asscalar() == 15
    assert f.replays == 5


def test_each_shape_dtype_and_number_has_a_capture():
    f = mx.capture(lambda x, k: x * k + 1)
    for _ in range(2):
        for x, k in ((nd.ones(3), 2), (nd.ones(4), 2), (nd.ones(3, dtype="int32"), 2), (nd.ones(3), 3.0), (nd.ones(3), 3)):
            y = f(x, k)
            assert y.dtype == x.dtype and y.asnumpy().tolist() == [k + 1] * len(x)
    assert f.replays == 5 and f.reason is None


def test_arrays_outside_are_looked_up_anew():
    w = numbers(3)
    f = mx.capture(lambda x: x * w)
    for i in range(4):
        x = numbers(3, seed=i)
        w[:] = numbers(3, seed=10 + i)
        np.testing.assert_array_equal(f(x).asnumpy(), x.asnumpy() * w.asnumpy())
    assert f.replays == 3


def test_writing_in_place_leaves_what_others_hold():
    table = nd.zeros((4, 3))

    @mx.capture
    def f(x):
        table[1:3] = x
        table[0] += 1

    before = []
    for i in range(4):
        before.append(table.copy())
        f(nd.full((3,), i))
    assert f.replays == 3
    assert table.asnumpy()[:, 0].tolist() == [4, 3, 3, 0]
    assert [x.asnumpy()[:, 0].tolist() for x in before] == [[0, 0, 0, 0], [1, 0, 0, 0], [2, 1, 1, 0], [3, 2, 2, 0]]


def test_writing_to_an_argument_and_to_a_view():
    @mx.capture
    def f(x):
        x += 1
        return x

    for _ in range(3):
        x = nd.zeros((2,))
        assert f(x) is x and x.asnumpy().tolist() == [1, 1]
    data = nd.zeros((4, 2))
    for i in range(4):
        f(data[i])
    assert data.asnumpy().tolist() == [[1, 1]] * 4
    assert f.replays == 6


def test_the_layout_of_an_argument_is_part_of_it():
    f = mx.capture(lambda x, y: nd.dot(x, y) + x.sum())
    for i in range(6):
        x, y = numbers(40, 40, seed=i), numbers(40, 40, seed=9)
        for given in (x, x.T, nd.concat(x, x, dim=0)[10:50]):
            same([f(given, y), f(given, y)], [f.function(given, y)] * 2)
    assert f.replays >= 30


def test_gradients_of_arguments():
    @mx.capture
    def f(x):
        with autograd.record():
            y = (x * x * x).sum()
        y.backward()

    for req, expected in (("write", [3, 3, 3]), ("add", [3, 6, 9])):
        for _ in range(2):
            x = nd.ones((2,))
            x.attach_grad(req)
            found = []
            for _ in range(3):
                f(x)
                found.append(x.grad[0].asscalar())
            assert found == expected
    assert f.replays == 10


def test_second_derivatives():
    x = numbers(5)
    x.attach_grad()

    def f(scale):
        with autograd.record():
            y = nd.sin(x * scale)
            first = autograd.grad(y, [x], create_graph=True)[0]
            z = (first * first).sum()
        z.backward()
        return first

    captured = mx.capture(f)
    for i in range(3):
        scale = nd.array([i + 1.0])
        got = [captured(scale), x.grad.copy()]
        same(got, [f(scale), x.grad])
    assert captured.replays == 2


def test_random_numbers_advance():
    def f(rates):
        x = nd.random.normal(shape=(5,)) + nd.random.uniform(shape=(5,))
        y = nd.random.gamma(2, 2, shape=(4,)) + nd.random.poisson(3, shape=(4,)) + nd.random.exponential(1, shape=(4,))
        return x, y, nd.random.randint(0, 100, shape=(6,)), nd.sample_exponential(rates, shape=3), nd.shuffle(nd.arange(9))

    captured = mx.capture(f)
    rates = nd.array([1.0, 2.0])
    for seed in (1, 2):
        mx.random.seed(seed)
        expected = [f(rates) for _ in range(3)]
        mx.random.seed(seed)
        for one in expected:
            same(captured(rates), one)
    assert captured.replays == 5


def test_equal_arguments_are_not_different_ones():
    f = mx.capture(lambda x, y: x - y)
    x, y = nd.array([5.0]), nd.array([3.0])
    assert [f(x, x).asscalar(), f(x, y).asscalar(), f(y, x).asscalar(), f(y, y).asscalar()] == [0, 2, -2, 0]


def test_structures():
    def f(pair, *, named):
        a, b = pair
        return {"sum": a + b, "more": [named["c"] * 2, None, "text", 3]}

    captured = mx.capture(f)
    for i in range(3):
        found = captured((nd.array([i]), nd.array([1.0])), named={"c": nd.array([2.0 * i])})
        assert found["sum"].asscalar() == i + 1 and found["more"][0].asscalar() == 4 * i and found["more"][1:] == [None, "text", 3]
    assert captured.replays == 2


def test_eager_captures_nothing():
    f = mx.capture(lambda x: x * 2)
    with engine.eager():
        assert [f(nd.array([i])).asscalar() for i in range(3)] == [0, 2, 4]
    assert f.replays == 0


def test_training_mode_is_part_of_it():
    f = mx.capture(lambda x: nd.Dropout(x, p=0.5))
    x = nd.ones((64,))
    for _ in range(2):
        assert f(x).asnumpy().tolist() == [1] * 64
        with autograd.train_mode():
            assert sorted(set(f(x).asnumpy().tolist())) == [0, 2]
    assert f.replays == 2


def test_empty_arrays():
    f = mx.capture(lambda x: (x * 2, x.sum()))
    for _ in range(2):
        y, total = f(nd.zeros((0, 3)))
        assert y.shape == (0, 3) and total.asscalar() == 0


def test_as_a_method():
    class Scale:
        def __init__(self, k):
            self.k = nd.array([k])

        @mx.capture
        def __call__(self, x):
            return x * self.k

        @mx.capture
        def twice(self, x):
            return x * self.k * 2

    two, three = Scale(2.0), Scale(3.0)
    for i in range(3):
        assert two.twice(nd.array([i])).asscalar() == 4 * i
        assert three.twice(nd.array([i])).asscalar() == 6 * i
    assert two.twice.replays == three.twice.replays == 2


# What cannot be captured.

kept = []
outside = {}


def reads(x):
    return x + 1 if x.sum().asscalar() > 0 else x - 1


def sends(x):
    return x + nd.array([1.0, 2.0])


def keeps(x):
    kept.append(x * 2)
    return x * 3


def leaves_a_graph(x):
    w = outside["w"]
    with autograd.record():
        return w * x


def goes_through_a_graph(x):
    outside["z"].backward(retain_graph=True)
    return outside["w"].grad + x


def attaches(x):
    y = outside["w"]
    y.attach_grad()
    return y * x


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (reads, "it reads elements"),
        (sends, "it sends elements to the device"),
        (keeps, "it keeps an array"),
        (leaves_a_graph, "it left a recorded graph behind"),
        (goes_through_a_graph, "it goes through a graph that was recorded outside"),
        (attaches, "it attached a gradient"),
        (lambda x: iter([1]), "it returned something else"),
    ],
)
def test_what_cannot_be_captured_runs_as_it_stands(function, reason):
    w = outside["w"] = nd.array([1.0, -2.0])
    w.attach_grad()
    with autograd.record():
        outside["z"] = (w * w).sum()
    captured = mx.capture(function)
    for values in ([1, 2], [-1, -2], [3, 4]):
        x = nd.array(values)
        found, expected = captured(x), function(x)
        if isinstance(expected, nd.NDArray):
            same([found], [expected])
        assert captured.reason.startswith(reason)
    assert captured.replays == 0
    kept.clear()
    outside.clear()


def test_the_reason_names_the_line():
    captured = mx.capture(reads)
    captured(nd.ones((2,)))
    assert "test_capture.py:" in captured.reason


def test_an_argument_that_is_no_plain_one():
    captured = mx.capture(lambda x, y: x + len(y))
    assert captured(nd.ones((1,)), {1, 2}).asscalar() == 3
    assert captured.replays == 0 and "an argument is neither" in captured.reason


def test_while_recording_the_tape_gets_its_records():
    captured = mx.capture(lambda x: x * x)
    x = nd.array([3.0])
    captured(x), captured(x)
    x.attach_grad()
    with autograd.record():
        y = captured(x)
    y.backward()
    assert x.grad.asscalar() == 6 and captured.replays == 1


def test_an_error_leaves_everything_as_it_was():
    @mx.capture
    def f(x, fail):
        y = x * 2
        if fail:
            raise KeyError("no")
        return y

    x = nd.ones((2,))
    for _ in range(2):
        with pytest.raises(KeyError):
            f(x, True)
    f(x, False)
    assert f(x, False).asnumpy().tolist() == [2, 2] and f.replays == 1
    with counted() as counts:
        (x + 1).wait_to_read()
    assert counts.launches == 1


def test_what_waited_before_is_not_of_the_call():
    w = nd.ones((3,))
    w[:] = w * 5 + nd.array([1.0, 2, 3])  # waits
    f = mx.capture(lambda x: x + w)
    assert f(nd.zeros((3,))).asnumpy().tolist() == [6, 7, 8]
    w[:] = nd.zeros((3,))
    assert f(nd.zeros((3,))).asnumpy().tolist() == [0, 0, 0]
    assert f.replays == 1


def test_memory_is_level():
    state = nd.zeros((1000,))

    @mx.capture
    def f(x):
        state[:] = nd.tanh(state + x) + x.sum()
        return (state * state).mean()

    x = numbers(1000)
    device = x.context.device
    for _ in range(3):
        f(x)
    gc.collect()
    before = device.memory.used
    for _ in range(200):
        f(x)
    assert device.memory.used == before
    del f
    gc.collect()
    assert device.memory.used < before


def test_threads():
    f = mx.capture(lambda x: nd.tanh(x) * 2 + x.sum())
    x = numbers(100)
    expected = f.function(x).asnumpy().tobytes()
    wrong = []

    def work():
        with engine.eager(False):
            for _ in range(50):
                if f(x).asnumpy().tobytes() != expected:
                    wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and f.replays >= 100
