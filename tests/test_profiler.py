"""Profiles: what is counted, for which operator and line; that the tables and the trace can be read. Never how long anything took."""

import json
import threading
from itertools import pairwise

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, engine, nd, profiler
from clnd.opencl import Device
from clnd.profiler import profile


@pytest.fixture(autouse=True)
def lazily():
    with engine.eager(False):
        yield


def row(rows, name):
    return next(row for row in rows if row.name == name)


def line(rows, number):
    return row(rows, f"{__file__}:{number}")


def given(*shape):
    """An array that waits for nothing."""
    return nd.array(np.ones(shape, "float32"))


def here():
    import inspect

    return inspect.currentframe().f_back.f_lineno


def test_launches_by_kernel_operator_and_line():
    x, y = given(16, 32), given(32, 8)
    with profile() as p:
        z = nd.dot(x, y)
        product = here() - 1
        nd.tanh(z * 2).wait_to_read()
        chain = here() - 1
    assert p.launches == len([e for e in p.events if e.kind == "launch"]) == 2
    assert sum(row.launches for row in p.kernels) == sum(row.launches for row in p.operators) == sum(row.launches for row in p.lines) == 2
    assert row(p.operators, "matmul").operations == 2 * 16 * 32 * 8
    assert row(p.operators, "tanh").operations == 2 * 16 * 8
    assert row(p.operators, "tanh").nbytes == 2 * 4 * 16 * 8
    assert line(p.lines, product).launches == line(p.lines, chain).launches == 1
    assert row(p.kernels, "multiply_tanh__float32_1d").launches == 1


def test_what_waited_before_an_operator_is_none_of_it():
    x = given(16, 16)
    with profile() as p:
        y = nd.exp(x)
        z = nd.dot(y, y)
        z.wait_to_read()
    assert row(p.operators, "exp").launches == row(p.operators, "matmul").launches == 1


def test_the_parts_of_an_operator_are_its_own():
    x = given(16, 300)
    nd.softmax(x).wait_to_read()
    with profile() as p:
        nd.softmax(x).wait_to_read()
    assert {row.name for row in p.operators if row.launches} == {"softmax"}


def test_times_are_the_devices_own():
    x = given(1000, 100)
    with profile() as p:
        for _ in range(5):
            x = nd.tanh(x)
            x.wait_to_read()
    ran = [e.ran for e in p.events if e.kind == "launch"]
    assert len(ran) == 5 and all(begin <= end for begin, end in ran)
    assert all(before[1] <= after[0] for before, after in pairwise(ran))
    assert 0 < p.device_time < p.wall_time
    assert sum(row.device_time for row in p.operators) == pytest.approx(p.device_time)
    assert 0 < p.python_time + p.wait_time + p.build_time <= p.wall_time


@pytest.mark.parametrize(
    ("work", "nbytes", "operations"),
    [
        (lambda x, y: x + y, 3 * 4 * 600, 600),
        (lambda x, y: x[:10] * 2, 2 * 4 * 300, 300),
        (lambda x, y: x * y[0], 2 * 4 * 600 + 4 * 30, 600),
        (lambda x, y: x * y[:, :1], 2 * 4 * 600 + 4 * 20, 600),
        (lambda x, y: x.T + 1, 2 * 4 * 600, 600),
        (lambda x, y: nd.sum(x * y, axis=0), 2 * 4 * 600 + 4 * 30, 2 * 600),
        (lambda x, y: nd.max(x, axis=1), 4 * 600 + 4 * 20, 600),
        (lambda x, y: nd.sum(x * y[0], axis=1), 4 * 600 + 4 * 30 + 4 * 20, 2 * 600),
        (lambda x, y: nd.mean(x * y[0], axis=1), 4 * 600 + 4 * 30 + 4 * 20, 2 * 600),
        (lambda x, y: (x > y).astype("uint8"), 2 * 4 * 600 + 600, None),
    ],
)
def test_bytes_and_operations_follow_from_layouts(work, nbytes, operations):
    x, y = given(20, 30), given(20, 30)
    with profile() as p:
        work(x, y).wait_to_read()
    assert sum(row.nbytes for row in p.kernels) == nbytes
    assert operations is None or sum(row.operations for row in p.kernels) == operations


def test_operations_of_convolutions():
    x, w = given(2, 3, 9, 9), given(4, 3, 3, 3)
    w.attach_grad()
    with profile() as p:
        with autograd.record():
            z = nd.Convolution(x, w, kernel=(3, 3), num_filter=4, no_bias=True)
        z.backward()
        nd.waitall()
    each = 2 * 2 * 4 * 7 * 7 * 3 * 3 * 3
    assert row(p.operators, "convolve").operations == row(p.operators, "convolve_weights").operations == each


