"""Shows what a device is made to run: the launches, with the source of each kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clnd.opencl.source import render

if TYPE_CHECKING:
    from clnd.opencl.device import Device


@dataclass
class Launch:
    """One launch that `watched` saw.

    Attributes
    ----------
    name
        The kernel's name.
    template
        The template that its source came from.
    source
        OpenCL C.
    global_size, local_size
        The work-items, and those of a group.
    """

    name: str
    template: str
    source: str
    global_size: tuple[int, ...]
    local_size: tuple[int, ...] | None


class _WatchedKernel:
    """Notes each launch of a kernel; all else is the kernel's."""

    def __init__(self, kernel: Any, template: str, source: str, launches: list[Launch]) -> None:
        self._kernel = kernel
        self._about = template, source
        self._launches = launches

    def __call__(self, global_size: tuple[int, ...], local_size: tuple[int, ...] | None, *args: Any) -> None:
        self._launches.append(Launch(self._kernel.name, *self._about, global_size, local_size))
        self._kernel(global_size, local_size, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernel, name)


@contextmanager
def watched(device: Device) -> Iterator[list[Launch]]:
    """Collect the launches of a device in their order, for kernels that nobody has asked for before this block.

    Whoever keeps a kernel keeps the watched one, so this is for a process that shows what it runs, not for one that works.

    Yields
    ------
    list of Launch
        It grows as kernels are launched.
    """
    launches: list[Launch] = []
    programs = device.programs
    plain = programs.kernel

    def kernel(template: str, name: str, arguments: Sequence[str] | None, parameters: dict[str, Any]) -> Any:
        source = render(template, name, parameters)
        return _WatchedKernel(plain(template, name, arguments, parameters), template, source, launches)

    programs.kernel = kernel  # type: ignore[method-assign]
    try:
        yield launches
    finally:
        del programs.kernel
