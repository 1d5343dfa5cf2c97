"""What a key in square brackets selects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from clnd.engine.layout import Shape
from clnd.errors import DTypeError, IndexOutOfRange, ShapeError
from clnd.ops.shape import Steps


@dataclass
class Selection:
    """A window into an array, the shape that it is seen in, and the index arrays that pick from it.

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
    arrays : list of (int, array)
        Index arrays and masks, each with the axis of `spread` that it begins with.
    spread : tuple of int
        The shape of the window with an axis of one element for each integer and each None.
    integers : list of int
        The axes of `spread` that integers stand for.
    apart : bool
        Does an ellipsis, of no axes even, stand between integers and arrays?
    """

    begin: Shape = ()
    count: Shape = ()
    step: Shape = ()
    shape: Shape = ()
    shared: bool = False
    everything: bool = False
    arrays: list[tuple[int, Any]] = field(default_factory=list)
    spread: Shape = ()
    integers: list[int] = field(default_factory=list)
    apart: bool = False

    def window(self, shape: Shape) -> Steps:
        """The chain of views that shows the window in `shape`."""
        steps: Steps = (("window", (self.begin, self.count, self.step)),)
        return steps if shape == self.count else (*steps, ("reshape", (shape,)))

    def steps(self, one_element: bool = False) -> Steps:
        """The chain of views; an element selected by integers alone is seen as (1,) with `one_element`, as MXNet shows it."""
        return self.window((1,) if one_element and self.shape == () and self.count else self.shape)


def read_key(key: Any, shape: Shape, array_type: Any) -> Selection:
    """Read a key for an array of this shape. Nobody may change what is returned: it is kept for the next key of the kind.

    Raises
    ------
    IndexError
        If an index is out of bounds, or there are more than axes.
    TypeError
        If a key is of a type that selects nothing.
    """
    keys = key if isinstance(key, tuple) else (key,)
    plain = []
    for k in keys:
        kind = type(k)
        if kind is slice:
            parts = (k.start, k.stop, k.step)
            if not _PLAIN.issuperset(map(type, parts)):
                return _read(keys, shape, array_type)
            plain.append(parts)
        elif kind is int or k is None or k is Ellipsis:
            plain.append(k)
        else:
            return _read(keys, shape, array_type)
    return _read_plain(tuple(plain), shape, array_type)


_PLAIN = frozenset([int, type(None)])


@lru_cache(maxsize=4096)
def _read_plain(keys: tuple[Any, ...], shape: Shape, array_type: Any) -> Selection:
    """Read a key of ints, None, Ellipsis, and slices as their three parts."""
    return _read([slice(*k) if type(k) is tuple else k for k in keys], shape, array_type)


def _read(given_keys: Sequence[Any], shape: Shape, array_type: Any) -> Selection:
    keys = [_array(k, array_type) for k in given_keys]
    given = sum(_width(k, array_type) for k in keys)
    if given > len(shape):
        raise IndexOutOfRange(f"too many indices: {given} for an array of {len(shape)} dimensions")
    dots = [i for i, k in enumerate(keys) if k is Ellipsis]
    if len(dots) > 1:
        raise IndexOutOfRange("an index can only have a single ellipsis ('...')")
    at = dots[0] if dots else len(keys)
    apart = all(any(k is not None and not isinstance(k, slice) for k in side) for side in (keys[:at], keys[at + 1 :]))
    keys[at : at + 1] = [slice(None)] * (len(shape) - given)

    found = Selection(apart=apart)
    begin, count, step, seen, spread = [], [], [], [], []  # type: ignore[var-annotated]
    for k in keys:
        if k is None:
            seen.append(1)
            spread.append(1)
            continue
        axis = len(begin)
        if isinstance(k, slice):
            try:
                first, last, stride = k.indices(shape[axis])
            except TypeError as error:
                raise DTypeError(f"a slice takes integers, not {k}") from error
            except ValueError as error:
                raise ShapeError(f"{k}: {error}") from error
            lengths = [len(range(first, last, stride))]
            seen += lengths
        elif isinstance(k, (array_type, np.ndarray)) and not _is_number(k, array_type):
            width = _width(k, array_type)
            first, stride, lengths = 0, 1, list(shape[axis : axis + width])
            if _is_mask(k) and k.shape != tuple(lengths):
                raise IndexOutOfRange(f"a mask of shape {k.shape} does not fit axes of {tuple(lengths)} elements")
            found.arrays.append((len(spread), k))
        else:
            first, stride, lengths = _position(k, shape[axis], axis), 1, [1]
            found.integers.append(len(spread))
        begin += [first] * len(lengths)
        count += lengths
        step += [stride if n > 1 else 1 for n in lengths]
        spread += lengths
    found.begin, found.count, found.step, found.shape, found.spread = map(tuple, (begin, count, step, seen, spread))
    whole = found.count == shape and all(s == 1 for s in step)
    # Elements lie together where only axes of one element stand before the first partly selected one, and whole axes after it.
    several = next((i for i, n in enumerate(count) if n != 1), len(shape))
    found.shared = all(count[i] == shape[i] for i in range(several + 1, len(shape))) and all(s == 1 for s in step[several:])
    found.everything = whole and (found.shape == shape or bool(found.arrays))
    return found


def _array(key: Any, array_type: Any) -> Any:
    """A list, tuple or range as an array; other keys as they are."""
    if not isinstance(key, (list, tuple, range)):
        return key
    try:
        return np.asarray([k.asnumpy() if isinstance(k, array_type) else k for k in key])
    except ValueError as error:
        raise DTypeError(f"a list in square brackets is no array: {error}") from error


def _is_number(key: Any, array_type: Any) -> bool:
    """Is it NumPy's array of one number?"""
    return not isinstance(key, array_type) and key.ndim == 0


def _is_mask(key: Any) -> bool:
    return bool(key.ndim and np.dtype(key.dtype) == np.bool_)


def _width(key: Any, array_type: Any) -> int:
    """How many axes a key is for."""
    if key is None or key is Ellipsis:
        return 0
    return key.ndim if isinstance(key, (array_type, np.ndarray)) and _is_mask(key) else 1


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
