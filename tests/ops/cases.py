"""The table of operators, second part: cases for all that are not elementwise. `table.py` has those, and the arrays that both draw.

The families of the foundation have their cases here, each other one in a file of its own, cases_<family>.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ops import (
    cases_densities,
    cases_indexing,
    cases_linalg,
    cases_losses,
    cases_networks,
    cases_reductions,
    cases_shapes,
    cases_sorting,
    cases_vision,
)
from ops.case import Call, Case, cases, floated, indices, magnitudes, widened
from ops.table import FLOATS, INTEGERS, LARGE, WIDE, Array, Shape

# --- broadcasting of elementwise operators, whose gradients are summed back ---


def stretched(name: str, *shapes: Shape, rounded: float = 5, **options: Any) -> Case:
    """A call of an elementwise operator, whose results for all dtypes are checked elsewhere."""
    return Case(name, shapes, dtypes=("float32",), rounded=rounded, **options)


BROADCASTING = [
    *[stretched("multiply", *shapes) for shapes in (((3, 1), (4,)), ((2, 3), ()), ((4,), (3, 4)), ((2, 1, 3), (4, 1)))],
    *[stretched(name, (3, 1), (4,), gradient=False) for name in ("add", "subtract", "maximum", "minimum", "hypot")],
    stretched("divide", (3, 4), (1,)),
    stretched("power", (3, 1), (4,), rounded=32),
    stretched("where", (3, 1), (4,), (2, 1, 1), draw={0: indices(0, 2, "float32")}),
]

# --- reductions ---

# Axes inner and outer, several, one between, all; one element, none; enough for several work-items and segments.
ONE_AXIS: list[Call] = [
    (((5, 7),), {"axis": 1}),
    (((5, 7),), {"axis": 0, "keepdims": True}),
    (((3, 4, 5),), {"axis": -2}),
    (((3, 4, 5),), {}),
    (((3, 4),), {"keepdims": True}),
    (((1, 1),), {"axis": 1}),
    (((0, 3),), {"axis": 1}),
    (((LARGE,),), {}),
    ((WIDE,), {"axis": 1}),
    ((WIDE,), {"axis": 0}),
]
FOLDED: list[Call] = [*ONE_AXIS, (((3, 4, 5),), {"axis": (0, 2)}), (((2, 3, 4, 5),), {"axis": (1, -1), "keepdims": True}), (((),), {})]
NOTHING: list[Call] = [(((0,),), {}), (((3, 0),), {"axis": 1}), (((3, 0, 2),), {"axis": 1, "keepdims": True})]


def norm(data: Array, ord: int = 2, axis: Any = None, keepdims: bool = False) -> Array:
    if ord == 1:
        return np.sum(abs(data), axis=axis, keepdims=keepdims)
    return np.sqrt(np.sum(np.square(data), axis=axis, keepdims=keepdims))


# What a sum rounds: what is joined in pairs in a block, the sums of segments, and the result.
SUM = 6
FEW: list[Call] = [(((5, 7),), {"axis": 1}), (((3, 4, 5),), {"axis": (0, 2)}), (((),), {})]
NOT_LARGE = [call for call in FOLDED if call[0] != ((LARGE,),)]
REDUCTIONS = [
    *cases("sum", [*FOLDED, *NOTHING], result=widened, rounded=SUM, terms=magnitudes(np.sum)),
    *cases(
        "sum",
        [(((5, 7),), {"axis": 1, "dtype": np.dtype("float32")})],
        result=lambda _: np.float32,
        rounded=SUM,
        terms=magnitudes(np.sum),
        gradient=False,
    ),
    *cases("prod", [*NOT_LARGE, *NOTHING], result=widened, rounded=2 * max(WIDE), gradient=False),
    *cases("prod", [*FEW, *NOTHING], result=widened, rounded=70),
    *cases("max", FOLDED),
    *cases("min", FOLDED, gradient=False),
    *cases("min", FEW),
    *cases("mean", FOLDED, result=floated, rounded=SUM + 6, terms=lambda data, **axes: np.mean(abs(data), **axes), gradient=False),
    *cases("mean", FEW, result=floated, rounded=SUM + 6, terms=lambda data, **axes: np.mean(abs(data), **axes)),
    *cases("norm", FOLDED, numpy=norm, result=floated, rounded=SUM + 8, gradient=False),
    *cases("norm", FEW, numpy=norm, result=floated, rounded=SUM + 8),
    *cases("norm", [(((5, 7),), {"ord": 1, "axis": 1}), (((5, 7),), {"ord": 1})], numpy=norm, result=floated, rounded=SUM + 2),
    *cases("argmax", ONE_AXIS, result=lambda _: np.int64, gradient=False),
    *cases("argmin", ONE_AXIS, result=lambda _: np.int64, gradient=False),
]

# --- shapes ---


def window(data: Array, begin: Shape, count: Shape, step: Shape) -> Array:
    """What basic indexing selects."""
    return data[tuple(slice(b, None if b + n * s < 0 else b + n * s, s) for b, n, s in zip(begin, count, step, strict=True))]


def slice_axis(data: Array, axis: int, begin: int, end: int | None) -> Array:
    return np.moveaxis(np.moveaxis(data, axis, 0)[begin:end], 0, axis)


def assigned(data: Array, source: Array, steps: Any) -> Array:
    """A copy, and what the views select of it overwritten."""
    copy = data.copy()
    part = copy
    for name, arguments in steps:
        part = window(part, *arguments) if name == "window" else part.reshape(arguments[0])
    part[...] = source
    return copy


ROWS = (("window", ((1, 0), (2, 4), (1, 1))),)
EVERY_OTHER = (("window", ((2, 3), (2, 2), (-2, -3))),)
FLAT = (("window", ((1, 0), (2, 4), (1, 1))), ("reshape", ((8,),)))

SHAPES = [
    *cases(
        "reshape", [(((3, 4),), {"shape": (2, 6)}), (((3, 4),), {"shape": (-1,)}), (((1,),), {"shape": ()}), (((0, 3),), {"shape": (0,)})]
    ),
    *cases("transpose", [(((3, 4),), {}), (((2, 3, 4),), {"axes": (1, 2, 0)}), (((),), {}), (((0, 3),), {"axes": (1, 0)})]),
    *cases(
        "broadcast_to",
        [(((3, 1),), {"shape": (2, 3, 4)}), (((4,),), {"shape": (3, 4)}), (((),), {"shape": (2, 2)}), (((1,),), {"shape": (0,)})],
    ),
    *cases(
        "window",
        [
            (((4, 5),), {"begin": (1, 4), "count": (2, 3), "step": (1, -2)}),
            (((7,),), {"begin": (0,), "count": (3,), "step": (3,)}),
            (((4, 5),), {"begin": (0, 0), "count": (4, 0), "step": (1, 1)}),
        ],
        numpy=window,
    ),
    *cases("alias", [(((3, 4),), {})], numpy=np.copy),
    *cases("stop_gradient", [(((3, 4),), {})], gradient=False),
    *cases(
        "assign",
        [(((3, 4), ()), {"steps": ROWS}), (((3, 4), (2, 2)), {"steps": EVERY_OTHER}), (((3, 4), (8,)), {"steps": FLAT})],
        numpy=assigned,
    ),
    *cases("expand_dims", [(((3, 4),), {"axis": 1}), (((3, 4),), {"axis": -1}), (((),), {"axis": 0})]),
    *cases("squeeze", [(((1, 3, 1),), {}), (((1, 3, 1),), {"axis": 2}), (((1, 3, 1),), {"axis": (0, -1)}), (((1, 1),), {})]),
    *cases("flatten", [(((2, 3, 4),), {}), (((3,),), {}), (((2, 3),), {})]),
    *cases("flip", [(((3, 4),), {"axis": 1}), (((3, 4),), {"axis": (0, 1)}), (((0, 3),), {"axis": 0})]),
    *cases(
        "slice_axis",
        [
            (((3, 4),), {"axis": 1, "begin": 1, "end": None}),
            (((3, 4),), {"axis": 0, "begin": -2, "end": 3}),
            (((3, 4),), {"axis": -1, "begin": 3, "end": 1}),
        ],
        numpy=slice_axis,
    ),
    *cases(
        "concat",
        [
            (((3, 4), (3, 2), (3, 4)), {"dim": 1}),
            (((3, 4), (1, 4)), {"dim": 0}),
            (((2, 3, 4), (2, 0, 4)), {"dim": -2}),
            (((3, 4),), {"dim": 0}),
        ],
    ),
    *cases("stack", [(((3, 4),) * 3, {"axis": 1}), (((3, 4),) * 2, {"axis": -1}), (((), ()), {"axis": 0})]),
    *cases("tile", [(((3, 4),), {"reps": (2, 3)}), (((4,),), {"reps": 3}), (((3,),), {"reps": (2, 1, 2)}), (((3, 4),), {"reps": (2, 0)})]),
    *cases(
        "repeat",
        [
            (((3, 4),), {"repeats": 2, "axis": 1}),
            (((3, 4),), {"repeats": 3}),
            (((3, 4),), {"repeats": 2, "axis": -2}),
            (((3,),), {"repeats": 0}),
        ],
    ),
    *cases(
        "swapaxes",
        [(((2, 3, 4),), {"dim1": 0, "dim2": 2}), (((2, 3),), {"dim1": -1, "dim2": -2})],
        numpy=lambda data, dim1, dim2: np.swapaxes(data, dim1, dim2),
    ),
    *cases("broadcast_like", [(((3, 1), (3, 4)), {}), (((), (2,)), {})], numpy=lambda lhs, rhs: np.broadcast_to(lhs, rhs.shape)),
    *cases("zeros_like", [(((3, 4),), {}), (((),), {}), (((0,),), {})], gradient=False),
    *cases("ones_like", [(((3, 4),), {}), (((),), {})], gradient=False),
]

# --- indexing ---


def take(a: Array, indices: Array, axis: int = 0, mode: str = "clip") -> Array:
    return np.take(a, indices.astype(np.int64), axis, mode=mode)


def add_at(data: Array, indices: Array, shape: Shape, axis: int, mode: str) -> Array:
    """Added in the order of the indices, so that even the roundings are the same."""
    total = np.zeros(shape, np.float32 if data.dtype == np.float16 else data.dtype)
    where = indices.astype(np.int64)
    where = (
        np.where(where < 0, where + shape[axis], where)
        if mode == "raise"
        else where % shape[axis]
        if mode == "wrap"
        else where.clip(0, shape[axis] - 1)
    )
    moved, rows = np.moveaxis(total, axis, 0), np.moveaxis(data.reshape(*shape[:axis], -1, *shape[axis + 1 :]), axis, 0)
    np.add.at(moved, where.reshape(-1), rows)
    return total.astype(data.dtype)


def pick(data: Array, index: Array, axis: int = -1, keepdims: bool = False, mode: str = "clip") -> Array:
    n = data.shape[axis]
    index = index.astype(np.int64).reshape(np.expand_dims(np.empty(np.delete(data.shape, axis)), axis).shape)
    found = np.take_along_axis(data, index % n if mode == "wrap" else index.clip(0, n - 1), axis)
    return found if keepdims else np.squeeze(found, axis)


def one_hot(indices: Array, depth: int, on_value: float = 1.0, off_value: float = 0.0, dtype: Any = "float32") -> Array:
    return np.where(indices.astype(np.int64)[..., None] == np.arange(depth), on_value, off_value).astype(dtype)


INDEXING = [
    *cases(
        "take", [(((5, 3), (4,)), {}), (((3, 5), (2, 3)), {"axis": 1}), (((5,), ()), {"axis": -1})], numpy=take, draw={1: indices(-2, 8)}
    ),
    *cases("take", [(((5, 3), (4,)), {"mode": "wrap"})], numpy=take, draw={1: indices(-9, 12, "int64")}),
    *cases("take", [(((5, 3), (4,)), {"mode": "raise"})], numpy=take, draw={1: indices(-5, 5, "int8")}),
    *cases("take", [(((5, 3), (0,)), {}), (((5, 0), (2,)), {})], numpy=take, draw={1: indices(0, 5, "float32")}),
    *cases(
        "take", [(((300, 267), (263,)), {})], numpy=take, draw={1: indices(0, 300, "float32")}, dtypes=("float32", "bool"), gradient=False
    ),
    *cases(
        "add_at",
        [
            (((6, 3), (6,)), {"shape": (4, 3), "axis": 0, "mode": "clip"}),
            (((3, 2, 3), (2, 3)), {"shape": (3, 4), "axis": 1, "mode": "wrap"}),
            (((0, 3), (0,)), {"shape": (4, 3), "axis": 0, "mode": "clip"}),
            (((2000, 35), (2000,)), {"shape": (300, 35), "axis": 0, "mode": "raise"}),
        ],
        numpy=add_at,
        dtypes=(*FLOATS, *INTEGERS),
        draw={1: indices(-4, 4)},
    ),
    *cases(
        "pick", [(((3, 4), (3,)), {}), (((3, 4), (1, 4)), {"axis": 0, "keepdims": True})], numpy=pick, draw={1: indices(-2, 6, "float32")}
    ),
    *cases("pick", [(((2, 3, 4), (2, 4)), {"axis": 1, "mode": "wrap"}), (((4,), ()), {})], numpy=pick, draw={1: indices(-5, 9)}),
    *cases(
        "one_hot",
        [(((3,),), {"depth": 4}), (((2,),), {"depth": 0}), (((3,),), {"depth": 4, "on_value": 5, "off_value": -1, "dtype": "float32"})],
        numpy=one_hot,
        result=lambda _: np.float32,
        draw={0: indices(0, 5)},
        gradient=False,
    ),
    *[
        Case(
            "one_hot",
            ((2, 3),),
            {"depth": 4, "on_value": 5, "off_value": 1, "dtype": dtype},
            one_hot,
            (dtype,),
            draw={0: indices(0, 5, "float32")},
            gradient=False,
        )
        for dtype in ("float16", "uint8", "int8", "int32", "int64", "bool")
    ],
    *cases(
        "Embedding",
        [(((2, 3), (5, 4)), {"input_dim": 5, "output_dim": 4})],
        numpy=lambda data, weight, **_: take(weight, data),
        draw={0: indices(-1, 7)},
    ),
    *cases(
        "boolean_mask",
        [(((5, 3), (5,)), {}), (((5, 3), (5, 3)), {}), (((0, 3), (0,)), {}), (((LARGE,), (LARGE,)), {})],
        numpy=lambda data, index: data[index],
        draw={1: lambda generator, shape: generator.integers(0, 2, shape).astype(bool)},
    ),
]

# --- products ---


def dot(lhs: Array, rhs: Array, transpose_a: bool = False, transpose_b: bool = False) -> Array:
    """MXNet's: over the last axis of the first array and the first of the second."""
    lhs = np.moveaxis(lhs, 0, -1) if transpose_a and lhs.ndim > 1 else lhs
    rhs = np.moveaxis(rhs, -1, 0) if transpose_b and rhs.ndim > 1 else rhs
    return np.tensordot(lhs, rhs, 1)


