"""The same elements in another shape, order or selection."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Step, Value, layout
from clnd.engine.layout import MOST_AXES, Shape
from clnd.errors import ShapeError

from .declare import (
    broadcast_shapes,
    composed,
    launched,
    normalize_axes,
    normalize_axis,
    registry,
    shape_of,
    stretch,
    view,
    whole_number,
    whole_numbers,
    zero,
)


@view(grad=lambda dz, data_shape: registry["reshape"](dz, shape=data_shape), numpy=lambda data, shape: np.reshape(data, shape), methods=[])
def reshape(data: Value, *, shape: Shape) -> Step:
    """The same elements in the same order under another shape; one size may be -1.

    >>> from clnd import nd
    >>> nd.reshape(nd.array([1, 2, 3, 4]), shape=(2, 2)).asnumpy()
    array([[1., 2.],
           [3., 4.]], dtype=float32)
    """
    shape = tuple(shape)
    if -1 in shape:
        rest = prod(n for n in shape if n != -1)
        if shape.count(-1) > 1 or not rest or data.size % rest:
            raise ShapeError(f"reshape: an array of shape {data.shape} cannot take the shape {shape}")
        shape = tuple(data.size // rest if n == -1 else n for n in shape)
    if prod(shape) != data.size:
        raise ShapeError(f"Cannot reshape array of size {data.size} into shape {shape}")
    if len(shape) > MOST_AXES:
        shape_of("reshape", shape)
    return Step(layout.reshape, (shape,))


def _transpose_back(dz: Value, axes: Sequence[int] | None) -> Value:
    order = [a % dz.ndim for a in axes] if axes else None
    return registry["transpose"](dz, axes=None if order is None else tuple(order.index(i) for i in range(dz.ndim)))


@view(grad=_transpose_back, numpy=np.transpose)
def transpose(data: Value, *, axes: Sequence[int] | None = None) -> Step:
    """The axes in another order; reversed without `axes`.

    >>> from clnd import nd
    >>> nd.transpose(nd.array([[1, 2], [3, 4]])).asnumpy()
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    if not axes:
        return Step(layout.transpose, (tuple(reversed(range(data.ndim))),))
    order = tuple(normalize_axis("transpose", a, data.ndim) for a in axes)
    if sorted(order) != list(range(data.ndim)):
        raise ShapeError(f"transpose: axes {tuple(axes)} are not an order of the {data.ndim} axes of shape {data.shape}")
    return Step(layout.transpose, (order,))


@view(grad=lambda dz: dz, numpy=np.broadcast_to)
def broadcast_to(data: Value, *, shape: Shape) -> Step:
    """Stretched to `shape`: axes of one element repeat. No copy is made.

    >>> from clnd import nd
    >>> nd.broadcast_to(nd.array([[1], [2]]), shape=(2, 3)).asnumpy()
    array([[1., 1., 1.],
           [2., 2., 2.]], dtype=float32)
    """
    return stretch(data, tuple(shape))


@view(selects=True, grad=lambda dz, data_shape, begin, count, step: _window_back(dz, data_shape, begin, count, step))
def window(data: Value, *, begin: Shape, count: Shape, step: Shape) -> Step:
    """`count[i]` elements of axis i from `begin[i]` on, `step[i]` apart (which may be negative): what basic indexing selects."""
    return Step(layout.window, (begin, count, step))


def _window_back(dz: Value, shape: Shape, begin: Shape, count: Shape, step: Shape) -> Value:
    base = registry["full"](shape=shape, value=0, dtype=dz.dtype, device=dz.device)
    return assign(base, dz, steps=(("window", (begin, count, step)),))


@view(grad=lambda dz: dz)
def alias(data: Value) -> Step:
    """The same elements as a value of its own."""
    return Step(_unchanged, ())


@view(numpy=np.copy, methods=[])
def stop_gradient(data: Value) -> Step:
    """The same elements, through which no gradient flows.

    >>> from clnd import nd
    >>> nd.stop_gradient(nd.array([1, 2])).asnumpy()
    array([1., 2.], dtype=float32)
    """
    return Step(_unchanged, ())


def _unchanged(given: layout.Layout) -> layout.Layout:
    return given


@launched(grad=lambda dz, device, source: registry["transfer"](dz, device=source, source=device))
def transfer(data: Value, *, device: Any, source: Any) -> Value:
    """The elements on another device, by way of the host."""
    return engine.from_numpy(engine.to_numpy(data), device)


_VIEWS: dict[str, Any] = {"window": layout.window, "reshape": layout.reshape}
Steps = tuple[tuple[str, tuple[Any, ...]], ...]


