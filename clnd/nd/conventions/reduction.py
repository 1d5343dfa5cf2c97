"""Reductions."""

from __future__ import annotations

from typing import Any

from clnd.engine import Value, dtypes
from clnd.errors import MXNetError
from clnd.ops import Operator, registry
from clnd.ops.declare import Reduction, converted, normalize_axes

from .declare import Convention, at_least_1d, convention


def excluded(name: str, axis: Any, ndim: int, exclude: Any) -> Any:
    """The axes to reduce: those given, or with `exclude` all others. MXNet takes () for all."""
    if isinstance(axis, (tuple, list)) and not len(axis):
        axis = None
    if not exclude or axis is None:
        return axis
    given = normalize_axes(name, axis, ndim)
    return tuple(a for a in range(ndim) if a not in given)


@convention("sum", "prod", "nansum", "nanprod", "max", "min", "mean")
def reduction(op: Operator) -> Convention:
    """`exclude`; the input's dtype; (1,) for a single number."""
    least = {"ndmin": 1} if isinstance(op, Reduction) else {}

    def function(data: Value, *, axis: Any = None, keepdims: Any = False, exclude: Any = False) -> Any:
        axes = excluded(op.name, axis, data.ndim, exclude)
        more = {"dtype": data.dtype, **least} if "dtype" in op.attributes and data.dtype != dtypes.bool_ else least
        value = op(data, axis=axes, keepdims=bool(keepdims), **more)
        if value.dtype != data.dtype and data.dtype != dtypes.bool_:
            value = converted(value, data.dtype)
        return at_least_1d(value)

    return function


@convention("norm")
def norm(op: Operator) -> Convention:
    """(1,) for a single number; () for all axes; computed in `out_dtype` if that is wider, and given in it."""

    def function(data: Value, *, ord: Any = 2, axis: Any = None, out_dtype: Any = None, keepdims: Any = False) -> Any:
        dtype = dtypes.floating(data.dtype) if out_dtype is None else dtypes.as_dtype(out_dtype)
        if dtypes.category(dtype) == "float":
            data = converted(data, dtypes.promote(dtypes.floating(data.dtype), dtype))
        axes = excluded("norm", axis, data.ndim, False)
        return at_least_1d(converted(op(data, ord=ord, axis=axes, keepdims=bool(keepdims)), dtype))

    return function


def _counted(positions: Value, data: Value) -> Value:
    """Positions in the dtype of the elements; in float32 where that counts no further than 2048."""
    return converted(positions, data.dtype if data.dtype.itemsize >= 4 else dtypes.float32)


@convention("argmax", "argmin")
def position(op: Operator) -> Convention:
    """Positions have the dtype of the elements, but float32 for float16 and the small integers."""

    def function(data: Value, *, axis: Any = None, keepdims: Any = False) -> Any:
        return at_least_1d(_counted(op(data, axis=axis, keepdims=bool(keepdims)), data))

    return function


@convention("argmax_channel")
def channel(op: Operator) -> Convention:
    """Positions as `argmax` gives them."""

    def function(data: Value) -> Any:
        return _counted(op(data), data)

    return function


@convention("moments")
def moments(op: Operator) -> Convention:
    """The input's dtype; (1,) for a single number; () for all axes."""

    def function(data: Value, *, axes: Any = None, keepdims: Any = False) -> Any:
        found: Any = op(data, axes=excluded("moments", axes, data.ndim, False), keepdims=bool(keepdims))
        return [at_least_1d(x if data.dtype == dtypes.bool_ else converted(x, data.dtype)) for x in found]

    return function


def _finite(found: Value, init_output: Any, out: Value | None) -> Value:
    """1 or 0 as float32. Without `init_output` what `out` held has a say."""
    answer = registry["reshape"](converted(found, dtypes.float32), shape=(1,))
    return answer if init_output or out is None else answer * out


@convention("all_finite")
def all_finite(op: Operator) -> Convention:
    """1 or 0 as float32; `init_output=False` joins the answer with the one that `out` holds."""

    def function(data: Value, *, init_output: Any = True, out: Value | None = None) -> Any:
        return _finite(op(data), init_output, out)

    return function


def _count(name: str, data: tuple[Value, ...], num_arrays: int | None) -> None:
    if num_arrays is not None and num_arrays != len(data):
        raise MXNetError(f"{name}: num_arrays is {num_arrays}, but {len(data)} arrays are given")


@convention("multi_all_finite")
def multi_all_finite(op: Operator) -> Convention:
    """As `all_finite`."""

    def function(*data: Value, num_arrays: int | None = None, init_output: Any = True, out: Value | None = None) -> Any:
        _count(op.name, data, num_arrays)
        return _finite(op(*data), init_output, out)

    return function


@convention("multi_sum_sq")
def multi_sum_sq(op: Operator) -> Convention:
    """MXNet's attributes."""

    def function(*data: Value, num_arrays: int | None = None) -> Any:
        _count(op.name, data, num_arrays)
        return op(*data)

    return function


@convention("allclose")
def allclose(op: Operator) -> Convention:
    """1 or 0 as uint8, without axes."""

    def function(a: Value, b: Value, *, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: Any = True) -> Any:
        return registry["cast"](op(a, b, rtol=rtol, atol=atol, equal_nan=bool(equal_nan)), dtype=dtypes.uint8)

    return function


@convention("cumsum")
def cumsum(op: Operator) -> Convention:
    """Small integers keep their dtype, and wrap around."""

    def function(a: Value, *, axis: Any = None, dtype: Any = None) -> Any:
        return op(a, axis=axis, dtype=dtype or (None if a.dtype == dtypes.bool_ else a.dtype))

    return function
