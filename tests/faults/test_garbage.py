"""Arrays in reference cycles, arrays that go while a tape holds what they were, and finalizers that compute, wherever they run."""

import gc
import weakref

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, nd
from clnd.opencl import Device
from measures import alive


@pytest.fixture
def level():
    """Collect, and check after the test that nothing was added."""
    nd.waitall()
    gc.collect()
    device = mx.cpu().device
    before, used = alive(), device.memory.used
    yield
    nd.waitall()
    gc.collect()
    assert all(now <= then for now, then in zip(alive(), before))
    assert device.memory.used <= used


class Kept(autograd.Function):
    """Holds its own output, and its output (by the tape) holds it."""

    def forward(self, x):
        self.mine = x * 2
        return self.mine

    def backward(self, dy):
        return dy * 2


@pytest.mark.parametrize("walked", [False, True])
def test_cycles_of_arrays_tapes_and_functions_go(level, walked):
    gone = []
    for _ in range(5):
        x = nd.array([1, 2, 3])
        x.attach_grad()
        function = Kept()
        with autograd.record():
            y = function(x)
            z = nd.sum(y * y)
        function.result, function.array = z, x
        cycle = [x, y, z, x[1:]]
        cycle.append(cycle)
        if walked:
            z.backward()
            assert np.isfinite(x.grad.asnumpy()).all()
        gone.append(weakref.ref(function))
    del x, function, y, z, cycle
    gc.collect()
    assert [reference() for reference in gone] == [None] * 5


def test_arrays_may_go_while_the_tape_needs_them(level):
    x = nd.array([0.5, 1.0])
    x.attach_grad()
    with autograd.record():
        y = x * x
        z = y * y
        y.wait_to_read()
        loss = nd.sum(z * z)
    del y, z
    gc.collect()
    other = [nd.full((2,), 7.0) for _ in range(50)]  # would be written where they lay
    for array in other:
        array.wait_to_read()
    loss.backward()
    assert x.grad.asnumpy().tolist() == [8 * 0.5**7, 8]


def test_finalizers_compute_wherever_the_collector_runs(level):
    """The collector runs at nearly every object that is made: within plans, launches, allocations and walks."""
    x, finalized, errors = nd.array([1, 2, 3]), [], []
    x.attach_grad()

    class Finalized:
        def __init__(self, number):
            self.array, self.itself = x * number, self

        def __del__(self):
            try:
                with autograd.pause():
                    finalized.append(float((self.array + 1).sum().asscalar()))
                    self.array[:] = 0
            except BaseException as error:
                errors.append(error)

    def step():
        with autograd.record():
            y = x * x
            z = nd.sum(y * y)
        z.backward()
        return [z.asnumpy(), y.asnumpy(), x.grad.asnumpy()]

    expected = step()
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for number in range(15):
            Finalized(number)
            for a, b in zip(step(), expected):
                np.testing.assert_array_equal(a, b)
            assert not autograd.is_recording()
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert not errors
    assert sorted(finalized) == [6.0 * number + 3 for number in range(15)]


def test_a_finalizer_that_fails_within_a_launch_does_no_harm(level, monkeypatch):
    """As every finalizer's, its error is only reported; here to nobody."""
    reported = []
    monkeypatch.setattr("sys.unraisablehook", lambda about: reported.append(about.exc_type))

    class Fails:
        def __init__(self):
            self.itself = self

        def __del__(self):
            nd.dot(nd.ones((2, 3)), nd.ones((2, 3))).wait_to_read()

    class Collects:
        def launched(self, *about):
            Fails()
            gc.collect()

        def ignored(self, *about):
            pass

        allocated = crossed = waited = built = ignored

    x = nd.array([1, 2, 3])
    monkeypatch.setattr(Device, "listeners", (Collects(),))
    assert (nd.square(x) + 1).asnumpy().tolist() == [2, 5, 10]
    monkeypatch.setattr(Device, "listeners", ())
    gc.collect()  # within a finalizer the collector does not run again: some are left
    assert reported
    assert all(issubclass(kind, mx.MXNetError) for kind in reported)
