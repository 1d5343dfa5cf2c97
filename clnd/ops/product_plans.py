"""How a product of matrices is computed: the forms that there are, what each is thought to cost, and the plan of the chosen one."""

from __future__ import annotations

import itertools
from math import prod
from typing import Any, Literal, NamedTuple

import numpy as np

from clnd import engine
from clnd.engine import dtypes
from clnd.engine.layout import Layout, Shape

DEEPEST = 2 * engine.ROUNDS  # rounds in which a work-item adds up a sum
SHALLOW = 2048  # elements of a sum that are worth a work-item
ROUNDS = 4 * engine.ROUNDS  # of a work-item in all; a round of these loops is one of the driver's, not a run of lanes
SPLIT = 16384  # products, or elements to pack, that are worth a work-item
PIECE = 64  # how deep a piece of a panel is that is packed at a time
SLAB = 16  # how deep the part of a block is that local memory holds
CACHED = 1 << 18  # elements of a matrix that the caches serve well however it lies
NEAR = 1 << 19  # bytes of the right factor that stay in the cache of a compute unit while the rows of the left one go by
WIDE = {"float": "float", "double": "double", "int": "uint", "uint": "uint", "long": "ulong", "ulong": "ulong"}  # signed sums may overflow

# Cycles, as estimates: they only choose between forms.
LAUNCH = 40_000  # of one more kernel
TILE = 100  # of a tile beside its products
MOVE = 1.1  # of an element that is packed, or stored alone
AGAIN = 0.2  # of an element of a large right factor for each time that it is read from where it lies
SCATTERED = 4  # of an element of a large left factor whose rows do not lie along the depth
WAYS = 8  # rows whole pages apart of which the first cache keeps a line each; of more, the products take so many times as long:
CROWDED = 1.1
PAGE = 4096  # bytes


def computed_in(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Small numbers are computed as larger ones, which a vector holds as they lie in memory."""
    return dtype if dtype.itemsize >= 4 else dtypes.float32 if dtype == dtypes.float16 else dtypes.int32


def lanes_of(device: Any, dtype: np.dtype[Any]) -> int:
    """Elements in a vector of the device's native width."""
    lanes: int = device.traits.lanes * 4 // dtype.itemsize
    return max(4, lanes)


def many_registers(device: Any) -> bool:
    """Whether there are 32 registers of vectors, as where one has 64 bytes; else there are 16."""
    return bool(device.traits.lanes * 4 >= 64)


class Lines(NamedTuple):
    """A stack of matrices as the rows of the left factor, or the columns of the right one: (batch, lines, depth)."""

    shape: Shape
    strides: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, shape: Shape, strides: tuple[int, ...], offset: int, columns: bool) -> Lines:
        """The rows or columns of a matrix or a stack of matrices."""
        if len(shape) == 2:
            shape, strides = (1, *shape), (0, *strides)
        if columns:
            shape, strides = (shape[0], shape[2], shape[1]), (strides[0], strides[2], strides[1])
        return cls(shape, strides, offset)

    @property
    def moved(self) -> int:
        """Elements to pack: of a matrix that is the same for the whole stack once."""
        return prod(self.shape[1:] if self.strides[0] == 0 else self.shape)


class Problem(NamedTuple):
    """A product to compute: on what, of which numbers, and how the factors lie."""

    device: Any
    dtype: np.dtype[Any]
    lhs: Lines
    rhs: Lines

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Batch, rows, columns and depth."""
        batch, rows, depth = self.lhs.shape
        return batch, rows, self.rhs.shape[1], depth

    @property
    def integer(self) -> str:
        """The type that all of its indices fit."""
        batch, m, n, k = self.sizes
        largest = batch * max(-(-k // SHALLOW) * m * n, (m + 128) * k, (n + 128) * k)
        return engine.index_type([Layout(*self.lhs), Layout(*self.rhs)], largest)

    @property
    def lanes(self) -> int:
        """Elements in a vector of the device's native width."""
        return lanes_of(self.device, self.dtype)


class Choice(NamedTuple):
    """A form of the kernel: rows and columns of the sums that are in registers, which factors are packed, and whether they are exchanged.

    The columns of "tiles" are vectors. With `exchanged` factors the transpose of the product is computed, stored by strides.
    """

    form: Literal["tiles", "dots", "blocks"]
    rows: int
    columns: int
    packed: tuple[bool, bool] = (False, False)
    exchanged: bool = False


class Packing(NamedTuple):
    """How an operand is brought into panels."""

    kernel: Any
    grid: tuple[int]
    nbytes: int
    numbers: tuple[int, ...]


