"""Regions and boxes."""

from __future__ import annotations

from typing import Any

from clnd.engine import Value
from clnd.ops import Operator, registry

from .declare import Convention, convention


@convention("box_iou")
def box_iou(op: Operator) -> Convention:
    """MXNet's has a gradient of zeros: it is a measure, not a loss."""

    def function(lhs: Value, rhs: Value, *, format: str = "corner") -> Any:
        return registry["stop_gradient"](op(lhs, rhs, format=format))

    return function
