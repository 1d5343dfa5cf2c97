import numpy as np
import pyopencl as cl
import pytest

from clnd.errors import MXNetError


@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_what_is_written_is_read(device, size):
    array = np.random.default_rng(0).random(size, np.float32)
    buffer = device.allocate(array.nbytes)
    device.write(buffer, 0, array)
    expected = array.copy()
    array[:] = -1  # the device has its own copy by now
    result = np.empty_like(array)
    device.read(buffer, 0, result)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("size", [6, 60_000])
def test_any_layout_is_written_in_order(device, size):
    array = np.arange(size, dtype=np.float32).reshape(2, -1).T[::-1]
    buffer = device.allocate(array.nbytes)
    device.write(buffer, 0, array)
    result = np.empty(array.shape, np.float32)
    device.read(buffer, 0, result)
    np.testing.assert_array_equal(result, array)


def test_offsets_are_bytes(device):
    buffer = device.allocate(40)
    device.write(buffer, 0, np.arange(10, dtype=np.int32))
    device.write(buffer, 12, np.array([-1, -2], np.int32))
    device.write(buffer, 39, np.array(7, np.uint8))
    result = np.empty(9, np.int32)
    device.read(buffer, 0, result)
    assert result.tolist() == [0, 1, 2, -1, -2, 5, 6, 7, 8]
    last = np.empty((), np.uint8)
    device.read(buffer, 39, last)
    assert last == 7


def test_empty_arrays_never_reach_the_driver(device, monkeypatch):
    buffer = device.allocate(4)
    monkeypatch.setattr(cl, "enqueue_copy", lambda *args, **options: pytest.fail("the driver was called"))
    device.write(buffer, 0, np.empty((0, 3), np.int32))
    device.read(buffer, 0, np.empty(0, np.int32))


def test_many_small_writes(device):
    buffer = device.allocate(4000)
    for i in range(1000):
        device.write(buffer, 4 * i, np.array(i, np.int32))
    result = np.empty(1000, np.int32)
    device.read(buffer, 0, result)
    np.testing.assert_array_equal(result, np.arange(1000))


def test_beyond_the_end_is_an_error(device):
    buffer = device.allocate(256)
    with pytest.raises(MXNetError, match="reading 1,024 bytes failed") as caught:
        device.read(buffer, 0, np.empty(1024, np.uint8))
    assert str(device) in str(caught.value)
    with pytest.raises(MXNetError, match="writing 1,024 bytes failed"):
        device.write(buffer, 0, np.empty(1024, np.uint8))
    with pytest.raises(MXNetError, match="writing 1,000,000 bytes failed"):
        device.write(buffer, 0, np.empty(1_000_000, np.uint8))


def test_it_is_opened_at_the_first_use(device):
    assert device._open is None
    device.finish()
    assert device._open is None
    device.allocate(1)
    assert device.context.devices == [device.cl]
    assert device.queue.context == device.context


def test_text(device):
    assert str(device).startswith(f"{device.kind}({device.index}) [")
    assert device.name in repr(device)
    assert "(R)" not in device.name


def test_a_forked_process_gets_an_error(run):
    done = run(
        """
import os, sys
if not hasattr(os, "fork"):
    sys.exit(0)
import warnings
warnings.simplefilter("ignore")  # Python 3.12 warns of the very thing
import numpy as np
import clnd.opencl as o
from clnd.errors import MXNetError
device = (*o.cpu_devices(), *o.gpu_devices())[0]
buffer = device.allocate(4)
device.write(buffer, 0, np.ones(1, np.float32))
device.finish()
device.programs
uses = [
    lambda: device.write(buffer, 0, np.ones(1, np.float32)),
    lambda: device.read(buffer, 0, np.ones(1, np.float32)),
    device.finish,
    lambda: device.allocate(1 << 20),
    lambda: device.kernel("scale", "scale"),
    o.cpu_devices,
    o.candidates,
]
child = os.fork()
if child == 0:
    for number, use in enumerate(uses):
        try:
            use()
        except MXNetError as error:
            if "spawn" not in str(error):
                os._exit(100)
        else:
            os._exit(number + 1)
    sys.exit(0)
status = os.waitpid(child, 0)[1]
device.finish()
print(os.waitstatus_to_exitcode(status))
"""
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "0" if done.stdout else "", "")


def test_a_process_forked_before_the_first_use_computes(run):
    done = run(
        """
import os, sys
import clnd.opencl as o
child = os.fork() if hasattr(os, "fork") else 0
if child == 0:
    device = (*o.cpu_devices(), *o.gpu_devices())[0]
    device.allocate(4)
    device.finish()
    sys.exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
