"""Arithmetic, comparison and rounding."""

from __future__ import annotations

from typing import Any

from clnd.engine import Value, dtypes
from clnd.errors import ShapeError
from clnd.ops import Operator, registry

from .declare import CONVENTIONS, Convention, convention, scalar_for


def _typed(name: str, lhs: Any, rhs: Any) -> tuple[Any, Any]:
    if not isinstance(lhs, Value):
        lhs = scalar_for(name, lhs, rhs.dtype)
    elif not isinstance(rhs, Value):
        rhs = scalar_for(name, rhs, lhs.dtype)
    return lhs, rhs


# Between two arrays these are as they are.
SAME = ("add", "subtract", "multiply", "modulo", "power", "raised", "maximum", "minimum", "hypot")


@convention(*SAME)
def arithmetic(op: Operator) -> Convention:
    """A scalar takes the array's dtype."""

    def function(lhs: Any, rhs: Any) -> Any:
        if type(lhs) is not Value or type(rhs) is not Value:
            lhs, rhs = _typed(op.name, lhs, rhs)
        return op.of_two(lhs, rhs)

    return function


@convention("divide")
def division(op: Operator) -> Convention:
    """Integers divide as in C."""
    truncated = registry["truncated_divide"]

    def function(lhs: Any, rhs: Any) -> Any:
        if type(lhs) is not Value or type(rhs) is not Value:
            lhs, rhs = _typed(op.name, lhs, rhs)
        whole = not (type(lhs) is Value and lhs.dtype.kind == "f") and not (type(rhs) is Value and rhs.dtype.kind == "f")
        return (truncated if whole else op).of_two(lhs, rhs)

    return function


@convention("equal", "not_equal", "greater", "greater_equal", "less", "less_equal", "logical_and", "logical_or", "logical_xor")
def comparison(op: Operator) -> Convention:
    """The answer is 0 or 1 in the operands' dtype. A scalar is compared as it is, not cut to an integer."""

    def function(lhs: Any, rhs: Any) -> Any:
        arrays = [x.dtype for x in (lhs, rhs) if isinstance(x, Value)]
        dtype = arrays[0] if len(arrays) == 1 else dtypes.promote(*arrays)
        return registry["cast"](op(lhs, rhs), dtype=dtype)

    return function


@convention("logical_not", "isnan", "isinf", "isfinite")
def question(op: Operator) -> Convention:
    """The answer is 0 or 1 in the operand's dtype."""

    def function(data: Value) -> Any:
        return registry["cast"](op(data), dtype=data.dtype)

    return function


@convention("rint")
def nearest(op: Operator) -> Convention:
    """Halves go to the lower whole number, not to the even one."""

    def function(data: Value) -> Any:
        if dtypes.category(data.dtype) != "float":
            return op(data)
        below, above = registry["floor"](data), registry["ceil"](data)
        return registry["where"](registry["less_equal"](data - below, above - data), below, above)

    return function


def _of_one_shape(name: str, call: Convention) -> Convention:
    """The operators that do not broadcast."""

    def function(lhs: Any, rhs: Any) -> Any:
        shapes = [x.shape for x in (lhs, rhs) if isinstance(x, Value)]
        if shapes[0] != shapes[-1]:
            raise ShapeError(
                f"{name}: the shapes {shapes[0]} and {shapes[1]} are not the same; {name.replace('elemwise', 'broadcast')} broadcasts"
            )
        return call(lhs, rhs)

    return function


for _name, _operator in {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide"}.items():
    CONVENTIONS[f"elemwise_{_name}"] = _of_one_shape(f"elemwise_{_name}", CONVENTIONS[_operator])


def _power(base: Any, exp: Any) -> Any:
    return CONVENTIONS["broadcast_power"](base, exp)


CONVENTIONS["broadcast_power"], CONVENTIONS["power"] = CONVENTIONS["power"], _power
