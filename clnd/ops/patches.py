"""Patches of an array as columns of a matrix, and back: convolutions are products of these."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any, NamedTuple

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape, compact
from clnd.errors import DTypeError, ShapeError

from .creation import full_like
from .declare import launched, registry, whole_numbers

SEGMENT = 32  # elements of a row that a work-item of the cpu schedule adds up together
_BITS = {1: "uchar", 2: "ushort", 4: "uint", 8: "ulong"}


class Geometry(NamedTuple):
    """Where patches lie: for each spatial axis its size, the number of patches, and the kernel's size, stride, dilation and padding."""

    sizes: Shape
    out: Shape
    kernel: Shape
    stride: Shape
    dilate: Shape
    pad: Shape

    @classmethod
    def of(cls, name: str, sizes: Shape, kernel: Any, stride: Any, dilate: Any, pad: Any) -> Geometry:
        """Check the attributes of the operator `name`; a number stands for all axes, () or None for the default."""
        kernel, stride, dilate, pad = (
            each_axis(name, word, given, len(sizes), least)
            for word, given, least in (("kernel", kernel, 1), ("stride", stride, 1), ("dilate", dilate, 1), ("pad", pad, 0))
        )
        span = [n + 2 * p - d * (k - 1) - 1 for n, k, d, p in zip(sizes, kernel, dilate, pad, strict=True)]
        if any(room < 0 for room in span):
            raise ShapeError(f"{name}: kernel {kernel} with dilate {dilate} is larger than the array, {sizes} with pad {pad}")
        return cls(sizes, tuple(room // s + 1 for room, s in zip(span, stride, strict=True)), kernel, stride, dilate, pad)

    def arguments(self) -> list[int]:
        """The kernel arguments, axis by axis."""
        return [n for axis in zip(*self, strict=True) for n in axis]

    def index_type(self, planes: int) -> str:
        """What holds the position of any element of data or columns, even of the padding."""
        padded = planes * prod(n + 2 * p for n, p in zip(self.sizes, self.pad, strict=True))
        return engine.index_type([], max(padded, planes * prod(self.kernel) * prod(self.out)))


def each_axis(name: str, word: str, given: Any, dims: int, least: int) -> Shape:
    """The attribute `word` for each of `dims` axes: a number stands for all, () or None for `least`, which none may be below."""
    found = whole_numbers(name, word, () if given is None else given) or (least,) * dims
    if given is not None and not isinstance(given, Iterable):
        found *= dims
    if len(found) != dims or min(found, default=least) < least:
        raise ShapeError(f"{name}: {word} {found} must have a number of at least {least} for each of the {dims} spatial axes")
    return found


def _spatial(name: str, data: Value) -> Shape:
    if data.ndim < 3:
        raise ShapeError(f"{name}: data of shape {data.shape} has no spatial axes; it must be (batch, channels, ...)")
    return data.shape[2:]


@launched(
    grad=lambda dz, data_shape, kernel, stride, dilate, pad: registry["col2im"](
        dz, output_size=data_shape[2:], kernel=kernel, stride=stride, dilate=dilate, pad=pad
    ),
    methods=[],
)
def im2col(data: Value, *, kernel: Any, stride: Any = (), dilate: Any = (), pad: Any = ()) -> Value:
    """The patches of `data` (batch, channels, spatial axes...) that a kernel sees, as columns (batch, channels * kernel, positions).

    Parameters
    ----------
    kernel, stride, dilate, pad : int or tuple of int
        The kernel's size on each spatial axis, of which there may be any number; how far positions, and elements of a patch, are apart; how
        many zeros stand before and behind each axis.

    >>> from clnd import nd
    >>> nd.im2col(nd.array([[[1, 2, 3, 4]]]), kernel=2).asnumpy()
    array([[[1., 2., 3.],
            [2., 3., 4.]]], dtype=float32)
    """
    geometry = Geometry.of("im2col", _spatial("im2col", data), kernel, stride, dilate, pad)
    batch, channels = data.shape[:2]
    result = Value((batch, channels * prod(geometry.kernel), prod(geometry.out)), data.dtype, data.device)
    if data.size == 0 or result.size == 0:
        return full_like(result, 0)
    data, device = engine.gathered(data), data.device
    index, dims = geometry.index_type(batch * channels), len(geometry.sizes)
    launch = device.kernel(
        "patches",
        f"im2col__{data.dtype}_{dims}d",
        arguments=("buffer", "buffer", *[index] * (2 + 6 * dims)),
        step="im2col",
        dims=dims,
        storage=_BITS[data.dtype.itemsize],
        index=index,
    )
    buffer = device.allocate(result.size * data.dtype.itemsize)
    grid = engine.grid(device.traits, result.size, engine.ROUNDS // 4)
    launch(*grid, buffer, data.buffer, data.offset, result.size, *geometry.arguments())
    return result.place(buffer, compact(result.shape))


@launched(
    grad=lambda dz, kernel, stride, dilate, pad: im2col(dz, kernel=kernel, stride=stride, dilate=dilate, pad=pad),
    methods=[],
)
def col2im(data: Value, *, output_size: Any, kernel: Any, stride: Any = (), dilate: Any = (), pad: Any = ()) -> Value:
    """Columns added up where `im2col` has them from: an array (batch, channels, *output_size).

    Parameters
    ----------
    output_size : tuple of int
        The sizes of the spatial axes.
    kernel, stride, dilate, pad : int or tuple of int
        As of `im2col`.

    >>> from clnd import nd
    >>> nd.col2im(nd.array([[[1, 2, 3], [2, 3, 4]]]), output_size=(4,), kernel=2).asnumpy()
    array([[[1., 4., 6., 4.]]], dtype=float32)
    """
    sizes = whole_numbers("col2im", "output_size", output_size)
    geometry = Geometry.of("col2im", sizes, kernel, stride, dilate, pad)
    positions, category = prod(geometry.kernel), dtypes.category(data.dtype)
    if data.ndim != 3 or data.shape[1] % positions or data.shape[2] != prod(geometry.out) or not sizes:
        raise ShapeError(
            f"col2im: columns of shape {data.shape} do not fit output_size {sizes}, kernel {geometry.kernel}: "
            f"they must be (batch, a multiple of {positions}, {prod(geometry.out)})"
        )
    if category == "bool":
        raise DTypeError("col2im is not defined for bool; convert with astype() first")
    batch, channels = data.shape[0], data.shape[1] // positions
    result = Value((batch, channels, *sizes), data.dtype, data.device)
    if result.size == 0:
        return result
    data, device, info = engine.gathered(data), data.device, dtypes.INFO[data.dtype]
    traits, index, dims = device.traits, geometry.index_type(batch * channels), len(sizes)
    segment = SEGMENT if traits.schedule == "cpu" else 1
    launch = device.kernel(
        "patches",
        f"col2im__{data.dtype}_{dims}d",
        arguments=("buffer", "buffer", *[index] * (5 + 6 * dims)),
        step="col2im",
        dims=dims,
        storage=info.storage,
        compute=info.compute if category == "float" else "ulong" if data.dtype.itemsize == 8 else "uint",
        segment=segment,
        index=index,
    )
    buffer = device.allocate(result.size * data.dtype.itemsize)
    across = -(-sizes[-1] // segment)
    segments = result.size // sizes[-1] * across
    part = min(positions, 4 * engine.ROUNDS // segment)  # of the kernel's positions, that a launch adds up
    grid = engine.grid(traits, segments, max(1, 4 * engine.ROUNDS // (part * segment * traits.lanes)))
    for begin in range(0, positions, part):
        end = min(positions, begin + part)
        launch(*grid, buffer, data.buffer, data.offset, segments, across, begin, end, *geometry.arguments())
    return result.place(buffer, compact(result.shape))
