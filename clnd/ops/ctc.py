"""Connectionist temporal classification: A. Graves, S. Fernandez, F. Gomez and J. Schmidhuber (ICML 2006).

A path goes through the labels with a blank before, between and behind them, 2 * L + 1 states. What flows back through the recursion over
the paths is a linear recursion, and what flows back through that is one again, so that the loss can be differentiated to any order.
"""

from __future__ import annotations

from math import inf
from typing import Any

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape, compact
from clnd.errors import DTypeError, ShapeError

from .creation import along
from .declare import composed, converted, launched, registry
from .joining import stack
from .network import log_softmax
from .shape import assign, reshape, stop_gradient, window

IMPOSSIBLE = -1e30  # a logarithm that softmax makes 0 of, even where there are no others


def _recursion(kind: str, data: Value, ways: Value) -> Value:
    """Launch the template, on a CPU for as many times as a work-item may take, else for one time after another."""
    data, ways = engine.gathered(data), engine.gathered(ways)
    times, batch, states = data.shape
    result, row = Value(data.shape, data.dtype, data.device), batch * states
    if result.size == 0:
        return result
    device = data.device
    kernel = device.kernel(
        "ctc",
        f"ctc_{kind}__{data.dtype}",
        arguments=("buffer", "buffer", "long", "buffer", *["long"] * 6),
        storage=dtypes.INFO[data.dtype].storage,
        kind=kind,
    )
    buffer = device.allocate(result.size * data.dtype.itemsize)
    grid, steps = engine.grid(device.traits, row, engine.ROUNDS // device.traits.lanes), 1
    if device.traits.schedule == "cpu":
        items = min(batch, max(2 * device.traits.compute_units, batch * states // engine.ROUNDS))
        grid, steps = ((items,), (1,)), max(1, engine.ROUNDS // (-(-batch // items) * states))
    arguments = (buffer, data.buffer, data.offset, ways.buffer, ways.offset)
    for first in range(0, times, steps):
        t = times - 1 - first if kind == "backward" else first
        kernel(*grid, *arguments, t, min(steps, times - first), times, row, states)
    return result.place(buffer, compact(result.shape))


@launched(
    grad=(lambda dz, z, skips: registry["ctc_flow"](dz, _shares(z, skips), backwards=True),),
    numpy=None,
)
def ctc_paths(emissions: Value, skips: Value) -> Value:
    """The logarithm of the probability of all paths that are in a state at a time, (time, batch, state).

    `emissions` are the logarithms of what each state emits; `skips`, (batch, state), says whether two states before a state lead to it.
    """
    return _recursion("paths", emissions, converted(skips, dtypes.bool_))


def _shares(paths: Value, skips: Value) -> Value:
    """Which part of the paths into a state comes from how many states before: (0 to 2, time, batch, state)."""
    before = [_shifted(paths, k, -inf) for k in range(3)]
    before[2] = registry["where"](skips, before[2], -inf)
    logs = stack(*before, axis=0)
    possible = registry["not_equal"](logs, -inf)
    shares: Value = registry["softmax"](registry["where"](possible, logs, IMPOSSIBLE), axis=0)
    return registry["where"](possible, shares, 0.0)


def _shifted(x: Value, by: int, fill: float) -> Value:
    """x[t - 1, n, s - by] at [t, n, s], and `fill` where there is none."""
    times, batch, states = x.shape
    count, one = (max(0, times - 1), batch, max(0, states - by)), (1, 1, 1)
    base = registry["full"](shape=x.shape, value=fill, dtype=x.dtype, device=x.device)
    return assign(base, window(x, begin=(0, 0, 0), count=count, step=one), steps=(("window", ((1, 0, by), count, one)),))


@launched(
    grad=(
        lambda dz, weights, backwards: registry["ctc_flow"](dz, weights, backwards=not backwards),
        lambda dz, z, weights, backwards: _products(dz, z, weights, backwards),
    ),
    numpy=None,
)
def ctc_flow(data: Value, weights: Value, *, backwards: bool) -> Value:
    """`data` and, weighted, what comes from the time before and from up to two states before; or `backwards` the same way back."""
    return _recursion("backward" if backwards else "forward", data, weights)


def _products(dz: Value, z: Value, weights: Value, backwards: bool) -> Value:
    """The gradient of the weights: what a weight multiplies, times what arrives where it adds that."""
    arrived = ctc_flow(dz, weights, backwards=not backwards)
    source, target = (arrived, z) if backwards else (z, arrived)
    products: Value = stack(*(target * _shifted(source, k, 0.0) for k in range(3)), axis=0)
    return products


def _filled(shape: Shape, value: Any, dtype: Any, like: Value) -> Value:
    filled: Value = registry["full"](shape=shape, value=value, dtype=dtype, device=like.device)
    return filled


def _lengths(lengths: Value, name: str, batch: int, most: int) -> Value:
    """Lengths as whole numbers from 0 to `most`."""
    if lengths.shape != (batch,):
        raise ShapeError(f"CTCLoss: {name} of shape {lengths.shape} is not one length for each of {batch} sequences")
    bounded: Value = registry["clip"](converted(lengths, dtypes.int64), a_min=0, a_max=most)
    return bounded


def _states(labels: Value, blank: int, classes: int) -> tuple[Value, Value]:
    """Of the states of a path, (batch, 2 * L + 1): where in a row of batch and classes they are emitted, and can two before lead there?"""
    labels = engine.gathered(labels)
    (batch, most), device = labels.shape, labels.device
    places, skips = (Value((batch, 2 * most + 1), dtype, device) for dtype in (dtypes.int64, dtypes.bool_))
    kernel = device.kernel("ctc_states", "ctc_states", arguments=("buffer", "buffer", "buffer", *["long"] * 5))
    for value in (places, skips):
        value.place(device.allocate(value.size * value.dtype.itemsize), compact(value.shape))
    given = labels if most else places  # where there are no labels, none are read
    sizes = engine.grid(device.traits, places.size, engine.ROUNDS // device.traits.lanes)
    kernel(*sizes, places.buffer, skips.buffer, given.buffer, given.offset, batch, most, classes, blank)
    return places, skips


def _before_filling(labels: Value, filling: int) -> Value:
    """How many labels stand before the first number that only fills up."""
    batch, most = labels.shape
    if not most:
        return _filled((batch,), 0, labels.dtype, labels)
    places = registry["where"](registry["equal"](labels, filling), along(0, 1, most, labels.device, dtypes.int32), most)
    return converted(registry["min"](places, axis=1), labels.dtype)


@composed(methods=[])
def CTCLoss(
    data: Value, label: Value, data_lengths: Value | None = None, label_lengths: Value | None = None, *, blank_label: str = "first"
) -> Value:
    """Minus the logarithm of the probability that the classes `data` speaks of, without repetitions and blanks, are those of `label`.

    Parameters
    ----------
    data : array (time, batch, classes)
        Before softmax.
    label : array (batch, L)
        Class numbers, filled up with 0, or -1 if the blank is the last class.
    data_lengths, label_lengths : array (batch,), optional
        How many times and how many labels count; without `label_lengths` those before the first number that fills up.
    blank_label : {"first", "last"}
        Which class is the blank.

    Returns
    -------
    array (batch,)
        0, with gradient 0, where there are more labels than the times can hold.

    >>> from clnd import nd
    >>> nd.CTCLoss(nd.zeros((2, 1, 2)), nd.array([[1]])).asnumpy()
    array([0.2876821], dtype=float32)
    """
    if blank_label not in ("first", "last"):
        raise DTypeError(f"CTCLoss: blank_label {blank_label!r} is neither 'first' nor 'last'")
    if data.ndim != 3 or label.ndim != 2 or label.shape[0] != data.shape[1] or not data.shape[2]:
        raise ShapeError(f"CTCLoss: data (time, batch, classes) and label (batch, labels), not {data.shape} and {label.shape}")
    (times, batch, classes), most = data.shape, label.shape[1]
    dtype = dtypes.floating(data.dtype)
    if not data.size:
        return _filled((batch,), 0, dtype, data)
    blank, filling = (0, 0) if blank_label == "first" else (classes - 1, -1)
    labels = converted(label, dtypes.int64)
    length = _before_filling(labels, filling) if label_lengths is None else _lengths(label_lengths, "label_lengths", batch, most)
    duration = (
        _filled((batch,), times, dtypes.int64, data) if data_lengths is None else _lengths(data_lengths, "data_lengths", batch, times)
    )
    logs = log_softmax(converted(data, dtypes.promote(dtype, dtypes.float32)), axis=2)
    places, skips = _states(labels, blank, classes)
    emissions = registry["take"](reshape(logs, shape=(times, batch * classes)), places, axis=1)
    return converted(_loss(ctc_paths(emissions, skips), length, duration), dtype)


def _loss(paths: Value, length: Value, duration: Value) -> Value:
    """Minus the logarithm of the probability of the paths that end, when their time is over, in the last label or the blank behind it.

    0 where there are none.
    """
    _, batch, states = paths.shape
    flat = reshape(paths, shape=(paths.size,))
    begin = ((registry["maximum"](duration, 1) - 1) * batch + along(0, 1, batch, paths.device)) * states
    blank, label = (registry["take"](flat, begin + registry["maximum"](2 * length - back, 0)) for back in (0, 1))
    label = registry["where"](registry["equal"](length, 0), -inf, label)
    most = stop_gradient(registry["maximum"](blank, label))
    possible = registry["logical_and"](registry["not_equal"](most, -inf), registry["greater"](duration, 0))
    blank, label, most = (registry["where"](possible, x, 0.0) for x in (blank, label, most))
    total = most + registry["log"](registry["exp"](blank - most) + registry["exp"](label - most))
    loss: Value = registry["where"](possible, -total, 0.0)
    return loss
