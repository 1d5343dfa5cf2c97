"""Images at the places of a grid, interpolated."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

from clnd import engine
from clnd.engine import Record, Value, dtypes, state
from clnd.engine.layout import Shape, compact
from clnd.errors import ShapeError

from .declare import Launched, composed, converted, registry
from .parts import Arrived, derived
from .sampling import between, every, of_images, parts, resample, wide

_RUN = 64  # places whose offsets and weights a work-item of the CPU schedule has at hand


class Interpolated(Launched):
    """Its kernels know the weights and their derivatives; where the way back is recorded, it goes through lists of weights."""

    @property
    def differentiable(self) -> bool:
        """It has a gradient of its own."""
        return True

    def saves(self, record: Record) -> tuple[frozenset[int], bool]:
        """Both arrays."""
        return frozenset((0, 1)), False

    def gradients(self, record: Record, dz: Value) -> list[tuple[Value, Value]]:
        """By kernels; where that is recorded, as a composition."""
        data, grid = record.inputs
        if state.recording:
            return derived(lambda *own: [_composition(*own)], record.inputs, Arrived({0: dz}))
        with engine.called(self.name):
            made = ((data, "image", (dz,)), (grid, "grid", (dz, data)))
            return [(x, _launch(step, x.shape, grid, data.shape, *arrays)) for x, step, arrays in made if x.traced]


def _composition(data: Value, grid: Value) -> Value:
    """The same by operators that have derivatives of every order."""
    lists = []
    for axis, n in ((1, data.shape[2]), (0, data.shape[3])):
        position = (registry["slice_axis"](grid, axis=1, begin=axis, end=axis + 1) + 1) * ((n - 1) / 2)
        position = registry["expand_dims"](position, axis=4)
        whole = registry["floor"](position)
        lists.append(between(whole, position - whole))
    (wy, y), (wx, x) = lists
    found: Value = resample(data, wy, wx, y, x, every(data))
    return found


def _launch(step: str, made: Shape, grid: Value, image: Shape, *arrays: Value) -> Value:
    """Launch templates/interpolate.cl.mako, as often as it takes."""
    device, dtype, traits = grid.device, grid.dtype, grid.device.traits
    (images, channels, rows, columns), (height, width) = image, grid.shape[2:]
    places, cpu, wanted = height * width, traits.schedule == "cpu", traits.compute_units * 4
    result = Value(made, dtype, device)
    if step == "image" or not (result.size and rows * columns * channels):
        result = engine.ready(registry["full"](shape=made, value=0, dtype=dtype, device=device))
    if not (result.size and rows * columns * channels * places):
        return result
    grid, arrays = engine.ready(grid), tuple(engine.gathered(x) for x in arrays)
    segment = _RUN if cpu and images * -(-places // _RUN) >= wanted else traits.lanes
    block = min(channels, max(1, engine.ROUNDS // _RUN)) if cpu else 1
    runs = -(-places // segment)
    if step == "image":
        wanted = wanted if cpu else traits.compute_units * 256
        block = max(1, min(block, channels * images // wanted))
        planes, group = images * -(-channels // block), 1 if cpu else traits.group
        sizes: Any = ((min(rows, -(-wanted // planes)), -(-planes // group) * group), (1, group))
        ranges = parts(places, 1 + 4 * block)
    elif step == "value":
        block = max(1, min(block, channels * images * runs // wanted))
        sizes, ranges = _items(device, images * -(-channels // block) * runs, segment * (1 + block)), [(0, 0)]
    else:
        block, ranges = channels, parts(channels, segment)
        sizes = _items(device, images * runs, segment * (1 + ranges[0][1]))
    index = engine.index_type([grid.layout, *(x.layout for x in arrays)], max(result.size, images * channels * max(rows * columns, places)))
    kernel = engine.kept((device, "interpolate", step, dtype, index), lambda: _kernel(step, device, dtype, index, len(arrays)))
    if result.strides is None:
        result.place(device.allocate(result.size * dtype.itemsize), compact(made))
    given = [argument for x in (*arrays, grid) for argument in (x.buffer, x.offset)]
    halves = ((columns - 1) / 2, (rows - 1) / 2)
    for lower, upper in ranges:
        kernel(*sizes, result.buffer, *given, *grid.layout.strides, *image, places, width, *halves, block, segment, lower, upper)
    return result


def _kernel(step: str, device: Any, dtype: Any, index: str, arrays: int) -> Any:
    storage = dtypes.INFO[dtype].storage
    return device.kernel(
        "interpolate",
        f"interpolate_{step}__{dtype}",
        arguments=("buffer", *["buffer", index] * (1 + arrays), *[index] * 10, storage, storage, *[index] * 4),
        index=index,
        storage=storage,
        step=step,
    )


def _items(device: Any, units: int, rounds: int) -> Any:
    """The grid for units of work of so many rounds each."""
    if device.traits.schedule == "gpu":
        return engine.grid(device.traits, units)
    return (max(min(units, 4 * device.traits.compute_units), -(-units * rounds // engine.ROUNDS)),), (1,)


@partial(Interpolated, methods=[])
def interpolated(data: Value, grid: Value) -> Value:
    """`BilinearSampler` of floats of one dtype."""
    return _launch("value", (*data.shape[:2], *grid.shape[2:]), grid, data.shape, data)


@composed(numpy=None, methods=[])
def BilinearSampler(data: Value, grid: Value) -> Value:
    """The images at the places that `grid` gives, interpolated between the four nearest elements; zeros outside.

    Parameters
    ----------
    data : (images, channels, rows, columns)
    grid : (images, 2, height, width)
        x and y of each place, where -1 and 1 are the middles of the first and last column, or row.

    >>> from clnd import nd
    >>> grid = nd.array([[[[-1, 0]], [[1, 0]]]])
    >>> nd.BilinearSampler(nd.array([[[[1, 2], [3, 4]]]]), grid).asnumpy()
    array([[[[3. , 2.5]]]], dtype=float32)
    """
    of_images("BilinearSampler", data)
    if grid.ndim != 4 or grid.shape[:2] != (data.shape[0], 2):
        raise ShapeError(f"BilinearSampler: the grid must have shape ({data.shape[0]}, 2, height, width), but has {grid.shape}")
    registry["interpolated"].device([data, grid])
    (data, grid), dtype = wide(data, grid)
    sampled = interpolated if prod(data.shape[2:]) < 1 << 31 else _composition  # the kernels' offsets in a plane are ints
    return converted(sampled(data, grid), dtype)
