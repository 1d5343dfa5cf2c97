"""Recurrent networks: one product for what all times of a layer put in, then a kernel that goes through the times.

The cells are J. L. Elman's (1990); the LSTM of S. Hochreiter and J. Schmidhuber (1997) with the forget gate of F. A. Gers, J. Schmidhuber
and F. Cummins (2000) and the projection of H. Sak, A. Senior and F. Beaufays (2014); and the GRU of K. Cho et al. (2014), whose reset gate
is applied behind the product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf, prod
from typing import Any, NamedTuple

from clnd import engine
from clnd.engine import Record, Value, dtypes, state
from clnd.engine.layout import Shape, compact
from clnd.errors import DTypeError, MXNetError, ShapeError

from .arithmetic import where
from .declare import Operator, composed, converted, recorded, registry, widened
from .joining import concat, stack
from .parts import cut, derived, part_of, unstacked
from .product_plans import Lines, into_panels, lanes_of, many_registers
from .products import dot
from .random import Generator
from .shape import reshape

GATES = {"rnn_relu": 1, "rnn_tanh": 1, "lstm": 4, "gru": 3}
KEPT = {"lstm": 4, "gru": 4}  # numbers for each element of a state that the way back reads
SUMS = 16  # of a tile of the forward kernel
DIVISIBLE = 1 << 19  # products of one step that are worth a launch for it, where rows alone do not divide the work well
NEAR = 1 << 19  # weights that a compute unit's caches hold
MOST_ROUNDS = 4 * engine.ROUNDS  # of a work-item; a round of these loops is one of the driver's, not a run of lanes

States = tuple[Value, ...]  # h, and for an LSTM c
Cell = Callable[[Value, States], States]  # from what the input gives at a time, and the states before, to the states


class Weights(NamedTuple):
    """What a layer has learnt for one direction."""

    input: Value  # (gates, inputs)
    hidden: Value  # (gates, outputs)
    projection: Value | None  # (outputs, size)
    input_bias: Value
    hidden_bias: Value


class Bounds(NamedTuple):
    """Between what an LSTM's cells are kept; `nan` says that NaN becomes the lower one."""

    low: float
    high: float
    nan: bool


def _cell(mode: str, hidden: Value, bias: Value, projection: Value | None, bounds: Bounds | None) -> Cell:
    """One step of a network. The bias is that of the product with the states before."""
    transposed = registry["transpose"](hidden)
    hidden = registry["cast"](transposed, dtype=transposed.dtype)  # laid out once as it is read at each time
    sigmoid, tanh, activation = registry["sigmoid"], registry["tanh"], registry["relu" if mode == "rnn_relu" else "tanh"]

    def elman(given: Value, states: States) -> States:
        return (activation(given + (dot(states[0], hidden) + bias)),)

    def lstm(given: Value, states: States) -> States:
        enter, forget, new, leave = _gates(given + (dot(states[0], hidden) + bias), 4)
        c = sigmoid(forget) * states[1] + sigmoid(enter) * tanh(new)
        if bounds:
            c = registry["clip"](c, a_min=bounds.low, a_max=bounds.high)
            c = where(registry["isnan"](c), bounds.low, c) if bounds.nan else c
        h = sigmoid(leave) * tanh(c)
        return (h if projection is None else dot(h, projection, transpose_b=True)), c

    def gru(given: Value, states: States) -> States:
        (h,) = states
        reset, update, new = _gates(given, 3)
        hidden_reset, hidden_update, hidden_new = _gates(dot(h, hidden) + bias, 3)
        new = tanh(new + sigmoid(reset + hidden_reset) * hidden_new)
        return (new + sigmoid(update + hidden_update) * (h - new),)

    return {"lstm": lstm, "gru": gru}.get(mode, elman)


