"""Windows that fold what they see: the largest number, the sum, the mean or a norm."""

from __future__ import annotations

from math import prod
from typing import Any

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import compact
from clnd.errors import DTypeError, ShapeError

from . import direct
from .declare import composed, converted, launched, registry, zero
from .patches import spread
from .seen import ROUNDS
from .windows import Geometry, geometry, launch

TYPES = ("max", "avg", "sum", "lp")


def _fold(data: Value, picked: Value | None, shape: Geometry, fold: str) -> Value:
    """What the windows see in images (images, *size), folded to (images, *places)."""
    result = Value((data.shape[0], *shape.places), dtypes.int32 if fold == "first" else data.dtype, data.device)
    if result.size and not data.size:
        number = {"max": float("-inf"), "first": -1}.get(fold, 0)
        return engine.ready(registry["full"](shape=result.shape, value=number, dtype=result.dtype, device=data.device))
    if picked is None and result.size:
        there = direct.folded(data, shape, fold)
        if there is not None:
            return there
    if result.size:
        given = [engine.gathered(x) for x in (data, picked) if x is not None]
        storage = dtypes.INFO[data.dtype].storage
        launch("pooling", f"pooling_{fold}", result, given, shape, (data.shape[0],), folded=True, fold=fold, storage=storage)
    return result


@launched(grad=lambda dz, shape: registry["unpooled_sum"](dz, shape=shape))
def pooled_sum(data: Value, *, shape: Geometry) -> Value:
    """The sums of what windows see in images (images, *size)."""
    return _fold(data, None, shape, "sum")


@launched(grad=lambda dz, shape: pooled_sum(dz, shape=shape))
def unpooled_sum(data: Value, *, shape: Geometry) -> Value:
    """The images in which each place of a window has added its number to all that the window sees there."""
    there = direct.spread(data, shape)
    return spread(data, None, shape) if there is None else there


@launched(grad=lambda dz, z, data, shape: registry["unpooled"](dz, registry["pooled_first"](data, z, shape=shape), shape=shape))
def pooled_max(data: Value, *, shape: Geometry) -> Value:
    """The largest number that each window sees in images (images, *size); NaN where there is one, -inf where it sees nothing."""
    return _fold(data, None, shape, "max")


@launched(grad=(zero, zero), methods=[])
def pooled_first(data: Value, found: Value, *, shape: Geometry) -> Value:
    """Where in each window the number `found` for it stands first: the offset, counted in order, or -1."""
    return _fold(data, found, shape, "first")


@launched(grad=(lambda dz, picks, shape: registry["unpooled"](dz, picks, shape=shape),), methods=[])
def pooled_picks(data: Value, picks: Value, *, shape: Geometry) -> Value:
    """What each window sees at one of its offsets."""
    return _fold(data, picks, shape, "take")