class Plan(NamedTuple):
    """The launches of a product: the kernel, parts of the depth, which factors are packed, and whether they are exchanged."""

    kernel: Any
    grid: tuple[int, ...]
    group: tuple[int, ...]
    numbers: tuple[int, ...]
    parts: int
    packings: tuple[Packing | None, Packing | None] = (None, None)
    exchanged: bool = False

    def launch(self, device: Any, out: Any, lhs: Any, rhs: Any, operations: int = 0) -> None:
        """Compute into the buffer `out`, which has room for all parts, from the factors' buffers; so many operations it is."""
        factors = [rhs, lhs] if self.exchanged else [lhs, rhs]
        for i, packing in enumerate(self.packings):
            if packing is not None:
                panels = device.allocate(packing.nbytes)
                packing.kernel(packing.grid, (1,), panels, factors[i], *packing.numbers)
                factors[i] = panels
        engine.operations(operations)
        self.kernel(self.grid, self.group, out, *factors, *self.numbers)


def choices(problem: Problem) -> list[tuple[float, Choice]]:
    """All forms that compute a product, with what each is thought to cost: from sizes, strides, dtype and traits alone."""
    device, _, lhs, rhs = problem
    if device.traits.schedule == "gpu":
        squares = [
            Choice("blocks", each, each) for each in (1, 2, 4, 8) if each == 1 or _local(problem, each) <= device.traits.local_memory
        ]
        return [(_blocks_cost(problem, choice), choice) for choice in squares]
    dots = Choice("dots", 4, 4 if many_registers(device) else 2, (lhs.strides[2] != 1, rhs.strides[2] != 1))
    found = [(_dots_cost(problem, dots), dots)]
    # As many sums as stay in registers; fewer rows, where the last tile would waste much; and for one or two rows, longer runs of b.
    sides = ((12, 2), (8, 2), (4, 2), (12, 1), (2, 8)) if many_registers(device) else ((6, 2), (4, 2), (6, 1), (2, 4))
    for exchanged in (False, True):
        b = lhs if exchanged else rhs
        for (rows, columns), packed_a in itertools.product(sides, (False, True)):
            for packed_b in (False, True) if columns == 1 or _in_rows(b, columns * problem.lanes) else (True,):
                tiles = Choice("tiles", rows, columns, (packed_a, packed_b), exchanged)
                found.append((_tiles_cost(problem, tiles), tiles))
    return found


def _in_rows(b: Lines, width: int) -> bool:
    """Whether vectors can be read from the rows of a right factor as they lie."""
    return b.strides[1] == 1 and b.shape[1] >= width


def _packing_cost(choice: Choice, a: Lines, b: Lines) -> float:
    return sum(LAUNCH + MOVE * x.moved for x, packed in zip((a, b), choice.packed, strict=True) if packed)


