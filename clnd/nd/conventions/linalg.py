"""Products of matrices."""

from __future__ import annotations

from typing import Any

from clnd.engine import Value
from clnd.ops import Operator

from .declare import Convention, at_least_1d, convention


@convention("dot")
def dot(op: Operator) -> Convention:
    """(1,) for a single number."""

    def function(lhs: Value, rhs: Value, *, transpose_a: Any = False, transpose_b: Any = False, forward_stype: Any = None) -> Any:
        return at_least_1d(op(lhs, rhs, transpose_a=bool(transpose_a), transpose_b=bool(transpose_b)))

    return function


@convention("batch_dot")
def batch_dot(op: Operator) -> Convention:
    """MXNet's attributes."""

    def function(lhs: Value, rhs: Value, *, transpose_a: Any = False, transpose_b: Any = False, forward_stype: Any = None) -> Any:
        return op(lhs, rhs, transpose_a=bool(transpose_a), transpose_b=bool(transpose_b))

    return function