def region(base: layout.Layout, steps: Steps) -> layout.Layout | None:
    """Where the elements lie that a chain of views selects."""
    found: layout.Layout | None = base
    for name, arguments in steps:
        if found is None:
            return None
        found = _VIEWS[name](found, *arguments)
    return found


def selected(value: Value, steps: Steps) -> Value:
    """What a chain of views selects of a value."""
    for name, arguments in steps:
        names = registry[name].attributes
        value = registry[name](value, **dict(zip(names, arguments, strict=True)))
    return value


def add_selected(whole: engine.Slot, record: engine.Record, dz: Value, fresh: bool = False) -> None:
    """Add the gradient of what a record selects to the gradient of the whole, in its buffer, which nobody else refers to.

    With `fresh` zeros stand there.
    """
    steps = ((record.op.name, tuple(record.attrs[name] for name in ("begin", "count", "step"))),)
    place = region(whole.value.layout, steps)
    assert place is not None, "a window of a compact array is a region of it"
    if prod(place.shape):
        with engine.called("assign"):
            engine.write_region(whole, place, dz if fresh else selected(whole.value, steps) + dz)


def side_by_side(shape: Shape, windows: Sequence[dict[str, Any]]) -> int | None:
    """The axis along which windows (attributes of `window`) follow each other and are all of an array of a shape; None if there is none."""
    cut = {axis for given in windows for axis, n in enumerate(shape) if given["count"][axis] != n}
    if len(cut) != 1 or any(step != 1 for given in windows for step in given["step"]):
        return None
    (axis,) = cut
    end = 0
    for begin, count in sorted((given["begin"][axis], given["count"][axis]) for given in windows):
        if begin != end:
            return None
        end += count
    return axis if end == shape[axis] else None


@launched(
    grad=(
        lambda dz, steps: registry["assign"](dz, registry["full"](shape=(), value=0, dtype=dz.dtype, device=dz.device), steps=steps),
        lambda dz, steps: selected(dz, steps),
    )
)
def assign(data: Value, source: Value, *, steps: Steps) -> Value:
    """A copy of `data` in which what a chain of views selects is `source`, broadcast and converted."""
    result = engine.copied(data)
    place = region(result.layout, steps)
    assert place is not None, "views of a compact array are regions of it"
    if prod(place.shape):
        engine.write_region(
            engine.Slot(result), place, registry["cast"](source, dtype=data.dtype) if source.dtype != data.dtype else source
        )
    return result


@composed(numpy=np.expand_dims)
def expand_dims(data: Value, *, axis: int) -> Value:
    """A new axis of one element at position `axis`.

    >>> from clnd import nd
    >>> nd.expand_dims(nd.array([1, 2]), axis=0).shape
    (1, 2)
    """
    axis = normalize_axis("expand_dims", axis, data.ndim + 1)
    return reshape(data, shape=(*data.shape[:axis], 1, *data.shape[axis:]))


@composed(numpy=np.squeeze)
def squeeze(data: Value, *, axis: Any = None) -> Value:
    """Without the axes of one element: all of them, or those of `axis`.

    >>> from clnd import nd
    >>> nd.squeeze(nd.array([[[1], [2]]])).shape
    (2,)
    """
    axes = [i for i, n in enumerate(data.shape) if n == 1] if axis is None else normalize_axes("squeeze", axis, data.ndim)
    for a in axes:
        if data.shape[a] != 1:
            raise ShapeError(f"squeeze: axis {a} of shape {data.shape} has {data.shape[a]} elements, not one")
    return reshape(data, shape=tuple(n for i, n in enumerate(data.shape) if i not in axes))


@composed(numpy=lambda data: data.reshape(data.shape[0], -1))
def flatten(data: Value) -> Value:
    """All axes but the first joined to one.

    >>> from clnd import nd
    >>> nd.flatten(nd.zeros((2, 3, 4))).shape
    (2, 12)
    """
    if not data.ndim:
        raise ShapeError("flatten: an array of no axes has no first one")
    return reshape(data, shape=(data.shape[0], prod(data.shape[1:])))


@composed(numpy=lambda data, axis: np.flip(data, axis))
def flip(data: Value, *, axis: Any) -> Value:
    """The elements in reverse order along `axis`.

    >>> from clnd import nd
    >>> nd.flip(nd.array([[1, 2], [3, 4]]), axis=1).asnumpy()
    array([[2., 1.],
           [4., 3.]], dtype=float32)
    """
    axes = normalize_axes("flip", axis, data.ndim)
    begin = tuple(n - 1 if i in axes and n else 0 for i, n in enumerate(data.shape))
    return window(data, begin=begin, count=data.shape, step=tuple(-1 if i in axes else 1 for i in range(data.ndim)))


