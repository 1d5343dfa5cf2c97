"""What a window sees at each of its places in an image, as columns: that makes a matrix product of a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape, compact
from clnd.errors import DTypeError, ShapeError

from .declare import converted, launched, registry

_ROUNDS = engine.ROUNDS // 8  # elements for a work-item: each takes a few rounds of its loops where runs are short
_RUN = 1024  # elements that a work-item of the CPU schedule copies in one go, and
_RUN_BACK, _OFFSETS = 128, 64  # that it adds up, for so many offsets of the window in a launch


@dataclass(frozen=True)
class Geometry:
    """How a window goes over images of 1 to 3 axes.

    Attributes
    ----------
    size : tuple of int
        Of an image.
    window, stride, dilate, pad : tuple of int
        The window's size, the distances of its places and of the elements that it sees, and how far it may stand out on either side.
    """

    size: Shape
    window: Shape
    stride: Shape
    dilate: Shape
    pad: Shape

    @property
    def places(self) -> Shape:
        """How many places the window has along each axis."""
        sizes = zip(self.size, self.window, self.stride, self.dilate, self.pad, strict=True)
        return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, d, p in sizes)

    def arguments(self) -> list[int]:
        """What the template takes, for three axes."""
        missing = 3 - len(self.size)
        rows = [(self.size, 1), (self.window, 1), (self.stride, 1), (self.dilate, 1), (self.pad, 0), (self.places, 1)]
        return [number for row, other in rows for number in (*[other] * missing, *row)]


def geometry(name: str, size: Shape, kernel: Any, stride: Any, dilate: Any, pad: Any) -> Geometry:
    """The geometry for attributes: numbers for images of one axis, or tuples; those not given are 1, and no padding.

    Raises
    ------
    ShapeError
        Where they do not fit the number of axes, are out of range, or the window has no place.
    """
    ndim = len(size)
    if not 1 <= ndim <= 3:
        raise ShapeError(f"{name}: data of {ndim + 2} axes; it takes a batch, channels, and one to three axes more")
    rows = []
    for word, given, default, least in (
        ("kernel", kernel, None, 1),
        ("stride", stride, 1, 1),
        ("dilate", dilate, 1, 1),
        ("pad", pad, 0, 0),
    ):
        row = per_axis(name, word, given, ndim, default)
        if any(n < least for n in row):
            raise ShapeError(f"{name}: {word} is {row}, but must be {least} or more")
        rows.append(row)
    found = Geometry(size, *rows)
    if any(n < 1 for n in found.places):
        raise ShapeError(f"{name}: the kernel {found.window}, dilated by {found.dilate}, exceeds the image {size} padded by {found.pad}")
    return found


def per_axis(name: str, word: str, given: Any, ndim: int, default: int | None) -> Shape:
    """An attribute as a tuple with a number for each axis: `default` where it is empty."""
    if given is None or (isinstance(given, (tuple, list)) and not given):
        if default is None:
            raise DTypeError(f"{name}: the attribute {word} must be given")
        return (default,) * ndim
    row = given if isinstance(given, (tuple, list)) else (given,)
    if len(row) != ndim or not all(isinstance(n, (int, np.integer)) for n in row):
        raise ShapeError(f"{name}: {word} is {given}, but must be {ndim} whole number(s), one for each axis of an image")
    return tuple(int(n) for n in row)


def columns(data: Value, shape: Geometry, *, together: bool = False) -> Value:
    """The columns (images, channels, offsets, places) of compact data; `together` (channels, offsets, images, places)."""
    images, channels = data.shape[:2]
    order = (images, channels, prod(shape.window), prod(shape.places))
    result = Value((order[1], order[2], order[0], order[3]) if together else order, data.dtype, data.device)
    if data.size == 0:  # there are places all the same where the window sees only what surrounds the images
        return engine.ready(registry["full"](shape=result.shape, value=0, dtype=data.dtype, device=data.device))
    info = dtypes.INFO[data.dtype]
    _launch(
        result, engine.gathered(data), "patches", shape, images, channels, together, result.size, info.storage.replace("half", "ushort")
    )
    return result


def images(data: Value, shape: Geometry, *, together: bool = False) -> Value:
    """The sums (images, channels, *size) of columns, as `columns` gives them, at the elements that they come from."""
    count, channels = (data.shape[2], data.shape[0]) if together else data.shape[:2]
    wide = dtypes.promote(data.dtype, dtypes.float32) if dtypes.category(data.dtype) == "float" else data.dtype
    result = Value((count, channels, *shape.size), wide, data.device)
    if result.size:
        work = result.size * min(prod(shape.window), _OFFSETS)
        given = engine.gathered(converted(data, wide))
        _launch(result, given, "patches_back", shape, count, channels, together, work, dtypes.INFO[wide].storage)
    return converted(result, data.dtype)


def _launch(
    result: Value, given: Value, name: str, shape: Geometry, count: int, channels: int, together: bool, work: int, storage: str
) -> None:
    device, back = result.device, name == "patches_back"
    offsets, places = prod(shape.window), prod(shape.places)
    steps = (places, offsets * count * places, count * places) if together else (channels * offsets * places, offsets * places, places)
    arguments = shape.arguments()
    index = engine.index_type([given.layout], max(result.size, 2 * max(arguments), sum(arguments[-6:])))
    kernel = device.kernel(
        "patches",
        f"{name}__{result.dtype}",
        arguments=("buffer", "buffer", *[index] * (25 + 2 * back)),
        back=back,
        index=index,
        storage=storage,
        unsigned="u" + storage if dtypes.category(result.dtype) == "int" else storage,
    )
    buffer = device.allocate(result.size * result.dtype.itemsize)
    segment = 1 if device.traits.schedule == "gpu" else _RUN_BACK if back else _RUN
    grid = engine.grid(device.traits, work, _ROUNDS)
    for begin in range(0, offsets, _OFFSETS) if back else (0,):
        part = (begin, min(offsets, begin + _OFFSETS)) if back else ()
        kernel(*grid, buffer, given.buffer, given.offset, count, channels, *arguments, *steps, segment, *part)
    result.place(buffer, compact(result.shape))


@launched(
    grad=lambda dz, data_shape, kernel, stride, dilate, pad: registry["col2im"](
        dz, output_size=data_shape[2:], kernel=kernel, stride=stride, dilate=dilate, pad=pad
    ),
    methods=[],
)
def im2col(data: Value, *, kernel: Any, stride: Any = (), dilate: Any = (), pad: Any = ()) -> Value:
    """What a window sees at each of its places in images (batch, channels, *size): (batch, channels * elements of the window, places).

    Parameters
    ----------
    kernel, stride, dilate, pad : tuple of int
        The window's size, the distances of its places and of the elements that it sees, and how many zeros surround the images.

    >>> from clnd import nd
    >>> nd.im2col(nd.array([[[[1, 2, 3]]]]), kernel=(1, 2)).asnumpy()
    array([[[1., 2.],
            [2., 3.]]], dtype=float32)
    """
    shape = geometry("im2col", data.shape[2:], kernel, stride, dilate, pad)
    return registry["reshape"](columns(data, shape), shape=(data.shape[0], data.shape[1] * prod(shape.window), prod(shape.places)))


@launched(
    grad=lambda dz, kernel, stride, dilate, pad: im2col(dz, kernel=kernel, stride=stride, dilate=dilate, pad=pad),
    methods=[],
)
def col2im(data: Value, *, output_size: Sequence[int], kernel: Any, stride: Any = (), dilate: Any = (), pad: Any = ()) -> Value:
    """Images of size `output_size` whose elements are the sums of what `data` (as of `im2col`) holds for them.

    >>> from clnd import nd
    >>> nd.col2im(nd.array([[[1, 2], [2, 3]]]), output_size=(1, 3), kernel=(1, 2)).asnumpy()
    array([[[[1., 4., 3.]]]], dtype=float32)
    """
    size = output_size if isinstance(output_size, (tuple, list)) else (output_size,)
    shape = geometry("col2im", tuple(int(n) for n in size), kernel, stride, dilate, pad)
    window, places = prod(shape.window), prod(shape.places)
    if data.ndim != 3 or data.shape[1] % window or data.shape[2] != places:
        raise ShapeError(f"col2im: data of shape {data.shape}, but for these attributes it must be (batch, channels * {window}, {places})")
    batch, channels = data.shape[0], data.shape[1] // window
    return images(registry["reshape"](data, shape=(batch, channels, window, places)), shape)
