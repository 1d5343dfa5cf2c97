"""What a device reaches: how fast it copies and multiplies, which is measured once and kept, and what small things cost on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from clnd import engine, ops
from clnd.engine import dtypes
from clnd.opencl import Device, Kernel
from clnd.opencl.measured import keep_measured, read_measured

__all__ = ["Costs", "Limits", "costs", "limits", "measure"]

_COPIED = 1 << 26  # bytes, past the caches of most devices
_SIDE = 1024  # of the matrices that are multiplied
_LEAST = 0.1  # seconds, and three times at least
_KEPT = "limits"
_MANY = 1000  # launches in a row


@dataclass(frozen=True)
class Limits:
    """What a device reaches.

    Attributes
    ----------
    copy
        Bytes that a copy of a large array reads and writes in a second.
    product
        Operations of a product of large float32 matrices in a second.
    """

    copy: float
    product: float


@dataclass(frozen=True)
class Costs:
    """What small things cost, in seconds.

    Attributes
    ----------
    launch
        One of many launches in a row of a small kernel, done when the last one is.
    wait
        Such a launch, and waiting for it.
    read
        Reading a number.
    operation
        A small array's sum with another, as Python asks for it, one of many.
    build
        Compiling a small kernel that no cache knows, and launching it first.
    """

    launch: float
    wait: float
    read: float
    operation: float
    build: float


_known: dict[Device, Limits] = {}


def limits(device: Device) -> Limits:
    """What a device reaches: measured at its first use, and kept on disk.

    Examples
    --------
    >>> import clnd as mx
    >>> found = limits(mx.cpu().device)
    >>> found.copy > 0 and found.product > 0
    True
    """
    if device not in _known:
        try:
            _known[device] = Limits(**read_measured(device, _KEPT))
        except TypeError:  # not all of it is there
            _known[device] = measure(device)
    return _known[device]


def measure(device: Device) -> Limits:
    """Measure anew, which takes part of a second, and keep it."""
    copied = min(_COPIED, device.traits.max_allocation // 4, device.memory_info()[0] // 8) // 4
    x = engine.ready(ops.registry["full"](shape=(copied,), value=1.0, dtype=dtypes.float32, device=device))
    a = engine.ready(ops.registry["full"](shape=(_SIDE, _SIDE), value=0.5, dtype=dtypes.float32, device=device))
    with engine.eager():
        found = Limits(
            copy=8 * copied / fastest(device, lambda: engine.copied(x)),
            product=2 * _SIDE**3 / fastest(device, lambda: ops.registry["matmul"](a, a)),
        )
    _known[device] = found
    keep_measured(device, _KEPT, **asdict(found))
    return found


def costs(device: Device) -> Costs:
    """Measure what small things cost on a device.

    Examples
    --------
    >>> import clnd as mx
    >>> costs(mx.cpu().device).launch > 0
    True
    """
    full, add = ops.registry["full"], ops.registry["add"]
    x = engine.ready(full(shape=(4,), value=1.0, dtype=dtypes.float32, device=device))
    kernel, *launch = _launched(device, lambda: engine.copied(x))

    def launches(count: int) -> None:
        for _ in range(count):
            kernel(launch[0], launch[1], *launch[2])

    def operations() -> None:
        y = x
        for _ in range(_MANY):
            y = add(y, x)
        engine.evaluate(y)

    built = kernel.device.programs.built_anew(kernel)  # loads the compiler
    begin = time.perf_counter()
    built = kernel.device.programs.built_anew(kernel)
    built(launch[0], launch[1], *launch[2])
    device.finish()
    build = time.perf_counter() - begin
    return Costs(
        launch=fastest(device, lambda: launches(_MANY)) / _MANY,
        wait=fastest(device, lambda: launches(1)),
        read=fastest(device, lambda: engine.to_numpy(x)),
        operation=fastest(device, operations) / _MANY,
        build=build,
    )


class _Last:
    """A listener that knows the last launch."""

    launch: Any = None

    def launched(self, kernel: Kernel, global_size: Any, local_size: Any, arguments: tuple[Any, ...], event: Any) -> None:
        self.launch = kernel, global_size, local_size, arguments

    def _nothing(self, *about: Any) -> None:
        pass

    allocated = crossed = waited = built = _nothing


def _launched(device: Device, work: Callable[[], object]) -> Any:
    """The last launch of a work: kernel, sizes and arguments."""
    last = _Last()
    Device.listen(last)
    try:
        work()
    finally:
        Device.dismiss(last)
    return last.launch


def fastest(device: Device, work: Callable[[], object]) -> float:
    """The least seconds that work takes on the device."""
    work()
    device.finish()
    times: list[float] = []
    while len(times) < 3 or sum(times) < _LEAST:
        begin = time.perf_counter()
        work()
        device.finish()
        times.append(time.perf_counter() - begin)
    return min(times)
