"""Cases of the table of operators: shapes beyond those of the foundation, and patches."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ops.case import Call, Case, cases, magnitudes
from ops.table import FLOATS, INTEGERS, Array, Shape

# --- shapes ---


def broadcast_axis(data: Array, axis: Any = (), size: Any = ()) -> Array:
    shape = np.array(data.shape)
    shape[np.array(axis, int)] = size
    return np.broadcast_to(data, shape)


def broadcast_like(lhs: Array, rhs: Array, lhs_axes: Shape, rhs_axes: Shape) -> Array:
    return broadcast_axis(lhs, lhs_axes, np.array(rhs.shape)[list(rhs_axes)])


def reshape_like(lhs: Array, rhs: Array, lhs_begin: Any = 0, lhs_end: Any = None, rhs_begin: Any = 0, rhs_end: Any = None) -> Array:
    after = () if lhs_end is None else lhs.shape[lhs_end:]
    return np.reshape(lhs, (*lhs.shape[:lhs_begin], *rhs.shape[rhs_begin:rhs_end], *after))


def space_to_depth(data: Array, block_size: int) -> Array:
    parts = [data[:, :, i::block_size, j::block_size] for i in range(block_size) for j in range(block_size)]
    return np.concatenate(parts, 1)


def depth_to_space(data: Array, block_size: int) -> Array:
    n, c, h, w = data.shape
    result = np.empty((n, c // block_size**2, h * block_size, w * block_size), data.dtype)
    for i, part in enumerate(np.split(data, block_size**2, 1)):
        result[:, :, i // block_size :: block_size, i % block_size :: block_size] = part
    return result


def pad(data: Array, mode: str, pad_width: Shape, constant_value: float = 0) -> Array:
    if not data.ndim:
        return data
    kept = data[tuple(slice(max(0, -a), n + min(0, b)) for a, b, n in zip(pad_width[::2], pad_width[1::2], data.shape, strict=True))]
    wide = np.maximum(pad_width, 0).reshape(-1, 2)
    return np.pad(kept, wide, mode, constant_values=constant_value) if mode == "constant" else np.pad(kept, wide, mode)


SHAPES = [
    *cases(
        "moveaxis",
        [
            (((2, 3, 4),), {"source": 0, "destination": -1}),
            (((2, 3, 4, 2),), {"source": (0, 3), "destination": (2, 1)}),
            (((2, 3),), {"source": (), "destination": ()}),
        ],
    ),
    *cases("space_to_depth", [(((2, 3, 4, 6),), {"block_size": 2}), (((1, 1, 3, 0),), {"block_size": 3})], numpy=space_to_depth),
    *cases("depth_to_space", [(((2, 8, 2, 3),), {"block_size": 2}), (((2, 3, 2, 2),), {"block_size": 1})], numpy=depth_to_space),
    *cases(
        "broadcast_axis",
        [(((1, 2, 1),), {"axis": (0, -1), "size": (3, 4)}), (((1, 2),), {"axis": 0, "size": 0}), (((2,),), {})],
        numpy=broadcast_axis,
    ),
    *cases("broadcast_like", [(((1, 2, 1), (5, 7)), {"lhs_axes": (0, 2), "rhs_axes": (-1, 0)})], numpy=broadcast_like),
    *cases(
        "reshape_like",
        [
            (((4, 3), (2, 6)), {}),
            (((6, 2), (3, 2, 4)), {"lhs_begin": 0, "lhs_end": 1, "rhs_begin": 0, "rhs_end": 2}),
            (((2, 6), (5, 2, 3)), {"lhs_begin": -1, "rhs_begin": -2}),
            (((0, 2), (3, 0)), {}),
            (((1,), ()), {}),
        ],
        numpy=reshape_like,
    ),
    *cases("shape_array", [(((2, 3),), {}), (((),), {})], result=lambda _: np.int64, gradient=False),
    *cases("size_array", [(((2, 3),), {}), (((0,),), {})], result=lambda _: np.int64, gradient=False),
    *cases(
        "pad",
        [
            (((1, 2, 3, 2),), {"mode": "constant", "pad_width": (0, 0, 0, 0, 1, 2, 0, 1), "constant_value": 1}),
            (((4, 5),), {"mode": "constant", "pad_width": (-1, 2, 1, -3)}),
            (((0, 2),), {"mode": "constant", "pad_width": (1, 1, 0, 0)}),
            (((),), {"mode": "constant", "pad_width": ()}),
            (((1, 2, 3, 2),), {"mode": "edge", "pad_width": (0, 0, 0, 1, 2, 4, 1, 0)}),
            (((3, 4),), {"mode": "reflect", "pad_width": (2, 1, 0, 3)}),
            (((2, 0),), {"mode": "reflect", "pad_width": (1, 1, 0, 0)}),
            (((1,),), {"mode": "edge", "pad_width": (2, 0)}),
        ],
        numpy=pad,
    ),
]

# --- patches ---


def patches(data: Array, kernel: Shape, stride: Any = 1, dilate: Any = 1, pad: Any = 0) -> Array:
    """As a view on the padded array: (batch, channels, *kernel, *positions)."""
    dims = len(kernel)
    stride, dilate, pad = (np.broadcast_to(given, dims) for given in (stride, dilate, pad))
    wide = np.pad(data, [(0, 0), (0, 0), *((p, p) for p in pad)])
    out = tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(wide.shape[2:], kernel, stride, dilate, strict=True))
    steps = np.array(wide.strides[2:])
    return np.lib.stride_tricks.as_strided(
        wide, (*data.shape[:2], *kernel, *out), (*wide.strides[:2], *(steps * dilate), *(steps * stride))
    )


def im2col(data: Array, kernel: Any, **geometry: Any) -> Array:
    kernel = (kernel,) * (data.ndim - 2) if isinstance(kernel, int) else kernel
    found = patches(data, kernel, **geometry)
    return found.reshape(len(data), data.shape[1] * int(np.prod(kernel)), int(np.prod(found.shape[data.ndim :])))


def col2im(data: Array, output_size: Shape, kernel: Shape, **geometry: Any) -> Array:
    """Added up in the order of the kernel's elements."""
    channels = data.shape[1] // int(np.prod(kernel))
    shape = (len(data), channels, *output_size)
    places = patches(np.arange(1, np.prod(shape) + 1).reshape(shape), kernel, **geometry)
    total = np.zeros(int(np.prod(shape)) + 1, data.dtype)
    given = data.reshape(places.shape)
    for at in product(*map(range, kernel)):
        np.add.at(total, places[(slice(None), slice(None), *at)], given[(slice(None), slice(None), *at)])
    return total[1:].reshape(shape)


