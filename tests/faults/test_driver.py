"""Drivers that fail, refuse, lie or go away: an error that says what and where, and what was computed before stays."""

import gc

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, engine, nd
from clnd.opencl.kernel import Bound
from measures import alive, forget_kernels

pytestmark = pytest.mark.usefixtures("lazily")


@pytest.fixture
def x():
    """An array that was computed before."""
    x = nd.array([1, 2, 3]) * 2
    x.attach_grad()
    x.wait_to_read()
    x.grad.wait_to_read()
    return x


def line():
    import inspect

    return f"{__file__}:{inspect.currentframe().f_back.f_lineno}"


def launch(x):
    return (x * 3).wait_to_read()


def train(x):
    with autograd.record():
        y = nd.sum(nd.tanh(x))
    y.backward()


USES = [
    launch,
    train,
    lambda x: nd.array([1, 2]),
    lambda x: x.asnumpy(),
    lambda x: print(x),
    lambda x: nd.waitall(),
    lambda x: x.__setitem__(0, 7.5),
    lambda x: nd.from_dlpack(x),
    lambda x: nd.sgd_update(x, x, lr=0.0, out=x),
    lambda x: nd.ones((1 << 20,)).wait_to_read(),
]


@pytest.mark.parametrize("use", USES)
def test_a_device_that_vanishes_gives_errors_and_if_it_comes_back_it_works(driver, x, use):
    driver.vanish()
    for _ in range(2):
        with pytest.raises(mx.MXNetError, match="DEVICE_NOT_AVAILABLE") as caught:
            use(x)
            nd.waitall()
        assert str(x.context.device) in str(caught.value)
        assert not autograd.is_recording()
    driver.fails.clear()
    assert x.asnumpy().tolist() in ([2, 4, 6], [7.5, 4, 6])
    use(x)
    nd.waitall()
    assert (x[1:] + 1).asnumpy().tolist() == [5, 7]


def test_nothing_is_left_of_launches_that_fail(driver, x):
    def fails():
        with pytest.raises(mx.MXNetError, match="DEVICE_NOT_AVAILABLE"):
            train(x)

    driver.vanish()
    fails()
    gc.collect()
    before, used = alive(), x.context.device.memory.used
    for _ in range(20):
        fails()
    gc.collect()
    assert alive() == before
    assert x.context.device.memory.used == used


def test_a_build_that_fails_names_operator_and_line_and_is_tried_again(driver, x, monkeypatch):
    forget_kernels(monkeypatch)
    monkeypatch.setattr(x.context.device.programs, "_kernels", {})
    monkeypatch.setenv("CLND_CACHE", "")
    y, made = nd.tanh(x), line()
    driver.fails["build"] = "OUT_OF_HOST_MEMORY"
    for _ in range(2):
        with pytest.raises(mx.MXNetError, match=r"the driver cannot build kernel tanh__float32_1d of elementwise.cl.mako") as caught:
            y.asnumpy()
        assert str(caught.value).startswith(f"tanh, called at {made}: {x.context.device}")
    assert x.asnumpy().tolist() == [2, 4, 6]
    driver.fails.clear()
    np.testing.assert_allclose(y.asnumpy(), np.tanh([2, 4, 6]), rtol=1e-6)


def test_a_launch_that_is_refused_names_operator_and_line_and_is_tried_again(driver, x):
    y, made = nd.square(x), line()
    driver.fails["launch"] = "INVALID_KERNEL_ARGS"
    with pytest.raises(mx.MXNetError, match="INVALID_KERNEL_ARGS") as caught:
        y.asnumpy()
    assert str(caught.value).startswith(f"square, called at {made}: {x.context.device}: launching kernel square__float32_1d")
    driver.fails.clear()
    assert y.asnumpy().tolist() == [4, 16, 36]


