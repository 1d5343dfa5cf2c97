"""Values out of nothing: constants, which cost no memory until they are needed, and ranges."""

from __future__ import annotations

from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Expression, Value, dtypes

from .declare import Operator, composed, launched, registry

_CONSTANT: dict[Any, Expression] = {}


class Full(Operator):
    """A constant: an expression without arrays, so that it is fused into whatever reads it."""

    def __call__(self, *inputs: Any, **attrs: Any) -> Value:
        """Make a waiting value."""
        attrs = self.fill(attrs)
        dtype = dtypes.as_dtype(attrs["dtype"])
        device = attrs["device"]
        engine.check_dtype(dtype, device, self.name)
        how = _CONSTANT.get(dtype)
        if how is None:
            how = _CONSTANT[dtype] = Expression("full", "value", ("value",), (dtype,), dtype, dtype)
        return engine.defer(self, how, (dtypes.to_scalar(attrs["value"], dtype),), {}, attrs["shape"], dtype, device)


@lambda function: Full(function, dear=False)
def full(*, shape: Any, value: Any, dtype: Any, device: Any) -> None:
    """An array with the same number everywhere."""


def full_like(data: Value, value: Any) -> Value:
    """One number in the shape, dtype and device of `data`."""
    return full(shape=data.shape, value=value, dtype=data.dtype, device=data.device)


@composed(numpy=np.zeros_like)
def zeros_like(data: Value) -> Value:
    """Zeros of the shape, dtype and context of `data`.

    >>> from clnd import nd
    >>> nd.zeros_like(nd.array([1, 2])).asnumpy()
    array([0., 0.], dtype=float32)
    """
    return full_like(data, 0)


@composed(numpy=np.ones_like)
def ones_like(data: Value) -> Value:
    """Ones of the shape, dtype and context of `data`.

    >>> from clnd import nd
    >>> nd.ones_like(nd.array([1, 2])).asnumpy()
    array([1., 1.], dtype=float32)
    """
    return full_like(data, 1)


@launched(dear=True)
def arange(*, start: Any, step: Any, count: int, dtype: Any, device: Any) -> Value:
    """`start`, `start + step`, ...: `count` elements."""
    dtype = dtypes.as_dtype(dtype)
    engine.check_dtype(dtype, device, "arange")
    value = Value((count,), dtype, device)
    if count == 0:
        return value
    info = dtypes.INFO[dtype]
    # Ranges are computed in the widest type of their category that the device has, and rounded once.
    wide = "long" if info.category != "float" else "double" if device.traits.fp64 else "float"
    kernel = device.kernel(
        "arange",
        f"arange__{dtype}",
        arguments=("buffer", "long", wide, wide),
        storage=info.storage,
        wide=wide,
        compute=info.compute,
    )
    number = int if wide == "long" else float
    buffer = device.allocate(count * dtype.itemsize)
    kernel(*engine.grid(device.traits, count), buffer, count, number(start), number(step))
    return value.place(buffer, engine.compact(value.shape))


def along(axis: int, ndim: int, n: int, device: Any, dtype: Any = dtypes.int64) -> Value:
    """0, 1, ..., n - 1 along one of `ndim` axes, to be broadcast along the others."""
    count = arange(start=0, step=1, count=n, dtype=dtype, device=device)
    return registry["reshape"](count, shape=tuple(n if i == axis % ndim else 1 for i in range(ndim)))
