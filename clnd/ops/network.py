"""Operators of neural networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from clnd.engine import Value, dtypes
from clnd.errors import DTypeError, ShapeError

from .declare import composed, converted, launched, normalize_axis, registry


def _softmax_numpy(data: Any, axis: int = -1) -> Any:
    e = np.exp(data - data.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def _softmax_gradient(dz: Value, z: Value, axis: int) -> Value:
    return (dz - registry["sum"](dz * z, axis=axis, keepdims=True)) * z


@launched(grad=_softmax_gradient, numpy=_softmax_numpy)
def softmax(data: Value, *, axis: int = -1) -> Value:
    """exp(x) divided by its sum along `axis`, without overflow on the way.

    >>> from clnd import nd
    >>> nd.softmax(nd.array([1, 1])).asnumpy()
    array([0.5, 0.5], dtype=float32)
    """
    data, dtype = _wide(data, "softmax", axis)
    powers = registry["exp"](data - registry["max"](data, axis=axis, keepdims=True)) if data.size else data
    return converted(powers / registry["sum"](powers, axis=axis, keepdims=True), dtype)


def _log_softmax_gradient(dz: Value, z: Value, axis: int) -> Value:
    return dz - registry["exp"](z) * registry["sum"](dz, axis=axis, keepdims=True)


@launched(grad=_log_softmax_gradient, numpy=lambda data, axis=-1: np.log(_softmax_numpy(data, axis)))
def log_softmax(data: Value, *, axis: int = -1) -> Value:
    """The logarithm of `softmax`, computed so that small probabilities keep their digits.

    >>> from clnd import nd
    >>> nd.log_softmax(nd.array([1, 1])).asnumpy()
    array([-0.6931472, -0.6931472], dtype=float32)
    """
    data, dtype = _wide(data, "log_softmax", axis)
    if not data.size:
        return converted(data, dtype)
    shifted = data - registry["max"](data, axis=axis, keepdims=True)
    total = registry["sum"](registry["exp"](shifted), axis=axis, keepdims=True)
    return converted(shifted - registry["log"](total), dtype)


def _wide(data: Value, name: str, axis: int) -> tuple[Value, np.dtype[Any]]:
    """float16 is computed in float32 from end to end, and rounded once."""
    normalize_axis(name, axis, data.ndim)
    dtype = dtypes.floating(data.dtype)
    return converted(data, dtypes.promote(dtype, dtypes.float32)), dtype


_ACTIVATIONS = ("relu", "sigmoid", "softrelu", "softsign", "tanh")


@composed(numpy=None, methods=[])
def Activation(data: Value, *, act_type: str) -> Value:
    """An activation function: relu, sigmoid, softrelu (log(1 + exp(x))), softsign or tanh.

    >>> from clnd import nd
    >>> nd.Activation(nd.array([-1, 2]), act_type="relu").asnumpy()
    array([0., 2.], dtype=float32)
    """
    if act_type not in _ACTIVATIONS:
        raise DTypeError(f"Activation: act_type {act_type!r} is not one of {', '.join(_ACTIVATIONS)}")
    return registry[act_type](data)


@composed(numpy=None, methods=[])
def FullyConnected(
    data: Value, weight: Value, bias: Value | None = None, *, num_hidden: int = 0, no_bias: bool = False, flatten: bool = True
) -> Value:
    """`data` times the transpose of `weight` (num_hidden, inputs), plus `bias`.

    Parameters
    ----------
    flatten : bool
        Are all axes of `data` but the first joined to one of inputs? Otherwise its last axis is that of the inputs.

    >>> from clnd import nd
    >>> nd.FullyConnected(nd.array([[1, 2]]), nd.array([[3, 4]]), nd.array([5]), num_hidden=1).asnumpy()
    array([[16.]], dtype=float32)
    """
    if flatten and data.ndim != 2:
        data = registry["reshape"](data, shape=(data.shape[0], -1) if data.size else (data.shape[0], weight.shape[-1]))
    if weight.ndim != 2 or data.shape[-1] != weight.shape[1] or (num_hidden and weight.shape[0] != num_hidden):
        raise ShapeError(
            f"FullyConnected: the weight has shape {weight.shape}, but should have ({num_hidden or 'num_hidden'}, {data.shape[-1]}) "
            f"for data of shape {data.shape}"
        )
    product: Value = registry["dot"](data, weight, transpose_b=True)
    if no_bias or bias is None:
        return product
    if bias.shape != (weight.shape[0],):
        raise ShapeError(f"FullyConnected: the bias has shape {bias.shape}, but should have ({weight.shape[0]},)")
    return product + bias


@composed(numpy=None, methods=[])
def softmax_cross_entropy(data: Value, label: Value) -> Value:
    """The sum over all rows of minus the logarithm of the softmax at the row's label.

    >>> from clnd import nd
    >>> nd.softmax_cross_entropy(nd.array([[1, 1]]), nd.array([0])).asnumpy()
    array([0.6931472], dtype=float32)
    """
    if data.ndim != 2 or label.shape != data.shape[:1]:
        raise ShapeError(f"softmax_cross_entropy: data (rows, classes) and label (rows,), not {data.shape} and {label.shape}")
    total = registry["sum"](registry["pick"](log_softmax(data), label))
    return -registry["reshape"](total, shape=(1,))
