"""Device memory: a pool of blocks in size classes that keeps account, so that a request too large is an error and not a killed process."""

from __future__ import annotations

import gc
import os
import re
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from clnd.errors import MXNetError
from clnd.opencl.host import available_memory, trim
from clnd.opencl.running import describe_site, running

if TYPE_CHECKING:
    import numpy as np
    import pyopencl as cl
    from numpy.typing import NDArray

    from clnd.opencl.device import Device

SMALLEST = 256
_SPARE = 1 << 28  # bytes that free blocks may take in any case; beyond, no more than an eighth of what the used ones take
_LARGEST = 5  # holders that an error names
_RESERVE = 1 << 25  # bytes of the host's memory that stay for the interpreter and the driver, which grow too
_ASK_THE_HOST = 1 << 20  # so many bytes are created without reading the host's free memory again


def size_class(nbytes: int) -> int:
    """Give the size of the block that serves a request: powers of two and four steps between them, from 256 bytes.

    Examples
    --------
    >>> size_class(1), size_class(257), size_class(1024), size_class(1025)
    (256, 320, 1024, 1280)
    """
    if nbytes <= SMALLEST:
        return SMALLEST
    step = 1 << ((nbytes - 1).bit_length() - 3)
    return -(-nbytes // step) * step


def memory_limit() -> int | None:
    """Give the bytes that the arrays of a device may take by ``CLND_MEMORY_LIMIT``, or None where it is not set.

    It is a number of bytes, or a number with K, M, G or T, powers of 1024: ``8G``, ``512MiB``, ``1.5GB``.

    Raises
    ------
    MXNetError
        When it is something else.
    """
    text = os.environ.get("CLND_MEMORY_LIMIT", "").strip()
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,18}(?:\.\d{1,18})?) *([KMGT]?)(?:i?B)?", text, re.ASCII | re.IGNORECASE)
    limit = int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " ")) if found else 0
    if not limit:
        raise MXNetError(f"CLND_MEMORY_LIMIT={text}: this is no number of bytes; it is written as 8G, 512MiB or 1000000")
    return limit


def is_shortage(error: cl.Error) -> bool:
    """Does a driver say that there is no room, in one of the ways that drivers say it?"""
    import pyopencl as cl

    kinds = cl.status_code
    return error.code in (kinds.MEM_OBJECT_ALLOCATION_FAILURE, kinds.OUT_OF_RESOURCES, kinds.OUT_OF_HOST_MEMORY)


class Buffer:
    """A piece of a device's memory; when the last reference goes, its block goes back to the pool.

    Attributes
    ----------
    cl
        The OpenCL buffer; it may be larger than asked for.
    size
        Bytes asked for.
    device
        The device that holds it.
    maker
        The operator call that it was made for, if any.
    since
        How many launches of the device there had been when it was given out, or written last.
    """

    __slots__ = ("__weakref__", "_give_back", "cl", "device", "maker", "since", "size")

    def __init__(self, block: cl.Buffer, size: int, device: Device, give_back: Callable[[cl.Buffer], None]) -> None:
        self.cl = block
        self.size = size
        self.device = device
        self.since = device.launched
        self.maker = running.call
        self._give_back = give_back

    def __del__(self) -> None:
        # Runs in any thread, inside any lock, and at shutdown: one atomic append to a deque and nothing else.
        # Commands queued before still see the block's old content, because the queue is in order.
        try:
            self._give_back(self.cl)
        except AttributeError:
            pass  # Ctrl-C came before it was made

    def __repr__(self) -> str:
        return f"<Buffer of {self.size} bytes on {self.device.name}>"


def lose(device: Device, why: str, which: Callable[[Buffer], bool]) -> None:
    """Make all further use of some buffers raise."""
    kind = _lost(why)
    for x in _buffers(device):
        if type(x) is Buffer and which(x):
            x.__class__ = kind