def test_groups_that_a_driver_takes_back_are_halved(x, driver, monkeypatch):
    """Where work-items do not work together, for launches that are done again, too; else the error says what to do."""
    device, refused = x.context.device, []
    forget_kernels(monkeypatch)
    monkeypatch.setattr(device.programs, "_kernels", {})
    kernel = device.kernel("elementwise", **_parameters(x))
    launch = kernel.cl

    def refuses(queue, global_size, local_size, *args):
        if local_size > (4,):
            refused.append(local_size)
            raise driver.error("INVALID_WORK_GROUP_SIZE", "clEnqueueNDRangeKernel")
        return launch(queue, global_size, local_size, *args)

    monkeypatch.setattr(kernel, "cl", refuses)
    for _ in range(3):
        out = device.allocate(12)
        kernel((64,), (16,), out, 0, x.value.buffer, x.value.offset, 3)
        found = np.empty(3, np.float32)
        device.read(out, 0, found)
        assert found.tolist() == [4, 16, 36]
    assert refused == [(16,), (8,)]
    assert Bound(kernel, (64,), (16,), (12, 0, 12, x.value.offset, 3))._local_size == (4,)
    monkeypatch.setattr(kernel, "group", 16)
    monkeypatch.setattr(kernel, "parameters", {**kernel.parameters, "group": 16})
    with pytest.raises(mx.MXNetError, match=r"INVALID_WORK_GROUP_SIZE.*CLND_TRAITS=max_group=64"):
        kernel((64,), (16,), out, 0, x.value.buffer, x.value.offset, 3)


def _parameters(x):
    """What the kernel of nd.square is made of, where nothing else was computed."""
    programs = x.context.device.programs
    nd.square(x).wait_to_read()
    [((template, name, arguments, _), kernel)] = programs._kernels.items()
    assert (template, name) == ("elementwise", "square__float32_1d")
    return {"name": name, "arguments": arguments, **{k: v for k, v in kernel.parameters.items() if k not in x.context.device._given}}


def fails_late(driver, x):
    """Launches of which one fails in the queue, and nobody is told yet."""
    before = nd.square(x)
    before.wait_to_read()
    early = nd.square(before)
    engine.evaluate(early.value)
    driver.statuses["tanh"] = -5
    failing, made = nd.tanh(x), line()
    engine.evaluate(failing.value)
    driver.statuses.clear()
    since = nd.square(failing)
    engine.evaluate(since.value)
    return before, early, failing, since, made


@pytest.mark.parametrize("meets", [lambda x: x.asnumpy(), lambda x: nd.waitall(), lambda x: (x + 1).asnumpy()])
def test_what_failed_in_the_queue_is_named_whoever_meets_it(driver, x, meets):
    before, early, failing, since, made = fails_late(driver, x)
    with pytest.raises(mx.MXNetError, match="failed in the queue with status -5") as caught:
        meets(x)
    assert str(caught.value).startswith(f"tanh, called at {made}: {x.context.device}: kernel tanh__float32_1d failed")
    meets(x)
    assert x.asnumpy().tolist() == [2, 4, 6]
    assert before.asnumpy().tolist() == [4, 16, 36]
    assert early.asnumpy().tolist() == [16, 256, 36**2]
    for lost in (failing, since, failing + 1):
        for _ in range(2):
            with pytest.raises(mx.MXNetError, match=rf"the elements of this array are lost: tanh, called at {made}"):
                lost.asnumpy()
    np.testing.assert_allclose(nd.tanh(x).asnumpy(), np.tanh([2, 4, 6]), rtol=1e-6)


def test_an_array_that_is_written_by_what_failed_is_lost(driver, x):
    w, g = nd.ones((3,)), nd.ones((3,))
    for _ in range(3):
        nd.sgd_update(w, g, lr=0.5, out=w)
    x.wait_to_read()
    y = nd.zeros((3,))
    y.wait_to_read()
    driver.statuses[""] = -5
    nd.sgd_update(w, g, lr=0.5, out=w)
    y[1] = 5
    driver.statuses.clear()
    with pytest.raises(mx.MXNetError, match="sgd_update, called at"):
        x.wait_to_read()
    for lost in (w, y):
        with pytest.raises(mx.MXNetError, match="are lost: sgd_update"):
            lost.asnumpy()
    assert g.asnumpy().tolist() == [1, 1, 1]


def test_memory_of_lost_arrays_is_given_back(driver, x):
    pool = x.context.device.memory
    gc.collect()
    used = pool.used
    arrays = fails_late(driver, x)
    with pytest.raises(mx.MXNetError, match="in the queue"):
        nd.waitall()
    del arrays
    gc.collect()
    assert pool.used <= used


def test_many_launches_that_nobody_waits_for(driver, x):
    """The host waits for some of them after a while, and is told then."""
    driver.statuses["square"] = -5
    with pytest.raises(mx.MXNetError, match=r"square, called at .*failed in the queue"):
        for _ in range(2000):
            engine.evaluate(nd.square(x).value)
    driver.statuses.clear()
    driver.late = None
    assert nd.square(x).asnumpy().tolist() == [4, 16, 36]
