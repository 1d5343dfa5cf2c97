"""Losses that carry their own gradient: it is the derivative of a loss that they do not give, and what arrives from above is left out.

The gradient is an expression that waits. It is recorded together with the output, so that it can be differentiated in its turn.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from clnd.engine import Value, dtypes, state
from clnd.errors import DTypeError, ShapeError

from .creation import along
from .declare import composed, converted, launched, registry, zero
from .network import softmax
from .shape import alias, reshape

NORMALIZATIONS = ("null", "batch", "valid")


@launched(grad=(zero, lambda dz, gradient, scaled: dz * gradient if scaled else alias(gradient)), numpy=None)
def with_gradient(output: Value, data: Value, gradient: Value, *, scaled: bool) -> Value:
    """`output`, of which `gradient` is said to be the gradient for `data`: times that of the output if `scaled`, else whatever that is."""
    return output


def _with(output: Value, data: Value, gradient: Callable[[], Value], scaled: bool = False) -> Value:
    """`output` with a gradient of its own, which is only written down if somebody may ask for it."""
    if not (state.recording and data.traced):
        return output
    result: Value = with_gradient(output, data, gradient(), scaled=scaled)
    return result


def _normalization(name: str, normalization: str) -> str:
    if normalization not in NORMALIZATIONS:
        raise DTypeError(f"{name}: normalization {normalization!r} is not one of {', '.join(NORMALIZATIONS)}")
    return normalization


def _at_least_one(count: Value, dtype: Any) -> Value:
    """How many there are, but no divisor of 0."""
    return converted(registry["maximum"](count, 1), dtypes.promote(dtype, dtypes.float32))


def _is_class(label: Value, classes: int, axis: int) -> Value:
    """Where the class along `axis` is that of `label`, of which fractions are cut off; a class that there is not is nowhere."""
    return registry["equal"](along(axis, label.ndim, classes, label.device), converted(label, dtypes.int64))


@composed(methods=[])
def SoftmaxOutput(
    data: Value,
    label: Value,
    *,
    grad_scale: float = 1.0,
    ignore_label: float = -1.0,
    multi_output: bool = False,
    use_ignore: bool = False,
    preserve_shape: bool = False,
    normalization: str = "null",
    out_grad: bool = False,
    smooth_alpha: float = 0.0,
) -> Value:
    """Softmax, whose gradient is that of its cross entropy with `label`: probabilities minus one at the label's class.

    `label` holds class numbers, or, in the shape of `data`, probabilities: then all but `grad_scale` and `out_grad` is of no effect.

    Parameters
    ----------
    multi_output : bool
        Are the classes axis 1 of `data`, and `label` an array over all other axes? Otherwise all axes but the first are classes.
    preserve_shape : bool
        Are the classes the last axis of `data`, and `label` an array over all others?
    use_ignore : bool
        Is the gradient 0 where the label is `ignore_label`?
    normalization : {"null", "batch", "valid"}
        What the gradient is divided by: with "null" the number of labels in a row of `data`, with "batch" the number of all labels,
        with "valid" that of those that are not `ignore_label`.
    out_grad : bool
        Is the gradient multiplied by the one that arrives from above?
    smooth_alpha : float
        How much of a label's one is spread over all other classes; not with `multi_output`.

    >>> from clnd import autograd, nd
    >>> x = nd.array([[1, 1]])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = nd.SoftmaxOutput(x, nd.array([0]))
    >>> y.backward()
    >>> y.asnumpy(), x.grad.asnumpy()
    (array([[0.5, 0.5]], dtype=float32), array([[-0.5,  0.5]], dtype=float32))
    """
    _normalization("SoftmaxOutput", normalization)
    if not data.ndim or (multi_output and data.ndim < 2):
        raise ShapeError(f"SoftmaxOutput: data of shape {data.shape} has no axis of classes")
    if multi_output:
        outer, classes, inner = data.shape[0], data.shape[1], prod(data.shape[2:])
    elif preserve_shape:
        outer, classes, inner = prod(data.shape[:-1]), data.shape[-1], 1
    else:
        outer, classes, inner = data.shape[0], prod(data.shape[1:]), 1
    lines = reshape(data, shape=(outer, classes, inner))
    output: Value = softmax(lines, axis=1)
    if label.shape == data.shape:
        given = reshape(label, shape=lines.shape)
        found = _with(output, lines, lambda: (output - given) * float(grad_scale), bool(out_grad))
        return reshape(found, shape=data.shape)
    if label.size != outer * inner:
        raise ShapeError(
            f"SoftmaxOutput: label of shape {label.shape} has neither the shape of data, {data.shape}, nor one number for each of its "
            f"{outer * inner} lines of {classes} classes"
        )

    def gradient() -> Value:
        whole = converted(reshape(label, shape=(outer, 1, inner)), dtypes.int64)
        ignored = registry["equal"](whole, int(ignore_label))
        here, alpha = _is_class(whole, classes, 1), 0.0 if multi_output else float(smooth_alpha)
        if alpha and classes > 1:
            difference = output - registry["where"](here, 1.0 - alpha, alpha / (classes - 1))
        else:
            difference = output - converted(here, output.dtype)
        if use_ignore:
            difference = registry["where"](ignored, 0.0, difference)
        if normalization == "valid":
            count = registry["sum"](registry["logical_not"](ignored), keepdims=True)
            return difference * (float(grad_scale) / _at_least_one(count, output.dtype))
        return difference * (float(grad_scale) / max(1, inner if normalization == "null" else outer * inner))

    return reshape(_with(output, lines, gradient, bool(out_grad)), shape=data.shape)


def _regression(name: str, data: Value, output: Value, label: Value, grad_scale: float, slope: Callable[[Value, Value], Value]) -> Value:
    """`output`, whose gradient is a function of it and the label, divided by the number of outputs of a row."""
    if label.size != data.size or label.shape[:1] != data.shape[:1]:
        raise ShapeError(f"{name}: label of shape {label.shape} does not fit data of shape {data.shape}")
    given, scale = reshape(label, shape=data.shape), float(grad_scale) / max(1, prod(data.shape[1:]))
    return _with(output, data, lambda: slope(output, given) * scale)


def _difference(output: Value, label: Value) -> Value:
    return output - label


@composed(methods=[])
def LinearRegressionOutput(data: Value, label: Value, *, grad_scale: float = 1.0) -> Value:
    """`data` as it is, whose gradient is that of half the squared distance to `label`, divided by the number of outputs of a row.

    >>> from clnd import autograd, nd
    >>> x = nd.array([[1, 2]])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = nd.LinearRegressionOutput(x, nd.array([[0, 5]]))
    >>> y.backward()
    >>> x.grad.asnumpy()
    array([[ 0.5, -1.5]], dtype=float32)
    """
    return _regression("LinearRegressionOutput", data, alias(data), label, grad_scale, _difference)


@composed(methods=[])
def LogisticRegressionOutput(data: Value, label: Value, *, grad_scale: float = 1.0) -> Value:
    """The sigmoid of `data`, whose gradient is that of its cross entropy with `label`, divided by the number of outputs of a row.

    >>> from clnd import autograd, nd
    >>> x = nd.array([[0, 0]])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = nd.LogisticRegressionOutput(x, nd.array([[0, 1]]))
    >>> y.backward()
    >>> y.asnumpy(), x.grad.asnumpy()
    (array([[0.5, 0.5]], dtype=float32), array([[ 0.25, -0.25]], dtype=float32))
    """
    return _regression("LogisticRegressionOutput", data, registry["sigmoid"](data), label, grad_scale, _difference)


@composed(methods=[])
def MAERegressionOutput(data: Value, label: Value, *, grad_scale: float = 1.0) -> Value:
    """`data` as it is, whose gradient is that of the distance to `label`, divided by the number of outputs of a row; -1 at 0.

    >>> from clnd import autograd, nd
    >>> x = nd.array([[1, 2]])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = nd.MAERegressionOutput(x, nd.array([[0, 5]]))
    >>> y.backward()
    >>> x.grad.asnumpy()
    array([[ 0.5, -0.5]], dtype=float32)
    """

    def slope(output: Value, label: Value) -> Value:
        return registry["where"](registry["greater"](output, label), 1.0, -1.0)

    return _regression("MAERegressionOutput", data, alias(data), label, grad_scale, slope)


@composed(methods=[])
def SVMOutput(
    data: Value, label: Value, *, margin: float = 1.0, regularization_coefficient: float = 1.0, use_linear: bool = False
) -> Value:
    """`data` as it is, whose gradient is that of the hinge loss of each class against all others: squared, or plain if `use_linear`.

    `data` holds scores along its last axis, `label` a class number for each line of them. A score should be above `margin` for the label's
    class and below `-margin` for all others; the gradient is multiplied by `regularization_coefficient`.

    >>> from clnd import autograd, nd
    >>> x = nd.array([[0.5, -2, 0]])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = nd.SVMOutput(x, nd.array([0]))
    >>> y.backward()
    >>> x.grad.asnumpy()
    array([[-1.,  0.,  2.]], dtype=float32)
    """
    if data.ndim < 2 or label.size != prod(data.shape[:-1]):
        raise ShapeError(f"SVMOutput: data (rows, classes) and label (rows,), not {data.shape} and {label.shape}")
    column = reshape(label, shape=(*data.shape[:-1], 1))

    def gradient() -> Value:
        here = _is_class(column, data.shape[-1], data.ndim - 1)
        sign = registry["where"](here, -1.0, 1.0)
        short = data * converted(sign, data.dtype) + float(margin)  # how much is missing to the margin
        if use_linear:
            return registry["where"](registry["greater"](short, 0), sign * float(regularization_coefficient), 0.0)
        return registry["maximum"](short, 0) * sign * (2 * float(regularization_coefficient))

    return _with(alias(data), data, gradient)


@composed(methods=[])
def MakeLoss(data: Value, *, grad_scale: float = 1.0, valid_thresh: float = 0.0, normalization: str = "null") -> Value:
    """`data` as it is, taken for a loss: its gradient is `grad_scale` everywhere, whatever arrives from above.

    Parameters
    ----------
    normalization : {"null", "batch", "valid"}
        What that is divided by: nothing, the number of rows, or the number of elements above `valid_thresh`.

    >>> from clnd import autograd, nd
    >>> x = nd.array([1, 2])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = nd.MakeLoss(x * x, grad_scale=10)
    >>> y.backward()
    >>> x.grad.asnumpy()
    array([20., 40.], dtype=float32)
    """
    _normalization("MakeLoss", normalization)

    def gradient() -> Value:
        rows = data.shape[0] if data.ndim and normalization == "batch" else 1
        everywhere = registry["full"](shape=data.shape, value=float(grad_scale) / max(1, rows), dtype=data.dtype, device=data.device)
        if normalization != "valid":
            return everywhere
        count = registry["sum"](registry["greater"](data, float(valid_thresh)))
        return everywhere / _at_least_one(count, data.dtype)

    return _with(alias(data), data, gradient)


@composed(methods=[])
def make_loss(data: Value) -> Value:
    """`data` as it is, taken for a loss: its gradient is 1 everywhere, whatever arrives from above.

    >>> from clnd import autograd, nd
    >>> x = nd.array([1, 2])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = nd.make_loss(x * x) * 100
    >>> y.backward()
    >>> x.grad.asnumpy()
    array([2., 4.], dtype=float32)
    """
    loss: Value = MakeLoss(data)
    return loss
