"""Operators of neural networks."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape
from clnd.errors import DTypeError, ShapeError

from . import rows
from .convolution import Deconvolution
from .declare import composed, converted, launched, normalize_axes, normalize_axis, registry, widened
from .random import Generator, random_uniform
from .windows import geometry


def _softmax_numpy(data: Any, axis: int = -1) -> Any:
    e = np.exp(data - data.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def _over_rows(step: str, passes: int, *arrays: Value, axis: int) -> Value | None:
    """A step of the softmax kernels; None where others have to do it: see `rows.grid`."""
    dtype = dtypes.floating(functools.reduce(dtypes.promote, (x.dtype for x in arrays)))
    first, *_ = arrays = tuple(converted(x, dtype) for x in arrays)
    lines = rows.along(first, axis)
    if lines is None or (first.dtype == dtypes.float64 and not first.device.traits.fp64):
        return None
    sizes = rows.grid(first.device, lines, passes)
    if sizes is None:
        return None
    given = [engine.gathered(x) for x in arrays]
    buffer = first.device.allocate(first.size * first.dtype.itemsize)
    rows.launch("softmax", step, lines, sizes, [buffer], given, first.dtype)
    return Value(first.shape, first.dtype, first.device).place(buffer, engine.compact(first.shape))


@launched(
    grad=lambda dz, z, axis: registry["softmax_back"](dz, z, axis=axis),
    numpy=_softmax_numpy,
    gathers=True,
)
def softmax(data: Value, *, axis: int = -1) -> Value:
    """exp(x) divided by its sum along `axis`, without overflow on the way.

    >>> from clnd import nd
    >>> nd.softmax(nd.array([1, 1])).asnumpy()
    array([0.5, 0.5], dtype=float32)
    """
    axis = normalize_axis("softmax", axis, data.ndim)
    there = _over_rows("softmax", 3, data, axis=axis)
    if there is not None:
        return there
    dtype, (data,) = widened(data)
    powers = registry["exp"](data - registry["max"](data, axis=axis, keepdims=True)) if data.size else data
    return converted(powers / registry["sum"](powers, axis=axis, keepdims=True), dtype)


def _softmax_back_gradient(dz: Value, head: Value, result: Value, axis: int) -> Value:
    total = registry["sum"](head * result, axis=axis, keepdims=True)
    return dz * (head - total) - head * registry["sum"](dz * result, axis=axis, keepdims=True)


@launched(
    grad=(lambda dz, result, axis: registry["softmax_back"](dz, result, axis=axis), _softmax_back_gradient),
    numpy=lambda head, result, axis=-1: (head - (head * result).sum(axis, keepdims=True)) * result,
    gathers=True,
)
def softmax_back(head: Value, result: Value, *, axis: int = -1) -> Value:
    """What flows back through `softmax` from its `result`'s gradient `head`."""
    there = _over_rows("softmax_back", 2, head, result, axis=normalize_axis("softmax", axis, head.ndim))
    if there is not None:
        return there
    dtype, (head, result) = widened(head, result)
    return converted((head - registry["sum"](head * result, axis=axis, keepdims=True)) * result, dtype)


@launched(
    grad=lambda dz, z, axis: registry["log_softmax_back"](dz, z, axis=axis),
    numpy=lambda data, axis=-1: np.log(_softmax_numpy(data, axis)),
    gathers=True,
)
def log_softmax(data: Value, *, axis: int = -1) -> Value:
    """The logarithm of `softmax`, computed so that small probabilities keep their digits.

    >>> from clnd import nd
    >>> nd.log_softmax(nd.array([1, 1])).asnumpy()
    array([-0.6931472, -0.6931472], dtype=float32)
    """
    axis = normalize_axis("log_softmax", axis, data.ndim)
    there = _over_rows("log_softmax", 3, data, axis=axis)
    if there is not None:
        return there
    dtype, (data,) = widened(data)
    if not data.size:
        return converted(data, dtype)
    shifted = data - registry["max"](data, axis=axis, keepdims=True)
    total = registry["sum"](registry["exp"](shifted), axis=axis, keepdims=True)
    return converted(shifted - registry["log"](total), dtype)


@launched(
    grad=(
        lambda dz, result, axis: dz - registry["sum"](dz * registry["exp"](result), axis=axis, keepdims=True),
        lambda dz, head, result, axis: -dz * registry["exp"](result) * registry["sum"](head, axis=axis, keepdims=True),
    ),
    numpy=lambda head, result, axis=-1: head - np.exp(result) * head.sum(axis, keepdims=True),
    gathers=True,
)
def log_softmax_back(head: Value, result: Value, *, axis: int = -1) -> Value:
    """What flows back through `log_softmax` from its `result`'s gradient `head`."""
    there = _over_rows("log_softmax_back", 2, head, result, axis=normalize_axis("log_softmax", axis, head.ndim))
    if there is not None:
        return there
    dtype, (head, result) = widened(head, result)
    return converted(head - registry["exp"](result) * registry["sum"](head, axis=axis, keepdims=True), dtype)


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