@launched(grad=(lambda dz, picks, shape: pooled_picks(dz, picks, shape=shape),), methods=[])
def unpooled(data: Value, picks: Value, *, shape: Geometry) -> Value:
    """The images in which each place of a window has added its number to what the window sees at one of its offsets."""
    device, size = data.device, prod(shape.size)
    rounds = size // device.traits.lanes + 2 * prod(shape.places) + device.traits.lanes
    here = device.traits.schedule == "cpu" and device.traits.lanes > 1 and rounds <= ROUNDS
    if not here or not size or not data.size or data.dtype == dtypes.float16:
        return spread(data, picks, shape)
    data, picks = engine.gathered(data), engine.gathered(picks)
    result, images = Value((data.shape[0], *shape.size), data.dtype, device), data.shape[0]
    index = engine.index_type([data.layout, picks.layout], max(result.size, 4 * max(shape.arguments())))
    kernel = device.kernel(
        "unpooling",
        f"unpooling__{data.dtype}",
        arguments=("buffer", *["buffer", index] * 2, *[index] * 19),
        index=index,
        storage=dtypes.INFO[data.dtype].storage,
    )
    buffer = device.allocate(result.size * data.dtype.itemsize)
    items = max(min(images, 4 * device.traits.compute_units), -(-images * rounds // ROUNDS))
    kernel((items,), (1,), buffer, data.buffer, data.offset, picks.buffer, picks.offset, images, *shape.arguments())
    return result.place(buffer, compact(result.shape))


def _root(data: Value, order: int) -> Value:
    """The root of numbers that are not negative, whose gradient at 0 shall be 0."""
    if order == 1:
        return data
    nothing = registry["equal"](data, 0)
    return registry["where"](nothing, 0, registry["sqrt" if order == 2 else "cbrt"](registry["where"](nothing, 1, data)))


def _largest(lines: Value) -> Value:
    """The largest number of each line (images, numbers); the first of several gets the gradient."""
    return registry["pick"](lines, registry["argmax"](lines, axis=1), axis=1)


def _counts(images: Value, shape: Geometry, padding: bool) -> Any:
    """How many numbers a mean is taken over: one for all windows, or an array (1, *places)."""
    after = [
        (n - 1) * s + k - p - size for n, s, k, p, size in zip(shape.places, shape.stride, shape.window, shape.pad, shape.size, strict=True)
    ]
    if all(over <= (p if padding else 0) for over, p in zip(after, shape.pad, strict=True)) and (padding or not any(shape.pad)):
        return prod(shape.window)
    size, pad = shape.size, shape.pad
    if padding:  # what stands out beyond the padding does not count
        size, pad = tuple(n + 2 * p for n, p in zip(size, pad, strict=True)), (0,) * len(pad)
    ones = registry["full"](shape=(1, *size), value=1, dtype=images.dtype, device=images.device)
    counted = Geometry(size, shape.window, shape.stride, shape.dilate, pad, shape.places)
    return registry["maximum"](pooled_sum(ones, shape=counted), 1)


@composed(numpy=None, methods=[])
def Pooling(
    data: Value,
    *,
    kernel: Any = (),
    pool_type: str = "max",
    global_pool: bool = False,
    pooling_convention: str = "valid",
    stride: Any = (),
    pad: Any = (),
    p_value: int | None = None,
    count_include_pad: bool = True,
) -> Value:
    """What a window sees at each of its places in images (batch, channels, *size), folded to one number.

    Parameters
    ----------
    kernel, stride, pad : tuple of int
        The window's size, the distances of its places, and how far it may stand out of the images.
    pool_type : {"max", "avg", "sum", "lp"}
        The largest number, of which the first gets the gradient, -inf where there is none and NaN where there is one; the mean; the sum;
        the `p_value`-th root of the sum of the `p_value`-th powers, `p_value` 1, 2 or 3.
    global_pool : bool
        Is the whole image one window?
    pooling_convention : {"valid", "full", "same"}
        Places are counted rounding down, or up, so that the last may stand out further; or as many as steps fit into the padded image.
    count_include_pad : bool
        Does the padding count in a mean, as zeros?

    >>> from clnd import nd
    >>> nd.Pooling(nd.array([[[1, 4, 2, 3]]]), kernel=(2,), stride=(2,)).asnumpy()
    array([[[4., 3.]]], dtype=float32)
    """
    if pool_type not in TYPES:
        raise DTypeError(f"Pooling: pool_type {pool_type!r} is not one of {', '.join(TYPES)}")
    if pool_type == "lp" and p_value not in (1, 2, 3):
        raise DTypeError(f"Pooling: with pool_type 'lp' p_value must be 1, 2 or 3, not {p_value}")
    if dtypes.category(data.dtype) != "float":
        raise DTypeError(f"Pooling is not defined for {data.dtype}; convert with astype() first")
    if not 3 <= data.ndim <= 5:
        raise ShapeError(f"Pooling: data of {data.ndim} axes; it takes a batch, channels, and one to three axes more")
    reshape, power = registry["reshape"], p_value or 1
    size, dtype = data.shape[2:], data.dtype
    images = converted(reshape(data, shape=(prod(data.shape[:2]), *size)), dtypes.promote(dtype, dtypes.float32))
    if pool_type == "lp":
        images = images if power == 1 else images * images if power == 2 else images * images * images
    if global_pool:
        lines, places = reshape(images, shape=(images.shape[0], prod(size))), (1,) * len(size)
        result = _largest(lines) if pool_type == "max" else registry["mean" if pool_type == "avg" else "sum"](lines, axis=1)
    else:
        shape = geometry("Pooling", size, kernel, stride, (), pad, pooling_convention)
        places = shape.places
        result = (pooled_max if pool_type == "max" else pooled_sum)(images, shape=shape)
        if pool_type == "avg":
            result = result / _counts(images, shape, count_include_pad)
    if pool_type == "lp":
        result = _root(result, power)
    return reshape(converted(result, dtype), shape=(*data.shape[:2], *places))
