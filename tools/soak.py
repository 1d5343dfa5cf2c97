"""Train for long, and see whether memory, handles, threads and time per step stay level.

    CLND_DEVICES=pocl python tools/soak.py [--minutes 30] [--small] [--steps N] [--seed N]

A mixed run (the default) trains a network on batches and images whose sizes change, with arrays that come and go beside it and errors that
are caused on purpose: shapes that do not fit, exceptions in `record()` and in a gradient, requests for more memory than there is, damaged
files. A small run repeats one step of a small network. A line a sample is printed; at the end the figures of a late part of the run are
compared with those of an earlier one, and the exit status is 1 where they have grown.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

import clnd as mx  # noqa: E402
from clnd import autograd, nd  # noqa: E402
from clnd.opencl import counters  # noqa: E402

MIB = 1 << 20
SAMPLES = 60  # in a run


class Sample(NamedTuple):
    """How things stand. Times are the process's own, of all its threads, which other work on the machine does not change."""

    seconds: float  # since the beginning
    steps: int
    step: float  # milliseconds a step since the sample before
    resident: float  # MiB of the process
    held: float  # MiB that the pool has of the device
    used: float  # MiB of them in arrays
    handles: int
    threads: int
    compiled: int


# What may grow from the second quarter to the last: by this factor, and this much besides.
ALLOWED = {"step": (1.2, 0.05), "resident": (1.05, 16), "held": (1.1, 8), "used": (1.1, 1), "handles": (1, 0), "threads": (1, 0)}


def grown(samples: Sequence[Sample]) -> list[str]:
    """What is no longer as it was: the medians of the last quarter beside those of the second one."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    found = []
    for name, (factor, besides) in ALLOWED.items():
        before, after = (median(getattr(sample, name) for sample in part) for part in (early, late))
        if after > factor * before + besides:
            found.append(f"{name} went from {before:.2f} to {after:.2f}")
    return found


def resident() -> float:
    """MiB of memory that the process has."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB
    except (OSError, AttributeError):
        return 0.0


def entries(folder: str) -> int:
    """How many entries a folder of the system's has; none where there is no such system."""
    try:
        return len(os.listdir(folder))
    except OSError:
        return 0


class Network:
    """Convolution, normalisation, pooling over all of an image, two layers: takes images of any size and number."""

    def __init__(self) -> None:
        shapes = {"filters": (8, 3, 3, 3), "shift": (8,), "hidden": (16, 8), "hidden_bias": (16,), "last": (4, 16), "last_bias": (4,)}
        self.weights = {name: nd.random.normal(0, 0.3, shape=shape) for name, shape in shapes.items()}
        self.weights["scale"] = nd.ones(8)
        self.moments = {name: (nd.zeros(x.shape), nd.zeros(x.shape)) for name, x in self.weights.items()}
        self.running = nd.zeros(8), nd.ones(8)
        for x in self.weights.values():
            x.attach_grad()

    def loss(self, images: Any, labels: Any) -> Any:
        """A number for each image."""
        w = self.weights
        x = nd.Convolution(images, w["filters"], kernel=(3, 3), pad=(1, 1), num_filter=8, no_bias=True)
        x = nd.relu(nd.BatchNorm(x, w["scale"], w["shift"], *self.running, fix_gamma=False))
        x = nd.Dropout(nd.mean(x, axis=(2, 3)), p=0.1)
        x = nd.tanh(nd.FullyConnected(x, w["hidden"], w["hidden_bias"], num_hidden=16))
        x = nd.FullyConnected(x, w["last"], w["last_bias"], num_hidden=4)
        return -nd.pick(nd.log_softmax(x), labels)

    def step(self, count: int, side: int) -> None:
        """One step of training, on images that are drawn."""
        images, labels = nd.random.normal(shape=(count, 3, side, side)), nd.random.randint(0, 4, shape=(count,))
        with autograd.record():
            loss = self.loss(images, labels.astype("float32"))
        loss.backward()
        for name, x in self.weights.items():
            nd.adam_update(x, x.grad, *self.moments[name], out=x, lr=1e-3, rescale_grad=1 / count)


class Broken(autograd.Function):
    """A function whose gradient raises."""

    def forward(self, x: Any) -> Any:
        """Twice the argument."""
        return x * 2

    def backward(self, dz: Any) -> Any:
        """Raise."""
        raise KeyError("on purpose")


def recording_left() -> None:
    """An exception out of record()."""
    with autograd.record():
        x = nd.ones((3, 4)) * 2
        raise ZeroDivisionError(x.shape)


