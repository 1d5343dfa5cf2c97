"""`clnd doctor`: why there is no device, or a slow one, and the one command to run next."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import typer
from rich.console import Console

from clnd.cli.devices import show
from clnd.cli.output import console, gigabytes
from clnd.opencl import advice, inspect, quirks

_VARIABLES = ("CLND_", "OCL_ICD_", "OPENCL_", "POCL_", "RUSTICL_", "ZE_")
_COMPUTE = """
import time
import clnd as mx
started = time.perf_counter()
values = (mx.nd.arange(4) * 2 + 1).asnumpy().tolist()
assert values == [1, 3, 5, 7], f"arange(4) * 2 + 1 gave {values}"
print(f"arange(4) * 2 + 1 on {mx.current_context()} in {time.perf_counter() - started:.2f} s")
"""


class Finding(NamedTuple):
    """Something that is wrong or could be better, and the command that helps."""

    problem: str
    remedy: str


def main() -> None:
    """Say why there is no device, or a slow one, and what to do. Succeeds only if an array can be computed."""
    out = console()
    _versions(out)
    survey = inspect.survey()
    icds = inspect.icd_reports()
    _loader(out, survey, icds)
    _drivers(out)
    _heading(out, "Devices (each tried just now)")
    if survey.error is not None:
        _line(out, False, survey.error)
    show(survey.devices)
    if not survey.devices and survey.error is None:
        _line(out, False, "the loader lists no device")
    _quirks(out, survey)
    rights = inspect.rights_reports()
    _rights(out, rights)
    cache = _cache(out)
    _heading(out, "An array")
    computed, said = _compute()
    _line(out, computed, said.replace("\n", "\n      "))
    problems = [*_problems(survey, icds, rights), *cache]
    _conclude(out, computed, problems)
    if not computed:
        raise typer.Exit(1)


def _heading(out: Console, text: str) -> None:
    out.print(f"\n[bold]{text}[/bold]")


def _line(out: Console, good: bool | None, text: str) -> None:
    mark = "    " if good is None else "[green]ok  [/green]" if good else "[red]no  [/red]"
    out.print(f"  {mark}", end="")
    out.print(text, markup=False, soft_wrap=True)


def _versions(out: Console) -> None:
    _heading(out, "Versions")
    for name in ("clnd", "pyopencl", "numpy", "mako"):
        _line(out, None, f"{name} {advice.installed(name) or 'not installed as a package'}")
    _line(out, None, f"Python {platform.python_version()}, {platform.platform()}")
    for name, value in sorted(os.environ.items()):
        if name.startswith(_VARIABLES):
            _line(out, None, f"{name}={value}")


def _loader(out: Console, survey: inspect.Survey, icds: list[inspect.IcdReport]) -> None:
    _heading(out, "Loader")
    if survey.loader is None:
        _line(out, False, "the loader could not be asked")
    else:
        loader = survey.loader
        name = f"{loader.name} {loader.version}, {loader.opencl}" if loader.name else "does not say its name"
        _line(out, True, f"{name} (pyopencl was built for OpenCL {loader.headers})")
        if loader.path:
            _line(out, None, loader.path)
    for icd in icds:
        if not icd.read:
            _line(out, None, f"{icd.file} names {icd.library}: not read by this loader")
        elif icd.error is None:
            _line(out, True, f"{icd.file} names {icd.library}: loads")
        else:
            _line(out, False, f"{icd.file} names {icd.library or 'nothing'}: {icd.error}")
    if not icds:
        _line(out, None, "no .icd file names a driver")


def _drivers(out: Console) -> None:
    _heading(out, "Drivers from PyPI")
    for name in advice.DRIVER_PACKAGES:
        version = advice.installed(name)
        _line(out, True if version else None, f"{name} {version or 'is not installed'}")


def _quirks(out: Console, survey: inspect.Survey) -> None:
    for name in dict.fromkeys(device.platform for device in survey.devices if device.usable):
        if known := quirks.of_platform(name):
            _heading(out, f"What is known of {name}, and met")
            for quirk in known:
                _line(out, None, f"{quirk.does}: {quirk.met}")


def _rights(out: Console, rights: list[inspect.RightsReport]) -> None:
    _heading(out, "Rights to use a GPU")
    for right in rights:
        todo = "" if right.advice is None else f": {right.advice}"
        _line(out, right.allowed, f"{right.file} (group {right.group}){todo}")
    if not rights:
        _line(out, None, "there is neither /dev/dri nor /dev/kfd, so no GPU that works through them")


def _cache(out: Console) -> list[Finding]:
    _heading(out, "Cache")
    report = inspect.cache_report()
    if report.folder is None:
        _line(out, False, "turned off: CLND_CACHE is empty")
        return [Finding("every run compiles its programs again", "unset CLND_CACHE")]
    if report.error is not None:
        _line(out, False, f"{report.folder} cannot be written: {report.error}")
        return [Finding("the cache folder cannot be written, so every run compiles its programs again", "export CLND_CACHE=$HOME/.clnd")]
    _line(out, True, f"{report.folder}: {report.programs} programs, {gigabytes(report.size)}")
    return []


def _compute() -> tuple[bool, str]:
    """Compute an array in a process of its own, which a driver may kill."""
    done = subprocess.run([sys.executable, "-c", _COMPUTE], capture_output=True, text=True, check=False)
    said = (done.stdout if done.returncode == 0 else done.stderr).strip()
    return done.returncode == 0, said or f"the process ended with status {done.returncode}"


def _problems(survey: inspect.Survey, icds: list[inspect.IcdReport], rights: list[inspect.RightsReport]) -> list[Finding]:
    """List what is wrong, what matters most first."""
    found = []
    usable = [device for device in survey.devices if device.usable]
    intel = [advice.installed(name) for name in ("intel-opencl-rt", "intel-cmplr-lib-rt")]
    # Where a device works, a driver that does not load is no problem: the loader leaves it out by itself.
    broken = [icd for icd in icds if icd.read and icd.error is not None and not usable]
    found += [_broken(icd) for icd in broken if icd.kills]
    if survey.error is not None:
        found.append(Finding(survey.error, _remedy_for_error()))
    elif not usable:
        found.append(Finding("there is no usable device", advice.cpu_driver()))
    if intel[0] and not intel[1]:
        found.append(Finding("Intel's runtime lacks a part", "pip install intel-cmplr-lib-rt"))
    found += [_broken(icd) for icd in broken if not icd.kills]
    found += [Finding(f"you may not use {right.file}", right.advice) for right in rights if right.advice is not None]
    if not any(device.kind == "gpu" for device in usable):
        if any("rusticl" in icd.library.casefold() for icd in icds) and not os.environ.get("RUSTICL_ENABLE") and rights:
            found.append(Finding("Mesa's rusticl gives devices only on request", "export RUSTICL_ENABLE=radeonsi,iris,nouveau"))
        for vendor in dict.fromkeys(inspect.gpu_vendors()):
            maker, command = advice.gpu_driver(vendor)
            found.append(Finding(f"a GPU of {maker} is here, without an OpenCL driver that works", command))
    if usable and usable[0].software:
        found.append(Finding(f"{usable[0].device} is a GPU in software, which is slow", advice.cpu_driver()))
    return found


def _broken(icd: inspect.IcdReport) -> Finding:
    sudo = "" if os.access(Path(icd.file).parent, os.W_OK) else "sudo "
    problem = f"{icd.library} cannot be loaded: {icd.error}; reinstall the driver that {icd.file} belongs to, or leave it out"
    return Finding(problem, f"{sudo}mv {icd.file} {icd.file}.off")


def _remedy_for_error() -> str:
    if os.environ.get("CLND_DEVICES") or os.environ.get("CLND_AS_GPU"):
        return "unset CLND_DEVICES CLND_AS_GPU"
    return "pip install --force-reinstall pyopencl" if Path(sys.prefix, "pyvenv.cfg").is_file() else advice.cpu_driver()


def _conclude(out: Console, computed: bool, problems: list[Finding]) -> None:
    _heading(out, "Conclusion")
    _line(out, computed, f"an array can{'' if computed else 'not'} be computed")
    for finding in problems:
        _line(out, None, finding.problem)
    otherwise = "python -m clnd.examples.tutorial" if computed else "pip install --force-reinstall --no-cache-dir clnd"
    remedy = problems[0].remedy if problems else otherwise
    out.print("\nRun next:")
    out.print(f"  {remedy}", markup=False, soft_wrap=True)
