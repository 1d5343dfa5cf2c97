"""Saving and loading arrays in MXNet's own file format, so that files go both ways, and in that of safetensors."""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from clnd import engine
from clnd.context import current_context
from clnd.engine.layout import MOST_AXES, MOST_ELEMENTS
from clnd.errors import DTypeError, MXNetError
from clnd.ndarray import NDArray
from clnd.opencl.files import write_whole

__all__ = ["load", "load_frombuffer", "save"]

# All numbers are little-endian. Read off files that MXNet 1.9.1 wrote. Where its NumPy shapes are switched on, arrays may be empty or 0-d,
# and have another number: without that, no axes mean that there is no array. A file is of one kind or the other.
_LIST_MAGIC, _ARRAY_MAGIC, _NUMPY_MAGIC = 0x112, 0xF993FAC9, 0xF993FACA
_OLD_MAGIC = 0xF993FAC8  # before there were sparse arrays
_CODES = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6, "bool": 7}
_DTYPES = {code: name for name, code in _CODES.items()}


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
_TOLD = 100  # letters of a name in a message


def save(fname: str | os.PathLike[str], data: Any) -> None:
    """Save an array, a list of arrays, or a dict from names to arrays.

    MXNet loads it too, files with an empty or 0-d array where its NumPy shapes are switched on.

    A name that ends in ".safetensors" makes a file of that format, which holds names: it takes a dict.

    A file that is there already stays whole until the new one is, on the disk, in its place.

    Raises
    ------
    TypeError
        If `data` is something else, or has a dtype that the format does not know.
    OSError
        If the file cannot be written.

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
        _write(fname, _safe(dict(zip(map(str, names), arrays, strict=True))))
        return
    magic = _ARRAY_MAGIC if all(array.ndim and array.size for array in arrays) else _NUMPY_MAGIC
    parts = [struct.pack("<QQQ", _LIST_MAGIC, 0, len(arrays)), *(_packed(array, magic) for array in arrays)]
    parts.append(struct.pack("<Q", len(names)))
    for name in names:
        encoded = str(name).encode()
        parts += [struct.pack("<Q", len(encoded)), encoded]
    _write(fname, b"".join(parts))


def _write(fname: str | os.PathLike[str], data: bytes) -> None:
    """Write a file beside its place and rename it. A link stays one; what is no file, such as a pipe, is written as it is."""
    path = Path(os.path.realpath(fname))
    try:
        before = path.stat() if path.exists() else None
        if before is not None and not stat.S_ISREG(before.st_mode):
            path.write_bytes(data)
            return
        write_whole(path, data, None if before is None else stat.S_IMODE(before.st_mode), lasting=True)
    except OSError as error:
        raise OSError(error.errno, f"save: {error.strerror or error}", os.fspath(fname)) from error


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

    A file from anywhere may be given: nothing in it is run, and what it says of itself is checked against its length.

    Raises
    ------
    MXNetError
        If the file is not of this format, damaged, or holds sparse arrays.
    """
    return _placed(parsed(Path(fname).read_bytes(), str(fname)))


def load_frombuffer(buf: bytes) -> Any:
    """Load from the bytes of a file. See `load`.

    Raises
    ------
    MXNetError
        If the bytes are not of this format.
    """
    try:
        data = memoryview(buf).cast("B")
    except TypeError:
        raise DTypeError(f"load_frombuffer takes bytes, not a {type(buf).__name__}") from None
    return _placed(parsed(data, "the buffer"))


def _placed(found: Any) -> Any:
    """NumPy arrays, in a list or a dict, as arrays on the current context."""
    context = current_context()
    if isinstance(found, dict):
        return {name: NDArray(engine.from_numpy(elements, context.device), context) for name, elements in found.items()}
    return [NDArray(engine.from_numpy(elements, context.device), context) for elements in found]


def parsed(data: bytes | memoryview, source: str) -> Any:
    """What the bytes of a file hold, as NumPy arrays that mostly look into the bytes; all of it is checked.

    Parameters
    ----------
    data
        The bytes.
    source
        What errors call them.

    Raises
    ------
    MXNetError
        If they are not of one of the formats. It says at which byte.
    """
    reader = _Reader(memoryview(data), source)
    return _read_safe(reader) if bytes(data[8:9]) == b"{" else _read_mxnet(reader)  # MXNet's format has zeros there


class _Reader:
    """Goes through bytes, and says where it was when something is wrong."""

    def __init__(self, data: memoryview, source: str) -> None:
        self.data, self.source, self.at = data, source, 0

    def damaged(self, at: int, why: str) -> MXNetError:
        return MXNetError(f"load: {self.source} is damaged at byte {at:,}: {why}")

    def take(self, count: int, what: str) -> memoryview:
        """The next bytes."""
        left = len(self.data) - self.at
        if count > left:
            raise self.damaged(self.at, f"{what} should be {count:,} bytes, and there are {left:,}")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, form: str, what: str) -> int:
        """The next number."""
        return self.numbers(form, 1, what)[0]

    def numbers(self, form: str, count: int, what: str) -> tuple[int, ...]:
        """The next numbers of one kind."""
        return struct.unpack(f"<{count}{form}", self.take(count * struct.calcsize(f"<{form}"), what))

    def elements(self, at: int, shape: tuple[int, ...], dtype: str, what: str) -> Any:
        """An array of the bytes from `at` on, which must be there."""
        stored = np.dtype("uint8" if dtype == "bool" else dtype).newbyteorder("<")
        nbytes, left = prod(shape) * stored.itemsize, len(self.data) - at
        if prod(n for n in shape if n) > MOST_ELEMENTS:
            raise self.damaged(at, f"{what} has the shape {shape}, which is too large")
        if nbytes > left:
            raise self.damaged(at, f"the elements of {what} ({shape}, {dtype}) are {nbytes:,} bytes, and there are {left:,}")
        found = np.frombuffer(self.data[at : at + nbytes], stored).reshape(shape)
        return found != 0 if dtype == "bool" else found.astype(np.dtype(dtype), copy=False)


