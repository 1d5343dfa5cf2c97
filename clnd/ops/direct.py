"""Convolutions on a CPU: sums in registers, over images with what surrounds them written out. See `templates/convolution.cl.mako`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import gcd, prod
from typing import Any, TypeAlias

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape, compact

from . import winograd
from .declare import converted, registry
from .seen import (
    PART,
    ROUNDS,
    Job,
    Seen,
    Target,
    Weights,
    chunk_of,
    index_of,
    items_for,
    itemsize_of,
    line_rounds,
    run,
    tile_of,
    vector_of,
    written,
)
from .windows import Geometry

Launch: TypeAlias = "Callable[[int, int, Any, int], None]"  # of images begin to end, which are in a buffer from an element on

PHASES = 16  # of images, from which on so many small convolutions are dearer than products of matrices
_NEAR = 2**18  # bytes of a group of channels that is written out for itself
_FAR = 2**22  # bytes of a group's weights, from which on they are not read anew for each tile of places
_LITTLE = 64  # products for an element of images, up to which writing them out, or zeros between them, decides
_TILE = 100  # cycles of a tile beside its products, as an estimate
_PACK = 3.5  # cycles of a weight that is packed
_BAND = 1280  # places whose numbers, of a tile's filters, stay in the nearest cache


def fits(shape: Geometry, depth: int, *values: Value | None) -> bool:
    """Can and should a convolution of these be computed here, each of its sums of `depth` products?"""
    given = [value for value in values if value is not None]
    return (
        given[0].device.traits.lanes > 1  # so not on the gpu schedule
        and len({value.dtype for value in given}) == 1
        and dtypes.category(given[0].dtype) == "float"
        and all(value.size for value in given)
        and prod(shape.places) > 0
        and depth <= ROUNDS
    )


def _offsets(device: Any, dtype: Any, index: str, seen: Seen, channels: int, packing: Sequence[Any], rows: int, work: int) -> Any:
    """A buffer with the offsets in what is written out of a group of channels, and perhaps weights packed."""
    shape = seen.geometry
    buffer = device.allocate(channels * prod(shape.window) * (4 if index == "int" else 8))
    geometry = [*shape.window, *shape.stride, *shape.dilate, *seen.phases, *seen.extents]
    run(
        device,
        "convolution",
        "offsets",
        dtype,
        index,
        items_for(device, work, work),
        [buffer, *packing, channels, seen.channel, *geometry],
        rows,
    )
    return buffer


def _sums(data: Value, bias: Value | None, groups: int, filters: int, jobs: Sequence[Job]) -> None:
    """Convolve compact images (images, groups * channels, *size) with `filters` filters for each group."""
    seen = jobs[0].seen
    turning = _turned(data, groups, filters, jobs)
    if turning is not None:
        winograd.convolved(data, bias, groups, filters, jobs[0], turning)
        return
    itemsize, images = itemsize_of(data.dtype), data.shape[0]
    each = data.shape[1] * seen.channel
    count = max(1, min(images, PART // (each * itemsize)))
    launches = [_prepared(data, bias, groups, filters, job, count) for job in jobs]
    waiting = [launch for launch in launches if launch is not None]
    for begin in range(0, images if waiting else 0, count):
        end = min(images, begin + count)
        slack = max(slack for slack, _ in waiting)
        index = index_of(seen, count * each + slack, data.offset + data.size)
        buffer, start = written(data, begin, end, seen, index, slack)
        for _, launch in waiting:
            launch(begin, end, buffer, start)


def _turned(data: Value, groups: int, filters: int, jobs: Sequence[Job]) -> winograd.Turning | None:
    """How the images are turned for Winograd's form, where that is thought to take less time."""
    if len(jobs) > 1 or not winograd.fits(jobs[0]):
        return None
    turning = winograd.Turning.of(
        data.device.traits.lanes,
        itemsize_of(data.dtype),
        data.shape[0],
        data.shape[1] // groups,
        filters,
        groups,
        jobs[0].seen.geometry,
    )
    return turning if turning.cost < _straight(data, groups, filters, jobs[0]) else None


