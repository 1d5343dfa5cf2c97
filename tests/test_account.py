"""What the account of memory says holds it."""

import threading

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, engine, nd
from clnd.account import holdings
from measures import at_once


@pytest.fixture(autouse=True)
def lazily():
    with engine.eager(False):
        yield


def line():
    import inspect

    return f"{__file__}:{inspect.currentframe().f_back.f_lineno}"


def of(array, operator):
    nd.waitall()
    return [row for row in holdings(array.context.device) if row.operator == operator and row.line.startswith(__file__)]


def test_arrays_are_held_for_the_line_that_made_them():
    x, made = nd.array(np.ones((100, 10), "float32")), line()
    (row,) = of(x, "array")
    assert (row.line, row.buffers, row.nbytes) == (made, 1, 4000)
    y = []
    for i in range(3):
        y.append(nd.tanh(x + i))
        y[-1].wait_to_read()
    (row,) = of(x, "tanh")
    assert (row.buffers, row.nbytes) == (3, 12_000)
    del y
    assert not of(x, "tanh")


def test_the_intermediate_values_of_a_chain_take_nothing():
    x = nd.array(np.ones(1 << 16, "float32"))
    x.attach_grad()
    device = x.context.device
    x.grad.wait_to_read()
    before = device.memory.used
    highest = []

    class Watch:
        def allocated(self, buffer):
            highest.append(device.memory.used)

        def ignored(self, *_):
            pass

        launched = crossed = waited = built = ignored

    device.__class__.listeners = (Watch(),)
    try:
        y = x
        for _ in range(8):
            y = nd.tanh(y * 0.5 + x) - 1
        y.wait_to_read()
        forward = max(highest) - before
        del y
        highest.clear()
        with autograd.record():
            z = x
            for _ in range(8):
                z = z * 2 + 1
        z.backward()
        x.grad.wait_to_read()
    finally:
        device.__class__.listeners = ()
    assert forward == 4 << 16  # the result
    assert max(highest) - before <= 2 * (4 << 16)  # the head and the new gradient


def test_the_summary():
    x = nd.array(np.ones((64, 64), "float32"))
    text = mx.memory_summary()
    y = nd.tanh(x)
    y.wait_to_read()
    assert str(x.context.device) in text and "most bytes held so far" in text and "array, " in text
    assert " others" in mx.memory_summary(mx.cpu(), most=1)


def test_large_old_gradients_make_room_for_the_new():
    x = nd.array(np.ones(1 << 16, "float32"))
    x.attach_grad()
    with autograd.record():
        nd.sum(x * 3).backward()
    x.grad.wait_to_read()
    kept = x.grad[:1]
    with autograd.record():
        y = nd.sum(x * x.grad)
    y.backward()
    assert x.grad[0].asscalar() == kept.asscalar() == 3


def test_a_failure_says_what_holds_the_memory(monkeypatch):
    x = nd.array(np.ones((64, 64), "float32"))
    pool = x.context.device.memory
    monkeypatch.setattr(type(pool), "limit", property(lambda self: self.held))
    with pytest.raises(mx.MXNetError, match=r"no memory for an array of"):
        nd.array(np.ones((3000, 1111), "float32")).wait_to_read()


def test_other_threads_build_tuples_while_somebody_looks_what_holds_memory(threads_take_turns_often):
    """They would find theirs in the hands of whoever looks through all objects."""
    x = mx.nd.array([1, 2, 3])
    x.wait_to_read()
    looked = threading.Event()

    def work(number, barrier):
        if number:
            while not looked.is_set():
                tuple(i for i in range(20))
            return
        try:
            for _ in range(20):
                assert sum(row.buffers for row in holdings(x.context.device)) > 0
        finally:
            looked.set()

    at_once(work, threads=4)
