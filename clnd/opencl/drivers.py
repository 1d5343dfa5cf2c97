"""Makes the OpenCL drivers that PyPI put into this environment visible to the loader, beside the system's."""

from __future__ import annotations

import atexit
import errno
import hashlib
import os
import shutil
import site
import sys
import sysconfig
import tempfile
from pathlib import Path

import platformdirs

from clnd.errors import DeviceError
from clnd.opencl.cache import folder_for
from clnd.opencl.files import write_whole
from clnd.opencl.host import available_memory
from clnd.opencl.quirks import MESA, POCL

USER_VARIABLES = ("OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH", "OCL_ICD_FILENAMES")
_MARK = "clnd-vendors"
# Platforms whose compilers end the process where there is no room for what they keep, and the variables that name them the folder for it.
_KEEPERS = {POCL: "POCL_CACHE_DIR", MESA: "MESA_SHADER_CACHE_DIR"}
_MESA_KEEPS_NONE = "MESA_SHADER_CACHE_DISABLE"
_ROOM = 1 << 20  # bytes; what they write for one kernel is less than a quarter of it
_PLENTY = 1 << 28  # bytes; where so much is free, a folder that had room has room
_roomy: set[Path] = set()  # folders that had
_FIRST, _LATER = 160 << 20, 1 << 24  # bytes of the host's memory that compilers were seen to take for their first kernel, and for others
_loaded: set[str] = set()  # platforms whose compilers have compiled


def pypi_runtimes() -> list[Path]:
    """List the libraries of Intel's CPU runtime that pip put into this environment.

    Its own ICD files name a path of the machine it was built on, so no loader finds it without help.

    Returns
    -------
    list of Path
        Full paths; normally none or one.

    Examples
    --------
    >>> all(path.is_absolute() for path in pypi_runtimes())
    True
    """
    roots = [sys.prefix, sysconfig.get_path("data"), site.getuserbase() or ""]
    names = ("Library/bin/intelocl64.dll", "bin/intelocl64.dll") if os.name == "nt" else ("lib/libintelocl.so",)
    found: dict[Path, Path] = {}
    for root in roots:
        for name in names:
            path = Path(root, name)
            if root and path.is_file():
                found.setdefault(path.resolve(), path.absolute())
    return list(found.values())


def system_icds() -> dict[str, str]:
    """Read the ICD files that the loader would read by itself.

    Returns
    -------
    dict
        File name to the library named in it. A file naming a full path that does not exist is left out.

    Examples
    --------
    >>> all(name.endswith(".icd") for name in system_icds())
    True
    """
    found: dict[str, str] = {}
    for folder in (Path("/etc/OpenCL/vendors"), Path(sys.prefix, "etc/OpenCL/vendors")):
        try:
            files = sorted(folder.glob("*.icd"))
        except OSError:
            continue
        for file in files:
            try:
                library = file.read_text(errors="surrogateescape").strip()
            except OSError:
                continue
            if library and (not os.path.isabs(library) or os.path.exists(library)):
                found.setdefault(file.name, library)
    return found


def prepare() -> None:
    """Do what must come before the first OpenCL call."""
    make_visible()
    try:
        _try_room(Path(platformdirs.user_cache_dir("pytools", "pytools")))
    except OSError:
        # In such a home pyopencl cannot make a kernel, unless told to do without its cache, PoCL lists no device, and Mesa
        # ends the process.
        import pyopencl as cl

        cl._PYOPENCL_NO_CACHE = True
        os.environ[_MESA_KEEPS_NONE] = "true"
        if "POCL_CACHE_DIR" not in os.environ:
            os.environ["POCL_CACHE_DIR"] = str(_temporary_folder("clnd-pocl-"))


def no_room(platform: str) -> str | None:
    """Say why a platform's compiler must not be called now: it would end the process. None where it has all that it needs.

    Examples
    --------
    >>> no_room("a driver that keeps nothing") is None
    True
    """
    variable = _KEEPERS.get(platform)
    if variable is None or (platform == MESA and _MESA_KEEPS_NONE in os.environ):
        return None
    folder = Path(os.environ.get(variable) or platformdirs.user_cache_dir())
    try:
        if folder not in _roomy or shutil.disk_usage(folder).free < _PLENTY:
            _try_room(folder)
        _roomy.add(folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return (
                f"{platform} keeps what it compiles in {folder}, where it finds no room ({error.strerror}), and would end the process. "
                f"Make room there, or have {variable} name another folder before the process starts"
            )
    return None


def no_memory(platform: str) -> str | None:
    """Say why a platform's compiler must not be called now: the system might end the process. None where there is enough for it."""
    needed, left = _LATER if platform in _loaded else _FIRST, available_memory(swap=True)
    if left < needed:
        return f"{platform}'s compiler takes up to {needed:,} bytes of the host's memory, and {left:,} are left"
    _loaded.add(platform)
    return None


def _try_room(folder: Path) -> None:
    """Write as much as a compiler may, since a quota shows in no account of free space; an OSError where that is not possible."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        left = _ROOM
        while left:
            left -= file.write(bytes(left))


def make_visible() -> None:
    """Point the loader at the system's drivers and PyPI's together; must come before the first OpenCL call.

    Does nothing when the user has set one of the loader's variables, or when PyPI put no such driver here.
    """
    if any(os.environ.get(name) is not None and _MARK not in os.environ[name] for name in USER_VARIABLES):
        return
    runtimes = pypi_runtimes()
    if not runtimes:
        return
    if os.name == "nt":  # Khronos' loader adds these to what the registry lists
        os.environ["OCL_ICD_FILENAMES"] = os.pathsep.join(map(str, runtimes))
        return
    icds = system_icds()
    listed = {os.path.realpath(library) for library in icds.values() if os.path.isabs(library)}
    for number, runtime in enumerate(runtimes):
        if os.path.realpath(runtime) not in listed:
            icds[f"clnd-intel-{number}.icd"] = str(runtime)
    # ocl-icd, the loader in pyopencl's wheels, takes a folder that replaces /etc/OpenCL/vendors
    os.environ["OCL_ICD_VENDORS"] = str(_folder(icds))


def _folder(icds: dict[str, str]) -> Path:
    """Write the ICD files into a folder named after their content, so that environments do not overwrite each other's."""
    digest = hashlib.sha256(repr(sorted(icds.items())).encode(errors="surrogateescape")).hexdigest()[:16]
    try:
        folder = folder_for(_MARK, digest, make=True)  # what the files name is loaded
        if folder is not None:
            return _fill(folder, icds)
    except OSError:
        pass
    return _fill(_temporary_folder(f"{_MARK}-"), icds)


def _temporary_folder(prefix: str) -> Path:
    """Make a folder for this process, in the machine's memory if the disk is full."""
    for place in (None, "/dev/shm"):
        try:
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            _try_room(folder)
            break
        except OSError as error:
            failed = error
    else:
        raise DeviceError(f"OpenCL drivers need a folder that they can write to, and there is none: {failed}. TMPDIR can name one")
    return folder


def _fill(folder: Path, icds: dict[str, str]) -> Path:
    for name, library in icds.items():
        path, data = folder / name, f"{library}\n".encode(errors="surrogateescape")
        if path.is_symlink() or not path.is_file() or path.read_bytes() != data:
            write_whole(path, data, 0o600)
    return folder