def _straight(data: Value, groups: int, filters: int, job: Job) -> float:
    """Cycles of a convolution in the form of this file, as an estimate."""
    seen, images, channels = job.seen, data.shape[0], data.shape[1] // groups
    depth = channels * prod(seen.geometry.window)
    tiling = _tiling(data, filters, depth, seen, job.target)
    tiles = images * tiling.blocks * tiling.across * (tiling.rows * tiling.vectors / 2 * depth + _TILE)
    return groups * (tiles + _PACK * depth * filters + images * channels * seen.channel)


@dataclass(frozen=True)
class Tiling:
    """How the sums of a plane are divided into tiles.

    Attributes
    ----------
    rows, vectors : int
        Filters and vectors of places of a tile.
    apart : bool
        Does no vector go past the end of a row?
    places, pitch : tuple of int, int
        The places along three axes, and how far rows are apart: of a plane without gaps it is one long row.
    blocks, across : int
        How many tiles there are for the filters of a group, and for the places of a plane.
    slack : int
        How many elements past the images may be read.
    rounds : int
        Of loops, for a tile.
    """

    rows: int
    vectors: int
    apart: bool
    places: Shape
    pitch: int
    blocks: int
    across: int
    slack: int
    rounds: int

    @staticmethod
    @lru_cache(maxsize=1024)
    def of(native: int, itemsize: int, filters: int, depth: int, seen: Seen, along: Shape) -> Tiling:
        """For filters of a group, each sum of `depth` products of numbers that so many bytes hold; `native` are the device's lanes."""
        lanes = vector_of(native, itemsize)
        places, pitch = seen.geometry.places, seen.extents[2]
        if pitch == places[2] and along[1] == pitch * along[2]:
            places, pitch = (places[0], 1, places[1] * pitch), places[1] * pitch
        whole = (places[1] - 1) * pitch + places[2]
        ending, following = places[1] * -(-places[2] // lanes), -(-whole // lanes)
        apart = along[2] <= 2 and places[2] >= lanes and ending <= following * 9 // 8
        per_plane = ending if apart else following
        rows, vectors = tile_of(native, filters, per_plane, itemsize == 8)
        width = vectors * lanes
        slack, rounds = max(0, lanes - whole), depth if apart else depth + rows * width
        return Tiling(rows, vectors, apart, places, pitch, -(-filters // rows), -(-per_plane // vectors), slack, rounds)


def _tiling(data: Value, filters: int, depth: int, seen: Seen, target: Target) -> Tiling:
    return Tiling.of(data.device.traits.lanes, itemsize_of(data.dtype), filters, depth, seen, target.along)


def _prepared(data: Value, bias: Value | None, groups: int, filters: int, job: Job, count: int) -> tuple[int, Launch] | None:
    """How to convolve images that are written out, `count` at a time, and how many elements past them are read; None where it is done."""
    seen, target, weights = job.seen, job.target, job.weights
    device, dtype, itemsize = data.device, data.dtype, itemsize_of(data.dtype)
    images, channels = data.shape[0], data.shape[1] // groups
    depth, group = channels * prod(seen.geometry.window), channels * seen.channel
    tiling = _tiling(data, filters, depth, seen, target)
    size = groups * tiling.blocks * depth * tiling.rows
    tiles = tiling.places[0] * tiling.blocks * tiling.across  # of a group of an image
    reached = [value.offset + value.size for value in (data, weights.value, target.value)]
    index = index_of(seen, count * groups * group + tiling.slack, size, *reached, images * groups * tiles)
    packed = device.allocate(size * itemsize)
    packing = [packed, weights.value.buffer, weights.start, groups, filters, weights.group, weights.filter, weights.channel]
    offsets = _offsets(device, dtype, index, seen, channels, [*packing, *weights.window], tiling.rows, size)
    weighing = [offsets, packed] + ([] if bias is None else [bias.buffer, bias.offset])
    each = _rounds(seen, tiling, channels, device.traits.lanes)
    few = 4 * device.traits.compute_units
    little = filters * prod(seen.geometry.window) <= _LITTLE * prod(seen.geometry.stride)  # beside what is read and written
    if little and images * groups >= few and group * itemsize <= _NEAR and each <= ROUNDS:  # groups of images are written out one at a time
        _by_planes(
            data, seen, target, tiling, (groups, channels, filters, depth), index, weighing, biased=bias is not None, apart=tiling.apart
        )
        return None

    def launch(begin: int, end: int, buffer: Any, start: int) -> None:
        total = (end - begin) * groups * tiles
        chunk = chunk_of(device, total, max(1, ROUNDS // tiling.rounds))
        weights_stay = int(size // groups * itemsize > _FAR)
        arguments = [target.value.buffer, buffer, start + seen.first, *weighing, chunk, weights_stay, end - begin, groups, filters, depth]
        arguments += [*tiling.places, tiling.pitch, groups * group, group, seen.plane]
        arguments += [target.first + begin * target.image, target.image, target.filter, *target.along]
        engine.operations(2 * (end - begin) * groups * filters * depth * prod(seen.geometry.places))
        run(
            device,
            "convolution",
            "sums",
            dtype,
            index,
            -(-total // chunk),
            arguments,
            tiling.rows,
            tiling.vectors,
            biased=bias is not None,
            apart=tiling.apart,
        )

    return tiling.slack, launch


def _rounds(seen: Seen, tiling: Tiling, channels: int, lanes: int) -> int:
    """Rounds of a work-item for a group of an image: what is written out, and tiles."""
    return (
        channels * seen.channel // seen.extents[2] * line_rounds(seen, lanes)
        + tiling.places[0] * tiling.blocks * tiling.across * tiling.rounds
    )


def _by_planes(
    data: Value,
    seen: Seen,
    target: Target,
    tiling: Tiling,
    counts: Shape,
    index: str,
    weighing: Sequence[Any],
    fold: str = "",
    **variant: bool,
) -> None:
    """Convolve or fold groups of images, written out one at a time; `counts` are the groups, their channels and filters, and products."""
    device, shape = data.device, seen.geometry
    groups, channels, filters, depth = counts
    units, each = data.shape[0] * groups, _rounds(seen, tiling, channels, device.traits.lanes)
    items, room = max(min(units, 4 * device.traits.compute_units), -(-units * each // ROUNDS)), channels * seen.channel + tiling.slack
    scratch = device.allocate(items * room * itemsize_of(data.dtype))
    arguments = [target.value.buffer, scratch, data.buffer, data.offset, *weighing, *shape.size, *seen.spacing, *shape.stride]
    arguments += [*seen.phases, *seen.extents, *shape.pad, room, seen.first, data.shape[0], *counts, *tiling.places, tiling.pitch]
    arguments += [target.first, target.image, target.filter, *target.along]
    engine.operations(2 * data.shape[0] * groups * filters * depth * prod(shape.places))
    run(
        device,
        "convolution",
        "planes",
        data.dtype,
        index,
        items,
        arguments,
        tiling.rows,
        tiling.vectors,
        fold,
        spaced=seen.spaced,
        **variant,
    )


def folded(data: Value, given: Geometry, fold: str) -> Value | None:
    """What the windows see in images (images, *size), its sum or its largest number: (images, *places); None where that is not for here."""
    seen = Seen.by(given)
    places = seen.geometry.places
    return _folded(data, seen, given.places, _steps(places), fold)


def spread(data: Value, given: Geometry) -> Value | None:
    """The images (images, *size) to which each place has added its number for all that the window sees; None where that is not for here."""
    shape = Seen.by(given).geometry
    axes = zip(shape.size, shape.window, (1, 1, 1), shape.dilate, shape.pad, strict=True)
    phases = [_phase(*axis, 0) for axis in axes]
    pad = tuple(phase.pad for phase in phases)
    part = Geometry(shape.places, shape.window, (1, 1, 1), shape.dilate, pad, shape.size)
    extents = tuple(n + (k - 1) * d for n, k, d in zip(shape.size, shape.window, shape.dilate, strict=True))
    return _folded(data, Seen(part, (1, 1, 1), extents, shape.stride), given.size, _steps(shape.size), "sum")


def _folded(data: Value, seen: Seen, size: Shape, along: Shape, fold: str) -> Value | None:
    device, dtype, depth = data.device, data.dtype, prod(seen.geometry.window)
    if not fits(seen.geometry, depth, data) or seen.channel * itemsize_of(dtype) > _NEAR:
        return None
    data = engine.gathered(data)
    result = Value((data.shape[0], *size), dtype, device)
    target = Target(result, 0, prod(size), 0, along)
    tiling = _tiling(data, 1, depth, seen, target)
    if _rounds(seen, tiling, 1, device.traits.lanes) > ROUNDS:
        return None
    result.place(device.allocate(result.size * dtype.itemsize), compact(result.shape))
    index = index_of(seen, data.offset + data.size, result.size, data.shape[0] * (seen.channel + tiling.slack))
    offsets = _offsets(device, dtype, index, seen, 1, [], 0, depth)
    _by_planes(data, seen, target, tiling, (1, 1, 1, depth), index, [offsets], fold, apart=tiling.apart)
    return result


def _steps(sizes: Shape) -> Shape:
    return sizes[1] * sizes[2], sizes[2], 1


def convolved(data: Value, weight: Value, bias: Value | None, given: Geometry, groups: int) -> Value:
    """As `convolve`."""
    data, weight, bias = engine.gathered(data), engine.gathered(weight), None if bias is None else engine.gathered(bias)
    result = Value((data.shape[0], weight.shape[0], *given.places), data.dtype, data.device)
    result.place(data.device.allocate(result.size * result.dtype.itemsize), compact(result.shape))
    seen, filters = Seen.by(given), weight.shape[0] // groups
    window, places = prod(given.window), prod(given.places)
    strides = _steps(seen.geometry.window)
    weights = Weights(weight, weight.offset, filters * weight.shape[1] * window, weight.shape[1] * window, window, strides)
    target = Target(result, 0, weight.shape[0] * places, places, _steps(seen.geometry.places))
    _sums(data, bias, groups, filters, [Job(weights, seen, target)])
    return result


def convolved_images(data: Value, weight: Value, given: Geometry, groups: int) -> Value:
    """As `convolve_images`: the images have a phase for each step of the stride, which is a convolution of the numbers of places.

    Where there is little to add up it is one convolution, of the numbers with zeros between them.
    """
    data, weight = engine.gathered(data), engine.gathered(weight)
    shape = Seen.by(given).geometry
    filters, channels, window = weight.shape[0] // groups, weight.shape[1], prod(shape.window)
    spacing = shape.stride if filters * window <= _LITTLE else (1, 1, 1)
    stride = (1, 1, 1) if filters * window <= _LITTLE else shape.stride
    axes = zip(shape.size, shape.window, stride, shape.dilate, shape.pad, strict=True)
    phases = list(product(*([_phase(*axis, begin) for begin in range(min(axis[2], axis[0]))] for axis in axes)))
    shaped = (data.shape[0], channels * groups, *given.size)
    if all(axis.window for phase in phases for axis in phase):
        result = Value(shaped, data.dtype, data.device)
        result.place(data.device.allocate(result.size * result.dtype.itemsize), compact(shaped))
    else:  # there are elements that no window sees
        result = engine.gathered(registry["full"](shape=shaped, value=0, dtype=data.dtype, device=data.device))
    steps, along, size = _steps(shape.window), _steps(shape.size), prod(shape.size)
    seeing = [phase for phase in phases if all(axis.window for axis in phase)]
    pad = tuple(max(axis.pad for axis in row) for row in zip(*seeing, strict=True))
    extents = tuple(
        max(axis.places + (axis.window - 1) * axis.dilate + most - axis.pad for axis in row)
        for row, most in zip(zip(*seeing, strict=True), pad, strict=True)
    )
    jobs = []
    for phase in seeing:
        windows, dilate, places = (tuple(getattr(axis, word) for axis in phase) for word in ("window", "dilate", "places"))
        start = sum(axis.last * step for axis, step in zip(phase, steps, strict=True))
        strides = tuple(-axis.step * step for axis, step in zip(phase, steps, strict=True))
        weights = Weights(weight, weight.offset + start, channels * window * filters, window, channels * window, strides)
        first = result.offset + sum(axis.begin * step for axis, step in zip(phase, along, strict=True))
        every = tuple(s * step for s, step in zip(stride, along, strict=True))
        part = Geometry(shape.places, windows, (1, 1, 1), dilate, pad, places)
        ahead = sum((most - axis.pad) * step for most, axis, step in zip(pad, phase, _steps(extents), strict=True))
        jobs.append(
            Job(weights, Seen(part, (1, 1, 1), extents, spacing, ahead), Target(result, first, channels * groups * size, size, every))
        )
    if jobs:
        _sums(data, None, groups, channels, jobs)
    return result


@dataclass(frozen=True)
class Phase:
    """Of an image along an axis, the elements from `begin` on with the distance of the stride: what of the window sees them, and where.

    Attributes
    ----------
    window, dilate, pad, places : int
        The window of a convolution of the numbers of places that gives the elements.
    last, step : int
        The last offset in the window that sees them, and how far these offsets are apart.
    """

    begin: int
    window: int
    dilate: int
    pad: int
    places: int
    last: int
    step: int


def _phase(size: int, window: int, stride: int, dilate: int, pad: int, begin: int) -> Phase:
    """The elements begin, begin + stride, ...: a place p sees one of them at offset k where p * stride + k * dilate - pad is it."""
    common = gcd(stride, dilate)
    step = stride // common
    seeing = [k for k in range(min(window, step)) if (begin + pad - k * dilate) % stride == 0]
    count = (window - 1 - seeing[0]) // step + 1 if seeing else 0
    last = seeing[0] + (count - 1) * step if seeing else 0
    first = (begin + pad - last * dilate) // stride  # the place that sees `begin` there
    return Phase(begin, count, dilate // common, -first, (size - begin - 1) // stride + 1, last, step)


def convolved_weights(data: Value, numbers: Value, given: Geometry, groups: int) -> Value:
    """As `convolve_weights`: each tile of weights is a sum over images and places."""
    data, numbers = engine.gathered(data), engine.gathered(numbers)
    device, dtype = data.device, data.dtype
    seen = Seen.by(given)
    shape, images = seen.geometry, data.shape[0]
    filters, channels = numbers.shape[1] // groups, data.shape[1] // groups
    depth = channels * prod(shape.window)
    itemsize = itemsize_of(dtype)
    lanes = vector_of(device.traits.lanes, itemsize)
    rows, vectors = (1, 9) if filters == 1 else (4, 6) if lanes == 16 else (2, 4)
    row = seen.extents[2]
    # What the last places of a plane, those past the end of their rows, see behind it counts for nothing.
    slack = lanes + seen.over if seen.row % lanes or seen.over else 0
    one = (1, 1, 1)
    spread = Seen(
        Geometry(shape.places, one, one, one, (0, 0, 0), shape.places),
        one,
        (shape.places[0], shape.places[1] + (-(-lanes // row) if slack else 0), row),
    )
    each, other = data.shape[1] * seen.channel, numbers.shape[1] * spread.channel
    count = max(1, min(images, PART // ((each + other) * itemsize)))
    size = groups * filters * depth
    band = min(-(-seen.row // lanes), _BAND // lanes) * lanes
    bands = -(-seen.row // band)
    units = count * shape.places[0] * bands
    together = max(1, _BAND // band)
    shares = max(1, min(units // together, 4 * device.traits.compute_units, PART // (size * itemsize)))
    shares = max(shares, -(-units * (band // lanes + 1) // ROUNDS))
    index = index_of(seen, count * each, count * other, shares * size, data.size + data.offset, numbers.size + numbers.offset)
    offsets = _offsets(device, dtype, index, seen, channels, [], 0, depth)
    if filters * prod(shape.window) <= _LITTLE * prod(shape.stride):
        small = _weights_by_planes(data, numbers, seen, spread, groups, slack, (index, offsets), (rows, vectors))
        if small is not None:
            return registry["reshape"](converted(small, dtype), shape=(groups * filters, channels, *given.window))
    tiles = groups * -(-filters // rows) * -(-depth // vectors)
    total: Value | None = None
    for begin in range(0, images, count):
        end = min(images, begin + count)
        first, second = written(data, begin, end, seen, index, slack), written(numbers, begin, end, spread, index, slack)
        rounds = -(-(end - begin) * shape.places[0] * bands // shares) * (band // lanes + 1)
        ranges = max(1, min(tiles, max(-(-tiles * rounds // ROUNDS), -(-4 * device.traits.compute_units // shares))))
        part = Value((shares, size), dtypes.promote(dtype, dtypes.float32), device)
        buffer = device.allocate(part.size * itemsize)
        arguments = [buffer, *first, *second, offsets, ranges, end - begin, shares, together, groups, filters, depth]
        arguments += [shape.places[0], bands, band, seen.row, each, channels * seen.channel, seen.plane, spread.plane]
        engine.operations(2 * (end - begin) * groups * filters * depth * prod(shape.places))
        run(device, "convolution", "weights", dtype, index, shares * ranges, arguments, rows, vectors)
        part.place(buffer, compact(part.shape))
        result = part if shares == 1 else registry["sum"](part, axis=0)
        total = result if total is None else total + result
    assert total is not None
    return registry["reshape"](converted(total, dtype), shape=(groups * filters, channels, *given.window))


def _weights_by_planes(
    data: Value, numbers: Value, seen: Seen, spread: Seen, groups: int, slack: int, table: tuple[str, Any], tile: tuple[int, int]
) -> Value | None:
    """Gradients of weights, of groups that are written out for an image after the other; None where they are large or few."""
    device, dtype, shape, images, row = data.device, data.dtype, seen.geometry, data.shape[0], seen.extents[2]
    channels, filters, itemsize = data.shape[1] // groups, numbers.shape[1] // groups, itemsize_of(data.dtype)
    depth, lanes, few = channels * prod(shape.window), device.traits.lanes, 4 * int(device.traits.compute_units)
    room = channels * seen.channel + slack + filters * spread.channel
    rounds = (channels * seen.channel + filters * spread.channel) // row * line_rounds(seen, lanes) + slack // lanes + 8
    rounds += -(-filters // tile[0]) * -(-depth // tile[1]) * shape.places[0] * (seen.row * itemsize // (4 * lanes) + 4)
    if images * groups < few or room * itemsize > _NEAR or rounds > ROUNDS:
        return None
    share = min(-(-images // few), ROUNDS // rounds)
    shares = -(-images // share)
    ranges = min(groups, max(-(-share * groups * rounds // ROUNDS), -(-few // shares)))
    if shares * ranges * room * itemsize > PART:
        return None
    part = Value((shares, groups * filters * depth), dtypes.promote(dtype, dtypes.float32), device)
    buffer, scratch = device.allocate(part.size * itemsize), device.allocate(shares * ranges * room * itemsize)
    arguments = [buffer, scratch, data.buffer, data.offset, numbers.buffer, numbers.offset, table[1], *shape.size, *shape.stride]
    arguments += [*seen.phases, *seen.extents, *shape.pad, *shape.places, room, slack, spread.extents[1] - shape.places[1], ranges, share]
    arguments += [images, groups, channels, filters, depth]
    engine.operations(2 * images * groups * filters * depth * prod(shape.places))
    run(device, "convolution", "weights_by_planes", dtype, table[0], shares * ranges, arguments, *tile)
    part.place(buffer, compact(part.shape))
    return part if shares == 1 else registry["sum"](part, axis=0)
