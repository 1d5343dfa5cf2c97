"""Sorting along an axis: stable, NaN last in both directions.

All of it is one stable sort of unsigned keys, which gives positions; elements are picked by these. Rows are sorted by merging
(`templates/sort.cl.mako`), long ones on the cpu schedule by digits (`templates/radix.cl.mako`); where few are wanted they are selected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape, compact
from clnd.errors import DTypeError, ShapeError

from .declare import composed, converted, launched, normalize_axis, registry, whole_number
from .indexing import gather

RUN = 32  # keys that the first launch sorts
PARTS = {"cpu": 512, "gpu": 16}  # keys that a work-item merges one after another, by schedule
_WIDTH = {"uint": 4, "ulong": 8}  # bytes of a key
_BLOCKS = 16, 64  # elements that are first looked at together where few are wanted
_ENOUGH = 512  # keys of a row that are ranked without looking at blocks of them
_FEW = 128  # that are found without sorting
_LONG = 512  # elements of a row that are sorted by digits, on the cpu schedule
_RESULTS = ("indices", "value", "both", "mask")


@launched()
def sorted_places(data: Value, *, is_ascend: bool = True) -> Value:
    """The order that sorts each row (along the last axis): positions in the flattened array, as int64. Equal elements stay in order."""
    n, size, device = data.shape[-1], data.size, data.device
    result = Value(data.shape, dtypes.int64, device)
    if size == 0:
        return result
    keys, flip = _keys(data.dtype, is_ascend)
    key = keys["key"]
    first, second = ((device.allocate(_WIDTH[key] * size), device.allocate(8 * size)) for _ in range(2))
    data = engine.gathered(data)
    write = device.kernel("sort", f"sort_keys__{data.dtype}", arguments=("buffer", "long", "buffer", "long", key), step="keys", **keys)
    write(*engine.grid(device.traits, size, engine.ROUNDS // 4), data.buffer, data.offset, second[0], size, flip)
    if device.traits.schedule == "cpu" and _LONG <= n < 2**28:
        return result.place(_by_digits(device, key, first, second, size // n, n), compact(result.shape))
    kinds = ("buffer", "buffer", "buffer", "long", "long")
    sort = device.kernel("sort", f"sort_runs__{key}", arguments=kinds, step="runs", key=key, run=RUN)
    sort(*engine.grid(device.traits, size, engine.ROUNDS // (4 * RUN)), second[0], *first, size, n)
    part = PARTS[device.traits.schedule]
    merge = device.kernel("sort", f"sort_merge__{key}", arguments=("buffer", *kinds, "long"), step="merge", key=key, part=part)
    grid = engine.grid(device.traits, -(-size // part), engine.ROUNDS // (4 * part))
    length = RUN
    while length < n:
        merge(*grid, *first, *second, size, n, length)
        first, second, length = second, first, 2 * length
    return result.place(first[1], compact(result.shape))


def _by_digits(device: Any, key: str, to: Sequence[Any], given: Sequence[Any], rows: int, n: int) -> Any:
    """The order that sorts the keys in the first of the buffers `given`, by templates/radix.cl.mako."""
    chunks = -(-n // engine.ROUNDS)
    counts, totals = device.allocate(4 * rows * chunks * 256), device.allocate(4 * rows * 256)
    kinds = {
        "count": ("buffer", "buffer", "long", "long", "int"),
        "scan": ("buffer", "buffer", "long", "long"),
        "move": (*["buffer"] * 6, "long", "long", "int", "int"),
    }
    count, scan, move = (
        device.kernel("radix", f"radix_{step}__{key}", arguments=arguments, step=step, key=key, chunk=engine.ROUNDS)
        for step, arguments in kinds.items()
    )
    digits = 16 if 16 * chunks <= engine.ROUNDS else 1
    for shift in range(0, 8 * _WIDTH[key], 8):
        count((rows * chunks,), (1,), given[0], counts, n, chunks, shift)
        scan((rows * 256 // digits,), (1,), counts, totals, chunks, digits)
        move((rows * chunks,), (1,), *given, counts, totals, *to, n, chunks, shift, int(shift == 0))
        given, to = to, given
    return given[1]


def _keys(dtype: np.dtype[Any], is_ascend: bool) -> tuple[dict[str, Any], int]:
    """What the templates need to make unsigned numbers in the order of the elements of their bits, and what flips them."""
    width, category = dtype.itemsize, dtypes.category(dtype)
    key = "ulong" if width == 8 else "uint"
    how = {
        "key": key,
        "storage": {1: "uchar", 2: "ushort"}.get(width, key),
        "shift": 32 - 8 * width if width < 4 else 0,
        "category": category,
        "infinity": int(dtype.type(np.inf).view(f"u{width}")) if category == "float" else 0,
    }
    return how, 0 if is_ascend else 2 ** (8 * _WIDTH[key]) - 1


def _block(n: int, k: int) -> int:
    """The block for the first `k` of `n`: a small one leaves fewer candidates, a large one is quicker to fold."""
    return _BLOCKS[n >= 32768 and k <= 16]


@launched()
def first_places(data: Value, *, k: int, is_ascend: bool = True) -> Value:
    """The first `k` of each row of `sorted_places`, where `k` is small beside the row, without sorting it all."""
    n, device, traits = data.shape[-1], data.device, data.device.traits
    rows, data, block = data.size // n, engine.gathered(data), _block(n, k)
    (how, flip), width = _keys(data.dtype, is_ascend), 8 if data.dtype.itemsize == 8 else 4
    key, numbers = how["key"], ("long", "long", "long")

    def launch(step: str, source: str, count: int, rounds: int, arguments: tuple[str, ...], *given: Any) -> None:
        name = f"{step}_{source or 'places'}_{block}__{data.dtype}"
        kernel = device.kernel("select", name, arguments=arguments, step=step, source=source, block=block, **how)
        items = max(min(count, 4 * traits.compute_units), -(-count * rounds // (4 * engine.ROUNDS)))
        grid = ((items,), (1,)) if traits.schedule == "cpu" else engine.grid(traits, count)
        kernel(*grid, *given)

    # Each level: what it is, its keys, where they start, their number in a row, and how far rows are apart.
    levels: list[tuple[str, Any, int, int, int]] = [("elements", data.buffer, data.offset, n, n)]
    while len(levels) == 1 or levels[-1][3] > max(_ENOUGH, k * block):
        source, *below = levels[-1]
        blocks = -(-levels[-1][3] // block)
        made = -(-blocks // 16) * 16
        keys = device.allocate(width * rows * made)
        launch("fold", source, rows * made, block, ("buffer", *numbers, key, "buffer", "long", "long"), *below, flip, keys, rows, made)
        levels.append(("keys", keys, 0, blocks, made))
    *levels, (_, keys, _, _, size) = levels
    places: Any = keys
    first = 1
    ranked = ("buffer", "buffer", "long", "long", "int", "long")
    for source, *below in reversed(levels):
        inside = rows * k * block
        found = device.allocate(width * inside), device.allocate(4 * inside)
        rounds = size // traits.lanes + block
        kinds = (*ranked, "buffer", *numbers, key, "buffer", "buffer")
        launch("rank", source, rows * size, rounds, kinds, keys, places, rows, size, first, k, *below, flip, *found)
        (keys, places), first, size = found, 0, k * block
    result = Value((*data.shape[:-1], k), dtypes.int64, device)
    buffer = device.allocate(8 * result.size)
    launch("rank", "", rows * size, size // traits.lanes, (*ranked, "buffer", "long"), keys, places, rows, size, first, k, buffer, n)
    return result.place(buffer, compact(result.shape))


def _places(rows: Value, k: int, is_ascend: bool) -> Value:
    """The first `k` of each row in order."""
    n = rows.shape[-1]
    if 0 < k <= _FEW and 2 * k * _block(n, k) <= n < 2**30 and rows.size:
        found: Value = first_places(rows, k=k, is_ascend=is_ascend)
        return found
    places = sorted_places(rows, is_ascend=is_ascend)
    return registry["slice_axis"](places, axis=places.ndim - 1, begin=0, end=k)


@launched(grad=(lambda dz, places, data_shape: registry["put_places"](dz, places, shape=data_shape),))
def take_places(data: Value, places: Value) -> Value:
    """The elements at positions in the flattened array, which are distinct and in range."""
    return gather(data, places, (1, data.size, 1, places.size), places.shape)


@launched(grad=(lambda dz, places: take_places(dz, places),))
def put_places(data: Value, places: Value, *, shape: Shape) -> Value:
    """Zeros of `shape` but for `data` at positions in the flattened array: what `take_places` does, backwards."""
    result = engine.ready(registry["full"](shape=shape, value=0, dtype=data.dtype, device=data.device))
    if places.size == 0:
        return result
    data, places = engine.gathered(data), engine.gathered(places)
    kernel = data.device.kernel(
        "put",
        f"put__{data.dtype}",
        arguments=("buffer", "buffer", "long", "buffer", "long", "long"),
        storage=dtypes.UNSIGNED[data.dtype.itemsize],
    )
    grid = engine.grid(data.device.traits, places.size)
    kernel(*grid, result.buffer, data.buffer, data.offset, places.buffer, places.offset, places.size)
    return result


def _rows(data: Value, axis: int | None, name: str) -> tuple[Value, int]:
    """With the axis that is sorted as the last one, and which it was; a flattened array for None."""
    if axis is None:
        data, axis = registry["reshape"](data, shape=(data.size,)), 0
    axis = normalize_axis(name, axis, data.ndim)
    return _exchanged(data, axis), axis


def _exchanged(data: Value, axis: int) -> Value:
    """With `axis` and the last one exchanged."""
    return data if axis == data.ndim - 1 else registry["swapaxes"](data, dim1=axis, dim2=data.ndim - 1)


def _numbers(places: Value, n: int, axis: int, dtype: Any) -> Value:
    """Positions within rows of n."""
    return _exchanged(converted(registry["modulo"](places, max(1, n)), dtypes.as_dtype(dtype)), axis)


@composed(numpy=None)
def sort(data: Value, *, axis: int | None = -1, is_ascend: bool = True) -> Value:
    """The elements in order along `axis` (None: of the flattened array), NaN last; descending without `is_ascend`.

    The gradient flows back to where each element came from.

    >>> from clnd import nd
    >>> nd.sort(nd.array([[3, 1, 2], [5, 4, 6]]), is_ascend=False).asnumpy()
    array([[3., 2., 1.],
           [6., 5., 4.]], dtype=float32)
    """
    rows, axis = _rows(data, axis, "sort")
    return _exchanged(take_places(rows, sorted_places(rows, is_ascend=is_ascend)), axis)


@composed(numpy=None)
def argsort(data: Value, *, axis: int | None = -1, is_ascend: bool = True, dtype: Any = "int64") -> Value:
    """The positions along `axis` (None: in the flattened array) that sort the elements, NaN last; descending without `is_ascend`.

    Equal elements stay in order, in both directions. No gradient flows back.

    >>> from clnd import nd
    >>> nd.argsort(nd.array([[3, 1, 2], [5, 4, 6]])).asnumpy()
    array([[1., 2., 0.],
           [1., 0., 2.]], dtype=float32)
    """
    rows, axis = _rows(data, axis, "argsort")
    return _numbers(sorted_places(rows, is_ascend=is_ascend), rows.shape[-1], axis, dtype)


@composed(numpy=None)
def topk(data: Value, *, axis: int | None = -1, k: int = 1, ret_typ: str = "indices", is_ascend: bool = False, dtype: Any = "int64") -> Any:
    """The k largest elements along `axis` (None: of the flattened array) in order, or the smallest with `is_ascend`; NaN comes last.

    Of equal elements the first come first. A gradient flows back from the elements alone.

    Parameters
    ----------
    k : int
        How many; all, if it is less than 1.
    ret_typ : {"indices", "value", "both", "mask"}
        The positions of these elements, the elements, a list of both, elements first, or an array like `data`: 1 at these elements, else 0.
    dtype : dtype
        Of positions.

    >>> from clnd import nd
    >>> nd.topk(nd.array([[3, 1, 2], [5, 4, 6]]), k=2, ret_typ="value").asnumpy()
    array([[3., 2.],
           [6., 5.]], dtype=float32)
    """
    if ret_typ not in _RESULTS:
        raise DTypeError(f"topk: ret_typ {ret_typ!r} is not one of {', '.join(_RESULTS)}")
    rows, at = _rows(data, axis, "topk")
    n, k = rows.shape[-1], whole_number("topk", "k", k)
    if k > n:
        raise ShapeError(f"topk: there are no {k} elements along an axis of {n}; k must be at most {n}")
    places = _places(rows, k if k > 0 else n, is_ascend)
    if ret_typ == "mask":
        ones = registry["full"](shape=places.shape, value=1, dtype=data.dtype, device=data.device)
        return registry["reshape"](_exchanged(put_places(ones, places, shape=rows.shape), at), shape=data.shape)
    values = [] if ret_typ == "indices" else [_exchanged(take_places(rows, places), at)]
    indices = [] if ret_typ == "value" else [_numbers(places, n, at, dtype)]
    return [*values, *indices] if ret_typ == "both" else (values or indices)[0]