def broken_gradient() -> None:
    """An exception out of a gradient."""
    x = nd.ones((3, 4))
    x.attach_grad()
    with autograd.record():
        z = Broken()(x) + x
    z.backward()


# What each of the errors that are caused raises.
ERRORS: list[tuple[Callable[[], object], type[BaseException]]] = [
    (lambda: nd.ones((3, 4)) + nd.ones((5, 6)), mx.MXNetError),
    (lambda: nd.dot(nd.ones((3, 4)), nd.ones((3, 4))), mx.MXNetError),
    (lambda: nd.zeros((1 << 20, 1 << 20)).wait_to_read(), mx.MXNetError),
    (lambda: nd.load_frombuffer(b"\x12\x01" + b"\x07" * 40), mx.MXNetError),
    (lambda: nd.ones(3)[7], IndexError),
    (recording_left, ZeroDivisionError),
    (broken_gradient, KeyError),
]


class Mixed:
    """Training with sizes that change, arrays that come and go, errors."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.network = Network()
        self.kept = [self.drawn() for _ in range(100)]
        self.errors: Counter[str] = Counter()

    def drawn(self) -> Any:
        """An array of some size."""
        return nd.random.uniform(shape=(self.random.randint(1, 40), self.random.randint(1, 400)))

    def step(self) -> None:
        """One step, an array for another, sometimes an error."""
        draw = self.random
        self.network.step(draw.randint(1, 32), draw.randint(4, 20))
        self.kept[draw.randrange(len(self.kept))] = self.drawn()
        x = draw.choice(self.kept)
        part = x[: draw.randint(1, x.shape[0])]
        part += 1
        if not draw.randrange(50):  # a graph that nobody walks, in a cycle
            with autograd.record():
                circle: list[Any] = [nd.exp(x) * x]
            circle.append(circle)
        if not draw.randrange(10):
            work, kind = draw.choice(ERRORS)
            try:
                work()
            except kind as error:
                self.errors[type(error).__name__] += 1
            else:
                raise AssertionError(f"{work} raised nothing")
            assert not autograd.is_recording()


class Small:
    """The same step of a small network, again and again."""

    def __init__(self, seed: int) -> None:
        self.errors: Counter[str] = Counter()
        self.x, self.y = nd.random.normal(shape=(16, 8)), nd.random.normal(shape=(16, 1))
        self.weights = [nd.random.normal(0, 0.3, shape=shape) for shape in ((8, 16), (16, 1))]
        for w in self.weights:
            w.attach_grad()

    def step(self) -> None:
        """One step."""
        with autograd.record():
            loss = nd.square(nd.dot(nd.tanh(nd.dot(self.x, self.weights[0])), self.weights[1]) - self.y).mean()
        loss.backward()
        for w in self.weights:
            nd.sgd_update(w, w.grad, out=w, lr=0.01)


def run(work: Any, minutes: float, steps: int | None, say: Callable[[str], object] = print) -> list[Sample]:
    """Do steps for some minutes, or so many of them, and print how things stand."""
    memory = mx.current_context().device.memory
    samples: list[Sample] = []
    began, done = time.monotonic(), 0
    at, spent = 0, time.process_time()
    say("  minutes    steps  ms/step  resident  pool held  pool used  handles  threads  compiled")
    while True:
        seconds = time.monotonic() - began
        part = done / steps if steps else seconds / (60 * minutes)
        if done > at and part * SAMPLES >= len(samples) + 1:
            nd.waitall()
            now = time.process_time()
            each, at, spent = 1e3 * (now - spent) / (done - at), done, now
            counts = entries("/proc/self/fd"), entries("/proc/self/task"), counters.compilations
            sample = Sample(seconds, done, each, resident(), memory.held / MIB, memory.used / MIB, *counts)
            samples.append(sample)
            say(
                f"{seconds / 60:9.2f} {done:8} {each:8.2f} {sample.resident:9.1f} {sample.held:10.2f} {sample.used:10.2f}"
                f" {counts[0]:8} {counts[1]:8} {counts[2]:9}"
            )
        if part >= 1:
            return samples
        work.step()
        done += 1


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--steps", type=int, help="so many steps instead")
    parser.add_argument("--small", action="store_true", help="the same small step again and again")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    mx.random.seed(given.seed)
    print(f"{mx.current_context()} {mx.current_context().device}, seed {given.seed}", flush=True)
    work = (Small if given.small else Mixed)(given.seed)
    samples = run(work, given.minutes, given.steps, lambda line: print(line, flush=True))
    if work.errors:
        print("errors caused and met:", ", ".join(f"{count} {name}" for name, count in work.errors.items()))
    problems = grown(samples)
    print("\n".join(problems) or "level")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
