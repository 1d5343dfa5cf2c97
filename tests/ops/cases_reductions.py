"""Cases of reductions and scans that the foundation does not have."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ops.case import Call, cases, magnitudes, widened
from ops.table import FLOATS, INTEGERS, LARGE, WIDE, Array, Shape


def with_nan(generator: np.random.Generator, shape: Shape) -> Array:
    return np.where(generator.uniform(size=shape) < 0.3, np.nan, generator.uniform(0.5, 1.5, shape)).astype(np.float32)


def with_infinities(generator: np.random.Generator, shape: Shape) -> Array:
    return generator.choice(np.array([1, 2, 3, np.inf, np.nan], np.float32), shape)


def added(*args: Array) -> Array:
    return functools.reduce(np.add, args)


def squares(*data: Array, **_: Any) -> Array:
    return np.array([np.sum(np.square(x.astype(float))) for x in data])


def edges(generator: np.random.Generator, shape: Shape) -> Array:
    return np.sort(generator.uniform(-2, 2, shape)).astype(np.float32)


FOLDED: list[Call] = [
    (((5, 7),), {"axis": 1}),
    (((3, 4, 5),), {"axis": (0, 2), "keepdims": True}),
    (((3, 4),), {}),
    (((0,),), {}),
    (((),), {}),
]
# Axes inner and outer, long enough for several parts and parts of parts, as wide as a run of columns and not.
ALONG: list[Call] = [
    (((5, 7),), {"axis": 1}),
    (((5, 7),), {"axis": 0}),
    (((3, 4),), {}),
    (((2, 3, 17),), {"axis": -2}),
    (((0, 3),), {"axis": 1}),
    (((1,),), {"axis": 0}),
    (((),), {}),
]
LONG: list[Call] = [
    ((WIDE,), {"axis": 0}),
    ((WIDE,), {"axis": 1}),
    (((LARGE,),), {}),
    (((20_001, 3),), {"axis": 0}),
    (((2, 20_001, 19),), {"axis": 1}),
]

CASES = [
    *cases("nansum", FOLDED, result=widened, rounded=3, terms=magnitudes(np.sum)),
    *cases("nansum", FOLDED[:2], dtypes=("float32",), rounded=3, draw={0: with_nan}, gradient=False),
    *cases("nanprod", FOLDED, result=widened, rounded=70),
    *cases("nanprod", FOLDED[:2], dtypes=("float32",), rounded=70, draw={0: with_nan}, gradient=False),
    *cases(
        "norm", [(((3, 4, 5),), {"axis": (-1, 0)})], dtypes=FLOATS, numpy=lambda data, axis: np.linalg.norm(data, axis=axis), rounded=26
    ),
    *cases("argmax_channel", [(((3, 5),), {}), (((2, 3, 4),), {})], result=lambda _: np.int64, gradient=False),
    *cases("all_finite", [(((3, 5),), {}), (((0,),), {}), (((1,),), {})], result=lambda _: bool, gradient=False),
    *cases("all_finite", [(((),), {})] * 3, dtypes=("float32",), result=lambda _: bool, draw={0: with_infinities}, gradient=False),
    *cases("multi_all_finite", [(((3, 5), (2,), (0,)), {})], result=lambda _: bool, gradient=False),
    *cases("multi_sum_sq", [(((3, 5), (2,), (0,), ()), {})], numpy=squares, result=lambda _: np.float32, rounded=8, gradient=False),
    *cases("allclose", [(((3,), (3,)), {"atol": 1.0, "rtol": 0.1}), (((0,), (0,)), {})], result=lambda _: bool, gradient=False),
    *cases(
        "allclose",
        [(((2,), (2,)), {})] * 9,
        dtypes=("float32",),
        result=lambda _: bool,
        draw=dict.fromkeys((0, 1), with_infinities),
        numpy=lambda a, b: np.allclose(a, b, equal_nan=True),
        gradient=False,
    ),
    *cases(
        "add_n",
        [(((3, 4),) * 3, {}), (((3, 4),), {}), (((2,),) * 40, {}), (((0,),) * 2, {}), (((),) * 2, {})],
        numpy=added,
        dtypes=(*FLOATS, *INTEGERS),
        rounded=12,
        terms=magnitudes(added),
    ),
    *cases("div_sqrt_dim", [(((3, 5),), {}), (((0, 3),), {}), (((3, 0),), {})], dtypes=FLOATS, rounded=6),
    *cases("cumsum", ALONG, result=widened, rounded=6, terms=magnitudes(np.cumsum)),
    *cases("cumsum", LONG, dtypes=("float32",), rounded=4, terms=magnitudes(np.cumsum), gradient=False),
    *cases("cumsum", LONG, dtypes=("int32",), result=widened, gradient=False),
    *cases(
        "cumsum",
        [(((20_001,),), {"dtype": np.dtype("int8")})],
        dtypes=("int32",),
        result=lambda _: np.int8,
        numpy=lambda a, dtype: np.cumsum(a.astype(dtype), dtype=dtype),
        gradient=False,
    ),
    *cases(
        "cumsum",
        [(((3, 4),), {"axis": 0, "dtype": np.dtype("float32")})],
        dtypes=("float16", "int8"),
        result=lambda _: np.float32,
        gradient=False,
        rounded=6,
        numpy=np.cumsum,
        terms=magnitudes(np.cumsum),
    ),
    *cases(
        "counts",
        [(((LARGE,), (9,)), {}), (((4, 5), (2,)), {}), (((0,), (3,)), {}), (((3000,), (2000,)), {})],
        dtypes=("float32",),
        numpy=lambda data, edges: np.histogram(data, edges)[0],
        result=lambda _: np.int64,
        draw={1: edges},
        gradient=False,
    ),
    *cases(
        "counts",
        [(((300,), (4,)), {})],
        dtypes=INTEGERS,
        numpy=lambda data, edges: np.histogram(data.astype(np.int64), edges)[0],
        result=lambda _: np.int64,
        draw={1: lambda generator, shape: np.array([-3, 0, 4, 8], "int32")},
        gradient=False,
    ),
]

# What has no cases here, and where it is tested.
ELSEWHERE = {
    "histogram": "test_reductions.py: it gives several arrays",
    "moments": "test_reductions.py: it gives several arrays",
}
