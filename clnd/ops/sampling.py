"""Images at other places: interpolated, pooled over regions, resized, compared at displacements.

What reads at places that arrays give is one operator, `resample`: sums of elements, weighted by lists of rows and of columns. Its gradients
are two more of the same kind, and these three are closed under differentiation. Other sizes are `resized`, an axis at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape, compact
from clnd.errors import DTypeError, ShapeError, shown

from .creation import along
from .declare import broadcast_shapes, composed, converted, launched, registry, shape_of

Arguments = list[Any]


def parts(count: int, rounds: int) -> list[tuple[int, int]]:
    """The ranges that launches take of a sum over `count` terms, of `rounds` rounds each, for no work-item to take too many."""
    step = max(1, engine.ROUNDS // max(1, rounds))
    return [(begin, min(count, begin + step)) for begin in range(0, count, step)]


def many(device: Any, size: int, rounds: int) -> Any:
    """The grid for `size` elements that take `rounds` rounds of a loop each."""
    return engine.grid(device.traits, size, max(1, engine.ROUNDS // (max(1, rounds) * device.traits.lanes)))


# --- sums of elements, weighted by lists ---


def _sizes(name: str, lists: Sequence[Value], batch: Value, planes: int, sections: bool) -> tuple[Shape, Arguments]:
    """The shape of the result, and as strides which channel of the image (c, h, w) reads: c, or with `sections` one of its own."""
    shape = broadcast_shapes(name, [x.shape[:4] for x in lists])
    height, width = shape[2:]
    section = height * width if sections else 1
    strides = [section, width, 1] if sections else [1, 0, 0]
    return (batch.shape[0], planes // max(1, section), height, width), strides


def _table(value: Value, shape: Shape) -> tuple[Value, Arguments]:
    """A list, and its kernel arguments: buffer, start and the strides with which it is walked over `shape`."""
    seen = engine.ready(registry["broadcast_to"](value, shape=(*shape, value.shape[-1])))
    return seen, [seen.buffer, seen.offset, *seen.layout.strides]


def _resample(
    step: str, made: Shape, arrays: Sequence[Value], weights: Sequence[Value], y: Value, x: Value, batch: Value, image: Shape, **how: Any
) -> Value:
    """Launch a kernel of templates/resample.cl.mako, as often as it takes."""
    device, dtype = arrays[0].device, arrays[0].dtype
    result = Value(made, dtype, device)
    shape, sections = how["shape"], how["sections"]
    images, planes, rows, columns = image
    if result.size == 0 or prod(image) == 0 or prod(shape) == 0 or y.size == 0 or x.size == 0:
        return registry["full"](shape=made, value=0, dtype=dtype, device=device)
    arrays, batch = [engine.gathered(array) for array in arrays], engine.gathered(batch)
    lists, channels = (*weights, y, x), shape[1]
    cpu, wanted = device.traits.schedule == "cpu", device.traits.compute_units * 4
    terms = y.shape[-1] * x.shape[-1]
    block = max(1, min(channels, engine.ROUNDS // terms)) if cpu and all(given.shape[1] == 1 for given in lists) else 1
    grid: Any
    if step == "resample_back":
        group = 1 if cpu else device.traits.group
        wanted = wanted if cpu else device.traits.compute_units * 256
        block = max(1, min(block, channels * images // wanted))
        owners = images * -(-channels // block)
        grid = ((min(rows, -(-wanted // owners)), -(-owners // group) * group), (1, group))
        # Rounds of one element each, which are a quarter of what those of lanes may come to.
        ranges = parts(shape[0] * shape[2] * shape[3], 4 + block * y.shape[-1] * (1 + x.shape[-1]) // 4)
        result = engine.ready(registry["full"](shape=made, value=0, dtype=dtype, device=device))
    else:
        block = max(1, min(block, result.size // wanted))
        ranges = parts(*((y.shape[-1], x.shape[-1]) if step == "resample" else (channels, x.shape[-1])))
        grid = many(device, result.size, 8 + ranges[0][1] * (2 + x.shape[-1]))
        result.place(device.allocate(result.size * dtype.itemsize), compact(made))
    tables = [_table(given, shape) for given in lists]
    layouts = [*(array.layout for array in arrays), *(given.layout for given, _ in tables)]
    index = engine.index_type(layouts, max(result.size, prod(image), prod(shape) * y.shape[-1]))
    kernel = engine.kept(
        (device, step, dtype, index),
        lambda: device.kernel(
            "resample",
            f"{step}__{dtype}",
            arguments=("buffer", *["buffer", index] * len(arrays), *["buffer", *[index] * 6] * len(tables), "buffer", *[index] * 19),
            index=index,
            storage=dtypes.INFO[dtype].storage,
            step=step,
        ),
    )
    along = (columns, 1, rows, columns) if how.get("swapped") else (rows, columns, columns, 1)
    sizes = (batch.offset, *shape, images, planes, *along, y.shape[-1], x.shape[-1], *sections, block)
    given = [argument for array in arrays for argument in (array.buffer, array.offset)]
    given += [argument for _, table in tables for argument in table]
    for lower, upper in ranges:
        kernel(*grid, result.buffer, *given, batch.buffer, *sizes, lower, upper)
    return result


@launched(
    grad=(
        lambda dz, wy, wx, y, x, batch, data_shape, sections: registry["resample_back"](
            dz, wy, wx, y, x, batch, image=data_shape, sections=sections
        ),
        lambda dz, data, wx, y, x, batch, sections: registry["resample_weights"](
            dz, data, wx, y, x, batch, columns=False, sections=sections
        ),
        lambda dz, data, wy, y, x, batch, sections: registry["resample_weights"](
            dz, data, wy, x, y, batch, columns=True, sections=sections
        ),
    ),
    numpy=None,
)
def resample(data: Value, wy: Value, wx: Value, y: Value, x: Value, batch: Value, *, sections: bool = False) -> Value:
    """Sums of elements: out[r, c, h, w] = sum over j, i of wy[..., j] wx[..., i] data[batch[r], c, y[..., j], x[..., i]].

    The lists have the shape (r, c, h, w, number), broadcast; weights are the same for all channels. What lies outside of the image is zero.

    Parameters
    ----------
    sections : bool
        Are the channels of the image in sections of h * w, of which each bin (h, w) reads its own?
    """
    shape, strides = _sizes("resample", (wy, wx, y, x), batch, data.shape[1], sections)
    return _resample("resample", shape, [data], [wy, wx], y, x, batch, data.shape, shape=shape, sections=strides)


@launched(
    grad=(
        lambda dz, wy, wx, y, x, batch, sections: resample(dz, wy, wx, y, x, batch, sections=sections),
        lambda dz, data, wx, y, x, batch, sections: registry["resample_weights"](
            data, dz, wx, y, x, batch, columns=False, sections=sections
        ),
        lambda dz, data, wy, y, x, batch, sections: registry["resample_weights"](
            data, dz, wy, x, y, batch, columns=True, sections=sections
        ),
    ),
    numpy=None,
)
def resample_back(data: Value, wy: Value, wx: Value, y: Value, x: Value, batch: Value, *, image: Shape, sections: bool) -> Value:
    """What `resample` does, backwards: the gradient of an image, from that of the sums. Added up in their order, whatever the device."""
    shape, strides = _sizes("resample_back", (wy, wx, y, x), batch, image[1], sections)
    return _resample("resample_back", image, [data], [wy, wx], y, x, batch, image, shape=shape, sections=strides)


def _with_weights(own: Value, other: Value, k: Value, i: Value, columns: bool) -> tuple[Value, Value, Value, Value]:
    """The lists of `resample_weights` in the order of `resample`: those of rows first."""
    return (other, own, i, k) if columns else (own, other, k, i)


@launched(
    grad=(
        lambda dz, image, weights, own, other, batch, columns, sections: resample(
            image, *_with_weights(dz, weights, own, other, columns), batch, sections=sections
        ),
        lambda dz, data, image_shape, weights, own, other, batch, columns, sections: registry["resample_back"](
            data, *_with_weights(dz, weights, own, other, columns), batch, image=image_shape, sections=sections
        ),
        lambda dz, data, image, own, other, batch, columns, sections: registry["resample_weights"](
            data, image, dz, other, own, batch, columns=not columns, sections=sections
        ),
    ),
    numpy=None,
)
def resample_weights(
    data: Value, image: Value, weights: Value, own: Value, other: Value, batch: Value, *, columns: bool, sections: bool
) -> Value:
    """The gradient of the weights of rows, or of `columns`, in `resample`: `own` are their places, `weights` and `other` the other list."""
    shape, strides = _sizes("resample_weights", (weights, own, other), batch, image.shape[1], sections)
    made = (shape[0], 1, *shape[2:], own.shape[-1])
    return _resample(
        "resample_weights", made, [data, image], [weights], own, other, batch, image.shape, shape=shape, sections=strides, swapped=columns
    )


# --- lists ---


def count(size: int, like: Value, axis: int, ndim: int = 5, dtype: Any = dtypes.int64) -> Value:
    """0, 1, ... along one axis of a list."""
    return along(axis, ndim, size, like.device, dtype)


def every(data: Value) -> Value:
    """Each image once."""
    return along(0, 1, data.shape[0], data.device, dtypes.int32)


def between(whole: Value, fraction: Value) -> tuple[Value, Value]:
    """The two neighbours of positions, along a last axis which `whole` and `fraction` have, of one element: weights, and places."""
    off = count(2, fraction, -1, fraction.ndim, fraction.dtype)
    return (1 - off) + (off * 2 - 1) * fraction, converted(whole + off, dtypes.int32)


def wide(*arrays: Value) -> tuple[list[Value], np.dtype[Any]]:
    """The arrays in the float that is computed in, and the dtype of the result: float16 is rounded once, at the end."""
    dtype = dtypes.floating(arrays[0].dtype)
    for array in arrays[1:]:
        dtype = dtypes.promote(dtype, array.dtype)
    wide = dtypes.promote(dtype, dtypes.float32)
    return [converted(array, wide) for array in arrays], dtype


def of_images(name: str, data: Value) -> None:
    """Check that an array has the axes of images."""
    if data.ndim != 4:
        raise ShapeError(f"{name}: data must have the axes (images, channels, rows, columns), but has shape {data.shape}")


def apart(value: Value, axis: int) -> list[Value]:
    """The parts along an axis, without it."""
    parts = (registry["slice_axis"](value, axis=axis, begin=i, end=i + 1) for i in range(value.shape[axis]))
    return [registry["squeeze"](part, axis=axis) for part in parts]


def pair(name: str, attribute: str, given: Any) -> tuple[int, int]:
    """A size of rows and columns; one number stands for both."""
    sizes = given if isinstance(given, (tuple, list)) else (given,)
    if len(sizes) not in (1, 2) or not all(isinstance(n, (int, np.integer)) and n > 0 for n in sizes):
        raise ShapeError(f"{name}: {attribute} is a pair of positive sizes (rows, columns), not {shown(given)}")
    rows, columns = shape_of(name, (sizes[0], sizes[-1]), attribute)
    return rows, columns


# --- places ---


def _even(n: int, like: Value, axis: int) -> Value:
    """-1 to 1 in n even steps along an axis of a grid; 0 where there is one place."""
    return (
        count(n, like, axis, 4, like.dtype) * (2 / (n - 1)) - 1
        if n > 1
        else registry["full"](shape=(1,) * 4, value=0, dtype=like.dtype, device=like.device)
    )


@composed(numpy=None, methods=[])
def GridGenerator(data: Value, *, transform_type: str, target_shape: Any = (0, 0)) -> Value:
    """Places for `BilinearSampler`: x and y, from -1 to 1.

    Parameters
    ----------
    transform_type : {"affine", "warp"}
        "affine": `data` (images, 6) holds the matrices, by rows, that make x and y in the source from (x, y, 1) in the target. "warp":
        `data` (images, 2, height, width) says how many elements further right and down each place is. An axis of one place is at 0.
    target_shape : (int, int)
        Height and width, for "affine".

    >>> from clnd import nd
    >>> nd.GridGenerator(nd.array([[1, 0, 0.5, 0, 1, 0]]), transform_type="affine", target_shape=(1, 2)).asnumpy()
    array([[[[-0.5,  1.5]],
    <BLANKLINE>
            [[ 0. ,  0. ]]]], dtype=float32)
    """
    (data,), dtype = wide(data)
    if transform_type == "warp":
        if data.ndim != 4 or data.shape[1] != 2:
            raise ShapeError(f"GridGenerator: for warp the data must have shape (images, 2, height, width), but has {data.shape}")
        height, width = data.shape[2:]
        even = registry["concat"](
            *(registry["broadcast_to"](_even(n, data, axis), shape=(1, 1, height, width)) for n, axis in ((width, 3), (height, 2))), dim=1
        )
        steps = registry["concat"](
            *(registry["full"](shape=(1, 1, 1, 1), value=2 / max(n - 1, 1), dtype=data.dtype, device=data.device) for n in (width, height)),
            dim=1,
        )
        return converted(data * steps + even, dtype)
    if transform_type != "affine":
        raise DTypeError(f"GridGenerator: transform_type {transform_type!r} is neither 'affine' nor 'warp'")
    if data.ndim != 2 or data.shape[1] != 6:
        raise ShapeError(f"GridGenerator: for affine the data must have shape (images, 6), but has {data.shape}")
    height, width = pair("GridGenerator", "target_shape", target_shape)
    matrix = registry["reshape"](data, shape=(data.shape[0], 2, 1, 1, 3))
    of_x, of_y, shift = apart(matrix, 4)
    return converted(of_x * _even(width, data, 3) + of_y * _even(height, data, 2) + shift, dtype)


@composed(numpy=None, methods=[])
def SpatialTransformer(
    data: Value, loc: Value, *, target_shape: Any = (0, 0), transform_type: str = "affine", sampler_type: str = "bilinear"
) -> Value:
    """Images under affine maps: `BilinearSampler` at the places of `GridGenerator` (Jaderberg et al., Spatial Transformer Networks, 2015).

    Parameters
    ----------
    loc : (images, 6)
        The matrices. See `GridGenerator`.

    >>> from clnd import nd
    >>> mirrored = nd.array([[-1, 0, 0, 0, 1, 0]])
    >>> nd.SpatialTransformer(nd.array([[[[1, 2], [3, 4]]]]), mirrored, target_shape=(2, 2)).asnumpy()
    array([[[[2., 1.],
             [4., 3.]]]], dtype=float32)
    """
    if (transform_type, sampler_type) != ("affine", "bilinear"):
        raise DTypeError(f"SpatialTransformer knows 'affine' and 'bilinear', not {transform_type!r} and {sampler_type!r}")
    of_images("SpatialTransformer", data)
    if loc.shape != (data.shape[0], 6):
        raise ShapeError(f"SpatialTransformer: loc must have shape ({data.shape[0]}, 6), a matrix an image, but has {loc.shape}")
    grid = GridGenerator(loc, transform_type="affine", target_shape=pair("SpatialTransformer", "target_shape", target_shape))
    return registry["BilinearSampler"](data, grid)


# --- other sizes ---

_RUN, _LINES = 512, 16  # positions that a work-item of the CPU schedule takes together: elements one after another, or of as many lines


def _linear(n: int, size: int, how: str) -> tuple[int, int, int]:
    """Where the first of `size` even positions over n elements lies, how far they are apart, and the unit of both: nothing is rounded."""
    if how == "corners" or size == 1:
        return 0, (n - 1 if size > 1 else 0), max(size - 1, 1)
    return n - size, 2 * n, 2 * size


def _resize(data: Value, axis: int, n: int, size: int, how: str, step: str) -> Value:
    """Launch templates/resize.cl.mako, as often as it takes."""
    device, dtype, made = data.device, data.dtype, size if step == "forth" else n
    result = Value((*data.shape[:axis], made, *data.shape[axis + 1 :]), dtype, device)
    if result.size == 0:
        return registry["full"](shape=result.shape, value=0, dtype=dtype, device=device)
    outer, inner = prod(data.shape[:axis]), prod(data.shape[axis + 1 :])
    shift, stride, unit = _linear(n, size, how)
    if step == "forth":
        terms = n // size + 2 if how == "mean" else 2
    else:
        near = size // n if how == "mean" else (2 * unit + max(0, -shift)) // stride if stride else size
        terms = min(size, near + 2)
    traits, data = device.traits, engine.gathered(data)
    lines = inner * data.shape[axis], inner * made
    if traits.schedule == "cpu" and inner < traits.lanes:  # by elements of the inner axes, over lines
        runs = (inner, outer, 1, 1, *reversed(lines), _LINES)
    else:
        runs = (outer, inner, *reversed(lines), 1, 1, _RUN if traits.schedule == "cpu" else 1)
    numbers, form = (n, size, stride, shift, unit, *runs[:2], inner, *runs[2:]), "mean" if how == "mean" else "linear"
    index = engine.index_type([data.layout], max(result.size, 2 * (n + 1) * (size + 1)))
    kernel = device.kernel(
        "resize",
        f"resize_{form}_{step}__{dtype}",
        arguments=("buffer", "buffer", *[index] * 16),
        index=index,
        storage=dtypes.INFO[dtype].storage,
        how=form,
        step=step,
    )
    buffer = device.allocate(result.size * dtype.itemsize)
    for lower, upper in parts(terms, runs[-1]):
        grid = many(device, result.size, 4 + upper - lower)
        kernel(*grid, buffer, data.buffer, data.offset, *numbers, lower, upper)
    return result.place(buffer, compact(result.shape))


@launched(
    grad=lambda dz, data_shape, axis, how: registry["resized_back"](dz, axis=axis, size=data_shape[axis], how=how), numpy=None, methods=[]
)
def resized(data: Value, *, axis: int, size: int, how: str) -> Value:
    """An axis with `size` elements, each a weighted sum of neighbours.

    Parameters
    ----------
    how : {"mean", "corners", "edges"}
        Means over as many parts, which may overlap; or interpolated linearly at even places: from the middle of the first element to that
        of the last one, or so that the outer edges stay. One place alone is the first element.
    """
    return _resize(data, axis, data.shape[axis], size, how, "forth")


@launched(grad=lambda dz, data_shape, axis, how: resized(dz, axis=axis, size=data_shape[axis], how=how), numpy=None, methods=[])
def resized_back(data: Value, *, axis: int, size: int, how: str) -> Value:
    """What `resized` does, backwards: the gradient of an axis of `size` elements, from that of the result."""
    return _resize(data, axis, size, data.shape[axis], how, "back")


def _separable(data: Value, height: int, width: int, how: str) -> Value:
    """Images resized alike along both axes: first where the fewer elements come out."""
    sizes = {2: height, 3: width}
    for axis in (2, 3) if height < data.shape[2] else (3, 2):
        data = resized(data, axis=axis, size=sizes[axis], how=how)
    return data


@composed(numpy=None, methods=[])
def AdaptiveAvgPooling2D(data: Value, *, output_size: Any = ()) -> Value:
    """Means over as many parts of each image, which may overlap, as the result has elements.

    Parameters
    ----------
    output_size : int or (int, int)
        Rows and columns of the result; one of each without it.

    >>> from clnd import nd
    >>> nd.contrib.AdaptiveAvgPooling2D(nd.array([[[[1, 2, 3, 4]]]]), output_size=(1, 2)).asnumpy()
    array([[[[1.5, 3.5]]]], dtype=float32)
    """
    of_images("AdaptiveAvgPooling2D", data)
    height, width = pair("AdaptiveAvgPooling2D", "output_size", output_size or 1)
    if 0 in data.shape[2:]:
        raise ShapeError(f"AdaptiveAvgPooling2D: images without elements, of shape {data.shape}, have no mean")
    (data,), dtype = wide(data)
    if height == width == 1:
        return converted(registry["mean"](data, axis=(2, 3), keepdims=True), dtype)
    return converted(_separable(data, height, width, "mean"), dtype)


_ROUNDED: dict[str, Callable[[int], int]] = {  # to which size a mode rounds that of an axis
    "to_even_down": lambda n: n - n % 2,
    "to_even_up": lambda n: n + n % 2,
    "to_odd_down": lambda n: n - 1 + n % 2,
    "to_odd_up": lambda n: n + 1 - n % 2,
}


def _new_size(n: int, size: int, scale: float | None, mode: str) -> int:
    """The size that BilinearResize2D gives an axis of n elements."""
    if mode in _ROUNDED:
        return _ROUNDED[mode](n)
    if scale is None:
        return int(size)
    return int((n - 1) * scale) + 1 if mode == "odd_scale" and n % 2 else int(n * scale)


@composed(numpy=None, methods=[])
def BilinearResize2D(
    data: Value,
    like: Value | None = None,
    *,
    height: int = 1,
    width: int = 1,
    scale_height: float | None = None,
    scale_width: float | None = None,
    mode: str = "size",
    align_corners: bool = True,
) -> Value:
    """The images with other numbers of rows and columns, interpolated linearly along both.

    Parameters
    ----------
    mode : str
        "size": `height` and `width`, or the scales times those of `data`, rounded down. "odd_scale": an odd size less one is scaled,
        and one added. "like": those of the array `like`. "to_even_down", "to_even_up", "to_odd_down", "to_odd_up": to the next such size.
    align_corners : bool
        Do the middles of the first and last elements stay in place? Otherwise the outer edges do. One row or column alone is the first.

    >>> from clnd import nd
    >>> nd.contrib.BilinearResize2D(nd.array([[[[1, 3]]]]), height=1, width=3).asnumpy()
    array([[[[1., 2., 3.]]]], dtype=float32)
    """
    of_images("BilinearResize2D", data)
    if mode not in ("size", "odd_scale", "like", *_ROUNDED):
        raise DTypeError(f"BilinearResize2D: mode {mode!r} is not one of size, odd_scale, like, {', '.join(_ROUNDED)}")
    if (mode == "like") != (like is not None):
        raise DTypeError("BilinearResize2D: mode 'like' takes a second array, the other modes take none")
    if like is not None:
        of_images("BilinearResize2D", like)
        sizes = like.shape[2:]
    else:
        given = ((data.shape[2], height, scale_height), (data.shape[3], width, scale_width))
        sizes = tuple(_new_size(n, size, scale, mode) for n, size, scale in given)
    if min(sizes) < 1 or 0 in data.shape[2:]:
        raise ShapeError(f"BilinearResize2D: data of shape {data.shape} cannot be given {sizes[0]} rows and {sizes[1]} columns")
    (data,), dtype = wide(data)
    return converted(_separable(data, sizes[0], sizes[1], "corners" if align_corners else "edges"), dtype)


# --- images compared at displacements ---


class Geometry(NamedTuple):
    """The attributes of `Correlation`."""

    kernel_size: int
    max_displacement: int
    stride1: int
    stride2: int
    pad_size: int
    is_multiply: bool

    def result(self, shape: Shape) -> Shape:
        """The shape of the result for images of `shape`."""
        border = self.max_displacement + (self.kernel_size - 1) // 2
        sizes = (-(-(n + 2 * self.pad_size - 2 * border) // self.stride1) for n in shape[2:])
        return (shape[0], (2 * (self.max_displacement // self.stride2) + 1) ** 2, *sizes)


def _correlate(step: str, of: str, arrays: Sequence[Value], geometry: Geometry) -> Value:
    """Launch a kernel of templates/correlation.cl.mako, as often as it takes."""
    device, dtype, image = arrays[-1].device, arrays[-1].dtype, arrays[-1].shape
    outputs = geometry.result(image)
    result = Value(image if step == "back" else outputs, dtype, device)
    if prod(image) == 0 or prod(outputs) == 0:
        return registry["full"](shape=result.shape, value=0, dtype=dtype, device=device)
    arrays = [engine.gathered(array) for array in arrays]
    kernel = device.kernel(
        "correlation",
        f"correlation_{step}_{of}__{dtype}",
        arguments=("buffer", *["buffer", "long"] * len(arrays), *["long"] * 13),
        storage=dtypes.INFO[dtype].storage,
        step=step,
        of=of,
        absolute=not geometry.is_multiply,
    )
    buffer = device.allocate(result.size * dtype.itemsize)
    inputs = [argument for x in arrays for argument in (x.buffer, x.offset)]
    window = geometry.kernel_size**2
    ranges = parts(outputs[1] if step == "back" else image[1], window)
    grid = many(device, result.size, ranges[0][1] * window)
    for lower, upper in ranges:
        kernel(*grid, buffer, *inputs, *image, *outputs[2:], *geometry[:5], lower, upper)
    return result.place(buffer, compact(result.shape))


@launched(
    grad=(
        lambda dz, data1, data2, geometry: registry["correlation_back"](dz, data1, data2, of="first", geometry=geometry),
        lambda dz, data1, data2, geometry: registry["correlation_back"](dz, data1, data2, of="second", geometry=geometry),
    ),
    numpy=None,
)
def correlation(data1: Value, data2: Value, *, geometry: Geometry) -> Value:
    """`Correlation` of floats of one dtype."""
    return _correlate("value", "both", [data1, data2], geometry)


def _back_of_other(side: str) -> Any:
    """The rule of `correlation_back` for one of the images: the gradient of the other's gradient, which is linear in it for products."""

    def rule(dz: Value, data: Value, data1: Value, data2: Value, of: str, geometry: Geometry) -> Value | None:
        if of == side or not geometry.is_multiply:
            return None
        return correlation_back(data, *((data1, dz) if side == "first" else (dz, data2)), of=side, geometry=geometry)

    return rule


