"""Products and factorisations of matrices."""

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


@convention("linalg_det", "linalg_sumlogdiag")
def number(op: Operator) -> Convention:
    """(1,) for the number of a single matrix."""

    def function(A: Value) -> Any:
        return at_least_1d(op(A))

    return function


@convention("linalg_slogdet")
def numbers(op: Operator) -> Convention:
    """(1,) for the numbers of a single matrix."""

    def function(A: Value) -> Any:
        found: Any = op(A)
        return [at_least_1d(value) for value in found]

    return function
