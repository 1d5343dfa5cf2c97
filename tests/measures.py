"""What tests measure: launches, compilations, memory, and the engine's objects that are alive; and what several of them compute."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any

import numpy as np
import pyopencl as cl

import clnd as mx
from clnd import autograd, engine
from clnd.engine import launch, plan
from clnd.opencl import counters
from clnd.opencl.device import Device
from clnd.opencl.devices import candidates
from clnd.opencl.trial import reason_unusable

CONTEXTS = [mx.cpu(0), *([mx.gpu(0)] if mx.num_gpus() else [])]


def other_driver() -> Any:
    """A CPU of another driver than that of cpu(0), as an OpenCL device; None where there is none that can be used."""
    mine = mx.cpu(0).device.cl.platform
    found = (candidate.cl for candidate in candidates() if candidate.kind == "cpu" and candidate.cl.platform != mine)
    return next((device for device in found if reason_unusable(device) is None), None)


def keeps_denormals(device: Device) -> bool:
    """Whether float32 has numbers below the least normal one there, or zeros for them."""
    return bool(device.cl.single_fp_config & cl.device_fp_config.DENORM)


def forget_kernels(monkeypatch: Any) -> None:
    """Let the engine know no kernel and no plan for the rest of a test, as at the start of a process."""
    monkeypatch.setattr(launch, "_kernels", {})
    monkeypatch.setattr(plan, "_plans", {})


def fill_with_nan(monkeypatch: Any) -> None:
    """Let no buffer that is given out for the rest of a test hold zeros by chance."""
    allocate = Device.allocate

    def full_of_nan(device: Device, size: int) -> Any:
        buffer = allocate(device, size)
        device.write(buffer, 0, np.full(buffer.cl.size // 4, np.nan, np.float32))
        return buffer

    monkeypatch.setattr(Device, "allocate", full_of_nan)


@contextmanager
def zones_untouched() -> Iterator[None]:
    """Nothing in the block writes into the bytes that follow a buffer's elements."""
    zone, held, allocate = np.full(256, 0xA5, np.uint8), [], Device.allocate

    def with_zone(device: Device, size: int) -> Any:
        buffer = allocate(device, size + zone.nbytes)
        device.write(buffer, size, zone)
        if len(held) < 4000:  # which hold memory until the end
            held.append((buffer, size))
        return buffer

    Device.allocate = with_zone  # type: ignore[method-assign]
    try:
        yield
    finally:
        Device.allocate = allocate  # type: ignore[method-assign]
    for buffer, size in held:
        found = np.empty_like(zone)
        buffer.device.read(buffer, size, found)
        # What fills whole blocks, as `fill_with_nan` does, leaves nothing of it.
        assert (found == zone).all() or not (found == zone).any(), f"bytes behind the {size:,} of {buffer.maker} were written"


class Counts:
    """What happened within a `with counted()` block."""

    launches = 0
    compilations = 0
    renders = 0
    kernels = 0


@contextmanager
def counted() -> Iterator[Counts]:
    """Count what the block launches, and what it compiles, renders, and asks the program cache for."""
    counts = Counts()
    before = counters.launches, counters.compilations, counters.renders, counters.loaded
    yield counts
    counts.launches = counters.launches - before[0]
    counts.compilations = counters.compilations - before[1]
    counts.renders = counters.renders - before[2]
    counts.kernels = counts.compilations + counters.loaded - before[3]


def launches(work: Callable[[], Any]) -> int:
    """How many kernels does `work` launch?"""
    with counted() as counts:
        work()
    return counts.launches


@contextmanager
def allocated(device: Any) -> Iterator[list[int]]:
    """Collect the sizes in bytes of all buffers that a device gives out within the block."""
    sizes: list[int] = []
    pool = device.memory
    plain = pool.allocate

    def allocate(nbytes: int) -> Any:
        sizes.append(nbytes)
        return plain(nbytes)

    pool.allocate = allocate
    try:
        yield sizes
    finally:
        del pool.allocate


def alive() -> tuple[int, int]:
    """How many values and records are there?"""
    objects = gc.get_objects()
    return sum(type(x) is engine.Value for x in objects), sum(type(x) is engine.Record for x in objects)


def waits(array: Any) -> bool:
    """Is the array's value still to be computed?"""
    return array.value.strides is None


def rounds(few: int) -> Iterator[int]:
    """Count so many rounds, or, for a long test by hand, as many as go into CLND_TEST_MINUTES."""
    minutes, began, number = float(os.environ.get("CLND_TEST_MINUTES", "0")), time.monotonic(), 0
    while time.monotonic() - began < 60 * minutes if minutes else number < few:
        yield number
        number += 1


def at_once(work: Callable[[int, Barrier], Any], threads: int) -> list[Any]:
    """Give what `work(number, barrier)` gives in each of several threads that start together; an error in one is raised."""
    barrier = Barrier(threads, timeout=60)

    def run(number: int) -> Any:
        try:
            barrier.wait()
            return work(number, barrier)
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads), timeout=600))


class Cube(autograd.Function):
    """x^3, with a gradient that can be differentiated again."""

    def forward(self, x: Any) -> Any:
        self.save_for_backward(x)
        return x * x * x

    def backward(self, dy: Any) -> Any:
        (x,) = self.saved_tensors
        return dy * 3 * x * x
