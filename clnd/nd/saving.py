"""Saving and loading arrays in MXNet's own file format, so that files go both ways, and in that of safetensors."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from clnd import engine
from clnd.context import current_context
from clnd.errors import DTypeError, MXNetError
from clnd.ndarray import NDArray

__all__ = ["load", "load_frombuffer", "save"]

# All numbers are little-endian. Read off files that MXNet 1.9.1 wrote. Where its NumPy shapes are switched on, arrays may be empty or 0-d,
# and have another number: without that, no axes mean that there is no array. A file is of one kind or the other.
_LIST_MAGIC, _ARRAY_MAGIC, _NUMPY_MAGIC = 0x112, 0xF993FAC9, 0xF993FACA
_OLD_MAGIC = 0xF993FAC8  # before there were sparse arrays
_CODES = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6, "bool": 7}
_DTYPES = {code: np.dtype(name) for name, code in _CODES.items()}


# https://github.com/huggingface/safetensors: the length of the header, the header in JSON, the elements.
_SAFE_CODES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
}
_SAFE_HEADER = 100_000_000  # bytes, the most that the format allows


def save(fname: str | os.PathLike[str], data: Any) -> None:
    """Save an array, a list of arrays, or a dict from names to arrays.

    MXNet loads it too, files with an empty or 0-d array where its NumPy shapes are switched on.

    A name that ends in ".safetensors" makes a file of that format, which holds names: it takes a dict.

    Raises
    ------
    TypeError
        If `data` is something else, or has a dtype that the format does not know.

    Examples
    --------
    >>> import os, tempfile
    >>> from clnd import nd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nd.save(os.path.join(folder, "x.params"), {"x": nd.ones(2)})
    ...     nd.load(os.path.join(folder, "x.params"))["x"].asnumpy()
    array([1., 1.], dtype=float32)
    """
    if isinstance(data, NDArray):
        data = [data]
    if isinstance(data, Mapping):
        names, arrays = list(data), list(data.values())
    elif isinstance(data, Sequence) and not isinstance(data, str):
        names, arrays = [], list(data)
    else:
        raise DTypeError(f"save takes an NDArray, a list or a dict of them, not {type(data).__name__}")
    for array in arrays:
        if not isinstance(array, NDArray):
            raise DTypeError(f"save: an element is a {type(array).__name__}, not an NDArray")
    if os.fspath(fname).endswith(".safetensors"):
        if not isinstance(data, Mapping):
            raise DTypeError("save: a .safetensors file holds arrays by name; give a dict")
        Path(fname).write_bytes(_safe(dict(zip(map(str, names), arrays, strict=True))))
        return
    magic = _ARRAY_MAGIC if all(array.ndim and array.size for array in arrays) else _NUMPY_MAGIC
    parts = [struct.pack("<QQQ", _LIST_MAGIC, 0, len(arrays)), *(_packed(array, magic) for array in arrays)]
    parts.append(struct.pack("<Q", len(names)))
    for name in names:
        encoded = str(name).encode()
        parts += [struct.pack("<Q", len(encoded)), encoded]
    Path(fname).write_bytes(b"".join(parts))


def _packed(array: NDArray, magic: int) -> bytes:
    name = np.dtype(array.dtype).name
    if name not in _CODES:
        raise DTypeError(f"save: the file format has no {name}; convert with astype() first")
    context = array.context
    head = struct.pack("<IiI", magic, 0, array.ndim) + struct.pack(f"<{array.ndim}q", *array.shape)
    return head + struct.pack("<iii", context.device_typeid, context.device_id, _CODES[name]) + array.asnumpy().tobytes()


def _safe(arrays: dict[str, NDArray]) -> bytes:
    """A file of safetensors. Wide elements come first, so that all are aligned."""
    codes, header, parts, at = {name: code for code, name in _SAFE_CODES.items()}, {}, [], 0
    for name, array in sorted(arrays.items(), key=lambda item: -np.dtype(item[1].dtype).itemsize):
        dtype = np.dtype(array.dtype)
        if name == "__metadata__":
            raise MXNetError("save: a .safetensors file has no array named __metadata__")
        parts.append(array.asnumpy().astype(dtype.newbyteorder("<"), copy=False).tobytes())
        header[name] = {"dtype": codes[dtype.name], "shape": list(array.shape), "data_offsets": [at, at + len(parts[-1])]}
        at += len(parts[-1])
    text = json.dumps({name: header[name] for name in arrays}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *parts])


def load(fname: str | os.PathLike[str]) -> Any:
    """Load what `save`, or MXNet, wrote: a list of arrays, or a dict where they have names. The arrays are on the current context.

    Files of safetensors are known by what they hold. Their bfloat16 becomes float32, which has all its numbers.

    Raises
    ------
    MXNetError
        If the file is not of this format, damaged, or holds sparse arrays.
    """
    return _read(Path(fname).read_bytes(), str(fname))


def load_frombuffer(buf: bytes) -> Any:
    """Load from the bytes of a file. See `load`.

    Raises
    ------
    MXNetError
        If the bytes are not of this format.
    """
    return _read(bytes(buf), "the buffer")


def _unsafe(source: str, why: Any) -> MXNetError:
    return MXNetError(f"load: {source} is no sound file of safetensors: {why}")


def _read_safe(data: bytes, source: str) -> dict[str, NDArray]:
    """Everything that the header says is checked against the file before an element is read."""
    (length,) = struct.unpack_from("<Q", data)
    begin, context, arrays, spans = 8 + length, current_context(), {}, []
    if length > _SAFE_HEADER or begin > len(data):
        raise _unsafe(source, f"a header of {length:,} bytes")
    try:
        header = json.loads(data[8:begin].decode(), object_pairs_hook=_unique)
        entries = [
            (name, about["dtype"], about["shape"], about["data_offsets"]) for name, about in header.items() if name != "__metadata__"
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unsafe(source, f"its header cannot be read: {error}") from error
    for name, code, shape, offsets in entries:
        if code not in (*_SAFE_CODES, "BF16"):
            raise MXNetError(f"load: {source} holds an array {name!r} of dtype {code}, which clnd does not have")
        if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
            raise _unsafe(source, f"the shape {shape} or place {offsets} of {name!r}")
        dtype = np.dtype("<u2") if code == "BF16" else np.dtype(_SAFE_CODES[code]).newbyteorder("<")
        first, last = offsets
        if last > len(data) - begin or last - first != prod(shape) * dtype.itemsize:
            raise _unsafe(source, f"{name!r} of {code} and shape {shape} cannot be the bytes {first} to {last}")
        spans.append((first, last))
        elements = np.frombuffer(data, dtype, prod(shape), begin + first).reshape(shape)
        if code == "BF16":
            elements = (elements.astype(np.uint32) << 16).view(np.float32)
        elements = (elements != 0) if code == "BOOL" else elements.astype(elements.dtype.newbyteorder("="), copy=False)
        arrays[name] = NDArray(engine.from_numpy(elements, context.device), context)
    ends = [0, *(last for _, last in sorted(spans))]
    if [first for first, _ in sorted(spans)] != ends[:-1] or ends[-1] != len(data) - begin:
        raise _unsafe(source, "its arrays overlap, or leave bytes between them or at the end")
    return arrays


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name is given twice")
    return dict(pairs)


def _are_sizes(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(type(n) is int and 0 <= n < 2**63 for n in numbers)


def _read(data: bytes, source: str) -> Any:
    if data[8:9] == b"{":  # MXNet's format has zeros there
        return _read_safe(data, source)
    at = 0

    def take(form: str) -> tuple[Any, ...]:
        nonlocal at
        found = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return found

    def take_bytes(count: int) -> bytes:
        nonlocal at
        if count > len(data) - at:
            raise struct.error
        at += count
        return data[at - count : at]

    try:
        magic, _, count = take("QQQ")
        if magic != _LIST_MAGIC:
            raise MXNetError(f"load: {source} is not a file of saved arrays")
        arrays = []
        context = current_context()
        for _ in range(count):
            (magic,) = take("I")
            if magic in (_ARRAY_MAGIC, _NUMPY_MAGIC) and take("i") != (0,):
                raise MXNetError(f"load: {source} holds a sparse array, which clnd does not have; save tostype('default') of it in MXNet")
            if magic in (_ARRAY_MAGIC, _NUMPY_MAGIC, _OLD_MAGIC):
                (ndim,) = take("I")
                shape = take(f"{ndim}q")
            else:  # the oldest files begin with the number of axes
                shape = take(f"{magic}I")
            _, _, code = take("iii")
            if code not in _DTYPES or min(shape, default=0) < 0:
                raise MXNetError(f"load: {source} holds an array of an unknown dtype ({code}) or shape {shape}")
            dtype = _DTYPES[code]
            elements = np.frombuffer(take_bytes(int(np.prod(shape, dtype=object)) * dtype.itemsize), dtype).reshape(shape)
            arrays.append(NDArray(engine.from_numpy(elements, context.device), context))
        (named,) = take("Q")
        names = [take_bytes(take("Q")[0]).decode() for _ in range(named)]
    except (struct.error, UnicodeDecodeError) as error:
        raise MXNetError(f"load: {source} is damaged: it ends too early") from error
    if not names:
        return arrays
    if len(names) != len(arrays):
        raise MXNetError(f"load: {source} is damaged: {len(arrays)} arrays, {len(names)} names")
    return dict(zip(names, arrays, strict=True))
