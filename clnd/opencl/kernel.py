"""A built kernel, and its launch: the shortest way from Python numbers and buffers into the queue."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from clnd.errors import MXNetError
from clnd.opencl.counters import counters
from clnd.opencl.memory import is_shortage
from clnd.opencl.running import Call, running
from clnd.opencl.traits import power_of_two_below

if TYPE_CHECKING:
    import pyopencl as cl

    from clnd.opencl.device import Device
    from clnd.opencl.memory import Buffer

T = TypeVar("T")
_MARKER_EVERY = 512  # launches
_TYPES: dict[str, type[np.generic] | None] = {
    "buffer": None,
    "char": np.int8,
    "uchar": np.uint8,
    "short": np.int16,
    "ushort": np.uint16,
    "int": np.int32,
    "uint": np.uint32,
    "long": np.int64,
    "ulong": np.uint64,
    "float": np.float32,
    "double": np.float64,
}


class Kernel:
    """A built kernel of one device. Calling it puts a launch into the device's queue.

    Attributes
    ----------
    device
        The device that it was built for.
    name
        The kernel's name.
    program
        The OpenCL program that holds it.
    cl
        The OpenCL kernel.
    group
        The largest work-group to launch it in, a power of two: what it needs of registers may leave less than `traits.group`.
    arguments
        The declared argument types, or None before `declare`.
    template, parameters
        What its source was rendered from.
    """

    __slots__ = ("arguments", "cl", "device", "group", "name", "parameters", "program", "queue", "template")

    def __init__(self, device: Device, program: Any, name: str, template: str, parameters: Mapping[str, Any]) -> None:
        import pyopencl as cl

        self.device = device
        self.name = name
        self.program = program
        self.cl: Any = despite_cache(lambda: cl.Kernel(program, name))
        self.queue = device.queue
        self.group = min(device.traits.group, power_of_two_below(largest_group(self.cl, device.cl)))
        self.arguments: tuple[str, ...] | None = None
        self.template, self.parameters = template, parameters

    def declare(self, arguments: Sequence[str]) -> Kernel:
        """Fix the argument types: "buffer", or OpenCL's name of a scalar type.

        Returns
        -------
        Kernel
            The same kernel, ready to be called.

        Raises
        ------
        MXNetError
            When a type is unknown, or their number is not the kernel's.
        """
        arguments = tuple(arguments)
        unknown = sorted(set(arguments) - set(_TYPES))
        if unknown:
            raise MXNetError(f"kernel {self.name}: {', '.join(unknown)}: no such argument type; there are {', '.join(_TYPES)}")
        try:
            despite_cache(lambda: self.cl.set_scalar_arg_dtypes([_TYPES[kind] for kind in arguments]))
        except TypeError as error:
            raise MXNetError(
                f"{self.device}: kernel {self.name} takes {self.cl.num_args} arguments, declared are {len(arguments)}: {arguments}"
            ) from error
        self.arguments = arguments
        self.__class__ = _class_for(arguments, self.group < self.device.traits.group)
        return self

    def __call__(self, global_size: tuple[int, ...], local_size: tuple[int, ...] | None, *args: Any) -> None:
        """Launch over `global_size` work-items in groups of `local_size`: `args` are Buffers, and Python numbers for scalars.

        Raises
        ------
        MXNetError
            When the driver refuses.
        """
        raise MXNetError(f"{self.device}: the argument types of kernel {self.name} were never declared")

    def __repr__(self) -> str:
        return f"<Kernel {self.name} on {self.device}>"

    def fitted(self, global_size: tuple[int, ...], local_size: tuple[int, ...] | None) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        """Give global and local size with groups that fit `group`.

        Where the work-items of a group work together, which a parameter `group` of the template tells (not 0), there are as many groups as
        asked for, else as many work-items.
        """
        excess = prod(local_size) // self.group if local_size is not None else 0
        if local_size is None or excess <= 1:
            return global_size, local_size
        axis = local_size.index(max(local_size))
        fewer = tuple(size // excess if at == axis else size for at, size in enumerate(local_size))
        if self.parameters.get("group"):
            global_size = tuple(size // excess if at == axis else size for at, size in enumerate(global_size))
        return global_size, fewer

    def _again(self, error: cl.Error, global_size: tuple[int, ...], local_size: tuple[int, ...] | None, *args: Any) -> Any:
        """Launch once more, where that may help.

        Some drivers allocate at the first use, so that memory may be short. Some refuse groups of a size that they say they take: where
        work-items do not work together, groups are halved until one is taken, and stay so.
        """
        import pyopencl as cl

        launch, group, asked = self.cl, self.group, local_size
        if is_shortage(error):
            self.device.memory.make_room()
            try:
                return launch(self.queue, global_size, local_size, *args)
            except cl.Error as again:
                error = again
        advice = ""
        if local_size is not None and error.code in (cl.status_code.INVALID_WORK_GROUP_SIZE, cl.status_code.OUT_OF_RESOURCES):
            advice = "; CLND_TRAITS=max_group=64 makes do with smaller groups"
            while not self.parameters.get("group") and self.arguments is not None and (items := prod(local_size)) > 1:
                self.group = items // 2
                self.__class__ = _class_for(self.arguments, True)
                _, local_size = self.fitted(global_size, local_size)
                assert local_size is not None
                try:
                    return launch(self.queue, global_size, local_size, *args)
                except cl.Error as again:
                    error = again
            self.group = group
        raise MXNetError(f"{self.device}: launching kernel {self.name} over {global_size} in groups of {asked}: {error}{advice}") from error


class Bound:
    """A kernel with a grid and arguments of its own, to be launched many times.

    Parameters
    ----------
    kernel
        Its arguments must be declared.
    global_size, local_size
        As the kernel is called with.
    arguments
        Arguments of such a launch, with sizes in bytes for buffers: listeners are told of these.
    call, operations
        The operator call that it is a part of, and what it said of the launch.

    Attributes
    ----------
    call
        That operator call.
    outputs
        Positions of the buffers that it writes over: what is lost with a launch that fails.
    """

    __slots__ = (
        "_arguments",
        "_buffers",
        "_cl",
        "_enqueue",
        "_error",
        "_global_size",
        "_kernel",
        "_local_size",
        "_operations",
        "_set_bytes",
        "_types",
        "call",
        "outputs",
    )

    def __init__(
        self,
        kernel: Kernel,
        global_size: tuple[int, ...],
        local_size: tuple[int, ...] | None,
        arguments: tuple[Any, ...],
        call: Call | None = None,
        operations: int = 0,
    ) -> None:
        import pyopencl as cl

        assert kernel.arguments is not None
        self._enqueue, self._error = cl.enqueue_nd_range_kernel, cl.Error
        try:
            self._cl = despite_cache(lambda: cl.Kernel(kernel.program, kernel.name))
        except cl.Error as error:
            raise MXNetError(f"{kernel.device}: kernel {kernel.name} once more: {error}") from error
        self._types = [_TYPES[kind] for kind in kernel.arguments]
        self._set_bytes = getattr(self._cl, "_set_arg_buf", self._cl.set_arg)  # the short way there, which tries nothing else first
        self._kernel = kernel
        self._global_size, self._local_size = kernel.fitted(global_size, local_size)
        self._arguments, self.call, self._operations = arguments, call, operations
        self._buffers: dict[int, weakref.ref[Buffer]] = {}  # by position; whether others hold one is counted
        self.outputs: Sequence[int] = ()

    @property
    def name(self) -> str:
        """The kernel's name."""
        return self._kernel.name

    def set(self, position: int, argument: Any) -> None:
        """Bind an argument: a Buffer, or a Python number for a scalar."""
        kind = self._types[position]
        try:
            if kind is None:
                self._cl.set_arg(position, argument.cl)
            else:
                self._set_bytes(position, kind(argument).tobytes())
        except self._error as error:
            raise MXNetError(f"{self._kernel.device}: argument {position} of kernel {self._kernel.name}: {error}") from error

    def give(self, given: Iterable[tuple[int, Buffer]]) -> None:
        """Bind Buffers at positions, but for those that `give` bound there before. MXNetError if the elements of one are lost."""
        bound = self._buffers
        for position, buffer in given:
            known = bound.get(position)
            if known is not None and known() is buffer:
                buffer.cl  # noqa: B018  (raises if it is lost)
                continue
            bound.pop(position, None)  # first: Ctrl-C may come after the next line
            self.set(position, buffer)
            bound[position] = weakref.ref(buffer)

    @property
    def written(self) -> list[Buffer | None]:
        """The buffers that it writes over, as far as they are still there."""
        return [self._buffers[position]() for position in self.outputs]

    def launch(self) -> None:
        """Launch with the arguments that are bound.

        Raises
        ------
        MXNetError
            When the driver refuses.
        """
        kernel = self._kernel
        device = kernel.device
        with device.lock:
            try:
                event = self._enqueue(kernel.queue, self._cl, self._global_size, self._local_size)
            except self._error as error:
                event = self._again(error)
            counters.launches += 1
            device.launched += 1
            device.recent.append((event, self, self.call or running.call))
            if device.listeners:
                self._tell(event)
            if not device.launched % _MARKER_EVERY:
                device.throttle()

    def _again(self, error: Any) -> Any:
        """Launch once more if memory was short, which some drivers allocate at the first use."""
        kernel = self._kernel
        if is_shortage(error):
            kernel.device.memory.make_room()
            try:
                return self._enqueue(kernel.queue, self._cl, self._global_size, self._local_size)
            except self._error as again:
                error = again
        raise MXNetError(f"{kernel.device}: launching kernel {kernel.name} over {self._global_size} again: {error}") from error

    def _tell(self, event: cl.Event) -> None:
        outer, running.call = running.call, self.call
        if self.call is not None:
            self.call.operations = self._operations
        try:
            _tell(self._kernel, self._global_size, self._local_size, self._arguments, event)
        finally:
            running.call = outer


