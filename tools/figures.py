"""Print the figures that describe clnd: launches, compilations, start-up, size of the layers. Speed is for tools/bench.py.

python tools/figures.py [--drivers intel,pocl]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent

LAUNCHES = """
import clnd as mx
from clnd import nd, autograd
from clnd.opencl import counters

def counted(name, work):
    before = counters.launches, counters.compilations
    work()
    nd.waitall()
    print(f"  {name:62} {counters.launches - before[0]:4} launches {counters.compilations - before[1]:3} compilations")

def tutorial(x):
    with autograd.record():
        y = x * 2
        z = y * x
    z.backward()

def chain(u, number=0.5):
    y = u
    for i in range(5):
        y = nd.tanh(y * number + u) - nd.sqrt(nd.abs(y) + 1)
    return y

def differentiated(u):
    with autograd.record():
        y = chain(u)
    y.backward()

x = nd.array([[1, 2], [3, 4]]); x.attach_grad()
u = nd.random.uniform(shape=(1000, 100)); u.attach_grad()
v = nd.random.uniform(shape=(333, 77)); v.attach_grad()
nd.waitall()
counted("tutorial: record and backward", lambda: tutorial(x))
counted("30 elementwise operations, forward", lambda: chain(u).wait_to_read())
counted("the same, forward and backward", lambda: differentiated(u))
counted("the same again", lambda: differentiated(u))
counted("the same, another shape", lambda: differentiated(v))
counted("forward, another shape and number", lambda: chain(v, 0.25).wait_to_read())
"""

DIGITS = """
from clnd import nd, autograd
from clnd.opencl import counters
images, labels = nd.random.uniform(shape=(64, 64)), nd.array([i % 10 for i in range(64)])
parameters = [nd.random.normal(0, 0.1, shape=s) for s in ((64, 128), (128,), (128, 10), (10,))]
velocities = [nd.zeros(p.shape) for p in parameters]
for p in parameters: p.attach_grad()
def step():
    with autograd.record():
        hidden = nd.relu(nd.dot(images, parameters[0]) + parameters[1])
        loss = nd.softmax_cross_entropy(nd.dot(hidden, parameters[2]) + parameters[3], labels) / 64
    loss.backward()
    for p, v in zip(parameters, velocities):
        v[:] = 0.9 * v - 0.1 * p.grad
        p[:] = p + v
    nd.waitall()
for _ in range(3): step()
before = counters.launches
step()
for p in parameters: p.wait_to_read()
print(f"  {'a training step of the digits network (momentum)':62} {counters.launches - before:4} launches")
"""


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE), **environment},
        check=False,
        cwd=tempfile.gettempdir(),
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def seconds(command: list[str], **environment: str) -> float:
    begin = time.perf_counter()
    env = {**os.environ, "PYTHONPATH": str(HERE), **environment}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(command, check=True, capture_output=True, env=env, cwd=folder)
    return time.perf_counter() - begin


def start_up(drivers: list[str]) -> None:
    print(f"  {'import clnd':62} {statistics.median(seconds([sys.executable, '-c', 'import clnd']) for _ in range(5)):5.2f} s")
    for driver in drivers:
        for job in ("tutorial", "digits"):
            with tempfile.TemporaryDirectory() as cold:
                environment = {"CLND_DEVICES": driver, "CLND_CACHE": f"{cold}/clnd", "POCL_CACHE_DIR": f"{cold}/pocl"}
                command = [sys.executable, "-m", f"clnd.examples.{job}"]
                times = [seconds(command, **environment) for _ in range(2)]
            print(f"  {f'clnd.examples.{job} on {driver}: nothing compiled before, second run':62} {times[0]:5.2f} s  {times[1]:5.2f} s")


def sizes() -> None:
    layers = {
        "opencl": ["clnd/opencl"],
        "engine": ["clnd/engine"],
        "ops": ["clnd/ops"],
        "arrays, tape, random, context": [f"clnd/{name}.py" for name in ("ndarray", "indexing", "autograd", "passes", "random", "context")],
        "nd": ["clnd/nd"],
        "command": ["clnd/cli"],
        "examples": ["clnd/examples"],
        "templates": ["templates"],
        "tests": ["tests"],
    }
    for name, places in layers.items():
        files = [file for place in places for file in ([HERE / place] if (HERE / place).is_file() else (HERE / place).rglob("*"))]
        files = [file for file in files if file.suffix in (".py", ".mako")]
        lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
        print(f"  {name:62} {lines:6} lines in {len(files)} files")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drivers", default="intel,pocl")
    arguments = parser.parse_args()
    print("Launches and compilations, nothing compiled before")
    with tempfile.TemporaryDirectory() as cold:
        print(run(LAUNCHES, CLND_CACHE=cold), end="")
        print(run(DIGITS, CLND_CACHE=cold), end="")
        print("The same programs again, from disk")
        print(run(LAUNCHES, CLND_CACHE=cold), end="")
    print("Start-up")
    start_up(arguments.drivers.split(","))
    print("Size")
    sizes()


if __name__ == "__main__":
    main()
