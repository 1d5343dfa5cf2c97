"""Cases of the table of operators: shapes beyond those of the foundation, and patches."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ops.case import Call, Case, cases, magnitudes
from ops.table import FLOATS, INTEGERS, Array, Shape

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

CASES: list[Case] = [*PATCHES]
