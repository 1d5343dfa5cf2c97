"""Cases of the families that sample images, find boxes in them, and transform signals."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from clnd.ops.sampling import Geometry
from ops.case import Call, Case, Draw, cases, floated, indices, magnitudes
from ops.table import FLOATS, Array, Shape

WIDE = ("float32", "float64")  # what the inner operators compute in

# --- sums of elements ---


def looked_up(data: Array, y: Array, x: Array, batch: Array, sections: bool) -> Array:
    """data[batch[r], plane(r, c, h, w), y, x] with (r, c, h, w, j, i) as its axes; zeros for what does not exist."""
    images, planes, rows, columns = data.shape
    _, _, height, width, _ = np.broadcast_shapes(y.shape[:4] + (1,), x.shape[:4] + (1,))
    channels = planes // (height * width) if sections else planes
    shape = (len(batch), channels, height, width)
    y = np.broadcast_to(y, (*shape, y.shape[-1]))[..., :, None]
    x = np.broadcast_to(x, (*shape, x.shape[-1]))[..., None, :]
    c, h, w = (np.arange(n).reshape([-1 if i == axis else 1 for i in range(6)]) for axis, n in zip((1, 2, 3), shape[1:], strict=True))
    plane = (c * height + h) * width + w if sections else c
    b = batch.reshape(-1, 1, 1, 1, 1, 1)
    known = (b >= 0) & (b < images) & (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
    at = (np.where(known, i, 0) for i in (b, plane, y, x))
    return np.where(known, data[tuple(np.broadcast_arrays(*at))], 0)


def resample(data: Array, wy: Array, wx: Array, y: Array, x: Array, batch: Array, sections: bool = False) -> Array:
    return np.sum(looked_up(data, y, x, batch, sections) * wy[..., :, None] * wx[..., None, :], axis=(4, 5))


def resample_back(data: Array, wy: Array, wx: Array, y: Array, x: Array, batch: Array, image: Shape, sections: bool) -> Array:
    """Element by element: how much of it each sum has."""
    size = int(np.prod(image))
    units = np.eye(size, dtype=data.dtype).reshape(size, *image)
    return np.array([np.sum(resample(unit, wy, wx, y, x, batch, sections) * data) for unit in units]).reshape(image)


def resample_weights(
    data: Array, image: Array, weights: Array, own: Array, other: Array, batch: Array, columns: bool, sections: bool
) -> Array:
    found = looked_up(image, other, own, batch, sections) if columns else looked_up(image, own, other, batch, sections)
    found = np.swapaxes(found, 4, 5) if columns else found
    return np.sum(found * weights[..., None, :] * data[..., None, None], axis=(1, 5))[:, None]


REGIONS: list[Shape] = [(3, 1, 2, 3, 2), (3, 1, 2, 1, 3)]  # weights of rows, of columns
LISTS: dict[int, Draw] = {3: indices(-1, 6), 4: indices(-1, 7), 5: indices(-1, 3)}
PLACES: list[Shape] = [(1, 1, 2, 3, 2), (3, 1, 1, 3, 3), (3,)]
OF_CHANNELS: list[Shape] = [(3, 2, 2, 3, 2), (3, 2, 1, 3, 3), (3,)]


def resampled(name: str, first: list[Shape], **options: Any) -> list[Case]:
    return [
        *cases(
            name,
            [(tuple(first + PLACES), options.get("attributes", {})), (tuple(first + OF_CHANNELS), options.get("attributes", {}))],
            numpy=options["numpy"],
            dtypes=WIDE,
            rounded=24,
            terms=magnitudes(options["numpy"]) if "terms" not in options else options["terms"],
            draw=LISTS,
        )
    ]


def sizes(function: Any) -> Any:
    """The function of the absolute values of the floats, the numbers of places left as they are."""
    return lambda *arrays, **attributes: function(*(abs(x) if x.dtype.kind == "f" else x for x in arrays), **attributes)


RESAMPLING = [
    *resampled("resample", [(2, 2, 5, 6), *REGIONS], numpy=resample, terms=sizes(resample)),
    Case(
        "resample",
        ((2, 12, 5, 6), *REGIONS, *PLACES),
        {"sections": True},
        resample,
        WIDE,
        rounded=24,
        terms=sizes(resample),
        draw=LISTS,
    ),
    *resampled(
        "resample_back",
        [(3, 2, 2, 3), *REGIONS],
        attributes={"image": (2, 2, 5, 6), "sections": False},
        numpy=resample_back,
        terms=sizes(resample_back),
    ),
    Case(
        "resample_back",
        ((3, 2, 2, 3), *REGIONS, *PLACES),
        {"image": (2, 12, 5, 6), "sections": True},
        resample_back,
        ("float32",),
        rounded=24,
        terms=sizes(resample_back),
        draw=LISTS,
    ),
    *resampled(
        "resample_weights",
        [(3, 2, 2, 3), (2, 2, 5, 6), REGIONS[1]],
        attributes={"columns": False, "sections": False},
        numpy=resample_weights,
        terms=sizes(resample_weights),
    ),
    Case(
        "resample_weights",
        ((3, 2, 2, 3), (2, 12, 5, 6), REGIONS[0], PLACES[1], PLACES[0], PLACES[2]),
        {"columns": True, "sections": True},
        resample_weights,
        ("float32",),
        rounded=24,
        terms=sizes(resample_weights),
        draw={3: indices(-1, 7), 4: indices(-1, 6), 5: indices(-1, 3)},
    ),
]


# --- interpolation ---


def interpolated(image: Array, y: Array, x: Array) -> Array:
    """The elements of one image (channels, rows, columns) at places; zeros outside."""
    total = np.zeros((len(image), *y.shape), image.dtype)
    for down, right in itertools.product((0, 1), (0, 1)):
        row, column = np.floor(y).astype(int) + down, np.floor(x).astype(int) + right
        known = (row >= 0) & (row < image.shape[1]) & (column >= 0) & (column < image.shape[2])
        share = (1 - abs(y - row)) * (1 - abs(x - column))
        total = total + np.where(known, share * image[:, np.where(known, row, 0), np.where(known, column, 0)], 0)
    return total


def bilinear_sampler(data: Array, grid: Array) -> Array:
    _, _, rows, columns = data.shape
    places = [((y + 1) * (rows - 1) / 2, (x + 1) * (columns - 1) / 2) for x, y in grid]
    found = [interpolated(image, y, x) for image, (y, x) in zip(data, places, strict=True)]
    return np.array(found).reshape(*data.shape[:2], *grid.shape[2:])


def even(n: int) -> Array:
    return np.linspace(-1, 1, n) if n > 1 else np.zeros(1)


def grid_generator(data: Array, transform_type: str, target_shape: Shape = (0, 0)) -> Array:
    height, width = data.shape[2:] if transform_type == "warp" else target_shape
    y, x = np.meshgrid(even(height), even(width), indexing="ij")
    if transform_type == "warp":
        return data * 2 / np.array([max(n - 1, 1) for n in (width, height)]).reshape(1, 2, 1, 1) + np.array([x, y])
    return np.einsum("nij,jhw->nihw", data.reshape(-1, 2, 3), np.array([x, y, np.ones_like(x)]))


def spatial_transformer(data: Array, loc: Array, target_shape: Shape) -> Array:
    return bilinear_sampler(data, grid_generator(loc, "affine", target_shape))


def adaptive_average(data: Array, output_size: Any = 1) -> Array:
    counts = np.broadcast_to(output_size, 2)
    cuts = [[(i * n // m, -(-(i + 1) * n // m)) for i in range(m)] for n, m in zip(data.shape[2:], counts, strict=True)]
    return np.array([[data[..., a:b, c:d].mean((2, 3)) for c, d in cuts[1]] for a, b in cuts[0]]).transpose(2, 3, 0, 1)


def bilinear_resize(data: Array, height: int, width: int, align_corners: bool = True) -> Array:
    places = []
    for n, m in zip(data.shape[2:], (height, width), strict=True):
        line = np.arange(m) * (n - 1) / max(m - 1, 1) if align_corners or m == 1 else np.maximum((np.arange(m) + 0.5) * n / m - 0.5, 0)
        places.append(np.minimum(line, n - 1))
    y, x = np.meshgrid(*places, indexing="ij")
    return np.array([interpolated(image, y, x) for image in data])


def constant(size: float, function: Any) -> Any:
    """The same size everywhere, for results that positions have an influence on."""
    return lambda *arrays, **attributes: np.full_like(function(*arrays, **attributes), size)


IMAGE = (2, 2, 3, 5)
INTERPOLATION = [
    *cases(
        "BilinearSampler",
        [((IMAGE, (2, 2, 2, 3)), {}), (((2, 1, 1, 3), (2, 2, 1, 1)), {}), (((0, 2, 3, 5), (0, 2, 2, 3)), {})],
        numpy=bilinear_sampler,
        dtypes=FLOATS,
        rounded=8,
        terms=constant(20, bilinear_sampler),
    ),
    *cases(
        "GridGenerator",
        [
            (((2, 6),), {"transform_type": "affine", "target_shape": (2, 3)}),
            (((2, 6),), {"transform_type": "affine", "target_shape": (1, 4)}),
            (((2, 2, 3, 2),), {"transform_type": "warp"}),
            (((2, 2, 1, 2),), {"transform_type": "warp"}),
        ],
        numpy=grid_generator,
        result=floated,
        rounded=4,
        terms=constant(20, grid_generator),
    ),
    *cases(
        "SpatialTransformer",
        [((IMAGE, (2, 6)), {"target_shape": (2, 3)})],
        numpy=spatial_transformer,
        dtypes=FLOATS,
        rounded=8,
        terms=constant(60, spatial_transformer),
        domain=(-0.7, 0.7),
        draw={1: lambda _, shape: np.resize(np.float32([0.5, 0.13, 0.07, -0.1, 0.6, 0.05]), shape)},  # to nowhere near a pixel's middle
        smooth=(1,),
    ),
    *cases(
        "AdaptiveAvgPooling2D",
        [((IMAGE,), {"output_size": size}) for size in ((2, 3), 2, (3, 5), (4, 7), 1)]
        + [((IMAGE,), {}), (((1, 1, 40, 9),), {"output_size": (2, 1)})],
        numpy=adaptive_average,
        result=floated,
        rounded=60,
        terms=magnitudes(adaptive_average),
    ),
    *cases(
        "BilinearResize2D",
        [
            ((IMAGE,), {"height": height, "width": width, "align_corners": corners})
            for height, width in ((4, 3), (1, 9), (3, 5), (7, 1))
            for corners in (True, False)
        ],
        numpy=bilinear_resize,
        result=floated,
        rounded=16,
        terms=magnitudes(bilinear_resize),
    ),
]

# --- displacements ---


def correlated(data1: Array, data2: Array, geometry: Geometry) -> Array:
    size, most, stride1, stride2, pad, product = geometry
    far = pad + most + size  # so that every window is inside
    first, second = (np.pad(x, ((0, 0), (0, 0), (far, far), (far, far))) for x in (data1, data2))
    images, _, height, width = geometry.result(data1.shape)[:1] + (0,) + geometry.result(data1.shape)[2:]
    steps = [stride2 * i for i in range(-(most // stride2), most // stride2 + 1)]
    result = np.zeros((images, len(steps) ** 2, height, width), data1.dtype)
    for (d, (down, right)), i, j in itertools.product(enumerate(itertools.product(steps, steps)), range(height), range(width)):
        top, left = (k * stride1 + most - pad + far for k in (i, j))
        a = first[:, :, top : top + size, left : left + size]
        b = second[:, :, top + down : top + down + size, left + right : left + right + size]
        result[:, d, i, j] = np.mean(a * b if product else abs(a - b), axis=(1, 2, 3))
    return result


def correlation(data1: Array, data2: Array, **attributes: Any) -> Array:
    given = {"kernel_size": 1, "max_displacement": 1, "stride1": 1, "stride2": 1, "pad_size": 0, "is_multiply": True, **attributes}
    return correlated(data1, data2, Geometry(**given))


def correlation_slope(data: Array, data1: Array, data2: Array, of: str, geometry: Geometry) -> Array:
    """By a difference, exact where no sign changes; where two values are equal, as if the first were the larger."""
    step = 2.0**-30
    data1 = data1 + 2.0**-26
    moved = (data1 + step * data, data2) if of == "first" else (data1, data2 + step * data)
    return (correlated(*moved, geometry) - correlated(data1, data2, geometry)) / step


def correlation_back(data: Array, data1: Array, data2: Array, of: str, geometry: Geometry) -> Array:
    units = np.eye(data1.size).reshape(data1.size, *data1.shape)
    return np.array([np.sum(correlation_slope(unit, data1, data2, of, geometry) * data) for unit in units]).reshape(data1.shape)


PRODUCTS = Geometry(3, 2, 1, 2, 3, True)
DIFFERENCES = Geometry(1, 1, 2, 1, 1, False)
PATCH = (1, 2, 2, 3)
CORRELATIONS = [
    *cases(
        "Correlation",
        [
            (((2, 2, 3, 4),) * 2, {}),
            ((PATCH,) * 2, {"kernel_size": 3, "max_displacement": 2, "stride2": 2, "pad_size": 3}),
            ((PATCH,) * 2, {"max_displacement": 1, "stride1": 2, "pad_size": 1}),
        ],
        numpy=correlation,
        dtypes=FLOATS,
        rounded=24,
        terms=magnitudes(correlation),
    ),
    Case(
        "Correlation",
        ((1, 1, 2, 3),) * 2,
        {"pad_size": 1, "is_multiply": False},
        correlation,
        WIDE,
        rounded=24,
        terms=constant(4, correlation),
    ),
    *[
        Case(
            "correlation", (PATCH,) * 2, {"geometry": geometry}, correlated, WIDE, rounded=24, terms=constant(4, correlated), gradient=False
        )
        for geometry in (PRODUCTS, DIFFERENCES)
    ],
    *[
        Case(
            "correlation_back",
            (geometry.result(PATCH), PATCH, PATCH),
            {"of": of, "geometry": geometry},
            correlation_back,
            ("float32",),
            rounded=24,
            terms=constant(16, correlation_back),
            gradient=geometry.is_multiply,
        )
        for geometry in (PRODUCTS, DIFFERENCES)
        for of in ("first", "second")
    ],
    *[
        Case(
            "correlation_slope",
            (PATCH,) * 3,
            {"of": of, "geometry": DIFFERENCES},
            correlation_slope,
            ("float32",),
            rounded=24,
            terms=constant(4, correlation_slope),
            gradient=False,
        )
        for of in ("first", "second")
    ],
]

# --- regions ---


def regions(generator: np.random.Generator, shape: Shape) -> Array:
    """Inside, outside, turned over, and of an image that does not exist."""
    return np.concatenate([np.arange(shape[0])[:, None] % 3, generator.uniform(-2, 8, (shape[0], 4))], axis=1).astype(np.float32)


def bounds(data: Array, rois: Array, scale: float) -> Array:
    return np.trunc(rois[:, 1:] * np.float32(scale) + np.copysign(np.float32(0.5), rois[:, 1:])).astype(int)


def roi_places(data: Array, bounds: Array, batch: Array, height: int, width: int) -> Array:
    images, channels, rows, columns = data.shape
    found = np.full((2, len(batch), channels, height, width), -1)
    for r, c, h, w in np.ndindex(found.shape[1:]):
        left, top, right, bottom = (int(n) for n in bounds[r])
        across, down = max(right - left + 1, 1), max(bottom - top + 1, 1)
        ys = range(max(top + down * h // height, 0), min(top - (-down * (h + 1) // height), rows))
        xs = range(max(left + across * w // width, 0), min(left - (-across * (w + 1) // width), columns))
        if 0 <= batch[r] < images and len(ys) and len(xs):
            found[:, r, c, h, w] = max(itertools.product(ys, xs), key=lambda place: (data[(batch[r], c, *place)], -place[0], -place[1]))
    return found


def roi_pooling(data: Array, rois: Array, pooled_size: Shape, spatial_scale: float) -> Array:
    batch = rois[:, 0].astype(int)
    y, x = roi_places(data, bounds(data, rois, spatial_scale), batch, *pooled_size)
    return looked_up(data, y[..., None], x[..., None], batch, False)[..., 0, 0]


def roi_align(
    data: Array,
    rois: Array,
    pooled_size: Shape,
    spatial_scale: float,
    sample_ratio: int = -1,
    position_sensitive: bool = False,
    aligned: bool = False,
) -> Array:
    (height, width), (images, planes, rows, columns) = pooled_size, data.shape
    channels = planes // (height * width) if position_sensitive else planes
    found = np.zeros((len(rois), channels, height, width), data.dtype)
    for r, h, w in np.ndindex(len(rois), height, width):
        image = int(rois[r, 0])
        left, top, right, bottom = rois[r, 1:].astype(float) * spatial_scale - (0.5 if aligned else 0)
        down, across = (max(n, 0.0 if aligned else 1.0) for n in (bottom - top, right - left))
        many_y, many_x = (sample_ratio if sample_ratio > 0 else max(1, int(np.ceil(n / m))) for n, m in ((down, height), (across, width)))
        ys = top + down / height * (h + (np.arange(many_y) + 0.5) / many_y)
        xs = left + across / width * (w + (np.arange(many_x) + 0.5) / many_x)
        ys, xs = (np.clip(line[(line >= -1) & (line <= n)], 0, n - 1) for line, n in ((ys, rows), (xs, columns)))
        if image < images:
            part = data[image, h * width + w :: height * width] if position_sensitive else data[image]
            found[r, :, h, w] = interpolated(part, *np.meshgrid(ys, xs, indexing="ij")).sum((1, 2)) / (many_y * many_x)
    return found


FEATURES = (2, 2, 4, 5)
REGIONAL = [
    *cases(
        "ROIPooling",
        [
            ((FEATURES, (7, 5)), {"pooled_size": (2, 3), "spatial_scale": 0.5}),
            ((FEATURES, (2, 5)), {"pooled_size": (5, 1), "spatial_scale": 1}),
            ((FEATURES, (0, 5)), {"pooled_size": (2, 2), "spatial_scale": 1}),
        ],
        numpy=roi_pooling,
        dtypes=FLOATS,
        rounded=0,
        draw={1: regions},
    ),
    *cases(
        "ROIAlign",
        [
            ((FEATURES, (7, 5)), {"pooled_size": (2, 3), "spatial_scale": 0.5, "sample_ratio": 2}),
            ((FEATURES, (7, 5)), {"pooled_size": (1, 2), "spatial_scale": 1.0}),
            ((FEATURES, (4, 5)), {"pooled_size": (2, 2), "spatial_scale": 1.0, "aligned": True}),
            (((2, 12, 4, 5), (4, 5)), {"pooled_size": (2, 3), "spatial_scale": 1.0, "sample_ratio": 1, "position_sensitive": True}),
            ((FEATURES, (0, 5)), {"pooled_size": (2, 2), "spatial_scale": 1.0}),
        ],
        numpy=roi_align,
        dtypes=FLOATS,
        rounded=24,
        terms=constant(8, roi_align),
        draw={1: regions},
    ),
    Case(
        "roi_places",
        ((2, 2, 4, 5), (5, 4), (5,)),
        {"height": 2, "width": 3},
        roi_places,
        WIDE,
        lambda _: np.int32,
        draw={0: lambda generator, shape: generator.normal(size=shape).astype("float32"), 1: indices(-2, 7), 2: indices(-1, 3)},
        gradient=False,
    ),
]

# --- boxes ---


def corners(box: Array, centred: bool) -> tuple[Array, Array]:
    return (box[..., :2] - box[..., 2:] / 2, box[..., :2] + box[..., 2:] / 2) if centred else (box[..., :2], box[..., 2:])


def overlap(a: Array, b: Array, centred: bool) -> Array:
    (low, high), (begin, end) = corners(a, centred), corners(b, centred)
    shared, first, second = (
        np.maximum(size, 0).prod(-1) for size in (np.minimum(high, end) - np.maximum(low, begin), high - low, end - begin)
    )
    union = first + second - shared
    return np.where(union > 0, shared, 0) / np.where(union > 0, union, 1)


def box_iou(lhs: Array, rhs: Array, format: str = "corner") -> Array:
    found = overlap(lhs.reshape(-1, 1, 4), rhs.reshape(1, -1, 4), format == "center")
    return found.reshape(lhs.shape[:-1] + rhs.shape[:-1])


def nms_order(
    data: Array,
    overlap_thresh: float,
    valid_thresh: float,
    topk: int,
    coord_start: int,
    score_index: int,
    id_index: int,
    background_id: int,
    force_suppress: bool,
    centred: bool,
) -> Array:
    found = np.full(data.shape[:2], -1)
    for boxes, kept in zip(data, found, strict=True):
        scores = boxes[:, score_index]
        valid = [i for i in np.argsort(-scores, kind="stable") if scores[i] > valid_thresh]
        valid = [i for i in valid if id_index < 0 or boxes[i, id_index] != background_id][: topk if topk >= 0 else None]
        remain: list[int] = []
        for i in valid:
            others = [j for j in remain if id_index < 0 or force_suppress or boxes[j, id_index] == boxes[i, id_index]]
            places = boxes[:, coord_start : coord_start + 4]
            if not any(overlap(places[j], places[i], centred) > overlap_thresh for j in others):
                remain.append(i)
        kept[: len(remain)] = remain
    return found


ORDERED = {
    "overlap_thresh": 0.5,
    "valid_thresh": 0.0,
    "topk": -1,
    "coord_start": 2,
    "score_index": 1,
    "id_index": -1,
    "background_id": -1,
    "force_suppress": False,
}


def box_nms(data: Array, in_format: str = "corner", out_format: str = "corner", **attributes: Any) -> Array:
    given = {**ORDERED, **attributes}
    boxes = data.reshape(-1, *data.shape[-2:])
    start, at = given["coord_start"], np.arange(len(boxes))[:, None]
    order = nms_order(boxes, **given, centred=in_format == "center")
    rows = boxes[at, order]
    if in_format != out_format:
        low, high = corners(rows[..., start : start + 4], in_format == "center")
        if out_format == "center":
            low, high = (low + high) / 2, high - low
        rows = np.concatenate([rows[..., :start], low, high, rows[..., start + 4 :]], -1)
    return np.where(order[..., None] < 0, -1, rows).reshape(data.shape)


def boxes(generator: np.random.Generator, shape: Shape) -> Array:
    """(class, score, left, top, right, bottom): scores in 20 steps, so that some are equal, and a third of them not positive."""
    low, size = generator.uniform(0, 20, (*shape[:-1], 2)), generator.uniform(-1, 9, (*shape[:-1], 2))
    labels = [generator.integers(-1, 3, (*shape[:-1], 1)), generator.integers(-7, 13, (*shape[:-1], 1)) / 16]
    return np.concatenate([*labels, low, low + size], -1).astype(np.float32)


NMS: list[Call] = [
    (((2, 5, 6),), {"overlap_thresh": 0.2}),
    (((6, 6),), {"overlap_thresh": 0.1, "in_format": "center", "out_format": "corner", "id_index": 0, "force_suppress": True}),
    (((2, 5, 6),), {"overlap_thresh": 0.1, "out_format": "center"}),
    (((1, 7),), {"score_index": 6, "coord_start": 1, "in_format": "center", "out_format": "center"}),
    (((0, 3, 6),), {}),
]
BOXES = [
    Case(
        "box_iou",
        ((2, 4), (1, 4)),
        {"format": "center"},
        box_iou,
        FLOATS,
        rounded=24,
        terms=constant(1, box_iou),
        domain=(0.6, 2.4),
    ),
    *cases(
        "box_iou",
        [(((2, 3, 4), (4,)), {}), (((2, 4), (0, 4)), {})],
        numpy=box_iou,
        dtypes=WIDE,
        rounded=64,
        terms=constant(1, box_iou),
    ),
    *cases("box_nms", NMS, numpy=box_nms, dtypes=FLOATS, rounded=4, terms=constant(6, box_nms)),
    *[
        Case(
            "nms_order",
            (shape,),
            {**ORDERED, **attributes, "centred": False},
            nms_order,
            dtypes,
            lambda _: np.int32,
            draw={0: boxes},
            gradient=False,
        )
        for shape, attributes, dtypes in [
            ((2, 70, 6), {"overlap_thresh": 0.3}, WIDE),
            ((2, 200, 6), {"id_index": 0, "background_id": 1, "overlap_thresh": 0.2, "valid_thresh": 0.1}, ("float32",)),
            ((2, 200, 6), {"topk": 70, "overlap_thresh": 0.2}, ("float32",)),
            ((2, 130, 6), {"topk": 66, "id_index": 0, "force_suppress": True, "overlap_thresh": 0.05}, ("float32",)),
        ]
    ],
]

# --- spectra ---


def fourier(data: Array, inverse: bool = False) -> Array:
    if not data.size:
        return data
    lines = data[..., 0] + 1j * data[..., 1]
    found = np.conj(np.fft.fft(np.conj(lines))) if inverse else np.fft.fft(lines)
    return np.stack([found.real, found.imag], -1)


def fft(data: Array, compute_size: int = 128) -> Array:
    return fourier(np.stack([data, np.zeros_like(data)], -1)).reshape(*data.shape[:-1], 2 * data.shape[-1])


def ifft(data: Array, compute_size: int = 128) -> Array:
    return fourier(data.reshape(*data.shape[:-1], data.shape[-1] // 2, 2), inverse=True)[..., 0]


def summed(function: Any, axes: Any = -1) -> Any:
    """What goes into each sum of a line."""
    return lambda data, **attributes: np.zeros_like(function(data, **attributes)) + np.sum(abs(data), axis=axes, keepdims=True)


LENGTHS = [1, 2, 3, 8, 30, 97, 131, 274]
SPECTRA = [
    *cases(
        "fourier",
        [(((2, n, 2),), {"inverse": inverse}) for n in (12, 1, 7) for inverse in (False, True)],
        numpy=fourier,
        dtypes=WIDE,
        rounded=8,
        terms=summed(fourier, (1, 2)),
    ),
    *cases(
        "fft",
        [*[(((2, n),), {}) for n in LENGTHS], (((5,),), {}), (((2, 3, 4),), {}), (((0, 4),), {})],
        numpy=fft,
        result=floated,
        rounded=8,
        terms=summed(fft),
    ),
    *cases(
        "ifft",
        [*[(((2, 2 * n),), {}) for n in LENGTHS], (((10,),), {}), (((2, 0),), {})],
        numpy=ifft,
        result=floated,
        rounded=8,
        terms=summed(ifft),
    ),
]

CASES = [*RESAMPLING, *INTERPOLATION, *CORRELATIONS, *REGIONAL, *BOXES, *SPECTRA]
