"""The table of operators: what the tests ask each one, and what NumPy answers. `checks.py` does the asking.

Elementwise operators are taken from the declarations as they are: `numpy=` is what they are compared with. A new one is checked without a
line here, if every result of it is correctly rounded; otherwise `ULPS` says how far off it may be. All others have cases.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from clnd.engine import dtypes
from clnd.ops import registry
from clnd.ops.arithmetic import Cast
from clnd.ops.declare import Elementwise, Operator

Shape = tuple[int, ...]
Array = np.ndarray[Any, Any]

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "uint8", "int32", "int64")
DTYPES = (*FLOATS, *INTEGERS, "bool")

# --- elementwise operators ---

# How many units in the last place a result may be off, by the OpenCL specification: what is not listed is correctly rounded, or exact.
# float16 is computed in float32 and rounded once, so that there it is hardly more than half a unit. That drivers stay within these bounds
# everywhere, and closer where clnd computes a function itself, is the matter of tests/ops/test_mathematics.py.
ULPS = {
    "arccos": 4,
    "arccosh": 4,
    "arcsin": 4,
    "arcsinh": 4,
    "arctan": 5,
    "arctanh": 5,
    "cbrt": 2,
    "cos": 4,
    "cosh": 4,
    "degrees": 2,
    "cube": 2,
    "digamma": 16,
    "divide": 2.5,
    "erf": 16,
    "erfinv": 16,
    "exp": 3,
    "expm1": 3,
    "gamma": 16,
    "gammaln": 16,
    "hard_sigmoid": 4,
    "hypot": 4,
    "log": 3,
    "log10": 3,
    "log1p": 2,
    "log2": 3,
    "polygamma": 16,
    "power": 4,
    "radians": 2,
    "rcbrt": 5,
    "reciprocal": 2.5,
    "rsqrt": 2,
    "sigmoid": 8,
    "sin": 4,
    "sinh": 4,
    "smooth_l1": 4,
    "softrelu": 6,
    "softsign": 4,
    "sqrt": 3,
    "tan": 5,
    "tanh": 5,
}

# What it may be off besides, as a multiple of the dtype's epsilon: for those that have a zero where they are computed by a difference.
NEAR_ZERO = {"digamma": 8, "gammaln": 8, "hard_sigmoid": 1}

# Attributes that are given where an operator has some.
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "clip": {"a_min": -1, "a_max": 3},
    "hard_sigmoid": {"alpha": 0.25, "beta": 0.5},
    "polygamma": {"order": 1},
    "smooth_l1": {"scalar": 2.0},
}


def truncated(lhs: Array, rhs: Array) -> Array:
    """The quotient without its fraction; of integers by zero 0."""
    if lhs.dtype.kind == "f":
        return np.trunc(lhs / rhs)
    down = lhs // rhs
    return np.where(rhs == 0, 0, down + ((lhs % rhs != 0) & ((lhs < 0) != (rhs < 0)))).astype(lhs.dtype)


def whole_power(base: Array, exponent: Array) -> Array:
    """Powers as the operator declares them for integers, where NumPy has none for negative exponents."""
    if base.dtype.kind == "f":
        return np.power(base, exponent)
    found = np.power(base, np.where(exponent < 0, 0, exponent))
    turned = np.where(base == 1, 1, np.where(base == base.dtype.type(-1), np.where(exponent % 2, base, 1), 0))
    return np.where(exponent < 0, turned, found).astype(base.dtype) if base.dtype.kind == "i" else found


def inverse_error_function(data: Array) -> Array:
    """Newton's steps from a rough start."""
    slope, erf = np.sqrt(np.pi) / 2, np.vectorize(math.erf, otypes=[float])
    data = data.astype(np.float64)
    found = data * slope
    for _ in range(60):
        found = found - (erf(found) - data) * slope * np.exp(np.square(found))
    return found


def derivative_of_gammaln(order: int, data: Array) -> Array:
    """Polygamma: the recurrence up to large numbers, and there the asymptotic series."""
    sign, total = (-1) ** (order + 1), np.zeros_like(data)
    factorial = math.factorial(order)
    for _ in range(24):
        total = total + sign * factorial / data ** (order + 1)
        data = data + 1
    bernoulli = [Fraction(*pair) for pair in ((1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510))]
    if order == 0:
        tail = np.log(data) - 1 / (2 * data)
    else:
        tail = sign * (math.factorial(order - 1) / data**order + factorial / (2 * data ** (order + 1)))
    for k, number in enumerate(bernoulli, 1):
        scale = number * Fraction(math.factorial(2 * k + order - 1), math.factorial(2 * k))
        tail = tail + sign * data.dtype.type(scale.numerator) / data.dtype.type(scale.denominator) / data ** (2 * k + order)
    return total + tail


def of_floats(function: Callable[..., Array]) -> Callable[..., Array]:
    """Leave integers as they are, which some functions of NumPy make floats of."""
    return lambda data: function(data) if data.dtype.kind == "f" else data


# What an operator is compared with where the declaration names no function of NumPy, or one that does not answer for all dtypes.
ORACLES: dict[str, Callable[..., Array]] = {
    "digamma": lambda data: derivative_of_gammaln(0, data),
    "erfinv": inverse_error_function,
    "polygamma": lambda data, order: derivative_of_gammaln(order, data),
    "power": whole_power,
    "rint": of_floats(np.rint),
    "round": of_floats(registry["round"].numpy),
    "truncated_divide": truncated,
}

