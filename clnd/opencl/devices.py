"""Discovery: which devices there are, which of them can be used, and which number each has."""

from __future__ import annotations

import atexit
import os
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from clnd.errors import DeviceError, MXNetError
from clnd.opencl.device import Device, Forked, Kind
from clnd.opencl.drivers import prepare
from clnd.opencl.quirks import POCL
from clnd.opencl.trial import forget_trials, reason_unusable

if TYPE_CHECKING:
    import pyopencl as cl

__all__ = ["Candidate", "Device", "candidates", "cpu_devices", "find_device", "forget_trials", "gpu_devices"]

_PATIENCE = 5  # seconds that forking, and the end of a process, wait for a thread that is in a driver
_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "lavapipe", "software")


@dataclass
class Candidate:
    """A device that the loader lists, usable or not.

    Attributes
    ----------
    cl
        The OpenCL device.
    platform, version, driver, name
        Its platform, the platform's version, the driver's version and the device's name.
    kind
        "cpu" or "gpu", by what the driver says.
    software
        Whether it is a GPU in name only.
    reason
        Why it is not used, or None.
    tried
        Whether it is known if it is usable.
    devices
        What it became: nothing, one device, or a second one by ``CLND_AS_GPU``.
    """

    cl: cl.Device
    platform: str
    version: str
    driver: str
    name: str
    kind: Kind
    software: bool
    reason: str | None = None
    tried: bool = False
    devices: list[Device] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether it takes a number."""
        return self.reason is None

    def holds(self, part: str) -> bool:
        """Whether its platform, version or name holds a part, case ignored."""
        return part.casefold() in f"{self.platform}\n{self.version}\n{self.driver}\n{self.name}".casefold()

    def __str__(self) -> str:
        return f"{self.name} | {self.platform} | {self.version}" + (f" | {self.reason}" if self.reason else "")


class _Choice(NamedTuple):
    listed: list[Candidate]
    chosen: list[Candidate]
    moved: list[Candidate]  # CPUs that shall stand behind gpu(n)


class _Found(NamedTuple):
    candidates: tuple[Candidate, ...]
    cpus: tuple[Device, ...]
    gpus: tuple[Device, ...]


_lock: Any = threading.RLock()
_choice: _Choice | None = None
_first: Device | None = None  # cpu(0), for which the others need not be tried
_found: _Found | None = None
_touched = False


def candidates() -> list[Candidate]:
    """List every device that the loader lists, in the order of numbering, with the reason where one is not used.

    Raises
    ------
    DeviceError
        When ``CLND_DEVICES`` or ``CLND_AS_GPU`` names no device.

    Examples
    --------
    >>> all(candidate.usable == bool(candidate.devices) for candidate in candidates())
    True
    """
    return list(_discover().candidates)


def cpu_devices() -> tuple[Device, ...]:
    """List the usable CPU devices in their stable order.

    Examples
    --------
    >>> all(device.kind == "cpu" for device in cpu_devices())
    True
    """
    return _discover().cpus


def gpu_devices() -> tuple[Device, ...]:
    """List the usable GPUs and accelerators in their stable order.

    Examples
    --------
    >>> all(device.kind == "gpu" for device in gpu_devices())
    True
    """
    return _discover().gpus


def open_devices() -> tuple[Device, ...]:
    """List the usable devices if they have been looked for; looks for none.

    Examples
    --------
    >>> set(open_devices()) <= {*cpu_devices(), *gpu_devices()}
    True
    """
    if _found is not None:
        return *_found.cpus, *_found.gpus
    return () if _first is None else (_first,)


def find_device(kind: Kind, index: int) -> Device:
    """Give the device behind ``cpu(index)`` or ``gpu(index)``.

    A CPU's number past the last is taken modulo their number, since in MXNet it is only a label.

    Raises
    ------
    DeviceError
        When there is none; it says what to install.

    Examples
    --------
    >>> find_device("cpu", 0) is cpu_devices()[0]
    True
    """
    if kind == "cpu" and index == 0 and (first := _first_cpu()) is not None:
        return first
    found = cpu_devices() if kind == "cpu" else gpu_devices()
    if kind == "cpu" and found:
        return found[index % len(found)]
    if 0 <= index < len(found):
        return found[index]
    raise DeviceError(_missing(kind, index, found))


def _missing(kind: Kind, index: int, found: tuple[Device, ...]) -> str:
    if found:
        return f"{kind}({index}): there are only {', '.join(map(str, found))}"
    from clnd.opencl import advice

    known = [f"  {candidate}" for candidate in candidates()]
    lines = [f"{kind}({index}): there is no usable OpenCL {kind.upper()}"]
    if kind == "cpu":
        lines.append(f"To get one: {advice.cpu_driver()}")
    else:
        lines.append("To get one, install the OpenCL driver of your GPU; CLND_AS_GPU=NAME puts another device behind gpu(n)")
        lines.append(
            "On Debian and Ubuntu: intel-opencl-icd (Intel), mesa-opencl-icd with RUSTICL_ENABLE=radeonsi (AMD), nvidia-opencl-icd"
        )
    lines += ["These devices are there:", *known] if known else ["No driver lists any device"]
    return "\n".join([*lines, "`clnd doctor` says more"])


def _discover() -> _Found:
    global _found
    if _found is None:
        with _lock:
            if _found is None:
                _found = _search()
    return _found


def _first_cpu() -> Device | None:
    """Give the device behind ``cpu(0)``, having tried no more devices than that takes; None where it takes all."""
    global _first
    if _first is None and _found is None:
        with _lock:
            if _first is None and _found is None:
                _, chosen, moved = _choose()
                own = (candidate for candidate in chosen if candidate.kind == "cpu" and candidate not in moved)
                usable = next((candidate for candidate in own if _usable(candidate)), None)
                _first = None if usable is None else _number([usable], "cpu")[0]
    return _first


def _choose() -> _Choice:
    global _choice
    if _choice is None:
        listed = _listed()
        _choice = _Choice(listed, _allowed(listed), _named(listed, "CLND_AS_GPU", os.environ.get("CLND_AS_GPU", "")))
    return _choice


def _allowed(listed: list[Candidate]) -> list[Candidate]:
    chosen = listed
    if text := os.environ.get("CLND_DEVICES", "").strip():
        chosen = _named(listed, "CLND_DEVICES", text)
        for candidate in listed:
            if candidate not in chosen:
                candidate.reason = f"left out by CLND_DEVICES={text}"
    return chosen


def _usable(candidate: Candidate) -> bool:
    if not candidate.tried:
        candidate.reason, candidate.tried = reason_unusable(candidate.cl), True
    return candidate.usable


def _search() -> _Found:
    listed, chosen, moved = _choose()
    usable = [candidate for candidate in chosen if _usable(candidate)]
    moved = [candidate for candidate in moved if candidate in usable and candidate.kind == "cpu"]
    cpus = [candidate for candidate in usable if candidate.kind == "cpu" and candidate not in moved]
    # Without this, putting the only driver behind gpu(0) would leave the default context cpu(0) without a device.
    cpus = cpus or [candidate for candidate in usable if candidate.kind == "cpu"]
    gpus = [candidate for candidate in usable if candidate.kind == "gpu"] + moved
    return _Found(tuple(listed), _number(cpus, "cpu"), _number(gpus, "gpu"))


def _number(chosen: list[Candidate], kind: Kind) -> tuple[Device, ...]:
    made = []
    for index, candidate in enumerate(chosen):
        if _first is not None and _first in candidate.devices and kind == "cpu":
            made.append(_first)
            continue
        name = re.sub(r"\((R|TM|C)\)", "", f"{candidate.name}, {candidate.platform}")
        device = Device(candidate.cl, name, kind, index)
        candidate.devices.append(device)
        made.append(device)
    return tuple(made)


def _listed() -> list[Candidate]:
    """List what the loader lists, in the order of numbering; a driver that is listed twice counts once."""
    global _touched
    try:
        prepare()
        import pyopencl as cl
    except ImportError as error:
        raise DeviceError(
            f"OpenCL cannot be used, because pyopencl cannot be imported: {error}\n`pip install --force-reinstall pyopencl` gets "
            "one with a loader of its own; one built here needs the system's (on Debian and Ubuntu: apt-get install ocl-icd-libopencl1)"
        ) from error

    if not _touched:
        _touched = True
        atexit.register(_at_exit)
    try:
        platforms = cl.get_platforms()
    except cl.Error:  # the loader's way to say that there is none
        return []
    listed: list[Candidate] = []
    first: dict[tuple[str, ...], int] = {}
    for number, platform in enumerate(platforms):
        try:
            found = [(_candidate(platform, device), device.version) for device in platform.get_devices()]
        except cl.Error:  # the driver lists none, or says nothing about them
            continue
        for candidate, version in found:
            identity = (candidate.platform, candidate.version, candidate.driver, candidate.name, version)
            # Within a platform equal devices are several; in another platform they are the same driver once more.
            if first.setdefault(identity, number) == number:
                listed.append(candidate)
    return sorted(listed, key=_rank)


def _candidate(platform: cl.Platform, device: cl.Device) -> Candidate:
    import pyopencl as cl

    # A simulator claims every type; what computes on the processor is a CPU.
    kind: Kind = "cpu" if device.type & cl.device_type.CPU else "gpu"
    name = " ".join(device.name.split())
    software = any(word in name.casefold() for word in _SOFTWARE)
    return Candidate(device, platform.name.strip(), platform.version.strip(), device.driver_version.strip(), name, kind, software)


def _rank(candidate: Candidate) -> tuple[Any, ...]:
    """Order: real devices before software ones; of the CPU drivers Intel's, PoCL, the rest; the newest version first."""
    import pyopencl as cl

    if candidate.kind == "cpu":
        first = ("Intel", POCL)
        family = next((number for number, name in enumerate(first) if candidate.platform.startswith(name)), len(first))
    else:
        family = 2 * bool(candidate.cl.type & cl.device_type.ACCELERATOR) + bool(candidate.cl.host_unified_memory)
    version = re.search(r"\d+(\.\d+)*", candidate.driver)
    newest = [-int(number) for number in version[0].split(".")] if version else []
    newest += [0] * (6 - len(newest))
    return candidate.kind, candidate.software, family, candidate.platform, newest, candidate.version