def never(device: Device, why: str) -> Buffer:
    """Give a buffer that there is not: all use of it raises."""
    buffer = Buffer(None, 0, device, lambda block: None)  # type: ignore[arg-type]
    buffer.__class__ = _lost(why)
    return buffer


def _lost(why: str) -> type[Buffer]:
    def lost(self: Buffer) -> Any:
        raise MXNetError(f"the elements of this array are lost: {why}")

    def __del__(self: Buffer) -> None:
        self._give_back(vars(Buffer)["cl"].__get__(self))

    return type("Lost", (Buffer,), {"__slots__": (), "cl": property(lost), "__del__": __del__})


def _buffers(device: Device) -> list[Buffer]:
    """All buffers of a device that are used.

    Among all objects, which the collector would list too, are those that other threads are building, and they cannot finish a tuple that
    somebody else holds. What refers to a class is its instances, and hardly a tuple.
    """
    found = gc.get_referrers(Buffer, *Buffer.__subclasses__())
    return [x for x in found if isinstance(x, Buffer) and x.device is device]


class Mapping:
    """A part of a buffer that the host sees, as an array of bytes. Once it goes, the device unmaps it before the block is used again."""

    __slots__ = ("__array_interface__", "__weakref__", "_buffer", "_view")

    def __init__(self, view: NDArray[np.uint8], buffer: Buffer) -> None:
        self._view, self._buffer = view, buffer
        self.__array_interface__ = view.__array_interface__

    def __del__(self) -> None:
        # In any thread, as `Buffer.__del__`: only put aside for the device's next `unmap`.
        self._buffer.device.ended.append((self._view, self._buffer))


class Holding(NamedTuple):
    """Buffers in use that were made for one operator at one line.

    Attributes
    ----------
    operator, line : str
    buffers, nbytes : int
    """

    operator: str
    line: str
    buffers: int
    nbytes: int

    @property
    def made_for(self) -> str:
        """Operator and line, as far as they are known."""
        return f"{self.operator}, {self.line}" if self.line else self.operator


def holdings(device: Device) -> list[Holding]:
    """What the buffers in use were made for, the largest first.

    Examples
    --------
    >>> import clnd as mx
    >>> x = mx.nd.array([1, 2, 3])
    >>> any(holding.operator == "array" for holding in holdings(x.context.device))
    True
    """
    found: dict[tuple[str, str], list[int]] = {}
    for x in _buffers(device):
        call = x.maker
        key = ("unknown", "") if call is None else (call.name, describe_site(call.site))
        found.setdefault(key, []).append(x.size)
    rows = [Holding(*key, len(sizes), sum(sizes)) for key, sizes in found.items()]
    return sorted(rows, key=lambda row: -row.nbytes)


class _Class:
    """The blocks of one size: how many there are, and those that nobody uses."""

    __slots__ = ("created", "free")

    def __init__(self) -> None:
        self.created = 0
        self.free: deque[cl.Buffer] = deque()


