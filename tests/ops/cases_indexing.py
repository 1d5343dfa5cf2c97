"""Cases of the table of operators: picking and writing by arrays of indices, and parts of arrays."""

from __future__ import annotations

import numpy as np

from ops.case import Case, cases, indices
from ops.table import Array


def put(data: Array, indices: Array, source: Array, axis: int) -> Array:
    copy = data.copy()
    copy[(*[slice(None)] * axis, indices.astype(np.int64).clip(0, data.shape[axis] - 1))] = source
    return copy


CASES: list[Case] = [
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
