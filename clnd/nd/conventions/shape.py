"""Shapes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from clnd.engine import Value
from clnd.engine.layout import Shape
from clnd.errors import ShapeError
from clnd.ops import Operator, registry
from clnd.ops.declare import normalize_axis

from .declare import Convention, convention


def decoded_shape(shape: Shape, codes: Any, reverse: bool = False) -> Shape:
    """Resolve MXNet's codes in a new shape: 0, -1, -2, -3 and -4 (see `NDArray.reshape`).

    Raises
    ------
    ValueError
        If the shape cannot take the array's elements.
    """
    wanted = [int(codes)] if isinstance(codes, (int, np.integer)) else [int(n) for n in codes]
    if reverse:
        return tuple(reversed(decoded_shape(shape[::-1], _reversed_codes(wanted))))
    result: list[int] = []
    source, i = 0, 0

    def take() -> int:
        nonlocal source
        if source >= len(shape):
            raise ShapeError(f"reshape: the codes {tuple(wanted)} use more axes than the shape {shape} has")
        source += 1
        return shape[source - 1]

    while i < len(wanted):
        code = wanted[i]
        if code > 0:
            result.append(code)
            source += 1
        elif code == 0:
            result.append(take())
        elif code == -1:
            result.append(-1)
            source += 1
        elif code == -2:
            result += shape[source:]
            source = len(shape)
        elif code == -3:
            result.append(take() * take())
        elif code == -4:
            size, left, right = take(), *[*wanted[i + 1 : i + 3], 0, 0][:2]
            if left == -1 and right > 0:
                left = size // right
            elif right == -1 and left > 0:
                right = size // left
            if left * right != size or len(wanted) < i + 3:
                raise ShapeError(f"reshape: -4 cannot split an axis of {size} into {tuple(wanted[i + 1 : i + 3])}")
            result += [left, right]
            i += 2
        else:
            raise ShapeError(f"reshape: unknown code {code} in {tuple(wanted)}")
        i += 1
    size = prod(shape)
    if result.count(-1) > 1:
        raise ShapeError(f"reshape: more than one -1 in {tuple(wanted)}")
    if -1 in result:
        rest = prod(n for n in result if n != -1)
        result[result.index(-1)] = size // rest if rest else 0
    if prod(result) != size:
        raise ShapeError(f"Cannot reshape array of size {size} into shape {tuple(wanted)}")
    return tuple(result)


def _reversed_codes(codes: Sequence[int]) -> list[int]:
    """The codes read from the right; -4 keeps its two numbers behind it, exchanged."""
    groups: list[list[int]] = []
    i = 0
    while i < len(codes):
        width = 3 if codes[i] == -4 else 1
        group = list(codes[i : i + width])
        groups.append([group[0], *reversed(group[1:])])
        i += width
    return [n for group in reversed(groups) for n in group]


@convention("reshape")
def reshape(op: Operator) -> Convention:
    """MXNet's codes."""

    def function(data: Value, *, shape: Any = (), reverse: Any = False, target_shape: Any = None, keep_highest: Any = False) -> Any:
        return op(data, shape=decoded_shape(data.shape, shape or target_shape or (), bool(reverse)))

    return function


@convention("broadcast_to")
def broadcast_to(op: Operator) -> Convention:
    """0 keeps an axis."""

    def function(data: Value, *, shape: Any = ()) -> Any:
        wanted = tuple(shape)
        if len(wanted) == data.ndim:
            wanted = tuple(old if new == 0 else new for old, new in zip(data.shape, wanted, strict=True))
        return op(data, shape=wanted)

    return function


@convention("split")
def split(op: Operator) -> Convention:
    """Equal parts; a list of them, or the one part alone."""

    def function(data: Value, *, num_outputs: int, axis: int = 1, squeeze_axis: Any = False) -> Any:
        axis = normalize_axis("split", axis, data.ndim)
        n = data.shape[axis]
        if num_outputs < 1 or n % num_outputs:
            raise ShapeError(f"split: an axis of {n} elements cannot be split into {num_outputs} equal parts")
        part = n // num_outputs
        parts: Any = op(data, sections=[(i * part, (i + 1) * part) for i in range(num_outputs)], axis=axis)
        if squeeze_axis:
            parts = [registry["squeeze"](x, axis=axis) for x in parts]
        return parts[0] if num_outputs == 1 else parts

    return function


def slice_window(shape: Shape, begin: Any, end: Any, step: Any = ()) -> tuple[Shape, Shape, Shape]:
    """The window (begin, count, step) of MXNet's `slice`: None or missing for the ends of an axis."""
    begin, end = _sequence(begin), _sequence(end)
    step = _sequence(step) if step is not None else ()
    if len(begin) != len(end) or len(begin) > len(shape):
        raise ShapeError(f"slice: begin {begin} and end {end} do not fit shape {shape}")
    found = []
    for axis, n in enumerate(shape):
        given = slice(
            begin[axis] if axis < len(begin) else None,
            end[axis] if axis < len(end) else None,
            step[axis] if axis < len(step) else None,
        )
        if given.step == 0:
            raise ShapeError(f"slice: a step of {step} is 0; it must lead on")
        first, last, stride = given.indices(n)
        found.append((first, len(range(first, last, stride)), stride))
    return tuple(f[0] for f in found), tuple(f[1] for f in found), tuple(f[2] for f in found)


def _sequence(numbers: Any) -> tuple[Any, ...]:
    return tuple(numbers) if isinstance(numbers, (tuple, list)) else (numbers,)


@convention("window")
def slicing(op: Operator) -> Convention:
    """MXNet's `slice`: begin, end, step."""

    def function(data: Value, *, begin: Any, end: Any, step: Any = ()) -> Any:
        first, count, stride = slice_window(data.shape, begin, end, step)
        return op(data, begin=first, count=count, step=stride)

    return function
