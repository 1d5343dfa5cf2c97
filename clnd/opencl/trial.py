"""Can a listed device build and run a kernel? Each is tried once and the answer kept, because some are listed and cannot."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from clnd.opencl import cache
from clnd.opencl.drivers import no_memory, no_room, prepare
from clnd.opencl.files import lock
from clnd.opencl.host import processor
from clnd.opencl.kernel import despite_cache
from clnd.opencl.program import build_log
from clnd.opencl.quirks import POCL

if TYPE_CHECKING:
    import pyopencl as cl


_SOURCE = "kernel void clnd_trial(global float* a, int n) { int i = get_global_id(0); if (i < n) a[i] = a[i] * 2.0f + 1.0f; }"
_WIDE_SOURCE = "kernel void clnd_trial_wide(global float16* a) { a[0] = exp(a[0]); }"
# Processors with vectors of 16 floats, as LLVM names them.
_WIDE = (
    *("skylake-avx512", "cascadelake", "cooperlake", "cannonlake", "icelake-client", "icelake-server", "tigerlake", "rocketlake"),
    *("sapphirerapids", "emeraldrapids", "graniterapids", "graniterapids-d", "diamondrapids", "znver4", "znver5", "knl", "knm"),
)
_FORMAT = "2"
_KIND = "trials"
_DAY = 24 * 60 * 60  # seconds
_PATIENCE = 120  # seconds; only a device whose first trial killed a process is tried with a limit


def reason_unusable(device: cl.Device) -> str | None:
    """Say why a device cannot be used.

    Returns
    -------
    str or None
        One line, or None for a device that computes.

    Notes
    -----
    The trial runs in this process, with a marker on disk while it lasts. A marker that nobody holds was left by a process that died in
    the trial: then the device is tried in a process of its own, and if that dies or hangs too the device stays unusable until
    `forget_trials`. So is a device whose compiler takes the processor for an older one, without the vectors that the device says it has:
    such compilers die of them.
    """
    key = trial_key(device)
    kept = _read(key)
    if kept is None:
        if short := no_room(device.platform.name) or no_memory(device.platform.name):
            return short  # not for longer than that is so
        with _marker(key) as abandoned:
            kept = _read(key)  # another process may have been at it a moment ago
            if kept is None:
                older = taken_for(device)
                reason, fatal = _attempt_apart(key) if abandoned or older else (attempt(device), False)
                if reason and older:
                    reason = f"its compiler takes the processor for the older {older}: {reason}"
                kept = _Answer(reason, fatal, time.time())
                _write(key, describe(device), kept)
    return kept.reason


def forget_trials() -> int:
    """Forget which devices can be used, so that the next run tries all of them again.

    Returns
    -------
    int
        How many answers were forgotten.
    """
    answers = sum(entry.name.endswith(".json") for entry in cache.entries(_KIND))
    cache.forget(_KIND)
    return answers


def taken_for(device: cl.Device) -> str | None:
    """Name the processor that the compiler of a device compiles for, where that has no vectors as wide as those of the device.

    PoCL's versions end with that name: ``OpenCL 3.0 PoCL HSTR: pthread-x86_64-unknown-linux-gnu-znver3``.
    """
    if POCL not in device.platform.name or device.native_vector_width_float < 16:
        return None
    compiled_for = device.version.strip().rpartition("-gnu-")[2]
    return None if compiled_for.endswith(_WIDE) else compiled_for


def attempt(device: cl.Device) -> str | None:
    """Build and run a small kernel, where the compiler is in doubt another with wide vectors, and compare what they compute."""
    import pyopencl as cl

    program = None
    wide = taken_for(device) is not None
    try:
        if not device.available or not device.compiler_available:
            return "the driver says that the device or its compiler is not available"
        context = cl.Context([device])
        queue = cl.CommandQueue(context)
        program = cl._cl._Program(context, _SOURCE + _WIDE_SOURCE * wide)
        program._build(options=b"-cl-std=CL1.2", devices=[device])
        values = np.arange(37, dtype=np.float32)
        buffer = cl.Buffer(context, cl.mem_flags.READ_WRITE, values.nbytes)
        cl.enqueue_copy(queue, buffer, values)
        kernel = despite_cache(lambda: cl.Kernel(program, "clnd_trial"))
        kernel.set_arg(0, buffer)
        kernel.set_arg(1, np.int32(values.size))
        cl.enqueue_nd_range_kernel(queue, kernel, (64,), None)
        result = np.zeros_like(values)
        cl.enqueue_copy(queue, result, buffer)
        queue.finish()
        if wide:
            numbers = np.zeros(16, np.float32)
            cl.enqueue_copy(queue, buffer, numbers)
            kernel = despite_cache(lambda: cl.Kernel(program, "clnd_trial_wide"))
            kernel.set_arg(0, buffer)
            cl.enqueue_nd_range_kernel(queue, kernel, (1,), None)
            cl.enqueue_copy(queue, numbers, buffer)
            if not np.array_equal(numbers, np.ones(16, np.float32)):
                return "a small kernel of wide vectors gave wrong numbers"
    except cl.Error as error:
        return _one_line(error, build_log(program, device) if program is not None else "")
    if not np.array_equal(result, values * 2 + 1):
        return "a small kernel gave wrong numbers"
    return None


def describe(device: cl.Device) -> str:
    """Name a device with its platform and driver."""
    return f"{device.name.strip()} | {device.platform.name} | {device.platform.version} | {device.driver_version}"


def trial_key(device: cl.Device) -> str:
    """Name a device, its driver and the processor, as far as they can change the answer."""
    about = (_FORMAT, describe(device), device.version, processor())
    return hashlib.sha256(repr(about).encode()).hexdigest()[:32]


def _one_line(error: Exception, log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    said = next((line for line in lines if "error" in line.lower()), lines[0] if lines else "")
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return said or first


class _Answer(NamedTuple):
    reason: str | None
    fatal: bool  # the trial killed a process, or hung
    tried: float  # seconds since the epoch


def _read(key: str) -> _Answer | None:
    """Read the answer of an earlier trial; a damaged one costs another trial.

    A failure counts for a day only, since a full disk or memory may have been its cause; a fatal one until it is forgotten.
    """
    try:
        kept = json.loads(cache.read(_KIND, f"{key}.json") or b"")
        answer = _Answer(kept["reason"], kept["fatal"], float(kept["tried"]))
    except (ValueError, KeyError, TypeError):
        return None
    if answer.reason is None:
        return answer
    return answer if isinstance(answer.reason, str) and (answer.fatal or time.time() - answer.tried <= _DAY) else None


def _write(key: str, device: str, answer: _Answer) -> None:
    cache.keep(_KIND, f"{key}.json", json.dumps({"device": device, **answer._asdict()}).encode())


@contextmanager
def _marker(key: str) -> Iterator[bool]:
    """Hold a marker during a trial; yields whether one was there that no living process holds."""
    name = f"{key}.trying"
    file: IO[bytes] | None = None
    abandoned = False
    try:
        there = any(entry.name == name for entry in cache.entries(_KIND))
        file = cache.marker(_KIND, name)
        abandoned = lock(file) and there
    except OSError:
        pass
    try:
        yield abandoned
    finally:
        if file is not None:
            cache.forget(_KIND, name)
            file.close()


def _attempt_apart(key: str) -> tuple[str | None, bool]:
    """Try the device in a process of its own, which it may kill. Gives the reason, and whether it did."""
    import subprocess

    code = "from clnd.opencl.trial import main; main()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, key]
    how = "killed the process"
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False)
        if done.returncode == 0:
            return json.loads(done.stdout.splitlines()[-1]), False
        how += f" (exit status {done.returncode})"
    except subprocess.TimeoutExpired:
        how = f"took more than {_PATIENCE} seconds"
    except (OSError, ValueError, IndexError):
        pass
    return f"trying it {how}; `clnd doctor` tries again", True


def main() -> None:
    """Try the device whose key is the first argument, and print the answer."""
    import pyopencl as cl

    prepare()
    for platform in cl.get_platforms():
        for device in platform.get_devices():
            if trial_key(device) == sys.argv[1]:
                print("\n" + json.dumps(attempt(device)))
                return
    sys.exit(f"no device has the key {sys.argv[1]}")
