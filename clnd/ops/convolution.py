"""Convolutions: by sums in registers (`direct`), or as products of matrices, of weights and of what the window sees at each of its places.

For images x, weights w and numbers y for the places let f(x, w, y) be the sum of y times the convolution of x with w. It is linear in each
of them, and its three derivatives are the operators `convolve` (by y), `convolve_images` (by x) and `convolve_weights` (by w): so the
gradients of each are the other two, to any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any

from clnd.engine import Value
from clnd.engine.layout import Shape
from clnd.errors import ShapeError

from . import direct
from .declare import composed, launched, registry
from .patches import columns, images_of
from .windows import Geometry, geometry, per_axis

_PART = 2**26  # bytes of patches at a time: a batch is handled in parts


def _parts(images: int, channels: int, dtype: Any, shape: Geometry) -> Iterator[tuple[int, int]]:
    """From where to where parts of a batch go."""
    each = channels * prod(shape.window) * prod(shape.places) * dtype.itemsize
    count = max(1, _PART // max(1, each))
    return ((begin, min(images, begin + count)) for begin in range(0, images, count))


def _part(data: Value, begin: int, end: int) -> Value:
    return registry["slice_axis"](data, axis=0, begin=begin, end=end)


def _seen(images: Value, shape: Geometry, groups: int) -> Value:
    """What the window sees, as matrices (groups, channels * offsets, images * places)."""
    seen = columns(images, shape, together=True)
    return registry["reshape"](seen, shape=(groups, images.shape[1] // groups * prod(shape.window), images.shape[0] * prod(shape.places)))


def _matrices(weight: Value, groups: int) -> Value:
    """Weights as matrices (groups, filters, channels * offsets)."""
    return registry["reshape"](weight, shape=(groups, weight.shape[0] // groups, prod(weight.shape[1:])))


def _swapped(matrices: Value) -> Value:
    return registry["swapaxes"](matrices, dim1=1, dim2=2)


def _joined(parts: list[Value], empty: Shape, like: Value) -> Value:
    """Parts of a batch, one after another."""
    if not parts:
        return Value(empty, like.dtype, like.device)
    return parts[0] if len(parts) == 1 else registry["concat"](*parts, dim=0)


@launched(
    grad=(
        lambda dz, weight, shape, groups: registry["convolve_images"](dz, weight, shape=shape, groups=groups),
        lambda dz, data, shape, groups: registry["convolve_weights"](data, dz, shape=shape, groups=groups),
        lambda dz: registry["sum"](dz, axis=(0, *range(2, dz.ndim))),
    ),
    methods=[],
    gathers=True,
)
def convolve(data: Value, weight: Value, bias: Value | None = None, *, shape: Geometry, groups: int) -> Value:
    """The sums (images, filters, *places) of weights (filters, channels, *window) times what the window sees in images; plus a bias."""
    if direct.fits(shape, prod(weight.shape[1:]), data, weight, bias):
        return direct.convolved(data, weight, bias, shape, groups)
    reshape, transpose = registry["reshape"], registry["transpose"]
    filters, matrices, results = weight.shape[0], _matrices(weight, groups), []
    for begin, end in _parts(data.shape[0], data.shape[1], data.dtype, shape):
        product = registry["matmul"](matrices, _seen(_part(data, begin, end), shape, groups))
        sums = reshape(product, shape=(filters, end - begin, *shape.places))
        results.append(transpose(sums, axes=(1, 0, *range(2, sums.ndim))))
    return _biased(_joined(results, (0, filters, *shape.places), data), bias)


@launched(
    grad=(
        lambda dz, weight, shape, groups: convolve(dz, weight, shape=shape, groups=groups),
        lambda dz, data, shape, groups: registry["convolve_weights"](dz, data, shape=shape, groups=groups),
    ),
    methods=[],
    gathers=True,
)
def convolve_images(data: Value, weight: Value, *, shape: Geometry, groups: int) -> Value:
    """The images (images, channels, *size) to which each place (images, filters, *places) has added weights times its number."""
    if prod(shape.stride) <= direct.PHASES and direct.fits(shape, weight.shape[0] // groups * prod(shape.window), data, weight):
        return direct.convolved_images(data, weight, shape, groups)
    reshape, transpose = registry["reshape"], registry["transpose"]
    filters, channels = weight.shape[0], weight.shape[1] * groups
    matrices, results = _swapped(_matrices(weight, groups)), []
    for begin, end in _parts(data.shape[0], channels, data.dtype, shape):
        numbers = transpose(_part(data, begin, end), axes=(1, 0, *range(2, data.ndim)))
        places = (end - begin) * prod(shape.places)
        seen = registry["matmul"](matrices, reshape(numbers, shape=(groups, filters // groups, places)))
        seen = reshape(seen, shape=(channels, prod(shape.window), end - begin, prod(shape.places)))
        results.append(images_of(seen, shape, together=True))
    return _joined(results, (0, channels, *shape.size), data)


@launched(
    grad=(
        lambda dz, numbers, shape, groups: convolve_images(numbers, dz, shape=shape, groups=groups),
        lambda dz, data, shape, groups: convolve(data, dz, shape=shape, groups=groups),
    ),
    methods=[],
    gathers=True,
)
def convolve_weights(data: Value, numbers: Value, *, shape: Geometry, groups: int) -> Value:
    """The sums (filters, channels, *window), over images and places, of numbers of places times what the window sees in images."""
    if direct.fits(shape, 0, data, numbers):
        return direct.convolved_weights(data, numbers, shape, groups)
    reshape, transpose = registry["reshape"], registry["transpose"]
    filters, channels = numbers.shape[1], data.shape[1] // groups
    total: Value | None = None
    for begin, end in _parts(data.shape[0], data.shape[1], data.dtype, shape):
        split = (end - begin, groups, filters // groups, prod(shape.places))
        lines = transpose(reshape(_part(numbers, begin, end), shape=split), axes=(1, 0, 3, 2))
        lines = reshape(lines, shape=(groups, split[0] * split[3], split[2]))
        product = registry["matmul"](_seen(_part(data, begin, end), shape, groups), lines)
        total = product if total is None else total + product
    if total is None:
        return registry["full"](shape=(filters, channels, *shape.window), value=0, dtype=numbers.dtype, device=data.device)
    return reshape(_swapped(total), shape=(filters, channels, *shape.window))


def _check(name: str, data: Value, weight: Value, bias: Value | None, expected: Shape, filters: int, groups: int) -> None:
    """Do the arrays fit each other?"""
    channels = data.shape[1]
    if groups < 1 or channels % groups or filters % groups:
        raise ShapeError(f"{name}: {channels} channels and {filters} filters cannot be divided into num_group={groups} groups")
    if weight.shape != expected:
        raise ShapeError(f"{name}: the weight has shape {weight.shape}, but should have {expected} for data of shape {data.shape}")
    if bias is not None and bias.shape != (filters,):
        raise ShapeError(f"{name}: the bias has shape {bias.shape}, but should have ({filters},)")


def _biased(result: Value, bias: Value | None) -> Value:
    return result if bias is None else result + registry["reshape"](bias, shape=(1, bias.shape[0], *[1] * (result.ndim - 2)))


@composed(numpy=None, methods=[])
def Convolution(
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
    no_bias: bool = False,
) -> Value:
    """The sums of `weight` times what a window sees at each of its places in images, plus `bias`: (batch, num_filter, *places).

    Parameters
    ----------
    data : (batch, channels, *size)
        Images of one to three axes.
    weight : (num_filter, channels / num_group, *kernel)
    bias : (num_filter,), optional
    kernel, stride, dilate, pad : tuple of int
        The window's size, the distances of its places and of the elements that it sees, and how many zeros surround the images.
    num_group : int
        Into how many groups the channels and the filters are divided; each filter sees the channels of its group.

    >>> from clnd import nd
    >>> nd.Convolution(nd.array([[[1, 2, 3]]]), nd.array([[[1, 10]]]), nd.array([100]), kernel=(2,), num_filter=1).asnumpy()
    array([[[121., 132.]]], dtype=float32)
    """
    shape = geometry("Convolution", data.shape[2:], kernel, stride, dilate, pad)
    bias = None if no_bias else bias
    _check("Convolution", data, weight, bias, (num_filter, data.shape[1] // max(1, num_group), *shape.window), num_filter, num_group)
    return convolve(data, weight, bias, shape=shape, groups=num_group)


@composed(numpy=None, methods=[])
def Deconvolution(
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
    no_bias: bool = True,
) -> Value:
    """A convolution backwards: each number of `data` adds `weight` times itself to what the window sees at its place.

    Parameters
    ----------
    data : (batch, channels, *places)
        Images of one to three axes.
    weight : (channels, num_filter / num_group, *kernel)
    bias : (num_filter,), optional
    kernel, stride, dilate, num_group
        As of `Convolution`.
    pad, adj : tuple of int
        By how much less the result has on either side, and more at the end: its size is stride * (places - 1) + dilate * (kernel - 1) + 1 -
        2 * pad + adj.
    target_shape : tuple of int
        The size, instead of these two: as much is left out on either side, if need be one more at the beginning.

    >>> from clnd import nd
    >>> nd.Deconvolution(nd.array([[[1, 2]]]), nd.array([[[1, 10]]]), kernel=(2,), num_filter=1).asnumpy()
    array([[[ 1., 12., 20.]]], dtype=float32)
    """
    name, places = "Deconvolution", data.shape[2:]
    whole = geometry(name, [2**31] * len(places), kernel, stride, dilate, pad)  # of what the attributes say without a size
    spread = tuple(s * (n - 1) + d * (k - 1) + 1 for n, s, d, k in zip(places, whole.stride, whole.dilate, whole.window, strict=True))
    if target_shape:
        size = per_axis(name, "target_shape", target_shape, len(places), None)
        around = tuple((n - m + 1) // 2 for n, m in zip(spread, size, strict=True))
        if any(n < m for n, m in zip(spread, size, strict=True)):
            raise ShapeError(f"{name}: target_shape {size} is larger than the result {spread} without padding")
    else:
        around, more = whole.pad, per_axis(name, "adj", adj, len(places), 0, least=0)
        if any(m >= s for m, s in zip(more, whole.stride, strict=True)):
            raise ShapeError(f"{name}: adj is {more}, but must be less than stride, {whole.stride}")
        size = tuple(n - 2 * p + m for n, p, m in zip(spread, around, more, strict=True))
        if any(n < 1 for n in size):
            raise ShapeError(f"{name}: nothing is left of a result of size {spread} with pad {around} and adj {more}")
    bias = None if no_bias else bias
    _check(name, data, weight, bias, (data.shape[1], num_filter // max(1, num_group), *whole.window), num_filter, num_group)
    shape = replace(whole, size=size, pad=around, places=places)
    return _biased(convolve_images(data, weight, shape=shape, groups=num_group), bias)
