"""Regions of images, and the boxes around what is in them."""

from __future__ import annotations

from math import prod
from typing import Any

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Layout, compact
from clnd.errors import DTypeError, ShapeError

from .declare import composed, converted, launched, registry
from .sampling import apart, between, count, every, many, of_images, pair, parts, resample, wide

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
    index = engine.index_type([data.layout], result.size)
    kernel = device.kernel(
        "roi_pooling",
        f"roi_places__{data.dtype}",
        arguments=("buffer", *["buffer", index] * 3, *[index] * 10),
        index=index,
        storage=dtypes.INFO[data.dtype].storage,
    )
    buffer = device.allocate(result.size * 4)
    inputs = [argument for x in (data, bounds, batch) for argument in (x.buffer, x.offset)]
    for lower, upper in parts(rows, columns):
        rounds = (upper - lower) * columns
        block = max(1, min(channels, engine.ROUNDS // rounds)) if device.traits.schedule == "cpu" else 1
        kernel(*many(device, result.size // 2, 8 + rounds), buffer, *inputs, *shape[1:], images, rows, columns, block, lower, upper)
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
    (data,), dtype = wide(data)
    bounds = converted(registry["round"](converted(bounds, data.dtype) * float(spatial_scale)), dtypes.int32)
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
            near = registry["minimum"](number, 2 * n + 6)  # samples are half an element apart, or more: no more lie over the elements
            most = max(1, int(engine.to_numpy(registry["max"](converted(near, dtypes.int32)))))

    def spread(value: Value) -> Value:
        return registry["reshape"](value, shape=(value.size, 1, 1, 1, 1, 1))

    length, number = spread(length), spread(number)
    begin = spread(begin) + length * count(bins, begin, axis, 6, begin.dtype)
    step = count(most, begin, 4, 6, begin.dtype)
    if not samples:  # those before the first element are skipped, all but two that a rounding may have moved
        step = step + registry["maximum"](registry["floor"]((-1 - begin) * number / registry["maximum"](length, 1e-20) - 2), 0)
    position = begin + length * ((step + 0.5) / number)
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
    (data,), dtype = wide(data)
    corners = converted(corners, data.dtype) * float(spatial_scale) - (0.5 if aligned else 0.0)
    left, top, right, bottom = apart(corners, 1)
    samples = max(0, int(sample_ratio))
    wy, y = _bins(top, bottom, data.shape[2], height, 2, samples, bool(aligned))
    wx, x = _bins(left, right, data.shape[3], width, 3, samples, bool(aligned))
    return converted(resample(data, wy, wx, y, x, batch, sections=bool(position_sensitive)), dtype)


# --- boxes ---

FORMATS = ("corner", "center")


def _format(name: str, attribute: str, given: str) -> bool:
    """Is it the format of centres?"""
    if given not in FORMATS:
        raise DTypeError(f"{name}: {attribute} {given!r} is neither 'corner' nor 'center'")
    return given == "center"


def _corners(boxes: Value, centred: bool) -> tuple[list[Value], list[Value]]:
    """The lower and the upper ends, along both axes."""
    x, y, right, bottom = apart(boxes, boxes.ndim - 1)
    if not centred:
        return [x, y], [right, bottom]
    return [x - right / 2, y - bottom / 2], [x + right / 2, y + bottom / 2]


def _overlap(low: Value, high: Value) -> Value:
    return registry["maximum"](high - low, 0)


@composed(numpy=None, methods=[])
def box_iou(lhs: Value, rhs: Value, *, format: str = "corner") -> Value:
    """The area that two boxes share, divided by that which they cover together: for each box of `lhs` with each of `rhs`.

    Parameters
    ----------
    lhs, rhs : (..., 4)
    format : {"corner", "center"}
        "corner" for (left, top, right, bottom), "center" for (x, y, width, height).

    >>> from clnd import nd
    >>> nd.contrib.box_iou(nd.array([[0, 0, 2, 2]]), nd.array([[1, 0, 3, 2], [0, 0, 2, 2]])).asnumpy()
    array([[0.33333334, 1.        ]], dtype=float32)
    """
    centred, shape = _format("box_iou", "format", format), lhs.shape[:-1] + rhs.shape[:-1]
    for x in (lhs, rhs):
        if x.ndim < 1 or x.shape[-1] != 4:
            raise ShapeError(f"box_iou: boxes have four numbers along the last axis, not shape {x.shape}")
    (lhs, rhs), dtype = wide(lhs, rhs)
    lhs = registry["reshape"](lhs, shape=(lhs.size // 4, 1, 4))
    rhs = registry["reshape"](rhs, shape=(1, rhs.size // 4, 4))
    (low, high), (begin, end) = _corners(lhs, centred), _corners(rhs, centred)
    shared, first, second = (
        _overlap(*ends[0]) * _overlap(*ends[1])
        for ends in (
            [(registry["maximum"](low[i], begin[i]), registry["minimum"](high[i], end[i])) for i in range(2)],
            [(low[i], high[i]) for i in range(2)],
            [(begin[i], end[i]) for i in range(2)],
        )
    )
    union = first + second - shared
    covered = registry["greater"](union, 0)
    ratio = registry["where"](covered, shared, 0) / registry["where"](covered, union, 1)
    return converted(registry["reshape"](ratio, shape=shape), dtype)


BLOCK = 64  # boxes that are judged among themselves by one work-item, after the better ones have judged them


@launched(numpy=None, methods=[])
def nms_order(
    data: Value,
    *,
    overlap_thresh: float,
    valid_thresh: float,
    topk: int,
    coord_start: int,
    score_index: int,
    id_index: int,
    background_id: int,
    force_suppress: bool,
    centred: bool,
) -> Value:
    """The numbers of the boxes of `box_nms` that remain, (images, boxes): the best first, then -1."""
    data = engine.gathered(data)
    device, (images, boxes, size) = data.device, data.shape
    storage = dtypes.INFO[data.dtype].storage
    several = id_index >= 0 and not force_suppress
    topk = boxes if topk < 0 else min(topk, boxes)
    given = [data.buffer, data.offset, size, score_index, id_index, coord_start, background_id, several, topk, centred]
    order, state, kept = (device.allocate(4 * images * n) for n in (boxes, boxes, boxes + 1))

    def run(step: str, grid: Any, lower: int, upper: int, block: int = 0) -> None:
        reads = step != "compact"
        kernel = device.kernel(
            "nms",
            f"nms_{step}__{data.dtype}",
            arguments=("buffer", *["long"] * 9, storage, storage) * reads + ("buffer",) * 3 + ("long",) * 5,
            storage=storage,
            step=step,
        )
        kernel(*grid, *[*given, valid_thresh, overlap_thresh] * reads, order, state, kept, images, boxes, block, lower, upper)

    for lower, upper in parts(boxes, 1):
        run("rank", many(device, images * boxes, upper - lower), lower, upper)
    for block in range(0, boxes, BLOCK):
        for lower, upper in parts(min(block, topk), 1) or [(0, 0)]:
            run("others", ((BLOCK, images), None), lower, upper, block)
        if block < topk:
            run("block", ((images,), None), block, min(block + BLOCK, topk))
    for lower, upper in parts(boxes, 1):
        run("compact", ((images,), None), lower, upper)
    result = Value((images, boxes), dtypes.int32, device)
    return result.place(kept, Layout(result.shape, (boxes + 1, 1), 0))


@composed(numpy=None, methods=[])
def box_nms(
    data: Value,
    *,
    overlap_thresh: float = 0.5,
    valid_thresh: float = 0,
    topk: int = -1,
    coord_start: int = 2,
    score_index: int = 1,
    id_index: int = -1,
    background_id: int = -1,
    force_suppress: bool = False,
    in_format: str = "corner",
    out_format: str = "corner",
) -> Value:
    """Non-maximum suppression: the boxes that no better one overlaps too much, the best first, then rows of -1.

    Gradients flow back to the rows that remain.

    Parameters
    ----------
    data : (..., boxes, numbers)
        The numbers of a box: a score, four coordinates, and what else there is.
    overlap_thresh : float
        From which overlap on (see `box_iou`) a box goes.
    valid_thresh : float
        Only boxes with a larger score count.
    topk : int
        How many of the best count; all if negative. For 0 `data` comes back as it is.
    coord_start, score_index, id_index : int
        Where the coordinates, the score and the class stand; a negative `id_index` for boxes without a class.
    background_id : int
        Boxes of this class do not count.
    force_suppress : bool
        Do boxes suppress those of other classes, too?
    in_format, out_format : {"corner", "center"}
        "corner" for (left, top, right, bottom), "center" for (x, y, width, height).

    >>> from clnd import nd
    >>> nd.contrib.box_nms(nd.array([[0, 0.5, 0, 0, 2, 2], [0, 0.9, 0, 0, 2, 3]])).asnumpy()
    array([[ 0. ,  0.9,  0. ,  0. ,  2. ,  3. ],
           [-1. , -1. , -1. , -1. , -1. , -1. ]], dtype=float32)
    """
    shape = data.shape
    if data.ndim < 2:
        raise ShapeError(f"box_nms: the last two axes of data are boxes and their numbers, but its shape is {shape}")
    if dtypes.category(data.dtype) != "float":
        raise DTypeError(f"box_nms: boxes are floats, not {data.dtype}; convert with astype('float32')")
    if not (0 <= coord_start <= shape[-1] - 4 and 0 <= score_index < shape[-1] and id_index < shape[-1]):
        raise ShapeError(
            f"box_nms: coord_start {coord_start}, score_index {score_index} or id_index {id_index} is out of range for boxes of "
            f"{shape[-1]} numbers"
        )
    centred, wanted = _format("box_nms", "in_format", in_format), _format("box_nms", "out_format", out_format)
    if topk == 0 or data.size == 0:
        return registry["alias"](data)
    (boxes,), dtype = wide(data)
    boxes = registry["reshape"](boxes, shape=(prod(shape[:-2]), *shape[-2:]))
    order = nms_order(
        boxes,
        overlap_thresh=float(overlap_thresh),
        valid_thresh=float(valid_thresh),
        topk=int(topk),
        coord_start=int(coord_start),
        score_index=int(score_index),
        id_index=int(id_index),
        background_id=int(background_id),
        force_suppress=bool(force_suppress),
        centred=centred,
    )
    order = registry["reshape"](order, shape=(*order.shape, 1))
    boxes = registry["where"](registry["less"](order, 0), -1, _converted(_rows(boxes, order), coord_start, centred, wanted))
    return converted(registry["reshape"](boxes, shape=shape), dtype)


def _rows(data: Value, order: Value) -> Value:
    """The rows of each matrix in another order; zeros for a number that is none."""
    images, n, size = data.shape
    one = registry["full"](shape=(1,) * 5, value=1, dtype=data.dtype, device=data.device)
    y = registry["reshape"](order, shape=(images, 1, n, 1, 1))
    x = count(size, data, 3, dtype=dtypes.int32)
    rows = resample(registry["expand_dims"](data, axis=1), one, one, y, x, every(data))
    return registry["squeeze"](rows, axis=1)


def _converted(boxes: Value, start: int, centred: bool, wanted: bool) -> Value:
    """The boxes with their coordinates in the wanted format."""
    if centred == wanted:
        return boxes
    cut, last = registry["slice_axis"], boxes.ndim - 1
    low, high = _corners(cut(boxes, axis=last, begin=start, end=start + 4), centred)
    if wanted:
        low, high = [(a + b) / 2 for a, b in zip(low, high, strict=True)], [b - a for a, b in zip(low, high, strict=True)]
    coordinates = registry["stack"](*low, *high, axis=last)
    return registry["concat"](
        cut(boxes, axis=last, begin=0, end=start), coordinates, cut(boxes, axis=last, begin=start + 4, end=None), dim=last
    )
