"""Convolutions and pooling: MXNet's layouts and attributes."""

from __future__ import annotations

from typing import Any

from clnd.engine import Value
from clnd.errors import DTypeError, ShapeError
from clnd.ops import Operator, registry

from .declare import Convention, convention

_LAYOUTS = {"NCW": False, "NCHW": False, "NCDHW": False, "NWC": True, "NHWC": True, "NDHWC": True}


def channels_last(name: str, layout: str | None, ndim: int) -> bool:
    """Do the channels come last in this layout?"""
    if layout is None:
        return False
    if layout not in _LAYOUTS or len(layout) != ndim:
        fitting = ", ".join(known for known in _LAYOUTS if len(known) == ndim) or "none"
        raise DTypeError(f"{name}: layout {layout!r} does not fit data of {ndim} axes; there are {fitting}")
    return _LAYOUTS[layout]


@convention("Pooling")
def pooling(op: Operator) -> Convention:
    """`layout`; what chooses another library does nothing."""

    def function(
        data: Value,
        *,
        kernel: Any = (),
        pool_type: str = "max",
        global_pool: Any = False,
        cudnn_off: Any = False,
        pooling_convention: str = "valid",
        stride: Any = (),
        pad: Any = (),
        p_value: Any = None,
        count_include_pad: Any = None,
        layout: str | None = None,
    ) -> Any:
        last = channels_last(op.name, layout, data.ndim)
        result = op(
            registry["moveaxis"](data, source=-1, destination=1) if last else data,
            kernel=kernel,
            pool_type=pool_type,
            global_pool=bool(global_pool),
            pooling_convention=pooling_convention,
            stride=stride,
            pad=pad,
            p_value=p_value,
            count_include_pad=count_include_pad is None or bool(count_include_pad),
        )
        return registry["moveaxis"](result, source=1, destination=-1) if last else result

    return function


@convention("Convolution")
def convolution(op: Operator) -> Convention:
    """`layout`, of data, weight and result; what chooses another library, and how, does nothing."""

    def function(
        data: Value,
        weight: Value,
        bias: Value | None = None,
        *,
        kernel: Any,
        stride: Any = (),
        dilate: Any = (),
        pad: Any = (),
        num_filter: int,
        num_group: int = 1,
        workspace: Any = None,
        no_bias: Any = False,
        cudnn_tune: Any = None,
        cudnn_off: Any = False,
        layout: str | None = None,
    ) -> Any:
        if bias is None and not no_bias:
            raise DTypeError(f"{op.name}: the array 'bias' is missing; give it, or no_bias=True")
        geometry = {"kernel": kernel, "stride": stride, "dilate": dilate, "pad": pad}
        return laid_out(op, data, weight, bias, layout, **geometry, num_filter=num_filter, num_group=num_group, no_bias=bool(no_bias))

    return function


@convention("Deconvolution")
def deconvolution(op: Operator) -> Convention:
    """As of `Convolution`; MXNet adds no bias unless told to."""

    def function(
        data: Value,
        weight: Value,
        bias: Value | None = None,
        *,
        kernel: Any,
        stride: Any = (),
        dilate: Any = (),
        pad: Any = (),
        adj: Any = (),
        target_shape: Any = (),
        num_filter: int,
        num_group: int = 1,
        workspace: Any = None,
        no_bias: Any = True,
        cudnn_tune: Any = None,
        cudnn_off: Any = False,
        layout: str | None = None,
    ) -> Any:
        if bias is None and not no_bias:
            raise DTypeError(f"{op.name}: the array 'bias' is missing; give it, or leave no_bias=False out")
        geometry = {"kernel": kernel, "stride": stride, "dilate": dilate, "pad": pad, "adj": adj, "target_shape": target_shape}
        return laid_out(op, data, weight, bias, layout, **geometry, num_filter=num_filter, num_group=num_group, no_bias=bool(no_bias))

    return function


def laid_out(op: Operator, data: Value, weight: Value, bias: Value | None, layout: str | None, **attributes: Any) -> Value:
    """The operator, which has channels first, on arrays of another layout."""
    if not channels_last(op.name, layout, data.ndim):
        return op(data, weight, bias, **attributes)
    if weight.ndim != data.ndim:
        raise ShapeError(f"{op.name}: the weight has shape {weight.shape}, but needs {data.ndim} axes for data of shape {data.shape}")
    data, weight = (registry["moveaxis"](x, source=-1, destination=1) for x in (data, weight))
    return registry["moveaxis"](op(data, weight, bias, **attributes), source=1, destination=-1)
