"""Arrays from and for other libraries: NumPy, DLPack, files of safetensors."""

import gc
import json
import struct

import numpy as np
import pytest

import clnd as mx
from clnd import nd

DTYPES = ["bool", "float16", "float32", "int8", "uint8", "int32", "uint32", "int64", "uint64"]


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


def test_what_cannot_be_read_is_refused():
    for bad in ("text", 3, np.ones(2, "complex64"), np.ones(2, "int16")):
        with pytest.raises(mx.MXNetError):
            nd.from_dlpack(bad)
    with pytest.raises(TypeError, match="from_numpy takes a NumPy array"):
        nd.from_numpy([1, 2])


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
