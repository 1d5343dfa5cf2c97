"""Can a listed device build and run a kernel? Each is tried once and the answer kept, because some are listed and cannot."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from clnd.opencl.cache import cache_folder, write_whole
from clnd.opencl.drivers import prepare
from clnd.opencl.host import processor
from clnd.opencl.kernel import despite_cache
from clnd.opencl.program import build_log

if TYPE_CHECKING:
    import pyopencl as cl

    from clnd.opencl.device import Device


_SOURCE = "kernel void clnd_trial(global float* a, int n) { int i = get_global_id(0); if (i < n) a[i] = a[i] * 2.0f + 1.0f; }"
_FORMAT = "1"
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
    `forget_trials`.
    """
    key = trial_key(device)
    folder = _folder()
    if folder is None:
        return attempt(device)
    kept = _read(folder, key)
    if kept is None:
        with _marker(folder, key) as abandoned:
            kept = _read(folder, key)  # another process may have been at it a moment ago
            if kept is None:
                kept = _attempt_apart(key) if abandoned else _Answer(attempt(device), fatal=False)
                _write(folder, key, describe(device), kept)
    return kept.reason


def forget_trials() -> int:
    """Forget which devices can be used, so that the next run tries all of them again.

    Returns
    -------
    int
        How many answers were forgotten.
    """
    folder = _folder()
    if folder is None or not folder.is_dir():
        return 0
    forgotten = 0
    for file in [*folder.glob("*.json"), *folder.glob("*.trying")]:
        try:
            file.unlink()
        except OSError:
            continue
        forgotten += file.suffix == ".json"
    return forgotten


def attempt(device: cl.Device) -> str | None:
    """Build and run a small kernel, and compare what it computes."""
    import pyopencl as cl

    program = None
    try:
        if not device.available or not device.compiler_available:
            return "the driver says that the device or its compiler is not available"
        context = cl.Context([device])
        queue = cl.CommandQueue(context)
        program = cl._cl._Program(context, _SOURCE)
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


def kept_report(device: Device, what: str) -> str | None:
    """Read what was kept about a device with this driver on this processor."""
    folder = cache_folder()
    try:
        return None if folder is None else (folder / what / f"{_report_key(device)}.json").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def keep_report(device: Device, what: str, text: str) -> None:
    """Keep a text about a device for later processes, where there is a cache."""
    folder = cache_folder()
    try:
        if folder is not None:
            write_whole(folder / what / f"{_report_key(device)}.json", text.encode())
    except OSError:
        pass  # then the next process finds it out again


def _report_key(device: Device) -> str:
    return f"{device.traits.schedule}-{trial_key(device.cl)}"


def _one_line(error: Exception, log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    said = next((line for line in lines if "error" in line.lower()), lines[0] if lines else "")
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return said or first


def _folder() -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / "trials"


class _Answer(NamedTuple):
    reason: str | None
    fatal: bool  # the trial killed a process, or hung


def _read(folder: Path, key: str) -> _Answer | None:
    """Read the answer of an earlier trial; a damaged one costs another trial.

    A failure counts for a day only, since a full disk or memory may have been its cause; a fatal one until it is forgotten.
    """
    file = folder / f"{key}.json"
    try:
        kept = json.loads(file.read_bytes())
        answer = _Answer(kept["reason"], kept["fatal"])
        old = time.time() - file.stat().st_mtime > _DAY
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if answer.reason is None:
        return answer
    return answer if isinstance(answer.reason, str) and (answer.fatal or not old) else None


def _write(folder: Path, key: str, device: str, answer: _Answer) -> None:
    try:
        write_whole(folder / f"{key}.json", json.dumps({"device": device, **answer._asdict()}).encode())
    except OSError:
        pass  # then the next process tries again


@contextmanager
def _marker(folder: Path, key: str) -> Iterator[bool]:
    """Hold a marker during a trial; yields whether one was there that no living process holds."""
    path = folder / f"{key}.trying"
    file: IO[bytes] | None = None
    abandoned = False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = path.exists()
        file = open(path, "ab")  # noqa: SIM115
        abandoned = _lock(file) and there
    except OSError:
        pass
    try:
        yield abandoned
    finally:
        if file is not None:
            try:
                path.unlink(missing_ok=True)
            except OSError:
                pass
            file.close()


def _lock(file: IO[bytes]) -> bool:
    """Take the file's lock if no other process has it; the system gives it back when the process dies."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _attempt_apart(key: str) -> _Answer:
    """Try the device in a process of its own, which it may kill."""
    import subprocess

    code = "from clnd.opencl.trial import main; main()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, key]
    how = "killed the process"
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False)
        if done.returncode == 0:
            return _Answer(json.loads(done.stdout.splitlines()[-1]), fatal=False)
        how += f" (exit status {done.returncode})"
    except subprocess.TimeoutExpired:
        how = f"took more than {_PATIENCE} seconds"
    except (OSError, ValueError, IndexError):
        pass
    return _Answer(f"trying it {how}; `clnd doctor` tries again", fatal=True)


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
