"""Arrays out of lists, numbers and ranges."""

from __future__ import annotations

from typing import Any

import numpy as np

from clnd import engine
from clnd.context import Context, current_context
from clnd.engine import dtypes
from clnd.errors import DTypeError, MXNetError, ShapeError, guarded
from clnd.ndarray import NDArray
from clnd.ops import registry
from clnd.ops.declare import number, shape_of, whole_number

from .wrapping import unwrap

__all__ = ["arange", "array", "concatenate", "empty", "eye", "full", "linspace", "onehot_encode", "ones", "zeros"]


def chosen_context(ctx: Context | None) -> Context:
    """The context given, or else the current one."""
    return current_context() if ctx is None else Context(ctx)


@guarded
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
    shape, value = shape_of(name, shape), number(name, "val", value)
    return NDArray(registry["full"](shape=shape, value=value, dtype=found, device=context.device), context)


def _no_sparse(name: str, stype: str | None) -> None:
    if stype not in (None, "default"):
        raise MXNetError(f"{name}: clnd has no {str(stype)[:40]} storage, only dense arrays")


@guarded
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


@guarded
def ones(shape: Any, ctx: Context | None = None, dtype: Any = None, out: NDArray | None = None, **kwargs: Any) -> NDArray:
    """An array of ones, float32 by default.

    >>> from clnd import nd
    >>> nd.ones(3).asnumpy()
    array([1., 1., 1.], dtype=float32)
    """
    return _into(out, _filled("ones", shape, 1, ctx, dtype))


@guarded
def full(shape: Any, val: Any, ctx: Context | None = None, dtype: Any = np.float32, out: NDArray | None = None) -> NDArray:
    """An array with `val` everywhere.

    >>> from clnd import nd
    >>> nd.full((2,), 7).asnumpy()
    array([7., 7.], dtype=float32)
    """
    return _into(out, _filled("full", shape, val, ctx, dtype))


@guarded
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
    if not isinstance(out, NDArray):
        raise DTypeError(f"out is a {type(out).__name__}, not an NDArray")
    out[:] = result
    return out


@guarded
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
    start, stop, step = (number("arange", word, x) for word, x in (("start", start), ("stop", stop), ("step", step)))
    if not all(map(np.isfinite, map(float, (start, stop, step)))) or step == 0:
        raise ShapeError(f"arange: start, stop and step must be finite and step not 0, but are {start}, {stop} and {step}")
    context = chosen_context(ctx)
    (count,) = shape_of("arange", max(0, int(np.ceil((stop - start) / step))), "range")
    value = registry["arange"](start=start, step=step, count=count, dtype=dtype, device=context.device)
    return NDArray(value if repeat == 1 else registry["repeat"](value, repeats=repeat), context)


@guarded
def linspace(start: float, stop: float, num: int, endpoint: bool = True, ctx: Context | None = None, dtype: Any = np.float32) -> NDArray:
    """`num` numbers, evenly spaced, from `start` to `stop`, which is the last with `endpoint`.

    >>> from clnd import nd
    >>> nd.linspace(0, 1, 5).asnumpy()
    array([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    (num,) = shape_of("linspace", whole_number("linspace", "num", num), "number of elements")
    start, stop = number("linspace", "start", start), number("linspace", "stop", stop)
    context = chosen_context(ctx)
    gaps = num - 1 if endpoint else num
    step = (stop - start) / gaps if gaps > 0 else 0.0
    return NDArray(registry["arange"](start=start, step=step, count=num, dtype=dtype, device=context.device), context)


@guarded
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


@guarded
def eye(N: int, M: int = 0, k: int = 0, ctx: Context | None = None, dtype: Any = None) -> NDArray:
    """A matrix with ones on its k-th diagonal and zeros elsewhere. `M` columns, as many as rows if 0.

    >>> from clnd import nd
    >>> nd.eye(2).asnumpy()
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    context = chosen_context(ctx)
    found = dtypes.float32 if dtype is None else dtypes.as_dtype(dtype)
    N, M, k = (whole_number("eye", word, x) for word, x in (("N", N), ("M", M), ("k", k)))
    shape_of("eye", (N, M or N))
    indices = [
        registry["arange"](start=start, step=1, count=count, dtype=dtypes.int64, device=context.device)
        for start, count in ((k, N), (0, M or N))
    ]
    diagonal = registry["equal"](registry["expand_dims"](indices[0], axis=1), indices[1])
    return NDArray(registry["cast"](diagonal, dtype=found), context)


@guarded
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
