"""Normalisation: to mean 0 and variance 1, to length 1, or by what stands around. All by other operators, whose gradients are theirs.

float16 is computed in float32 from end to end, and rounded once. Variances are means of squared distances from the mean, which keeps their
digits where the mean is far from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape
from clnd.errors import DTypeError, ShapeError

from .declare import composed, converted, normalize_axis, registry
from .windows import geometry


def _wide(name: str, data: Value) -> Value:
    """In a dtype that sums do not suffer in."""
    if dtypes.category(data.dtype) != "float":
        raise DTypeError(f"{name} is not defined for {data.dtype}; convert with astype() first")
    return converted(data, dtypes.promote(data.dtype, dtypes.float32))


def _moments(x: Value, axes: Sequence[int]) -> tuple[Value, Value, Value]:
    """The mean, the distances from it and their mean square along `axes`, which are kept."""
    mean = registry["mean"](x, axis=tuple(axes), keepdims=True)
    distance = x - mean
    return mean, distance, registry["mean"](registry["square"](distance), axis=tuple(axes), keepdims=True)


def _along(name: str, word: str, value: Value, axis: int, shape: Shape) -> Value:
    """An array for the elements of one axis, to be broadcast along the others."""
    if value.shape != (shape[axis],):
        raise ShapeError(f"{name}: {word} has shape {value.shape}, but should have ({shape[axis]},) for data of shape {shape}")
    return registry["reshape"](value, shape=tuple(n if i == axis else 1 for i, n in enumerate(shape)))


@composed(numpy=None, methods=[])
def batch_norm(
    data: Value,
    gamma: Value,
    beta: Value,
    moving_mean: Value,
    moving_var: Value,
    *,
    eps: float,
    fix_gamma: bool,
    moving: bool,
    axis: int,
) -> list[Value]:
    """`data` less its mean, divided by the root of its variance plus `eps`, times `gamma` (1 with `fix_gamma`) plus `beta`.

    Mean and variance are those of all elements with the same position along `axis`, or with `moving` those given.

    Returns
    -------
    list of Value
        The result, the mean and the variance.
    """
    axis = normalize_axis("BatchNorm", axis, data.ndim)
    x, shape, dtype = _wide("BatchNorm", data), data.shape, moving_mean.dtype
    arrays = {"gamma": gamma, "beta": beta, "moving_mean": moving_mean, "moving_var": moving_var}
    scale, shift, mean, variance = (_along("BatchNorm", word, value, axis, shape) for word, value in arrays.items())
    if moving:
        distance = x - mean
    else:
        mean, distance, variance = _moments(x, [i for i in range(data.ndim) if i != axis])
    result = distance * registry["rsqrt"](variance + eps)
    result = converted((result if fix_gamma else result * scale) + shift, data.dtype)
    return [result, *(converted(registry["reshape"](value, shape=(shape[axis],)), dtype) for value in (mean, variance))]


@composed(numpy=None, methods=[])
def LayerNorm(
    data: Value, gamma: Value, beta: Value, *, axis: int = -1, eps: float = 1e-5, output_mean_var: bool = False
) -> Value | list[Value]:
    """`data` less its mean along `axis`, divided by the root of its variance plus `eps`, times `gamma` plus `beta`.

    J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization" (2016).

    Parameters
    ----------
    output_mean_var : bool
        Are the mean and the root given, too?

    >>> from clnd import nd
    >>> nd.LayerNorm(nd.array([[1, 3]]), nd.array([1, 1]), nd.array([0, 10]), eps=0).asnumpy()
    array([[-1., 11.]], dtype=float32)
    """
    axis = normalize_axis("LayerNorm", axis, data.ndim)
    scale, shift = (_along("LayerNorm", word, value, axis, data.shape) for word, value in (("gamma", gamma), ("beta", beta)))
    return _normalized(_wide("LayerNorm", data), (axis,), scale, shift, eps, data, output_mean_var)


def _normalized(
    x: Value, axes: Sequence[int], scale: Value, shift: Value, eps: float, like: Value, moments: bool, kept: Shape | None = None
) -> Value | list[Value]:
    """Normalised along axes, in the shape and dtype of `like`; with the mean and the root of the variance, in the shape `kept`."""
    mean, distance, variance = _moments(x, axes)
    result = distance * registry["rsqrt"](variance + eps) * scale + shift
    result = converted(registry["reshape"](result, shape=like.shape), like.dtype)
    if not moments:
        return result
    shape = mean.shape if kept is None else kept
    both = (mean, registry["sqrt"](variance + eps))
    return [result, *(converted(registry["reshape"](value, shape=shape), like.dtype) for value in both)]


@composed(numpy=None, methods=[])
def GroupNorm(
    data: Value, gamma: Value, beta: Value, *, num_groups: int = 1, eps: float = 1e-5, output_mean_var: bool = False
) -> Value | list[Value]:
    """Each image's channels, in groups, less the group's mean, divided by the root of its variance plus `eps`, times `gamma` plus `beta`.

    Y. Wu and K. He, "Group normalization" (2018).

    Parameters
    ----------
    data : (batch, channels, *size)
    gamma, beta : (num_groups,)
    output_mean_var : bool
        Are the means and the roots, (batch, num_groups), given, too?

    >>> from clnd import nd
    >>> nd.GroupNorm(nd.array([[[1, 3], [0, 4]]]), nd.array([1, 2]), nd.array([0, 0]), num_groups=2, eps=0).asnumpy()
    array([[[-1.,  1.],
            [-2.,  2.]]], dtype=float32)
    """
    if data.ndim < 3 or num_groups < 1 or data.shape[1] % num_groups:
        raise ShapeError(f"GroupNorm: the channels of data of shape {data.shape} cannot be divided into {num_groups} groups")
    grouped = (data.shape[0], num_groups, data.shape[1] // num_groups * prod(data.shape[2:]))
    scale, shift = (_along("GroupNorm", word, value, 1, grouped) for word, value in (("gamma", gamma), ("beta", beta)))
    x = registry["reshape"](_wide("GroupNorm", data), shape=grouped)
    return _normalized(x, (2,), scale, shift, eps, data, output_mean_var, grouped[:2])


@composed(numpy=None, methods=[])
def InstanceNorm(data: Value, gamma: Value, beta: Value, *, eps: float = 1e-3) -> Value | list[Value]:
    """Each channel of each image less its mean, divided by the root of its variance plus `eps`, times `gamma` plus `beta`.

    D. Ulyanov, A. Vedaldi and V. Lempitsky, "Instance normalization: the missing ingredient for fast stylization" (2016).

    >>> from clnd import nd
    >>> nd.InstanceNorm(nd.array([[[1, 3]]]), nd.array([2]), nd.array([10]), eps=0).asnumpy()
    array([[[ 8., 12.]]], dtype=float32)
    """
    if data.ndim < 3:
        raise ShapeError(f"InstanceNorm: data of shape {data.shape}; it takes a batch, channels, and at least one axis more")
    scale, shift = (_along("InstanceNorm", word, value, 1, data.shape) for word, value in (("gamma", gamma), ("beta", beta)))
    return _normalized(_wide("InstanceNorm", data), range(2, data.ndim), scale, shift, eps, data, False)


@composed(numpy=None, methods=[])
def L2Normalization(data: Value, *, eps: float = 1e-10, mode: str = "instance") -> Value:
    """`data` divided by its length, the root of its sum of squares plus `eps`.

    Parameters
    ----------
    mode : {"instance", "channel", "spatial"}
        The length of what: of each image, of each of its places over all channels, or of each of its channels.

    >>> from clnd import nd
    >>> nd.L2Normalization(nd.array([[3, 4]])).asnumpy()
    array([[0.6, 0.8]], dtype=float32)
    """
    axes = {"instance": range(1, data.ndim), "channel": (1,), "spatial": range(2, data.ndim)}.get(mode)
    if axes is None:
        raise DTypeError(f"L2Normalization: mode {mode!r} is not one of instance, channel, spatial")
    if data.ndim < (2 if mode == "instance" else 3):
        raise ShapeError(f"L2Normalization: data of shape {data.shape} have too few axes for mode {mode!r}")
    x = _wide("L2Normalization", data)
    length = registry["sqrt"](registry["sum"](registry["square"](x), axis=tuple(axes), keepdims=True) + eps)
    return converted(x / length, data.dtype)


@composed(numpy=None, methods=[])
def LRN(data: Value, *, alpha: float = 1e-4, beta: float = 0.75, knorm: float = 2.0, nsize: int) -> Value:
    """Each element divided by (knorm + alpha / nsize * the sum of squares in the `nsize` channels around its own) ** beta.

    A. Krizhevsky, I. Sutskever and G. E. Hinton, "ImageNet classification with deep convolutional neural networks" (2012), section 3.3.

    Parameters
    ----------
    data : (batch, channels, *size)

    >>> from clnd import nd
    >>> nd.LRN(nd.array([[[[3]], [[4]]]]), alpha=3, beta=0.5, knorm=0, nsize=3).asnumpy().round(4)
    array([[[[0.6]],
            [[0.8]]]], dtype=float32)
    """
    if data.ndim != 4:
        raise ShapeError(f"LRN: data of shape {data.shape}, but they must be of 4 axes: batch, channels, height, width")
    if nsize < 1 or nsize % 2 == 0:
        raise ShapeError(f"LRN: nsize must be an odd number, but is {nsize}")
    x, (batch, channels, *size) = _wide("LRN", data), data.shape
    images = registry["reshape"](registry["square"](x), shape=(batch, channels, prod(size)))
    around = geometry("LRN", images.shape[1:], (nsize, 1), (), (), (nsize // 2, 0))
    sums = registry["reshape"](registry["pooled_sum"](images, shape=around), shape=data.shape)
    return converted(x * registry["power"](knorm + alpha / nsize * sums, -beta), data.dtype)
