"""What is known about each dtype: its names in OpenCL C, its category, and the rules that join dtypes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from clnd.errors import DTypeError, shown


@dataclass(frozen=True)
class DTypeInfo:
    """One row of the table of dtypes.

    Attributes
    ----------
    storage : str
        The type of an element in memory, as OpenCL C names it.
    compute : str
        The type that kernels compute in: half is stored only, bool is a byte of 0 or 1.
    category : str
        "float", "int", "uint" or "bool"; operators give code by category.
    mask : str
        The signed integer type of the same width as `compute`: what comparing two vectors gives.
    """

    storage: str
    compute: str
    category: str
    mask: str


TABLE: dict[str, DTypeInfo] = {
    "float16": DTypeInfo("half", "float", "float", "int"),
    "float32": DTypeInfo("float", "float", "float", "int"),
    "float64": DTypeInfo("double", "double", "float", "long"),
    "int8": DTypeInfo("char", "char", "int", "char"),
    "uint8": DTypeInfo("uchar", "uchar", "uint", "char"),
    "int32": DTypeInfo("int", "int", "int", "int"),
    "uint32": DTypeInfo("uint", "uint", "uint", "int"),
    "int64": DTypeInfo("long", "long", "int", "long"),
    "uint64": DTypeInfo("ulong", "ulong", "uint", "long"),
    "bool": DTypeInfo("uchar", "uchar", "bool", "char"),
}
INFO: dict[np.dtype[Any], DTypeInfo] = {np.dtype(name): info for name, info in TABLE.items()}
UNSIGNED = {1: "uchar", 2: "ushort", 4: "uint", 8: "ulong"}  # what elements of so many bytes are moved as

float16, float32, float64 = (np.dtype(name) for name in ("float16", "float32", "float64"))
int32, int64, uint8, bool_ = (np.dtype(name) for name in ("int32", "int64", "uint8", "bool"))

Scalar = bool | int | float


def as_dtype(dtype: Any, whose: str = "") -> np.dtype[Any]:
    """The NumPy dtype that `dtype` names; DTypeError, which begins with `whose`, where it names none or one that no kernel handles."""
    try:
        found: np.dtype[Any] | None = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found not in INFO:
        raise DTypeError(f"{whose}dtype {shown(dtype)} is not supported; the dtypes are {', '.join(TABLE)}")
    return found


def category(dtype: np.dtype[Any]) -> str:
    """ "float", "int", "uint" or "bool"."""
    return INFO[dtype].category


@cache
def promote(first: np.dtype[Any], second: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that holds both, as NumPy finds it, save that an integer beside a float takes the float's dtype.

    NumPy makes int32 beside float32 a float64, which not every device has. Where NumPy finds an int16, it is int32 here.
    """
    if first == second:
        return first
    floats = [dtype for dtype in (first, second) if category(dtype) == "float"]
    if len(floats) == 1:
        return floats[0]
    found = np.promote_types(first, second)
    return found if found in INFO else int32


@cache
def promote_scalar(dtype: np.dtype[Any], kind: type) -> np.dtype[Any]:
    """The dtype of an array of `dtype` beside a Python scalar: a scalar never widens, it may only change the category."""
    if kind is float and category(dtype) != "float":
        return float32
    if kind is int and category(dtype) == "bool":
        return int64
    return dtype


def floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """`dtype` where it is a float; else float32, which every device has."""
    return dtype if category(dtype) == "float" else float32


def scalar_kind(value: Any) -> type:
    """bool, int or float: what a Python or NumPy scalar counts as."""
    kind = type(value)
    if kind in (float, int, bool):
        return kind
    if isinstance(value, np.bool_):
        return bool
    return int if isinstance(value, (int, np.integer)) else float


def to_scalar(value: Any, dtype: np.dtype[Any]) -> Scalar:
    """`value` as a number of `dtype`: floats round, integers wrap around as conversions on the device do."""
    kind = category(dtype)
    if kind == "float":
        if -60000 < value < 60000:  # in range of every float
            return float(dtype.type(value))
        try:
            with np.errstate(over="ignore"):
                return float(dtype.type(value))
        except OverflowError:  # an int past what any float holds
            return math.inf if value > 0 else -math.inf
    if kind == "bool":
        return bool(value)
    if isinstance(value, (float, np.floating)) and not np.isfinite(value):
        raise DTypeError(f"the number {value} has no {dtype} value")
    bits = 8 * dtype.itemsize
    wrapped = int(value) & ((1 << bits) - 1)
    return wrapped - (1 << bits) if kind == "int" and wrapped >> (bits - 1) else wrapped
