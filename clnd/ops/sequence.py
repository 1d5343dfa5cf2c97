"""Sequences of several lengths in one array, and attention between their elements."""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.errors import DTypeError, ShapeError

from .creation import along
from .declare import composed, converted, launched, normalize_axis, registry
from .shape import alias, reshape


def _lengths(name: str, data: Value, sequence_length: Value | None, axis: int) -> Value:
    """The lengths, one for each sequence, as whole numbers. Time is axis 0 of the data and the batch axis 1, or the other way round."""
    if sequence_length is None:
        raise DTypeError(f"{name}: use_sequence_length needs the array sequence_length")
    if sequence_length.shape != (data.shape[1 - axis],):
        raise ShapeError(
            f"{name}: sequence_length of shape {sequence_length.shape} is not one length for each of the {data.shape[1 - axis]} "
            f"sequences of data of shape {data.shape}"
        )
    return converted(sequence_length, dtypes.int64)


def _time_axis(name: str, data: Value, axis: int) -> int:
    if data.ndim < 2 or axis not in (0, 1):
        raise ShapeError(f"{name}: time is axis 0 or 1, and data has two axes or more; not axis {axis} of shape {data.shape}")
    return axis


def _row(lengths: Value, axis: int) -> Value:
    """The lengths, to be broadcast along the axis of time."""
    return reshape(lengths, shape=(1, lengths.size) if axis == 0 else (lengths.size, 1))


@composed(methods=[])
def SequenceMask(
    data: Value, sequence_length: Value | None = None, *, use_sequence_length: bool = False, value: float = 0.0, axis: int = 0
) -> Value:
    """`value` in place of all that comes after the end of each sequence.

    Parameters
    ----------
    sequence_length : array
        How many elements of each sequence count; with `use_sequence_length` False all do.
    axis : {0, 1}
        The axis of time; the other one of the two is that of the batch.

    >>> from clnd import nd
    >>> nd.SequenceMask(nd.array([[1, 2], [3, 4]]), nd.array([1, 2]), use_sequence_length=True).asnumpy()
    array([[1., 2.],
           [0., 4.]], dtype=float32)
    """
    axis = _time_axis("SequenceMask", data, axis)
    if not use_sequence_length:
        return alias(data)
    lengths = _lengths("SequenceMask", data, sequence_length, axis)
    counts = registry["less"](along(axis, 2, data.shape[axis], data.device), _row(lengths, axis))
    if data.ndim > 2:  # once for each element of a sequence, not for each of its numbers
        counts = reshape(engine.ready(counts), shape=(*counts.shape, *[1] * (data.ndim - 2)))
    fill = registry["full"](shape=(), value=value, dtype=data.dtype, device=data.device)
    masked: Value = registry["where"](counts, data, fill)
    return masked


@composed(methods=[])
def SequenceLast(data: Value, sequence_length: Value | None = None, *, use_sequence_length: bool = False, axis: int = 0) -> Value:
    """The last element of each sequence; of an empty one, and of one longer than `data`, the nearest that there is.

    Parameters
    ----------
    sequence_length : array
        How many elements of each sequence count; with `use_sequence_length` False all do.
    axis : {0, 1}
        The axis of time; the other one of the two is that of the batch.

    >>> from clnd import nd
    >>> nd.SequenceLast(nd.array([[1, 2], [3, 4]]), nd.array([1, 2]), use_sequence_length=True).asnumpy()
    array([1., 4.], dtype=float32)
    """
    axis = _time_axis("SequenceLast", data, axis)
    time, batch = data.shape[axis], data.shape[1 - axis]
    if not time:
        raise ShapeError(f"SequenceLast: sequences of no elements, in data of shape {data.shape}, have no last one")
    shape = (batch, *data.shape[2:])
    if not use_sequence_length:
        return reshape(registry["slice_axis"](data, axis=axis, begin=time - 1, end=time), shape=shape)
    last = _lengths("SequenceLast", data, sequence_length, axis) - 1
    last = registry["minimum"](registry["maximum"](last, 0), time - 1)
    number = along(0, 1, batch, data.device)
    place = last * batch + number if axis == 0 else number * time + last
    rows = reshape(data, shape=(time * batch, *data.shape[2:]))
    return reshape(registry["take"](rows, place), shape=shape)


@composed(methods=[])
def SequenceReverse(data: Value, sequence_length: Value | None = None, *, use_sequence_length: bool = False, axis: int = 0) -> Value:
    """Each sequence backwards; what comes after its end stays where it is.

    Parameters
    ----------
    sequence_length : array
        How many elements of each sequence count; with `use_sequence_length` False all do.
    axis : {0, 1}
        The axis of time; the other one of the two is that of the batch.

    >>> from clnd import nd
    >>> nd.SequenceReverse(nd.array([[1, 2], [3, 4]]), nd.array([1, 2]), use_sequence_length=True).asnumpy()
    array([[1., 4.],
           [3., 2.]], dtype=float32)
    """
    axis = _time_axis("SequenceReverse", data, axis)
    if not use_sequence_length:
        backwards: Value = registry["flip"](data, axis=axis)
        return backwards
    turned: Value = turned_sequences(data, _lengths("SequenceReverse", data, sequence_length, axis), axis=axis)
    return turned


