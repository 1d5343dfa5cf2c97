"""What the tests of faults share: little memory, and drivers that fail when they are told to."""

import gc

import pyopencl as cl
import pytest

from clnd import engine, nd


@pytest.fixture(autouse=True)
def collected():
    """Leave no garbage to other tests: what errors refer to lies in cycles."""
    yield
    gc.collect()


@pytest.fixture
def lazily():
    """Let work wait, as it does where CLND_EAGER is not set."""
    with engine.eager(False):
        yield


@pytest.fixture
def short_of_memory(monkeypatch):
    """Leave so many bytes to the device of an array, besides those that are used."""

    def short(array, nbytes):
        nd.waitall()
        gc.collect()
        pool = array.context.device.memory
        pool.drop_free()
        monkeypatch.setattr(pool, "most", pool.used + nbytes)
        return pool

    return short


class Driver:
    """What stands between clnd and its driver: calls that fail when a test says so.

    Attributes
    ----------
    fails : dict
        For the name of a call the OpenCL status that it fails with; "" stands for all calls.
    statuses : dict
        For the name of a kernel the status that its launches end with in the queue.
    calls : list of str
        What was called.
    """

    def __init__(self):
        self.fails, self.statuses, self.calls, self.late = {}, {}, [], None

    def error(self, status, name):
        code = getattr(cl.status_code, status)
        kind = cl.MemoryError if status == "MEM_OBJECT_ALLOCATION_FAILURE" else cl.RuntimeError if code > -30 else cl.LogicError
        return kind(cl._cl._ErrorRecord(msg="", code=code, routine=name))

    def check(self, name):
        self.calls.append(name)
        if status := self.fails.get(name, self.fails.get("")):
            raise self.error(status, name)

    def vanish(self):
        self.fails[""] = "DEVICE_NOT_AVAILABLE"


class Event:
    """The event of a launch that fails later."""

    def __init__(self, event, status):
        self.event, self.command_execution_status = event, status

    def wait(self):
        self.event.wait()


@pytest.fixture
def driver(monkeypatch):
    """The driver, whose calls may fail."""
    made = Driver()

    def watched(holder, name, call=None):
        plain = getattr(holder, name)

        def watching(*args, **kwargs):
            made.check(call or name)
            if made.late is not None and name in ("finish", "enqueue_copy", "wait"):  # what tells of failures before
                status, made.late = made.late, None
                raise made.error(status, name)
            return plain(*args, **kwargs)

        monkeypatch.setattr(holder, name, watching)

    def launching(queue, kernel, *args, **kwargs):
        made.check("launch")
        event = launch(queue, kernel, *args, **kwargs)
        name = kernel.function_name
        for part, status in made.statuses.items():
            if part in name:
                made.late = "EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"
                return Event(event, status)
        return event

    launch = cl.enqueue_nd_range_kernel
    monkeypatch.setattr(cl, "enqueue_nd_range_kernel", launching)
    monkeypatch.setattr(cl._cl, "enqueue_nd_range_kernel", launching)
    for name in ("enqueue_copy", "enqueue_map_buffer", "enqueue_marker", "Buffer"):
        watched(cl, name)
    watched(cl.CommandQueue, "finish")
    watched(cl.Event, "wait")
    watched(cl._cl._Program, "_build", "build")
    watched(cl.Kernel, "set_arg")
    nd.waitall()
    yield made
    made.fails.clear()
    made.statuses.clear()
    made.late = None