def _tell(kernel: Kernel, global_size: Any, local_size: Any, arguments: tuple[Any, ...], event: cl.Event) -> None:
    for listener in kernel.device.listeners:
        listener.launched(kernel, global_size, local_size, arguments, event)
    if running.call is not None:
        running.call.operations = 0


def largest_group(kernel: cl.Kernel, device: cl.Device) -> int:
    """Give the largest work-group that a device takes of a kernel, by what the driver says."""
    import pyopencl as cl

    return int(kernel.get_work_group_info(cl.kernel_work_group_info.WORK_GROUP_SIZE, device))


@cache
def _class_for(arguments: tuple[str, ...], smaller: bool) -> type[Kernel]:
    """Write out the call for these argument types, since a loop over them would cost as much as the launch.

    With `smaller` the groups that it is called with may not fit.
    """
    import pyopencl as cl

    names = [f"a{number}" for number in range(len(arguments))]
    values = [f"{name}.cl" if kind == "buffer" else name for name, kind in zip(names, arguments, strict=True)]
    source = f"""
def __call__(self, global_size, local_size, {", ".join(names)}):
    {"global_size, local_size = self.fitted(global_size, local_size)" if smaller else ""}
    device = self.device
    with device.lock:
        try:
            event = self.cl(self.queue, global_size, local_size, {", ".join(values)})
        except Error as error:
            event = self._again(error, global_size, local_size, {", ".join(values)})
        counters.launches += 1
        device.launched += 1
        device.recent.append((event, self, running.call))
        if device.listeners:
            tell(self, global_size, local_size, ({", ".join(names)},), event)
        if not device.launched % {_MARKER_EVERY}:
            device.throttle()
"""
    space: dict[str, Any] = {"Error": cl.Error, "counters": counters, "running": running, "tell": _tell}
    exec(source, space)
    call: Callable[..., None] = space["__call__"]
    call.__doc__ = Kernel.__call__.__doc__
    return type("Kernel", (Kernel,), {"__slots__": (), "__call__": call, "__module__": __name__})


def despite_cache(make: Callable[[], T]) -> T:
    """Do something that pyopencl uses its own cache for, without that cache if it is damaged.

    Its cache of argument setters on disk cannot be turned off for one kernel, and an error in it would be the kernel's.
    """
    import sqlite3

    import pyopencl as cl

    try:
        return make()
    except (sqlite3.Error, OSError):
        cl._PYOPENCL_NO_CACHE = True
        return make()