def _named(listed: list[Candidate], variable: str, text: str) -> list[Candidate]:
    """Give the devices that hold one of the parts, in the order of the parts."""
    chosen: list[Candidate] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        matching = [candidate for candidate in listed if candidate.holds(part)]
        if not matching:
            known = "\n".join(f"  {candidate}" for candidate in listed) or "  (none)"
            raise DeviceError(f"{variable}={text}: no platform, version or device name holds {part!r}. There are:\n{known}")
        chosen += [candidate for candidate in matching if candidate not in chosen]
    return chosen


def _at_exit() -> None:
    """Have all devices idle, and keep daemon threads out of their drivers: one that Python ends inside of C++ would abort the process."""
    for device in open_devices():
        taken, device.lock = device.lock, threading.RLock()
        device.lock.acquire()  # for good
        taken.acquire(timeout=_PATIENCE)
        try:
            device.finish()
        except MXNetError:
            pass  # nobody will read what is lost


_forking: list[Device] = []  # whose locks are held while a process forks


def _before_fork() -> None:
    """Have all devices idle, with no other thread in their drivers, if that can be: the child's end may else wait for threads it lacks."""
    for device in open_devices():
        if device.lock.acquire(timeout=_PATIENCE):
            _forking.append(device)
            try:
                device.finish()
            except MXNetError:
                pass  # whoever reads what is lost will be told


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop().lock.release()


def _after_fork_in_child() -> None:
    global _lock, _found, _first
    _forking.clear()
    if not _touched:
        return
    for device in open_devices():
        device.abandon()
    _lock, _found, _first = Forked(), None, None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