def _read_safe(reader: _Reader) -> dict[str, Any]:
    """A file of safetensors."""
    length = reader.number("Q", "the length of the header")
    if length > _SAFE_HEADER:
        raise reader.damaged(0, f"a header of {length:,} bytes is longer than safetensors allows")
    text = reader.take(length, "the header")
    begin, arrays, spans = reader.at, {}, []
    try:
        header = json.loads(bytes(text).decode(), object_pairs_hook=_unique)
        entries = [
            (name, about["dtype"], about["shape"], about["data_offsets"]) for name, about in header.items() if name != "__metadata__"
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise reader.damaged(8, f"its header cannot be read: {_short(str(error))}") from error
    for name, code, shape, offsets in entries:
        what = f"the array {_short(name)}"
        if not isinstance(code, str) or code not in (*_SAFE_CODES, "BF16"):
            raise MXNetError(f"load: {reader.source} holds {what} of dtype {_short(code)}, which clnd does not have")
        if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2 or len(shape) > MOST_AXES:
            raise reader.damaged(8, f"{what} has the shape {_short(shape)} and the place {_short(offsets)}")
        dtype = "uint16" if code == "BF16" else _SAFE_CODES[code]
        first, last = offsets
        if last > len(reader.data) - begin or last - first != prod(shape) * np.dtype(dtype).itemsize:
            raise reader.damaged(8, f"{what} of {code} and shape {shape} cannot be the bytes {first:,} to {last:,}")
        spans.append((first, last))
        elements = reader.elements(begin + first, tuple(shape), dtype, what)
        arrays[name] = np.left_shift(elements, 16, dtype=np.uint32).view(np.float32) if code == "BF16" else elements
    ends = [0, *(last for _, last in sorted(spans))]
    if [first for first, _ in sorted(spans)] != ends[:-1] or ends[-1] != len(reader.data) - begin:
        raise reader.damaged(begin, "its arrays overlap, or leave bytes between them or at the end")
    return arrays


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name is given twice")
    return dict(pairs)


def _are_sizes(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(type(n) is int and 0 <= n < 2**63 for n in numbers)


def _short(given: Any) -> str:
    """What a file holds, as far as there is room for it in a message."""
    text = given if isinstance(given, str) else repr(given)
    return repr(given) if len(text) < _TOLD else f"{text[:_TOLD]!r}..."


def _read_mxnet(reader: _Reader) -> Any:
    """A file of MXNet's."""
    if len(reader.data) < 8 or reader.number("Q", "the beginning") != _LIST_MAGIC:
        raise MXNetError(f"load: {reader.source} is not a file of saved arrays")
    _, count = reader.numbers("Q", 2, "the number of arrays")
    arrays = []
    for number in range(count):
        what, began = f"array {number}", reader.at
        magic = reader.number("I", f"the beginning of {what}")
        if magic in (_ARRAY_MAGIC, _NUMPY_MAGIC) and reader.number("i", f"the storage of {what}") != 0:
            raise MXNetError(
                f"load: {reader.source} holds a sparse array, which clnd does not have; save tostype('default') of it in MXNet"
            )
        old = magic not in (_ARRAY_MAGIC, _NUMPY_MAGIC, _OLD_MAGIC)  # the oldest files begin with the number of axes
        axes = magic if old else reader.number("I", f"the number of axes of {what}")
        if axes > MOST_AXES:
            raise reader.damaged(began, f"{what} has {axes:,} axes")
        shape = reader.numbers("I" if old else "q", axes, f"the shape of {what}")
        *_, code = reader.numbers("i", 3, f"the context and dtype of {what}")
        if code not in _DTYPES or min(shape, default=0) < 0:
            raise reader.damaged(began, f"{what} has an unknown dtype ({code}) or the shape {shape}")
        elements = reader.elements(reader.at, shape, _DTYPES[code], what)
        reader.take(elements.nbytes, what)
        arrays.append(elements)
    names = []
    named = reader.number("Q", "the number of names")
    if named not in (0, len(arrays)):
        raise reader.damaged(reader.at - 8, f"{len(arrays):,} arrays, {named:,} names")
    for number in range(named):
        length = reader.number("Q", f"the length of name {number}")
        try:
            names.append(bytes(reader.take(length, f"name {number}")).decode())
        except UnicodeDecodeError as error:
            raise reader.damaged(reader.at - length, f"name {number} is no text: {error.reason}") from error
    return dict(zip(names, arrays, strict=True)) if names else arrays
