"""Arrays out of lists, numbers and ranges."""

from __future__ import annotations

from typing import Any

import numpy as np

from clnd import engine
from clnd.context import Context, current_context
from clnd.engine import dtypes
from clnd.errors import DTypeError, MXNetError, ShapeError
from clnd.ndarray import NDArray
from clnd.ops import registry

from .wrapping import unwrap

__all__ = ["arange", "array", "concatenate", "empty", "eye", "full", "linspace", "onehot_encode", "ones", "zeros"]


def chosen_context(ctx: Context | None) -> Context:
    """The context given, or else the current one."""
    return current_context() if ctx is None else Context(ctx)


def sizes(name: str, shape: Any) -> tuple[int, ...]:
    """The shape given, an int or several, as a tuple; the error names the function `name`."""
    try:
        found = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(n) for n in shape)
    except (TypeError, ValueError) as error:
        raise DTypeError(f"{name}: a shape is an int or several, not {shape!r}") from error
    if any(n < 0 for n in found):
        raise ShapeError(f"{name}: the shape {found} has a negative size")
    return found


def array(source_array: Any, ctx: Context | None = None, dtype: Any = None) -> NDArray:
    """An array with the elements of a list, a number, a NumPy array or another array.

    Parameters
    ----------
    source_array : array_like
    ctx : Context, optional
        Where; on the current context by default.
    dtype : optional
        By default that of an NDArray, and float32 for everything else.

    Raises
    ------
    TypeError
        If the source is no array, or the dtype unknown.

    Examples
    --------
    >>> from clnd import nd
    >>> nd.array([[1, 2], [3, 4]])
    <BLANKLINE>
    [[1. 2.]
     [3. 4.]]
    <NDArray 2x2 @cpu(0)>
    """
    context = chosen_context(ctx)
    if isinstance(source_array, NDArray):
        copied = source_array.copyto(context)
        return copied if dtype is None else copied.astype(dtype, copy=False)
    wanted = dtypes.float32 if dtype is None else dtypes.as_dtype(dtype)
    try:
        found = np.asarray(source_array)
        if found.dtype == object:
            if isinstance(source_array, (list, tuple)) and source_array and all(isinstance(x, NDArray) for x in source_array):
                found = np.asarray([x.asnumpy() for x in source_array])
            else:
                raise ValueError(f"its elements are no numbers ({type(source_array).__name__})")
        with np.errstate(invalid="ignore", over="ignore"):
            found = found.astype(wanted)
    except (ValueError, TypeError) as error:
        raise DTypeError(f"array: source_array must be array like: {error}") from error
    return NDArray(engine.from_numpy(found, context.device), context)


def _filled(name: str, shape: Any, value: Any, ctx: Context | None, dtype: Any) -> NDArray:
    context = chosen_context(ctx)
    found = dtypes.float32 if dtype is None else dtypes.as_dtype(dtype)
    return NDArray(registry["full"](shape=sizes(name, shape), value=value, dtype=found, device=context.device), context)


def _no_sparse(name: str, stype: str | None) -> None:
    if stype not in (None, "default"):
        raise MXNetError(f"{name}: clnd has no {stype} storage, only dense arrays")


def zeros(
    shape: Any, ctx: Context | None = None, dtype: Any = None, stype: str | None = None, out: NDArray | None = None, **kwargs: Any
) -> NDArray:
    """An array of zeros, float32 by default.

    >>> from clnd import nd
    >>> nd.zeros((2, 3)).shape
    (2, 3)
    """
    _no_sparse("zeros", stype)
    return _into(out, _filled("zeros", shape, 0, ctx, dtype))


def ones(shape: Any, ctx: Context | None = None, dtype: Any = None, out: NDArray | None = None, **kwargs: Any) -> NDArray:
    """An array of ones, float32 by default.

    >>> from clnd import nd
    >>> nd.ones(3).asnumpy()
    array([1., 1., 1.], dtype=float32)
    """
    return _into(out, _filled("ones", shape, 1, ctx, dtype))


def full(shape: Any, val: Any, ctx: Context | None = None, dtype: Any = np.float32, out: NDArray | None = None) -> NDArray:
    """An array with `val` everywhere.

    >>> from clnd import nd
    >>> nd.full((2,), 7).asnumpy()
    array([7., 7.], dtype=float32)
    """
    return _into(out, _filled("full", shape, val, ctx, dtype))


