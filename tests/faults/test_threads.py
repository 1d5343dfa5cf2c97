"""Eight threads that compute, record, move arrays and drop them: no race, no deadlock, and each gets what it gets alone.

A minute's worth and more: ``CLND_TEST_MINUTES=5 pytest -n0 tests/faults/test_threads.py``.
"""

import gc
import queue
import sys

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, nd
from clnd.engine import plan
from measures import CONTEXTS, Cube, alive, at_once, rounds

THREADS = 8
pytestmark = pytest.mark.usefixtures("threads_take_turns_often")


def work(number, shared, inbox=None, outbox=None):
    """A bit of everything, whose results follow from the number alone; what it takes from the inbox it only drops and reads."""
    values = np.random.default_rng(number).uniform(0.5, 1.5, (6, 5 + number)).astype(np.float32)
    context = CONTEXTS[number % len(CONTEXTS)]
    x, state = nd.array(values, ctx=context), nd.zeros(values.shape, ctx=context)
    x.attach_grad()
    results = []
    for step in range(4):
        with autograd.record():
            y = nd.tanh(x * 0.5) + shared.as_in_context(context)[: x.shape[1]]
            z = nd.sum(Cube()(y), axis=1) if step % 2 else nd.sum(y * y, axis=1)
            waiting = nd.sqrt(y + 1)
        z.backward()
        nd.sgd_mom_update(x, x.grad, state, lr=0.01, momentum=0.9, out=x)
        x[step] = 0.25 * step
        row = x[1:3]
        row += 1
        moved = waiting.as_in_context(CONTEXTS[(number + 1) % len(CONTEXTS)])
        cycle = [waiting, y, moved]
        cycle.append(cycle)  # for the cycle collector, in whatever thread it runs
        if outbox is not None:
            outbox.put(nd.square(moved))  # still waiting, for another thread
            try:
                inbox.get_nowait().sum().asscalar()
            except queue.Empty:
                pass
        results += [z.asnumpy(), moved.asnumpy()]
        assert not autograd.is_recording()
    return [*results, x.asnumpy(), state.asnumpy()]


def test_eight_threads_get_what_one_gets():
    alone = [work(number, nd.arange(20) * 0.125) for number in range(THREADS)]
    nd.waitall()
    gc.collect()
    before, used, places = alive(), [context.device.memory.used for context in CONTEXTS], [queue.SimpleQueue() for _ in range(THREADS)]
    for _ in rounds(3):
        shared = nd.arange(20) * 0.125  # still waiting when they start
        together = at_once(lambda number, _: work(number, shared, places[number], places[(number + 1) % THREADS]), THREADS)
        for expected, got in zip(alone, together):
            for a, b in zip(expected, got):
                np.testing.assert_array_equal(b, a)
        while any(not place.empty() for place in places):
            for place in places:
                if not place.empty():
                    place.get()
        shared = None
    nd.waitall()
    gc.collect()
    assert all(now <= then for now, then in zip(alive(), before))
    assert all(context.device.memory.used <= then for context, then in zip(CONTEXTS, used))


def test_threads_build_and_forget_plans_at_once(monkeypatch):
    """With room for few plans and recipes, so that each thread throws out what another is about to use."""
    monkeypatch.setattr(plan, "MOST", 3)
    monkeypatch.setattr(sys.modules["clnd.engine.recipe"], "MOST", 2)  # whose name in the package is a function's

    def many(number, _=None):
        found = []
        for size in range(1, 12):
            x = nd.ones((size + number,)) * size
            w = nd.ones((size,))
            nd.sgd_update(w, w, lr=0.5, out=w)
            found.append((float((x + 1).sum().asscalar()), float(nd.square(x).max().asscalar()), w.asnumpy().tolist()))
        return found

    assert at_once(many, THREADS) == [many(number) for number in range(THREADS)]


def test_one_thread_out_of_memory_leaves_the_others_alone(monkeypatch):
    device = mx.cpu().device
    nd.waitall()
    gc.collect()
    device.memory.drop_free()
    monkeypatch.setattr(device.memory, "most", device.memory.used + (4 << 20))

    def work(number, barrier):
        for _ in range(10):
            if number == 0:
                with pytest.raises(mx.MXNetError, match="no memory for an array"):
                    nd.ones((1 << 21,)).wait_to_read()
            else:
                assert float((nd.ones((1 << 10,)) + number).sum().asscalar()) == (1 + number) << 10
        return True

    assert all(at_once(work, THREADS))
