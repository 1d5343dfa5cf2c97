"""Normalisation: to mean 0 and variance 1, to length 1, or by what stands around.

Layers and batches are normalised by kernels that take rows whole, where the cache holds them and there are enough of them; all else by
other operators, whose gradients are theirs.

float16 is computed in float32 from end to end, and rounded once. Variances are means of squared distances from the mean, which keeps their
digits where the mean is far from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

from clnd import engine
from clnd.engine import Record, Value, compact, dtypes
from clnd.engine.layout import Shape
from clnd.errors import DTypeError, ShapeError

from . import rows
from .declare import Launched, composed, converted, launched, normalize_axis, recorded, registry
from .rows import Rows
from .windows import geometry

FORWARD, BACK = 3, 4  # passes over a row


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


# Over rows that the cache holds: a kernel forward, one or two back.


class Way(NamedTuple):
    """What is normalised along what.

    Attributes
    ----------
    axis : int
        That of scale and shift.
    along : bool
        Are the elements along it normalised? Otherwise those along all others, for each position on it.
    fixed : bool
        Is the scale taken for 1?
    """

    axis: int
    along: bool
    eps: float
    fixed: bool = False

    def axes(self, ndim: int) -> tuple[int, ...]:
        """Those to take means along."""
        return tuple(i for i in range(ndim) if (i == self.axis) == self.along)


def _plan(data: Value, way: Way, passes: int) -> tuple[Rows, Any] | None:
    """The rows, and the grid to take them with; None where there is none: see `rows.grid`."""
    shape, axis, traits = data.shape, way.axis, data.device.traits
    if data.dtype == dtypes.float64 and not traits.fp64:
        return None
    if way.along:
        lines = rows.along(data, axis)
        if lines is None:
            return None
    else:
        n, count = prod(shape[axis + 1 :]), shape[axis]
        if n < traits.lanes:
            return None
        lines = Rows(count, prod(shape[:axis]), n, n, count * n)
    sizes = rows.grid(data.device, lines, passes)
    return None if sizes is None else (lines, sizes)


def _serves(data: Value, gamma: Value, beta: Value, way: Way) -> bool:
    """Do `normalized` and its gradient have kernels for these?"""
    wide = dtypes.promote(data.dtype, dtypes.float32)
    return all(dtypes.promote(x.dtype, wide) == wide for x in (gamma, beta)) and _plan(data, way, BACK) is not None


def _forward(data: Value, gamma: Value, beta: Value, way: Way) -> tuple[Value, Value | None]:
    """The result, and from a kernel means and variances, (2, rows)."""
    wide, device = dtypes.promote(data.dtype, dtypes.float32), data.device
    plan = _plan(data, way, FORWARD)
    if plan is None:
        scale, shift = (_along("normalized", word, x, way.axis, data.shape) for word, x in (("gamma", gamma), ("beta", beta)))
        _, distance, variance = _moments(converted(data, wide), way.axes(data.ndim))
        result = distance * registry["rsqrt"](variance + way.eps)
        return converted((result if way.fixed else result * scale) + shift, data.dtype), None
    lines, sizes = plan
    given = [engine.gathered(data), *(engine.gathered(converted(x, wide)) for x in ((beta,) if way.fixed else (gamma, beta)))]
    result, moments = Value(data.shape, data.dtype, device), Value((2, lines.rows), wide, device)
    for value in (result, moments):
        value.place(device.allocate(value.size * value.dtype.itemsize), compact(value.shape))
    options = {"per": "element" if way.along else "row", "scaled": not way.fixed, "known": False}
    epsilon = dtypes.to_scalar(way.eps, wide)
    rows.launch("normalization", "normalized", lines, sizes, [result.buffer, moments.buffer], given, data.dtype, [epsilon], **options)
    return result, moments


class Normalization(Launched):
    """The rules see the gradients of data, scale and shift one after another, as `normalized_back` gives them."""

    def prepare(self, record: Record, dz: Value) -> Value:
        """All gradients, from one kernel."""
        data, gamma = record.inputs[:2]
        return normalized_back(dz, data, gamma, **record.attrs)

    def with_moments(self, data: Value, gamma: Value, beta: Value, way: Way) -> tuple[Value, Value | None]:
        """The result, whose gradient need not find the moments again; and these, on no tape."""
        with engine.called(self.name):
            result, moments = _forward(data, gamma, beta, way)
        return recorded(self, (data, gamma, beta), {"way": way, "moments": moments}, result), moments


def _part(packed: Value, begin: int, shape: Shape) -> Value:
    """An array of a shape out of one that holds several."""
    part: Value = registry["slice_axis"](packed, axis=0, begin=begin, end=begin + prod(shape))
    return part if part.shape == shape else registry["reshape"](part, shape=shape)


@partial(
    Normalization,
    grad=(
        lambda dz, data, gamma: _part(dz, 0, data.shape),
        lambda dz, data, gamma, way: None if way.fixed else _part(dz, data.size, gamma.shape),
        lambda dz, data, gamma: _part(dz, data.size + gamma.size, gamma.shape),
    ),
    methods=[],
)
def normalized(data: Value, gamma: Value, beta: Value, *, way: Way, moments: Value | None = None) -> Value:
    """`data` less their mean, divided by the root of their variance plus eps, times `gamma` plus `beta`."""
    return _forward(data, gamma, beta, way)[0]


def _second(place: int) -> Any:
    """The rule of an array of `normalized_back`, whose first part is r P(gamma head): r inverse deviations, P takes mean and slope away."""

    def rule(dz: Value, head: Value, data: Value, gamma: Value, way: Way) -> Value | None:
        wide, shape = dtypes.promote(data.dtype, dtypes.float32), data.shape
        axes, others = way.axes(data.ndim), tuple(i for i in range(data.ndim) if i != way.axis)
        column = tuple(n if i == way.axis else 1 for i, n in enumerate(shape))
        _, distance, variance = _moments(converted(data, wide), axes)
        r = registry["rsqrt"](variance + way.eps)
        normal, head = distance * r, converted(head, wide)

        def mean(x: Value) -> Value:
            return registry["mean"](x, axis=axes, keepdims=True)

        def taken(x: Value) -> Value:
            return r * (x - mean(x) - normal * mean(x * normal))

        of_data = _part(dz, 0, shape)
        of_scale, of_shift = (_part(dz, data.size + i * gamma.size, column) for i in range(2))
        scale = registry["ones_like"](of_scale) if way.fixed else registry["reshape"](converted(gamma, wide), shape=column)
        if place == 0:
            return scale * taken(of_data) + of_scale * normal + of_shift
        if place == 2:
            if way.fixed:
                return None
            return registry["reshape"](registry["sum"](head * taken(of_data), axis=others), shape=gamma.shape)
        pull = scale * head
        bent = of_scale * head - r * (of_data * mean(pull * normal) + pull * mean(of_data * normal))
        return taken(bent) - r * normal * mean(of_data * taken(pull))

    return rule


@launched(grad=tuple(_second(place) for place in range(3)), methods=[])
def normalized_back(head: Value, data: Value, gamma: Value, *, way: Way, moments: Value | None = None) -> Value:
    """The gradients of data, scale and shift of `normalized` from that of its result, `head`, one after another in one array.

    Parameters
    ----------
    moments : (2, rows), optional
        Means and variances of the data, where they are known.
    """
    wide, device = dtypes.promote(data.dtype, dtypes.float32), data.device
    plan, per = _plan(data, way, BACK), "element" if way.along else "row"
    if plan is None:
        return _back_in_parts(converted(head, wide), converted(data, wide), gamma, way)
    lines, sizes = plan
    given = [engine.gathered(converted(head, data.dtype)), engine.gathered(data)]
    if not way.fixed:
        given.append(engine.gathered(converted(gamma, wide)))
    if moments is not None:
        given.append(moments)
    result = Value((data.size + 2 * gamma.size,), wide, device)
    buffers = [device.allocate(result.size * wide.itemsize)]
    result.place(buffers[0], compact(result.shape))
    items = sizes[0][0] // sizes[1][0]
    if way.along:
        buffers.append(device.allocate(items * 2 * lines.n * wide.itemsize))
    epsilon = dtypes.to_scalar(way.eps, wide)
    options = {"per": per, "scaled": not way.fixed, "known": moments is not None}
    rows.launch("normalization", "normalized_back", lines, sizes, buffers, given, data.dtype, [epsilon], **options)
    if way.along:
        _add_up(result, Value((items, 2, lines.n), wide, device).place(buffers[1], compact((items, 2, lines.n))), data.size)
    return result


def _add_up(result: Value, parts: Value, start: int) -> None:
    """Write the sums of `parts` along their first axis to `result`, from `start` on."""
    device, info, (items, _, n) = parts.device, dtypes.INFO[parts.dtype], parts.shape
    index = engine.index_type([result.layout, parts.layout], result.size)
    kernel = engine.kept(
        (device, "normalization", "totals_of_normalized", parts.dtype, index),
        lambda: device.kernel(
            "normalization",
            f"totals_of_normalized__{parts.dtype}",
            arguments=("buffer", "buffer", *[index] * 4),
            step="totals_of_normalized",
            index=index,
            storage=info.storage,
            compute=info.compute,
            group=device.traits.group,
            per="element",
            scaled=False,
            known=False,
        ),
    )
    kernel(*engine.grid(device.traits, 2 * n, max(1, engine.ROUNDS // items)), result.buffer, parts.buffer, parts.offset, start, items, n)


def _back_in_parts(head: Value, data: Value, gamma: Value, way: Way) -> Value:
    """`normalized_back` by other operators."""
    axes, others = way.axes(data.ndim), tuple(i for i in range(data.ndim) if i != way.axis)
    _, distance, variance = _moments(data, axes)
    inverse = registry["rsqrt"](variance + way.eps)
    normal = distance * inverse
    pull = head if way.fixed else head * _along("normalized", "gamma", gamma, way.axis, data.shape)
    flow, along = (registry["mean"](x, axis=axes, keepdims=True) for x in (pull, pull * normal))
    gradients = [(pull - flow - normal * along) * inverse, *(registry["sum"](x, axis=others) for x in (head * normal, head))]
    return registry["concat"](*(registry["reshape"](converted(x, data.dtype), shape=(x.size,)) for x in gradients), dim=0)


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
    traced: bool,
) -> list[Value]:
    """`data` less its mean, divided by the root of its variance plus `eps`, times `gamma` (1 with `fix_gamma`) plus `beta`.

    Mean and variance are those of all elements with the same position along `axis`, or with `moving` those given.

    Parameters
    ----------
    traced : bool
        Shall gradients flow through mean and variance?

    Returns
    -------
    list of Value
        The result, the mean and the variance.
    """
    axis = normalize_axis("BatchNorm", axis, data.ndim)
    x, shape, dtype = _wide("BatchNorm", data), data.shape, moving_mean.dtype
    way = Way(axis, False, eps, fix_gamma)
    arrays = {"gamma": gamma, "beta": beta, "moving_mean": moving_mean, "moving_var": moving_var}
    scale, shift, mean, variance = (_along("BatchNorm", word, value, axis, shape) for word, value in arrays.items())
    if not (moving or traced) and _serves(data, gamma, beta, way):
        result, moments = normalized.with_moments(data, gamma, beta, way)
        assert moments is not None
        flat = registry["reshape"](moments, shape=(moments.size,))
        return [result, *(converted(_part(flat, i * shape[axis], (shape[axis],)), dtype) for i in range(2))]
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
    x, way = _wide("LayerNorm", data), Way(axis, True, eps)
    if not output_mean_var and gamma.shape == beta.shape == (data.shape[axis],) and _serves(data, gamma, beta, way):
        return normalized.with_moments(data, gamma, beta, way)[0]
    scale, shift = (_along("LayerNorm", word, value, axis, data.shape) for word, value in (("gamma", gamma), ("beta", beta)))
    return _normalized(x, (axis,), scale, shift, eps, data, output_mean_var)


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


def _each_normalized(data: Value, grouped: Shape, gamma: Value, beta: Value, eps: float) -> Value | None:
    """Data seen as `grouped`, (batch, groups, size), normalised group by group, as channels of one image; None without a kernel."""
    batch, groups, size = grouped
    way, flat = Way(1, False, eps), (1, batch * groups, size)
    if (
        gamma.shape != (groups,)
        or beta.shape != (groups,)
        or not data.size
        or _plan(Value(flat, data.dtype, data.device), way, BACK) is None
    ):
        return None
    x = registry["reshape"](data, shape=flat)
    scale, shift = (registry["reshape"](registry["broadcast_to"](v, shape=(batch, groups)), shape=flat[1:2]) for v in (gamma, beta))
    if not _serves(x, scale, shift, way):
        return None
    return registry["reshape"](normalized.with_moments(x, scale, shift, way)[0], shape=data.shape)


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
    result = None if output_mean_var else _each_normalized(data, grouped, gamma, beta, eps)
    if result is not None:
        return result
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
    result = _each_normalized(data, (*data.shape[:2], prod(data.shape[2:])), gamma, beta, eps)
    if result is not None:
        return result
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
    reach = min(nsize // 2, channels)  # beyond there are none, and it takes time to find that out
    around = geometry("LRN", images.shape[1:], (2 * reach + 1, 1), (), (), (reach, 0))
    sums = registry["reshape"](registry["pooled_sum"](images, shape=around), shape=data.shape)
    return converted(x * registry["power"](knorm + alpha / nsize * sums, -beta), data.dtype)