@launched(
    grad=(
        lambda dz, data1, data2, of, geometry: correlation_along(dz, data1, data2, of=of, geometry=geometry),
        _back_of_other("first"),
        _back_of_other("second"),
    ),
    numpy=None,
)
def correlation_back(data: Value, data1: Value, data2: Value, *, of: str, geometry: Geometry) -> Value:
    """The gradient of the "first" or "second" image of `correlation`, from that of its result."""
    return _correlate("back", of, [data, data1, data2], geometry)


@launched(grad=lambda dz, data1, data2, of, geometry: registry["correlation_back"](dz, data1, data2, of=of, geometry=geometry), numpy=None)
def correlation_slope(data: Value, data1: Value, data2: Value, *, of: str, geometry: Geometry) -> Value:
    """How `correlation` by absolute differences changes where its "first" or "second" image changes by `data`."""
    return _correlate("along", of, [data, data1, data2], geometry)


def correlation_along(data: Value, data1: Value, data2: Value, of: str, geometry: Geometry) -> Value:
    """How `correlation` changes where its "first" or "second" image changes by `data`."""
    if not geometry.is_multiply:
        return correlation_slope(data, data1, data2, of=of, geometry=geometry)
    return correlation(data, data2, geometry=geometry) if of == "first" else correlation(data1, data, geometry=geometry)


