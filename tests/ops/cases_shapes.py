"""Cases of the table of operators: shapes beyond those of the foundation, and patches."""

from __future__ import annotations

from typing import Any

import numpy as np

from ops.case import Case, cases
from ops.table import Array, Shape

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


CASES: list[Case] = SHAPES