def _dots_cost(problem: Problem, choice: Choice) -> float:
    """Each pair of vectors is loaded for few products, and the sums are folded at the end."""
    batch, m, n, k = problem.sizes
    sums = choice.rows * choice.columns
    tiles = batch * -(-m // choice.rows) * -(-n // choice.columns)
    return tiles * (0.75 * sums * k / problem.lanes + TILE) + _packing_cost(choice, problem.lhs, problem.rhs)


def _tiles_cost(problem: Problem, choice: Choice) -> float:
    """Two vectors are multiplied and added in a cycle, fewer loaded; with few rows, more of the time goes into loading those of b."""
    a, b = (problem.rhs, problem.lhs) if choice.exchanged else (problem.lhs, problem.rhs)
    (batch, m, k), n = a.shape, b.shape[1]
    down, across = -(-m // choice.rows), -(-n // (choice.columns * problem.lanes))
    each = max((choice.rows + 1) * choice.columns / 2, (choice.rows + choice.columns) / 1.5)
    if choice.rows > WAYS and not choice.packed[0] and a.strides[2] == 1 and a.strides[1] * problem.dtype.itemsize % PAGE == 0:
        each *= CROWDED
    cost = down * across * (each * k + TILE)
    if not choice.packed[1] and not _in_rows(b, choice.columns * problem.lanes):
        cost += down * across * problem.lanes * k
    if not choice.packed[1] and n * k > CACHED:
        cost += AGAIN * down * n * k
    if not choice.packed[0] and a.strides[2] != 1 and m * k > CACHED:
        cost += SCATTERED * m * k
    if choice.exchanged:
        cost += 2 * MOVE * m * n
    return batch * cost + _packing_cost(choice, a, b)


def _blocks_cost(problem: Problem, choice: Choice) -> float:
    """A load from local memory takes as long as two products and serves as many as there are rows; all units wait for the last blocks."""
    batch, m, n, k = problem.sizes
    side = choice.rows * _side(problem.device.traits.group)
    down, across, units = -(-m // side), -(-n // side), int(problem.device.traits.compute_units)
    return -(-batch * down * across // units) * side * side * k * (1 + 4 / choice.rows)


def _local(problem: Problem, each: int) -> int:
    """Bytes of local memory that blocks take."""
    return 2 * SLAB * (each * _side(problem.device.traits.group) + 1) * problem.dtype.itemsize


def _side(group: int) -> int:
    """The side of a square work-group of at most `group` work-items."""
    return int(1 << (group.bit_length() - 1) // 2)


def plan(problem: Problem, choice: Choice) -> Plan:
    """The launches of a choice."""
    engine.check_dtype(problem.dtype, problem.device, "matmul")
    return {"tiles": _tiles, "dots": _dots, "blocks": _blocks}[choice.form](problem, choice)


def _kernel(problem: Problem, choice: Choice, numbers: int, **parameters: Any) -> Any:
    index = problem.integer
    return problem.device.kernel(
        "matmul_blocks" if choice.form == "blocks" else "matmul",
        f"matmul_{choice.form}__{problem.dtype}",
        arguments=("buffer", "buffer", "buffer", *[index] * numbers),
        index=index,
        form=choice.form,
        wide=WIDE[dtypes.INFO[problem.dtype].compute],
        rows=choice.rows,
        columns=choice.columns,
        **parameters,
    )


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


def _dots(problem: Problem, choice: Choice) -> Plan:
    """Both factors in vectors along the depth; one that does not lie like that is packed, line after line."""
    device, (batch, m, n, k), lanes = problem.device, problem.sizes, problem.lanes
    kernel = _kernel(problem, choice, 16, lanes=lanes, gathered=False)
    first, second = (
        into_panels(device, problem.dtype, problem.integer, x, lanes, 1) if packed else None
        for x, packed in zip(problem[2:], choice.packed, strict=True)
    )
    (a_start, a_batch, a_row), (b_start, b_batch, b_column) = (
        (x.offset, *x.strides[:2]) if packing is None else (0, x.strides[0] and x.shape[1] * k, k)
        for x, packing in ((problem.lhs, first), (problem.rhs, second))
    )
    tiles = batch * -(-m // choice.rows) * -(-n // choice.columns)
    parts, deep = _parts(device, k, tiles, DEEPEST * lanes)
    numbers = (a_start, a_batch, a_row, 1, b_start, b_batch, 1, b_column, n, 1, batch, parts, m, n, k, deep)
    grid = _grid(device, tiles * parts, batch * m * n * k, deep // lanes + 128)
    return Plan(kernel, grid, (1,), numbers, parts, (first, second))


def _blocks(problem: Problem, choice: Choice) -> Plan:
    """By way of local memory."""
    device, _, lhs, rhs = problem
    kernel = _kernel(problem, choice, 13, group=device.traits.group, slab=SLAB)
    (batch, m, n, k), side, each = problem.sizes, _side(kernel.group), choice.rows
    down, across = -(-m // (each * side)), -(-n // (each * side))
    parts, deep = _parts(device, k, batch * down * across, DEEPEST)
    numbers = (lhs.offset, *lhs.strides, rhs.offset, rhs.strides[0], rhs.strides[2], rhs.strides[1], parts, m, n, k, deep)
    return Plan(kernel, (across * side, down * side, batch * parts), (side, side, 1), numbers, parts)


def _tiles(problem: Problem, choice: Choice) -> Plan:
    """The right factor in vectors along its columns, the left one element by element."""
    device, dtype, lhs, rhs = problem
    a, b = (rhs, lhs) if choice.exchanged else (lhs, rhs)
    batch, down, k, across = *a.shape, b.shape[1]
    sides = (choice.rows, choice.columns * problem.lanes)
    gathered = not choice.packed[1] and not _in_rows(b, sides[1])
    kernel = _kernel(problem, choice, 20, lanes=problem.lanes, gathered=gathered)
    starts: list[tuple[int, ...]] = []
    panels: list[int] = []
    packings: list[Packing | None] = []
    for x, side, packed in zip((a, b), sides, choice.packed, strict=True):
        packings.append(into_panels(device, dtype, problem.integer, x, problem.lanes, side) if packed else None)
        starts.append((0, x.strides[0] and -(-x.shape[1] // side) * side * k, 1, side) if packed else (x.offset, *x.strides))
        panels.append(side * k if packed else side * x.strides[1])
    b_start, b_batch, b_column, b_row = starts[1]
    down_tiles, across_tiles = -(-down // sides[0]), -(-across // sides[1])
    last = (across_tiles - 1) * sides[1] if choice.packed[1] or gathered else across - sides[1]
    tiles = batch * down_tiles * across_tiles
    parts, deep = _parts(device, k, tiles, DEEPEST)
    grid = _grid(device, tiles * parts, batch * down * across * k, deep + 1024)
    block = max(1, NEAR // (sides[1] * deep * dtype.itemsize))
    steps = (1, down) if choice.exchanged else (across, 1)
    numbers = (*starts[0], b_start, b_batch, b_row, b_column, *panels, last, block, *steps, batch, parts, down, across, k, deep)
    return Plan(kernel, grid, (1,), numbers, parts, (packings[0], packings[1]), choice.exchanged)


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
    grid = _grid(device, panels * -(-k // PIECE), panels * width * k, PIECE * width)
    return Packing(kernel, grid, panels * width * k * dtype.itemsize, (x.offset, *x.strides, batch, lines, k))
