"""Backward passes that are done again: when they are, and that their results are those of the walk."""

import numpy as np
import pytest

import clnd as mx
from clnd import MXNetError, autograd, engine, nd, passes, profiler
from clnd.engine import tracing
from clnd.opencl import Device, describe_site, memory
from clnd.opencl.kernel import Bound
from measures import at_once


@pytest.fixture(autouse=True)
def lazily(monkeypatch):
    """In a run with CLND_EAGER=1 too, where every pass is walked."""
    for state in (type(engine.state), engine.state):  # of other threads, and of this one
        monkeypatch.setattr(state, "eager", False)


@pytest.fixture
def walks(monkeypatch):
    """A list that gets an entry for each backward pass that is gone through."""
    found, walk = [], autograd._pass
    monkeypatch.setattr(autograd, "_pass", lambda *args: (found.append(1), walk(*args)))
    monkeypatch.setattr(passes, "_known", tracing.Remembered(passes.MOST))
    return found


def array(*shape, begin=1.0):
    return nd.array(np.arange(np.prod(shape)).reshape(shape) / 8 + begin)


def variable(*shape, begin=1.0, **options):
    x = array(*shape, begin=begin)
    x.attach_grad(**options)
    return x


def gradients(function, *leaves, times=1):
    """The gradients of the last of several passes."""
    for _ in range(times):
        with autograd.record():
            head = function(*leaves)
        head.backward()
    return [leaf.grad.asnumpy() for leaf in leaves]


def test_the_fourth_pass_of_a_structure_is_done_again(walks):
    for number in range(8):
        x = variable(3, 4, begin=number)
        with autograd.record():
            y = x * 2
            z = y * x
        z.backward()
        np.testing.assert_array_equal(x.grad.asnumpy(), 4 * x.asnumpy())
        np.testing.assert_array_equal(z.asnumpy(), 2 * x.asnumpy() ** 2)
        np.testing.assert_array_equal(y.asnumpy(), 2 * x.asnumpy())
    assert len(walks) == passes.SIGHTS + 1


def network(x, labels, w1, b1, w2, b2):
    h = nd.relu(nd.FullyConnected(x, w1, b1, num_hidden=5))
    return nd.softmax_cross_entropy(nd.FullyConnected(h, w2, b2, num_hidden=3), labels)


