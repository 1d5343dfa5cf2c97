"""What to install when a driver is missing or cannot be used: the one command that helps on this machine."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from clnd.opencl.quirks import POCL

DRIVER_PACKAGES = ("pocl-binary-distribution", "intel-opencl-rt", "intel-cmplr-lib-rt")
_DISTRIBUTIONS = {  # by the ID or ID_LIKE of /etc/os-release
    "debian": "sudo apt-get install pocl-opencl-icd",
    "ubuntu": "sudo apt-get install pocl-opencl-icd",
    "fedora": "sudo dnf install pocl",
    "arch": "sudo pacman -S pocl",
    "suse": "sudo zypper install pocl",
    "gentoo": "sudo emerge dev-libs/pocl",
}
_VENDORS = {  # by PCI vendor
    "0x1002": ("AMD", {"debian": "sudo apt-get install mesa-opencl-icd", "fedora": "sudo dnf install rocm-opencl"}),
    "0x10de": ("NVIDIA", {"debian": "sudo apt-get install nvidia-opencl-icd"}),
    "0x8086": ("Intel", {"debian": "sudo apt-get install intel-opencl-icd", "fedora": "sudo dnf install intel-compute-runtime"}),
}


def installed(package: str) -> str | None:
    """Give the version of a package from PyPI in this environment, or None.

    Examples
    --------
    >>> installed("numpy") is not None, installed("no-such-package")
    (True, None)
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def has_pypi_runtime() -> bool:
    """Whether PyPI has Intel's CPU runtime for this platform."""
    return (sys.platform, platform.machine()) in {("linux", "x86_64"), ("win32", "AMD64")}


def distribution() -> list[str]:
    """Give the names of this Linux distribution and of those that it is like; none elsewhere."""
    try:
        about = platform.freedesktop_os_release()
    except (OSError, AttributeError):
        return []
    return [about.get("ID", ""), *about.get("ID_LIKE", "").split()]


def cpu_driver() -> str:
    """Give the command that installs a driver for this machine's processor, one that is not here yet.

    Examples
    --------
    >>> isinstance(cpu_driver(), str)
    True
    """
    if has_pypi_runtime() and not (installed("intel-opencl-rt") and installed("intel-cmplr-lib-rt")):
        return "pip install 'clnd[cpu]'"
    for name in distribution():
        if name in _DISTRIBUTIONS:
            return _DISTRIBUTIONS[name]
    return "conda install -c conda-forge pyopencl pocl"


def gpu_driver(vendor: str) -> tuple[str, str]:
    """Give the maker's name for a PCI vendor number, and what to install for its GPUs.

    Examples
    --------
    >>> gpu_driver("0x1234")
    ('another maker', "the OpenCL driver of the GPU's maker")
    """
    maker, commands = _VENDORS.get(vendor, ("another maker", {}))
    for name in distribution():
        if (command := commands.get("debian" if name == "ubuntu" else name)) is not None:
            return maker, command
    return maker, "the OpenCL driver of the GPU's maker"


def for_reason(platform_name: str, reason: str) -> str | None:
    """Say what to do about a device that cannot be used, or None where its own reason says all.

    Parameters
    ----------
    platform_name
        The name of its OpenCL platform.
    reason
        Why it cannot be used.

    Examples
    --------
    >>> for_reason("Portable Computing Language", "left out by CLND_DEVICES=intel")
    """
    if reason.startswith("left out"):
        return None
    if platform_name == POCL and "target CPU" in reason:
        return f"this PoCL's compiler is older than the processor; use another driver: {cpu_driver()}"
    return f"update its driver, or use another one: {cpu_driver()}"