@composed(numpy=lambda data, axis=-1: _softmax_numpy(-data, axis))
def softmin(data: Value, *, axis: int = -1) -> Value:
    """`softmax` of -x: the smallest gets the most.

    >>> from clnd import nd
    >>> nd.softmin(nd.array([1, 1])).asnumpy()
    array([0.5, 0.5], dtype=float32)
    """
    return softmax(-converted(data, dtypes.floating(data.dtype)), axis=axis)


@composed(numpy=None, methods=[])
def SoftmaxActivation(data: Value, *, mode: str = "instance") -> Value:
    """`softmax` along the last axis, or with the mode "channel" over the channels at each place of an image.

    >>> from clnd import nd
    >>> nd.SoftmaxActivation(nd.array([[1, 1]])).asnumpy()
    array([[0.5, 0.5]], dtype=float32)
    """
    if mode not in ("instance", "channel"):
        raise DTypeError(f"SoftmaxActivation: mode {mode!r} is not one of instance, channel")
    if data.ndim < (1 if mode == "instance" else 2):
        raise ShapeError(f"SoftmaxActivation: data of shape {data.shape} have too few axes for mode {mode!r}")
    return softmax(data, axis=-1 if mode == "instance" else 1)


# G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing neural networks" (2017), theorem 1.
_SELU_SCALE, _SELU_SLOPE = 1.0507009873554805, 1.6732632423543772
_RECTIFIERS = ("leaky", "prelu", "elu", "selu", "gelu", "rrelu")


def _below_zero(data: Value, below: Any) -> Value:
    """`data`, and what shall stand for it where it is not above 0."""
    return registry["where"](registry["greater"](data, 0), data, below)


def _exponential(data: Value) -> Value:
    """exp(x) - 1 where x is below 0; elsewhere 0, so that it does not overflow where nobody asks for it."""
    return registry["expm1"](registry["minimum"](data, 0))


def _per_channel(gamma: Value, data: Value) -> Value:
    """Slopes for prelu, one for all or one for each channel, to be broadcast."""
    channels = data.shape[1 if data.ndim > 1 else 0] if data.ndim else 1
    if gamma.shape not in ((1,), (channels,)):
        raise ShapeError(f"LeakyReLU: gamma has shape {gamma.shape}, but should have (1,) or ({channels},) for data of shape {data.shape}")
    if gamma.shape == (1,) or data.ndim < 2:
        return gamma
    return registry["reshape"](gamma, shape=(1, channels, *[1] * (data.ndim - 2)))


@composed(numpy=None, methods=[])
def leaky_relu(
    data: Value,
    gamma: Value | None = None,
    *,
    act_type: str = "leaky",
    slope: float = 0.25,
    lower_bound: float = 0.125,
    upper_bound: float = 0.334,
    generator: Generator | None = None,
) -> Value:
    """Rectifiers that let something through below 0; with a generator the slopes of rrelu are random."""
    if act_type not in _RECTIFIERS:
        raise DTypeError(f"LeakyReLU: act_type {act_type!r} is not one of {', '.join(_RECTIFIERS)}")
    if dtypes.category(data.dtype) != "float":
        raise DTypeError(f"LeakyReLU is not defined for {data.dtype}; convert with astype() first")
    if act_type == "elu":
        return _below_zero(data, slope * _exponential(data))
    if act_type == "selu":
        return _SELU_SCALE * _below_zero(data, _SELU_SLOPE * _exponential(data))
    if act_type == "gelu":
        return data * 0.5 * (1 + registry["erf"](data * 0.5**0.5))
    if act_type == "prelu":
        if gamma is None:
            raise DTypeError("LeakyReLU: the array 'gamma' is missing; prelu takes its slopes from it")
        return _below_zero(data, data * _per_channel(gamma, data))
    if act_type == "rrelu":
        if lower_bound > upper_bound:
            raise DTypeError(f"LeakyReLU: lower_bound must not be above upper_bound, but they are {lower_bound} and {upper_bound}")
        if generator is not None:
            drawn = {"shape": data.shape, "dtype": data.dtype, "device": data.device, "generator": generator}
            return _below_zero(data, data * random_uniform(low=lower_bound, high=upper_bound, **drawn))
        slope = (lower_bound + upper_bound) / 2
    return _below_zero(data, data * slope)


