"""Regions of images, and the boxes around what is in them."""

from __future__ import annotations

from typing import Any

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import compact
from clnd.errors import ShapeError

from .declare import composed, converted, launched, registry
from .sampling import apart, between, count, many, of_images, pair, parts, resample, wide

# --- regions ---


def _regions(name: str, data: Value, rois: Value) -> tuple[Value, Value]:
    """The regions as constants, (left, top, right, bottom) each, and their images."""
    of_images(name, data)
    if rois.ndim != 2 or rois.shape[1] != 5:
        raise ShapeError(f"{name}: rois must have shape (regions, 5), each (image, left, top, right, bottom), but has {rois.shape}")
    registry[name].device([data, rois])
    rois, cut = registry["stop_gradient"](rois), registry["slice_axis"]
    batch = registry["reshape"](cut(rois, axis=1, begin=0, end=1), shape=(rois.shape[0],))
    return cut(rois, axis=1, begin=1, end=5), converted(batch, dtypes.int32)


@launched(numpy=None, methods=[])
def roi_places(data: Value, bounds: Value, batch: Value, *, height: int, width: int) -> Value:
    """Where the largest element of each bin of each region lies: rows, then columns, (2, regions, channels, height, width).

    -1 for a bin of no elements, or of an image that does not exist. Of equal elements the first one.
    """
    images, channels, rows, columns = data.shape
    shape = (2, batch.shape[0], channels, height, width)
    result = Value(shape, dtypes.int32, data.device)
    if result.size == 0 or data.size == 0:
        return registry["full"](shape=shape, value=-1, dtype=dtypes.int32, device=data.device)
    data, bounds, batch = (engine.gathered(x) for x in (data, bounds, batch))
    device = data.device
    kernel = device.kernel(
        "roi_pooling",
        f"roi_places__{data.dtype}",
        arguments=("buffer", *["buffer", "long"] * 3, *["long"] * 9),
        storage=dtypes.INFO[data.dtype].storage,
    )
    buffer = device.allocate(result.size * 4)
    inputs = [argument for x in (data, bounds, batch) for argument in (x.buffer, x.offset)]
    for lower, upper in parts(rows, columns):
        grid = many(device, result.size // 2, (upper - lower) * columns)
        kernel(*grid, buffer, *inputs, *shape[1:], images, rows, columns, lower, upper)
    return result.place(buffer, compact(shape))


@composed(numpy=None, methods=[])
def ROIPooling(data: Value, rois: Value, *, pooled_size: Any, spatial_scale: float) -> Value:
    """The largest elements of the bins of regions (Girshick, Fast R-CNN, 2015); zeros where a bin has none.

    Where a region begins and ends is rounded to whole elements, both inside. Bins are cut in whole numbers. No gradient flows to `rois`.

    Parameters
    ----------
    rois : (regions, 5)
        The number of the image, left, top, right, bottom of each.
    pooled_size : (int, int)
        Rows and columns of bins.
    spatial_scale : float
        From the coordinates of `rois` to elements of `data`.

    >>> from clnd import nd
    >>> nd.ROIPooling(nd.array([[[[1, 2], [3, 4]]]]), nd.array([[0, 0, 0, 1, 1]]), pooled_size=(1, 2), spatial_scale=1).asnumpy()
    array([[[[3., 4.]]]], dtype=float32)
    """
    height, width = pair("ROIPooling", "pooled_size", pooled_size)
    bounds, batch = _regions("ROIPooling", data, rois)
    (data, bounds), dtype = wide(data, bounds)
    bounds = converted(registry["round"](bounds * float(spatial_scale)), dtypes.int32)
    places = registry["expand_dims"](roi_places(data, bounds, batch, height=height, width=width), axis=5)
    y, x = apart(places, 0)
    one = registry["full"](shape=(1,) * 5, value=1, dtype=data.dtype, device=data.device)
    return converted(resample(data, one, one, y, x, batch), dtype)


def _bins(begin: Value, end: Value, n: int, bins: int, axis: int, samples: int, aligned: bool) -> tuple[Value, Value]:
    """Means over samples, evenly spaced in each of the bins between `begin` and `end`, of n elements interpolated.

    `samples` for each bin; 0 for one an element, which waits for the device, since the largest region decides how long the lists are.
    """
    length = registry["maximum"](end - begin, 0.0 if aligned else 1.0) / bins
    number, most = registry["full"](shape=(1,), value=samples, dtype=begin.dtype, device=begin.device), samples
    if not samples:
        number, most = registry["maximum"](registry["ceil"](length), 1), 1
        if number.size:
            most = int(engine.to_numpy(registry["max"](converted(number, dtypes.int32))))

    def spread(value: Value) -> Value:
        return registry["reshape"](value, shape=(value.size, 1, 1, 1, 1, 1))

    begin, length, number = spread(begin), spread(length), spread(number)
    step = count(most, begin, 4, 6, begin.dtype)
    position = begin + length * (count(bins, begin, axis, 6, begin.dtype) + (step + 0.5) / number)
    known = registry["logical_and"](registry["greater_equal"](position, -1), registry["less_equal"](position, n))
    known = registry["logical_and"](known, registry["less"](step, number))
    position = registry["minimum"](registry["maximum"](position, 0), n - 1)
    whole = registry["floor"](position)
    weights, places = between(whole, position - whole)
    shape = (*weights.shape[:4], 2 * most)
    return (
        registry["reshape"](registry["where"](known, weights / number, 0), shape=shape),
        registry["reshape"](registry["where"](known, places, -1), shape=shape),
    )


@composed(numpy=None, methods=[])
def ROIAlign(
    data: Value,
    rois: Value,
    *,
    pooled_size: Any,
    spatial_scale: float,
    sample_ratio: int = -1,
    position_sensitive: bool = False,
    aligned: bool = False,
) -> Value:
    """Means over interpolated samples in the bins of regions (He et al., Mask R-CNN, 2017). No gradient flows to `rois`.

    Parameters
    ----------
    rois : (regions, 5)
        The number of the image, left, top, right, bottom of each. Zeros come out for an image that does not exist.
    pooled_size : (int, int)
        Rows and columns of bins.
    spatial_scale : float
        From the coordinates of `rois` to elements of `data`.
    sample_ratio : int
        Samples along each side of a bin; 0 or less for one an element, rounded up, which waits for the device.
    position_sensitive : bool
        Does each bin read channels of its own? Then there are bins times as many in `data` as in the result.
    aligned : bool
        Are the coordinates those of edges, half an element before the middles? Otherwise a region has at least the size of one element.

    >>> from clnd import nd
    >>> data = nd.array([[[[1, 2], [3, 4]]]])
    >>> nd.contrib.ROIAlign(data, nd.array([[0, 0, 0, 1, 1]]), pooled_size=(1, 2), spatial_scale=1, sample_ratio=1).asnumpy()
    array([[[[2.25, 2.75]]]], dtype=float32)
    """
    height, width = pair("ROIAlign", "pooled_size", pooled_size)
    corners, batch = _regions("ROIAlign", data, rois)
    if position_sensitive and data.shape[1] % (height * width):
        raise ShapeError(f"ROIAlign: {data.shape[1]} channels are not {height} * {width} equal parts, as position_sensitive needs them")
    (data, corners), dtype = wide(data, corners)
    corners = corners * float(spatial_scale) - (0.5 if aligned else 0.0)
    left, top, right, bottom = apart(corners, 1)
    samples = max(0, int(sample_ratio))
    wy, y = _bins(top, bottom, data.shape[2], height, 2, samples, bool(aligned))
    wx, x = _bins(left, right, data.shape[3], width, 3, samples, bool(aligned))
    return converted(resample(data, wy, wx, y, x, batch, sections=bool(position_sensitive)), dtype)
