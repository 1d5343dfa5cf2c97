"""Ctrl-C at any moment: what was recorded, held and counted is as it was before, and the next command works."""

import gc
import inspect
import os
import sys
import threading

import numpy as np

import clnd as mx
from clnd import autograd, engine, nd
from clnd.engine import plan
from clnd.opencl import running
from measures import alive

INSIDE = os.path.dirname(mx.__file__)


class Interrupts:
    """Raises KeyboardInterrupt at the n-th of the moments at which Python handles signals, within clnd: function calls, and returns from C.

    Not at the very beginning of an `__exit__` or a finalizer, where Python itself loses what was to be done; nor at calls of generators,
    which are told of where one is closed, too, though no signals are handled there.
    """

    def __init__(self, at):
        self.left = at

    def __call__(self, frame, event, argument):
        code = frame.f_code
        if event not in ("call", "c_return") or not code.co_filename.startswith(INSIDE):
            return
        if code.co_name == "__del__" or (event == "call" and (code.co_name == "__exit__" or code.co_flags & inspect.CO_GENERATOR)):
            return
        self.left -= 1
        if self.left == 0:
            sys.setprofile(None)
            raise KeyboardInterrupt


def interrupted(work, arguments, at):
    """Was the work interrupted, before it was done?"""
    sys.setprofile(Interrupts(at))
    try:
        work(*arguments)
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


def free(lock):
    """Could another thread take it?"""
    found = []
    thread = threading.Thread(target=lambda: found.append(lock.acquire(blocking=False) and not lock.release()))
    thread.start()
    thread.join()
    return found == [True]


def step(x, w, momentum):
    with autograd.record():
        loss = nd.sum(nd.tanh(x * w) - 0.5)
    loss.backward()
    nd.sgd_mom_update(w, w.grad, momentum, lr=0.25, momentum=0.5, out=w)
    x[0] = 2.5
    loss.asnumpy()


def test_a_step_of_training_can_be_interrupted_anywhere():
    device = mx.cpu().device

    def fresh():
        x, w, momentum = nd.array([1, 2, 3]), nd.array([3, 2, 1]), nd.zeros((3,))
        w.attach_grad()
        return x, w, momentum

    def expected():
        arrays = fresh()
        step(*arrays)
        return [array.asnumpy() for array in arrays]

    for _ in range(3):
        wanted = expected()
    nd.waitall()
    gc.collect()
    before, used = alive(), device.memory.used
    at, stride = 1, int(os.environ.get("CLND_TEST_STRIDE", "7"))
    while True:
        arrays = fresh()
        for array in arrays:
            array.wait_to_read()
        arrays[1].grad.wait_to_read()
        done = not interrupted(step, arrays, at)
        assert not autograd.is_recording() and not autograd.is_training(), at
        assert running.call is None and engine.state.site is None, at
        assert free(plan.lock) and free(device.lock) and free(device.programs.lock), at
        for array in arrays:
            assert np.isfinite(array.asnumpy()).all(), at
        for now, then in zip(expected(), wanted):
            np.testing.assert_array_equal(now, then)
        if done:
            break
        at += stride
    assert at > 200
    del arrays, array
    nd.waitall()
    gc.collect()
    assert all(now <= then for now, then in zip(alive(), before))
    assert device.memory.used <= used
