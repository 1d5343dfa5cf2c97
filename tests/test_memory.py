"""What stays in memory: nothing that nobody can ask for, however long or deep the work."""

import gc

import numpy as np
import pytest

from clnd import autograd, nd, passes
from measures import alive


@pytest.fixture
def weights():
    arrays = [nd.array(np.linspace(-1, 1, size).reshape(shape)) for size, shape in ((12, (3, 4)), (4, (4,)), (4, (4, 1)))]
    for array in arrays:
        array.attach_grad()
    return arrays


def no_more_than(before):
    """Nothing has been added: an earlier test may still have left something to die."""
    gc.collect()
    return all(now <= then for now, then in zip(alive(), before, strict=True))


def step(weights, x):
    with autograd.record():
        loss = nd.sum(nd.square(nd.tanh(x * weights[1]) - 0.5))
    loss.backward()
    weights[1][:] = weights[1] - 0.1 * weights[1].grad
    return loss


def used(array):
    nd.waitall()
    return array.context.device.memory.used


def test_ten_thousand_recorded_steps_leave_values_records_and_bytes_where_they_were(weights):
    x = nd.array(np.ones((2, 4)))
    for _ in range(20):
        loss = step(weights, x)
    loss.wait_to_read()
    gc.collect()
    before, bytes_before = alive(), used(x)
    for _ in range(10_000):
        loss = step(weights, x)
    loss.wait_to_read()
    assert no_more_than(before)
    assert used(x) <= bytes_before
    assert loss.asscalar() < 1e-3


def test_a_graph_of_a_hundred_thousand_operations():
    x = nd.array([1.0])
    x.attach_grad()
    x.wait_to_read()
    x.grad.wait_to_read()
    before = alive()
    with autograd.record():
        y = x
        for _ in range(50_000):
            y = y * 1.00001
            y = y + 0.0
    y.backward()
    expected = np.exp(50_000 * np.log(1.00001))
    np.testing.assert_allclose(y.asnumpy(), expected, rtol=2e-2)
    np.testing.assert_allclose(x.grad.asnumpy(), expected, rtol=2e-2)
    del y
    assert no_more_than(before)


def test_a_deep_graph_that_is_dropped_unused():
    x = nd.array([1.0])
    x.attach_grad()
    x.wait_to_read()
    x.grad.wait_to_read()
    before = alive()
    with autograd.record():
        y = x
        for _ in range(100_000):
            y = y * x
    del y
    assert no_more_than(before)


def test_a_forgotten_record_leaks_nothing(weights):
    x = nd.array(np.ones((2, 3)))
    autograd.set_recording(True)
    try:
        for _ in range(5):
            nd.tanh(nd.dot(x, weights[0])).wait_to_read()
        before, bytes_before = alive(), used(x)
        for _ in range(200):
            nd.tanh(nd.dot(x, weights[0])).wait_to_read()
        assert no_more_than(before)
        assert used(x) <= bytes_before
    finally:
        autograd.set_recording(False)


def test_memory_goes_back_while_the_walk_goes_on():
    """A chain of layers whose activations are all kept: walking back frees them one by one, so that little more is ever needed."""
    size = 1 << 18
    x = nd.ones((size,))
    x.attach_grad()
    with autograd.record():
        y = x
        layers = 24
        for _ in range(layers):
            y = nd.tanh(y)
            y.wait_to_read()
    device = x.context.device
    nd.waitall()
    held = device.memory.used
    assert held >= layers * size * 4
    highest = []
    free = passes.free

    def watched(record):
        free(record)
        highest.append(device.memory.used)

    passes.free = watched
    try:
        y.backward()
    finally:
        passes.free = free
    nd.waitall()
    assert len(highest) == layers
    assert max(highest) < held + 6 * size * 4
    assert device.memory.used < held - (layers - 4) * size * 4


# Without Python's cycle collector: nothing here may need it.


class Scaled(autograd.Function):
    """Saves an input and an output."""

    def forward(self, x):
        y = x * 3
        self.save_for_backward(x, y)
        return y

    def backward(self, dy):
        x, y = self.saved_tensors
        return dy * 3 + 0 * x * y


def recorded(x):
    with autograd.record():
        return nd.sum(nd.tanh(x) * x)


def differentiated_twice(x):
    with autograd.record():
        y = nd.sum(nd.exp(x) * x)
        (dx,) = autograd.grad(y, [x], create_graph=True)
        dx = nd.sum(dx * dx)
    dx.backward()


def functions_differentiated_twice(x):
    with autograd.record():
        (dx,) = autograd.grad(nd.sum(Scaled()(x) * x), [x], create_graph=True)
    dx.backward()


def forgotten(x):
    with autograd.record():
        y = Scaled()(nd.tanh(x))
        y[1] = y[0] * 2
        view = y[1:]
        view += nd.sum(view)
    view.wait_to_read()


def failing(x):
    with autograd.record():
        y = nd.tanh(x)
        try:
            nd.dot(y, nd.zeros((7, 7)))
        except ValueError:
            pass
        try:
            nd.sum(y).backward(nd.ones((3,)))
        except ValueError:
            pass


def retained(x):
    y = recorded(x)
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)


def views_and_writes(x):
    y = x.copy()
    y[0] = 1
    y[1:] += x[1:]
    y[:] = y * x
    y.reshape((-1,))[0] = y[1]
    y.wait_to_read()


@pytest.mark.parametrize(
    "work",
    [recorded, differentiated_twice, functions_differentiated_twice, forgotten, failing, retained, views_and_writes],
    ids=lambda work: work.__name__,
)
def test_nothing_is_left_by(work):
    x = nd.array([0.5, 1.0, 1.5])
    x.attach_grad()
    for _ in range(3):
        work(x)
    x.wait_to_read()
    x.grad.wait_to_read()
    gc.collect()
    gc.disable()
    try:
        before, bytes_before = alive(), used(x)
        for _ in range(50):
            work(x)
        assert alive() == before
        assert used(x) <= bytes_before
    finally:
        gc.enable()


def test_a_walk_that_fails_gives_back_what_it_walked_over():
    class Fails(autograd.Function):
        def forward(self, x):
            return x * 2

        def backward(self, dy):
            raise ZeroDivisionError

    x = nd.ones((1000,))
    x.attach_grad()
    x.wait_to_read()
    x.grad.wait_to_read()
    gc.collect()
    before, bytes_before = alive(), used(x)
    with autograd.record():
        y = nd.tanh(Fails()(nd.tanh(x)))
    with pytest.raises(ZeroDivisionError):
        y.backward()
    del y
    gc.collect()
    assert alive() == before
    assert used(x) <= bytes_before


def test_a_parameter_that_is_updated_and_never_read_alone_holds_no_old_gradients():
    x = nd.ones((64, 1000))
    bias = nd.zeros((1000,))
    bias.attach_grad()
    highest = []
    for _ in range(60):
        with autograd.record():
            loss = nd.sum(nd.tanh(x + bias))
        loss.backward()
        bias -= 0.01 * bias.grad
        highest.append(used(x))
    assert max(highest[10:]) <= max(highest[:10])
