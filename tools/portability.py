"""Run the tests that every OpenCL implementation must pass on each that is here, and print what passed, by family of operators.

    python tools/portability.py                            # the portability part, on every implementation
    python tools/portability.py --only intel --only oclgrind -- -k sum
    python tools/portability.py --traits --only intel      # the operators' table on a device made out to be less than it is
    python tools/portability.py --all --json result.json   # the whole suite

What stands behind `--` goes to pytest. Implementations are what `clnd devices` lists, Mesa's rusticl where it is installed, and Oclgrind,
which looks for races, for uninitialised and for foreign memory, and takes minutes where others take seconds: give it a part of the tests.
Uninitialised variables are found only in kernels that its own compiler has not optimised, uninitialised elements only in new buffers, so
both are seen to. Each implementation runs in a process of its own, so that one that dies or hangs does not take the others along.

Oclgrind 21.10, which distributions have, reports what is fine and dies of some vectors when it looks for uninitialised memory: give it
`-n1`, so that it is a failed test, or put one on the PATH whose `src/plugins/Uninitialized.cpp` is mended. There a ShuffleVector's mask
values below 0 are undefined lanes; Freeze and llvm.fabs pass shadows on; so do, lane by lane, Select and built-ins that take no pointers;
And and Or do, bit by bit; the PHI nodes of a block read before any is written; what the host writes or maps initialises these bytes and
no others, and a new buffer has none; vstore_half of a double marks one element; and the thread that launches a kernel has a memory pool.
Elsewhere it computes wrongly, whatever it looks for: max, min and clamp of a vector of integers with a number read lanes that the number
has not, and a true lane of a vector of i1 is 255 once it is widened.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent.parent
TABLE = "tests/ops/test_operators.py"
# Devices that are not here: what CLND_TRAITS takes away, and what the tests' command takes; see `forced`.
GPU = ["-k", "gpu"]
FORCED = {
    "no fp64, no fp16": ("fp64=0,fp16=0", []),
    "1 lane": ("lanes=1", []),
    "4 lanes": ("lanes=4", []),
    "16 lanes": ("lanes=16", []),
    "buffers of 64 MiB": (f"max_allocation={1 << 26},memory={1 << 28}", []),
    "64-bit indices": ("", ["-p", "wide_indices"]),
    "GPU": ("", GPU),
    "GPU, groups of 64, 16 KiB local": ("max_group=64,local_memory=16384,fp64=0,fp16=0", GPU),
    "GPU, groups of 1": ("max_group=1", GPU),
}
# What Oclgrind reports, one word or two of each message.
REPORTS = ("Invalid read", "Invalid write", "ninitialized", "data race", "divergence", "FATAL ERROR")


@dataclass
class Implementation:
    """A device to run on: how a person calls it, the environment that leaves only it, and what the command begins with."""

    name: str
    environment: dict[str, str]
    prefix: list[str] = field(default_factory=list)


@dataclass
class Family:
    """What became of the tests of a family."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        words = [f"{number} {word}" for number, word in ((self.failed, "FAILED"), (self.skipped, "skipped")) if number]
        return ", ".join([str(self.passed), *words, f"{self.seconds:.0f} s"])


@dataclass
class Outcome:
    """What became of a run: by family, and the names of the tests that failed; `died` says how it ended if it did not end well."""

    families: dict[str, Family] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    reports: dict[str, int] = field(default_factory=dict)
    died: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Did all go well?"""
        return not (self.failures or self.died or self.reports) and bool(self.families)


def implementations() -> list[Implementation]:
    """Those that are here and can be used; says what cannot."""
    environment = {**os.environ, "RUSTICL_ENABLE": os.environ.get("RUSTICL_ENABLE", "llvmpipe")}
    environment = {name: value for name, value in environment.items() if name not in ("CLND_DEVICES", "CLND_AS_GPU", "CLND_TRAITS")}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE), environment.get("PYTHONPATH", "")])
    listed = subprocess.run(
        [sys.executable, "-m", "clnd", "devices", "--json"], env=environment, capture_output=True, text=True, check=False
    )
    if listed.returncode or not listed.stdout.strip():
        sys.exit(f"`clnd devices --json` fails: {listed.stderr}")
    found = []
    for device in json.loads(listed.stdout):
        name = f"{device['platform']} {device['driver_version']}"
        if not device["usable"]:
            print(f"{name} is left out: {device['reason']}", file=sys.stderr)
        elif name not in [one.name for one in found]:
            only = {"CLND_DEVICES": device["driver_version"], "RUSTICL_ENABLE": environment["RUSTICL_ENABLE"]}
            found.append(Implementation(name, only))
    if path := shutil.which("oclgrind"):
        only = {"CLND_DEVICES": "oclgrind", "CLND_CACHE": ""}  # programs kept on disk were built with other options
        found.append(Implementation("Oclgrind races", only, [path, "--data-races"]))
        fresh = {**only, "PYTEST_ADDOPTS": "-p fresh_buffers"}
        found.append(Implementation("Oclgrind uninitialised", fresh, [path, "--uninitialized", "--build-options", "-O0"]))
    return found


def family(classname: str, name: str) -> str:
    """What a test is about: of the operators' table the file that declares the operator, else its own file."""
    from clnd.ops import registry

    file = classname.rpartition("test_")[2]
    if file == "operators":
        words = re.search(r"\[(?:[cg]pu\(\d+\)-)?(\w+)", name)
        operator = registry.get(words[1]) if words else None
        return operator.__module__.rpartition(".")[2] if operator is not None else "elementwise"
    return file


