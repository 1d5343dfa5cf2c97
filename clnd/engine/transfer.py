"""Between the host and the device, and writing into a buffer that already holds a value."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from clnd.errors import MXNetError

from . import launch, plan
from .layout import Layout, compact
from .value import Value, called

if TYPE_CHECKING:
    from clnd.opencl import Device

ALIGNMENT = 64  # bytes, of what is handed to others: what they may expect


def from_numpy(array: np.ndarray[Any, Any], device: Device) -> Value:
    """A value with a copy of the elements of an array of a known dtype."""
    launch.check_dtype(array.dtype, device, "array")
    value = Value(array.shape, array.dtype, device)
    if array.size:
        with called("array"):
            buffer = device.allocate(array.nbytes)
            device.write(buffer, 0, array)
        value.place(buffer, compact(array.shape))
    return value


def to_numpy(value: Value) -> np.ndarray[Any, Any]:
    """The elements as a new NumPy array; waits for them."""
    try:
        result = np.empty(value.shape, value.dtype)
    except MemoryError:
        raise MXNetError(f"the host has no memory for {value.size * value.dtype.itemsize:,} bytes, of shape {value.shape}") from None
    if value.size:
        value = plan.gathered(value)
        assert value.buffer is not None
        value.device.read(value.buffer, value.offset * value.dtype.itemsize, result)
    return result


def mapped(value: Value, write: bool = False) -> np.ndarray[Any, Any]:
    """The elements as they lie in the device's memory, which is the host's; waits for them. Nobody may write them unless with `write`.

    Raises
    ------
    MXNetError
        Where the device has a memory of its own.
    """
    if not value.device.traits.unified_memory:
        raise MXNetError(f"{value.device} has a memory of its own, which nothing else on the host can read: use asnumpy()")
    if not value.size:
        return np.empty(value.shape, value.dtype)
    value = plan.gathered(value)
    itemsize = value.dtype.itemsize
    if value.offset * itemsize % ALIGNMENT and not write:
        value = plan.copied(value)
    assert value.buffer is not None
    elements = value.device.map(value.buffer, value.offset * itemsize, value.size * itemsize, write)
    return elements.view(value.dtype).reshape(value.shape)


class Slot:
    """Holds a value beside the handle whose value it is, while its references are counted and its buffer is written."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class _Sample:
    buffer: Any = None


def _alone() -> tuple[int, int]:
    handle = Slot(_Sample())
    handle.value.buffer = object()
    slot = Slot(handle.value)
    return sys.getrefcount(slot.value), sys.getrefcount(slot.value.buffer)


_VALUES, _BUFFERS = _alone()  # references that are counted where nobody else has any; interpreters differ


def held_alone(slot: Slot) -> bool:
    """Does nobody but one handle (and `slot`) refer to the value, and nobody but it to its buffer?"""
    if sys.getrefcount(slot.value) > _VALUES or slot.value.buffer is None:
        return False
    return sys.getrefcount(slot.value.buffer) <= _BUFFERS


def write_region(slot: Slot, region: Layout, source: Value) -> None:
    """Write `source` over a region of the buffer of `slot.value`, which must be the only one that reads it.

    Parameters
    ----------
    slot : Slot
    region : Layout
        Where, in that buffer.
    source : Value
        Broadcast to the region's shape, converted to its dtype by the caller.
    """
    with plan.lock:
        target = slot.value
        plan.write(source, Value(region.shape, target.dtype, target.device).place(target.buffer, region))


def reads(value: Value, buffer: Any) -> bool:
    """Does the waiting work behind `value` read `buffer`?"""
    stack, seen = [value], set()
    while stack:
        x = stack.pop()
        if x.strides is not None:
            if x.buffer is not None and x.buffer is buffer:
                return True
        elif id(x) not in seen and x.record is not None:
            seen.add(id(x))
            stack += [y for y in x.record.inputs if isinstance(y, Value)]
    return False
