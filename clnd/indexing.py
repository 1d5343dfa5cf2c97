"""What a key in square brackets selects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clnd.engine.layout import Shape
from clnd.errors import DTypeError, IndexOutOfRange, MXNetError
from clnd.ops.shape import Steps


@dataclass
class Selection:
    """A window into an array, and the shape that it is seen in.

    Attributes
    ----------
    begin, count, step : tuple of int
        The window, one number an axis of the array.
    shape : tuple of int
        The shape after integers dropped their axes and None added some.
    shared : bool
        Is it a view in MXNet's sense: elements that lie together, through which the array can be written?
    everything : bool
        Does it select the whole array as it is?
    rows : list or array, optional
        Instead: an array that picks rows, or masks them.
    """

    begin: Shape = ()
    count: Shape = ()
    step: Shape = ()
    shape: Shape = ()
    shared: bool = False
    everything: bool = False
    rows: Any = field(default=None)

    def steps(self, one_element: bool = False) -> Steps:
        """The chain of views; an element selected by integers alone is seen as (1,) with `one_element`, as MXNet shows it."""
        shape = (1,) if one_element and self.shape == () and self.count else self.shape
        steps: Steps = (("window", (self.begin, self.count, self.step)),)
        return steps if shape == self.count else (*steps, ("reshape", (shape,)))


def read_key(key: Any, shape: Shape, array_type: type) -> Selection:
    """Read a key for an array of this shape.

    Raises
    ------
    IndexError
        If an index is out of bounds, or there are more than axes.
    TypeError
        If a key is of a type that selects nothing.
    """
    if isinstance(key, (list, array_type, np.ndarray)) and not (isinstance(key, np.ndarray) and key.ndim == 0):
        return Selection(rows=key)
    keys = list(key) if isinstance(key, tuple) else [key]
    for k in keys:
        if isinstance(k, (list, array_type)) or (isinstance(k, np.ndarray) and k.ndim):
            raise MXNetError("indexing with arrays beside other keys is not supported yet; use nd.take or nd.pick")
    given = sum(k is not None and k is not Ellipsis for k in keys)
    if given > len(shape):
        raise IndexOutOfRange(f"too many indices: {given} for an array of {len(shape)} dimensions")
    dots = [i for i, k in enumerate(keys) if k is Ellipsis]
    if len(dots) > 1:
        raise IndexOutOfRange("an index can only have a single ellipsis ('...')")
    at = dots[0] if dots else len(keys)
    keys[at : at + 1] = [slice(None)] * (len(shape) - given)

    begin: list[int] = []
    count: list[int] = []
    step: list[int] = []
    seen: list[int] = []
    for k in keys:
        if k is None:
            seen.append(1)
            continue
        n = shape[len(begin)]
        if isinstance(k, slice):
            try:
                first, last, stride = k.indices(n)
            except TypeError as error:
                raise DTypeError(f"a slice takes integers, not {k}") from error
            length = len(range(first, last, stride))
            seen.append(length)
        else:
            first, stride, length = _position(k, n, len(begin)), 1, 1
        begin.append(first)
        count.append(length)
        step.append(stride)
    whole = tuple(count) == shape and all(s == 1 for s in step)
    # Elements lie together where only axes of one element stand before the first partly selected one, and whole axes after it.
    several = next((i for i, n in enumerate(count) if n != 1), len(shape))
    shared = all(count[i] == shape[i] for i in range(several + 1, len(shape))) and all(s == 1 for s in step[several:])
    return Selection(tuple(begin), tuple(count), tuple(step), tuple(seen), shared, whole and tuple(seen) == shape)


def _position(key: Any, n: int, axis: int) -> int:
    if isinstance(key, (bool, np.bool_)):
        raise DTypeError("a bool is no index; use a bool array as a mask")
    try:
        position = key.__index__()
    except (AttributeError, TypeError) as error:
        raise DTypeError(f"an index is an integer, slice, None, Ellipsis or array, not {type(key).__name__}") from error
    if not -n <= position < n:
        raise IndexOutOfRange(f"index {position} is out of bounds for axis {axis} with size {n}")
    return int(position) % n if n else 0
