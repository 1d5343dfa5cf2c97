"""Contexts: the user's names for devices, `cpu(0)` and `gpu(1)`, and which of them is current in a thread."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, ClassVar, Literal

from clnd.errors import MXNetError, shown
from clnd.opencl import Device, find_device, gpu_devices

__all__ = ["Context", "cpu", "cpu_pinned", "current_context", "gpu", "gpu_memory_info", "num_gpus"]


class Context:
    """The name of a device; a `with` block makes it the current one of the thread.

    Parameters
    ----------
    device_type : str or Context
        "cpu", "gpu" or "cpu_pinned" (which is "cpu": the driver decides where host memory lies).
    device_id : int
        The number of the device. A number past the last CPU device is a context of its own on one of them.

    Raises
    ------
    ValueError
        For another device type, or a negative number.

    Examples
    --------
    >>> import clnd as mx
    >>> with mx.Context("cpu", 0):
    ...     print(mx.current_context())
    cpu(0)
    """

    __slots__ = ("_device", "device_id", "device_type")
    devtype2num: ClassVar = {"cpu": 1, "gpu": 2}
    devnum2type: ClassVar = {1: "cpu", 2: "gpu", 3: "cpu"}

    def __init__(self, device_type: str | Context, device_id: int = 0) -> None:
        if isinstance(device_type, Context):
            device_id, device_type = device_type.device_id, device_type.device_type
        kind = "cpu" if device_type in ("cpu_pinned", "cpu_shared") else device_type
        if kind not in ("cpu", "gpu"):
            raise ContextError(f"Context: unknown device type {shown(device_type)}; use 'cpu' or 'gpu'")
        if device_id < 0:
            raise ContextError(f"Context: the device number {device_id} is negative")
        self.device_type: Literal["cpu", "gpu"] = "cpu" if kind == "cpu" else "gpu"
        self.device_id: int = int(device_id)
        self._device: Device | None = None

    @property
    def device_typeid(self) -> int:
        """1 for a CPU, 2 for a GPU: the codes of saved arrays."""
        return self.devtype2num[self.device_type]

    @property
    def device(self) -> Device:
        """The OpenCL device; finds the drivers at the first use.

        Raises
        ------
        DeviceError
            If there is no such device. The message tells what there is, or what to install.
        """
        if self._device is None:
            self._device = find_device(self.device_type, self.device_id)
        return self._device

    @property
    def device_name(self) -> str:
        """The device's name, as its driver tells it."""
        return self.device.name

    def __enter__(self) -> Context:
        _current().append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _current().pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and (self.device_type, self.device_id) == (other.device_type, other.device_id)

    def __hash__(self) -> int:
        return hash((self.device_type, self.device_id))

    def __repr__(self) -> str:
        return f"{self.device_type}({self.device_id})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Context, (self.device_type, self.device_id)

    def empty_cache(self) -> None:
        """Give the memory that the pool holds free back to the driver."""
        self.device.memory.drop_free()


class ContextError(MXNetError, ValueError):
    """A context that cannot be."""


class _Stack(threading.local):
    def __init__(self) -> None:
        self.contexts: list[Context] = []


_stack = _Stack()


def _current() -> list[Context]:
    return _stack.contexts


def cpu(device_id: int = 0) -> Context:
    """The context of the `device_id`-th OpenCL CPU device.

    >>> import clnd as mx
    >>> mx.cpu()
    cpu(0)
    """
    return Context("cpu", device_id)


def gpu(device_id: int = 0) -> Context:
    """The context of the `device_id`-th OpenCL GPU or accelerator.

    >>> import clnd as mx
    >>> mx.gpu(1)
    gpu(1)
    """
    return Context("gpu", device_id)


def cpu_pinned(device_id: int = 0) -> Context:
    """The same as `cpu`: the driver decides where host memory lies.

    >>> import clnd as mx
    >>> mx.cpu_pinned() == mx.cpu()
    True
    """
    return Context("cpu", device_id)


def current_context() -> Context:
    """The context that arrays of this thread are made on: that of the innermost `with` block, else `cpu(0)`.

    >>> import clnd as mx
    >>> mx.current_context()
    cpu(0)
    """
    contexts = _stack.contexts
    return contexts[-1] if contexts else _DEFAULT


_DEFAULT = Context("cpu", 0)


def num_gpus() -> int:
    """How many usable OpenCL GPUs and accelerators there are.

    >>> import clnd as mx
    >>> mx.num_gpus() >= 0
    True
    """
    return len(gpu_devices())


def gpu_memory_info(device_id: int = 0) -> tuple[int, int]:
    """Free and total memory of a GPU, in bytes.

    Raises
    ------
    DeviceError
        If there is no such GPU.
    """
    return gpu(device_id).device.memory_info()
