"""A device in use: its queue, its memory and its kernels."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from clnd.errors import DeviceError, MXNetError
from clnd.opencl.host import available_memory, fork_safe_lock
from clnd.opencl.kernel import Bound, Kernel
from clnd.opencl.memory import Buffer, Mapping, MemoryPool, lose
from clnd.opencl.program import Programs
from clnd.opencl.running import Call, describe_site
from clnd.opencl.traits import Traits, read_traits

if TYPE_CHECKING:
    import pyopencl as cl

Kind = Literal["cpu", "gpu"]
_SMALL_WRITE = 1 << 16  # bytes; up to here data is copied, and written while Python goes on
_WAITING_WRITES = 64
_RECENT = 1024  # launches; no more wait in a queue, by `throttle`
_listening = fork_safe_lock()  # finalizers may begin to listen


class Listener(Protocol):
    """What is told of all that devices do, in the thread that has them do it. Times are those of `time.perf_counter_ns`."""

    def allocated(self, buffer: Buffer) -> None:
        """A buffer was given out."""

    def launched(self, kernel: Kernel, global_size: Any, local_size: Any, arguments: tuple[Any, ...], event: cl.Event) -> None:
        """A kernel was put into the queue. Of a launch that is done again, buffers among the arguments are only their sizes."""

    def crossed(self, what: str, nbytes: int, began: int) -> None:
        """Elements went between host and device."""

    def waited(self, began: int) -> None:
        """The host has waited for the device."""

    def built(self, kernel: Kernel, compiled: bool, began: int) -> None:
        """A kernel was compiled, or loaded from disk."""


class Device:
    """One usable OpenCL device. Context and queue are made at its first use.

    Attributes
    ----------
    name
        Short readable name.
    kind
        "cpu" or "gpu": behind which of the two it stands.
    index
        Its number there.
    cl
        The OpenCL device.
    traits
        What it can do.
    memory
        Its memory pool.
    ended
        What the host has seen of buffers and nobody looks at any more, with the buffers: see `unmap`.
    lock
        Held around all that uses the queue or sets a kernel's arguments, since not every driver keeps threads apart as OpenCL demands.
    launched
        How many launches there were.
    recent
        The last of them, since the host has waited for all work: what to look through when the queue says that some of it failed.
    listeners
        What wants to be told of all that devices do: the methods of each are called.
    timed
        Do devices time their launches, so that the events of these tell when they ran?
    """

    listeners: ClassVar[tuple[Listener, ...]] = ()
    timed: ClassVar[bool] = False

    def __init__(self, device: cl.Device, name: str, kind: Kind, index: int) -> None:
        self.cl = device
        self.name = name
        self.kind: Kind = kind
        self.index = index
        self.traits: Traits = read_traits(device, kind)
        self.lock: Any = threading.RLock()
        self.launched = 0
        self.recent: deque[tuple[cl.Event, Kernel | Bound, Call | None]] = deque(maxlen=_RECENT)
        self.memory = MemoryPool(self)
        self._open: tuple[cl.Context, cl.CommandQueue] | None = None
        self._programs: Programs | None = None
        self._marker: cl.Event | None = None
        self._writes: deque[cl.Event] = deque()
        self.ended: deque[tuple[NDArray[np.uint8], Buffer]] = deque()
        traits = self.traits
        self._given = {"lanes": traits.lanes, "schedule": traits.schedule, "fp64": traits.fp64, "fp16": traits.fp16}

    def __str__(self) -> str:
        return f"{self.kind}({self.index}) [{self.name}]"

    def __repr__(self) -> str:
        return f"<Device {self}>"

    @property
    def context(self) -> cl.Context:
        """The device's OpenCL context."""
        return self._opened()[0]

    @property
    def queue(self) -> cl.CommandQueue:
        """The device's one in-order queue."""
        return self._opened()[1]

    @property
    def programs(self) -> Programs:
        """The device's kernels."""
        if self._programs is None:
            import pyopencl as cl

            with self.lock:
                if self._programs is None:
                    try:
                        self._programs = Programs(self)
                    except cl.Error as error:
                        raise DeviceError(f"{self} does not say what it is: {error}") from error
        return self._programs

    @classmethod
    def listen(cls, listener: Listener) -> None:
        """Tell a listener of all that devices do."""
        with _listening:
            cls.listeners = (*cls.listeners, listener)

    @classmethod
    def dismiss(cls, listener: Listener) -> None:
        """Tell a listener no more, if it was told."""
        with _listening:
            cls.listeners = tuple(other for other in cls.listeners if other is not listener)

    def _opened(self) -> tuple[cl.Context, cl.CommandQueue]:
        if self._open is None:
            import pyopencl as cl

            with self.lock:
                if self._open is None:
                    try:
                        context = cl.Context([self.cl])
                        self._open = context, self._queue(context)
                    except cl.Error as error:
                        raise DeviceError(f"{self} cannot be opened: {error}") from error
        return self._open

    def _queue(self, context: cl.Context) -> cl.CommandQueue:
        import pyopencl as cl

        properties: Any = cl.command_queue_properties.PROFILING_ENABLE if self.timed else 0
        return cl.CommandQueue(context, properties=properties)

    def renew_queue(self) -> None:
        """Go on in a queue that times its launches or does not, as `timed` says, if there is a queue."""
        if self._open is None:
            return
        with self.programs.lock, self.lock:  # in the order in which a build takes them
            self.finish()
            self._open = self._open[0], self._queue(self._open[0])
            self._marker = None
            self._writes.clear()
            self.programs.use(self._open[1])

    def allocate(self, nbytes: int) -> Buffer:
        """Give a buffer of `nbytes` bytes, at least one, with any content.

        Raises
        ------
        MXNetError
            When there is not that much memory.
        """
        buffer = self.memory.allocate(nbytes)
        for listener in self.listeners:
            listener.allocated(buffer)
        return buffer

    def kernel(self, template: str, name: str, *, arguments: tuple[str, ...] | None = None, **parameters: Any) -> Kernel:
        """Give the kernel `name` of ``templates/TEMPLATE.cl.mako``, built once.

        Parameters
        ----------
        template
            The template's name.
        name
            The kernel's name.
        arguments
            Its argument types: "buffer", or OpenCL's name of a scalar type.
        **parameters
            What the template reads, beside `name`, `lanes`, `schedule`, `fp64` and `fp16`, which it gets in any case. Their `repr` must
            tell all about them, for it is what the caches go by.

        Raises
        ------
        MXNetError
            When the template or the driver fails.
        """
        return self.programs.kernel(template, name, arguments, {**self._given, **parameters})

    def write(self, buffer: Buffer, byte_offset: int, array: NDArray[Any]) -> None:
        """Copy an array into a buffer; the array may be changed afterwards.

        Raises
        ------
        MXNetError
            When the driver fails.
        """
        import pyopencl as cl

        if not array.nbytes:
            return
        began = time.perf_counter_ns()
        small = array.nbytes <= _SMALL_WRITE
        data = np.array(array, order="C") if small else np.ascontiguousarray(array)
        with self.lock:
            try:
                event = cl.enqueue_copy(self.queue, buffer.cl, data, dst_offset=byte_offset, is_blocking=not small)
                if small:
                    self._writes.append(event)  # an event that goes waits for its command
                if len(self._writes) > _WAITING_WRITES:
                    self._writes.popleft().wait()
            except cl.Error as error:
                raise self.failed(f"writing {array.nbytes:,} bytes", error) from error
        for listener in self.listeners:
            listener.crossed("it sends elements to the device", array.nbytes, began)

    def read(self, buffer: Buffer, byte_offset: int, array: NDArray[Any]) -> None:
        """Wait for all work before, and copy a buffer into a contiguous array.

        Raises
        ------
        MXNetError
            When the driver, or work before, fails.
        """
        import pyopencl as cl

        if not array.nbytes:
            return
        began = time.perf_counter_ns()
        with self.lock:
            try:
                cl.enqueue_copy(self.queue, array, buffer.cl, src_offset=byte_offset)
                self.recent.clear()
            except cl.Error as error:
                raise self.failed(f"reading {array.nbytes:,} bytes", error) from error
        for listener in self.listeners:
            listener.crossed("it reads elements", array.nbytes, began)

    def map(self, buffer: Buffer, byte_offset: int, nbytes: int, write: bool) -> NDArray[np.uint8]:
        """Wait for all work before, and give bytes of a buffer for the host to read, or to `write`, as long as the array lives.

        Raises
        ------
        MXNetError
            When the driver, or work before, fails.
        """
        import pyopencl as cl

        flags: Any = cl.map_flags.READ | cl.map_flags.WRITE if write else cl.map_flags.READ
        began = time.perf_counter_ns()
        self.unmap()
        with self.lock:
            try:
                mapped: Any = cl.enqueue_map_buffer(self.queue, buffer.cl, flags, byte_offset, (nbytes,), np.dtype(np.uint8))
            except cl.Error as error:
                raise self.failed(f"mapping {nbytes:,} bytes", error) from error
        for listener in self.listeners:
            listener.crossed("it shows elements to the host", 0, began)
        return np.asarray(Mapping(mapped[0], buffer))

    def unmap(self) -> None:
        """Take back what the host was given by `map` and does not look at any more."""
        if not self.ended:
            return
        import pyopencl as cl

        while self.ended:
            view, buffer = self.ended.popleft()
            with self.lock:
                try:
                    view.base.release(self.queue)  # type: ignore[union-attr]
                except cl.Error as error:
                    raise self.failed("taking back what the host was shown", error) from error
            del view, buffer

    def finish(self) -> None:
        """Wait until the queue is empty.

        Raises
        ------
        MXNetError
            When work in it failed.
        """
        import pyopencl as cl

        began = time.perf_counter_ns()
        with self.lock:
            if self._open is None:
                return
            try:
                self.unmap()
                self._open[1].finish()
                self.recent.clear()
            except cl.Error as error:
                raise self.failed("waiting for the queue", error) from error
        for listener in self.listeners:
            listener.waited(began)

    def throttle(self) -> None:
        """Set a marker and wait for the one before: a loop that never reads cannot fill the host's memory with waiting launches."""
        import pyopencl as cl

        try:
            before, self._marker = self._marker, cl.enqueue_marker(self.queue)
            if before is not None:
                before.wait()
        except cl.Error as error:
            raise self.failed("waiting for the queue", error) from error

    def failed(self, what: str, error: cl.Error) -> MXNetError:
        """The error of something that the driver did not do; of the launch that failed before, where the queue tells only now.

        What was computed by that launch and later ones is lost: reading it raises the error again.
        """
        text = f"{self}: {what} failed: {error}"
        with self.lock:
            launches = list(self.recent)
            number = next((i for i, (event, _, _) in enumerate(launches) if _status(event) < 0), None)
            if number is None:
                return MXNetError(text)
            self.recent.clear()
            first = self.launched - len(launches)  # so many were launched before the recent ones
            event, kernel, call = launches[number]
            who, line = (kernel.name, "an unknown line") if call is None else (call.name, describe_site(call.site))
            text = (
                f"{who}, called at {line}: {self}: kernel {kernel.name} failed in the queue with status {_status(event)}, "
                f"which came out when {what} failed: {error}. What it computed and what was computed since is lost, and must be computed "
                "again; other arrays are as they were. If every call fails from now on the device is gone, and it takes a new process"
            )
            bad = launches[number:]
            makers = {id(call) for _, _, call in bad if call is not None}
            written = {id(x) for _, launch, _ in bad if type(launch) is Bound for x in launch.written}
            lose(self, text, lambda x: x.since >= first + number or id(x) in written or (x.since >= first and id(x.maker) in makers))
        failure = MXNetError(text)
        failure.clnd_line = line  # type: ignore[attr-defined]  # so that nobody else is blamed
        return failure

    def memory_info(self) -> tuple[int, int]:
        """Give the bytes left and all bytes of this device.

        Returns
        -------
        (int, int)
            Free and total.
        """
        total = self.memory.most
        free = total - self.memory.used
        if self.traits.unified_memory:
            free = min(free, available_memory() + self.memory.free)
        return max(0, free), total

    def abandon(self) -> None:
        """Make every further use raise: in a process forked after OpenCL was used the driver's threads are missing, and it would hang."""
        self.lock = Forked()
        if self._programs is not None:
            self._programs.lock = self.lock


def _status(event: cl.Event) -> int:
    import pyopencl as cl

    try:
        return int(event.command_execution_status)
    except cl.Error:
        return 0


class Forked:
    """Stands in for a lock in a forked process; whoever takes it gets the error."""

    def __enter__(self) -> None:
        raise MXNetError(
            "this process was forked after OpenCL was used in its parent, and OpenCL drivers do not survive that: start processes with "
            "multiprocessing.get_context('spawn'), or fork before the first array is made"
        )

    def __exit__(self, *about: object) -> None:
        """Never reached."""
