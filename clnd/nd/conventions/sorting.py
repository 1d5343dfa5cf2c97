"""Sorting."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from clnd.engine import Value, dtypes
from clnd.errors import DTypeError
from clnd.ops import Operator
from clnd.ops.declare import normalize_axis

from .declare import Convention, convention

_POSITIONS = ("float16", "float32", "float64", "int32", "int64", "uint8")


def position_dtype(name: str, dtype: Any, data: Value, axis: Any) -> np.dtype[Any]:
    """The dtype of positions, which must hold all of them."""
    found = dtypes.as_dtype(dtype)
    if str(found) not in _POSITIONS:
        raise DTypeError(f"{name}: positions cannot be {found}; the dtypes are {', '.join(_POSITIONS)}")
    n = prod(data.shape) if axis is None else data.shape[normalize_axis(name, axis, data.ndim)]
    most = 2 ** (np.finfo(found).nmant + 1) if dtypes.category(found) == "float" else np.iinfo(found).max
    if n - 1 > most:
        raise DTypeError(f"{name}: {found} does not hold all positions of {n} elements; give dtype='int64'")
    return found


@convention("sort")
def sort(op: Operator) -> Convention:
    """Numbers may stand for booleans."""

    def function(data: Value, *, axis: Any = -1, is_ascend: Any = True) -> Any:
        return op(data, axis=axis, is_ascend=bool(is_ascend))

    return function


@convention("argsort")
def argsort(op: Operator) -> Convention:
    """Positions are float32."""

    def function(data: Value, *, axis: Any = -1, is_ascend: Any = True, dtype: Any = "float32") -> Any:
        return op(data, axis=axis, is_ascend=bool(is_ascend), dtype=position_dtype("argsort", dtype, data, axis))

    return function


@convention("topk")
def topk(op: Operator) -> Convention:
    """Positions are float32."""

    def function(
        data: Value, *, axis: Any = -1, k: Any = 1, ret_typ: Any = "indices", is_ascend: Any = False, dtype: Any = "float32"
    ) -> Any:
        if ret_typ in ("indices", "both"):
            dtype = position_dtype("topk", dtype, data, axis)
        return op(data, axis=axis, k=k, ret_typ=ret_typ, is_ascend=bool(is_ascend), dtype=dtype)

    return function