@launched(grad=(lambda dz, lengths, axis: registry["turned_sequences"](dz, lengths, axis=axis),), numpy=None)
def turned_sequences(data: Value, lengths: Value, *, axis: int) -> Value:
    """The first so many elements of each sequence backwards: done twice it is undone, and so it is its own gradient."""
    time, batch = data.shape[axis], data.shape[1 - axis]
    if not data.size:
        return data
    step, number = along(axis, 2, time, data.device), along(1 - axis, 2, batch, data.device)
    ends = _row(registry["minimum"](lengths, time), axis)
    source = registry["where"](registry["less"](step, ends), ends - 1 - step, step)
    place = source * batch + number if axis == 0 else number * time + source
    rows = reshape(data, shape=(time * batch, *data.shape[2:]))
    return reshape(registry["take"](rows, reshape(place, shape=(time * batch,))), shape=data.shape)


def _interleaved(name: str, queries_keys_values: Value, heads: int) -> Value:
    """The queries, keys and values of each head: (time, batch, heads, 3, size of a head)."""
    shape = queries_keys_values.shape
    if len(shape) != 3 or heads < 1 or shape[2] % (3 * heads):
        raise ShapeError(f"{name}: an array (time, batch, {heads} heads * 3 * size) is needed, not one of shape {shape}")
    return reshape(queries_keys_values, shape=(*shape[:2], heads, 3, shape[2] // (3 * heads)))


def _one_of_three(interleaved: Value, number: int) -> Value:
    """Queries, keys or values as a stack of matrices (batch * heads, time, size)."""
    time, batch, heads, _, size = interleaved.shape
    part = registry["slice_axis"](interleaved, axis=3, begin=number, end=number + 1)
    part = registry["transpose"](reshape(part, shape=(time, batch, heads, size)), axes=(1, 2, 0, 3))
    return reshape(part, shape=(batch * heads, time, size))


@composed(methods=[])
def interleaved_matmul_selfatt_qk(queries_keys_values: Value, *, heads: int) -> Value:
    """The products of each query with each key, divided by the root of their size: (batch * heads, time, time).

    `queries_keys_values` has the shape (time, batch, heads * 3 * size): each head's query, key and value one after another.

    >>> from clnd import nd
    >>> nd.contrib.interleaved_matmul_selfatt_qk(nd.ones((5, 2, 24)), heads=2).shape
    (4, 5, 5)
    """
    parts = _interleaved("interleaved_matmul_selfatt_qk", queries_keys_values, heads)
    queries, keys = (_one_of_three(parts, i) for i in (0, 1))
    scores: Value = registry["batch_dot"](queries / sqrt(max(1, queries.shape[2])), keys, transpose_b=True)
    return scores


@composed(methods=[])
def interleaved_matmul_selfatt_valatt(queries_keys_values: Value, attention: Value, *, heads: int) -> Value:
    """The values weighted by `attention`, (batch * heads, time, time): (time, batch, heads * size).

    >>> from clnd import nd
    >>> nd.contrib.interleaved_matmul_selfatt_valatt(nd.ones((5, 2, 24)), nd.ones((4, 5, 5)), heads=2).shape
    (5, 2, 8)
    """
    parts = _interleaved("interleaved_matmul_selfatt_valatt", queries_keys_values, heads)
    time, batch, _, _, size = parts.shape
    if attention.shape != (batch * heads, time, time):
        raise ShapeError(
            f"interleaved_matmul_selfatt_valatt: attention of shape {attention.shape}, not {(batch * heads, time, time)}, "
            f"does not fit queries_keys_values of shape {queries_keys_values.shape} and {heads} heads"
        )
    weighted = registry["batch_dot"](attention, _one_of_three(parts, 2))
    weighted = registry["transpose"](reshape(weighted, shape=(batch, heads, time, size)), axes=(2, 0, 1, 3))
    return reshape(weighted, shape=(time, batch, heads * size))


@composed(methods=[])
def arange_like(data: Value, *, start: float = 0.0, step: float = 1.0, repeat: int = 1, axis: int | None = None) -> Value:
    """`start`, `start + step`, ..., each `repeat` times: as many as `data` has along `axis`, or with None, in the shape of `data`.

    >>> from clnd import nd
    >>> nd.contrib.arange_like(nd.zeros((2, 3)), axis=1).asnumpy()
    array([0., 1., 2.], dtype=float32)
    """
    if not isinstance(repeat, (int, np.integer)) or repeat < 1:
        raise ShapeError(f"arange_like: repeat must be 1 or more, not {repeat}")
    shape = data.shape if axis is None else (data.shape[normalize_axis("arange_like", axis, data.ndim)],)
    count = prod(shape)
    numbers: Any = registry["arange"](start=start, step=step, count=-(-count // repeat), dtype=data.dtype, device=data.device)
    if repeat > 1:
        numbers = registry["slice_axis"](registry["repeat"](numbers, repeats=int(repeat)), axis=0, begin=0, end=count)
    return reshape(numbers, shape=shape)