def batch_dot(lhs: Array, rhs: Array, transpose_a: bool = False, transpose_b: bool = False) -> Array:
    return np.matmul(np.swapaxes(lhs, -1, -2) if transpose_a else lhs, np.swapaxes(rhs, -1, -2) if transpose_b else rhs)


PRODUCTS = [
    *cases(
        "matmul",
        [(((2, 5, 7), (2, 7, 6)), {}), (((1, 1, 3), (1, 3, 4)), {}), (((2, 3, 0), (2, 0, 4)), {}), (((0, 3, 2), (0, 2, 4)), {})],
        rounded=8,
        terms=magnitudes(np.matmul),
    ),
    *cases(
        "matmul",
        [(((1, 37, 70), (1, 70, 65)), {}), (((3, 1, 70), (3, 70, 65)), {}), (((3, 37, 70), (3, 70, 1)), {})],
        rounded=71,
        terms=magnitudes(np.matmul),
        gradient=False,
    ),
    *cases(
        "dot",
        [
            (((3, 4), (4, 5)), {}),
            (((4, 3), (4, 5)), {"transpose_a": True}),
            (((3, 4), (5, 4)), {"transpose_b": True}),
            (((4, 3), (5, 4)), {"transpose_a": True, "transpose_b": True}),
            (((4,), (4,)), {}),
            (((3, 4), (4,)), {}),
            (((4,), (4, 3)), {}),
            (((2, 3, 4), (4, 2, 2)), {}),
        ],
        numpy=dot,
        rounded=5,
        terms=magnitudes(dot),
    ),
    *cases(
        "batch_dot",
        [
            (((2, 3, 4), (2, 4, 5)), {}),
            (((2, 4, 3), (2, 5, 4)), {"transpose_a": True, "transpose_b": True}),
            (((2, 2, 3, 4), (2, 2, 4, 2)), {}),
        ],
        numpy=batch_dot,
        rounded=5,
        terms=magnitudes(batch_dot),
    ),
]