@composed(numpy=None)
def slice_axis(data: Value, *, axis: int, begin: int, end: int | None) -> Value:
    """The elements `begin` to `end` (exclusive; None for the last) along one axis; negative numbers count from the end.

    >>> from clnd import nd
    >>> nd.slice_axis(nd.array([[1, 2, 3]]), axis=1, begin=1, end=None).asnumpy()
    array([[2., 3.]], dtype=float32)
    """
    axis = normalize_axis("slice_axis", axis, data.ndim)
    first, last, _ = slice(begin, end).indices(data.shape[axis])
    starts = tuple(first if i == axis else 0 for i in range(data.ndim))
    count = tuple(max(0, last - first) if i == axis else n for i, n in enumerate(data.shape))
    return window(data, begin=starts, count=count, step=(1,) * data.ndim)


@composed(numpy=np.swapaxes)
def swapaxes(data: Value, *, dim1: int = 0, dim2: int = 0) -> Value:
    """Two axes exchanged.

    >>> from clnd import nd
    >>> nd.swapaxes(nd.zeros((2, 3, 4)), dim1=0, dim2=2).shape
    (4, 3, 2)
    """
    first, second = normalize_axis("swapaxes", dim1, data.ndim), normalize_axis("swapaxes", dim2, data.ndim)
    order = list(range(data.ndim))
    order[first], order[second] = second, first
    return transpose(data, axes=tuple(order))


