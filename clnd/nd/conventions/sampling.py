"""Images sampled at other places."""

from __future__ import annotations

from typing import Any

from clnd.engine import Value
from clnd.ops import Operator

from .declare import Convention, convention


@convention("BilinearSampler")
def bilinear_sampler(op: Operator) -> Convention:
    """`cudnn_off`, which asks for nothing here."""

    def function(data: Value, grid: Value, *, cudnn_off: Any = None) -> Any:
        return op(data, grid)

    return function


@convention("SpatialTransformer")
def spatial_transformer(op: Operator) -> Convention:
    """`cudnn_off`, which asks for nothing here."""

    def function(
        data: Value,
        loc: Value,
        *,
        target_shape: Any = (0, 0),
        transform_type: str = "affine",
        sampler_type: str = "bilinear",
        cudnn_off: Any = None,
    ) -> Any:
        return op(data, loc, target_shape=target_shape, transform_type=transform_type, sampler_type=sampler_type)

    return function
