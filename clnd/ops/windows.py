"""Windows that go over images: what convolutions, pooling and patches share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Value
from clnd.engine.layout import Shape, compact
from clnd.errors import DTypeError, ShapeError, shown

CONVENTIONS = ("valid", "full", "same")
_ROUNDS = engine.ROUNDS // 8  # elements for a work-item: each takes a few rounds of its loops where runs are short
_RUN = 128  # elements that a work-item of the CPU schedule handles in one go
_OFFSETS = 64  # of a window that a launch adds up


@dataclass(frozen=True)
class Geometry:
    """How a window goes over images of one to three axes.

    Attributes
    ----------
    size : tuple of int
        Of an image.
    window, stride, dilate, pad : tuple of int
        The window's size, the distances of its places and of the elements that it sees, and how far it stands out before an image.
    places : tuple of int
        How many places it has along each axis.
    """

    size: Shape
    window: Shape
    stride: Shape
    dilate: Shape
    pad: Shape
    places: Shape

    def arguments(self) -> list[int]:
        """What the templates take, for three axes."""
        missing = 3 - len(self.size)
        rows = [(self.size, 1), (self.window, 1), (self.stride, 1), (self.dilate, 1), (self.pad, 0), (self.places, 1)]
        return [number for row, other in rows for number in (*[other] * missing, *row)]


def geometry(name: str, size: Sequence[int], kernel: Any, stride: Any, dilate: Any, pad: Any, convention: str = "valid") -> Geometry:
    """The geometry for attributes: numbers for images of one axis, or tuples; those not given are 1, and no padding.

    Parameters
    ----------
    convention : {"valid", "full", "same"}
        Places are counted rounding down, or up; or as many as steps fit into the padded image.

    Raises
    ------
    ShapeError
        Where they do not fit the number of axes, are out of range, or the window is larger than the padded image.
    """
    ndim = len(size)
    if not 1 <= ndim <= 3:
        raise ShapeError(f"{name}: data of {ndim + 2} axes; it takes a batch, channels, and one to three axes more")
    if convention not in CONVENTIONS:
        raise DTypeError(f"{name}: pooling_convention {convention!r} is not one of {', '.join(CONVENTIONS)}")
    window = per_axis(name, "kernel", kernel, ndim, None)
    steps, spread = per_axis(name, "stride", stride, ndim, 1), per_axis(name, "dilate", dilate, ndim, 1)
    around = per_axis(name, "pad", pad, ndim, 0, least=0)
    places = []
    for n, k, s, d, p in zip(size, window, steps, spread, around, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        if room < 0:
            raise ShapeError(f"{name}: the kernel {window}, dilated by {spread}, exceeds the image {tuple(size)} padded by {around}")
        places.append(room // s + 1 if convention == "valid" else -(-room // s) + 1 if convention == "full" else -(-(n + 2 * p) // s))
    return Geometry(tuple(size), window, steps, spread, around, tuple(places))


def per_axis(name: str, word: str, given: Any, ndim: int, default: int | None, least: int = 1) -> Shape:
    """An attribute as a tuple with a number for each axis: `default` where it is empty."""
    row = tuple(given) if isinstance(given, (tuple, list)) else () if given is None else (given,)
    if not row:
        if default is None:
            raise DTypeError(f"{name}: the attribute {word} must be given")
        row = (default,) * ndim
    if len(row) != ndim or not all(isinstance(n, (int, np.integer)) and least <= n < 1 << 31 for n in row):
        raise ShapeError(
            f"{name}: {word} is {shown(given)}, but must be {ndim} whole number(s), one for each axis of an image, {least} or more"
        )
    return tuple(int(n) for n in row)


def launch(
    template: str,
    name: str,
    result: Value,
    given: Sequence[Value],
    shape: Geometry,
    counts: Sequence[int],
    steps: Sequence[int] = (),
    *,
    folded: bool,
    **variant: Any,
) -> Value:
    """Run a template over windows.

    Parameters
    ----------
    given : sequence of Value
        The arrays that it reads, compact.
    counts, steps : sequence of int
        What the template takes before the geometry, and after it.
    folded : bool
        Does it go through the offsets of the window for each element? Then a launch takes a part of them.
    """
    device, offsets = result.device, prod(shape.window)
    numbers = [*counts, *shape.arguments(), *steps]
    index = engine.index_type([value.layout for value in given], max(result.size, 4 * max(numbers)))
    kernel = device.kernel(
        template,
        f"{name}__{given[0].dtype}",
        arguments=("buffer", *["buffer", index] * len(given), *[index] * (len(numbers) + 1 + 2 * folded)),
        index=index,
        **variant,
    )
    buffer = device.allocate(result.size * result.dtype.itemsize)
    segment = 1 if device.traits.schedule == "gpu" else _RUN
    grid = engine.grid(device.traits, result.size * min(offsets, _OFFSETS) if folded else result.size, _ROUNDS)
    arrays = [x for value in given for x in (value.buffer, value.offset)]
    for begin in range(0, offsets, _OFFSETS) if folded else (0,):
        part = (begin, min(offsets, begin + _OFFSETS)) if folded else ()
        kernel(*grid, buffer, *arrays, *numbers, segment, *part)
    return result.place(buffer, compact(result.shape))
