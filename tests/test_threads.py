"""Several Python threads compute at once, each with its own recording state and its own current context."""

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, nd
from measures import at_once

THREADS = 4
pytestmark = pytest.mark.usefixtures("threads_take_turns_often")


def train(number, steps=30):
    """Fit a small network, with in-place updates, views and a mixture of recorded and paused work."""
    values = np.random.default_rng(number).normal(size=(16, 5 + number)).astype("float32")
    inputs, targets = nd.array(values), nd.array(np.sin(values.sum(1, keepdims=True)))
    weight, bias = nd.array(values[:4].T * 0.1), nd.zeros(4)
    out = nd.ones((4, 1)) * 0.1
    parameters = [weight, bias, out]
    for parameter in parameters:
        parameter.attach_grad()
    losses = nd.zeros(steps)
    for step in range(steps):
        with autograd.record():
            error = nd.dot(nd.tanh(nd.dot(inputs, weight) + bias), out) - targets
            loss = (error * error).mean()
            with autograd.pause():
                losses[step] = loss
        loss.backward()
        for parameter in parameters:
            parameter[:] = parameter - 0.1 * parameter.grad
    return [array.asnumpy() for array in [losses, *parameters]]


def test_threads_compute_what_they_compute_alone():
    alone = [train(number) for number in range(THREADS)]
    together = at_once(lambda number, barrier: train(number), THREADS)
    for expected, got in zip(alone, together):
        for a, b in zip(expected, got):
            np.testing.assert_array_equal(b, a)
    assert all(losses[-1] < losses[0] for losses, *_ in together)


def test_recording_belongs_to_a_thread():
    def work(number, barrier):
        x = nd.array([1, 2, 3])
        x.attach_grad()
        before = autograd.is_recording(), autograd.is_training()
        barrier.wait()
        if number % 2:
            with autograd.record(train_mode=number == 1):
                barrier.wait()
                inside = autograd.is_recording(), autograd.is_training()
                y = x * x
                barrier.wait()
            y.backward()
        else:
            barrier.wait()
            inside = autograd.is_recording(), autograd.is_training()
            y = x * x
            barrier.wait()
            with pytest.raises(mx.MXNetError, match="not in a computational graph"):
                y.backward()
        return before, inside, x.grad.asnumpy().tolist()

    recorded = [2.0, 4.0, 6.0]
    assert at_once(work, THREADS) == [
        ((False, False), (False, False), [0.0, 0.0, 0.0]),
        ((False, False), (True, True), recorded),
        ((False, False), (False, False), [0.0, 0.0, 0.0]),
        ((False, False), (True, False), recorded),
    ]


def test_a_thread_started_inside_record_does_not_record():
    with autograd.record():
        assert at_once(lambda number, barrier: autograd.is_recording(), THREADS) == [False] * THREADS


def test_the_current_context_belongs_to_a_thread():
    def work(number, barrier):
        with mx.cpu(number):
            barrier.wait()
            made = nd.ones((2, 2)) * number
            barrier.wait()
            inside = mx.current_context()
        return inside, made.context, mx.current_context(), made.asnumpy().tolist()

    expected = [(mx.cpu(i), mx.cpu(i), mx.cpu(0), [[i, i], [i, i]]) for i in range(THREADS)]
    assert at_once(work, THREADS) == expected


@pytest.mark.parametrize("attempt", range(10))
def test_threads_share_arrays_that_still_wait(attempt):
    waiting, expected = nd.arange(1000), np.arange(1000, dtype="float32")
    for _ in range(5):
        waiting, expected = waiting * 0.5 + attempt, expected * np.float32(0.5) + np.float32(attempt)
    rows = waiting.reshape((10, 100))

    results = at_once(lambda number, barrier: ((rows[number] * 2).asnumpy(), waiting.max().asscalar()), THREADS)
    for number, (row, largest) in enumerate(results):
        np.testing.assert_array_equal(row, expected.reshape(10, 100)[number] * 2)
        assert largest == expected.max()


def test_threads_write_to_their_own_part_of_one_array():
    whole = nd.zeros((THREADS, 50))

    def work(number, barrier):
        row = whole[number]
        for step in range(20):
            row += number + 1
            row[step] = -1
        return row.asnumpy()

    rows = at_once(work, THREADS)
    np.testing.assert_array_equal(whole.asnumpy(), np.stack(rows))
    for number, row in enumerate(rows):
        expected = np.zeros(50)
        for step in range(20):
            expected += number + 1
            expected[step] = -1
        np.testing.assert_array_equal(row, expected)


def test_an_error_in_one_thread_leaves_the_others_alone():
    def work(number, barrier):
        x = nd.array([[1, 2], [3, 4]])
        for _ in range(20):
            if number == 0:
                with pytest.raises(mx.MXNetError):
                    nd.dot(x, nd.zeros((3, 3)))
            else:
                x = x + 1
        return x.asnumpy()

    results = at_once(work, THREADS)
    for number, values in enumerate(results):
        np.testing.assert_array_equal(values, np.array([[1, 2], [3, 4]]) + (20 if number else 0))