def _gates(x: Value, count: int) -> Any:
    return cut(x, axis=1, sizes=(x.shape[1] // count,) * count)


def _one_by_one(cell: Cell, given: Value, states: States, lasting: Sequence[Value] | None, backwards: bool) -> tuple[Value, States]:
    """The states h after each time, (time, batch, outputs), and the last states, as a composition of operators.

    `lasting` tells for each time which sequences, (batch, 1), have not ended: others keep their states.
    """
    times = given.shape[0]
    steps, outputs = unstacked(given), [given] * times
    for t in reversed(range(times)) if backwards else range(times):
        found = cell(steps[t], states)
        if lasting is not None:
            found = tuple(where(lasting[t], new, old) for new, old in zip(found, states, strict=True))
        states, outputs[t] = found, found[0]
    return stack(*outputs, axis=0), states


def _direction(
    mode: str, weights: Weights, data: Value, states: States, lengths: Value | None, bounds: Bounds | None, backwards: bool
) -> tuple[Value, States]:
    """The outputs of a layer in one direction, (time, batch, outputs), and its last states.

    Sequences that have ended put out 0 and keep their states.
    """
    times, batch, inputs = data.shape
    given = reshape(
        dot(reshape(data, shape=(times * batch, inputs)), weights.input, transpose_b=True), shape=(times, batch, weights.input.shape[0])
    )
    bias = weights.hidden_bias
    if mode == "gru":
        given = given + weights.input_bias
    else:
        bias = weights.input_bias + bias
    if weights.projection is None and bounds is None and batch and weights.hidden.size:
        outputs, *last = recurrent_layer(given, weights.hidden, bias, *states, lengths=lengths, mode=mode, backwards=backwards)
    else:
        lasting = None if lengths is None else _lasting(lengths, times)
        cell = _cell(mode, weights.hidden, bias, weights.projection, bounds)
        outputs, last = _one_by_one(cell, given, states, lasting, backwards)
    if lengths is not None:
        outputs = where(reshape(stack(*_lasting(lengths, times), axis=0), shape=(times, batch, 1)), outputs, 0.0)
    return outputs, tuple(last)


class Layer(Operator):
    """Gives a list: the states h after each time, the last of them, and for an LSTM the last cells.

    Its record's inputs are its own, and behind them what the kernel kept for the way back.
    """

    def __call__(self, *arrays: Any, **attrs: Any) -> Any:
        """Launch the kernel, for as many steps at a time as a launch may take."""
        lengths = attrs.pop("lengths")
        mode, backwards = attrs["mode"], attrs["backwards"]
        device = self.device([*arrays, *([] if lengths is None else [lengths])])
        dtype, inputs = widened(*arrays)
        wide = inputs[0].dtype
        given, hidden, bias, *first = (engine.gathered(x) for x in inputs)
        times, batch, _ = given.shape
        size = hidden.shape[1]
        if lengths is not None:
            lengths = converted(registry["clip"](converted(lengths, dtypes.int64), a_min=0, a_max=times), dtypes.int32)
            lengths = engine.gathered(lengths)
        keep = state.recording and any(x.traced for x in inputs)
        states = _room((times + 1, batch, size), given)
        cells = _room(states.shape, given) if mode == "lstm" else states
        kept = _room((times, batch, KEPT[mode], size), given) if keep and mode in KEPT else states
        with engine.called("RNN"):
            plan = _plan("forward", device, wide, mode, lengths is not None, (times, batch, size), [given, bias, *first])
            firsts = [argument for x in (first[0], first[-1]) for argument in (x.buffer, x.offset)]
            read = (given.buffer, given.offset, plan.weights(device, wide, hidden), bias.buffer, bias.offset, *firsts)
            fixed = (states.buffer, cells.buffer, kept.buffer, *read, int(keep), *_mask(lengths, states))
            plan.launch((*fixed, times, batch, size, int(backwards)), times)
        last = 0 if backwards else times
        parts = [_window(states, 1 - int(backwards), (times, batch, size)), _window(states, last, (batch, size))]
        if mode == "lstm":
            parts.append(_window(cells, last, (batch, size)))
        whole = Value(states.shape, wide, device)
        whole.strides = ()
        more = () if lengths is None else (lengths,)
        whole = recorded(self, (*inputs, *more, states, cells, kept), attrs, whole)
        if whole.record is not None:
            parts = [part_of(whole, number, part) for number, part in enumerate(parts)]
        return [converted(part, dtype) for part in parts]

    @property
    def differentiable(self) -> bool:
        """It has a gradient of its own."""
        return True

    def saves(self, record: Record) -> tuple[frozenset[int], bool]:
        """All."""
        return frozenset(range(len(record.inputs))), False

    def gradients(self, record: Record, dz: Any) -> list[tuple[Value, Value]]:
        """Go the way back through the times; where that is recorded, as a composition."""
        mode, backwards = record.attrs["mode"], record.attrs["backwards"]
        count = 5 if mode == "lstm" else 4
        own, (*more, states, cells, kept) = record.inputs[:count], record.inputs[count:]
        lengths = more[0] if more else None
        if not state.recording:
            with engine.called("RNN"):
                return _way_back(mode, backwards, own, lengths, (states, cells, kept), dz)

        def composition(given: Value, hidden: Value, bias: Value, *first: Value) -> Sequence[Value]:
            lasting = None if lengths is None else _lasting(lengths, given.shape[0])
            outputs, last = _one_by_one(_cell(mode, hidden, bias, None, None), given, first, lasting, backwards)
            return [outputs, *last]

        return derived(composition, own, dz)


def _way_back(
    mode: str, backwards: bool, own: Sequence[Value], lengths: Value | None, found: Sequence[Value], dz: Any
) -> list[tuple[Value, Value]]:
    """The gradients of a layer's inputs, by a kernel, from what the way there has `found`: states, cells and what was kept."""
    (given, hidden, bias, *first), (states, cells, kept) = own, found
    device, wide = given.device, given.dtype
    (times, batch, columns), size = given.shape, hidden.shape[1]

    def arrived(part: int, shape: Shape) -> Any:
        return dz[part] if part in dz else registry["full"](shape=shape, value=0, dtype=wide, device=device)

    d_output = engine.gathered(arrived(0, (times, batch, size)))
    ends = [engine.copied(arrived(number, (batch, size))) for number in range(1, len(first) + 1)]
    d_given = _room(given.shape, given)
    d_hidden = _room(given.shape, given) if mode == "gru" else d_given
    plan = _plan("backward", device, wide, mode, lengths is not None, (times, batch, size), [d_output])
    weights = plan.weights(device, wide, engine.ready(hidden))
    gradients = (d_given.buffer, d_hidden.buffer, ends[0].buffer, ends[-1].buffer, d_output.buffer, d_output.offset)
    fixed = (*gradients, states.buffer, cells.buffer, kept.buffer, weights, *_mask(lengths, states))
    plan.launch((*fixed, times, batch, size, int(backwards)), times + 1)
    results: list[Value | None] = [d_given, None, None, *ends]
    products = reshape(d_hidden, shape=(times * batch, columns))
    if hidden.traced:
        before = _window(states, int(backwards), (times, batch, size))
        results[1] = dot(products, reshape(before, shape=(times * batch, size)), transpose_a=True)
    if bias.traced:
        results[2] = registry["sum"](products, axis=0)
    return [(x, dx) for x, dx in zip(own, results, strict=True) if x.traced and dx is not None]


def _room(shape: Shape, like: Value) -> Value:
    """Elements of any content."""
    buffer = like.device.allocate(prod(shape) * like.dtype.itemsize)
    return Value(shape, like.dtype, like.device).place(buffer, compact(shape))


def _mask(lengths: Value | None, other: Value) -> tuple[Any, int]:
    """The arguments that tell lengths; something where there are none, which the kernel does not read."""
    return (other.buffer, 0) if lengths is None else (lengths.buffer, lengths.offset)


def _window(value: Value, first: int, shape: Shape) -> Value:
    """Elements of a compact value from its part `first` on."""
    layout = compact(shape)
    return Value(shape, value.dtype, value.device).place(value.buffer, layout._replace(offset=value.offset + first * prod(value.shape[1:])))


@partial(Layer, methods=[])
def recurrent_layer(given: Value, hidden: Value, bias: Value, *states: Value, lengths: Value | None, mode: str, backwards: bool) -> None:
    """A layer in one direction: from what the input gives at each time, (time, batch, gates * size), the weights of the states before,
    (gates * size, size), and their bias.

    `lengths` tells how many times of each sequence count; in others states stay as they are.
    """


class Plan(NamedTuple):
    """How the times are gone through: the kernel, its grid, how its weights lie, how many steps a launch takes, and operations a step."""

    kernel: Any
    grid: tuple[int, ...]
    group: tuple[int, ...] | None
    width: int | None  # of the weights' panels; None where there are none
    forward: bool
    steps: int
    shares: int
    operations: int

    def weights(self, device: Any, dtype: Any, hidden: Value) -> Any:
        """The buffer of the weights as the kernel reads them."""
        gates, size = hidden.shape
        row, column = hidden.strides  # type: ignore[misc]
        if self.width is None:
            return engine.copied(engine.ready(registry["transpose"](hidden)) if self.forward else hidden).buffer
        lines = (
            Lines((gates // size, size, size), (size * row, row, column), hidden.offset)
            if self.forward
            else Lines((1, size, gates), (0, column, row), hidden.offset)
        )
        index = engine.index_type([engine.Layout(*lines)], gates * (size + self.width))
        packed = into_panels(device, dtype, index, lines, lanes_of(device, dtype), self.width)
        panels = device.allocate(packed.nbytes)
        packed.kernel(packed.grid, (1,), panels, hidden.buffer, *packed.numbers)
        return panels

    def launch(self, arguments: tuple[Any, ...], steps: int) -> None:
        """Put all steps into the queue."""
        for begin in range(0, steps, self.steps):
            end = min(steps, begin + self.steps)
            multiplied = end - begin - (begin == 0 and not self.forward)  # on the way back the first step has none after it
            engine.operations(self.operations * multiplied)
            self.kernel(self.grid, self.group, *arguments, begin, end, self.shares)


def _plan(form: str, device: Any, dtype: Any, mode: str, masked: bool, shape: Shape, read: Sequence[Value] = ()) -> Plan:
    """How a way through `shape`, (time, batch, size), is gone, for the arrays that are `read`."""
    times, batch, size = shape
    engine.check_dtype(dtype, device, "RNN")
    traits, gates = device.traits, GATES[mode]
    index = engine.index_type([x.layout for x in read], max((times + 1) * batch, size + 128) * size * 4)
    lanes, (rows, columns) = (lanes_of(device, dtype), (8 if many_registers(device) else 4, 2)) if traits.schedule == "cpu" else (1, (1, 1))
    forward = form == "forward"
    if forward:
        rows = max(2, SUMS * rows // (8 * gates))
    numbers = ("buffer", index) * 2
    first = ("buffer",) * 4 + (index, "buffer", "buffer", index, *numbers, "int") if forward else ("buffer",) * 5 + (index, *["buffer"] * 4)
    kernel = engine.kept(
        (device, "recurrent", form, dtype, mode, masked, index),
        lambda: device.kernel(
            "recurrent",
            f"{mode}_{form}__{dtype}",
            arguments=(*first, "buffer", index, "int", index, index, "int", "int", "int", index),
            index=index,
            wide=dtypes.INFO[dtype].compute,
            lanes=lanes,
            form=form,
            mode=mode,
            masked=masked,
            rows=rows,
            columns=columns,
        ),
    )
    products = 2 * batch * gates * size * size  # with the weights; the cells' own work is little beside them
    if traits.schedule == "gpu":
        return Plan(kernel, *engine.grid(traits, batch * size), None, forward, 1, 1, products)
    width = lanes if forward else lanes * columns
    tile = (size if forward else size * gates) // 4 + 8 + rows * columns  # rounds
    shares, across, steps = _work(
        traits.compute_units, -(-batch // rows), -(-size // width), batch, gates * size * size, tile, rows * lanes
    )
    return Plan(kernel, (shares * across,), (1,), width, forward, steps, shares, products)


def _work(units: int, blocks: int, panels: int, batch: int, weights: int, tile: int, elements: int) -> tuple[int, int, int]:
    """Among how many work-items the blocks of rows are divided, and the panels of columns; and how many steps a launch takes.

    Parameters
    ----------
    weights : int
        How many there are.
    tile, elements : int
        Rounds for a tile, and its elements, which the last panel may take one by one.
    """
    shares, across = min(blocks, units), 1
    if batch * weights >= DIVISIBLE:
        shares = shares if weights <= NEAR else 1  # what is not near is read by one work-item for all rows
        across = min(panels, units // shares)

    def rounds() -> int:
        return -(-blocks // shares) * (-(-panels // across) * tile + 16 * elements)

    while rounds() > MOST_ROUNDS and (across < panels or shares < blocks):
        shares, across = (shares, min(panels, 2 * across)) if across < panels else (min(blocks, 2 * shares), across)
    return shares, across, 1 if across > 1 else max(1, MOST_ROUNDS // rounds())


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
    bounds = None
    if mode == "lstm" and (lstm_state_clip_min is not None or lstm_state_clip_max is not None):
        low = -inf if lstm_state_clip_min is None else lstm_state_clip_min
        bounds = Bounds(low, inf if lstm_state_clip_max is None else lstm_state_clip_max, lstm_state_clip_nan)
    last: list[States] = []
    for layer in range(num_layers):
        if layer and p > 0 and engine.state.training:
            data = _dropped(data, p, generator)
        found = []
        for i in range(layer * directions, (layer + 1) * directions):
            weights, states = all_weights[i], tuple(x[i] for x in first)
            output, states = _direction(mode, weights, data, states, sequence_length, bounds, backwards=i % directions == 1)
            found.append(output)
            last.append(states)
        data = found[0] if len(found) == 1 else concat(*found, dim=2)
    return [data, *(stack(*some, axis=0) for some in zip(*last, strict=True))] if state_outputs else data


def _lasting(lengths: Value, times: int) -> list[Value]:
    """Which sequences, (batch, 1), have not ended at each time."""
    whole = reshape(converted(lengths, dtypes.int64), shape=(lengths.size, 1))
    return [registry["greater"](whole, t) for t in range(times)]
