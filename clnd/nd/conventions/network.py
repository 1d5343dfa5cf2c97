"""Operators of neural networks."""

from __future__ import annotations

import math
from typing import Any

from clnd.engine import Value, dtypes
from clnd.errors import DTypeError, ShapeError
from clnd.ops import Operator, registry
from clnd.ops.creation import along
from clnd.ops.declare import normalize_axis

from .declare import Convention, convention


def _as_wide(data: Value, dtype: Any) -> Value:
    """Data in the dtype that the result shall have, if it has more digits: then it is computed with them."""
    if dtype is None or dtypes.promote(data.dtype, dtypes.as_dtype(dtype)) != dtypes.as_dtype(dtype):
        return data
    return registry["cast"](data, dtype=dtype)


@convention("softmax", "log_softmax")
def softmax(op: Operator) -> Convention:
    """`temperature`; the result's `dtype`; `length`: how many elements of each line count, the others give 0."""

    def function(
        data: Value, length: Value | None = None, *, axis: int = -1, temperature: Any = None, dtype: Any = None, use_length: Any = False
    ) -> Any:
        data = _as_wide(data, dtype)
        if temperature is not None and temperature != 1:
            data = data / float(temperature)
        if not use_length:
            value = op(data, axis=axis)
            return value if dtype is None else registry["cast"](value, dtype=dtype)
        if length is None:
            raise DTypeError(f"{op.name}: use_length needs the array length")
        at = normalize_axis(op.name, axis, data.ndim)
        lines = data.shape[:at] + data.shape[at + 1 :]
        if length.shape != lines:
            raise ShapeError(f"{op.name}: length of shape {length.shape} does not fit the lines {lines} of data of shape {data.shape}")
        count = along(at, data.ndim, data.shape[at], data.device)
        counts = registry["less"](count, registry["cast"](registry["expand_dims"](length, axis=at), dtype=dtypes.int64))
        value = registry["where"](counts, op(registry["where"](counts, data, -math.inf), axis=at), 0.0)
        return value if dtype is None else registry["cast"](value, dtype=dtype)

    return function


@convention("softmin")
def softmin(op: Operator) -> Convention:
    """`temperature`, and the result's `dtype`. MXNet's has no array of lengths."""

    def function(data: Value, *, axis: int = -1, temperature: Any = None, dtype: Any = None, use_length: Any = False) -> Any:
        if use_length:
            raise DTypeError("softmin: use_length is not possible, since it takes no lengths; use softmax of -data")
        data = _as_wide(data, dtype)
        if temperature is not None and temperature != 1:
            data = data / float(temperature)
        value = op(data, axis=axis)
        return value if dtype is None else registry["cast"](value, dtype=dtype)

    return function


@convention("UpSampling")
def upsampling(op: Operator) -> Convention:
    """What tells how much memory to use does nothing."""

    def function(
        *data: Value, scale: int, num_filter: int = 0, sample_type: str, multi_input_mode: str = "concat", workspace: Any = None
    ) -> Any:
        return op(*data, scale=scale, num_filter=num_filter, sample_type=sample_type, multi_input_mode=multi_input_mode)

    return function