def read_report(path: Path) -> Outcome:
    """What pytest's report in JUnit's format says."""
    outcome = Outcome()
    for case in ElementTree.parse(path).iter("testcase"):
        classname, name = case.get("classname", ""), case.get("name", "")
        found = outcome.families.setdefault(family(classname, name), Family())
        found.seconds += float(case.get("time", 0))
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            found.failed += 1
            outcome.failures.append(f"{classname.replace('.', '/')}.py::{name}")
        elif "skipped" in kinds:
            found.skipped += 1
        else:
            found.passed += 1
    return outcome


@contextmanager
def gathered(path: Path) -> Iterator[list[str]]:
    """The lines written to a pipe of this name. Oclgrind empties a file whenever a process makes a context, and tests make many."""
    lines: list[str] = []
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR)  # so that it lasts until all is read, whoever opens and closes it
    with path.open(errors="replace") as pipe:
        reader = threading.Thread(target=lambda: lines.extend(pipe), daemon=True)
        reader.start()
        try:
            yield lines
        finally:
            os.close(held)
            reader.join(10)


def run(one: Implementation, arguments: Sequence[str], limit: float) -> Outcome:
    """Run pytest on an implementation."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report, log, pipe = Path(folder, "report.xml"), Path(folder, "log"), Path(folder, "pipe")
        prefix = [*one.prefix, "--log", str(pipe)] if one.prefix else []
        environment = {**os.environ, **one.environment}
        environment["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE / "tests"), environment.get("PYTHONPATH", "")])
        command = [*prefix, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *arguments]
        died = ""
        with log.open("w") as text, gathered(pipe) as reported:
            try:
                status = subprocess.run(command, cwd=HERE, env=environment, stdout=text, stderr=text, timeout=limit, check=False).returncode
                died = "" if status in (0, 1) else f"ended with status {status}"
            except subprocess.TimeoutExpired:
                died = f"took more than {limit:.0f} s"
        said = log.read_text(errors="replace")
        outcome = read_report(report) if report.exists() else Outcome()
        found = "".join(reported)
        outcome.reports = {word: found.count(word) for word in REPORTS if word in found}
        said += f"\n{found[:6000]}"
        if not report.exists() and not died:
            died = "wrote no report"
        if died or outcome.reports:
            print(f"{one.name}: {died}\n{said[-3000:]}", file=sys.stderr)
    outcome.died, outcome.seconds = died, time.monotonic() - began
    return outcome


def table(outcomes: dict[str, Outcome]) -> str:
    """A line for each family, a column for each run."""
    families = sorted({name for outcome in outcomes.values() for name in outcome.families})
    rows = [["", *outcomes]]
    rows += [[name, *(str(outcome.families.get(name, "-")) for outcome in outcomes.values())] for name in families]
    rows.append(
        ["all", *(str(total(outcome.families.values())) + (f"; {outcome.died}" if outcome.died else "") for outcome in outcomes.values())]
    )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def total(families: Iterable[Family]) -> Family:
    """All families together."""
    families = list(families)
    return Family(*(sum(getattr(each, name) for each in families) for name in ("passed", "failed", "skipped", "seconds")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", default=[], metavar="PART", help="implementations whose name holds this part, case ignored"
    )
    parser.add_argument("--list", action="store_true", help="only say which implementations there are")
    parser.add_argument("--all", action="store_true", help="the whole suite instead of its portability part")
    parser.add_argument("--traits", action="store_true", help="the operators' table under each set of forced traits")
    parser.add_argument("--forced", action="append", default=[], metavar="PART", help="with --traits: sets whose name holds this part")
    parser.add_argument("--limit", type=float, default=4 * 3600, help="seconds that a run may take")
    parser.add_argument("--json", type=Path, help="also write the outcomes to this file")
    parser.add_argument("pytest", nargs="*", help="arguments of pytest, behind `--`")
    given = parser.parse_args()

    sys.path.insert(0, str(HERE))
    chosen = [one for one in implementations() if not given.only or any(part.casefold() in one.name.casefold() for part in given.only)]
    if not chosen:
        sys.exit(f"no implementation holds {' or '.join(given.only)}; --list names those that there are")
    if given.list:
        print("\n".join(one.name for one in chosen))
        return
    outcomes: dict[str, Outcome] = {}
    for one in chosen:
        runs = {one.name: (one, [] if given.all else ["-m", "portability"])}
        if given.traits:
            wanted = {name: how for name, how in FORCED.items() if not given.forced or any(part in name for part in given.forced)}
            runs = {f"{name} ({one.name})": forced(one, *how) for name, how in wanted.items()}
        for name, (made, arguments) in runs.items():
            outcomes[name] = outcome = run(made, [*arguments, *given.pytest], given.limit)
            print(f"{name}: {total(outcome.families.values())}; {outcome.died or f'took {outcome.seconds:.0f} s'}", file=sys.stderr)
            for failure in outcome.failures:
                print(f"    {failure}", file=sys.stderr)
            for report, count in outcome.reports.items():
                print(f"    {count} times: {report}", file=sys.stderr)
            if given.json:
                given.json.write_text(json.dumps({name: asdict(each) for name, each in outcomes.items()}, indent=1), encoding="utf-8")
    print(table(outcomes))
    sys.exit(not all(outcome.good for outcome in outcomes.values()))


def forced(one: Implementation, traits: str, arguments: list[str]) -> tuple[Implementation, list[str]]:
    """The implementation with fewer abilities, behind gpu(0) where that is asked for, and what to run on it."""
    environment = {**one.environment, **({"CLND_TRAITS": traits} if traits else {})}
    if arguments is GPU:
        environment["CLND_AS_GPU"] = environment["CLND_DEVICES"]
    return Implementation(one.name, environment, one.prefix), [TABLE, *arguments]


if __name__ == "__main__":
    main()
