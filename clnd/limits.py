"""What a device reaches: how fast it copies and multiplies, which is measured once and kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from clnd import engine, ops
from clnd.engine import Value, dtypes
from clnd.opencl import Device, keep_report, kept_report

__all__ = ["Limits", "limits", "measure"]

_COPIED = 1 << 26  # bytes, past the caches of most devices
_SIDE = 1024  # of the matrices that are multiplied
_LEAST = 0.1  # seconds, and three times at least
_KEPT = "limits"


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
        text = kept_report(device, _KEPT)
        try:
            _known[device] = Limits(**json.loads(text)) if text is not None else measure(device)
        except (ValueError, TypeError):
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
    keep_report(device, _KEPT, json.dumps(asdict(found)))
    return found


def fastest(device: Device, work: Callable[[], Value | None]) -> float:
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
