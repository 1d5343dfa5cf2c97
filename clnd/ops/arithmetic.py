"""Arithmetic, comparison, logic and choice, element by element with broadcasting."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Expression, Value, dtypes
from clnd.errors import ShapeError

from .creation import full_like
from .declare import Elementwise, composed, converted, elementwise, registry, zero

# Integer division: OpenCL leaves division by zero and of the smallest integer by -1 undefined, so neither reaches the device.
_DIVISOR = "(((rhs == (T)(0)) | (rhs == (T)(-1))) ? (T)(1) : rhs)"
_UNSIGNED_DIVISOR = "(rhs == (T)(0) ? (T)(1) : rhs)"
_REST = f"(lhs % {_DIVISOR})"


@elementwise(
    "lhs + rhs",
    int="convert_T(as_U(lhs) + as_U(rhs))",
    bool="lhs | rhs",
    grad=(lambda dz: dz, lambda dz: dz),
    numpy=np.add,
    methods=["__add__", "__radd__"],
)
def add(lhs: Any, rhs: Any) -> None:
    """Sum, element by element, with broadcasting. Integers wrap around.

    >>> from clnd import nd
    >>> nd.add(nd.array([1, 2]), nd.array([10, 20])).asnumpy()
    array([11., 22.], dtype=float32)
    """


@elementwise(
    "lhs - rhs",
    int="convert_T(as_U(lhs) - as_U(rhs))",
    grad=(lambda dz: dz, lambda dz: -dz),
    numpy=np.subtract,
    methods=["__sub__", "__rsub__"],
)
def subtract(lhs: Any, rhs: Any) -> None:
    """Difference, element by element, with broadcasting. Integers wrap around.

    >>> from clnd import nd
    >>> nd.subtract(nd.array([1, 2]), nd.array([10, 20])).asnumpy()
    array([ -9., -18.], dtype=float32)
    """


@elementwise(
    "lhs * rhs",
    int="convert_T(as_U(lhs) * as_U(rhs))",
    bool="lhs & rhs",
    grad=(lambda dz, rhs: dz * rhs, lambda dz, lhs: dz * lhs),
    numpy=np.multiply,
    methods=["__mul__", "__rmul__"],
)
def multiply(lhs: Any, rhs: Any) -> None:
    """Product, element by element, with broadcasting. Integers wrap around.

    >>> from clnd import nd
    >>> nd.multiply(nd.array([[1, 2], [3, 4]]), nd.array([10, 100])).asnumpy()
    array([[ 10., 200.],
           [ 30., 400.]], dtype=float32)
    """


@elementwise(
    promote="float",
    grad=(lambda dz, rhs: dz / rhs, lambda dz, lhs, rhs: -(dz * lhs / (rhs * rhs))),
    numpy=np.true_divide,
    domain=(0.5, 2.0),
    methods=["__truediv__", "__rtruediv__"],
    float="lhs / rhs",
)
def divide(lhs: Any, rhs: Any) -> None:
    """Quotient, element by element, with broadcasting; of integers as float32.

    >>> from clnd import nd
    >>> nd.divide(nd.array([1, 2]), nd.array([4, 0])).asnumpy()
    array([0.25,  inf], dtype=float32)
    """


@elementwise(
    float="trunc(lhs / rhs)",
    int=f"rhs == (T)(-1) ? convert_T(-as_U(lhs)) : (rhs == (T)(0) ? (T)(0) : lhs / {_DIVISOR})",
    uint=f"rhs == (T)(0) ? (T)(0) : lhs / {_UNSIGNED_DIVISOR}",
    grad=(zero, zero),
    numpy=lambda lhs, rhs: np.trunc(np.true_divide(lhs, rhs)).astype(np.result_type(lhs, rhs)),
    domain=(1.0, 9.0),
)
def truncated_divide(lhs: Any, rhs: Any) -> None:
    """Whole part of the quotient, as C divides integers. Division of an integer by zero gives 0.

    >>> from clnd import nd
    >>> (nd.array([-7, 7], dtype="int32") / nd.array([2, 0], dtype="int32")).asnumpy()
    array([-3,  0], dtype=int32)
    """


@elementwise(
    float="modulo_T(lhs, rhs)",
    int=f"(({_REST} != (T)(0)) & (({_REST} < (T)(0)) != ({_DIVISOR} < (T)(0)))) ? {_REST} + {_DIVISOR} : {_REST}",
    uint=f"lhs % {_UNSIGNED_DIVISOR}",
    grad=(lambda dz: dz, lambda dz, lhs, rhs: -(dz * registry["floor"](lhs / rhs))),
    numpy=np.mod,
    domain=(1.0, 9.0),
    methods=["__mod__", "__rmod__"],
)
def modulo(lhs: Any, rhs: Any) -> None:
    """Remainder with the sign of the divisor, as Python's `%`. The remainder of an integer by zero is 0.

    >>> from clnd import nd
    >>> nd.modulo(nd.array([-3, 3]), nd.array([2, -2])).asnumpy()
    array([ 1., -1.], dtype=float32)
    """


def _logarithm(base: Any, like: Value) -> Value:
    """Of an array, or of a number beside an array."""
    return registry["log"](base if isinstance(base, Value) else full_like(like, base))


@elementwise(
    float="power_T(lhs, rhs)",
    int="integer_power_T(lhs, rhs)",
    uint="integer_power_T(lhs, rhs)",
    grad=(
        lambda dz, lhs, rhs: dz * rhs * registry["raised"](lhs, rhs - 1),
        lambda dz, z, lhs: registry["where"](registry["equal"](z, 0), 0.0, dz * z * _logarithm(lhs, z)),
    ),
    numpy=np.power,
    domain=(0.5, 3.0),
    dear=True,
)
def power(lhs: Any, rhs: Any) -> None:
    """`lhs` to the power of `rhs`. Integers wrap around; an integer to a negative power is 0, save that of 1 and -1.

    >>> from clnd import nd
    >>> nd.power(nd.array([2, 3]), nd.array([3, 2])).asnumpy()
    array([8., 9.], dtype=float32)
    """


# Powers that have operators of their own: of any dtype, and of floats.
_POWERS = {2: "square", 3: "cube"}
_FLOAT_POWERS = {0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}


@composed(numpy=np.power, methods=["__pow__", "__rpow__"])
def raised(lhs: Any, rhs: Any) -> Any:
    """`lhs ** rhs`; some powers by a number have operators of their own, which are quicker."""
    if not isinstance(rhs, Value):
        if rhs == 1:
            return lhs
        name = _POWERS.get(rhs) or (_FLOAT_POWERS.get(rhs) if dtypes.category(lhs.dtype) == "float" else None)
        if name:
            return registry[name](lhs)
    return power(lhs, rhs)


@elementwise("-data", int="convert_T(-as_U(data))", grad=lambda dz: -dz, numpy=np.negative, methods=["negative", "__neg__"])
def negative(data: Any) -> None:
    """The element with the other sign.

    >>> from clnd import nd
    >>> nd.negative(nd.array([1, -2])).asnumpy()
    array([-1.,  2.], dtype=float32)
    """


@elementwise(
    "lhs > rhs ? lhs : rhs",
    float="((lhs > rhs) | (lhs != lhs)) ? lhs : rhs",
    bool="lhs | rhs",
    grad=(lambda dz, lhs, rhs: dz * registry["greater_equal"](lhs, rhs), lambda dz, lhs, rhs: dz * registry["less"](lhs, rhs)),
    numpy=np.maximum,
)
def maximum(lhs: Any, rhs: Any) -> None:
    """The larger element; NaN where either is. At ties the gradient goes to `lhs`.

    >>> from clnd import nd
    >>> nd.maximum(nd.array([1, 5]), nd.array([3, 2])).asnumpy()
    array([3., 5.], dtype=float32)
    """


@elementwise(
    "lhs < rhs ? lhs : rhs",
    float="((lhs < rhs) | (lhs != lhs)) ? lhs : rhs",
    bool="lhs & rhs",
    grad=(lambda dz, lhs, rhs: dz * registry["less_equal"](lhs, rhs), lambda dz, lhs, rhs: dz * registry["greater"](lhs, rhs)),
    numpy=np.minimum,
)
def minimum(lhs: Any, rhs: Any) -> None:
    """The smaller element; NaN where either is. At ties the gradient goes to `lhs`.

    >>> from clnd import nd
    >>> nd.minimum(nd.array([1, 5]), nd.array([3, 2])).asnumpy()
    array([1., 2.], dtype=float32)
    """


@elementwise(
    float="hypot(lhs, rhs)",
    promote="float",
    grad=(lambda dz, z, lhs: dz * lhs / z, lambda dz, z, rhs: dz * rhs / z),
    numpy=np.hypot,
    domain=(0.5, 2.0),
    dear=True,
)
def hypot(lhs: Any, rhs: Any) -> None:
    """The hypotenuse `sqrt(lhs**2 + rhs**2)`, without overflow on the way.

    >>> from clnd import nd
    >>> nd.broadcast_hypot(nd.array([3.0]), nd.array([4.0])).asnumpy()
    array([5.], dtype=float32)
    """


@elementwise("lhs == rhs", bool="lhs == rhs", result=bool, grad=(zero, zero), numpy=np.equal)
def equal(lhs: Any, rhs: Any) -> None:
    """Are the elements equal? Constant wherever it is differentiable: the gradient is zero.

    >>> from clnd import nd
    >>> nd.equal(nd.array([1, 2]), nd.array([1, 3])).asnumpy()
    array([1., 0.], dtype=float32)
    """


@elementwise("lhs != rhs", bool="lhs != rhs", result=bool, grad=(zero, zero), numpy=np.not_equal)
def not_equal(lhs: Any, rhs: Any) -> None:
    """Are the elements different? The gradient is zero.

    >>> from clnd import nd
    >>> nd.not_equal(nd.array([1, 2]), nd.array([1, 3])).asnumpy()
    array([0., 1.], dtype=float32)
    """


@elementwise("lhs > rhs", bool="lhs > rhs", result=bool, grad=(zero, zero), numpy=np.greater)
def greater(lhs: Any, rhs: Any) -> None:
    """Is the first element the larger one? The gradient is zero.

    >>> from clnd import nd
    >>> nd.greater(nd.array([1, 4]), nd.array([1, 3])).asnumpy()
    array([0., 1.], dtype=float32)
    """


@elementwise("lhs >= rhs", bool="lhs >= rhs", result=bool, grad=(zero, zero), numpy=np.greater_equal)
def greater_equal(lhs: Any, rhs: Any) -> None:
    """Is the first element at least as large? The gradient is zero.

    >>> from clnd import nd
    >>> nd.greater_equal(nd.array([1, 2]), nd.array([1, 3])).asnumpy()
    array([1., 0.], dtype=float32)
    """


@elementwise("lhs < rhs", bool="lhs < rhs", result=bool, grad=(zero, zero), numpy=np.less)
def less(lhs: Any, rhs: Any) -> None:
    """Is the first element the smaller one? The gradient is zero.

    >>> from clnd import nd
    >>> nd.lesser(nd.array([1, 2]), nd.array([1, 3])).asnumpy()
    array([0., 1.], dtype=float32)
    """


@elementwise("lhs <= rhs", bool="lhs <= rhs", result=bool, grad=(zero, zero), numpy=np.less_equal)
def less_equal(lhs: Any, rhs: Any) -> None:
    """Is the first element at most as large? The gradient is zero.

    >>> from clnd import nd
    >>> nd.lesser_equal(nd.array([1, 4]), nd.array([1, 3])).asnumpy()
    array([1., 0.], dtype=float32)
    """


@elementwise("(lhs != (T)(0)) & (rhs != (T)(0))", bool="lhs & rhs", result=bool, grad=(zero, zero), numpy=np.logical_and, domain=(0.0, 1.0))
def logical_and(lhs: Any, rhs: Any) -> None:
    """Are both elements other than zero? The gradient is zero.

    >>> from clnd import nd
    >>> nd.logical_and(nd.array([0, 2]), nd.array([1, 3])).asnumpy()
    array([0., 1.], dtype=float32)
    """


@elementwise("(lhs != (T)(0)) | (rhs != (T)(0))", bool="lhs | rhs", result=bool, grad=(zero, zero), numpy=np.logical_or, domain=(0.0, 1.0))
def logical_or(lhs: Any, rhs: Any) -> None:
    """Is either element other than zero? The gradient is zero.

    >>> from clnd import nd
    >>> nd.logical_or(nd.array([0, 0]), nd.array([0, 3])).asnumpy()
    array([0., 1.], dtype=float32)
    """


@elementwise("(lhs != (T)(0)) ^ (rhs != (T)(0))", bool="lhs ^ rhs", result=bool, grad=(zero, zero), numpy=np.logical_xor, domain=(0.0, 1.0))
def logical_xor(lhs: Any, rhs: Any) -> None:
    """Is exactly one element other than zero? The gradient is zero.

    >>> from clnd import nd
    >>> nd.logical_xor(nd.array([1, 0]), nd.array([2, 3])).asnumpy()
    array([0., 1.], dtype=float32)
    """


@elementwise("data == (T)(0)", bool="data == (T)(0)", result=bool, grad=zero, numpy=np.logical_not, domain=(0.0, 1.0))
def logical_not(data: Any) -> None:
    """Is the element zero? The gradient is zero.

    >>> from clnd import nd
    >>> nd.logical_not(nd.array([0, 2])).asnumpy()
    array([1., 0.], dtype=float32)
    """


_CHOICE = "(convert_S(condition) != (S)(0)) ? x : y"


@elementwise(
    _CHOICE,
    bool=_CHOICE,
    conditions=1,
    grad=(
        zero,
        lambda dz, condition: registry["where"](condition, dz, 0),
        lambda dz, condition: registry["where"](condition, 0, dz),
    ),
    numpy=np.where,
)
def where(condition: Any, x: Any, y: Any) -> None:
    """`x` where the condition is not zero, else `y`, with broadcasting.

    >>> from clnd import nd
    >>> nd.where(nd.array([1, 0]), nd.array([1, 2]), nd.array([10, 20])).asnumpy()
    array([ 1., 20.], dtype=float32)
    """


TOGETHER = 16  # arrays that `add_n` adds up in one kernel


def _tree(values: Sequence[Value]) -> Value:
    """Sums of sums, so that few roundings lie between an element and the result."""
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    return _tree(values[:half]) + _tree(values[half:])


@composed(numpy=lambda *args: functools.reduce(np.add, args), methods=[])
def add_n(*args: Value) -> Value:
    """The sum of any number of arrays of one shape. float16 is rounded once.

    >>> from clnd import nd
    >>> nd.add_n(nd.array([1, 2]), nd.array([10, 20]), nd.array([100, 200])).asnumpy()
    array([111., 222.], dtype=float32)
    """
    if any(x.shape != args[0].shape for x in args):
        raise ShapeError(f"add_n: the arrays have shapes {', '.join(str(x.shape) for x in args)}, which must be one")
    dtype = functools.reduce(dtypes.promote, (x.dtype for x in args))
    values = [converted(x, dtypes.float32 if dtype == dtypes.float16 else dtype) for x in args]
    total = _tree(values[:TOGETHER])
    for i in range(TOGETHER, len(values), TOGETHER - 1):
        engine.evaluate(total)
        total = total + _tree(values[i : i + TOGETHER - 1])
    return converted(total, dtype)


@composed(numpy=lambda data: data / np.sqrt(data.shape[-1]), methods=[])
def div_sqrt_dim(data: Value) -> Value:
    """The elements divided by the square root of the size of the last axis; of integers as float32.

    >>> from clnd import nd
    >>> nd.contrib.div_sqrt_dim(nd.array([[2, 4, 6, 8]])).asnumpy()
    array([[1., 2., 3., 4.]], dtype=float32)
    """
    if not data.ndim:
        raise ShapeError("div_sqrt_dim: an array without axes has no last one")
    dtype = dtypes.floating(data.dtype)
    x = converted(data, dtypes.promote(dtype, dtypes.float32))  # beside float16 the root would be rounded, too
    return converted(x / math.sqrt(data.shape[-1] or 1), dtype)


class Cast(Elementwise):
    """An expression for each pair of dtypes: the conversion itself is the engine's."""

    def __call__(self, *inputs: Any, **attrs: Any) -> Value:
        """Convert `data`; see Operator."""
        dtype = dtypes.as_dtype(self.fill(attrs)["dtype"])
        (data,) = inputs
        found = self._expressions.get(dtype)
        if found is None:
            found = self._expressions[dtype] = Expression(f"to_{dtype}", "data", ("data",), (dtype,), dtype, dtype)
        return engine.defer(self, found, (data,), {"dtype": dtype}, data.shape, dtype, data.device)


def _cast_gradient(dz: Value, dtype: np.dtype[Any]) -> Value | None:
    return dz if dtypes.category(dtype) == "float" else None


@partial(Cast, code={}, grad=_cast_gradient, numpy=lambda data, dtype: data.astype(dtype))
def cast(data: Any, *, dtype: Any) -> None:
    """The elements as another dtype.

    Floats become integers by dropping what follows the point; NaN, the infinities and floats out of range become the smallest
    integer (of 32 or 64 bits). The gradient goes back as the input's dtype; through integers it is zero.

    >>> from clnd import nd
    >>> nd.cast(nd.array([1.7, -1.7]), dtype="int32").asnumpy()
    array([ 1, -1], dtype=int32)
    """