@composed(numpy=None, methods=[])
def Correlation(
    data1: Value,
    data2: Value,
    *,
    kernel_size: int = 1,
    max_displacement: int = 1,
    stride1: int = 1,
    stride2: int = 1,
    pad_size: int = 0,
    is_multiply: bool = True,
) -> Value:
    """How alike two images are at displacements: a channel for each (Dosovitskiy et al., FlowNet, 2015).

    Parameters
    ----------
    kernel_size : int
        Size, odd, of the windows whose elements are multiplied; the result is their mean, over all channels.
    max_displacement : int
        How far the second image is moved, each way.
    stride1, stride2 : int
        Steps between the windows of the first image, and between displacements.
    pad_size : int
        Zeros around both images.
    is_multiply : bool
        Products of elements? Otherwise the absolute values of their differences.

    >>> from clnd import nd
    >>> first, second = nd.array([[[[1, 2, 3]]]]), nd.array([[[[3, 5, 7]]]])
    >>> nd.Correlation(first, second, max_displacement=0).asnumpy()
    array([[[[ 3., 10., 21.]]]], dtype=float32)
    """
    of_images("Correlation", data1)
    if data1.shape != data2.shape:
        raise ShapeError(f"Correlation: the images differ in shape, {data1.shape} and {data2.shape}")
    registry["correlation"].device([data1, data2])
    geometry = Geometry(int(kernel_size), int(max_displacement), int(stride1), int(stride2), int(pad_size), bool(is_multiply))
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ShapeError(f"Correlation: kernel_size must be odd, not {kernel_size}")
    if min(stride1, stride2) < 1 or min(max_displacement, pad_size) < 0:
        raise ShapeError(f"Correlation: strides are positive, and displacements and paddings not negative: {geometry}")
    if min(geometry.result(data1.shape)[2:]) < 1:
        raise ShapeError(f"Correlation: images of shape {data1.shape} are too small for {geometry}; give a larger pad_size")
    (data1, data2), dtype = wide(data1, data2)
    return converted(correlation(data1, data2, geometry=geometry), dtype)
