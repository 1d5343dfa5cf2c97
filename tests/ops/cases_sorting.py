"""Cases of the table of operators: sorting."""

from __future__ import annotations

from typing import Any

import numpy as np

from ops.case import Call, cases
from ops.table import LARGE, WIDE, Array


def order(data: Array, axis: int | None = -1, is_ascend: bool = True) -> Array:
    """Positions that sort: stable in both directions, NaN last."""
    if axis is None:
        return order(data.reshape(-1), 0, is_ascend)
    ranks = np.unique(data, return_inverse=True)[1].reshape(data.shape)
    return np.lexsort((ranks if is_ascend else -ranks, data != data), axis)


def sort(data: Array, axis: int | None = -1, is_ascend: bool = True) -> Array:
    found = order(data, axis, is_ascend)
    return data.reshape(-1)[found] if axis is None else np.take_along_axis(data, found, axis)


def argsort(data: Array, axis: int | None = -1, is_ascend: bool = True, dtype: Any = "int64") -> Array:
    return order(data, axis, is_ascend).astype(dtype)


def topk(data: Array, axis: int | None = -1, k: int = 1, ret_typ: str = "indices", is_ascend: bool = False, dtype: Any = "int64") -> Array:
    """One of the results of topk that are one array."""
    whole, data, axis = data, data if axis is not None else data.reshape(-1), axis or 0 if axis is None else axis
    kept = np.take(order(data, axis, is_ascend), np.arange(k if k > 0 else data.shape[axis]), axis)
    if ret_typ == "mask":
        mask = np.zeros_like(data)
        np.put_along_axis(mask, kept, 1, axis)
        return mask.reshape(whole.shape)
    return kept.astype(dtype) if ret_typ == "indices" else np.take_along_axis(data, kept, axis)


def places(data: Array, places: Array) -> Array:
    return data.reshape(-1)[places]


def put(data: Array, places: Array, shape: tuple[int, ...]) -> Array:
    result = np.zeros(shape, data.dtype)
    result.reshape(-1)[places] = data
    return result


def distinct(count: int) -> Any:
    """Draws positions below `count`, no two the same."""
    return lambda generator, shape: generator.permutation(count)[: int(np.prod(shape))].reshape(shape)


# Rows shorter than a run, rows of one run and of several, whose number is a power of two or not; one element, none.
ROWS: list[Call] = [
    (((5, 7),), {}),
    (((5, 7),), {"axis": 0, "is_ascend": False}),
    (((3, 4, 5),), {"axis": 1}),
    (((3, 5),), {"axis": None, "is_ascend": False}),
    (((2, 33),), {"is_ascend": False}),
    (((1,),), {}),
    (((3, 0),), {}),
    (((0, 3),), {"axis": 1}),
    (((3, 0),), {"axis": None}),
    ((WIDE,), {"axis": 0}),
    (((LARGE,),), {"is_ascend": False}),
]
TOP: list[Call] = [
    (((5, 7),), {"k": 3}),
    (((5, 7),), {"axis": 0, "is_ascend": True}),
    (((3, 4, 5),), {"axis": 1, "k": 0}),
    (((3, 5),), {"axis": None, "k": 15}),
    (((0, 3),), {"k": 2}),
    (((3, 0),), {"k": 0}),
    ((WIDE,), {"k": 70}),
    (((2, 1003),), {"k": 5}),  # found without sorting, by small blocks, by large ones
    (((LARGE,),), {"k": 3, "is_ascend": True}),
]

APART = (-16.0, 16.0)  # so that no difference changes the order

CASES = [
    *cases("sort", ROWS, numpy=sort, domain=APART),
    *cases("argsort", ROWS, numpy=argsort, result=lambda _: np.int64, gradient=False),
    *cases("topk", TOP, numpy=topk, result=lambda _: np.int64, gradient=False),
    *cases("topk", [(shapes, {**attributes, "ret_typ": "value"}) for shapes, attributes in TOP], numpy=topk, domain=APART),
    *cases("topk", [(shapes, {**attributes, "ret_typ": "mask"}) for shapes, attributes in TOP], numpy=topk, gradient=False),
    *cases("take_places", [(((4, 3), (2, 3)), {}), (((4,), (0,)), {})], numpy=places, draw={1: distinct(12)}),
    *cases("put_places", [(((2, 3), (2, 3)), {"shape": (4, 3)}), (((0,), (0,)), {"shape": (2,)})], numpy=put, draw={1: distinct(12)}),
]
