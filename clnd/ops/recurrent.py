"""Recurrent networks, as compositions: one product for what all times of a layer put in, then a small one for each time.

The cells are J. L. Elman's (1990); the LSTM of S. Hochreiter and J. Schmidhuber (1997) with the forget gate of F. A. Gers, J. Schmidhuber
and F. Cummins (2000) and the projection of H. Sak, A. Senior and F. Beaufays (2014); and the GRU of K. Cho et al. (2014), whose reset gate
is applied behind the product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, prod
from typing import Any, NamedTuple

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape
from clnd.errors import DTypeError, MXNetError, ShapeError

from .arithmetic import where
from .declare import composed, converted, registry
from .joining import concat, stack
from .parts import cut, unstacked
from .products import dot
from .random import Generator
from .shape import reshape

GATES = {"rnn_relu": 1, "rnn_tanh": 1, "lstm": 4, "gru": 3}

States = tuple[Value, ...]  # h, and for an LSTM c
Cell = Callable[[Value, States], States]  # from what the input gives at a time, and the states before, to the states


class Weights(NamedTuple):
    """What a layer has learnt for one direction."""

    input: Value  # (gates, inputs)
    hidden: Value  # (gates, outputs)
    projection: Value | None  # (outputs, size)
    input_bias: Value
    hidden_bias: Value


def _cell(mode: str, weights: Weights, bounds: tuple[float, float] | None, nan: bool) -> Cell:
    """One step of a network."""
    transposed = registry["transpose"](weights.hidden)
    hidden = registry["cast"](transposed, dtype=transposed.dtype)  # laid out once as it is read at each time
    sigmoid, tanh, activation = registry["sigmoid"], registry["tanh"], registry["relu" if mode == "rnn_relu" else "tanh"]

    def elman(given: Value, states: States) -> States:
        return (activation(given + dot(states[0], hidden)),)

    def lstm(given: Value, states: States) -> States:
        enter, forget, new, leave = _gates(given + dot(states[0], hidden), 4)
        c = sigmoid(forget) * states[1] + sigmoid(enter) * tanh(new)
        if bounds:
            c = registry["clip"](c, a_min=bounds[0], a_max=bounds[1])
            c = where(registry["isnan"](c), bounds[0], c) if nan else c
        h = sigmoid(leave) * tanh(c)
        return (h if weights.projection is None else dot(h, weights.projection, transpose_b=True)), c

    def gru(given: Value, states: States) -> States:
        (h,) = states
        reset, update, new = _gates(given, 3)
        hidden_reset, hidden_update, hidden_new = _gates(dot(h, hidden) + weights.hidden_bias, 3)
        new = tanh(new + sigmoid(reset + hidden_reset) * hidden_new)
        return (new + sigmoid(update + hidden_update) * (h - new),)

    return {"lstm": lstm, "gru": gru}.get(mode, elman)


def _gates(x: Value, count: int) -> Any:
    return cut(x, axis=1, sizes=(x.shape[1] // count,) * count)


def _direction(
    mode: str, cell: Cell, weights: Weights, data: Value, states: States, lasting: Sequence[Value] | None, backwards: bool
) -> tuple[Value, States]:
    """The outputs of a layer in one direction, (time, batch, outputs), and its last states.

    `lasting` tells for each time which sequences, (batch, 1), have not ended: others put out 0 and keep their states.
    """
    times, batch, inputs = data.shape
    bias = weights.input_bias if mode == "gru" else weights.input_bias + weights.hidden_bias
    given = dot(reshape(data, shape=(times * batch, inputs)), weights.input, transpose_b=True) + bias
    steps, outputs = unstacked(reshape(given, shape=(times, batch, weights.input.shape[0]))), [data] * times
    for t in reversed(range(times)) if backwards else range(times):
        found = cell(steps[t], states)
        if lasting is None:
            states, outputs[t] = found, found[0]
        else:
            states = tuple(where(lasting[t], new, old) for new, old in zip(found, states, strict=True))
            outputs[t] = where(lasting[t], found[0], 0.0)
    return stack(*outputs, axis=0), states


def _unpacked(
    parameters: Value, mode: str, inputs: int, size: int, outputs: int, layers: int, directions: int, projected: bool
) -> list[Weights]:
    """The weights of each layer and direction: the matrices of all of them come first, then the biases."""
    gates = GATES[mode] * size
    matrices: list[Shape] = []
    for layer in range(layers):
        columns = inputs if layer == 0 else outputs * directions
        one: list[Shape] = [(gates, columns), (gates, outputs), *([(outputs, size)] if projected else [])]
        matrices += one * directions
    shapes = matrices + [(gates,)] * (2 * layers * directions)
    sizes = tuple(prod(shape) for shape in shapes)
    if parameters.shape != (sum(sizes),):
        raise ShapeError(
            f"RNN: parameters of shape {parameters.shape}, not ({sum(sizes)},), for {layers} layer(s) of {mode} of size {size}, "
            f"{directions} direction(s) and {inputs} inputs"
        )
    flat: Any = cut(parameters, axis=0, sizes=sizes)
    parts = [reshape(part, shape=shape) for part, shape in zip(flat, shapes, strict=True)]
    each = 3 if projected else 2
    found = []
    for i in range(layers * directions):
        own, biases = parts[each * i : each * (i + 1)], parts[len(matrices) + 2 * i : len(matrices) + 2 * (i + 1)]
        found.append(Weights(own[0], own[1], own[2] if projected else None, *biases))
    return found


def _dropped(data: Value, p: float, generator: Generator | None) -> Value:
    """Elements put to 0 with probability `p`, and the others enlarged so that their sum may be expected to stay."""
    if generator is None:
        raise MXNetError("RNN: dropout needs a generator of random numbers")
    numbers = registry["random_uniform"](low=0, high=1, shape=data.shape, dtype=dtypes.float32, device=data.device, generator=generator)
    kept: Value = where(registry["greater_equal"](numbers, p), data / (1 - p) if p < 1 else data, 0.0)
    return kept


def _checked(
    data: Value, state: Value, state_cell: Value | None, sequence_length: Value | None, mode: str, rows: int, size: int, outputs: int
) -> None:
    """Complain about wrong shapes."""
    if data.ndim != 3 or not data.shape[0]:
        raise ShapeError(f"RNN: data (time, batch, inputs) with one time or more, not {data.shape}")
    wanted = {"state": (state, (rows, data.shape[1], outputs))}
    if mode == "lstm":
        if state_cell is None:
            raise DTypeError("RNN: mode lstm needs the array state_cell")
        wanted["state_cell"] = (state_cell, (rows, data.shape[1], size))
    for name, (given, shape) in wanted.items():
        if given.shape != shape:
            raise ShapeError(f"RNN: {name} has shape {given.shape}, but should have {shape}")
    if sequence_length is not None and sequence_length.shape != data.shape[1:2]:
        raise ShapeError(f"RNN: sequence_length of shape {sequence_length.shape} is not one length for each of {data.shape[1]} sequences")


@composed(methods=[])
def RNN(
    data: Value,
    parameters: Value,
    state: Value,
    state_cell: Value | None = None,
    sequence_length: Value | None = None,
    *,
    state_size: int,
    num_layers: int,
    mode: str,
    bidirectional: bool = False,
    p: float = 0.0,
    state_outputs: bool = False,
    projection_size: int | None = None,
    lstm_state_clip_min: float | None = None,
    lstm_state_clip_max: float | None = None,
    lstm_state_clip_nan: bool = False,
    generator: Generator | None = None,
) -> Any:
    """A recurrent network of several layers, through all times of a sequence.

    Parameters
    ----------
    data : array (time, batch, inputs)
    parameters : array of one axis
        For each layer and each direction the weights of the inputs (gates * state_size, inputs), those of the outputs before
        (gates * state_size, outputs), and with a projection its own (projection_size, state_size); then for each of them the biases that
        go with the first two. The gates of an LSTM are: enter, forget, new, leave; those of a GRU: reset, update, new.
    state, state_cell : array (layers * directions, batch, outputs or state_size)
        The first outputs, and for an LSTM the first cells.
    sequence_length : array (batch,), optional
        How many times of each sequence count: then come outputs of 0, and states stay as they are.
    mode : {"rnn_relu", "rnn_tanh", "lstm", "gru"}
    bidirectional : bool
        Does each layer also go backwards? The outputs of both directions stand side by side.
    p : float
        With what probability an output is left out, in training, before it goes to the next layer.
    state_outputs : bool
        Are the last states wanted, too? Then the result is a list: outputs, states, and for an LSTM cells.
    projection_size : int, optional
        The number of outputs of an LSTM, if not `state_size`.
    lstm_state_clip_min, lstm_state_clip_max : float, optional
        Bounds of the cells; with `lstm_state_clip_nan` NaN becomes the lower one.

    >>> from clnd import nd
    >>> x, weights, h = nd.ones((5, 2, 3)), nd.zeros((4 * (3 + 4) + 2 * 4,)), nd.ones((1, 2, 4))
    >>> nd.RNN(x, weights, h, state_size=4, num_layers=1, mode="rnn_tanh").shape
    (5, 2, 4)
    """
    if mode not in GATES:
        raise DTypeError(f"RNN: mode {mode!r} is not one of {', '.join(GATES)}")
    if num_layers < 1 or not 0 <= p <= 1:
        raise MXNetError(f"RNN: num_layers is at least 1 and p a probability, not {num_layers} and {p}")
    if projection_size is not None and mode != "lstm":
        raise DTypeError(f"RNN: only an LSTM has a projection, not {mode}")
    size, directions = int(state_size), 2 if bidirectional else 1
    outputs = size if projection_size is None else int(projection_size)
    _checked(data, state, state_cell, sequence_length, mode, num_layers * directions, size, outputs)
    all_weights = _unpacked(parameters, mode, data.shape[2], size, outputs, num_layers, directions, projection_size is not None)
    first = [unstacked(x) for x in ((state, state_cell) if mode == "lstm" else (state,)) if x is not None]
    lasting = None if sequence_length is None else _lasting(sequence_length, data.shape[0])
    bounds = None
    if lstm_state_clip_min is not None or lstm_state_clip_max is not None:
        bounds = (-inf if lstm_state_clip_min is None else lstm_state_clip_min, inf if lstm_state_clip_max is None else lstm_state_clip_max)
    last: list[States] = []
    for layer in range(num_layers):
        if layer and p > 0 and engine.state.training:
            data = _dropped(data, p, generator)
        found = []
        for i in range(layer * directions, (layer + 1) * directions):
            weights, states = all_weights[i], tuple(x[i] for x in first)
            cell = _cell(mode, weights, bounds, lstm_state_clip_nan)
            output, states = _direction(mode, cell, weights, data, states, lasting, backwards=i % directions == 1)
            found.append(output)
            last.append(states)
        data = found[0] if len(found) == 1 else concat(*found, dim=2)
    return [data, *(stack(*some, axis=0) for some in zip(*last, strict=True))] if state_outputs else data


def _lasting(lengths: Value, times: int) -> list[Value]:
    """Which sequences, (batch, 1), have not ended at each time."""
    whole = reshape(converted(lengths, dtypes.int64), shape=(lengths.size, 1))
    return [registry["greater"](whole, t) for t in range(times)]
