import threading

import numpy as np
import pyopencl as cl
import pytest

from clnd.errors import MXNetError
from clnd.opencl import counters
from clnd.opencl import kernel as kernel_module

TYPES = {
    "char": np.int8,
    "uchar": np.uint8,
    "short": np.int16,
    "ushort": np.uint16,
    "int": np.int32,
    "uint": np.uint32,
    "long": np.int64,
    "ulong": np.uint64,
    "float": np.float32,
    "double": np.float64,
}
STORE = """
% if type == "double":
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
% endif
kernel void ${name}(global ${type}* z, ${type} x, int i) { z[i] = x; }
"""


def upload(device, array):
    buffer = device.allocate(array.nbytes)
    device.write(buffer, 0, array)
    return buffer


def download(device, buffer, shape, dtype=np.float32):
    array = np.empty(shape, dtype)
    device.read(buffer, 0, array)
    return array


def test_it_computes(device, scale):
    a = np.arange(1000, dtype=np.float32)
    b = device.allocate(a.nbytes)
    assert scale((64,), None, upload(device, a), b, a.size, 0.5) is None
    np.testing.assert_array_equal(download(device, b, a.shape), a * 0.5 + 1)


@pytest.mark.parametrize("kind", TYPES)
def test_scalars_arrive_as_they_are(device, templates, cache, kind):
    if kind == "double" and not device.traits.fp64:
        return
    (templates / "store.cl.mako").write_text(STORE)
    store = device.kernel("store", f"store__{kind}", arguments=("buffer", kind, "int"), type=kind)
    dtype = np.dtype(TYPES[kind])
    if dtype.kind == "f":
        values = [0.1, -2.5, float("inf"), float("nan"), 1e30]
    else:
        limits = np.iinfo(dtype)
        values = [int(limits.min), 0, 1, int(limits.max)]
    buffer = device.allocate(len(values) * dtype.itemsize)
    for i, value in enumerate(values):
        store((1,), (1,), buffer, value, i)
    np.testing.assert_array_equal(download(device, buffer, len(values), dtype), np.array(values, dtype))


def test_launches_are_counted(device, scale):
    a = upload(device, np.zeros(4, np.float32))
    b = device.allocate(16)
    before = counters.launches
    for _ in range(5):
        scale((4,), None, a, b, 4, 1.0)
    assert counters.launches == before + 5


def test_waiting_launches_are_bounded(device, scale, monkeypatch):
    waits = []
    throttle = device.throttle
    monkeypatch.setattr(device, "throttle", lambda: waits.append(device.launched) or throttle())
    a = upload(device, np.zeros(4, np.float32))
    b = device.allocate(16)
    for _ in range(1100):
        scale((1,), (1,), a, b, 1, 1.0)
    assert waits == [512, 1024]


def test_a_launch_sees_what_was_launched_before(device, scale):
    a = upload(device, np.zeros(1, np.float32))
    b = device.allocate(4)
    for _ in range(10):
        scale((1,), (1,), a, b, 1, 2.0)
        a, b = b, a
    assert download(device, a, 1) == [1023.0]


def test_threads_launch_one_kernel_at_once(device, scale):
    results = {}

    def work(number):
        a = upload(device, np.full(8, number, np.float32))
        b = device.allocate(32)
        for _ in range(50):
            scale((8,), None, a, b, 8, float(number))
        results[number] = download(device, b, 8)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, result in sorted(results.items()):
        np.testing.assert_array_equal(result, np.full(8, number * number + 1, np.float32))
    assert len(results) == 6


def test_a_launch_holds_the_lock(device, scale):
    """Else another thread could change the arguments between setting and launching."""
    taken = []

    def launch(*args):
        thread = threading.Thread(target=lambda: taken.append(device.lock.acquire(blocking=False)))
        thread.start()
        thread.join()

    scale.cl = launch
    scale((1,), None, device.allocate(4), device.allocate(4), 1, 1.0)
    assert taken == [False]


def test_a_refused_launch_names_kernel_and_device(device, scale):
    a = upload(device, np.zeros(4, np.float32))
    with pytest.raises(MXNetError, match="launching kernel scale") as caught:
        scale((4, 1, 1, 17), None, a, device.allocate(16), 4, 1.0)
    assert str(device) in str(caught.value)
    assert "(4, 1, 1, 17)" in str(caught.value)


class Short:
    """A kernel for which there is no memory at the first attempts."""

    def __init__(self, kernel, failures):
        self.kernel = kernel
        self.failures = failures

    def __call__(self, *args):
        if self.failures:
            self.failures -= 1
            raise cl.MemoryError(cl._cl._ErrorRecord(msg="", code=cl.status_code.MEM_OBJECT_ALLOCATION_FAILURE, routine="launch"))
        return self.kernel(*args)


def test_a_launch_without_memory_is_tried_once_more(device, scale):
    a = upload(device, np.full(4, 3, np.float32))
    b = device.allocate(16)
    device.allocate(5000)
    scale.cl = Short(scale.cl, 1)
    scale((4,), None, a, b, 4, 2.0)
    np.testing.assert_array_equal(download(device, b, 4), np.full(4, 7, np.float32))
    assert device.memory.free == 0
    scale.cl.failures = 2
    with pytest.raises(MXNetError, match="MEM_OBJECT_ALLOCATION_FAILURE"):
        scale((4,), None, a, b, 4, 2.0)


def test_undeclared_arguments(device, templates, cache):
    scale = device.kernel("scale", "scale", addend="0")
    with pytest.raises(MXNetError, match="kernel scale were never declared"):
        scale((1,), None)
    assert scale.declare(("buffer", "buffer", "int", "float")) is scale
    assert scale.arguments == ("buffer", "buffer", "int", "float")
    a = upload(device, np.full(4, 3, np.float32))
    scale((1,), None, a, a, 4, 2.0)
    np.testing.assert_array_equal(download(device, a, 4), np.full(4, 6, np.float32))


def test_wrong_declarations(device, templates, cache):
    scale = device.kernel("scale", "scale", addend="0")
    with pytest.raises(MXNetError, match="takes 4 arguments, declared are 3"):
        scale.declare(("buffer", "buffer", "int"))
    with pytest.raises(MXNetError, match="half, size_t: no such argument type; there are buffer, char"):
        scale.declare(("buffer", "size_t", "half", "int"))


def test_pyopencls_damaged_cache_is_done_without(monkeypatch):
    import sqlite3

    monkeypatch.setattr(cl, "_PYOPENCL_NO_CACHE", False)
    seen = []

    def make():
        seen.append(cl._PYOPENCL_NO_CACHE)
        if not cl._PYOPENCL_NO_CACHE:
            raise sqlite3.DatabaseError("file is not a database")
        return "made"

    assert kernel_module.despite_cache(make) == "made"
    assert seen == [False, True]