# Whose zeros may have any sign: IEEE 754 leaves the larger of 0 and -0 open, and NumPy's answer depends on the dtype.
UNSIGNED_ZEROS = {"maximum", "minimum", "relu"}


# Where operators have jumps, at which nothing is to be compared: the last bit of a quotient decides there.
def far_from_whole(lhs: Array, rhs: Array) -> Array:
    return abs(lhs / rhs - np.rint(lhs / rhs)) > 1e-2


JUMPS: dict[str, Callable[..., Array]] = {"truncated_divide": far_from_whole, "modulo": far_from_whole}


def elementwise() -> list[Elementwise]:
    """The operators that are checked all together."""
    return [op for op in registry.values() if isinstance(op, Elementwise) and not isinstance(op, Cast)]


def oracle(op: Operator) -> Callable[..., Any]:
    """What computes the same with NumPy."""
    found = ORACLES.get(op.name, op.numpy)
    assert found is not None, f"{op.name}: declare `numpy=`, or give the table an oracle"
    return found


def computed_in(op: Elementwise, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What an operator computes operands of `dtype` in."""
    return dtypes.float32 if op.promote == "float" and dtype.kind != "f" else dtype


def takes(op: Elementwise, dtype: np.dtype[Any]) -> bool:
    """Is the operator declared for `dtype`?"""
    return dtypes.category(computed_in(op, dtype)) in op.code


# A view is a pair (name, argument) that NumPy and clnd are both asked for: ("axes", order), ("window", slices), ("shape", wider shape).
View = tuple[str, Any]


@dataclass(frozen=True)
class Operand:
    """An array as it lies in memory, and the views through which the operator sees it."""

    shape: Shape
    views: tuple[View, ...] = ()


def seen(array: Array, views: tuple[View, ...]) -> Array:
    """What NumPy sees through the views."""
    for name, argument in views:
        if name == "axes":
            array = array.transpose(argument)
        elif name == "window":
            array = array[argument]
        else:
            array = np.broadcast_to(array, argument)
    return array


BACKWARDS = slice(None, None, -1)
LARGE = 70_001  # elements: several chunks of a work-item and a last one that is not whole
WIDE = (263, 267)  # as large; no row fits a whole number of vectors

# For each layout the operands of a call; an operator of one array takes the first, of two the first two.
LAYOUTS: dict[str, list[tuple[Operand, Operand, Operand]]] = {
    "linear": [(Operand(shape),) * 3 for shape in ((0,), (3, 0, 2), (7,), (5, 7), (2, 3, 1, 5), (LARGE,))],
    "one element": [(Operand(()), Operand((1,)), Operand((1, 1))), (Operand((1, 1)), Operand(()), Operand(()))],
    "transposed, repeated, linear": [
        (Operand(WIDE[::-1], (("axes", (1, 0)),)), Operand((WIDE[0], 1)), Operand(WIDE)),
        (Operand((4, 3), (("axes", (1, 0)),)), Operand((3, 1)), Operand((3, 4))),
    ],
    "row, steps, one": [
        (Operand((WIDE[1],), (("shape", WIDE),)), Operand((600, 540), (("window", (slice(1, 527, 2), slice(3, 537, 2))),)), Operand(())),
        (Operand((4,), (("shape", (3, 4)),)), Operand((6, 9), (("window", (slice(None, None, 2), slice(0, 8, 2))),)), Operand((1,))),
    ],
    "backwards, padded rows, column": [
        (
            Operand(WIDE, (("window", (BACKWARDS, BACKWARDS)),)),
            Operand((265, 280), (("window", (slice(1, 264), slice(2, 269))),)),
            Operand((WIDE[0], 1)),
        ),
        (
            Operand((3, 4), (("window", (BACKWARDS, BACKWARDS)),)),
            Operand((4, 7), (("window", (slice(1, 4), slice(2, 6))),)),
            Operand((3, 1)),
        ),
    ],
}

SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, -2.5, np.inf, -np.inf, np.nan)


def sample(generator: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Numbers of all kinds: small ones, large ones, special ones, and for integers the whole range."""
    size = int(np.prod(shape))
    if dtype.kind == "b":
        return generator.integers(0, 2, size).astype(dtype).reshape(shape)
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        wide = generator.integers(limits.min, limits.max, size, dtype=dtype, endpoint=True)
        narrow = generator.integers(-4 if limits.min else 0, 9, size).astype(dtype)
        edges = generator.choice(np.array([limits.min, limits.max, 0, 1], dtype), size)
        return np.choose(generator.integers(0, 5, size), [wide, wide, narrow, narrow, edges]).reshape(shape)
    spread = generator.normal(size=size) * 10.0 ** generator.integers(-3, 4, size)
    near = generator.uniform(-10, 10, size)
    unit = generator.uniform(-1, 1, size)
    least = np.finfo(dtype).smallest_normal
    special = generator.choice(np.array([*SPECIAL, np.finfo(dtype).max, least, -least]), size)
    with np.errstate(over="ignore"):
        kinds = generator.integers(0, 16, size)
        return np.select([kinds < 5, kinds < 10, kinds < 15], [spread, near, unit], special).astype(dtype).reshape(shape)
