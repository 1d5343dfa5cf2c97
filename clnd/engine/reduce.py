"""Reductions: fold the elements of a fusion along some axes, with the elementwise work before it in the same kernel.

The order of folding follows from shape, axes and device alone, never from how the operands lie in memory or what was fused:
the same bits come out either way. The template walks two groups of axes: *vector* axes in runs of `lanes` elements, and *step* axes
one position at a time. If the last axis is folded, vectors run along the folded axes ("inner"), else along the kept ones ("outer").
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from . import code, launch
from .dtypes import INFO
from .layout import Shape, compact

if TYPE_CHECKING:
    from clnd.opencl import Buffer, Device, Traits

    from .fusion import Fusion


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
    """

    name: str
    axes: tuple[int, ...]
    code: str
    identity: str
    common: np.dtype[Any]
    result: np.dtype[Any]
    compensated: bool = False


def fold(fusion: Fusion, index: int, how: Folding, outputs: list[int], places: list[launch.Place], divide: bool = True) -> Buffer:
    """Launch a reduction.

    Parameters
    ----------
    fusion : Fusion
        The work before it.
    index : int
        The term to fold.
    how : Folding
    outputs : list of int
        Terms to store on the way.
    places : list of (Buffer, Layout)
        Where to store them.
    divide : bool
        May the folded axes be divided between work-items, at the price of a second launch?

    Returns
    -------
    Buffer
        Compact over the kept axes.
    """
    device, shape = fusion.device, fusion.shape
    traits = device.traits
    kept = [a for a in range(len(shape)) if a not in how.axes]
    folded = [a for a in range(len(shape)) if a in how.axes]
    keep, length = prod(shape[a] for a in kept), prod(shape[a] for a in folded)
    last = max((a for a in range(len(shape)) if shape[a] != 1), default=0)
    inner = last in folded or keep == 1
    segments = _segments(traits, inner, keep, length) if divide else 1
    result = how.result if segments == 1 else how.common

    terms = launch.Terms(fusion, traits.lanes)
    dtypes = [fusion.terms[i].dtype for i in outputs]
    buffer = device.allocate(segments * keep * result.itemsize)
    layouts = [layout for _, layout in places] + [array.layout for array in terms.arrays]
    vectors = launch.Walk.over(layouts, folded if inner else kept, shape)
    steps = launch.Walk.over(layouts, kept if inner else folded, shape)
    kinds = tuple(vectors.kind(i) for i in range(len(layouts)))
    number = launch.index_type(layouts, max(keep * segments, length, prod(shape)))
    dims = (len(vectors.sizes) if any(kind not in ("linear", "same") for kind in kinds) else 0, len(steps.sizes))
    key = (device, "reduction", terms.key, index, tuple(outputs), kinds, dims, number, inner, how.name, how.common, result)
    kernel = launch._kernels.get(key)
    if kernel is None:
        kernel = launch._kernels[key] = _kernel(device, terms, index, how, outputs, dtypes, kinds, dims, number, inner, result)

    arguments: list[Any] = [buffer, keep, length]
    buffers = [place for place, _ in places] + [array.source.buffer for array in terms.arrays]
    for i, (place, layout) in enumerate(zip(buffers, layouts, strict=True)):
        arguments += [place, layout.offset, *steps.rows[i]]
        if kinds[i] not in ("linear", "same"):
            arguments += vectors.rows[i]
    arguments += [term.number for term in terms.numbers]
    arguments += steps.sizes
    if dims[0]:
        arguments += vectors.sizes
    kernel(*_grid(traits, inner, keep, length, segments), *arguments)
    if segments > 1:
        buffer = _join(device, buffer, (segments, keep), how)
    return buffer


def _join(device: Device, partial: Buffer, shape: Shape, how: Folding) -> Buffer:
    """Fold the segments' results."""
    from .fusion import Fusion
    from .value import Value

    value = Value(shape, how.common, device).place(partial, compact(shape))
    fusion = Fusion(shape, device)
    again = Folding(how.name, (0,), how.code, how.identity, how.common, how.result, how.compensated)
    return fold(fusion, fusion.add(value), again, [], [], divide=False)


def _segments(traits: Traits, inner: bool, keep: int, length: int) -> int:
    """Into how many parts to divide the folded axes: so that all compute units have work, and no work-item too many rounds."""
    units = traits.compute_units
    if traits.schedule == "cpu":
        busy = keep if inner else -(-keep // traits.lanes)
        part = 16384 if inner else 512
        wanted = 4 * units if busy < 2 * units and keep * length >= 65536 else 1
    else:
        busy = keep if inner else -(-keep // traits.group)
        part = 16 * traits.group if inner else 64
        wanted = 8 * units if busy < 2 * units else 1
    a_round = traits.lanes if traits.schedule == "cpu" else traits.group
    return max(1, min(wanted // max(1, busy), length // part), -(-length // (launch.ROUNDS * (a_round if inner else 1))))


def _grid(traits: Traits, inner: bool, keep: int, length: int, segments: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if traits.schedule == "cpu":
        units = keep if inner else -(-keep // traits.lanes)
        part = -(-length // segments)
        rounds = units * (-(-part // traits.lanes) + 2 * traits.lanes if inner else part)
        wanted = min(4 * traits.compute_units, keep * length // 8192)
        return (max(1, min(units, max(wanted, -(-rounds // launch.ROUNDS)))), segments), (1, 1)
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
) -> Any:
    lanes = device.traits.lanes
    name = launch.kernel_name([*terms.names, how.name], how.result, max(1, sum(dims)))
    for dtype in [how.common, how.result, *dtypes, *(array.dtype for array in terms.arrays)]:
        launch.check_dtype(dtype, device, how.name)
    stores = launch.accesses("z", dtypes, kinds)
    loads = launch.accesses("a", [array.dtype for array in terms.arrays], kinds[len(stores) :])
    numbers = terms.number_parameters()
    arguments = ["buffer", number, number]
    for access in (*stores, *loads):
        arguments += ["buffer", number] + [number] * (dims[1] + (dims[0] if access.general else 0))
    arguments += [kind for kind, _ in numbers] + [number] * (dims[1] + dims[0])
    info = INFO[how.common]
    joined = {"a": "a", "b": "b"}
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
        join=code.spell(how.code, joined, how.common, lanes),
        join_one=code.spell(how.code, joined, how.common, 1),
        identity=how.identity,
        compensated=how.compensated,
        result=INFO[result].storage,
        convert=code.cast("x", how.common, result, 1 if inner else lanes),
        group=device.traits.group,
    )
