"""Products of matrices, and the rules by which each is computed: which form of the kernel, over what, in how many work-items."""

from __future__ import annotations

import functools
from math import prod
from typing import Any, NamedTuple

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Layout, extent
from clnd.errors import ShapeError

from .declare import composed, converted, launched, registry

DEEPEST = 2 * engine.ROUNDS  # rounds in which a work-item adds up a sum
SHALLOW = 2048  # elements of a sum that are worth a work-item
ROUNDS = 4 * engine.ROUNDS  # of a work-item in all; a round of these loops is one of the driver's, not a run of lanes
SPLIT = 16384  # products, or elements to pack, that are worth a work-item
PIECE = 64  # how deep a piece of a panel is that is packed at a time
CACHED = 1 << 18  # elements of a matrix that the caches serve well however it lies
FEW = 1 << 19  # products that are done before packing pays
THIN = 32  # lines of one factor that do not pay for packing the other
WIDE = {"float": "float", "double": "double", "int": "uint", "uint": "uint", "long": "ulong", "ulong": "ulong"}  # signed sums may overflow


class Lines(NamedTuple):
    """A stack of matrices as the rows of the left factor, or the columns of the right one: (batch, lines, depth)."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, value: Value, columns: bool) -> Lines:
        """The rows or columns of a ready matrix or stack of matrices."""
        shape, strides = value.shape, value.strides
        assert strides is not None
        if len(shape) == 2:
            shape, strides = (1, *shape), (0, *strides)
        if columns:
            shape, strides = (shape[0], shape[2], shape[1]), (strides[0], strides[2], strides[1])
        return cls(shape, strides, value.offset)


class Packing(NamedTuple):
    """How an operand is brought into panels."""

    kernel: Any
    grid: tuple[int]
    nbytes: int
    numbers: tuple[int, ...]


class Plan(NamedTuple):
    """How a product is computed: the kernel, parts of the depth, which factors are packed, and whether they are exchanged."""

    kernel: Any
    grid: tuple[int, ...]
    group: tuple[int, ...]
    numbers: tuple[int, ...]
    parts: int
    packings: tuple[Packing | None, Packing | None] = (None, None)
    exchanged: bool = False


def _to_left(dz: Value, rhs: Value, transpose_a: bool, transpose_b: bool) -> Any:
    product = registry["matmul"]
    if transpose_a:
        return product(rhs, dz, transpose_a=transpose_b, transpose_b=True)
    return product(dz, rhs, transpose_b=not transpose_b)


def _to_right(dz: Value, lhs: Value, transpose_a: bool, transpose_b: bool) -> Any:
    product = registry["matmul"]
    if transpose_b:
        return product(dz, lhs, transpose_a=True, transpose_b=transpose_a)
    return product(lhs, dz, transpose_a=not transpose_a)


@launched(grad=(_to_left, _to_right), numpy=np.matmul)
def matmul(lhs: Value, rhs: Value, *, transpose_a: bool = False, transpose_b: bool = False) -> Value:
    """The products of two matrices, (m, k) by (k, n), or of two stacks of them, (batch, m, k) by (batch, k, n); or of their transposes."""
    device = lhs.device if lhs.device is rhs.device else registry["matmul"].device([lhs, rhs])
    dtype = dtypes.promote(lhs.dtype, rhs.dtype)
    # Small numbers are computed as larger ones, which a vector holds as they lie in memory.
    wide = dtype if dtype.itemsize >= 4 else dtypes.float32 if dtype == dtypes.float16 else dtypes.int32
    lhs, rhs = (engine.ready(x if x.dtype == wide else converted(x, wide)) for x in (lhs, rhs))
    batch, m, k = lhs.shape[:-2], lhs.shape[-1 if transpose_a else -2], lhs.shape[-2 if transpose_a else -1]
    result = Value((*batch, m, rhs.shape[-2 if transpose_b else -1]), wide, device)
    if result.size == 0 or k == 0:
        return registry["full"](shape=result.shape, value=0, dtype=dtype, device=device)
    plan = _plan(device, wide, Lines.of(lhs, transpose_a), Lines.of(rhs, not transpose_b))
    buffer = device.allocate(plan.parts * result.size * wide.itemsize)
    factors = [lhs.buffer, rhs.buffer]
    if plan.exchanged:
        factors.reverse()
    for i, packing in enumerate(plan.packings):
        if packing is not None:
            panels = device.allocate(packing.nbytes)
            packing.kernel(packing.grid, (1,), panels, factors[i], *packing.numbers)
            factors[i] = panels
    engine.operations(2 * result.size * k)
    plan.kernel(plan.grid, plan.group, buffer, *factors, *plan.numbers)
    if plan.parts > 1:
        shape = (*batch, plan.parts, *result.shape[-2:])
        sums = Value(shape, wide, device).place(buffer, engine.compact(shape))
        result = registry["sum"](sums, axis=len(batch), dtype=wide)
    else:
        result.place(buffer, engine.compact(result.shape))
    return result if dtype == wide else converted(result, dtype)


@functools.lru_cache(maxsize=1024)
def _plan(device: Any, dtype: np.dtype[Any], lhs: Lines, rhs: Lines) -> Plan:
    """The rules: from sizes, strides, dtype and traits alone."""
    (batch, m, k), n = lhs.shape, rhs.shape[1]
    largest = batch * max(-(-k // SHALLOW) * m * n, (m + 128) * k, (n + 128) * k)
    index = engine.index_type([Layout(*lhs), Layout(*rhs)], largest)
    if device.traits.schedule == "gpu":
        return _blocks(device, dtype, index, lhs, rhs)
    if lhs.strides[2] == 1 == rhs.strides[2] and (min(m, n) <= THIN or batch * m * n * k <= FEW):
        return _dots(device, dtype, index, lhs, rhs)
    return _tiles(device, dtype, index, lhs, rhs)


def _kernel(device: Any, dtype: np.dtype[Any], index: str, form: str, numbers: int, **parameters: Any) -> Any:
    engine.check_dtype(dtype, device, "matmul")
    return device.kernel(
        "matmul_blocks" if form == "blocks" else "matmul",
        f"matmul_{form}__{dtype}",
        arguments=("buffer", "buffer", "buffer", *[index] * numbers),
        index=index,
        form=form,
        wide=WIDE[dtypes.INFO[dtype].compute],
        **parameters,
    )


def lanes_of(device: Any, dtype: np.dtype[Any]) -> int:
    """Elements in a vector of the device's native width."""
    lanes: int = device.traits.lanes * 4 // dtype.itemsize
    return max(4, lanes)


