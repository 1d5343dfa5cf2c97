"""Time what a user waits for: first runs with nothing cached, and later ones, from the shell.

    python tools/cold.py [--device intel --device pocl] [--rounds 3] [--json now.json]

A cold run has new folders for the caches of clnd, of pyopencl and of the driver; a warm one has those of the cold run before it.
Python's own compiled files are there in any case, as after an installation. Figures are the least of the rounds, since what a machine
does beside only adds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

UNARY = ["exp", "tanh", "sigmoid", "relu", "square", "abs", "sin", "cos", "erf", "log1p", "softsign", "arctan", "cbrt", "floor", "sign"]
BINARY = ["{} + {}", "{} - {}", "{} * {}", "{} / 2 + {}", "nd.broadcast_maximum({}, {})", "nd.broadcast_hypot({}, {})", "{} > {}"]
OUTER = [
    "{}",
    "{}",
    "{}",
    "({}).sum()",
    "({}).mean(axis=0)",
    "nd.max({}, axis=1)",
    "nd.softmax({})",
    "nd.dot({}, w)",
    "({}).T",
    "nd.norm({})",
]
TYPED = 100

# What a user types at a prompt: every line is computed and printed before the next is typed. The first says hello to the driver.
PROMPT = """
import json, sys, time
import clnd as mx
from clnd import nd
x, y, w = nd.array([[1, 2, 3], [4, 5, 6]]), nd.array([0.5, 1, 2]), nd.ones((3, 2))
str(x + y)
times = []
for line in json.load(sys.stdin):
    begin = time.perf_counter()
    str(eval(line))
    times.append(time.perf_counter() - begin)
print(json.dumps(times))
"""


def expressions() -> list[str]:
    """Different expressions of one to five operators, the same in every run."""
    generator = random.Random(7)
    found: dict[str, None] = {}
    while len(found) < TYPED:
        inner = generator.choice(BINARY).format(generator.choice(["x", "x * 3", "nd.exp(x)"]), generator.choice(["y", "x", "y * y"]))
        for _ in range(generator.randrange(3)):
            inner = f"nd.{generator.choice(UNARY)}({inner})"
        found[generator.choice(OUTER).format(inner)] = None
    return list(found)


def timed(command: list[str], environment: dict[str, str], given: str = "") -> tuple[float, str]:
    """Seconds that a process takes, and what it says."""
    begin = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **environment}, input=given, capture_output=True, text=True, check=False)
    took = time.perf_counter() - begin
    if done.returncode:
        raise SystemExit(done.stderr)
    return took, done.stdout


def once(device: str) -> dict[str, float]:
    """One round: the seconds that each thing takes."""
    found: dict[str, float] = {}
    lines = json.dumps(expressions())
    with tempfile.TemporaryDirectory() as folder:
        works = {
            "tutorial": ["-m", "clnd.examples.tutorial"],
            "digits": ["-m", "clnd.examples.digits", "--picture", f"{folder}/digits.png"],
            "expressions": ["-c", PROMPT],
        }
        for name, work in works.items():
            caches = {"CLND_CACHE": "clnd", "POCL_CACHE_DIR": "pocl", "XDG_CACHE_HOME": "other"}
            environment = {variable: f"{folder}/{name}-{part}" for variable, part in caches.items()}
            for path in environment.values():
                Path(path).mkdir()
            if device:
                environment["CLND_DEVICES"] = device
            for state in ("cold", "warm"):
                took, said = timed([sys.executable, *work], environment, lines)
                if name != "expressions":
                    found[f"{name}, {state}"] = took
                    continue
                times = json.loads(said)
                found[f"an expression, {state}, mean of {TYPED}"] = sum(times) / len(times)
                found[f"an expression, {state}, the slowest"] = max(times)
    found["python"] = timed([sys.executable, "-c", "pass"], {})[0]
    found["import clnd"] = timed([sys.executable, "-c", "import clnd"], {})[0] - found["python"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", action="append", metavar="NAME", help="as in CLND_DEVICES; may be given several times")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write what was measured")
    arguments = parser.parse_args()
    report: dict[str, Any] = {}
    for device in arguments.device or [""]:
        rounds = [once(device) for _ in range(arguments.rounds)]
        report[device or "default"] = {name: min(found[name] for found in rounds) for name in rounds[0]}
    table = Table("", *report)
    for name in next(iter(report.values())):
        table.add_row(name, *(f"{figures[name] * 1e3:,.1f} ms" for figures in report.values()))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
