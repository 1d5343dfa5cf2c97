"""Picking elements."""

from __future__ import annotations

from typing import Any

from clnd.engine import Value
from clnd.errors import MXNetError
from clnd.ops import Operator, registry

from .declare import Convention, at_least_1d, convention


@convention("Embedding")
def embedding(op: Operator) -> Convention:
    """MXNet's attributes."""

    def function(
        data: Value, weight: Value, *, input_dim: int = 0, output_dim: int = 0, dtype: Any = None, sparse_grad: Any = False
    ) -> Any:
        if sparse_grad:
            raise MXNetError("Embedding: clnd has no sparse gradients; leave sparse_grad out")
        return op(data, weight, input_dim=input_dim, output_dim=output_dim)

    return function


@convention("pick")
def pick(op: Operator) -> Convention:
    """Of an array of one axis it gives an array of one element."""

    def function(data: Value, index: Value, *, axis: int = -1, keepdims: bool = False, mode: str = "clip") -> Any:
        return at_least_1d(op(data, index, axis=axis, keepdims=keepdims, mode=mode))

    return function


@convention("where")
def where(op: Operator) -> Convention:
    """A condition of one axis picks whole rows of arrays with more."""

    def function(condition: Any, x: Any, y: Any) -> Any:
        rows = max((value for value in (x, y) if isinstance(value, Value)), key=lambda value: value.ndim, default=None)
        if rows is not None and rows.ndim > 1 and isinstance(condition, Value) and condition.shape == rows.shape[:1]:
            condition = registry["reshape"](condition, shape=(*condition.shape, *[1] * (rows.ndim - 1)))
        return op(condition, x, y)

    return function
