"""Time what a user waits for: first runs with nothing cached, and later ones, from the shell.

    python tools/cold.py [--device intel --device pocl] [--works 'tutorial|expression'] [--rounds 3] [--json now.json]

A cold run has new folders for the caches of clnd, of pyopencl and of the driver; a warm one has those of the cold run before it.
Python's own compiled files are there in any case, as after an installation. Figures are the least of the rounds: seconds by the clock, and
in brackets of the processor, which is what they come to on a machine that nobody else uses.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.table import Table

from clnd.console import console

UNARY = ["exp", "tanh", "sigmoid", "relu", "square", "abs", "sin", "cos", "erf", "log1p", "softsign", "arctan", "cbrt", "floor", "sign"]
BINARY = ["{} + {}", "{} - {}", "{} * {}", "{} / 2 + {}", "nd.broadcast_maximum({}, {})", "nd.broadcast_hypot({}, {})", "{} > {}"]
REDUCED = ["({}).sum()", "({}).mean(axis=0)", "nd.max({}, axis=1)", "nd.norm({})", "nd.softmax({})", "nd.dot({}, w)"]
TYPED = 100

# What a user types at a prompt: every line is computed and printed before the next is typed. The first one opens the device.
PROMPT = """
import json, sys, time
import clnd as mx
from clnd import nd
x, y, w = nd.array([[1, 2, 3], [4, 5, 6]]), nd.array([0.5, 1, 2]), nd.ones((3, 2))
str(x + y)
times = []
for line in json.load(sys.stdin):
    begin = time.perf_counter(), time.process_time()
    str(eval(line))
    times.append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
print(json.dumps(times))
"""

Seconds = tuple[float, float]  # by the clock, and of the processor


def expressions() -> list[str]:
    """Different expressions of one to five operators, the same in every run."""
    generator = random.Random(7)
    found: dict[str, None] = {}
    while len(found) < TYPED:
        inner = generator.choice(BINARY).format(generator.choice(["x", "x * 3", "nd.exp(x)"]), generator.choice(["y", "x", "y * y"]))
        for _ in range(generator.randrange(3)):
            inner = f"nd.{generator.choice(UNARY)}({inner})"
        found[generator.choice(["{}", "{}", "{}", "({}).T", *REDUCED]).format(inner)] = None
    return list(found)


def timed(command: list[str], environment: dict[str, str], given: str = "") -> tuple[Seconds, str]:
    """The seconds that a process takes, and what it says."""
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env={**surroundings, **environment}, input=given, capture_output=True, text=True, check=False)
    took, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    return (took, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime), done.stdout


def works(folder: str) -> dict[str, list[str]]:
    return {
        "tutorial": ["-m", "clnd.examples.tutorial"],
        "digits": ["-m", "clnd.examples.digits", "--epochs", "3", "--picture", f"{folder}/digits.png"],
        "expressions": ["-c", PROMPT],
        "import clnd": ["-c", "import clnd"],
        "import numpy": ["-c", "import numpy"],
        "python": ["-c", "pass"],
    }


def once(device: str, pattern: str) -> dict[str, Seconds]:
    """One round: the seconds that each thing takes."""
    found: dict[str, Seconds] = {}
    lines = json.dumps(expressions())
    with tempfile.TemporaryDirectory() as folder:
        for name, work in works(folder).items():
            if not re.search(pattern, name):
                continue
            caches = {"CLND_CACHE": "clnd", "POCL_CACHE_DIR": "pocl", "XDG_CACHE_HOME": "other"}
            environment = {variable: f"{folder}/{name}-{part}" for variable, part in caches.items()}
            for path in environment.values():
                Path(path).mkdir()
            if device:
                environment["CLND_DEVICES"] = device
            for state in ("cold", "warm"):
                took, said = timed([sys.executable, *work], environment, lines)
                print(f"{device} {name} {state}: {took[0]:.2f} s", file=sys.stderr)
                if name != "expressions":
                    found[f"{name}, {state}"] = took
                    continue
                times = json.loads(said)
                found[f"an expression, {state}, mean of {TYPED}"] = mean(times)
                found[f"an expression, {state}, the slowest"] = max(times)
    return found


def mean(times: list[Seconds]) -> Seconds:
    return sum(t for t, _ in times) / len(times), sum(t for _, t in times) / len(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", action="append", metavar="NAME", help="as in CLND_DEVICES; may be given several times")
    parser.add_argument("--works", default="", metavar="PATTERN", help="a regular expression: only what holds it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write what was measured")
    arguments = parser.parse_args()
    timed([sys.executable, "-c", "import clnd.examples.tutorial"], {"CLND_CACHE": ""})  # writes Python's compiled files
    report: dict[str, Any] = {}
    for device in arguments.device or [""]:
        rounds = [once(device, arguments.works) for _ in range(arguments.rounds)]
        report[device or "default"] = {name: [min(found[name][i] for found in rounds) for i in (0, 1)] for name in rounds[0]}
    table = Table("", *report)
    for name in next(iter(report.values())):
        table.add_row(name, *(f"{clock * 1e3:,.0f} ms ({processor * 1e3:,.0f})" for clock, processor in (x[name] for x in report.values())))
    console().print(table)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
