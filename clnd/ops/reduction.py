"""Reductions along any set of axes."""

from __future__ import annotations

from functools import partial
from math import prod as product
from typing import Any

import numpy as np

from clnd.engine import Record, Value, dtypes
from clnd.engine.layout import Shape
from clnd.errors import ShapeError

from .creation import along
from .declare import Launched, composed, converted, launched, normalize_axes, normalize_axis, reduction, registry


def _spread(dz: Value, shape: Shape) -> Value:
    return registry["broadcast_to"](dz, shape=shape)


@reduction(
    join={"float": "a + b", "int": "convert_T(as_U(a) + as_U(b))", "uint": "a + b", "bool": "a | b"},
    identity="0",
    widen=True,
    empty=0,
    compensated=True,
    grad=lambda dz, data_shape: _spread(dz, data_shape),
    numpy=np.sum,
)
def sum(data: Any, *, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> None:
    """Sum along `axis` (an int, several, or None for all). Floats carry their rounding errors along (Neumaier 1974).

    >>> from clnd import nd
    >>> nd.sum(nd.array([[1, 2], [3, 4]]), axis=0).asnumpy()
    array([4., 6.], dtype=float32)
    """


@reduction(
    join={"float": "a * b", "int": "convert_T(as_U(a) * as_U(b))", "uint": "a * b", "bool": "a & b"},
    identity="1",
    widen=True,
    empty=1,
    grad=lambda dz, data, axis: dz * _product_of_others(data, axis),
    numpy=np.prod,
    domain=(0.5, 1.5),
)
def prod(data: Any, *, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> None:
    """Product along `axis`.

    >>> from clnd import nd
    >>> nd.prod(nd.array([[1, 2], [3, 4]]), axis=1).asnumpy()
    array([ 2., 12.], dtype=float32)
    """


def _product_of_others(data: Value, axis: Any) -> Value:
    """At each position the product of all other elements along `axis`: no division, so zeros do no harm, to any order.

    The axes are moved to the end and joined; then products of pairs are formed, up to the whole and back down.
    """
    axes = normalize_axes("prod", axis, data.ndim)
    kept = [i for i in range(data.ndim) if i not in axes]
    order = (*kept, *axes)
    transpose, reshape = registry["transpose"], registry["reshape"]
    moved = transpose(data, axes=order)
    outer, length = tuple(data.shape[i] for i in kept), product(data.shape[i] for i in axes)
    others = _others(reshape(moved, shape=(*outer, length)))
    back = tuple(order.index(i) for i in range(data.ndim))
    return transpose(reshape(others, shape=moved.shape), axes=back)


def _others(x: Value) -> Value:
    length = x.shape[-1]
    window, concat, full_like = registry["slice_axis"], registry["concat"], registry["ones_like"]
    if length <= 1:
        return full_like(x)
    if length % 2:
        padded = concat(x, full_like(window(x, axis=-1, begin=0, end=1)), dim=-1)
        return window(_others(padded), axis=-1, begin=0, end=length)
    half = length // 2
    left, right = window(x, axis=-1, begin=0, end=half), window(x, axis=-1, begin=half, end=length)
    above = _others(left * right)
    return concat(above * right, above * left, dim=-1)


@reduction(
    join={"float": "((a > b) | (a != a)) ? a : b", "int": "a > b ? a : b", "uint": "a > b ? a : b", "bool": "a | b"},
    identity={"float": "-INFINITY", "int8": "CHAR_MIN", "int32": "INT_MIN", "int64": "LONG_MIN", "uint": "0", "bool": "0"},
    grad=lambda dz, z, data: dz * registry["equal"](data, z),
    numpy=np.max,
)
def max(data: Any, *, axis: Any = None, keepdims: bool = False) -> None:
    """Largest element along `axis`; NaN where there is one. At ties each gets the whole gradient.

    >>> from clnd import nd
    >>> nd.max(nd.array([[1, 4], [3, 2]]), axis=1).asnumpy()
    array([4., 3.], dtype=float32)
    """


@reduction(
    join={"float": "((a < b) | (a != a)) ? a : b", "int": "a < b ? a : b", "uint": "a < b ? a : b", "bool": "a & b"},
    identity={
        "float": "INFINITY",
        "int8": "CHAR_MAX",
        "int32": "INT_MAX",
        "int64": "LONG_MAX",
        "uint8": "UCHAR_MAX",
        "uint32": "UINT_MAX",
        "uint64": "ULONG_MAX",
        "bool": "1",
    },
    grad=lambda dz, z, data: dz * registry["equal"](data, z),
    numpy=np.min,
)
def min(data: Any, *, axis: Any = None, keepdims: bool = False) -> None:
    """Smallest element along `axis`; NaN where there is one. At ties each gets the whole gradient.

    >>> from clnd import nd
    >>> nd.min(nd.array([[1, 4], [3, 2]]), axis=1).asnumpy()
    array([1., 2.], dtype=float32)
    """


def _without_nan(data: Value, instead: int) -> Value:
    if dtypes.category(data.dtype) != "float":
        return data
    return registry["where"](registry["isnan"](data), instead, data)


@composed(numpy=np.nansum)
def nansum(data: Value, *, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Value:
    """Sum along `axis` of what is a number: NaN counts as 0, and gets no gradient.

    >>> from clnd import nd
    >>> nd.nansum(nd.array([[1, float("nan")], [3, 4]]), axis=0).asnumpy()
    array([4., 4.], dtype=float32)
    """
    return sum(_without_nan(data, 0), axis=axis, keepdims=keepdims, dtype=dtype)


@composed(numpy=np.nanprod, domain=(0.5, 1.5))
def nanprod(data: Value, *, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Value:
    """Product along `axis` of what is a number: NaN counts as 1, and gets no gradient.

    >>> from clnd import nd
    >>> nd.nanprod(nd.array([[2, float("nan")], [3, 4]]), axis=0).asnumpy()
    array([6., 4.], dtype=float32)
    """
    return prod(_without_nan(data, 1), axis=axis, keepdims=keepdims, dtype=dtype)


def _mean_gradient(dz: Value, data_shape: Shape, axis: Any) -> Value:
    count = product(data_shape[a] for a in normalize_axes("mean", axis, len(data_shape)))
    return _spread(dz / float(count), data_shape)


@reduction(
    join="a + b",
    identity="0",
    promote="float",
    empty=float("nan"),
    compensated=True,
    finish="x / n",
    grad=_mean_gradient,
    numpy=np.mean,
)
def mean(data: Any, *, axis: Any = None, keepdims: bool = False) -> None:
    """Mean along `axis`; of integers as float32. float16 is summed and divided in float32.

    >>> from clnd import nd
    >>> nd.mean(nd.array([[1, 2], [3, 4]]), axis=0).asnumpy()
    array([2., 3.], dtype=float32)
    """


@composed(numpy=None, methods=[])
def moments(data: Value, *, axes: Any = None, keepdims: bool = False) -> list[Value]:
    """Mean and variance along `axes` (None for all); of integers as float32.

    >>> from clnd import nd
    >>> mean, variance = nd.moments(nd.array([[1, 2], [3, 6]]), axes=0)
    >>> mean.asnumpy(), variance.asnumpy()
    (array([2., 4.], dtype=float32), array([1., 4.], dtype=float32))
    """
    dtype = dtypes.floating(data.dtype)
    x = converted(data, dtypes.promote(dtype, dtypes.float32))
    centre = mean(x, axis=axes, keepdims=True)
    variance = mean(registry["square"](x - centre), axis=axes, keepdims=keepdims)
    if not keepdims:
        centre = registry["reshape"](centre, shape=variance.shape)
    return [converted(centre, dtype), converted(variance, dtype)]


def _scale(x: Value, axis: Any) -> Value | float:
    """A power of two that keeps the squares of the largest elements from overflow and underflow."""
    if not x.size:
        return 1.0
    where, largest = registry["where"], max(registry["abs"](x), axis=axis, keepdims=True)
    edge, factor = (2.0**50, 2.0**80) if x.dtype == dtypes.float32 else (2.0**400, 2.0**700)
    large, small = registry["greater"](largest, edge), registry["less"](largest, 1 / edge)
    return where(large, 1 / factor, where(small, factor, registry["ones_like"](largest)))


def _norm_gradient(dz: Value, z: Value, data: Value, ord: int) -> Value:
    if ord == 1:
        return dz * registry["sign"](data)
    return dz * registry["where"](registry["equal"](z, 0), 0, data / z)


def _folded(data: Value, axis: Any, keepdims: bool) -> Shape:
    axes = normalize_axes("norm", axis, data.ndim)
    return tuple(1 if i in axes else n for i, n in enumerate(data.shape) if keepdims or i not in axes)


class Norm(Launched):
    """The rule sees `dz` and `z` with the folded axes kept, as in every reduction."""

    def prepare(self, record: Record, dz: Value) -> Value:
        """With the folded axes kept as axes of one element."""
        data = record.inputs[0]
        axes = normalize_axes("norm", record.attrs["axis"], data.ndim)
        return registry["reshape"](dz, shape=tuple(1 if i in axes else n for i, n in enumerate(data.shape)))


@partial(Norm, grad=_norm_gradient, numpy=None)
def norm(data: Value, *, ord: int = 2, axis: Any = None, keepdims: bool = False) -> Value:
    """The 1-norm (sum of magnitudes) or 2-norm (root of the sum of squares, none of which overflows) along `axis`, which may be several.

    >>> from clnd import nd
    >>> nd.norm(nd.array([3, 4])).asnumpy()
    array([5.], dtype=float32)
    """
    if ord not in (1, 2):
        raise ShapeError(f"norm: ord must be 1 or 2, not {ord}")
    dtype = dtypes.floating(data.dtype)
    x = converted(data, dtypes.promote(dtype, dtypes.float32))
    if ord == 1:
        return converted(sum(registry["abs"](x), axis=axis, keepdims=keepdims), dtype)
    scale = _scale(x, axis)
    root = registry["sqrt"](sum(registry["square"](x * scale), axis=axis, keepdims=True)) / scale
    return converted(registry["reshape"](root, shape=_folded(data, axis, keepdims)), dtype)


def _position(data: Value, fold: Any, axis: int | None, keepdims: bool) -> Value:
    """Where the extreme element stands first: the smallest position at which the data equal it. NaN counts as the extreme."""
    if axis is None:
        flat = registry["reshape"](data, shape=(data.size,))
        found = _position(flat, fold, 0, False)
        return registry["reshape"](found, shape=(1,) * data.ndim) if keepdims else found
    axis = normalize_axis(f"arg{fold.name}", axis, data.ndim)
    n = data.shape[axis]
    best = fold(data, axis=axis, keepdims=True)
    count = along(axis, data.ndim, n, data.device)
    here = registry["equal"](data, best)
    if dtypes.category(data.dtype) == "float":
        here = registry["logical_or"](here, registry["not_equal"](data, data))
    return min(registry["where"](here, count, n), axis=axis, keepdims=keepdims)


@launched(numpy=np.argmax)
def argmax(data: Value, *, axis: int | None = None, keepdims: bool = False) -> Value:
    """Where the largest element stands, the first of several, along `axis` (None: in the flattened array).

    >>> from clnd import nd
    >>> nd.argmax(nd.array([[1, 3], [4, 2]]), axis=1).asnumpy()
    array([1., 0.], dtype=float32)
    """
    return _position(data, max, axis, keepdims)


@launched(numpy=np.argmin)
def argmin(data: Value, *, axis: int | None = None, keepdims: bool = False) -> Value:
    """Where the smallest element stands, the first of several, along `axis` (None: in the flattened array).

    >>> from clnd import nd
    >>> nd.argmin(nd.array([[1, 3], [4, 2]]), axis=1).asnumpy()
    array([0., 1.], dtype=float32)
    """
    return _position(data, min, axis, keepdims)


@composed(numpy=lambda data: np.argmax(data, 1))
def argmax_channel(data: Value) -> Value:
    """Where the largest element along axis 1 stands: the `argmax` of each row.

    >>> from clnd import nd
    >>> nd.argmax_channel(nd.array([[1, 3], [4, 2]])).asnumpy()
    array([1., 0.], dtype=float32)
    """
    return argmax(data, axis=1)


# Questions to whole arrays.


def _all(truths: Value) -> Value:
    return min(truths) if truths.size else registry["full"](shape=(), value=True, dtype=dtypes.bool_, device=truths.device)


@composed(numpy=lambda data: np.all(np.isfinite(data)), methods=[])
def all_finite(data: Value) -> Value:
    """Is every element a finite number?

    >>> from clnd import nd
    >>> nd.all_finite(nd.array([1, 2])).asnumpy(), nd.all_finite(nd.array([1, float("nan")])).asnumpy()
    (array([1.], dtype=float32), array([0.], dtype=float32))
    """
    return _all(registry["isfinite"](data))


@composed(numpy=lambda *data: np.all([np.all(np.isfinite(x)) for x in data]), methods=[])
def multi_all_finite(*data: Value) -> Value:
    """Is every element of every array a finite number?

    >>> from clnd import nd
    >>> nd.multi_all_finite(nd.array([1, 2]), nd.array([3]), num_arrays=2).asnumpy()
    array([1.], dtype=float32)
    """
    return min(registry["stack"](*(all_finite(x) for x in data)))


@composed(numpy=lambda *data: np.array([np.sum(np.square(x, dtype=np.float32)) for x in data]), methods=[])
def multi_sum_sq(*data: Value) -> Value:
    """The sum of squares of each array, as float32.

    >>> from clnd import nd
    >>> nd.multi_sum_sq(nd.array([1, 2]), nd.array([3]), num_arrays=2).asnumpy()
    array([5., 9.], dtype=float32)
    """
    return registry["stack"](*(sum(registry["square"](converted(x, dtypes.float32))) for x in data))


@composed(numpy=np.allclose, methods=[])
def allclose(a: Value, b: Value, *, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = True) -> Value:
    """Is every element of `a` as good as that of `b`: not farther off than `atol + rtol * abs(b)`, or the same infinity?

    Parameters
    ----------
    equal_nan : bool
        Is NaN as good as NaN?

    >>> from clnd import nd
    >>> nd.contrib.allclose(nd.array([1, 2]), nd.array([1, 2.001]), rtol=0.01).asnumpy()
    array(1, dtype=uint8)
    """
    common = dtypes.promote(dtypes.promote(a.dtype, b.dtype), dtypes.float32)
    a, b = converted(a, common), converted(b, common)
    both, either = registry["logical_and"], registry["logical_or"]
    near = registry["less_equal"](registry["abs"](a - b), atol + rtol * registry["abs"](b))
    good = either(registry["equal"](a, b), both(near, registry["isfinite"](b)))
    if equal_nan:
        good = either(good, both(registry["isnan"](a), registry["isnan"](b)))
    return _all(good)
