"""Parts of arrays that lie evenly: diagonals, and windows as large as another array."""

from __future__ import annotations

from typing import Any

import numpy as np

from clnd.engine import Value
from clnd.errors import ShapeError

from .declare import composed, normalize_axes, normalize_axis, registry


@composed(numpy=None)
def diag(data: Value, *, k: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
    """The diagonal of `axis1` and `axis2` as the last axis, `k` elements above the main one; of a vector the matrix that has it there.

    >>> from clnd import nd
    >>> nd.diag(nd.array([[1, 2], [3, 4]])).asnumpy()
    array([1., 4.], dtype=float32)
    >>> nd.diag(nd.array([1, 2]), k=-1).asnumpy()
    array([[0., 0., 0.],
           [1., 0., 0.],
           [0., 2., 0.]], dtype=float32)
    """
    if not data.ndim:
        raise ShapeError("diag: an array of no axes has no diagonal")
    if data.ndim == 1:
        n = data.shape[0] + abs(k)
        flat = registry["full"](shape=(n * n,), value=0, dtype=data.dtype, device=data.device)
        place = ("window", ((max(k, -k * n),), data.shape, (n + 1,)))
        return registry["reshape"](registry["assign"](flat, data, steps=(place,)), shape=(n, n))
    first, second = normalize_axis("diag", axis1, data.ndim), normalize_axis("diag", axis2, data.ndim)
    if first == second:
        raise ShapeError(f"diag: axis1 and axis2 are both {first}")
    rows, columns = data.shape[first], data.shape[second]
    count = min(rows + min(k, 0), columns - max(k, 0))
    if count <= 0 and rows and columns:
        raise ShapeError(f"diag: matrices of shape {(rows, columns)} have no diagonal {k}")
    others = [axis for axis in range(data.ndim) if axis not in (first, second)]
    outer = tuple(data.shape[axis] for axis in others)
    flat = registry["reshape"](registry["transpose"](data, axes=(*others, first, second)), shape=(*outer, rows * columns))
    whole = (0,) * len(outer), outer, (1,) * len(outer)
    begin, counts, step = (*whole[0], max(k, -k * columns)), (*whole[1], max(count, 0)), (*whole[2], columns + 1)
    return registry["window"](flat, begin=begin if count > 0 else (0,) * len(begin), count=counts, step=step)


@composed(numpy=None)
def slice_like(data: Value, shape_like: Value, *, axes: Any = ()) -> Value:
    """The beginning of `data`, as long as `shape_like` along `axes` (all of them by default).

    >>> from clnd import nd
    >>> nd.slice_like(nd.array([[1, 2, 3], [4, 5, 6]]), nd.zeros((1, 2))).asnumpy()
    array([[1., 2.]], dtype=float32)
    """
    given = (axes,) if isinstance(axes, (int, np.integer)) else tuple(axes or ())
    if not given and data.ndim != shape_like.ndim:
        raise ShapeError(f"slice_like: shapes {data.shape} and {shape_like.shape} differ in their number of axes; name the axes")
    chosen = normalize_axes("slice_like", given or None, data.ndim)
    numbers = {a % data.ndim: normalize_axis("slice_like", a, shape_like.ndim) for a in given} if given else {a: a for a in chosen}
    count = tuple(shape_like.shape[numbers[axis]] if axis in numbers else n for axis, n in enumerate(data.shape))
    if any(wanted > n for wanted, n in zip(count, data.shape, strict=True)):
        raise ShapeError(f"slice_like: an array of shape {data.shape} has no part of shape {count}")
    return registry["window"](data, begin=(0,) * data.ndim, count=count, step=(1,) * data.ndim)


@composed(numpy=None, methods=[])
def Crop(*data: Value, offset: Any = (0, 0), h_w: Any = (0, 0), center_crop: bool = False) -> Value:
    """A part of images, the last two axes of four: of size `h_w`, or that of a second array, from `offset` on or in the middle.

    >>> from clnd import nd
    >>> nd.Crop(nd.array([[[[1, 2, 3], [4, 5, 6]]]]), h_w=(1, 2), offset=(1, 0)).asnumpy()
    array([[[[4., 5.]]]], dtype=float32)
    """
    images = data[0]
    if len(data) > 2 or any(x.ndim != 4 for x in data):
        raise ShapeError(f"Crop takes one or two arrays of four axes, not {' '.join(str(list(x.shape)) for x in data)}")
    room = images.shape[2:]
    size = data[1].shape[2:] if len(data) == 2 else tuple(int(n) for n in h_w)
    first = tuple((n - wanted) // 2 for n, wanted in zip(room, size, strict=True)) if center_crop else tuple(int(n) for n in offset)
    if len(size) != 2 or len(first) != 2 or any(not (1 <= n <= m and 0 <= o <= m - n) for o, n, m in zip(first, size, room, strict=True)):
        raise ShapeError(f"Crop: images of shape {images.shape} have no part of size {size} at {first}")
    return registry["window"](images, begin=(0, 0, *first), count=(*images.shape[:2], *size), step=(1,) * 4)
