"""The table of operators: convolutions, pooling, normalisation and others of neural networks."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ops.case import cases, magnitudes
from ops.table import FLOATS, INTEGERS, Array, Shape

# --- patches ---


def views(data: Array, kernel: Shape, stride: Shape, dilate: Shape) -> list[Array]:
    """What each element of a window sees at all places in the last axes of `data`, as views."""
    lead = data.ndim - len(kernel)
    shape = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(data.shape[lead:], kernel, stride, dilate, strict=True)]
    return [
        data[(..., *(slice(o * d, o * d + s * (n - 1) + 1, s) for o, d, s, n in zip(offset, dilate, stride, shape, strict=True)))]
        for offset in itertools.product(*map(range, kernel))
    ]


def padded(data: Array, pad: Shape, value: float = 0) -> Array:
    return np.pad(data, [(0, 0)] * (data.ndim - len(pad)) + [(p, p) for p in pad], constant_values=value)


def im2col(data: Array, kernel: Shape, stride: Any = (), dilate: Any = (), pad: Any = ()) -> Array:
    one = (1,) * len(kernel)
    seen = np.stack(views(padded(data, pad or (0,) * len(kernel)), kernel, stride or one, dilate or one), 2)
    return seen.reshape(data.shape[0], data.shape[1] * seen.shape[2], int(np.prod(seen.shape[3:])))


def col2im(data: Array, output_size: Shape, kernel: Shape, stride: Any = (), dilate: Any = (), pad: Any = ()) -> Array:
    one, pad = (1,) * len(kernel), pad or (0,) * len(kernel)
    channels = data.shape[1] // int(np.prod(kernel))
    total = padded(np.zeros((data.shape[0], channels, *output_size), data.dtype), pad)
    parts = views(total, kernel, stride or one, dilate or one)
    for part, column in zip(parts, np.moveaxis(data.reshape(data.shape[0], channels, len(parts), -1), 2, 0), strict=True):
        part += column.reshape(part.shape)
    return total[(..., *(slice(p, p + n) for p, n in zip(pad, output_size, strict=True)))]


ODD = {"kernel": (3, 2), "stride": (2, 1), "dilate": (1, 2), "pad": (1, 2)}
PATCHES = [
    *cases(
        "im2col",
        [
            (((2, 3, 5, 4),), ODD),
            (((2, 1, 9),), {"kernel": (3,), "stride": (2,), "dilate": (3,), "pad": (4,)}),
            (((1, 2, 3, 4, 5),), {"kernel": (2, 3, 2), "stride": (1, 2, 3), "pad": (0, 1, 2)}),
            (((0, 2, 3, 4),), {"kernel": (2, 2)}),
        ],
        numpy=im2col,
    ),
    *cases("im2col", [(((1, 1, 3000),), {"kernel": (5,), "pad": (2,)})], numpy=im2col, dtypes=("float32",), gradient=False),
    *cases(
        "col2im",
        [
            (((2, 18, 18),), {"output_size": (5, 4), **ODD}),
            (((1, 24, 12),), {"output_size": (3, 4, 5), "kernel": (2, 3, 2), "stride": (1, 2, 3), "pad": (0, 1, 2)}),
            (((1, 6, 6),), {"output_size": (0, 4), "kernel": (3, 2), "pad": (2, 0)}),
        ],
        numpy=col2im,
        dtypes=(*FLOATS, *INTEGERS),
        rounded=8,
        terms=magnitudes(col2im),
    ),
    *cases(
        "col2im",
        [(((1, 81, 4488),), {"output_size": (70, 140), "kernel": (9, 9), "stride": (2, 1), "dilate": (1, 1), "pad": (3, 0)})],
        numpy=col2im,
        dtypes=("float32",),
        rounded=81,
        terms=magnitudes(col2im),
        gradient=False,
    ),
]

CASES = PATCHES
