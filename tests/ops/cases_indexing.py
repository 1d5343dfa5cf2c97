"""Cases of the table of operators: picking and writing by arrays of indices, and parts of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ops.case import Case, cases, indices
from ops.table import Array, Shape


def put(data: Array, indices: Array, source: Array, axis: int) -> Array:
    copy = data.copy()
    copy[(*[slice(None)] * axis, indices.astype(np.int64).clip(0, data.shape[axis] - 1))] = source
    return copy


def whole(indices: Array) -> tuple[Array, ...]:
    return tuple(indices.astype(np.int64))


def scatter_nd(data: Array, indices: Array, shape: Shape) -> Array:
    result = np.zeros(shape, data.dtype)
    result[whole(indices)] = data
    return result


def index_copy(old_tensor: Array, index_vector: Array, new_tensor: Array) -> Array:
    copy = old_tensor.copy()
    copy[index_vector.astype(np.int64)] = new_tensor
    return copy


def batch_take(a: Array, indices: Array) -> Array:
    lines = a.reshape(-1, a.shape[-1])
    return lines[np.arange(len(lines)), indices.reshape(-1).clip(0, a.shape[-1] - 1)].reshape(indices.shape)


def fill(lhs: Array, mhs: Array, rhs: Array) -> Array:
    return np.where(rhs.astype(int)[:, None] == np.arange(lhs.shape[1]), mhs[:, None], lhs)


def diag(data: Array, k: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    return np.diag(data, k) if data.ndim == 1 else np.diagonal(data, k, axis1, axis2)


def crop(images: Array, like: Array | None = None, *, offset: Any = (0, 0), h_w: Any = (0, 0), center_crop: bool = False) -> Array:
    h, w = h_w if like is None else like.shape[2:]
    y, x = ((images.shape[2] - h) // 2, (images.shape[3] - w) // 2) if center_crop else offset
    return images[:, :, y : y + h, x : x + w]


def half(generator: np.random.Generator, shape: Shape) -> Array:
    return generator.integers(0, 2, shape).astype("float32")


CASES: list[Case] = [
    *cases("gather_nd", [(((4, 5, 2), (2, 6)), {}), (((4, 5), (1, 2, 3)), {})], numpy=lambda d, i: d[whole(i)], draw={1: indices(-4, 4)}),
    *cases(
        "scatter_nd",
        [(((9, 2), (2, 9)), {"shape": (4, 4, 2)}), (((2, 3), (1, 2, 3)), {"shape": (5,)})],
        numpy=scatter_nd,
        draw={1: indices(-4, 4)},
    ),
    *cases("index_copy", [(((5, 3), (7,), (7, 3)), {}), (((5,), (0,), (0,)), {})], numpy=index_copy, draw={1: indices(-5, 5, "float32")}),
    *cases("batch_take", [(((3, 4), (3,)), {}), (((2, 3, 4), (6, 1)), {})], numpy=batch_take, draw={1: indices(-2, 6)}),
    *cases("fill_element_0index", [(((3, 4), (3,), (3,)), {})], numpy=fill, draw={2: indices(-2, 6, "float32")}),
    *cases("boolean_mask", [(((3, 5, 2), (5,)), {"axis": 1})], numpy=lambda d, m, axis: np.compress(m, d, axis), draw={1: half}),
    *cases(
        "diag",
        [
            (((3, 4),), {}),
            (((3, 4),), {"k": 1}),
            (((4, 3),), {"k": -2}),
            (((3,),), {"k": -1}),
            (((2,),), {"k": 2}),
            (((2, 3, 4),), {"axis1": -1, "axis2": 0, "k": -1}),
            (((0, 0),), {}),
        ],
        numpy=diag,
    ),
    *cases(
        "slice_like",
        [(((3, 4), (2, 3)), {}), (((3, 4), (5, 2)), {"axes": (-1,)})],
        numpy=lambda d, like, axes=(0, 1): d[: like.shape[0] if 0 in axes else None, : like.shape[1]],
    ),
    *cases(
        "Crop",
        [
            (((2, 2, 4, 5),), {"h_w": (2, 3), "offset": (1, 2)}),
            (((2, 2, 4, 5), (1, 1, 3, 2)), {"center_crop": True}),
        ],
        numpy=crop,
    ),
    Case(
        "ravel_multi_index",
        ((3, 5),),
        {"shape": (4, 5, 6)},
        dtypes=("int32", "int64", "float32"),
        draw={0: indices(0, 4, "int64")},
        result=lambda _: np.int64,
        gradient=False,
    ),
    Case(
        "unravel_index",
        ((3, 5),),
        {"shape": (4, 5, 6)},
        dtypes=("int64",),
        draw={0: indices(0, 120, "int64")},
        gradient=False,
    ),
    *cases(
        "put",
        [
            (((5, 3), (6,), (6, 3)), {"axis": 0}),
            (((3, 5, 2), (2, 2), (3, 2, 2, 2)), {"axis": 1}),
            (((5, 3), (6,), ()), {"axis": 0}),
            (((5,), (), ()), {"axis": 0}),
            (((5, 3), (0,), (0, 3)), {"axis": 0}),
        ],
        numpy=put,
        draw={1: indices(-2, 8)},
    ),
    *cases(
        "put", [(((300, 37), (2000,), (2000, 37)), {"axis": 0})], numpy=put, draw={1: indices(0, 300)}, dtypes=("float32",), gradient=False
    ),
]
