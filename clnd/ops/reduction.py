"""Reductions along any set of axes."""

from __future__ import annotations

from functools import partial
from math import prod as product
from typing import Any

import numpy as np

from clnd.engine import Record, Value, dtypes
from clnd.engine.layout import Shape
from clnd.errors import ShapeError

from .declare import Launched, composed, converted, launched, normalize_axes, normalize_axis, reduction, registry


def _spread(dz: Value, shape: Shape) -> Value:
    return registry["broadcast_to"](dz, shape=shape)


@reduction(
    join="a + b",
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
    join="a * b",
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


@composed(numpy=np.mean)
def mean(data: Value, *, axis: Any = None, keepdims: bool = False) -> Value:
    """Mean along `axis`; of integers as float32.

    >>> from clnd import nd
    >>> nd.mean(nd.array([[1, 2], [3, 4]]), axis=0).asnumpy()
    array([2., 3.], dtype=float32)
    """
    count = product(data.shape[a] for a in normalize_axes("mean", axis, data.ndim))
    dtype = dtypes.floating(data.dtype)
    # float16 sums overflow where their mean does not: divide what is still float32.
    wide = dtypes.float32 if dtype == dtypes.float16 else dtype
    return registry["cast"](sum(data, axis=axis, keepdims=keepdims, dtype=wide) / float(count), dtype=dtype)


def _norm_gradient(dz: Value, z: Value, data: Value, ord: int) -> Value:
    if ord == 1:
        return dz * registry["sign"](data)
    return dz * registry["where"](registry["equal"](z, 0), 0, data / z)


class Norm(Launched):
    """The rule sees `dz` and `z` with the folded axes kept, as in every reduction."""

    def prepare(self, record: Record, dz: Value) -> Value:
        """With the folded axes kept as axes of one element."""
        data = record.inputs[0]
        axes = normalize_axes("norm", record.attrs["axis"], data.ndim)
        return registry["reshape"](dz, shape=tuple(1 if i in axes else n for i, n in enumerate(data.shape)))


@partial(Norm, grad=_norm_gradient, numpy=None)
def norm(data: Value, *, ord: int = 2, axis: Any = None, out_dtype: Any = None, keepdims: bool = False) -> Value:
    """The 1-norm (sum of magnitudes) or 2-norm (root of the sum of squares) along `axis`.

    >>> from clnd import nd
    >>> nd.norm(nd.array([3, 4])).asnumpy()
    array([5.], dtype=float32)
    """
    if ord not in (1, 2):
        raise ShapeError(f"norm: ord must be 1 or 2, not {ord}")
    dtype = dtypes.floating(data.dtype) if out_dtype is None else dtypes.as_dtype(out_dtype)
    x = converted(data, dtypes.promote(dtypes.floating(data.dtype), dtypes.float32))
    if ord == 1:
        return converted(sum(registry["abs"](x), axis=axis, keepdims=keepdims), dtype)
    return converted(registry["sqrt"](sum(x * x, axis=axis, keepdims=keepdims)), dtype)


def _position(data: Value, fold: Any, axis: int | None, keepdims: bool) -> Value:
    """Where the extreme element stands first: the smallest position at which the data equal it. NaN counts as the extreme."""
    if axis is None:
        flat = registry["reshape"](data, shape=(data.size,))
        found = _position(flat, fold, 0, False)
        return registry["reshape"](found, shape=(1,) * data.ndim) if keepdims else found
    axis = normalize_axis("argmax", axis, data.ndim)
    n = data.shape[axis]
    best = fold(data, axis=axis, keepdims=True)
    count = registry["arange"](start=0, step=1, count=n, dtype=dtypes.int64, device=data.device)
    count = registry["reshape"](count, shape=tuple(n if i == axis else 1 for i in range(data.ndim)))
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
