"""Convolutions on a CPU with windows of 3 by 3 in Winograd's form: fewer products. See `templates/winograd.cl.mako`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf, prod

from clnd import engine
from clnd.engine import Value

from .seen import PART, ROUNDS, Job, Seen, chunk_of, index_of, items_for, itemsize_of, run, tile_of, vector_of, written
from .windows import Geometry

STEP = 4  # channels for a round of the loop
_SCRATCH = 2**24  # bytes that the work-items of a launch have for themselves
_NEAR = 2**19  # bytes of sums that stay in the cache of a compute unit, beside what is turned

# Cycles, as estimates: they only choose between forms.
_WRITE = 2  # of an element that is written out
_SEE = 1.6  # of a byte of a vector of windows that is turned, for a channel: it goes by way of the second cache
_GIVE = 1.4  # of one of sums that are turned back and stored, for a filter
_WEIGH = 45  # of weights that are turned, for a channel and a filter
_TILE = 30  # of a tile beside its products
_AGAIN = 0.2  # of a turned weight that is read anew


def fits(job: Job) -> bool:
    """Is it a window of 3 by 3 elements at every place of a plane, and are results stored along its rows?"""
    shape, ones = job.seen.geometry, (1, 1, 1)
    return (
        shape.window == (1, 3, 3)
        and shape.stride == shape.dilate == job.seen.spacing == ones
        and shape.size[0] == shape.places[0] == 1
        and shape.pad[0] == job.seen.first == 0
        and job.target.along[2] == 1
    )


@dataclass(frozen=True)
class Turning:
    """How the windows of a batch are divided.

    Attributes
    ----------
    seen : Seen
        How images are written out: for windows of 4 by 4 at every second place.
    apart : bool
        Does no vector go past the end of a row?
    plane : int
        Vectors for an image.
    rows, vectors : int
        Filters of a tile, and vectors of windows.
    blocks, depth : int
        Tiles for the filters of a group, and its channels with those that are zero.
    seeing, each : int
        Rounds of a work-item: for what a tile sees, and then for each block of filters.
    cost : float
        Cycles for the batch, as an estimate; infinite where a work-item would take too many rounds.
    """

    seen: Seen
    apart: bool
    plane: int
    rows: int
    vectors: int
    blocks: int
    depth: int
    seeing: int
    each: int
    cost: float

    @staticmethod
    @lru_cache(maxsize=1024)
    def of(native: int, itemsize: int, images: int, channels: int, filters: int, groups: int, shape: Geometry) -> Turning:
        """For `filters` filters and `channels` channels of each group, of numbers in so many bytes; `native` are the device's lanes."""
        y, x = ((n + 1) // 2 for n in shape.places[1:])
        seen = Seen.by(Geometry(shape.size, (1, 4, 4), (1, 2, 2), (1, 1, 1), shape.pad, (1, y, x)))
        lanes = vector_of(native, itemsize)
        ending, following = y * -(-x // lanes), -(-y * seen.extents[2] // lanes)
        apart = x >= lanes and ending <= following * 9 // 8
        plane = ending if apart else following
        rows, vectors = tile_of(native, filters, images * plane, itemsize == 8)
        blocks, depth = -(-filters // rows), -(-channels // STEP) * STEP
        tile = depth * rows * (vectors / 2 + _AGAIN) + _TILE
        strip = 16 * blocks * tile + vectors * native * 4 * (_SEE * channels + _GIVE * filters)
        cost = groups * (-(-images * plane // vectors) * strip + channels * (_WEIGH * filters + _WRITE * images * seen.channel))
        seeing, each = vectors * (channels + 16 * (depth - channels)), 16 * (depth // STEP + 1) + rows * vectors * (lanes + 2)
        return Turning(seen, apart, plane, rows, vectors, blocks, depth, seeing, each, cost if seeing + each <= ROUNDS else inf)


def convolved(data: Value, bias: Value | None, groups: int, filters: int, job: Job, turning: Turning) -> None:
    """Convolve compact images with `filters` filters for each group."""
    weights, target, shape, images = job.weights, job.target, job.seen.geometry, data.shape[0]
    device, dtype, itemsize, channels = data.device, data.dtype, itemsize_of(data.dtype), data.shape[1] // groups
    seen, rows, vectors, blocks, depth = turning.seen, turning.rows, turning.vectors, turning.blocks, turning.depth
    lanes = vector_of(device.traits.lanes, itemsize)
    each, width = data.shape[1] * seen.channel, vectors * lanes
    count = max(1, min(images, PART // (each * itemsize)))
    slack = 0 if turning.apart else lanes + seen.over
    size = groups * 16 * blocks * depth * rows
    # As many blocks of filters for a work-item at a time as its cache has room for, and as it may take rounds for.
    together = min(_NEAR // (16 * rows * width * itemsize), (ROUNDS - turning.seeing) // turning.each)
    together = min(blocks, max(1, together))
    parts = -(-blocks // together)
    most = max(1, ROUNDS // (turning.seeing + together * turning.each))
    room = 16 * (depth * width + lanes + together * rows * width)
    few = max(4 * int(device.traits.compute_units), _SCRATCH // (room * itemsize))  # work-items of a launch
    reached = [value.offset + value.size for value in (data, weights.value, target.value)]
    index = index_of(seen, count * each + slack, size, *reached, few * room)
    packed = device.allocate(size * itemsize)
    arguments = [packed, weights.value.buffer, weights.start, groups, filters, channels, depth]
    arguments += [weights.group, weights.filter, weights.channel, *weights.window[1:]]
    run(device, "winograd", "weights", dtype, index, items_for(device, size, size // 16), arguments, rows, step=STEP)
    weighing = [packed] + ([] if bias is None else [bias.buffer, bias.offset])
    for begin in range(0, images, count):
        end = min(images, begin + count)
        buffer, start = written(data, begin, end, seen, index, slack)
        units = groups * -(-(end - begin) * turning.plane // vectors) * parts
        chunk = chunk_of(device, units, most)
        launched = min(few, -(-units // chunk)) * chunk  # units of a launch
        scratch = device.allocate(launched // chunk * room * itemsize)
        counts = [room, together, end - begin, groups, filters, channels, depth, int(turning.apart)]
        counts += [*seen.geometry.places[1:], seen.extents[2], each, channels * seen.channel, seen.channel, seen.plane]
        counts += [target.first + begin * target.image, target.image, target.filter, target.along[1], *shape.places[1:]]
        operations = 2 * (end - begin) * groups * filters * channels * prod(shape.window) * prod(shape.places)
        for first in range(0, units, launched):
            after = min(units, first + launched)
            engine.operations(operations * after // units - operations * first // units)
            arguments = [target.value.buffer, scratch, buffer, start, *weighing, first, chunk, *counts]
            items = -(-(after - first) // chunk)
            run(device, "winograd", "sums", dtype, index, items, arguments, rows, vectors, biased=bias is not None, step=STEP)
