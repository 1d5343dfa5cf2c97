"""What stays in memory: nothing that nobody can ask for, however long or deep the work."""

import gc

import numpy as np
import pytest

from clnd import autograd, nd
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
    assert used(x) == bytes_before
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
        assert used(x) == bytes_before
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
    free = autograd._free

    def watched(record):
        free(record)
        highest.append(device.memory.used)

    autograd._free = watched
    try:
        y.backward()
    finally:
        autograd._free = free
    nd.waitall()
    assert len(highest) == layers
    assert max(highest) < held + 6 * size * 4
    assert device.memory.used < held - (layers - 4) * size * 4
