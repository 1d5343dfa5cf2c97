"""Calls of operators that are done again: when they are, and that their results are those of the operator."""

import threading

import numpy as np
import pytest

import clnd as mx
from clnd import MXNetError, engine, nd, profiler
from clnd.engine import repeats, tracing
from clnd.opencl import memory
from clnd.opencl.kernel import Bound
from clnd.ops import registry
from measures import at_once


@pytest.fixture(autouse=True)
def lazily(monkeypatch):
    """In a run with CLND_EAGER=1 too, where every call is made."""
    for state in (type(engine.state), engine.state):  # of other threads, and of this one
        monkeypatch.setattr(state, "eager", False)


@pytest.fixture
def calls(monkeypatch):
    """How often the functions of `matmul` and `softmax` are called."""
    found = []
    monkeypatch.setattr(repeats, "_known", tracing.Remembered(repeats.MOST))
    for name in ("matmul", "softmax", "take"):
        op = registry[name]
        monkeypatch.setattr(op, "function", lambda *args, function=op.function, **attrs: (found.append(1), function(*args, **attrs))[1])
    return found


def array(*shape, begin=1.0):
    return nd.array(np.arange(np.prod(shape)).reshape(shape) / 8 + begin)


def test_the_fourth_call_is_done_again(calls):
    for number in range(8):
        x, y = array(3, 4, begin=number), array(4, 5, begin=-number)
        np.testing.assert_allclose(nd.dot(x, y).asnumpy(), x.asnumpy() @ y.asnumpy(), rtol=1e-5)
    assert len(calls) == repeats.SIGHTS + 1


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda x: nd.dot(x, x), id="one array twice"),
        pytest.param(lambda x: nd.dot(x, x.copy(), transpose_b=True), id="another attribute"),
        pytest.param(lambda x: nd.dot(array(8, 8)[:4, :4], x), id="an array laid out otherwise"),
        pytest.param(lambda x: nd.dot(x, array(12)[3:7]), id="another shape, which begins elsewhere"),
        pytest.param(lambda x: nd.dot(x.astype("float16"), x.astype("float16")), id="another dtype"),
        pytest.param(lambda x: nd.softmax(x, axis=0), id="along another axis"),
        pytest.param(lambda x: nd.dot(nd.relu(x - 2), x), id="an array that waits"),
    ],
)
def test_another_call_has_its_own_launches(ask, monkeypatch):
    monkeypatch.setattr(repeats, "SIGHTS", 0)
    for number in range(3):
        x = array(4, 4, begin=number)
        with engine.eager():
            expected = ask(x).asnumpy()
        for usual in (lambda x: nd.dot(x, x + 1), lambda x: nd.softmax(x, axis=1)):
            usual(x)
        np.testing.assert_array_equal(ask(x).asnumpy(), expected)


def test_what_reads_on_the_host_is_called_each_time(calls):
    for number in range(6):
        x, places = array(5, 2, begin=number), nd.array([0, number % 5])
        np.testing.assert_array_equal(nd.take(x, places, mode="raise").asnumpy(), x.asnumpy()[[0, number % 5]])
    with pytest.raises(IndexError):
        nd.take(array(5, 2), nd.array([0, 5]), mode="raise")
    assert len(calls) == 7


def test_whoever_listens_sees_what_the_function_launches(calls):
    x = array(4, 4)
    for _ in range(5):
        nd.dot(x, x)
    before = len(calls)
    with profiler.profile() as profile:
        nd.dot(x, x).asnumpy()
    assert len(calls) == before + 1
    assert "matmul" in {row.name for row in profile.operators}


def test_launches_are_blamed_on_the_call_that_makes_them(calls):
    x = array(4, 4)
    for _ in range(6):
        y = nd.dot(x, x)
        nd.waitall()
        z = nd.dot(x, y)
        _, launch, call = mx.cpu().device.recent[-1]
        assert call.name == "matmul"
        assert z.value.buffer.maker is call
    assert type(launch) is Bound
    assert engine.describe_site(call.site).endswith(f":{test_launches_are_blamed_on_the_call_that_makes_them.__code__.co_firstlineno + 5}")


