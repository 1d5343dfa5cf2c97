"""Reductions: fold the elements of a fusion along some axes, with the elementwise work before it in the same kernel.

The order of folding follows from shape, axes and device alone, never from how the operands lie in memory or what was fused:
the same bits come out either way. The template walks two groups of axes: *vector* axes in runs of `lanes` elements, and *step* axes
one position at a time. If the last axis is folded, vectors run along the folded axes ("inner"), else along the kept ones ("outer"); so they
do where few elements are folded, for which folding the lanes of a vector would take longer than elements that lie apart.
On the cpu schedule `BLOCK` runs are joined in pairs, then with the total: sums carry along what is lost there, and not in the block,
where three roundings follow each other at most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import code, launch
from .dtypes import INFO
from .layout import Layout, Shape, compact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnd.opencl import Buffer, Device, Kernel, Traits

    from .fusion import Fusion

BLOCK = 8  # runs
SHORT = 50  # elements: where no more make a result, vectors hold those of several results
RUNS = launch.ROUNDS // 4  # of a work-item: a strided array takes a round for each lane, and grids do not depend on how arrays lie
STRIP = 64  # runs beside each other whose totals a work-item keeps at hand


@dataclass(frozen=True, eq=False)
class Folding:
    """How a waiting record folds its input.

    Attributes
    ----------
    name : str
        The operator's.
    axes : tuple of int
        Which axes of the input.
    code : str
        OpenCL C that joins `a` and `b`; `T` as in `Expression`.
    identity : str
        OpenCL C of what changes nothing: the result of folding no elements.
    common : dtype
        What is folded: the input is converted to it.
    result : dtype
    compensated : bool
        Is this a sum of floats, whose rounding errors are to be carried along (Neumaier 1974)?
    finish : str
        OpenCL C of the result from what was folded, `x`, and from the number of elements, `n`.
    """

    name: str
    axes: tuple[int, ...]
    code: str
    identity: str
    common: np.dtype[Any]
    result: np.dtype[Any]
    compensated: bool = False
    finish: str = "x"


class Prepared(NamedTuple):
    """A reduction that lacks buffers and numbers alone.

    Attributes
    ----------
    kernel : launch.Prepared
        The first that it stores is the result.
    nbytes : int
        Of the result.
    then : Prepared or None
        What joins the results of segments.
    """

    device: Device
    kernel: launch.Prepared
    nbytes: int
    then: Prepared | None

    def launch(self, outputs: Sequence[Buffer], arrays: Sequence[tuple[Buffer | None, int]], numbers: Sequence[Any]) -> Buffer:
        """Launch with these buffers to store to on the way, arrays and numbers: gives the result, compact over the kept axes."""
        result = self.device.allocate(self.nbytes)
        self.kernel.launch([result, *outputs], arrays, numbers)
        return result if self.then is None else self.then.launch([], [(result, 0)], [])


def prepare(fusion: Fusion, index: int, how: Folding, outputs: list[int], places: list[Layout]) -> Prepared:
    """The kernel, or two, of a reduction.

    Parameters
    ----------
    fusion : Fusion
        The work before it.
    index : int
        The term to fold.
    how : Folding
    outputs : list of int
        Terms to store on the way.
    places : list of Layout
        Where to store them.
    """
    inner, keep, length = _sides(fusion.shape, how.axes)
    return _prepare(fusion, index, how, outputs, places, _segments(fusion.device.traits, inner, keep, length), length)


def _sides(shape: Shape, axes: tuple[int, ...]) -> tuple[bool, int, int]:
    """Whether vectors run along the folded axes, how many results there are, and of how many elements each."""
    last = max((a for a in range(len(shape)) if shape[a] != 1), default=0)
    length = prod(shape[a] for a in axes)
    keep = prod(n for a, n in enumerate(shape) if a not in axes)
    return keep == 1 or (last in axes and length > SHORT), keep, length


def _prepare(fusion: Fusion, index: int, how: Folding, outputs: list[int], places: list[Layout], segments: int, count: int) -> Prepared:
    """Fold a term in segments; `count` elements make a result in the end."""
    device, shape = fusion.device, fusion.shape
    terms = launch.Terms(fusion, device.traits.lanes)
    layouts = [*places, *(array.layout for array in terms.arrays)]
    inner, keep, length = _sides(shape, how.axes)
    kept = [a for a in range(len(shape)) if a not in how.axes]
    result, finish = (how.result, how.finish) if segments == 1 else (how.common, "x")
    dtypes = [fusion.terms[i].dtype for i in outputs]
    vectors = launch.Walk.over(layouts, how.axes if inner else kept, shape)
    steps = launch.Walk.over(layouts, kept if inner else how.axes, shape)
    kinds = tuple(vectors.kind(i) for i in range(len(layouts)))
    general = [kind not in ("linear", "same") for kind in kinds]
    number = launch.index_type(layouts, max(keep * segments, length, prod(shape)))
    dims = (len(vectors.sizes) if any(general) else 0, len(steps.sizes))
    key = (device, "reduction", terms.key, index, tuple(outputs), kinds, dims, number, inner, how.name, how.common, result, finish)
    kernel = launch.kept(key, lambda: _kernel(device, terms, index, how, outputs, dtypes, kinds, dims, number, inner, result, finish))

    arguments: list[Any] = [None, keep, length]
    if finish != "x":
        arguments.append(float(count))
    positions = [0]
    for i, layout in enumerate(layouts):
        positions.append(len(arguments))
        arguments += [None, layout.offset, *steps.rows[i]]
        if general[i]:
            arguments += vectors.rows[i]
    numbers = list(range(len(arguments), len(arguments) + len(terms.numbers)))
    arguments += [None] * len(numbers) + steps.sizes
    if dims[0]:
        arguments += vectors.sizes
    stored = 1 + len(places)
    grid = _grid(device.traits, inner, keep, length, segments)
    first = launch.Prepared(kernel, *grid, arguments, positions[:stored], positions[stored:], numbers)
    then = None if segments == 1 else _join(device, (segments, keep), how, count)
    return Prepared(device, first, segments * keep * result.itemsize, then)


def _join(device: Device, shape: Shape, how: Folding, count: int) -> Prepared:
    """Fold the segments' results."""
    from .fusion import ArrayTerm, Fusion
    from .value import Value

    fusion = Fusion(shape, device)
    fusion.terms.append(ArrayTerm(Value(shape, how.common, device), compact(shape), how.common))
    return _prepare(fusion, 0, replace(how, axes=(0,)), [], [], 1, count)


