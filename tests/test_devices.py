"""Two devices in one process: of one driver, and of two where there are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyopencl as cl
import pytest

import clnd as mx
import training
from clnd import MXNetError, autograd, context, engine, nd
from clnd.opencl import Device
from clnd.opencl.quirks import POCL
from measures import other_driver

pytestmark = pytest.mark.portability


def part_of(device):
    """Half of an OpenCL device, as a device of its own."""
    equally = cl.device_partition_property.EQUALLY
    if device.max_compute_units < 2 or equally not in device.partition_properties:
        pytest.skip("the device cannot be divided")
    return device.create_sub_devices([equally, device.max_compute_units // 2])[0]


@pytest.fixture(params=["one driver", "two drivers", "a part"])
def other(request, monkeypatch):
    """The context of a second device: the first one's OpenCL device again, that of another driver, or a part of the first one."""
    first = mx.cpu(0).device
    chosen = {"one driver": lambda device: device, "two drivers": lambda device: other_driver() or device, "a part": part_of}
    second = Device(chosen[request.param](first.cl), "the second one", "cpu", 1)
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


def test_a_seed_gives_the_same_bits_in_every_process_and_nearly_so_on_every_driver(tmp_path):
    drivers = {"again": mx.cpu(0).device.cl, "elsewhere": other_driver() or mx.cpu(0).device.cl}
    processes = [
        subprocess.Popen(
            [sys.executable, training.__file__, str(tmp_path / f"{name}.npy")],
            env={**os.environ, "CLND_DEVICES": device.driver_version.strip(), "CLND_EAGER": "0"},
        )
        for name, device in drivers.items()
    ]
    here = training.weights()
    assert [process.wait() for process in processes] == [0, 0]
    again, elsewhere = (np.load(tmp_path / f"{name}.npy") for name in drivers)
    np.testing.assert_array_equal(again, here)
    assert 0.5 < abs(here).max() < 4
    assert abs(elsewhere - here).max() < 1e-6  # the documentation says so


def test_one_goes_on_where_the_other_fails(other, monkeypatch):
    here, there = nd.array([1.0, 2.0]), nd.array([1.0, 2.0], ctx=other)

    def fail(nbytes):
        raise MXNetError("no memory")

    with monkeypatch.context() as broken:
        broken.setattr(other.device.memory, "allocate", fail)
        with engine.eager(False):
            waiting = there + there
        with pytest.raises(MXNetError, match="no memory"):
            waiting.wait_to_read()
        np.testing.assert_array_equal((here + here).asnumpy(), [2, 4])
        with pytest.raises(MXNetError, match="no memory"):
            here.as_in_context(other).wait_to_read()
        np.testing.assert_array_equal(there.as_in_context(mx.cpu(0)).asnumpy(), [1, 2])
    np.testing.assert_array_equal(waiting.asnumpy(), [2, 4])


TWICE = """
import sys
sys.path.insert(0, {folder!r})
import pytest, test_devices
import clnd as mx
from clnd.opencl import cpu_devices

first, second = cpu_devices()
assert first.cl != second.cl and first.cl.platform == second.cl.platform
other = mx.cpu(1)
assert other.device is second
test_devices.test_arrays_live_on_both_and_are_copied(other)
test_devices.test_gradients_flow_from_one_to_the_other_and_back(other)
test_devices.test_training_on_both_is_training_on_one(other)
test_devices.test_one_goes_on_where_the_other_fails(other, pytest.MonkeyPatch())
print("done")
"""


def test_a_driver_with_two_devices(run):
    """PoCL can be told to have several."""
    device = mx.cpu(0).device.cl
    if device.platform.name != POCL:
        pytest.skip("not PoCL")
    name = device.name.split("-")[0]
    code = TWICE.format(folder=str(Path(__file__).parent))
    done = run(code, POCL_DEVICES=f"{name} {name}", CLND_DEVICES=device.driver_version.strip(), CLND_AS_GPU=None)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
