"""Install clnd under each Python, with the lowest and the newest versions that its bounds allow, and run a part of the tests under each.

    python tools/versions.py                                  # every Python that there is or that uv gets, lowest and newest
    python tools/versions.py --python 3.10 --numpy 1.26.4 --numpy 2.0.0 -- tests/test_behaviour.py

It takes `uv` (`pip install uv`), which makes environments and resolves lowest versions. What stands behind `--` goes to pytest; the tests
run on the driver of the environment that this command runs in. The bounds in pyproject.toml are what this shows.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HERE)]

from clnd.opencl.drivers import pypi_runtimes  # noqa: E402

TESTERS = ["pytest", "pytest-randomly", "pytest-xdist", "hypothesis", "scipy"]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PART = [
    "tests/test_behaviour.py",
    "tests/test_interchange.py",
    "tests/test_cli.py",
    "tests/engine/test_layout.py",
    "tests/test_programs.py",
]
SHOWN = ("numpy", "pyopencl", "mako", "platformdirs", "rich", "typer")


def bounds() -> list[str]:
    """What clnd needs, as pyproject.toml has it."""
    text = (HERE / "pyproject.toml").read_text(encoding="utf-8")
    needed = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert needed is not None
    return re.findall(r'"([^"]+)"', needed[1])


def trial(uv: str, python: str, wanted: list[str], tests: list[str], folder: Path) -> tuple[str, str]:
    """Install and run: the versions, and what came of it."""
    environment, place = {**os.environ}, folder / "environment"
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        environment.pop(name, None)
    made = subprocess.run([uv, "venv", "--quiet", "--clear", "--python", python, str(place)], capture_output=True, text=True, check=False)
    if made.returncode:
        return "", f"no such Python: {last_line(made.stderr)}"
    inside = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    versions: list[str] = []
    for packages in ([str(HERE), *wanted], TESTERS):  # the second must not raise what the first chose
        kept = [f"{name}=={version}" for name, version in zip(SHOWN, versions)]
        binary = [f"--only-binary={name}" for name in ("numpy", "pyopencl", "scipy")]
        lowest = ["--resolution=lowest-direct"] * (packages is not TESTERS and wanted == bounds())
        install = [uv, "pip", "install", "--quiet", "--python", str(inside), *binary, *lowest, *packages, *kept]
        installed = subprocess.run(install, capture_output=True, text=True, check=False)
        if installed.returncode:
            return " ".join(versions), f"cannot be installed: {installed.stderr.strip()}"
        ask = "import importlib.metadata as m, sys; print(*(m.version(n) for n in sys.argv[1:]))"
        versions = subprocess.run([str(inside), "-c", ask, *SHOWN], capture_output=True, text=True, check=True).stdout.split()
    runtimes = pypi_runtimes()
    if runtimes and "OCL_ICD_VENDORS" not in environment:
        environment["OCL_ICD_VENDORS"] = str(runtimes[0])
    command = [str(inside), "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "--tb=short", *tests]
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
    return " ".join(f"{name} {version}" for name, version in zip(SHOWN, versions, strict=True)), last_line(done.stdout or done.stderr)


def last_line(text: str) -> str:
    """What is said last."""
    return (text.strip().splitlines() or [""])[-1].strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], help=f"a version; all of {', '.join(PYTHONS)} otherwise")
    parser.add_argument(
        "--numpy", action="append", default=[], help="a version of NumPy, instead of the lowest of all packages and the newest"
    )
    parser.add_argument("tests", nargs="*", default=PART, help="arguments of pytest, behind `--`")
    given = parser.parse_args()
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("there is no uv: pip install uv")
    runs = [[f"numpy=={version}"] for version in given.numpy] or [bounds(), []]
    good = True
    for python in given.python or PYTHONS:
        for wanted in runs:
            with tempfile.TemporaryDirectory() as folder:
                versions, outcome = trial(uv, python, wanted, given.tests, Path(folder))
            good &= " passed" in outcome and "failed" not in outcome
            print(
                f"Python {python}, {'lowest' if len(wanted) > 1 else ' '.join(wanted) or 'newest'}: {outcome}\n    {versions}", flush=True
            )
    sys.exit(not good)


if __name__ == "__main__":
    main()