def empty(shape: Any, ctx: Context | None = None, dtype: Any = None, stype: str | None = None) -> NDArray:
    """An array whose elements may be anything; here they are zeros.

    >>> from clnd import nd
    >>> nd.empty((2, 2)).shape
    (2, 2)
    """
    _no_sparse("empty", stype)
    return _filled("empty", shape, 0, ctx, dtype)


def _into(out: NDArray | None, result: NDArray) -> NDArray:
    if out is None:
        return result
    out[:] = result
    return out


def arange(
    start: Any,
    stop: Any = None,
    step: Any = 1.0,
    repeat: int = 1,
    infer_range: Any = None,
    ctx: Context | None = None,
    dtype: Any = np.float32,
) -> NDArray:
    """Numbers from `start` (0 if only one is given) to `stop`, exclusive, `step` apart, each `repeat` times.

    >>> from clnd import nd
    >>> nd.arange(3).asnumpy()
    array([0., 1., 2.], dtype=float32)
    """
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise ShapeError("arange: the step is 0")
    context = chosen_context(ctx)
    count = max(0, int(np.ceil((stop - start) / step)))
    value = registry["arange"](start=start, step=step, count=count, dtype=dtype, device=context.device)
    return NDArray(value if repeat == 1 else registry["repeat"](value, repeats=repeat), context)


def linspace(start: float, stop: float, num: int, endpoint: bool = True, ctx: Context | None = None, dtype: Any = np.float32) -> NDArray:
    """`num` numbers, evenly spaced, from `start` to `stop`, which is the last with `endpoint`.

    >>> from clnd import nd
    >>> nd.linspace(0, 1, 5).asnumpy()
    array([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    if num < 0:
        raise ShapeError(f"linspace: the number of elements, {num}, is negative")
    context = chosen_context(ctx)
    gaps = num - 1 if endpoint else num
    step = (stop - start) / gaps if gaps > 0 else 0.0
    return NDArray(registry["arange"](start=start, step=step, count=num, dtype=dtype, device=context.device), context)


def concatenate(arrays: Any, axis: int = 0, always_copy: bool = True) -> NDArray:
    """The arrays of a list one after another along an axis.

    Parameters
    ----------
    arrays : list of NDArray
    axis : int, optional
    always_copy : bool, optional
        If not, one array alone is given back as it is.

    Examples
    --------
    >>> from clnd import nd
    >>> nd.concatenate([nd.array([[1, 2]]), nd.array([[3, 4]])]).asnumpy()
    array([[1., 2.],
           [3., 4.]], dtype=float32)
    """
    values, context = unwrap("concatenate", arrays)
    if len(values) == 1 and not always_copy and isinstance(arrays[0], NDArray):
        return arrays[0]
    return NDArray(registry["concat"](*values, dim=axis), context)


def eye(N: int, M: int = 0, k: int = 0, ctx: Context | None = None, dtype: Any = None) -> NDArray:
    """A matrix with ones on its k-th diagonal and zeros elsewhere. `M` columns, as many as rows if 0.

    >>> from clnd import nd
    >>> nd.eye(2).asnumpy()
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    context = chosen_context(ctx)
    found = dtypes.float32 if dtype is None else dtypes.as_dtype(dtype)
    indices = [
        registry["arange"](start=start, step=1, count=count, dtype=dtypes.int64, device=context.device)
        for start, count in ((k, N), (0, M or N))
    ]
    diagonal = registry["equal"](registry["expand_dims"](indices[0], axis=1), indices[1])
    return NDArray(registry["cast"](diagonal, dtype=found), context)


def onehot_encode(indices: NDArray, out: NDArray) -> NDArray:
    """Write into each row of `out` (rows, depth) a one at the row's index, and zeros elsewhere. The older form of `nd.one_hot`.

    >>> from clnd import nd
    >>> nd.onehot_encode(nd.array([1, 0]), out=nd.zeros((2, 2))).asnumpy()
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    if not (isinstance(indices, NDArray) and isinstance(out, NDArray)):
        raise DTypeError(f"onehot_encode takes two NDArrays, not {type(indices).__name__} and {type(out).__name__}")
    if out.ndim != 2 or indices.shape != out.shape[:1]:
        raise ShapeError(f"onehot_encode: indices (rows,) and out (rows, depth), not {indices.shape} and {out.shape}")
    out[:] = NDArray(registry["one_hot"](indices.value, depth=out.shape[1], dtype=out.dtype), indices.context)
    return out