def test_a_network_trains_as_it_does_eagerly(walks):
    def trained(steps):
        mx.random.seed(3)
        parameters = [nd.random.normal(shape=shape) for shape in ((5, 7), (5,), (3, 5), (3,))]
        for parameter in parameters:
            parameter.attach_grad()
        for number in range(steps):
            x, labels = nd.random.normal(shape=(4, 7)), nd.array([number % 3, 0, 1, 2])
            with autograd.record():
                loss = network(x, labels, *parameters)
            loss.backward()
            for parameter in parameters:
                parameter[:] = parameter - 0.1 * parameter.grad
        return [parameter.asnumpy() for parameter in parameters]

    with engine.eager():
        expected = trained(9)
    walks.clear()
    for got, wanted in zip(trained(9), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert len(walks) == passes.SIGHTS + 1


def held(x, w):
    held.middle = x * w
    return nd.tanh(held.middle) * w


OTHERS = {
    "another number": (lambda x, w: x * 2 * w, lambda x, w: x * 3 * w),
    "zero of the other sign": (lambda x, w: w / (x * 0.0), lambda x, w: w / (x * -0.0)),
    "another function": (lambda x, w: nd.sin(x) * w, lambda x, w: nd.cos(x) * w),
    "another attribute": (lambda x, w: nd.sum(x * w, axis=0), lambda x, w: nd.sum(x * w, axis=1)),
    "the operands exchanged": (lambda x, w: x / w, lambda x, w: w / x),
    "one array twice": (lambda x, w: x * w, lambda x, w: x * x + 0 * w),
    "a part": (lambda x, w: x[:2] * w[:2], lambda x, w: x[1:3] * w[1:3]),
    "another scale of it": (lambda x, w: nd.clip(x * w, 0, 2), lambda x, w: nd.clip(x * w, 0, 3)),
    "an array laid out otherwise": (lambda x, w: x * w, lambda x, w: x * array(3, 3).T * w),
    "what somebody has": (lambda x, w: nd.tanh(x * w) * w, held),
    "an inner product": (lambda x, w: nd.dot(x, w), lambda x, w: nd.dot(x, w, transpose_b=True)),
    "statistics that are kept": (
        lambda x, w: nd.LayerNorm(x * w, w[0], w[1], eps=1e-5),
        lambda x, w: nd.LayerNorm(x * w, w[0], w[1], eps=1e-2),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_structure_is_another_pass(name, walks):
    """What is like it in all but one thing gets its own gradients, and so does the first one after it."""
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(passes, "SIGHTS", 0)
        for function in (*OTHERS[name], *OTHERS[name]):
            x, w = variable(3, 3), variable(3, 3, begin=-2.0)
            with engine.eager():
                expected = gradients(function, x, w)
            got = gradients(function, x, w, times=3)
            for a, b in zip(got, expected, strict=True):
                np.testing.assert_array_equal(a, b)
    assert held.__dict__.pop("middle", x).shape == (3, 3)


def test_how_a_gradient_is_asked_for_is_told_apart(walks):
    for options, times, expected in (({}, 5, 3), ({"grad_req": "add"}, 5, 15), ({"grad_req": "null"}, 5, 0), ({}, 2, 3)):
        x, w = variable(4, **options), variable(4)
        gradients(lambda x, w: x * 3 * w, x, w, times=times)
        np.testing.assert_array_equal(x.grad.asnumpy(), expected * w.asnumpy())


def test_heads_with_gradients_of_their_own(walks):
    for number in range(6):
        x = variable(4)
        with autograd.record():
            y, z = x * x, nd.exp(x) * 3
        autograd.backward([y, z], [array(4, begin=number), None])
        np.testing.assert_allclose(x.grad.asnumpy(), 2 * x.asnumpy() * array(4, begin=number).asnumpy() + z.asnumpy(), rtol=1e-6)
    assert len(walks) == passes.SIGHTS + 1


@pytest.mark.parametrize("axes", [(), (0,)])
def test_random_numbers_go_on_and_are_those_of_the_forward_pass(axes, walks):
    """Two places in the stream at each step, in training; none in prediction."""
    x, dropped = variable(50, 40), []
    for train in (True,) * 7 + (False,) * 5 + (True,):
        with autograd.record(train_mode=train):
            y = nd.Dropout(x, p=0.5, axes=axes)
            z = nd.Dropout(y * x, p=0.25)
        z.backward(train_mode=train)
        np.testing.assert_allclose(x.grad.asnumpy() * x.asnumpy(), 2 * z.asnumpy(), rtol=1e-6)
        dropped.append((z.asnumpy() == 0).tobytes())
    assert len(set(dropped)) == 7 + 1 + 1
    assert len(walks) == 2 * (passes.SIGHTS + 1)


class Doubled(autograd.Function):
    """Counts how often its gradient was asked for."""

    asked = 0

    def forward(self, x):
        return x * 2

    def backward(self, dy):
        Doubled.asked += 1
        return dy * Doubled.asked


def test_functions_of_the_user_are_called_each_time(walks):
    x = variable(4)
    for number in range(1, 7):
        with autograd.record():
            y = Doubled()(x) * 3
        y.backward()
        assert Doubled.asked == number
        np.testing.assert_array_equal(x.grad.asnumpy(), np.full(4, 3 * number, "float32"))
    assert len(walks) == 6


def test_a_graph_is_freed_however_its_pass_was_done(walks):
    x = variable(4)
    for _ in range(6):
        with autograd.record():
            y = x * 2
            z = nd.exp(y)
        z.backward()
        with pytest.raises(MXNetError, match="freed by an earlier backward"):
            z.backward()
    assert len(walks) == passes.SIGHTS + 1 + 6


def test_a_gradient_that_somebody_has_stays_as_it_was(walks):
    x, known = variable(1 << 15), []
    for number in range(7):
        with autograd.record():
            y = x * (x + 0)
        y.backward(array(1 << 15, begin=number))
        known.append((x.grad.detach(), 2 * array(1 << 15, begin=number).asnumpy() * x.asnumpy()))
    for got, expected in known:
        np.testing.assert_array_equal(got.asnumpy(), expected)
    assert len(walks) == passes.SIGHTS + 1


def test_a_pass_that_fails_says_where_and_the_next_one_works(walks, monkeypatch):
    x = variable(1 << 12)

    def function(x):
        return nd.exp(x / 4096) * x

    (expected,) = gradients(function, x, times=5)
    launch = Bound.launch

    def refuse(self):
        raise MXNetError("refused")

    with autograd.record():
        y = function(x)
    monkeypatch.setattr(Bound, "launch", refuse)
    with pytest.raises(MXNetError, match=r"called at .*test_passes.py:\d+: refused"):
        y.backward()
    monkeypatch.setattr(Bound, "launch", launch)
    with pytest.raises(MXNetError, match=r"are lost: the backward pass that was to compute them failed: .*: refused"):
        x.grad.asnumpy()
    np.testing.assert_allclose(y.asnumpy(), np.exp(x.asnumpy() / 4096) * x.asnumpy(), rtol=1e-6)
    np.testing.assert_array_equal(gradients(function, x)[0], expected)
    assert len(walks) == passes.SIGHTS + 1


def test_a_head_gradient_may_have_been_recorded(walks):
    """It keeps its own graph, which nobody has gone through."""
    x, w = variable(3), variable(3)
    for _ in range(6):
        with autograd.record():
            y, z = x * x, nd.exp(w)
        y.backward(z)
        np.testing.assert_array_equal(x.grad.asnumpy(), (2 * x * z).asnumpy())
        z.backward()
        np.testing.assert_array_equal(w.grad.asnumpy(), z.asnumpy())


def test_lost_elements_raise_whatever_is_done_again(walks):
    x, w = variable(5), array(5)
    gradients(lambda x: x * w, x, times=5)
    with autograd.record():
        y = x * w
    lost = w.value.buffer
    memory.lose(mx.cpu().device, "gone", lambda buffer: buffer is lost)
    with pytest.raises(MXNetError, match="are lost: gone"):
        y.backward()


def test_a_finalizer_may_go_through_a_graph_of_the_same_structure(walks, monkeypatch):
    """In the middle of a pass: then it is walked."""
    x, inner = variable(4), variable(4, begin=9.0)

    def function(x):
        return nd.exp(x / 8) * x

    (expected,) = gradients(function, x, times=5)
    (wanted,) = gradients(function, inner)
    give, found = Bound.give, []

    def interrupted(self, given):
        give(self, given)
        if not found:
            found.append(None)
            found.append(gradients(function, inner)[0])

    monkeypatch.setattr(Bound, "give", interrupted)
    np.testing.assert_array_equal(gradients(function, x)[0], expected)
    np.testing.assert_array_equal(found[1], wanted)


def test_memory_goes_back_while_a_pass_is_done_again(walks):
    """No more is needed than in a walk, which lets go of each record's arrays as it comes by."""
    device, size = mx.cpu().device, 1 << 18
    x, most = variable(size, begin=0), []
    for _ in range(6):
        with autograd.record():
            y = x
            for _ in range(12):
                y = nd.tanh(y)
                y.wait_to_read()
        nd.waitall()
        device.memory.drop_free()
        device.memory.peak = 0
        y.backward()
        nd.waitall()
        most.append(device.memory.peak)
    assert len(walks) == passes.SIGHTS + 1
    assert max(most[3:]) <= max(most[:2])


def test_launches_are_blamed_on_the_line_that_asks_for_them(walks):
    device, x = mx.cpu().device, variable(4)

    def line():
        nd.waitall()
        with autograd.record():
            y = nd.exp(x) * x
        lines.append(y)

    lines = []
    for _ in range(5):
        line()
        lines.pop().backward()
    for ask in (lambda y: y.backward(), lambda y: autograd.backward(y)):
        line()
        ask(lines.pop())
        _, launch, call = device.recent[-1]
        assert type(launch) is Bound
        assert describe_site(call.site).endswith(f"test_passes.py:{ask.__code__.co_firstlineno}")


def test_work_that_waited_is_blamed_on_its_own_line(walks):
    device = mx.cpu().device

    def first(x):
        return x + 1

    def second(x):
        return x + 1

    for function in (first,) * 5 + (second,):
        x = variable(4)
        with autograd.record():
            y = function(x)
        y.backward()
        lines = {describe_site(call.site).rpartition(":")[2] for _, _, call in list(device.recent)[-2:]}
        assert str(function.__code__.co_firstlineno + 1) in lines
    assert len(walks) == passes.SIGHTS + 1


def test_whoever_watches_sees_rules_and_records(walks):
    x = variable(4)
    gradients(lambda x: nd.exp(x) * x, x, times=5)
    walks.clear()
    with profiler.profile() as profile:
        gradients(lambda x: nd.exp(x) * x, x)
    assert walks
    assert profile.launches
    assert not Device.listeners


def test_parts_that_wait_on_are_right_when_they_are_read(walks):
    for number in range(7):
        x = variable(3, 4, begin=number)
        with autograd.record():
            y = nd.exp(x / 8)
            views = [y.T, y.reshape((4, 3)), y[1]]
            z = sum(nd.sum(view * view) for view in views)
        z.backward()
        expected = np.exp(x.asnumpy() / 8)
        for view, of in zip(views, (expected.T, expected.reshape(4, 3), expected[1]), strict=True):
            np.testing.assert_allclose(view.asnumpy(), of, rtol=1e-6)
        weights = np.full((3, 4), 4.0)
        weights[1] += 2
        np.testing.assert_allclose(x.grad.asnumpy(), weights * expected**2 / 8, rtol=1e-5)
    assert len(walks) < 7


def test_passes_of_several_threads_share_what_is_known(walks, threads_take_turns_often):
    def work(number, _):
        x = variable(64, begin=number)
        expected = np.exp(x.asnumpy() / 16) * (1 + x.asnumpy() / 16)
        for _ in range(30):
            with autograd.record():
                y = nd.exp(x / 16) * x
            y.backward()
            if not np.allclose(x.grad.asnumpy(), expected, rtol=1e-5):
                return False
        return True

    assert all(at_once(work, 6))
    walks.clear()  # while one watches the others walk, however long that takes
    assert work(6, None)
    assert not walks


def test_passes_take_no_more_memory_again_and_again(walks):
    device, size = mx.cpu().device, 1 << 18
    x, used = variable(size), []
    for _ in range(8):
        with autograd.record():
            y = nd.tanh(nd.tanh(nd.tanh(x) * x) * x)
        y.backward()
        nd.waitall()
        used.append(device.memory.used)
    assert len(set(used[2:])) == 1
    assert len(walks) == passes.SIGHTS + 1


def test_structures_are_forgotten_in_the_end(walks):
    passes._known.most = 4
    for number in range(10):
        gradients(lambda x, n=number: x * (n + 2), variable(4))
    assert len(passes._known) == 4
