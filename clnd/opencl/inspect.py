"""What the commands `clnd devices` and `clnd doctor` report: devices, loader, drivers, rights, cache.

Run as a module, it prints what OpenCL says as JSON. `clnd doctor` runs it so, because a broken driver kills the process that lists it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clnd.errors import MXNetError
from clnd.opencl import advice, cache, devices, drivers
from clnd.opencl.cache import cache_folder
from clnd.opencl.program import cache_entries
from clnd.opencl.traits import read_traits

if TYPE_CHECKING:
    from clnd.opencl.devices import Candidate

_LOADING = "loading it "
_PATIENCE = 300  # seconds for a process that lists and tries all devices


@dataclass
class DeviceReport:
    """A device that the loader lists, as `clnd devices` shows it.

    Attributes
    ----------
    context
        Its name in code, ``cpu(0)``; None if it has none.
    device, platform, driver_version, kind
        What the driver says, the last by its type: "cpu" or "gpu".
    compute_units, memory
        Their number; bytes.
    fp64, fp16
        Whether double and half are computed with.
    usable
        Whether it computes.
    reason, advice
        Why not, and what to do about it.
    """

    context: str | None
    device: str
    platform: str
    driver_version: str
    kind: str
    compute_units: int
    memory: int
    fp64: bool
    fp16: bool
    usable: bool
    reason: str | None
    advice: str | None
    software: bool


@dataclass
class LoaderReport:
    """The OpenCL loader: the library that finds the drivers.

    Attributes
    ----------
    name, version, opencl
        As it says; empty where it does not say.
    path
        The library's file, where the system tells.
    headers
        The version of OpenCL that pyopencl was built for.
    """

    name: str
    version: str
    opencl: str
    path: str
    headers: str


@dataclass
class IcdReport:
    """A file that names a driver's library.

    Attributes
    ----------
    file, library
        The file, and the library that it names.
    read
        Whether the loader reads this file.
    error
        Why the library cannot be loaded, in the system's words; None if it can.
    """

    file: str
    library: str
    read: bool
    error: str | None

    @property
    def kills(self) -> bool:
        """Whether loading the library ends the process."""
        return self.error is not None and self.error.startswith(_LOADING)


@dataclass
class RightsReport:
    """A file through which a GPU is reached.

    Attributes
    ----------
    file, group
        The file and the group that owns it.
    allowed
        Whether this process may read and write it.
    advice
        What to do if not.
    """

    file: str
    group: str
    allowed: bool
    advice: str | None


@dataclass
class CacheReport:
    """The folder for compiled programs.

    Attributes
    ----------
    folder
        Where it is; None if it is turned off.
    error
        Why it cannot be written, or None.
    programs, size
        Number of programs in it, and their bytes.
    """

    folder: str | None
    error: str | None
    programs: int
    size: int


@dataclass
class Survey:
    """What OpenCL says, or how it died.

    Attributes
    ----------
    loader
        The loader, if it could be asked.
    devices
        Every device listed.
    error
        Why there is no answer; None if there is one.
    """

    loader: LoaderReport | None = None
    devices: list[DeviceReport] = field(default_factory=list)
    error: str | None = None


def device_reports() -> list[DeviceReport]:
    """Report every device that the loader lists, a row for each of its context names, in the order of numbering.

    Raises
    ------
    DeviceError
        When ``CLND_DEVICES`` or ``CLND_AS_GPU`` names no device.

    Examples
    --------
    >>> all(report.usable == (report.context is not None) for report in device_reports())
    True
    """
    rows = [row for candidate in devices.candidates() for row in _rows(candidate)]
    used = {row.kind: row.context for row in reversed(rows) if row.context is not None}
    for row in rows:
        if row.reason is not None:
            row.advice = (
                f"nothing need be done: {used[row.kind]} serves instead"
                if row.kind in used
                else advice.for_reason(row.platform, row.reason)
            )
    return sorted(rows, key=lambda row: (not row.usable, _order(row.context)))


def _order(context: str | None) -> tuple[str, int]:
    kind, _, number = (context or "").partition("(")
    return kind, int(number.rstrip(")") or 0)


def _rows(candidate: Candidate) -> Iterator[DeviceReport]:
    traits = read_traits(candidate.cl, candidate.kind)
    contexts: list[str | None] = [f"{device.kind}({device.index})" for device in candidate.devices]
    for context in contexts or [None]:
        yield DeviceReport(
            context=context,
            device=candidate.name,
            platform=candidate.platform,
            driver_version=candidate.driver,
            kind=candidate.kind,
            compute_units=traits.compute_units,
            memory=traits.memory,
            fp64=traits.fp64,
            fp16=traits.fp16,
            usable=candidate.usable,
            reason=candidate.reason,
            advice=None,
            software=candidate.software,
        )


def loader_report() -> LoaderReport:
    """Ask the loader for its name and version."""
    import pyopencl as cl

    headers = ".".join(map(str, cl.get_cl_header_version()))
    said = ["", "", "", ""]
    # The extension module reaches the loader that pyopencl brought, wherever the wheel put it.
    library = ctypes.CDLL(cl._cl.__file__)
    try:
        find = library.clGetExtensionFunctionAddress
    except AttributeError:
        return LoaderReport("", "", "", _loader_path(), headers)
    find.restype, find.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    address = find(b"clGetICDLoaderInfoOCLICD")
    if address:
        ask = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p)(address)
        for number in range(4):  # OpenCL's version, the loader's version, its name, its maker
            text = ctypes.create_string_buffer(256)
            if ask(number + 1, len(text), text, None) == 0:
                said[number] = text.value.decode(errors="replace")
    return LoaderReport(f"{said[2]} ({said[3]})" if said[3] else said[2], said[1], said[0], _loader_path(), headers)


def _loader_path() -> str:
    try:
        lines = Path("/proc/self/maps").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((path for path in (line.split(maxsplit=5)[-1] for line in lines) if "/libOpenCL" in path), "")


def icd_reports() -> list[IcdReport]:
    """Find every ICD file, whether the loader reads it or not, and load each library in a process of its own.

    Examples
    --------
    >>> all(report.file for report in icd_reports())
    True
    """
    drivers.make_visible()
    chosen = os.environ.get("OCL_ICD_VENDORS")
    read = [Path(chosen or "/etc/OpenCL/vendors"), *_pyopencl_folder()]
    if chosen and not read[0].is_dir():  # the variable may also name one library
        return [IcdReport("OCL_ICD_VENDORS", chosen, True, load_error(chosen))]
    named = {library for folder in read for _, library in _icds(folder)}
    reports: dict[str, IcdReport] = {}
    # The folder that `make_visible` wrote comes last: of a system driver, the system's own file is shown.
    for folder in (Path("/etc/OpenCL/vendors"), Path(sys.prefix, "etc", "OpenCL", "vendors"), *reversed(read)):
        for file, library in _icds(folder):
            if library not in reports:
                beside = folder / library  # pyopencl's loader finds what lies beside the file
                error = load_error(str(beside) if beside.is_file() else library)
                reports[library] = IcdReport(str(file), library, library in named, error)
    return list(reports.values())


def _icds(folder: Path) -> Iterator[tuple[Path, str]]:
    for file in sorted(folder.glob("*.icd")):
        try:
            yield file, file.read_text(errors="replace").strip()
        except OSError:
            continue


def _pyopencl_folder() -> list[Path]:
    from importlib.util import find_spec

    spec = find_spec("pyopencl")
    return [Path(place, ".libs") for place in spec.submodule_search_locations or []] if spec is not None else []


def load_error(library: str) -> str | None:
    """Say why a library cannot be loaded, in the system's words, or None if it can.

    A process of its own tries, since loading may crash.

    Examples
    --------
    >>> load_error("/no/such/library.so") is None
    False
    """
    code = "import ctypes, sys\ntry: ctypes.CDLL(sys.argv[1])\nexcept OSError as error: print(error)"
    try:
        done = subprocess.run([sys.executable, "-I", "-c", code, library], capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return f"{_LOADING}does not come to an end"
    return f"{_LOADING}{_death(done.returncode)}" if done.returncode else done.stdout.strip() or None


def _death(status: int) -> str:
    """Describe how a process ended that should not have."""
    try:
        return f"kills the process ({signal.Signals(-status).name})"
    except ValueError:
        return f"ends the process with status {status}"


def rights_reports() -> list[RightsReport]:
    """Report the files through which GPUs are reached: `/dev/dri/*` and `/dev/kfd`.

    Examples
    --------
    >>> all(report.allowed or report.advice for report in rights_reports())
    True
    """
    files = sorted(file for file in Path("/dev/dri").glob("*") if not file.is_dir())
    return [_rights(file) for file in [*files, Path("/dev/kfd")] if file.exists()]


def _rights(file: Path) -> RightsReport:
    try:
        group = file.group()
    except (KeyError, OSError, NotImplementedError):
        group = str(file.stat().st_gid)
    allowed = os.access(file, os.R_OK | os.W_OK)
    todo = None
    if not allowed and group == "root":
        todo = "only root may use it: hand it to a group, say render, and join that"
    elif not allowed:
        member = "you are a member of the group by now: log out and in again" if _member(group) else ""
        todo = member or f"sudo usermod -aG {group} $USER, then log out and in again"
    return RightsReport(str(file), group, allowed, todo)


def _member(group: str) -> bool:
    """Whether the user is listed in a group, which a process started before does not notice."""
    if sys.platform == "win32":
        return False
    import getpass
    import grp

    try:
        return getpass.getuser() in grp.getgrnam(group).gr_mem
    except (KeyError, OSError):
        return False


def gpu_vendors() -> list[str]:
    """List the PCI vendor of each GPU that the kernel knows, as ``0x1002``.

    Examples
    --------
    >>> all(vendor.startswith("0x") for vendor in gpu_vendors())
    True
    """
    found = []
    for file in sorted(Path("/sys/class/drm").glob("renderD*/device/vendor")):
        try:
            found.append(file.read_text().strip())
        except OSError:
            continue
    return found


def cache_report() -> CacheReport:
    """Report the folder for compiled programs: where, how full, and whether it can be written.

    Examples
    --------
    >>> cache_report().programs >= 0
    True
    """
    folder = cache_folder()
    if folder is None:
        return CacheReport(None, None, 0, 0)
    entries = cache_entries()
    return CacheReport(str(folder), cache.why_not(), len(entries), sum(entry.size for entry in entries))


def survey() -> Survey:
    """Ask OpenCL for everything, in a process of its own. Devices are tried anew.

    Examples
    --------
    >>> found = survey()
    >>> found.error is None or not found.devices
    True
    """
    devices.forget_trials()
    found = Survey(error="OpenCL was not asked")
    # A driver that kills the process while a device is tried is known by name in the next attempt; see trial.py.
    for _ in range(3):
        try:
            done = subprocess.run(
                [sys.executable, "-m", "clnd.opencl.inspect"], capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            return Survey(error=f"listing and trying the devices took more than {_PATIENCE} seconds")
        if done.returncode == 0:
            answer = json.loads(done.stdout.splitlines()[-1])
            loader = answer["loader"] and LoaderReport(**answer["loader"])
            return Survey(loader, [DeviceReport(**row) for row in answer["devices"]], answer["error"])
        said = (done.stderr.strip().splitlines() or [""])[-1]
        found = Survey(error=f"listing the devices {_death(done.returncode)}" + (f": {said}" if said else ""))
        if done.returncode == 1:  # an error of Python's, which another attempt would only repeat
            break
    return found


def _main() -> None:
    found = Survey()
    try:
        drivers.make_visible()
        found.loader = loader_report()
        found.devices = device_reports()
    except MXNetError as error:
        found.error = str(error)
    except ImportError as error:
        found.error = f"pyopencl cannot be imported: {error}"
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    _main()
