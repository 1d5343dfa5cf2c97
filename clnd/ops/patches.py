"""What a window sees at each of its places in an image, as columns: that makes a matrix product of a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.errors import ShapeError

from .declare import converted, launched, registry
from .windows import Geometry, geometry, launch


def columns(data: Value, shape: Geometry, *, together: bool = False) -> Value:
    """The columns (images, channels, offsets, places) of images; `together` (channels, offsets, images, places)."""
    images, channels = data.shape[:2]
    offsets, places = prod(shape.window), prod(shape.places)
    order = (channels, offsets, images, places) if together else (images, channels, offsets, places)
    if data.size == 0:  # there are places all the same where the window sees only what surrounds the images
        return engine.ready(registry["full"](shape=order, value=0, dtype=data.dtype, device=data.device))
    storage = dtypes.INFO[data.dtype].storage.replace("half", "ushort")
    steps = _steps(shape, images, channels, together)
    given, result = engine.gathered(data), Value(order, data.dtype, data.device)
    return launch("patches", "patches", result, [given], shape, (images, channels), steps, folded=False, **_types(storage, back=False))


def images_of(data: Value, shape: Geometry, *, together: bool = False) -> Value:
    """The images whose elements are the sums of the columns that look at them; these as `columns` gives them."""
    images, channels = (data.shape[2], data.shape[0]) if together else data.shape[:2]
    wide = dtypes.promote(data.dtype, dtypes.float32) if dtypes.category(data.dtype) == "float" else data.dtype
    result = Value((images, channels, *shape.size), wide, data.device)
    if result.size and not data.size:  # there are images all the same where no place looks at them
        return engine.ready(registry["full"](shape=result.shape, value=0, dtype=data.dtype, device=data.device))
    if result.size:
        types = _types(dtypes.INFO[wide].storage, back=True)
        steps = _steps(shape, images, channels, together)
        given = engine.gathered(converted(data, wide))
        launch("patches", "patches_back", result, [given], shape, (images, channels), steps, folded=True, **types)
    return converted(result, data.dtype)


def spread(data: Value, picks: Value | None, shape: Geometry) -> Value:
    """The images (images, *size) whose elements are the sums of the numbers (images, *places) of the places whose window sees them.

    Parameters
    ----------
    picks : Value, optional
        For each place the one offset in the window, as int32, at which the element stands that gets its number.
    """
    result = Value((data.shape[0], *shape.size), data.dtype, data.device)
    if result.size:
        given = [engine.gathered(x) for x in (data, picks) if x is not None]
        types = _types(dtypes.INFO[data.dtype].storage, back=True, picks=picks is not None)
        name = "patches_back" if picks is None else "pooling_back"
        launch("patches", name, result, given, shape, (data.shape[0], 1), (prod(shape.places), 0, 0), folded=True, **types)
    return result


def _steps(shape: Geometry, images: int, channels: int, together: bool) -> tuple[int, int, int]:
    """How far the columns of images, channels and offsets are apart."""
    offsets, places = prod(shape.window), prod(shape.places)
    return (places, offsets * images * places, images * places) if together else (channels * offsets * places, offsets * places, places)


def _types(storage: str, *, back: bool, picks: bool = False) -> dict[str, Any]:
    """What the template is told: sums of signed integers are those of unsigned ones, which may overflow."""
    unsigned = "u" + storage if storage in ("char", "int", "long") else storage
    return {"storage": storage, "unsigned": unsigned, "back": back, "picks": picks}


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
    return images_of(registry["reshape"](data, shape=(batch, channels, window, places)), shape)
