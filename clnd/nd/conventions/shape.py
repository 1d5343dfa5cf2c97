"""Shapes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from clnd.engine import Value
from clnd.engine.layout import Shape
from clnd.errors import ShapeError, shown
from clnd.ops import Operator, registry
from clnd.ops.declare import normalize_axis, shape_of, whole_number, whole_numbers
from clnd.ops.joining import equal_parts

from .declare import Convention, at_least_1d, convention


def decoded_shape(shape: Shape, codes: Any, reverse: bool = False) -> Shape:
    """Resolve MXNet's codes in a new shape: 0, -1, -2, -3 and -4 (see `NDArray.reshape`).

    Raises
    ------
    ValueError
        If the shape cannot take the array's elements.
    """
    wanted = list(whole_numbers("reshape", "shape", codes))
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
    """MXNet's codes; in `target_shape` one size may be 0, for what is left, or with `keep_highest` the first for what it is."""

    def function(data: Value, *, shape: Any = (), reverse: Any = False, target_shape: Any = (), keep_highest: Any = False) -> Any:
        if not shape and target_shape:
            kept = data.shape[:1] if keep_highest else ()
            shape = (*kept, *(n or -1 for n in tuple(target_shape)[len(kept) :]))
        return op(data, shape=decoded_shape(data.shape, shape, bool(reverse)))

    return function


@convention("squeeze")
def squeeze(op: Operator) -> Convention:
    """(1,) for a single number."""

    def function(data: Value, *, axis: Any = None) -> Any:
        return at_least_1d(op(data, axis=axis))

    return function


@convention("broadcast_to")
def broadcast_to(op: Operator) -> Convention:
    """0 keeps an axis."""

    def function(data: Value, *, shape: Any = ()) -> Any:
        wanted = whole_numbers("broadcast_to", "shape", shape)
        if len(wanted) == data.ndim:
            wanted = tuple(old if new == 0 else new for old, new in zip(data.shape, wanted, strict=True))
        return op(data, shape=shape_of("broadcast_to", wanted))

    return function


@convention("split")
def split(op: Operator) -> Convention:
    """Equal parts; a list of them, or the one part alone."""

    def function(data: Value, *, num_outputs: int, axis: int = 1, squeeze_axis: Any = False) -> Any:
        axis = normalize_axis("split", axis, data.ndim)
        count, n = whole_number("split", "num_outputs", num_outputs), data.shape[axis]
        parts: Any = op(data, sections=equal_parts("split", n, count), axis=axis)
        if squeeze_axis:
            if n != count:
                raise ShapeError(f"split: squeeze_axis needs parts of one element, but axis {axis} of {n} is split into {count}")
            parts = [registry["squeeze"](x, axis=axis) for x in parts]
        return _one_alone(parts)

    return function


@convention("split_v2")
def split_v2(op: Operator) -> Convention:
    """A list of the parts, or the one part alone."""

    def function(ary: Value, *, indices_or_sections: Any, axis: int = 0, squeeze_axis: Any = False) -> Any:
        return _one_alone(op(ary, indices_or_sections=indices_or_sections, axis=axis, squeeze_axis=bool(squeeze_axis)))

    return function


def _one_alone(parts: Any) -> Any:
    """A list of values, or the only one."""
    return parts[0] if len(parts) == 1 else parts


def slice_window(shape: Shape, begin: Any, end: Any, step: Any = ()) -> tuple[Shape, Shape, Shape]:
    """The window (begin, count, step) of MXNet's `slice`: None or missing for the ends of an axis."""
    begin, end = _sequence(begin), _sequence(end)
    step = _sequence(step) if step is not None else ()
    if len(begin) != len(end) or len(begin) > len(shape):
        raise ShapeError(f"slice: begin {shown(begin)} and end {shown(end)} do not fit shape {shape}")
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