# (array, geometry), in one to four dimensions.
GEOMETRIES: list[tuple[Shape, dict[str, Any]]] = [
    ((2, 3, 6, 5), {"kernel": (3, 2), "stride": (2, 1), "dilate": (1, 2), "pad": (1, 2)}),
    ((2, 2, 7), {"kernel": (3,)}),
    ((1, 2, 4, 3, 5), {"kernel": (2, 2, 3), "stride": (1, 2, 3), "pad": (0, 1, 2)}),
    ((1, 1, 2, 3, 2, 3), {"kernel": (2, 2, 1, 2), "stride": 2, "pad": 1}),
    ((1, 1, 3, 4), {"kernel": (3, 4)}),
    ((0, 2, 4), {"kernel": (2,)}),
    ((1, 2, 0), {"kernel": (2,), "pad": (1,)}),
]
WIDER: list[tuple[Shape, dict[str, Any]]] = [
    ((2, 3, 37, 70), {"kernel": (3, 3), "stride": (1, 1), "pad": (1, 1)}),
    ((1, 2, 3000), {"kernel": (1500,), "stride": 3, "pad": 7}),
]


def columns(shape: Shape, kernel: Shape, **geometry: Any) -> Call:
    """A call of col2im that gives an array of `shape`."""
    return ((im2col(np.empty(shape), kernel, **geometry).shape,), {"output_size": shape[2:], "kernel": kernel, **geometry})


PATCHES = [
    *cases("im2col", [((shape,), geometry) for shape, geometry in GEOMETRIES], numpy=im2col),
    *cases("im2col", [(((2, 3, 5, 5),), {"kernel": 2, "stride": 3})], numpy=im2col),
    *cases("im2col", [((shape,), geometry) for shape, geometry in WIDER], numpy=im2col, dtypes=("float32",), gradient=False),
    *cases(
        "col2im",
        [columns(shape, **geometry) for shape, geometry in GEOMETRIES],
        numpy=col2im,
        dtypes=(*FLOATS, *INTEGERS),
        rounded=13,
        terms=magnitudes(col2im),
    ),
    *cases(
        "col2im",
        [columns(shape, **geometry) for shape, geometry in WIDER],
        numpy=col2im,
        dtypes=("float32",),
        rounded=500,
        terms=magnitudes(col2im),
        gradient=False,
    ),
]

CASES: list[Case] = [*SHAPES, *PATCHES]