def _segments(traits: Traits, inner: bool, keep: int, length: int) -> int:
    """Into how many parts to divide the folded axes: so that all compute units have work, and no work-item too many rounds."""
    units = traits.compute_units
    if traits.schedule == "cpu":
        busy = keep if inner else -(-keep // (STRIP * traits.lanes))
        part = 16384 if inner else 8 * BLOCK
        wanted = 4 * units if busy < 2 * units and keep * length >= 65536 else 1
    else:
        busy = keep if inner else -(-keep // traits.group)
        part = 16 * traits.group if inner else 64
        wanted = 8 * units if busy < 2 * units else 1
    a_round = traits.lanes if traits.schedule == "cpu" else traits.group
    return max(1, min(wanted // max(1, busy), length // part), -(-length // (RUNS * (a_round if inner else 1))))


def _grid(traits: Traits, inner: bool, keep: int, length: int, segments: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if traits.schedule == "cpu":
        units = keep if inner else -(-keep // traits.lanes)
        part = -(-length // segments)
        rounds = units * (-(-part // traits.lanes) + BLOCK if inner else part + BLOCK)
        apart = units if inner else -(-units // 4)  # strips narrower than that waste what a row brings to the cache
        wanted = min(-(-4 * traits.compute_units // segments), keep * length // 8192, apart)
        return (max(1, min(units, max(wanted, -(-rounds // RUNS)))), segments), (1, 1)
    group = traits.group
    items = min(keep, 65536) if inner else -(-keep // group)
    return (items * group, segments), (group, 1)


def _kernel(
    device: Device,
    terms: launch.Terms,
    index: int,
    how: Folding,
    outputs: list[int],
    dtypes: list[np.dtype[Any]],
    kinds: tuple[str, ...],
    dims: tuple[int, int],
    number: str,
    inner: bool,
    result: np.dtype[Any],
    finish: str,
) -> Kernel:
    lanes = device.traits.lanes
    ends_in = 1 if inner else lanes
    name = launch.kernel_name([*terms.names, how.name], how.result, max(1, sum(dims)))
    for dtype in [how.common, how.result, *dtypes, *(array.dtype for array in terms.arrays)]:
        launch.check_dtype(dtype, device, how.name)
    stores = launch.accesses("z", dtypes, kinds)
    loads = launch.accesses("a", [array.dtype for array in terms.arrays], kinds[len(stores) :])
    numbers = terms.number_parameters()
    info = INFO[how.common]
    arguments = ["buffer", number, number] + [info.compute] * (finish != "x")
    for access in (*stores, *loads):
        arguments += ["buffer", number] + [number] * (dims[1] + (dims[0] if access.general else 0))
    arguments += [kind for kind, _ in numbers] + [number] * (dims[1] + dims[0])
    joined, ends = {"a": "a", "b": "b"}, {"x": "folded", "n": "n"}
    return device.kernel(
        "reduction",
        name,
        arguments=tuple(arguments),
        index=number,
        inner=inner,
        dims=dims[0],
        steps=dims[1],
        stores=tuple((access, terms.variables[i]) for access, i in zip(stores, outputs, strict=True)),
        loads=loads,
        numbers=numbers,
        lines=terms.lines(),
        value=code.cast(terms.variables[index], terms.term(index).dtype, how.common, lanes),
        compute=info.compute,
        joins=tuple((width, code.spell(how.code, joined, how.common, width)) for width in (16, 8, 4, 2, 1) if width <= lanes),
        identity=how.identity,
        compensated=how.compensated,
        finish="" if finish == "x" else code.spell(finish, ends, how.common, ends_in),
        result=INFO[result].storage,
        convert=code.cast("x", how.common, result, ends_in),
        block=BLOCK,
        strip=STRIP,
        group=device.traits.group,
        order=device.traits.group,
    )