class MemoryPool:
    """The memory of one device.

    What is used follows from the blocks created less the blocks free, so that giving one back needs no lock.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._classes: dict[int, _Class] = {}
        self._host = device.traits.unified_memory
        self._largest = device.traits.max_allocation
        self.most = min(device.traits.memory, memory_limit() or device.traits.memory)
        """The most bytes that may be held in any case."""
        self._budget: int | None = None
        self._unasked = 0  # bytes created since the host was asked
        self.peak = 0
        """The most bytes that were ever held."""

    @property
    def held(self) -> int:
        """Bytes taken from the device, used and free together."""
        return sum(size * kind.created for size, kind in list(self._classes.items()))

    @property
    def free(self) -> int:
        """Bytes held that nobody uses."""
        return sum(size * len(kind.free) for size, kind in list(self._classes.items()))

    @property
    def used(self) -> int:
        """Bytes in blocks that arrays use."""
        return sum(size * (kind.created - len(kind.free)) for size, kind in list(self._classes.items()))

    @property
    def live(self) -> int:
        """Number of buffers in use."""
        return sum(kind.created - len(kind.free) for kind in list(self._classes.values()))

    @property
    def limit(self) -> int:
        """Bytes that may be held: the device's memory or CLND_MEMORY_LIMIT, and in the host's memory no more than it had left."""
        if not self._host:
            return self.most
        if self._budget is None:
            self._budget = self.held + self._left_on_host()
        return min(self.most, self._budget)

    def allocate(self, nbytes: int) -> Buffer:
        """Give a buffer of at least `nbytes` bytes, with any content.

        Raises
        ------
        MXNetError
            When the device or the host has not that much left.
        """
        size = min(size_class(nbytes), self._largest)
        kind = self._classes.get(size)
        if kind is not None and nbytes <= size:
            try:
                return Buffer(kind.free.pop(), nbytes, self._device, kind.free.append)
            except IndexError:
                pass
            except BaseException:  # Ctrl-C, with which the block went
                kind.created -= 1
                raise
        return self._create(nbytes, size)

    def drop_free(self) -> int:
        """Hand the free blocks back to the driver.

        Returns
        -------
        int
            Bytes handed back.
        """
        dropped = 0
        with self._device.lock:
            for size, kind in self._classes.items():
                while kind.free:
                    try:
                        kind.free.pop()
                    except IndexError:
                        break
                    kind.created -= 1
                    dropped += size
            if self._host:
                trim()  # compilers, too, leave much
        return dropped

    def _create(self, nbytes: int, size: int) -> Buffer:
        if nbytes > size:
            raise MXNetError(
                f"{self._device}: an array of {nbytes:,} bytes is more than the device takes in one piece, {self._largest:,} bytes"
            )
        self._device.unmap()
        with self._device.lock:
            if self.free > max(self.used // 8, _SPARE):
                self.drop_free()
            buffer = self._attempt(nbytes, size)
        if buffer is None:
            gc.collect()  # arrays in cycles; without the lock, since finalizers may compute
            with self._device.lock:
                self.make_room()
                buffer = self._attempt(nbytes, size)
        if buffer is None:
            raise MXNetError(self._exhausted(nbytes))
        return buffer

    def _attempt(self, nbytes: int, size: int) -> Buffer | None:
        import pyopencl as cl

        if self.held + size > self.limit:
            return None
        if self._host and self._unasked + size >= _ASK_THE_HOST:
            if self._unasked + size > self._left_on_host():
                return None
            self._unasked = 0
        try:
            block = cl.Buffer(self._device.context, cl.mem_flags.READ_WRITE, size)
        except cl.Error as error:
            if is_shortage(error):
                return None
            raise MXNetError(f"{self._device}: the driver refuses a buffer of {size:,} bytes: {error}") from error
        self.peak = max(self.peak, self.held + size)
        kind = self._classes.setdefault(size, _Class())
        give_back = kind.free.append
        self._unasked += size
        kind.created += 1
        try:
            return Buffer(block, nbytes, self._device, give_back)
        except BaseException:  # Ctrl-C, with which the block went
            kind.created -= 1
            raise

    @staticmethod
    def _left_on_host() -> int:
        left = available_memory()
        return max(0, left - max(left // 32, _RESERVE))

    def make_room(self) -> None:
        """Hand all free blocks back to the driver, once the queue is done with them."""
        self._device.finish()
        self.drop_free()
        self._budget = None  # what is still held is written by now, so the host's free memory tells the truth again

    def _exhausted(self, nbytes: int) -> str:
        left = f", the host has {self._left_on_host():,} bytes left" if self._host else ""
        text = (
            f"{self._device}: no memory for an array of {nbytes:,} bytes: {self.used:,} bytes of {self.limit:,} are used, "
            f"by {self.live} buffers{left}. Drop arrays, or work on smaller pieces. Most is held by (mx.memory_summary() tells all):"
        )
        lines = [f"{row.nbytes:16,} bytes in {row.buffers:,} for {row.made_for}" for row in holdings(self._device)[:_LARGEST]]
        return "\n".join([text, *lines])
