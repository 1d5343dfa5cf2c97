"""Arrays from and for other libraries: NumPy, DLPack, files of safetensors."""

import ctypes
import dataclasses
import errno
import gc
import importlib
import json
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, nd
from measures import CONTEXTS, allocated

DTYPES = ["bool", "float16", "float32", "int8", "uint8", "int32", "uint32", "int64", "uint64"]


@pytest.fixture(params=CONTEXTS, ids=str)
def context(request):
    return request.param


class Capsule:
    """A capsule as what `np.from_dlpack` takes."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **given):
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


def written_through(capsule, elements):
    """Write elements where a capsule says. NumPy itself does not: capsules of the first version do not tell whether one may."""
    seen = np.from_dlpack(Capsule(capsule))
    memory = (ctypes.c_byte * seen.nbytes).from_address(seen.ctypes.data)
    np.frombuffer(memory, seen.dtype).reshape(seen.shape)[...] = elements
    return seen


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_go_to_numpy_and_back(dtype):
    x = nd.array([[0, 1, 2], [3, 4, 5]], dtype=dtype)
    host = np.from_dlpack(x)
    assert host.dtype == dtype
    np.testing.assert_array_equal(host, x.asnumpy())
    for back in (nd.from_dlpack(host), nd.from_numpy(host), nd.from_dlpack(x.to_dlpack_for_read())):
        assert back.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(back.asnumpy(), host)


def test_what_was_handed_out_stays_as_it_was_and_alive():
    x = nd.array([1, 2, 3])
    host = np.from_dlpack(x)
    x[:] = 9
    np.testing.assert_array_equal(host, [1, 2, 3])
    del x
    gc.collect()
    nd.ones(3).asnumpy()
    np.testing.assert_array_equal(host, [1, 2, 3])


@pytest.mark.portability
def test_what_is_handed_out_for_reading_is_not_written(context):
    x = nd.array([[1, 2], [3, 4]], ctx=context)
    host = np.from_dlpack(x)
    assert not host.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        host[0] = 0
    host = np.from_dlpack(nd.zeros((0, 3), ctx=context))
    assert host.shape == (0, 3)


@pytest.mark.portability
def test_elements_are_handed_out_without_a_copy_and_in_order(context):
    x = nd.arange(64, ctx=context).reshape((8, 8))
    with allocated(context.device) as sizes:
        first, second = np.from_dlpack(x), np.from_dlpack(x)
    assert sizes == []
    np.testing.assert_array_equal(first, second)
    for part in (x.T, x[2:5], x[:, 1:3], x[::2, ::-3], nd.broadcast_to(x[0:1], (3, 8))):
        np.testing.assert_array_equal(np.from_dlpack(part), part.asnumpy())


@pytest.mark.portability
def test_work_that_waits_is_done_before_elements_are_handed_out(context):
    x = nd.ones((3, 4), ctx=context) * 2
    with autograd.record():
        y = x + 1
    np.testing.assert_array_equal(np.from_dlpack(y * y), np.full((3, 4), 9))


@pytest.mark.portability
def test_what_is_written_through_a_capsule_the_array_has(context):
    x = nd.zeros((3, 4), ctx=context)
    seen = written_through(x.to_dlpack_for_write(), np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(x.asnumpy(), np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal((x * 2).asnumpy(), 2 * np.arange(12).reshape(3, 4))
    x[:] = 5  # a write of the array's own parts them
    np.testing.assert_array_equal(x.asnumpy(), np.full((3, 4), 5))
    np.testing.assert_array_equal(seen, np.arange(12).reshape(3, 4))


@pytest.mark.portability
def test_parts_are_written_through_a_capsule(context):
    x = nd.zeros((3, 4), ctx=context)
    seen = written_through(nd.to_dlpack_for_write(x[1]), 3)
    np.testing.assert_array_equal(x.asnumpy(), [[0] * 4, [3] * 4, [0] * 4])
    np.testing.assert_array_equal(seen, [3] * 4)


def test_writing_through_a_capsule_reaches_nobody_else():
    x = nd.ones((2, 3))
    alias, doubled, known = x.copy(), x * 2, np.from_dlpack(x)
    with autograd.record():
        w = nd.ones((2, 3))
        w.attach_grad()
        y = w * x
    seen = written_through(x.to_dlpack_for_write(), 9)
    y.backward()
    for kept, expected in ((alias, 1), (doubled, 2), (known, 1), (w.grad, 1), (seen, 9)):
        np.testing.assert_array_equal(np.asarray(kept), np.full((2, 3), expected))


def test_a_capsule_for_writing_is_refused_while_recording():
    x = nd.ones(3)
    with autograd.record(), pytest.raises(mx.MXNetError, match="computational graph"):
        x.to_dlpack_for_write()


@pytest.mark.parametrize("give", [np.from_dlpack, lambda x: np.from_dlpack(Capsule(x.to_dlpack_for_write()))])
def test_elements_live_as_long_as_somebody_looks_at_them(give):
    device = mx.cpu().device
    host = give(nd.arange(5000))
    gc.collect()
    for i in range(5):  # which the pool would give the same block
        nd.full((5000,), i).wait_to_read()
    np.testing.assert_array_equal(host, np.arange(5000))
    nd.waitall()
    held = device.memory.used
    del host
    gc.collect()
    nd.waitall()
    assert device.memory.used < held


def test_a_capsule_that_nobody_takes_is_given_back():
    device = mx.cpu().device
    x = nd.ones(5000)
    x.wait_to_read()
    gc.collect()
    nd.waitall()
    held = device.memory.used
    x.to_dlpack_for_read()
    x.__dlpack__(max_version=(1, 0))
    gc.collect()
    nd.waitall()
    assert device.memory.used == held


@pytest.fixture
def apart(monkeypatch):
    """A device with a memory of its own."""
    device = mx.cpu().device
    monkeypatch.setattr(device, "traits", dataclasses.replace(device.traits, unified_memory=False))


asks_for_devices = pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.2.0", reason="this NumPy asks for no device, or no copy")


@asks_for_devices
@pytest.mark.usefixtures("apart")
def test_a_device_with_a_memory_of_its_own_hands_out_copies():
    x = nd.array([1, 2, 3])
    assert x.__dlpack_device__() == (4, 0)
    host = np.from_dlpack(x, device="cpu")
    np.testing.assert_array_equal(host, [1, 2, 3])
    host[:] = 0
    np.testing.assert_array_equal(np.from_dlpack(Capsule(x.to_dlpack_for_read())), [1, 2, 3])
    with pytest.raises(mx.MXNetError, match=r"from_dlpack: a NDArray cannot be read: .* asnumpy\(\)"):
        nd.from_dlpack(x)
    for asked in ({}, {"dl_device": (1, 0), "copy": False}, {"dl_device": (2, 0)}):
        with pytest.raises(BufferError, match=r"memory.* asnumpy\(\)"):
            x.__dlpack__(**asked)
    with pytest.raises(mx.MXNetError, match="memory of its own"):
        x.to_dlpack_for_write()


@asks_for_devices
@pytest.mark.portability
def test_where_elements_are(context):
    x = nd.ones(3, ctx=context)
    assert x.__dlpack_device__() == (1, 0)
    np.testing.assert_array_equal(np.from_dlpack(x, device="cpu"), np.ones(3))
    np.testing.assert_array_equal(np.from_dlpack(x, copy=True), np.ones(3))
    assert np.from_dlpack(x, copy=True).flags.writeable
    with pytest.raises(BufferError, match=r"DLPack's \(2, 0\)"):
        x.__dlpack__(dl_device=(2, 0))


def test_what_cannot_be_read_is_refused():
    for bad in ("text", 3, np.ones(2, "complex64"), np.ones(2, "int16")):
        with pytest.raises(mx.MXNetError):
            nd.from_dlpack(bad)
    with pytest.raises(TypeError, match="from_numpy takes a NumPy array"):
        nd.from_numpy([1, 2])


# Files of MXNet 1.9.1. It wrote the first three, and reads the old ones, which are put together by hand, as well.

FILES = Path(__file__).with_name("mxnet_files")
IN_FILES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64")


@pytest.mark.parametrize("name", ["names", "list"])
def test_files_of_mxnet_are_read_and_written_byte_for_byte(name, tmp_path):
    path = FILES / f"{name}.params"
    loaded = nd.load(str(path))
    arrays = dict(zip(IN_FILES, loaded, strict=True)) if name == "list" else loaded
    assert list(arrays) == list(IN_FILES)
    for dtype, array in arrays.items():
        assert array.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(array.asnumpy(), [[0, 1, 2], [3, 4, 5]])
    nd.save(str(tmp_path / "again"), loaded)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert nd.load_frombuffer(path.read_bytes()).__class__ is loaded.__class__


def test_files_of_mxnet_with_empty_arrays_and_arrays_of_no_axes(tmp_path):
    path = FILES / "numpy_shapes.params"
    loaded = nd.load(str(path))
    assert {name: array.shape for name, array in loaded.items()} == {"empty": (0, 3), "scalar": ()}
    assert loaded["scalar"].asscalar() == 3.5
    nd.save(str(tmp_path / "again"), loaded)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["old", "oldest"])
def test_old_files_of_mxnet_are_read(name):
    (array,) = nd.load(FILES / f"{name}.params")
    np.testing.assert_array_equal(array.asnumpy(), [[0, 1, 2], [3, 4, 5]])


def test_a_file_cut_off_anywhere_or_foreign_is_refused():
    for path in FILES.iterdir():
        data = path.read_bytes()
        for end in range(len(data)):
            with pytest.raises(mx.MXNetError, match="load: the buffer"):
                nd.load_frombuffer(data[:end])
    data = (FILES / "oldest.params").read_bytes()
    for changed in (b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\1\0"):  # so many axes
        with pytest.raises(mx.MXNetError, match="load: the buffer"):
            nd.load_frombuffer(data[:24] + changed + data[28:])
    sparse = struct.pack("<QQQIi", 0x112, 0, 1, 0xF993FAC9, 1)
    with pytest.raises(mx.MXNetError, match="a sparse array"):
        nd.load_frombuffer(sparse)


def test_safetensors_keep_names_dtypes_and_elements(tmp_path):
    arrays = {dtype: nd.array([[0, 1], [2, 3]], dtype=dtype) for dtype in DTYPES} | {"empty": nd.zeros((0, 3))}
    nd.save(tmp_path / "x.safetensors", arrays)
    loaded = nd.load(tmp_path / "x.safetensors")
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name].asnumpy(), array.asnumpy())
    with pytest.raises(TypeError, match="give a dict"):
        nd.save(tmp_path / "x.safetensors", [nd.ones(2)])


def safe(header, data=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_bfloat16_becomes_float32():
    found = nd.load_frombuffer(safe({"x": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, b"\x80\x3f\x00\xc0"))
    np.testing.assert_array_equal(found["x"].asnumpy(), np.array([1, -2], np.float32))


@pytest.mark.parametrize(
    "about",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        {"dtype": "F8", "shape": [8], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2]},
    ],
)
def test_unsound_safetensors_are_refused(about):
    with pytest.raises(mx.MXNetError, match="load: the buffer"):
        nd.load_frombuffer(safe({"x": about}, bytes(8)))


@pytest.fixture
def fuzz_load(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent.parent / "tools"))
    return importlib.import_module("fuzz_load")


def test_damaged_files_are_refused_and_it_is_said_where(fuzz_load, seeded):
    assert sum(fuzz_load.run(seeded, range(3000)).values()) == 3000


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (struct.pack("<Q", 1 << 63), "at byte 24: the beginning of array 0"),
        (struct.pack("<QIiI", 1, 0xF993FAC9, 0, 0xFFFFFFFF), "at byte 24: array 0 has 4,294,967,295 axes"),
        (struct.pack("<QIiI1q3i", 1, 0xF993FAC9, 0, 1, 1 << 40, 1, 0, 0), "at byte 56: the elements of array 0"),
        (struct.pack("<QIiI2q3i", 1, 0xF993FAC9, 0, 2, 1 << 62, 0, 1, 0, 0), "at byte 64: array 0 has the shape"),
        (struct.pack("<QIiI1q3i", 1, 0xF993FAC9, 0, 1, -1, 1, 0, 0), "at byte 24: array 0 has an unknown dtype"),
        (struct.pack("<QQ", 0, 1 << 60), "at byte 24: 0 arrays, 1,152,921,504,606,846,976 names"),
    ],
)
def test_claims_are_checked_before_anything_is_made(body, where):
    tracemalloc.start()
    with pytest.raises(mx.MXNetError, match=where):
        nd.load_frombuffer(struct.pack("<QQ", 0x112, 0) + body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_bytes_that_are_no_booleans_are_read_as_such():
    (found,) = nd.load_frombuffer(struct.pack("<QQQIiI1q3i3BQ", 0x112, 0, 1, 0xF993FAC9, 0, 1, 3, 1, 0, 7, 0, 1, 7, 0))
    assert found.asnumpy().view("uint8").tolist() == [0, 1, 1]


def test_saving_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.params"
    nd.save(path, nd.ones(3))
    before = path.read_bytes()

    def fail(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        with pytest.raises(OSError, match=r"save: No space left on device: .*x\.params"):
            nd.save(path, nd.zeros(3))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError, match=r"save: .*missing"):
        nd.save(tmp_path / "missing" / "x.params", nd.zeros(3))


@pytest.mark.skipif(os.name == "nt", reason="links and rights as POSIX has them")
def test_saving_keeps_links_and_rights(tmp_path):
    (tmp_path / "link.params").symlink_to(tmp_path / "x.params")
    before = os.umask(0o027)
    try:
        nd.save(tmp_path / "link.params", nd.ones(3))
    finally:
        os.umask(before)
    assert (tmp_path / "link.params").is_symlink()
    assert (tmp_path / "x.params").stat().st_mode & 0o777 == 0o640
    (tmp_path / "x.params").chmod(0o604)
    nd.save(tmp_path / "link.params", nd.zeros(3))
    assert (tmp_path / "x.params").stat().st_mode & 0o777 == 0o604
    assert nd.load(tmp_path / "x.params")[0].asnumpy().tolist() == [0, 0, 0]
    nd.save("/dev/null", nd.ones(3))  # which is no file to be renamed over