# --- networks ---


def log_softmax(data: Array, axis: int = -1) -> Array:
    shifted = data - data.max(axis, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))


def softmax(data: Array, axis: int = -1) -> Array:
    return np.exp(log_softmax(data, axis))


def spread(data: Array, axis: int = -1) -> Array:
    """How far the elements are from their line's largest, which is what softmax rounds."""
    return np.ones_like(data) + data.max(axis, keepdims=True, initial=0) - data


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda data: np.maximum(data, 0),
    "sigmoid": lambda data: 1 / (1 + np.exp(-data)),
    "softrelu": lambda data: np.logaddexp(data, 0),
    "softsign": lambda data: data / (1 + abs(data)),
    "tanh": np.tanh,
}


def fully_connected(data: Array, weight: Array, bias: Any = 0, flatten: bool = True, no_bias: bool = False, num_hidden: int = 0) -> Array:
    return (data.reshape(len(data), weight.shape[1]) if flatten else data) @ weight.T + (0 if no_bias else bias)


def softmax_cross_entropy(data: Array, label: Array) -> Array:
    return -np.sum(log_softmax(data)[np.arange(len(label)), label.astype(int)]).reshape(1)


ALONG: list[Call] = [(((3, 5),), {}), (((3, 5),), {"axis": 0}), (((2, 3, 4),), {"axis": 1}), (((1,),), {}), (((0, 3),), {}), ((WIDE,), {})]
BACK: list[Call] = [((shape, shape), attributes) for (shape,), attributes in ALONG]

