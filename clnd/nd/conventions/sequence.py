"""Sequences."""

from __future__ import annotations

from typing import Any

from clnd.engine import Value
from clnd.ops import Operator

from .declare import Convention, convention


@convention("arange_like")
def arange_like(op: Operator) -> Convention:
    """`ctx` is of no effect: the numbers are where the array is."""

    def function(data: Value, *, start: Any = 0.0, step: Any = 1.0, repeat: Any = 1, ctx: Any = None, axis: Any = None) -> Any:
        return op(data, start=start, step=step, repeat=repeat, axis=axis)

    return function
