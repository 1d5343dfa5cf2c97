"""Reductions."""

from __future__ import annotations

from typing import Any

from clnd.engine import Value, dtypes
from clnd.ops import Operator, registry
from clnd.ops.declare import normalize_axes

from .declare import Convention, at_least_1d, convention


def excluded(name: str, axis: Any, ndim: int, exclude: Any) -> Any:
    """The axes to reduce: those given, or with `exclude` all others. MXNet takes () for all."""
    if isinstance(axis, (tuple, list)) and not len(axis):
        axis = None
    if not exclude or axis is None:
        return axis
    given = normalize_axes(name, axis, ndim)
    return tuple(a for a in range(ndim) if a not in given)


@convention("sum", "prod", "max", "min", "mean")
def reduction(op: Operator) -> Convention:
    """`exclude`; the input's dtype; (1,) for a single number."""

    def function(data: Value, *, axis: Any = None, keepdims: Any = False, exclude: Any = False) -> Any:
        axes = excluded(op.name, axis, data.ndim, exclude)
        more = {"dtype": data.dtype} if "dtype" in op.attributes and data.dtype != dtypes.bool_ else {}
        value = op(data, axis=axes, keepdims=bool(keepdims), **more)
        if value.dtype != data.dtype and data.dtype != dtypes.bool_:
            value = registry["cast"](value, dtype=data.dtype)
        return at_least_1d(value)

    return function


@convention("norm")
def norm(op: Operator) -> Convention:
    """(1,) for a single number."""

    def function(data: Value, *, ord: Any = 2, axis: Any = None, out_dtype: Any = None, keepdims: Any = False) -> Any:
        return at_least_1d(op(data, ord=ord, axis=axis, out_dtype=out_dtype, keepdims=bool(keepdims)))

    return function


@convention("argmax", "argmin")
def position(op: Operator) -> Convention:
    """Positions are float32."""

    def function(data: Value, *, axis: Any = None, keepdims: Any = False) -> Any:
        return at_least_1d(registry["cast"](op(data, axis=axis, keepdims=bool(keepdims)), dtype=dtypes.float32))

    return function
