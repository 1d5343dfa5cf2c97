"""Two devices in one process: of one driver, and of two where there are."""

from __future__ import annotations

import numpy as np
import pytest

import clnd as mx
from clnd import MXNetError, autograd, context, nd
from clnd.opencl import Device
from clnd.opencl.devices import candidates
from clnd.opencl.trial import reason_unusable

pytestmark = pytest.mark.portability


@pytest.fixture(params=["one driver", "two drivers"])
def other(request, monkeypatch):
    """The context of a second device: the first one's OpenCL device again, or that of another driver."""
    first = mx.cpu(0).device
    found = [candidate.cl for candidate in candidates() if candidate.kind == "cpu" and candidate.cl.platform != first.cl.platform]
    usable = (device for device in found if reason_unusable(device) is None)
    chosen = next(usable, first.cl) if request.param == "two drivers" else first.cl
    second = Device(chosen, "the second one", "cpu", 1)
    monkeypatch.setattr(context, "find_device", lambda kind, index: (first, second)[index])
    return mx.cpu(1)


def test_arrays_live_on_both_and_are_copied(other):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    here, there = nd.array(x), nd.array(x, ctx=other)
    assert there.value.device is other.device
    np.testing.assert_array_equal((here.as_in_context(other) + there).asnumpy(), 2 * x)
    np.testing.assert_array_equal(((there + there).T.as_in_context(mx.cpu(0)) + here.T).asnumpy(), 3 * x.T)
    there[:] = 0
    (here + here).copyto(there)
    here[0] = 7
    np.testing.assert_array_equal(there.asnumpy(), 2 * x)
    np.testing.assert_array_equal(nd.concat(here[:1], there.as_in_context(mx.cpu(0)), dim=0).asnumpy(), [[7] * 3, *(2 * x)])
    with pytest.raises(MXNetError, match=r"cpu\(0\).*cpu\(1\)"):
        here + there


def test_gradients_flow_from_one_to_the_other_and_back(other):
    x = nd.array([1.0, 2.0, 3.0])
    x.attach_grad()
    with autograd.record():
        y = (x + x).as_in_context(other)
        z = ((y + y) + y).as_in_context(mx.cpu(0)) + x
    z.backward()
    assert x.grad.context == mx.cpu(0)
    np.testing.assert_array_equal(x.grad.asnumpy(), 7)


def train(contexts, steps=3):
    """A line is fitted, the rows of the data shared out."""
    generator = np.random.default_rng(0)
    data = generator.normal(size=(8, 3)).astype(np.float32)
    wanted = data @ np.float32([[1.0], [-2.0], [0.5]])
    weight = nd.zeros((3, 1), ctx=contexts[0])
    for _ in range(steps):
        copies = [weight.copyto(each) for each in contexts]
        for copy in copies:
            copy.attach_grad()
        losses = []
        with autograd.record():
            for copy, rows, goals in zip(copies, np.split(data, len(copies)), np.split(wanted, len(copies)), strict=True):
                losses.append(nd.square(nd.dot(nd.array(rows, ctx=copy.context), copy) - nd.array(goals, ctx=copy.context)))
        autograd.backward(losses)
        for copy in copies:
            weight -= 0.05 * copy.grad.as_in_context(contexts[0])
    return weight.asnumpy()


def test_training_on_both_is_training_on_one(other):
    np.testing.assert_allclose(train([mx.cpu(0), other]), train([mx.cpu(0)]), rtol=1e-5)


def test_one_goes_on_where_the_other_fails(other, monkeypatch):
    here, there = nd.array([1.0, 2.0]), nd.array([1.0, 2.0], ctx=other)

    def fail(nbytes):
        raise MXNetError("no memory")

    with monkeypatch.context() as broken:
        broken.setattr(other.device.memory, "allocate", fail)
        waiting = there + there
        with pytest.raises(MXNetError, match="no memory"):
            waiting.wait_to_read()
        np.testing.assert_array_equal((here + here).asnumpy(), [2, 4])
        with pytest.raises(MXNetError, match="no memory"):
            here.as_in_context(other).wait_to_read()
        np.testing.assert_array_equal(there.as_in_context(mx.cpu(0)).asnumpy(), [1, 2])
    np.testing.assert_array_equal(waiting.asnumpy(), [2, 4])