NETWORKS = [
    *cases(
        "softmax", ALONG, numpy=softmax, result=floated, rounded=24, terms=lambda data, axis=-1: spread(data, axis) * softmax(data, axis)
    ),
    *cases(
        "log_softmax",
        ALONG,
        numpy=log_softmax,
        result=floated,
        rounded=24,
        terms=lambda data, axis=-1: spread(data, axis) + abs(log_softmax(data, axis)),
    ),
    *cases(
        "softmax_back",
        BACK,
        result=floated,
        rounded=8,
        terms=lambda head, result, axis=-1: (abs(head) + abs(head * result).sum(axis, keepdims=True)) * abs(result),
    ),
    *cases(
        "log_softmax_back",
        BACK,
        result=floated,
        rounded=24,
        terms=lambda head, result, axis=-1: abs(head) + np.exp(result) * abs(head).sum(axis, keepdims=True),
    ),
    *[
        Case(
            "Activation", ((3, 5),), {"act_type": name}, numpy=lambda data, act_type: ACTIVATIONS[act_type](data), dtypes=FLOATS, rounded=16
        )
        for name in ACTIVATIONS
    ],
    *cases(
        "FullyConnected",
        [
            (((3, 2, 2), (5, 4), (5,)), {"num_hidden": 5}),
            (((3, 4), (5, 4)), {"no_bias": True}),
            (((2, 3, 4), (5, 4), (5,)), {"flatten": False}),
            (((0, 4), (5, 4), (5,)), {}),
        ],
        numpy=fully_connected,
        dtypes=FLOATS,
        rounded=6,
        halves=2,
        terms=magnitudes(fully_connected),
    ),
    *cases(
        "softmax_cross_entropy",
        [(((4, 3), (4,)), {})],
        numpy=softmax_cross_entropy,
        dtypes=FLOATS,
        rounded=48,
        terms=lambda data, label: np.sum(spread(data)).reshape(1),
        draw={1: indices(0, 3, "float32")},
    ),
]


