"""The same elements in another shape, order or selection, and arrays put together."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Step, Value, dtypes, layout
from clnd.engine.layout import Shape
from clnd.errors import ShapeError

from .declare import broadcast_shapes, composed, launched, normalize_axes, normalize_axis, registry, stretch, view


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


@view(grad=lambda dz, data_shape, begin, count, step: _window_back(dz, data_shape, begin, count, step))
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


@launched(
    grad=lambda dz, position, shapes, dim: _part(dz, position, shapes, dim),
    numpy=lambda *data, dim: np.concatenate(data, dim),
    methods=[],
)
def concat(*data: Value, dim: int = 1) -> Value:
    """The arrays one after another along axis `dim`.

    >>> from clnd import nd
    >>> nd.concat(nd.array([[1], [2]]), nd.array([[3], [4]]), dim=1).asnumpy()
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    first = data[0]
    axis = normalize_axis("concat", dim, first.ndim)
    dtype = first.dtype
    for x in data:
        if x.ndim != first.ndim or any(n != m for i, (n, m) in enumerate(zip(x.shape, first.shape, strict=True)) if i != axis):
            listed = " ".join(str(list(x.shape)) for x in data)
            raise ShapeError(f"concat: shapes {listed} differ in another axis than {axis}")
        dtype = dtypes.promote(dtype, x.dtype)
    registry["concat"].device(data)
    shape = tuple(sum(x.shape[axis] for x in data) if i == axis else n for i, n in enumerate(first.shape))
    result = Value(shape, dtype, first.device)
    if result.size == 0:
        return result
    result.place(first.device.allocate(result.size * dtype.itemsize), layout.compact(shape))
    at = 0
    for x in data:
        if x.size:
            begin = tuple(at if i == axis else 0 for i in range(len(shape)))
            place = layout.window(result.layout, begin, x.shape, (1,) * len(shape))
            engine.write_region(engine.Slot(result), place, registry["cast"](x, dtype=dtype) if x.dtype != dtype else x)
        at += x.shape[axis]
    return result


def _part(dz: Value, position: int, shapes: Sequence[Shape], dim: int) -> Value:
    axis = dim % dz.ndim
    begin = sum(shape[axis] for shape in shapes[:position])
    part: Value = slice_axis(dz, axis=axis, begin=begin, end=begin + shapes[position][axis])
    return part


@composed(numpy=lambda *data, axis: np.stack(data, axis), methods=[])
def stack(*data: Value, axis: int = 0) -> Value:
    """The arrays, all of one shape, along a new axis.

    >>> from clnd import nd
    >>> nd.stack(nd.array([1, 2]), nd.array([3, 4]), axis=1).asnumpy()
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    if any(x.shape != data[0].shape for x in data):
        raise ShapeError(f"stack: the shapes differ: {' '.join(str(list(x.shape)) for x in data)}")
    return concat(*(expand_dims(x, axis=axis) for x in data), dim=axis)


@composed(numpy=None)
def split(data: Value, *, sections: Sequence[tuple[int, int]], axis: int) -> list[Value]:
    """Parts of an axis.

    >>> from clnd import nd
    >>> [part.asnumpy() for part in nd.split(nd.array([[1, 2, 3, 4]]), num_outputs=2)]
    [array([[1., 2.]], dtype=float32), array([[3., 4.]], dtype=float32)]
    """
    return [slice_axis(data, axis=axis, begin=begin, end=end) for begin, end in sections]


@composed(numpy=np.tile)
def tile(data: Value, *, reps: Any) -> Value:
    """The whole array repeated `reps[i]` times along axis i.

    >>> from clnd import nd
    >>> nd.tile(nd.array([1, 2]), reps=2).asnumpy()
    array([1., 2., 1., 2.], dtype=float32)
    """
    counts = (reps,) if isinstance(reps, (int, np.integer)) else tuple(reps)
    ndim = max(len(counts), data.ndim)
    counts = (1,) * (ndim - len(counts)) + counts
    sizes = (1,) * (ndim - data.ndim) + data.shape
    pairs = tuple(n for size in sizes for n in (1, size))
    wide = broadcast_to(reshape(data, shape=pairs), shape=tuple(n for c, size in zip(counts, sizes, strict=True) for n in (c, size)))
    return reshape(wide, shape=tuple(c * size for c, size in zip(counts, sizes, strict=True)))


@composed(numpy=np.repeat)
def repeat(data: Value, *, repeats: int, axis: int | None = None) -> Value:
    """Each element `repeats` times, along `axis` (None: of the flattened array).

    >>> from clnd import nd
    >>> nd.repeat(nd.array([1, 2]), repeats=2).asnumpy()
    array([1., 1., 2., 2.], dtype=float32)
    """
    if axis is None:
        data, axis = reshape(data, shape=(data.size,)), 0
    axis = normalize_axis("repeat", axis, data.ndim)
    before, after = data.shape[: axis + 1], data.shape[axis + 1 :]
    wide = broadcast_to(reshape(data, shape=(*before, 1, *after)), shape=(*before, repeats, *after))
    return reshape(wide, shape=(*before[:-1], before[-1] * repeats, *after))


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


@composed(numpy=None)
def broadcast_like(lhs: Value, rhs: Value) -> Value:
    """`lhs` stretched to the shape of `rhs`.

    >>> from clnd import nd
    >>> nd.broadcast_like(nd.array([[1], [2]]), nd.zeros((2, 3))).shape
    (2, 3)
    """
    broadcast_shapes("broadcast_like", [lhs.shape, rhs.shape])
    return broadcast_to(lhs, shape=rhs.shape)
