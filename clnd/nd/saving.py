"""Saving and loading arrays in MXNet's own file format, so that files go both ways."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clnd import engine
from clnd.context import current_context
from clnd.errors import DTypeError, MXNetError
from clnd.ndarray import NDArray

__all__ = ["load", "load_frombuffer", "save"]

# All numbers are little-endian. Read off files that MXNet 1.9.1 wrote.
_LIST_MAGIC, _ARRAY_MAGIC = 0x112, 0xF993FAC9
_CODES = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6, "bool": 7}
_DTYPES = {code: np.dtype(name) for name, code in _CODES.items()}


def save(fname: str | os.PathLike[str], data: Any) -> None:
    """Save an array, a list of arrays, or a dict from names to arrays.

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
    parts = [struct.pack("<QQQ", _LIST_MAGIC, 0, len(arrays))]
    for array in arrays:
        if not isinstance(array, NDArray):
            raise DTypeError(f"save: an element is a {type(array).__name__}, not an NDArray")
        parts.append(_packed(array))
    parts.append(struct.pack("<Q", len(names)))
    for name in names:
        encoded = str(name).encode()
        parts += [struct.pack("<Q", len(encoded)), encoded]
    Path(fname).write_bytes(b"".join(parts))


def _packed(array: NDArray) -> bytes:
    name = np.dtype(array.dtype).name
    if name not in _CODES:
        raise DTypeError(f"save: the file format has no {name}; convert with astype() first")
    context = array.context
    head = struct.pack("<IiI", _ARRAY_MAGIC, 0, array.ndim) + struct.pack(f"<{array.ndim}q", *array.shape)
    return head + struct.pack("<iii", context.device_typeid, context.device_id, _CODES[name]) + array.asnumpy().tobytes()


def load(fname: str | os.PathLike[str]) -> Any:
    """Load what `save`, or MXNet, wrote: a list of arrays, or a dict where they have names. The arrays are on the current context.

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


def _read(data: bytes, source: str) -> Any:
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
            magic, storage, ndim = take("IiI")
            if magic != _ARRAY_MAGIC or storage != 0:
                raise MXNetError(f"load: {source} holds an array that is sparse or of an old version of the format, which clnd cannot read")
            shape = take(f"{ndim}q")
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