def test_a_call_that_cannot_be_done_again_is_made(calls, monkeypatch):
    x = array(4, 4)
    for _ in range(5):
        nd.dot(x, x)
    before = len(calls)

    def refuse(self):
        raise MXNetError("refused")

    monkeypatch.setattr(Bound, "launch", refuse)
    np.testing.assert_allclose(nd.dot(x, x).asnumpy(), x.asnumpy() @ x.asnumpy(), rtol=1e-5)
    assert len(calls) == before + 1


def test_calls_of_several_threads_share_what_is_known(calls, threads_take_turns_often):
    def work(number, _):
        x = array(16, 16, begin=number)
        expected = x.asnumpy() @ x.asnumpy()
        return all(np.allclose(nd.dot(x, x).asnumpy(), expected, rtol=1e-4) for _ in range(40))

    assert all(at_once(work, 6))
    assert len(calls) < 6 * 40 / 2


def test_nothing_is_kept_but_the_launches(calls):
    device = mx.cpu().device
    x = array(64, 64)
    nd.waitall()
    used = []
    for _ in range(8):
        nd.dot(x, x).wait_to_read()
        used.append(device.memory.used)
    assert len(set(used)) == 1


def test_calls_are_forgotten_in_the_end(calls):
    repeats._known.most = 4
    for n in range(1, 10):
        nd.dot(array(2, n), array(n, 2))
    assert len(repeats._known) == 4


def test_no_more_is_kept_than_a_bound(calls, monkeypatch):
    monkeypatch.setattr(tracing, "KEPT", 1 << 19)
    monkeypatch.setattr(repeats, "SIGHTS", 0)
    kept = []
    for n in range(1, 70):
        nd.softmax(array(2, n))
        kept.append(sum(tracing.Remembered._size(*item) for item in repeats._known.items()))
        assert kept[-1] == repeats._known.nbytes <= 1 << 19
    assert max(kept) > 1 << 18
    nd.sort(array(1 << 14))  # so many launches for one call are none that it would pay to keep
    assert any(known is None for known in repeats._known.values())


def test_ctrl_c_while_an_argument_is_bound_leaves_no_wrong_one(calls, monkeypatch):
    """Its buffer may be set already, or not: the next call sets its own."""
    a, b, eye = array(4, 4), array(4, 4, begin=9.0), nd.array(np.eye(4))
    for _ in range(5):
        nd.dot(a, eye)
    bind = Bound.set

    def interrupted(self, position, argument):
        bind(self, position, argument)
        if argument is b.value.buffer:
            raise KeyboardInterrupt

    monkeypatch.setattr(Bound, "set", interrupted)
    with pytest.raises(KeyboardInterrupt):
        nd.dot(b, eye)
    monkeypatch.setattr(Bound, "set", bind)
    np.testing.assert_array_equal(nd.dot(a, eye).asnumpy(), a.asnumpy())


def test_lost_elements_raise_whatever_is_done_again(calls):
    x = array(4, 4)
    for _ in range(5):
        nd.dot(x, x)
    lost = x.value.buffer
    memory.lose(mx.cpu().device, "gone", lambda buffer: buffer is lost)
    with pytest.raises(MXNetError, match="are lost: gone"):
        nd.dot(x, x)


def test_no_room_to_keep_a_call_is_no_error(calls, monkeypatch):
    x = array(4, 4)

    def refuse(*args):
        raise MXNetError("no memory")

    monkeypatch.setattr(Bound, "__init__", refuse)
    for _ in range(5):
        np.testing.assert_allclose(nd.dot(x, x).asnumpy(), x.asnumpy() @ x.asnumpy(), rtol=1e-6)
    assert len(calls) == 5


def test_threads_that_watch_and_write_do_not_wait_for_each_other(monkeypatch, threads_take_turns_often):
    """One watches calls of ever new shapes, another writes to parts of arrays, which launches while it holds the engine's lock."""
    monkeypatch.setattr(repeats, "SIGHTS", 0)

    def softmaxes():
        for n in range(1, 120):
            nd.softmax(nd.ones((2, n)))

    def writes():
        for n in range(1, 120):
            x, other = nd.zeros((3, n)), nd.ones((n,))
            held = x.value
            x[1] = other
            assert held.shape == x.shape

    threads = [threading.Thread(target=work, daemon=True) for work in (softmaxes, writes) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
