"""Where the elements of a value lie in its buffer, and the views that only change that.

All numbers count elements. A view is a function from a layout to a layout; it answers None where the elements cannot be
reached by strides alone and must be copied first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

Shape = tuple[int, ...]
MOST_AXES = 32  # of an array; also what the oldest NumPy takes
MOST_ELEMENTS = 1 << 60  # such that bytes, and twice as many, can be counted in 64 bits


class Layout(NamedTuple):
    """Element `i0, i1, ...` lies at `offset + i0 * strides[0] + i1 * strides[1] + ...`."""

    shape: Shape
    strides: tuple[int, ...]
    offset: int


@lru_cache(maxsize=4096)
def row_major(shape: Shape) -> tuple[int, ...]:
    """The strides of a compact array, last axis fastest."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def compact(shape: Shape) -> Layout:
    """The layout of a compact array."""
    return Layout(shape, row_major(shape), 0)


def is_compact(layout: Layout) -> bool:
    """Do the elements lie one after another, in order?"""
    steps = row_major(layout.shape)
    return layout.strides == steps or all(n == 1 or s == step for n, s, step in zip(layout.shape, layout.strides, steps, strict=True))


def broadcast(layout: Layout, shape: Shape) -> Layout:
    """Stretched to `shape`: axes of one element, and new leading ones, repeat."""
    pad = len(shape) - len(layout.shape)
    kept = (0 if old == 1 != new else stride for old, new, stride in zip(layout.shape, shape[pad:], layout.strides, strict=True))
    return Layout(shape, (0,) * pad + tuple(kept), layout.offset)


def transpose(layout: Layout, axes: tuple[int, ...]) -> Layout:
    """Axis `i` of the result is axis `axes[i]`."""
    return Layout(tuple(layout.shape[a] for a in axes), tuple(layout.strides[a] for a in axes), layout.offset)


def window(layout: Layout, begin: Shape, count: Shape, step: Shape) -> Layout:
    """`count[i]` elements of axis i from `begin[i]` on, `step[i]` apart; a negative step walks backwards."""
    offset = layout.offset + sum(b * s for b, s, n in zip(begin, layout.strides, count, strict=True) if n)
    return Layout(count, tuple(s * k for s, k in zip(layout.strides, step, strict=True)), offset)


def reshape(layout: Layout, shape: Shape) -> Layout | None:
    """The same elements in the same order under another shape, where strides can say it."""
    if 0 in shape:
        return Layout(shape, row_major(shape), layout.offset)
    old = [(n, s) for n, s in zip(layout.shape, layout.strides, strict=True) if n != 1]
    strides = [0] * len(shape)
    first, start = 0, 0  # the axes, old and new, that the next run of equal size begins with
    while first < len(old):
        last, stop = first, start  # the run: old axes first..last, new ones start..stop
        elements, wanted = old[first][0], shape[start]
        while elements != wanted:
            if elements < wanted:
                last += 1
                elements *= old[last][0]
            else:
                stop += 1
                wanted *= shape[stop]
        if any(old[i][1] != old[i + 1][0] * old[i + 1][1] for i in range(first, last)):
            return None
        step = old[last][1]
        for axis in range(stop, start - 1, -1):
            strides[axis] = step
            step *= shape[axis]
        first, start = last + 1, stop + 1
    return Layout(shape, tuple(strides), layout.offset)


def merge(shape: Shape, strides: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """Join neighbouring axes that every operand walks evenly. Fewer axes, fewer kernels.

    Parameters
    ----------
    shape : tuple of int
    strides : one row of strides an operand

    Returns
    -------
    sizes, rows
        The joined axes' sizes (none where there is one element), and each operand's strides for them.
    """
    sizes: list[int] = []
    rows: list[list[int]] = [[] for _ in strides]
    for axis, n in enumerate(shape):
        if n == 1:
            continue
        if sizes and all(row[-1] == s[axis] * n for row, s in zip(rows, strides, strict=True)):
            sizes[-1] *= n
            for row, s in zip(rows, strides, strict=True):
                row[-1] = s[axis]
        else:
            sizes.append(n)
            for row, s in zip(rows, strides, strict=True):
                row.append(s[axis])
    return sizes, rows


def repeats(layout: Layout) -> bool:
    """Does one position hold several elements?"""
    return any(s == 0 and n > 1 for n, s in zip(layout.shape, layout.strides, strict=True))


def extent(layout: Layout) -> int:
    """One past the largest position that the layout reaches."""
    if 0 in layout.shape:
        return 0
    return layout.offset + 1 + sum((n - 1) * s for n, s in zip(layout.shape, layout.strides, strict=True) if s > 0)