def test_operations_of_rows_and_recurrent_layers():
    x = given(2048, 32)
    x.attach_grad()
    with profile() as p:
        with autograd.record():
            z = nd.softmax(x)
        z.backward()
        nd.waitall()
    assert row(p.operators, "softmax").operations == 5 * 2048 * 32
    assert row(p.operators, "softmax_back").operations >= 4 * 2048 * 32
    times, batch, size = 3, 4, 8
    given_, state, weights = given(times, batch, size), given(1, batch, size), given(2 * size * size + 2 * size)
    given_.attach_grad()
    with profile() as p:
        with autograd.record():
            z = nd.RNN(given_, weights, state, state_size=size, num_layers=1, mode="rnn_tanh")
        z.backward()
        nd.waitall()
    each = 2 * times * batch * size * size
    assert sum(r.operations for r in p.kernels if r.name.startswith("rnn_tanh_forward")) == each
    assert sum(r.operations for r in p.kernels if r.name.startswith("rnn_tanh_backward")) == each


def test_backward_and_writes():
    w = given(50)
    w.attach_grad()
    with profile() as p:
        with autograd.record():
            loss = nd.sum(nd.square(w))
        loss.backward()
        backward = here() - 1
        w[3:5] = 1
        nd.waitall()
    assert line(p.lines, backward).launches >= 1
    assert row(p.operators, "assign").launches == 1


def test_compilations_and_transfers(monkeypatch, tmp_path):
    monkeypatch.setenv("CLND_CACHE", str(tmp_path))
    x = given(3)
    with profile() as p:
        for _ in range(2):
            (nd.sin(nd.cos(nd.arctan(x) - 7) - 8) - 9).asnumpy()
        given(5)
    assert p.compilations == sum(row.compilations for row in p.operators) <= 1
    transfers = [e for e in p.events if e.kind == "transfer"]
    assert [e.nbytes for e in transfers] == [12, 12, 20]
    assert row(p.operators, "array").wait_time > 0


def test_captured_calls():
    x, w = given(8, 8), given(8, 8)

    @mx.capture
    def step(x):
        return nd.tanh(nd.dot(x, w) * 2)

    def seen():
        with profile() as p:
            for _ in range(3):
                step(x).wait_to_read()
        return [(row.name, row.launches, row.nbytes, row.operations) for row in sorted(p.kernels, key=lambda row: row.name)]

    first = seen()
    replays = step.replays
    assert seen() == first and step.replays == replays + 3
    assert first[0][3] == 3 * 2 * 8**3


def test_a_capture_within_a_profile_sees_what_it_needs():
    x = given(4)
    step = mx.capture(lambda x: x + 1)
    with profile() as p:
        results = [step(x).asnumpy() for _ in range(3)]
    assert step.replays == 2 and p.launches == 3
    np.testing.assert_array_equal(results, np.full((3, 4), 2))


def test_threads():
    def work():
        (nd.ones((4,)) * 3).wait_to_read()

    with profile() as p:
        threads = [threading.Thread(target=work, name=f"worker {i}") for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert row(p.operators, "multiply").launches == 3
    assert len({event.thread for event in p.events if event.kind == "launch"}) <= 3


def test_nothing_is_timed_outside():
    x = given(4)
    device = x.context.device
    with pytest.raises(ZeroDivisionError), profile() as outer:
        with profile() as inner:
            (x + 1).wait_to_read()
        assert Device.timed
        (x + 1).wait_to_read()
        raise ZeroDivisionError
    assert (inner.launches, outer.launches) == (1, 2)
    assert not Device.timed and not Device.listeners
    assert not device.queue.properties
    (x + 1).wait_to_read()
    assert outer.launches == 2


def test_tables_and_trace(tmp_path, capsys):
    x = given(4, 4)
    with profile() as p:
        nd.dot(x, x).asnumpy()
    text = str(p)
    assert "matmul" in text and "GB/s" in text and "reaches" in text and __file__[-20:] in text.replace("\n", "")
    p.show("operator")
    assert "matmul" in capsys.readouterr().out
    with pytest.raises(mx.MXNetError, match="kernel, operator or line, not by 'colour'"):
        p.table("colour")
    p.save_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())
    events = trace["traceEvents"]
    assert all({"ph", "name", "pid"} <= event.keys() for event in events)
    slices = [event for event in events if event["ph"] == "X"]
    assert all(event["dur"] >= 0 and event["ts"] >= 0 and {"cat", "tid", "args"} <= event.keys() for event in slices)
    kernels = [event for event in slices if event["cat"] == "kernel"]
    assert len(kernels) == 1 and kernels[0]["args"]["operator"] == "matmul" and kernels[0]["args"]["operations"] == 2 * 4**3
    assert {"kernel", "python", "transfer"} <= {event["cat"] for event in slices}


def test_an_empty_profile():
    with profile() as p:
        pass
    assert p.launches == p.device_time == 0 and p.kernels == []
    assert "0 launches" in str(p)


def test_mxnets_names(tmp_path):
    profiler.set_config(profile_all=True, aggregate_stats=True, filename=str(tmp_path / "profile.json"))
    profiler.set_state("run")
    (nd.ones((3,)) + 1).wait_to_read()
    profiler.pause()
    nd.exp(nd.ones((3,))).wait_to_read()
    profiler.resume()
    profiler.set_state("stop")
    text = profiler.dumps()
    assert "add" in text and "exp" not in text
    profiler.dump()
    assert "add" in (tmp_path / "profile.json").read_text()
    assert profiler.dumps(reset=True) == text and profiler.dumps() == ""
    with pytest.raises(mx.MXNetError, match='"run" or "stop"'):
        profiler.set_state("walk")