CASES = [
    *BROADCASTING,
    *REDUCTIONS,
    *SHAPES,
    *INDEXING,
    *PRODUCTS,
    *NETWORKS,
    *cases_densities.CASES,
    *cases_indexing.CASES,
    *cases_linalg.CASES,
    *cases_losses.CASES,
    *cases_networks.CASES,
    *cases_reductions.CASES,
    *cases_shapes.CASES,
    *cases_sorting.CASES,
    *cases_vision.CASES,
]

# What has no cases here, and where it is tested.
ELSEWHERE = {
    **cases_reductions.ELSEWHERE,
    "arange": "test_operators.py, by itself: it takes no arrays",
    "cast": "test_operators.py, by itself: from every dtype to every other",
    "first_places": "test_sorting.py, as what topk picks few elements by",
    "full": "test_operators.py, by itself: it takes no arrays",
    "permutation": "tests/test_random.py",
    "raised": "test_operators.py, by itself: it depends on the number",
    "random_bits": "tests/test_random.py",
    "random_normal": "tests/test_random.py",
    "random_randint": "tests/test_random.py",
    "random_uniform": "tests/test_random.py",
    "sample_exponential": "tests/test_distributions.py",
    "sample_gamma": "tests/test_distributions.py",
    "sample_generalized_negative_binomial": "tests/test_distributions.py",
    "sample_multinomial": "tests/test_distributions.py",
    "sample_negative_binomial": "tests/test_distributions.py",
    "sample_normal": "tests/test_random.py",
    "sample_poisson": "tests/test_distributions.py",
    "sample_uniform": "tests/test_random.py",
    "shuffle": "tests/test_random.py",
    "sorted_places": "test_sorting.py, as what sort, argsort and topk pick elements by",
    "split": "test_operators.py, by itself: it gives several arrays",
    "split_v2": "test_shapes.py: it gives several arrays",
    "unpicked": "test_operators.py, as the gradient of pick",
    "transfer": "test_operators.py, by itself: it takes two devices",
    **cases_linalg.ELSEWHERE,
    **cases_losses.ELSEWHERE,
    **cases_networks.ELSEWHERE,
}
