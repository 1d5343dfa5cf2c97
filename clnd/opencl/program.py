"""From a template to a kernel: building, and the caches in memory and on disk that make building rare."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from clnd.errors import MXNetError
from clnd.opencl import builtins, cache
from clnd.opencl.cache import Entry
from clnd.opencl.counters import counters
from clnd.opencl.drivers import no_memory, no_room
from clnd.opencl.host import processor
from clnd.opencl.kernel import Kernel
from clnd.opencl.quirks import INTEL, POCL
from clnd.opencl.source import dump, render, template_text

if TYPE_CHECKING:
    import pyopencl as cl

    from clnd.opencl.device import Device

__all__ = ["Programs", "cache_entries", "clear_cache", "render"]

_KIND = "programs"
_PATIENCE = 20  # seconds; a build that takes longer is talked of


class Programs:
    """The kernels of one device."""

    def __init__(self, device: Device) -> None:
        import pyopencl as cl

        self._device = device
        self._kernels: dict[Any, Kernel] = {}
        self.lock: Any = threading.RLock()
        options = ["-cl-std=CL1.2", "-w"]  # -w: no warnings
        if device.traits.correctly_rounded:
            options.append("-cl-fp32-correctly-rounded-divide-sqrt")
        self._options = " ".join(options).encode()
        platform, driver = device.cl.platform, device.cl.driver_version
        self._platform = platform.name
        # PoCL compiles a kernel for its binary, for groups of any size, and again at the first launch, for those of that launch. What it
        # compiles it keeps by itself, so that a source is as good as a binary, at less than half the cost.
        self._keeps_source = self._platform == POCL
        # Intel's keeps 2.4 MiB of each program that it compiled, and 0.5 of one that was loaded, which takes a hundredth of the time.
        self._reloads = self._platform == INTEL
        # A driver's binary is for the processor that it was made on, which the device's name does not tell.
        host = processor() if device.traits.unified_memory else ""
        self._about = (self._options, self._platform, platform.version, device.cl.name, driver, host, clnd_version(), cl.VERSION_TEXT)

    def kernel(self, template: str, name: str, arguments: Sequence[str] | None, parameters: dict[str, Any]) -> Kernel:
        """Give the kernel of a template rendered with these parameters, built at most once.

        Raises
        ------
        MXNetError
            When the template or the driver fails.
        """
        # By text, since 1, 1.0 and True are equal as keys and different in a source.
        key = (template, name, arguments, repr(sorted(parameters.items())))
        found = self._kernels.get(key)
        if found is None:
            with self.lock:
                found = self._kernels.get(key)
                if found is None:
                    found = self._fitting(template, name, parameters)
                    if arguments is not None:
                        found.declare(arguments)
                    self._kernels[key] = found
        return found

    def use(self, queue: cl.CommandQueue) -> None:
        """Let the kernels go into another queue from now on."""
        with self.lock:
            for kernel in self._kernels.values():
                kernel.queue = queue

    def _fitting(self, template: str, name: str, parameters: dict[str, Any]) -> Kernel:
        """Make a kernel for groups that the device takes of it."""
        kernel = self._make(template, name, parameters)
        while kernel.group < parameters.get("group", 0):
            parameters = {**parameters, "group": kernel.group}
            kernel = self._make(template, name, parameters)
        return kernel

    def _make(self, template: str, name: str, parameters: dict[str, Any]) -> Kernel:
        if reason := no_room(self._platform):
            raise MXNetError(f"{self._device}: kernel {name} of {template}.cl.mako cannot be built: {reason}")
        folder = os.environ.get("CLND_DUMP")
        if folder:
            dump(folder, name, render(template, name, parameters))
        about = (template_text(template), name, sorted(parameters.items()), self._about)
        key = hashlib.sha256(repr(about).encode()).hexdigest()
        began = time.perf_counter_ns()
        kernel = self._from_disk(key, template, name, parameters)
        compiled = kernel is None
        kernel = kernel or self._compile(key, template, name, parameters)
        for listener in self._device.listeners:
            listener.built(kernel, compiled, began)
        return kernel

    def _from_disk(self, key: str, template: str, name: str, parameters: dict[str, Any]) -> Kernel | None:
        import pyopencl as cl

        kept = cache.read(_KIND, f"{key}.bin")
        if kept is None:
            return None
        try:
            if self._keeps_source:
                kernel = self._declared(kept.decode(errors="replace"), template, name, parameters)
            else:
                kernel = self._loaded(kept, template, name, parameters)
        except cl.Error:
            return None  # written by a driver that called itself the same
        counters.loaded += 1
        return kernel

    def _loaded(self, binary: bytes, template: str, name: str, parameters: dict[str, Any]) -> Kernel:
        import pyopencl as cl

        program = cl._cl._Program(self._device.context, [self._device.cl], [binary])
        program._build(options=self._options, devices=[self._device.cl])
        return Kernel(self._device, program, name, template, parameters)

    def built_anew(self, kernel: Kernel) -> Kernel:
        """Build a kernel once more, under a name that no cache has seen."""
        name = f"{kernel.name}_{time.time_ns()}"
        built = self._build(kernel.template, name, kernel.parameters)
        return built if kernel.arguments is None else built.declare(kernel.arguments)

    def _compile(self, key: str, template: str, name: str, parameters: dict[str, Any]) -> Kernel:
        import pyopencl as cl

        kernel = self._build(template, name, parameters)
        try:
            get = kernel.program.get_info
            if self._keeps_source:
                data = cast("str", get(cl.program_info.SOURCE)).encode()
            else:
                data = cast("list[bytes]", get(cl.program_info.BINARIES))[0]
                if self._reloads and data:
                    kernel = self._loaded(data, template, name, parameters)
        except cl.Error:
            data = b""
        if data:  # there are drivers that hand out none
            cache.keep(_KIND, f"{key}.bin", data)
        return kernel

    def _build(self, template: str, name: str, parameters: Mapping[str, Any]) -> Kernel:
        import pyopencl as cl

        if no_memory(self._platform):
            self._device.memory.make_room()
            if reason := no_memory(self._platform):
                raise MXNetError(f"{self._device}: no memory to build kernel {name} of {template}.cl.mako: {reason}. Drop arrays")
        source = render(template, name, parameters)
        counters.compilations += 1
        if self._keeps_source:
            try:
                return self._declared(builtins.declarations(source) + source, template, name, parameters)
            except cl.Error:
                pass  # what is wrong is told without the declarations, if it is not they that are
        # pyopencl's own Program would keep a second cache, warn of all that the compiler says and leave failing sources in /tmp.
        program: Any = None
        try:
            program = cl._cl._Program(self._device.context, source)
            self._patiently(program, self._options, name, template)
            kernel = Kernel(self._device, program, name, template, parameters)
        except cl.Error as error:
            raise MXNetError(
                f"{self._device}: the driver cannot build kernel {name} of {template}.cl.mako: {error}\n"
                f"{build_log(program, self._device.cl)}\n{_numbered(source)}"
            ) from error
        counters.undeclared += self._keeps_source
        return kernel

    def _declared(self, source: str, template: str, name: str, parameters: Mapping[str, Any]) -> Kernel:
        """The kernel of a source that declares the built-in functions which it calls."""
        import pyopencl as cl

        program = cl._cl._Program(self._device.context, source)
        self._patiently(program, self._options + builtins.SKIP, name, template)
        return Kernel(self._device, program, name, template, parameters)

    def _patiently(self, program: Any, options: bytes, name: str, template: str) -> None:
        still = f"{self._device}: the driver is still compiling kernel {name} of {template}.cl.mako"
        interruptible(lambda: program._build(options=options, devices=[self._device.cl]), still)


def interruptible(build: Callable[[], object], still: str) -> None:
    """Build, so that Ctrl-C ends the wait for it, and `still` is said of what takes long.

    Python handles signals between its own instructions alone; so the driver is called in another thread. It may go on there when this
    thread does not wait for it any more.
    """
    failures: list[BaseException] = []

    def work() -> None:
        try:
            build()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work, name="clnd build")
    try:
        thread.start()
    except RuntimeError:  # no thread can be started, as when the interpreter ends
        build()
        return
    began, told = time.monotonic(), False
    while thread.is_alive():
        thread.join(1)  # no longer: a signal that comes just before is met when it ends
        if not told and thread.is_alive() and time.monotonic() - began > _PATIENCE:
            import logging

            told = True
            logging.getLogger("clnd").warning("%s; Ctrl-C ends the wait", still)
    if failures:
        raise failures[0]


def build_log(program: Any, device: Any) -> str:
    """Give what the driver's compiler said about a program."""
    import pyopencl as cl

    if program is None:
        return ""
    try:
        return str(program.get_build_info(device, cl.program_build_info.LOG)).strip()
    except cl.Error:
        return ""


def _numbered(source: str) -> str:
    return "\n".join(f"{number:4} {line}" for number, line in enumerate(source.splitlines(), 1))


def clnd_version() -> str:
    """Give the version of clnd that is installed, or nothing where it only lies there."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("clnd")
    except PackageNotFoundError:
        return ""


def cache_entries() -> list[Entry]:
    """List the compiled programs on disk.

    Returns
    -------
    list of Entry

    Examples
    --------
    >>> all(entry.size > 0 for entry in cache_entries())
    True
    """
    return cache.entries(_KIND)


def clear_cache() -> int:
    """Delete the compiled programs on disk.

    Returns
    -------
    int
        How many were deleted.
    """
    return cache.forget(_KIND)
