"""Images as they are written out for windows that go over them, with what surrounds them: see `templates/convolution.cl.mako`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import Any

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape

from .windows import Geometry

ROUNDS = 4 * engine.ROUNDS  # of a work-item: its innermost loop takes one for each
PART = 2**26  # bytes of images written out at a time


@dataclass(frozen=True)
class Seen:
    """How images are written out for a window: for three axes, phases, extents, and the distance of the elements there."""

    geometry: Geometry
    phases: Shape
    extents: Shape
    spacing: Shape = (1, 1, 1)
    first: int = 0  # element, which the first place sees at the first offset

    @staticmethod
    @lru_cache(maxsize=1024)
    def by(given: Geometry) -> Seen:
        """For a geometry of one to three axes."""
        rows = given.arguments()
        shape = Geometry(*(tuple(rows[i : i + 3]) for i in range(0, 18, 3)))
        reach = [(k - 1) * d for k, d in zip(shape.window, shape.dilate, strict=True)]
        return Seen(
            shape,
            tuple(min(s, r + 1) for s, r in zip(shape.stride, reach, strict=True)),
            tuple(n + r // s for n, r, s in zip(shape.places, reach, shape.stride, strict=True)),
        )

    @property
    def spaced(self) -> bool:
        """Are there zeros between the elements?"""
        return self.spacing != (1, 1, 1)

    @property
    def over(self) -> int:
        """How many elements more a row has than places."""
        return self.extents[2] - self.geometry.places[2]

    @cached_property
    def channel(self) -> int:
        """Elements of a channel."""
        return prod(self.phases) * prod(self.extents)

    @cached_property
    def largest(self) -> int:
        """The largest number of the geometry."""
        return max(self.geometry.arguments())

    @property
    def plane(self) -> int:
        """Elements from one place to the next along the first axis."""
        return self.extents[1] * self.extents[2]

    @property
    def row(self) -> int:
        """Places of a plane, those past the last of a row counted."""
        return self.geometry.places[1] * self.extents[2]


@dataclass(frozen=True)
class Weights:
    """Where the weights are: the strides of groups, filters, channels and of the window's three axes, and where the first one is."""

    value: Value
    start: int
    group: int
    filter: int
    channel: int
    window: Shape


@dataclass(frozen=True)
class Target:
    """Where sums go: the first element, and the steps of images, filters and along three axes."""

    value: Value
    first: int
    image: int
    filter: int
    along: Shape


@dataclass(frozen=True)
class Job:
    """A convolution of images that are written out with others': its weights, what the window sees, and where the sums go."""

    weights: Weights
    seen: Seen
    target: Target


def kinds_of(dtype: Any, lanes: int) -> dict[str, Any]:
    """The types of the templates: of elements in memory, of numbers that are computed with, and how many of them are a vector."""
    info = dtypes.INFO[dtype]
    return {"storage": info.storage, "wide": info.compute, "lanes": vector_of(lanes, itemsize_of(dtype))}


def run(
    device: Any,
    template: str,
    part: str,
    dtype: Any,
    index: str,
    items: int,
    arguments: Sequence[Any],
    rows: int = 0,
    vectors: int = 0,
    fold: str = "",
    **variant: Any,
) -> None:
    """Run a part of a template: a buffer, a Python number, or the text "buffer" for each argument."""

    def make() -> Any:
        name = f"{template}_{part}__{dtype}" + (f"_{rows}x{vectors}" if rows else "") + fold
        return device.kernel(
            template,
            name + "".join(f"_{word}" for word, on in variant.items() if on is True),
            arguments=tuple(index if isinstance(x, int) else "buffer" for x in arguments),
            index=index,
            part=part,
            rows=rows,
            vectors=vectors,
            **{"fold": fold, "biased": False, "apart": False, "spaced": False, **variant},
            **kinds_of(dtype, device.traits.lanes),
        )

    key = (template, part, device, dtype, index, rows, vectors, fold, *variant.items())
    engine.kept(key, make)((items,), (1,), *arguments)


def vector_of(native: int, itemsize: int) -> int:
    """How many numbers of so many bytes are a vector where the device's lanes, of four bytes each, are so many."""
    return native * 4 // itemsize


def itemsize_of(dtype: Any) -> int:
    """Bytes of a number as it is written out and computed with."""
    return int(dtypes.promote(dtype, dtypes.float32).itemsize)


def index_of(seen: Seen, *sizes: int) -> str:
    """The type that reaches elements of arrays of these sizes, and whatever strides and padding point to."""
    return engine.index_type([], max(2 * max(sizes), 4 * seen.largest))


def items_for(device: Any, work: int, rounds: int) -> int:
    """How many work-items: `work` in elements, `rounds` of loops in all."""
    return max(1, min(4 * int(device.traits.compute_units), work // 4096), -(-rounds // engine.ROUNDS))


def chunk_of(device: Any, units: int, most: int) -> int:
    """How many units a work-item takes, `most` at most: such that all compute units are done at the same time."""
    few = 4 * int(device.traits.compute_units)
    return -(-units // (-(-units // (most * few)) * few))


def line_rounds(seen: Seen, lanes: int) -> int:
    """Rounds that a row takes to be written: vectors, and single elements where the distance of those that are read or written is large."""
    x, spaced = seen.extents[2], seen.spacing[2] > 1
    return 3 + 3 * (x // lanes) + (x if spaced or seen.geometry.stride[2] > 2 else 0)


def written(data: Value, begin: int, end: int, seen: Seen, index: str, slack: int) -> tuple[Any, int]:
    """Images written out: a buffer, of which up to `slack` elements more are read, and where they begin in it."""
    device, channels, shape = data.device, data.shape[1], seen.geometry
    start = data.offset + begin * channels * prod(shape.size)
    if (
        not slack
        and seen.extents == shape.size
        and seen.phases == (1, 1, 1)
        and not seen.spaced
        and not any(shape.pad)
        and data.dtype != dtypes.float16
    ):
        return data.buffer, start  # as they are
    total = (end - begin) * channels * seen.channel
    buffer = device.allocate((total + slack) * itemsize_of(data.dtype))
    rounds = total // seen.extents[2] * line_rounds(seen, device.traits.lanes) + slack
    arguments = [buffer, data.buffer, start, (end - begin) * channels, *shape.size, *seen.spacing]
    arguments += [*shape.stride, *seen.phases, *seen.extents, *shape.pad, slack]
    run(device, "convolution", "seen", data.dtype, index, items_for(device, total, rounds), arguments, spaced=seen.spaced)
    return buffer, 0


def tile_of(lanes: int, filters: int, vectors: int, wide: bool) -> tuple[int, int]:
    """Filters and vectors of a tile: as many sums as there are registers for, and the least work for a plane of so many vectors."""
    if filters <= 2:
        return filters, (3 if wide else 6) // filters
    known = [(8, 3), (4, 4), (8, 2)] if lanes == 16 else [(4, 3), (4, 2)]
    rows, across = min(known, key=lambda tile: -(-filters // tile[0]) * tile[0] * -(-vectors // tile[1]) * tile[1])
    return rows, (across + 1) // 2 if wide else across