@launched(
    grad=lambda dz, p, axes, seed, offset: registry["dropout"](dz, p=p, axes=axes, seed=seed, offset=offset),
    words=("seed", "offset"),
)
def dropout(data: Value, *, p: float, axes: Any, seed: int, offset: int) -> Value:
    """Zeros with probability `p`, and the other elements divided by 1 - p: which is told by a place in a stream of random numbers.

    So the gradient drops the same elements without their being kept. `axes` are those along which all are dropped or none.
    """
    numbers = random_uniform(
        low=0, high=1, shape=dropped_shape(data.shape, axes), dtype=dtypes.float32, device=data.device, generator=Generator(seed, offset)
    )
    scale = 1 / (1 - p) if p < 1 else 0
    return registry["where"](registry["less"](numbers, p), 0, data * scale)


def dropped_shape(shape: Shape, axes: Any) -> Shape:
    """For how many elements it is decided together whether they are dropped."""
    along = normalize_axes("Dropout", axes, len(shape)) if axes else ()
    return tuple(1 if i in along else n for i, n in enumerate(shape))


@composed(numpy=None, methods=[])
def UpSampling(
    *data: Value,
    scale: int,
    num_filter: int = 0,
    sample_type: str,
    multi_input_mode: str = "concat",
) -> Value:
    """Images (batch, channels, height, width) of `scale` times the size.

    Parameters
    ----------
    sample_type : {"nearest", "bilinear"}
        Each pixel repeated; or `Deconvolution` of the first array with the second as weight, (num_filter, 1, k, k), where k is
        2 * scale - scale % 2: with the weights of an interpolation it interpolates, others may be learned.
    multi_input_mode : {"concat", "sum"}
        Several arrays are brought to the size of the first one's result, and joined along the channels or added up.

    >>> from clnd import nd
    >>> nd.UpSampling(nd.array([[[[1, 2]]]]), scale=2, sample_type="nearest").asnumpy()
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]], dtype=float32)
    """
    if sample_type not in ("nearest", "bilinear") or multi_input_mode not in ("concat", "sum"):
        raise DTypeError(f"UpSampling: no sample_type {sample_type!r} with multi_input_mode {multi_input_mode!r}")
    if any(x.ndim != 4 for x in data) or scale < 1:
        raise ShapeError(
            f"UpSampling: scale {scale} and shapes {[x.shape for x in data]}; it takes images of 4 axes, and a scale from 1 on"
        )
    if sample_type == "bilinear":
        if len(data) != 2:
            raise DTypeError(f"UpSampling: bilinear takes the data and a weight, not {len(data)} arrays")
        size, pad = 2 * scale - scale % 2, scale // 2
        geometry = {"kernel": (size, size), "stride": (scale, scale), "pad": (pad, pad)}
        filters = num_filter or data[0].shape[1]
        wider: Value = Deconvolution(*data, **geometry, num_filter=filters, num_group=filters)
        return wider
    height, width = (n * scale for n in data[0].shape[2:])
    wide = []
    for x in data:
        times = height // max(1, x.shape[2])
        if (x.shape[2] * times, x.shape[3] * times) != (height, width):
            raise ShapeError(f"UpSampling: data of shape {x.shape} cannot be brought to a size of {height} by {width}")
        wide.append(_enlarged(x, times))
    if multi_input_mode == "concat":
        joined: Value = registry["concat"](*wide, dim=1)
        return joined
    total: Value = wide[0]
    for x in wide[1:]:
        if x.shape != total.shape:
            raise ShapeError(f"UpSampling: data of shapes {data[0].shape} and {x.shape} cannot be added up")
        total = total + x
    return total


def _enlarged(images: Value, times: int) -> Value:
    """Each pixel `times` times along rows and columns."""
    if not images.size or dtypes.category(images.dtype) != "float":
        return registry["repeat"](registry["repeat"](images, repeats=times, axis=2), repeats=times, axis=3)
    batch, channels, height, width = images.shape
    size = (height * times, width * times)
    shape = geometry("UpSampling", size, (times, times), (times, times), (), ())
    wide = converted(images, dtypes.promote(images.dtype, dtypes.float32))
    planes = registry["reshape"](wide, shape=(batch * channels, height, width))
    return converted(registry["reshape"](registry["unpooled_sum"](planes, shape=shape), shape=(batch, channels, *size)), images.dtype)


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
    product: Value = registry["matmul" if data.ndim == 2 else "dot"](data, weight, transpose_b=True)
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