def sides(device: Any) -> tuple[int, int]:
    """Rows and columns (in vectors) of a tile whose sums stay in registers: there are 32 where a vector has 64 bytes, else 16."""
    return (8, 2) if device.traits.lanes * 4 >= 64 else (4, 2)


def _grid(device: Any, units: int, work: int, rounds: int) -> tuple[int]:
    """Work-items for `units`, of so much work in all and so many rounds each."""
    wanted = min(4 * device.traits.compute_units, work // SPLIT)
    return (max(1, min(units, max(wanted, -(-units * rounds // ROUNDS)))),)


def _parts(device: Any, k: int, tiles: int, deepest: int) -> tuple[int, int]:
    """How many parts of the depth, and how deep: so that all compute units have work, and no work-item too many rounds."""
    units = 4 * device.traits.compute_units
    parts = max(1, -(-k // deepest), min(units // tiles, k // SHALLOW))
    deep = -(-k // (parts * PIECE)) * PIECE
    return -(-k // deep), deep


def _dots(device: Any, dtype: np.dtype[Any], index: str, lhs: Lines, rhs: Lines) -> Plan:
    """Both factors lie along the depth."""
    (batch, m, k), n, lanes = lhs.shape, rhs.shape[1], lanes_of(device, dtype)
    rows, columns = (4, sides(device)[0] // 2)
    kernel = _kernel(device, dtype, index, "dots", 16, lanes=lanes, rows=rows, columns=columns)
    tiles = batch * -(-m // rows) * -(-n // columns)
    parts, deep = _parts(device, k, tiles, DEEPEST * lanes)
    numbers = (lhs.offset, *lhs.strides, rhs.offset, rhs.strides[0], 1, rhs.strides[1], n, 1, batch, parts, m, n, k, deep)
    return Plan(kernel, _grid(device, tiles * parts, batch * m * n * k, deep // lanes + 128), (1,), numbers, parts)


def _blocks(device: Any, dtype: np.dtype[Any], index: str, lhs: Lines, rhs: Lines) -> Plan:
    """By way of local memory: squares as large as still give all compute units work."""
    (batch, m, k), n = lhs.shape, rhs.shape[1]
    group = 1 << (device.traits.group.bit_length() - 1) // 2
    each = 4 if batch * (m // (4 * group)) * (n // (4 * group)) >= device.traits.compute_units else 1
    down, across = -(-m // (each * group)), -(-n // (each * group))
    parts, deep = _parts(device, k, batch * down * across, DEEPEST)
    kernel = _kernel(device, dtype, index, "blocks", 13, group=group, slab=16, rows=each, columns=each)
    numbers = (lhs.offset, *lhs.strides, rhs.offset, rhs.strides[0], rhs.strides[2], rhs.strides[1], parts, m, n, k, deep)
    return Plan(kernel, (across * group, down * group, batch * parts), (group, group, 1), numbers, parts)


def _tiles(device: Any, dtype: np.dtype[Any], index: str, lhs: Lines, rhs: Lines) -> Plan:
    """The right factor in vectors along its columns, the left one element by element; packed or as they lie, whichever moves less."""
    (batch, m, k), n, lanes = lhs.shape, rhs.shape[1], lanes_of(device, dtype)
    exchanged = _moved(rhs, lhs) + m * n < _moved(lhs, rhs)
    a, b = (rhs, lhs) if exchanged else (lhs, rhs)
    rows, columns = sides(device)
    if a.shape[1] <= columns:  # the other way round: as many sums, and longer runs of b
        rows, columns = columns, rows
    width = columns * lanes
    kernel = _kernel(device, dtype, index, "tiles", 19, lanes=lanes, rows=rows, columns=columns)
    needed = zip((a, b), _packed(a, b), strict=True)
    packings = [into_panels(device, dtype, index, x, lanes, width) if packed else None for x, packed in needed]
    numbers: list[int] = []
    panels = []
    for x, packing in zip((a, b), packings, strict=True):
        lines = x.shape[1]
        if packing is None:
            numbers += [x.offset, *x.strides]
            panels.append(width * x.strides[1])
        else:
            numbers += [0, x.strides[0] and -(-lines // width) * width * k, 1, width]
            panels.append(width * k)
    numbers[6], numbers[7] = numbers[7], numbers[6]
    end = extent(Layout(*b)) if packings[1] is None else packings[1].nbytes // dtype.itemsize
    down, across = a.shape[1], b.shape[1]
    steps = (1, n) if exchanged else (n, 1)
    tiles = batch * -(-down // rows) * -(-across // width)
    parts, deep = _parts(device, k, tiles, DEEPEST)
    grid = _grid(device, tiles * parts, batch * m * n * k, deep + 1024)
    sizes = (*steps, batch, parts, down, across, k, deep)
    return Plan(kernel, grid, (1,), (*numbers, *panels, end, *sizes), parts, (packings[0], packings[1]), exchanged)


def _packed(a: Lines, b: Lines) -> tuple[bool, bool]:
    """Which factors are packed: what does not lie as the kernel reads it, if it is large, and for vectors in any case."""
    (_, m, k), n = a.shape, b.shape[1]
    lies = (n == 1 or b.strides[1] == 1) and (k == 1 or b.strides[2] > 0) and b.strides[0] >= 0
    return a.strides[2] != 1 and m * k > CACHED and n > THIN, not lies or (n * k > CACHED and m > 2 * THIN)


def _moved(a: Lines, b: Lines) -> int:
    """How many elements are packed, or read from where they lie badly."""
    whole = (prod(a.shape[1:]), prod(b.shape[1:]))
    packed = _packed(a, b)
    scattered = a.strides[2] != 1 and whole[0] > CACHED and not packed[0]
    return packed[0] * whole[0] + packed[1] * whole[1] + scattered * whole[0]


def into_panels(device: Any, dtype: np.dtype[Any], index: str, x: Lines, lanes: int, width: int) -> Packing:
    """How the lines of `x` are brought into panels of `width` of them."""
    batch, lines, k = x.shape
    batch = batch if x.strides[0] else 1  # one for all
    kernel = device.kernel(
        "panels",
        f"panels__{dtype}",
        arguments=("buffer", "buffer", *[index] * 7),
        index=index,
        wide=WIDE[dtypes.INFO[dtype].compute],
        lanes=lanes,
        width=width,
        piece=PIECE,
    )
    panels = batch * -(-lines // width)
    units = panels * -(-k // PIECE)
    grid = _grid(device, units, panels * width * k, PIECE * width)
    return Packing(kernel, grid, panels * width * k * dtype.itemsize, (x.offset, *x.strides, batch, lines, k))


@composed(numpy=None, methods=["dot"])
def dot(lhs: Value, rhs: Value, *, transpose_a: bool = False, transpose_b: bool = False) -> Value:
    """Sum of products over the last axis of `lhs` and the first of `rhs` (with `transpose_a` the first, with `transpose_b` the last).

    >>> from clnd import nd
    >>> nd.dot(nd.array([[1, 2], [3, 4]]), nd.array([1, 10])).asnumpy()
    array([21., 43.], dtype=float32)
    """
    reshape = registry["reshape"]
    transpose_a, transpose_b = transpose_a and lhs.ndim > 1, transpose_b and rhs.ndim > 1
    if not lhs.ndim or not rhs.ndim:
        raise ShapeError(f"dot shape error: {list(lhs.shape)} X {list(rhs.shape)}: both need at least one axis")
    k, other = lhs.shape[0 if transpose_a else -1], rhs.shape[-1 if transpose_b else 0]
    if k != other:
        how = ", ".join(name for name, on in (("transpose_a", transpose_a), ("transpose_b", transpose_b)) if on)
        raise ShapeError(f"dot shape error: {list(lhs.shape)} X {list(rhs.shape)}{' with ' + how if how else ''}: {k} is not {other}")
    if lhs.ndim == rhs.ndim == 2:
        return matmul(lhs, rhs, transpose_a=transpose_a, transpose_b=transpose_b)
    left = lhs.shape[1:] if transpose_a else lhs.shape[:-1]
    right = rhs.shape[:-1] if transpose_b else rhs.shape[1:]
    a = reshape(lhs, shape=(k, prod(left)) if transpose_a else (prod(left), k))
    b = reshape(rhs, shape=(prod(right), k) if transpose_b else (k, prod(right)))
    return reshape(matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b), shape=left + right)


@composed(numpy=np.matmul)
def batch_dot(lhs: Value, rhs: Value, *, transpose_a: bool = False, transpose_b: bool = False) -> Value:
    """Matrix product of each pair of matrices in two stacks: arrays of three or more dimensions with the same leading ones.

    >>> from clnd import nd
    >>> nd.batch_dot(nd.ones((2, 3, 4)), nd.ones((2, 4, 5))).shape
    (2, 3, 5)
    """
    if lhs.ndim < 3 or lhs.ndim != rhs.ndim or lhs.shape[:-2] != rhs.shape[:-2]:
        raise ShapeError(f"batch_dot: shapes {list(lhs.shape)} and {list(rhs.shape)} are not stacks of matrices with the same leading axes")
    k, other = lhs.shape[-2 if transpose_a else -1], rhs.shape[-1 if transpose_b else -2]
    if k != other:
        raise ShapeError(f"batch_dot: shapes {list(lhs.shape)} and {list(rhs.shape)} do not fit: {k} is not {other}")
    if lhs.ndim == 3:
        return matmul(lhs, rhs, transpose_a=transpose_a, transpose_b=transpose_b)
    batch, reshape = lhs.shape[:-2], registry["reshape"]
    a, b = (reshape(x, shape=(prod(batch), *x.shape[-2:])) for x in (lhs, rhs))
    product = matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    return reshape(product, shape=(*batch, *product.shape[1:]))