@composed(numpy=np.moveaxis, methods=[])
def moveaxis(tensor: Value, *, source: Any, destination: Any) -> Value:
    """The axes `source` at the positions `destination`, the others in their order in between.

    >>> from clnd import nd
    >>> nd.moveaxis(nd.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    origins, targets = (
        [normalize_axis("moveaxis", axis, tensor.ndim) for axis in whole_numbers("moveaxis", word, given)]
        for word, given in (("source", source), ("destination", destination))
    )
    if len(origins) != len(targets) or len(set(origins)) != len(origins) or len(set(targets)) != len(targets):
        raise ShapeError(f"moveaxis: source {source} and destination {destination} must name as many axes, none of them twice")
    others = iter(axis for axis in range(tensor.ndim) if axis not in origins)
    moved = dict(zip(targets, origins, strict=True))
    return transpose(tensor, axes=tuple(moved[i] if i in moved else next(others) for i in range(tensor.ndim)))


@composed(numpy=None)
def space_to_depth(data: Value, *, block_size: int) -> Value:
    """Squares of `block_size` elements of the last two of four axes as channels (axis 1): a channel has those of one place in all squares.

    >>> from clnd import nd
    >>> nd.space_to_depth(nd.zeros((1, 3, 4, 6)), 2).shape
    (1, 12, 2, 3)
    """
    b = _block("space_to_depth", data, block_size)
    n, c, h, w = data.shape
    if h % b or w % b:
        raise ShapeError(f"space_to_depth: the last two axes of shape {data.shape} are no multiples of block_size {b}")
    squares = transpose(reshape(data, shape=(n, c, h // b, b, w // b, b)), axes=(0, 3, 5, 1, 2, 4))
    return reshape(squares, shape=(n, b * b * c, h // b, w // b))


@composed(numpy=None)
def depth_to_space(data: Value, *, block_size: int) -> Value:
    """Channels (axis 1 of four) as squares of `block_size` elements of the last two axes: what `space_to_depth` does, backwards.

    >>> from clnd import nd
    >>> nd.depth_to_space(nd.zeros((1, 12, 2, 3)), 2).shape
    (1, 3, 4, 6)
    """
    b = _block("depth_to_space", data, block_size)
    n, c, h, w = data.shape
    if c % (b * b):
        raise ShapeError(f"depth_to_space: axis 1 of shape {data.shape} is no multiple of the square of block_size {b}")
    squares = transpose(reshape(data, shape=(n, b, b, c // (b * b), h, w)), axes=(0, 3, 4, 1, 5, 2))
    return reshape(squares, shape=(n, c // (b * b), h * b, w * b))


def _block(name: str, data: Value, block_size: Any) -> int:
    size = whole_number(name, "block_size", block_size)
    if data.ndim != 4 or size < 1:
        raise ShapeError(f"{name}: data of shape {data.shape} must have four axes, and block_size {size} be at least 1")
    return size


@composed(numpy=None)
def broadcast_axis(data: Value, *, axis: Any = (), size: Any = ()) -> Value:
    """Axes of one element stretched to `size`.

    >>> from clnd import nd
    >>> nd.broadcast_axis(nd.zeros((1, 2, 1)), axis=(0, 2), size=(3, 4)).shape
    (3, 2, 4)
    """
    return _stretched("broadcast_axis", data, axis, whole_numbers("broadcast_axis", "size", size))


def _stretched(name: str, data: Value, axis: Any, sizes: Sequence[int]) -> Value:
    """With axes of one element stretched to sizes."""
    axes, wanted = whole_numbers(name, "axis", axis), list(data.shape)
    if len(axes) != len(sizes) or min(sizes, default=0) < 0:
        raise ShapeError(f"{name}: there must be a size for each axis to be stretched, not sizes {tuple(sizes)} for axes {axes}")
    for a, n in zip(axes, sizes, strict=True):
        a = normalize_axis(name, a, data.ndim)
        if wanted[a] != 1:
            raise ShapeError(f"{name}: axis {a} of shape {data.shape}, to be stretched once, has {wanted[a]} elements, not one")
        wanted[a] = n
    return registry["broadcast_to"](data, shape=shape_of(name, wanted))


@composed(numpy=None, methods=["broadcast_like"])
def broadcast_like(lhs: Value, rhs: Value, *, lhs_axes: Any = None, rhs_axes: Any = None) -> Value:
    """`lhs` stretched to the shape of `rhs`; or only its axes `lhs_axes`, to the sizes of the axes `rhs_axes`.

    >>> from clnd import nd
    >>> nd.broadcast_like(nd.array([[1], [2]]), nd.zeros((2, 3))).shape
    (2, 3)
    >>> nd.broadcast_like(nd.array([[1], [2]]), nd.zeros(5), lhs_axes=(1,), rhs_axes=(0,)).shape
    (2, 5)
    """
    if lhs_axes is None or rhs_axes is None:
        broadcast_shapes("broadcast_like", [lhs.shape, rhs.shape])
        return registry["broadcast_to"](lhs, shape=rhs.shape)
    sizes = [rhs.shape[normalize_axis("broadcast_like", a, rhs.ndim)] for a in whole_numbers("broadcast_like", "rhs_axes", rhs_axes)]
    return _stretched("broadcast_like", lhs, lhs_axes, sizes)


@composed(numpy=None, methods=["reshape_like"])
def reshape_like(
    lhs: Value,
    rhs: Value,
    *,
    lhs_begin: int | None = None,
    lhs_end: int | None = None,
    rhs_begin: int | None = None,
    rhs_end: int | None = None,
) -> Value:
    """The elements of `lhs` in the shape of `rhs`.

    Parameters
    ----------
    lhs_begin, lhs_end, rhs_begin, rhs_end : int, optional
        Only the axes of `lhs` from `lhs_begin` to before `lhs_end` take the sizes of those of `rhs` from `rhs_begin` to before `rhs_end`.

    >>> from clnd import nd
    >>> nd.reshape_like(nd.zeros((30, 7)), nd.zeros((15, 2, 4)), lhs_end=1, rhs_end=2).shape
    (15, 2, 7)
    """
    first, last = _axes_between("lhs", lhs.ndim, lhs_begin, lhs_end)
    begin, end = _axes_between("rhs", rhs.ndim, rhs_begin, rhs_end)
    shape = lhs.shape[:first] + rhs.shape[begin:end] + lhs.shape[last:]
    if prod(shape) != lhs.size:
        raise ShapeError(f"reshape_like: an array of shape {lhs.shape} cannot take the shape {shape} (rhs has {rhs.shape})")
    return reshape(lhs, shape=shape)


def _axes_between(word: str, ndim: int, begin: int | None, end: int | None) -> tuple[int, int]:
    given = whole_numbers("reshape_like", f"{word}_begin and {word}_end", (0 if begin is None else begin, ndim if end is None else end))
    first, last = (n + ndim if n < 0 else n for n in given)
    if not 0 <= first <= last <= ndim:
        raise ShapeError(f"reshape_like: {word}_begin {begin} and {word}_end {end} are no part of the {ndim} axes of {word}")
    return first, last


@launched(grad=zero, numpy=lambda data: np.array(data.shape, np.int64))
def shape_array(data: Value) -> Value:
    """The size of each axis, as int64. No gradient flows back.

    >>> from clnd import nd
    >>> nd.shape_array(nd.zeros((2, 3))).asnumpy()
    array([2, 3])
    """
    return engine.from_numpy(np.array(data.shape, np.int64), data.device)


@launched(grad=zero, numpy=lambda data: np.array([data.size], np.int64))
def size_array(data: Value) -> Value:
    """The number of elements, as int64, in an array of shape (1,). No gradient flows back.

    >>> from clnd import nd
    >>> nd.size_array(nd.zeros((2, 3))).asnumpy()
    array([6])
    """
    return engine.from_numpy(np.array([data.size], np.int64), data.device)
