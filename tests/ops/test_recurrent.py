"""Recurrent networks against NumPy, and the parts of arrays that they are made of."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, engine, nd
from clnd.ndarray import NDArray
from clnd.ops import registry
from clnd.ops.parts import unstacked
from clnd.ops.recurrent import MOST_ROUNDS, _plan, _work
from measures import CONTEXTS, allocated, launches
from ops.gradients import check_gradients
from ops.test_schedules import forced

GATES = {"rnn_relu": 1, "rnn_tanh": 1, "lstm": 4, "gru": 3}
TIMES, BATCH, INPUTS, SIZE = 4, 3, 2, 3


@pytest.fixture(params=CONTEXTS, ids=str)
def context(request):
    return request.param


@pytest.fixture
def generator(seeded):
    return np.random.default_rng(seeded)


# --- the networks, step by step ---


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(mode, x, h, c, weights, clip):
    """The next output and cell."""
    given, hidden = x @ weights["input"].T + weights["input_bias"], h @ weights["hidden"].T + weights["hidden_bias"]
    if mode.startswith("rnn"):
        return (np.tanh if mode == "rnn_tanh" else lambda x: np.maximum(x, 0))(given + hidden), c
    if mode == "lstm":
        enter, forget, new, leave = np.split(given + hidden, 4, 1)
        c = np.clip(sigmoid(forget) * c + sigmoid(enter) * np.tanh(new), *clip)
        h = sigmoid(leave) * np.tanh(c)
        return (h @ weights["projection"].T if "projection" in weights else h), c
    reset, update, new = np.split(given, 3, 1)
    hidden_reset, hidden_update, hidden_new = np.split(hidden, 3, 1)
    update = sigmoid(update + hidden_update)
    return (1 - update) * np.tanh(new + sigmoid(reset + hidden_reset) * hidden_new) + update * h, c


def unpacked(parameters, mode, layers, directions, projection):
    """A dictionary for each layer and direction."""
    outputs, rows, at, found = projection or SIZE, GATES[mode] * SIZE, 0, []

    def take(*shape):
        nonlocal at
        at += int(np.prod(shape))
        return parameters[at - int(np.prod(shape)) : at].reshape(shape)

    for i in range(layers * directions):
        columns = INPUTS if i < directions else outputs * directions
        found.append({"input": take(rows, columns), "hidden": take(rows, outputs)})
        if projection:
            found[-1]["projection"] = take(outputs, SIZE)
    for weights in found:
        weights.update(input_bias=take(rows), hidden_bias=take(rows))
    assert at == len(parameters)
    return found


def network(mode, data, parameters, states, layers=1, directions=1, projection=None, lengths=None, clip=(-np.inf, np.inf)):
    """Outputs and last states, each sequence by itself."""
    states = [*states, np.zeros((layers * directions, BATCH, SIZE))][:2]
    last, all_weights = [x.copy() for x in states], unpacked(parameters, mode, layers, directions, projection)
    for layer in range(layers):
        outputs = np.zeros((TIMES, BATCH, directions * (projection or SIZE)))
        for n in range(BATCH):
            times = range(TIMES if lengths is None else int(lengths[n]))
            for direction in range(directions):
                i = layer * directions + direction
                h, c = states[0][i, n : n + 1], states[1][i, n : n + 1]
                for t in reversed(times) if direction else times:
                    h, c = step(mode, data[t, n : n + 1], h, c, all_weights[i], clip)
                    outputs[t, n, direction * h.shape[1] : (direction + 1) * h.shape[1]] = h
                last[0][i, n], last[1][i, n] = h, c
        data = outputs
    return [data, *last[: 2 if mode == "lstm" else 1]]


def drawn(generator, mode, layers=1, directions=1, projection=None):
    """Data, parameters and states."""
    outputs, count = projection or SIZE, 0
    for layer in range(layers):
        columns = INPUTS if layer == 0 else outputs * directions
        count += directions * (GATES[mode] * SIZE * (columns + outputs + 2) + (projection or 0) * SIZE)
    shapes = [(TIMES, BATCH, INPUTS), (count,), (layers * directions, BATCH, outputs), (layers * directions, BATCH, SIZE)]
    return [generator.uniform(-1, 1, shape) for shape in shapes[: 4 if mode == "lstm" else 3]]


@pytest.mark.portability
@pytest.mark.parametrize(("layers", "directions", "projection"), [(1, 1, None), (2, 2, None), (2, 2, 2)])
@pytest.mark.parametrize("mode", GATES)
@pytest.mark.parametrize("lengths", [None, [4, 1, 0]], ids=["whole", "lengths"])
def test_networks(mode, layers, directions, projection, lengths, generator):
    if projection and mode != "lstm":
        return
    arrays = drawn(generator, mode, layers, directions, projection)
    more = [] if lengths is None else [nd.array(lengths)]
    found = nd.RNN(
        *map(nd.array, arrays),
        *more,
        state_size=SIZE,
        num_layers=layers,
        mode=mode,
        bidirectional=directions == 2,
        projection_size=projection,
        state_outputs=True,
        use_sequence_length=lengths is not None,
    )
    expected = network(mode, arrays[0], arrays[1], arrays[2:], layers, directions, projection, lengths)
    assert len(found) == len(expected)
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(got.asnumpy(), wanted, rtol=1e-4, atol=1e-5)


def test_cells_within_bounds(generator):
    arrays = drawn(generator, "lstm")
    attributes = {"state_size": SIZE, "num_layers": 1, "mode": "lstm", "state_outputs": True}
    found = nd.RNN(*map(nd.array, arrays), **attributes, lstm_state_clip_min=-0.1, lstm_state_clip_max=0.2)
    for got, wanted in zip(found, network("lstm", *arrays[:2], arrays[2:], clip=(-0.1, 0.2)), strict=True):
        np.testing.assert_allclose(got.asnumpy(), wanted, rtol=1e-4, atol=1e-5)
    arrays[3][0, 0] = np.nan
    bounds = {"lstm_state_clip_min": -0.1, "lstm_state_clip_max": 0.2}
    assert np.isnan(nd.RNN(*map(nd.array, arrays), **attributes, **bounds)[2].asnumpy()).any()
    assert not np.isnan(nd.RNN(*map(nd.array, arrays), **attributes, **bounds, lstm_state_clip_nan=True)[2].asnumpy()).any()


def test_dropout_between_layers_in_training_only(generator):
    data, parameters, state = map(nd.array, drawn(generator, "rnn_relu", 2))
    parameters[:] = 0
    parameters[-4 * SIZE :] = 1  # all biases: the first layer gives 2 everywhere, and so does the second, with weights of 0
    parameters[SIZE * (INPUTS + SIZE) : SIZE * (INPUTS + SIZE) + SIZE * SIZE] = nd.array(np.eye(SIZE)).reshape((-1,))

    def run(p):
        return nd.RNN(data, parameters, state, state_size=SIZE, num_layers=2, mode="rnn_relu", p=p).asnumpy()

    np.testing.assert_array_equal(run(0.5), np.full((TIMES, BATCH, SIZE), 4))
    with autograd.train_mode():
        found = run(0.5)
        assert set(np.unique(found)) == {2, 6}
        np.testing.assert_array_equal(run(1.0), np.full((TIMES, BATCH, SIZE), 2))
        mx.random.seed(5)
        first = run(0.5)
        mx.random.seed(5)
        np.testing.assert_array_equal(run(0.5), first)


def test_half_and_out(generator):
    arrays = [nd.array(array, dtype="float16") for array in drawn(generator, "gru")]
    attributes = {"state_size": SIZE, "num_layers": 1, "mode": "gru"}
    found = nd.RNN(*arrays, **attributes)
    assert found.dtype == np.float16
    np.testing.assert_allclose(
        found.asnumpy(), network("gru", *(x.asnumpy().astype(float) for x in arrays[:2]), [arrays[2].asnumpy()])[0], atol=1e-2
    )
    out = [nd.zeros(found.shape), nd.zeros(arrays[2].shape)]
    nd.RNN(*arrays, **attributes, state_outputs=True, out=out)
    np.testing.assert_array_equal(out[0].asnumpy(), found.asnumpy())
    np.testing.assert_array_equal(out[1].asnumpy()[0], found.asnumpy()[-1])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"mode": "elman"}, "elman"),
        ({"projection_size": 2}, "projection"),
        ({"num_layers": 2}, "state has shape"),
        ({"num_layers": 0}, "num_layers"),
        ({"p": 2}, "probability"),
        ({"state_size": 4}, "state has shape"),
        ({"bidirectional": True}, "state has shape"),
        ({"mode": "lstm"}, "1 array"),
        ({"use_sequence_length": True}, "1 array"),
        ({"data": (0, BATCH, INPUTS)}, "data"),
        ({"data": (TIMES, BATCH)}, "data"),
        ({"parameters": (7,)}, "parameters"),
        ({"more": (4,), "use_sequence_length": True}, "sequence_length"),
    ],
    ids=str,
)
def test_wrong_input_is_refused(change, word, generator):
    shapes = dict(zip(("data", "parameters", "state"), (array.shape for array in drawn(generator, "gru")), strict=True))
    attributes = {"state_size": SIZE, "num_layers": 1, "mode": "gru"}
    for name, value in change.items():
        (shapes if name in (*shapes, "more") else attributes)[name] = value
    with pytest.raises(mx.MXNetError, match=word) as caught:
        nd.RNN(*(nd.zeros(shape) for shape in shapes.values()), **attributes)
    assert "RNN" in str(caught.value)


# --- the kernel and the composition, which a gradient that is recorded goes through ---


def layer_on(device, mode, arrays, lengths, backwards):
    """The outputs of a layer, and the gradients of its arrays: by the kernel, and by the composition."""
    values = [NDArray(engine.from_numpy(array.astype(np.float32), device), mx.cpu()) for array in arrays]
    for x in values:
        x.attach_grad()
    counts = None if lengths is None else engine.from_numpy(np.array(lengths, np.float32), device)
    with autograd.record():
        found = registry["recurrent_layer"](*(x.value for x in values), lengths=counts, mode=mode, backwards=backwards)
        heads = [NDArray(part * part, mx.cpu()) for part in found]
    composed = autograd.grad(heads, values, create_graph=True)
    autograd.backward(heads)
    return [NDArray(x, mx.cpu()).asnumpy() for x in found], [x.grad.asnumpy() for x in values], [x.asnumpy() for x in composed]


def drawn_layer(generator, mode, times, batch, size):
    gates = GATES[mode] * size
    shapes = [(times, batch, gates), (gates, size), (gates,), *[(batch, size)] * (2 if mode == "lstm" else 1)]
    return [generator.uniform(-1, 1, shape) / (1 + (len(shape) == 2) * size**0.5) for shape in shapes]


@pytest.mark.parametrize(
    ("schedule", "lengths", "backwards"),
    [
        pytest.param(("cpu", 4), None, True, marks=pytest.mark.portability),
        pytest.param(("gpu", 1), [3, 0, 1, 2, 3, 3, 2], True, marks=pytest.mark.portability),
        (("cpu", 16), [3, 0, 1, 2, 3, 3, 2], False),
    ],
    ids=str,
)
@pytest.mark.parametrize("mode", GATES)
def test_gradients_of_the_kernel_are_those_of_the_composition(mode, schedule, lengths, backwards, generator):
    """More rows and columns than a tile has, and no multiples."""
    arrays = drawn_layer(generator, mode, 3, 7, 37)
    _, got, expected = layer_on(forced(*schedule), mode, arrays, lengths, backwards)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_columns_of_a_few_rows_are_divided_and_give_the_same_bits(generator):
    size = 380
    arrays = drawn_layer(generator, "lstm", 3, 1, size)
    several = forced("cpu", 8)
    several.traits = dataclasses.replace(several.traits, compute_units=3)
    alone = forced("cpu", 8)
    alone.traits = dataclasses.replace(alone.traits, compute_units=1)
    assert _plan("forward", several, np.dtype(np.float32), "lstm", False, (3, 1, size)).grid == (3,)
    (got, got_back, _), (expected, expected_back, _) = (layer_on(device, "lstm", arrays, None, False) for device in (several, alone))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(got_back, expected_back, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_no_work_item_takes_too_many_rounds():
    for units, blocks, panels, weights, tile in itertools.product((1, 2, 64), (1, 8, 300), (1, 13, 400), (1000, 1 << 24), (20, 4000)):
        shares, across, steps = _work(units, blocks, panels, 4 * blocks, weights, tile, 64)
        rounds = steps * -(-blocks // shares) * (-(-panels // across) * tile + 16 * 64)
        assert 1 <= shares <= blocks and 1 <= across <= panels
        assert steps == 1 or across == 1  # where the columns are divided, a step waits for the whole one before
        assert rounds <= MOST_ROUNDS


def test_a_long_sequence_is_a_few_launches_and_the_same_bits_as_its_halves(generator):
    arrays = [x.astype(np.float32) for x in drawn_layer(generator, "gru", 40, 5, 24)]
    given, *rest = (nd.array(x) for x in arrays)

    def run(given, *rest):
        return [NDArray(x, mx.cpu()) for x in registry["recurrent_layer"](given.value, *(x.value for x in rest), **options)]

    options = {"lengths": None, "mode": "gru", "backwards": False}
    whole, last = run(given, *rest)
    assert launches(lambda: run(given, *rest)) < 10
    first, between = run(given[:17], *rest)
    second, end = run(given[17:], *rest[:2], between)
    np.testing.assert_array_equal(nd.concat(first, second, dim=0).asnumpy(), whole.asnumpy())
    np.testing.assert_array_equal(end.asnumpy(), last.asnumpy())


# --- parts ---


def test_parts_and_their_derivatives(context, generator):
    data = generator.normal(size=(2, 5, 3))

    def function(arguments):
        parts = registry["cut"](arguments[0].value, axis=1, sizes=(2, 0, 3))
        return [NDArray(part * part * weight, context) for part, weight in zip(parts, (1, 2, 3), strict=True) if part.size]

    parts = registry["cut"](nd.array(data, ctx=context).value, axis=1, sizes=(2, 0, 3))
    assert [part.shape for part in parts] == [(2, 2, 3), (2, 0, 3), (2, 3, 3)]
    np.testing.assert_array_equal(NDArray(parts[2], context).asnumpy(), data[:, 2:].astype(np.float32))
    check_gradients(function, [data], context, context.device, 3, generator)
    with pytest.raises(mx.MXNetError, match="cut"):
        registry["cut"](nd.zeros((2, 5)).value, axis=1, sizes=(2, 2))


def test_a_part_alone_and_one_that_is_used_twice():
    x = nd.array([[1.0, 2], [3, 4]])
    x.attach_grad()
    with autograd.record():
        first, _ = (NDArray(row, x.context) for row in unstacked((x * 1).value))
        z = first * first + first
    z.backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), [[3, 5], [0, 0]])


def test_the_gradients_of_parts_are_joined_once():
    """A rule for each part would make an array as large as the whole, for each part."""
    x = nd.ones((200, 1000))
    x.attach_grad()
    with autograd.record():
        total = nd.zeros((1000,)).value
        for row in unstacked(x.value):
            total = total + row
        z = NDArray(total, x.context)
    with allocated(x.context.device) as sizes:
        z.backward()
        x.grad.wait_to_read()
    assert sum(sizes) < 5 * x.size * 4
