"""Where time goes: what devices run, for which operators and lines, how fast, and what Python does meanwhile.

>>> import clnd as mx
>>> from clnd import nd
>>> x = nd.ones((1000,))
>>> with mx.profiler.profile() as p:
...     y = nd.sum(nd.tanh(x * 2)).asscalar()
>>> [row.name for row in p.operators if row.launches]
['sum']
>>> p.launches
1

`print(p)` shows tables, `p.save_trace("trace.json")` writes a file that https://ui.perfetto.dev and Chrome's about:tracing open.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnd import engine
from clnd.errors import MXNetError
from clnd.opencl import Buffer, Device, Kernel, event_times, open_devices, running

from .console import console
from .limits import Limits, limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table

__all__ = ["Profile", "Row", "dump", "dumps", "pause", "profile", "resume", "set_config", "set_state"]

_WAITING = 4096  # launches whose times are not asked for yet


@dataclass
class Event:
    """Something that happened, in nanoseconds of `time.perf_counter_ns`.

    Attributes
    ----------
    kind : {"launch", "build", "load", "transfer", "wait"}
    name : str
        The kernel's, or what crossed between host and device.
    operator, site
        The operator call that it was for.
    device : Device or None
    thread : int
    python : int
        Time that Python had spent since the thread's last event.
    began, ended : int
        On the host.
    nbytes, operations : int
        Of a launch.
    ran : (int, int) or None
        When the device ran it, by the device's own clock until the profile ends.
    """

    kind: str
    name: str
    operator: str
    site: Any
    device: Device | None
    thread: int
    python: int
    began: int
    ended: int
    nbytes: int = 0
    operations: int = 0
    ran: tuple[int, int] | None = None


@dataclass
class Row:
    """What a kernel, an operator or a line took, all its launches together. Times are in seconds.

    Attributes
    ----------
    name : str
    launches, compilations, loads : int
        Kernels launched, compiled, and loaded from disk.
    device_time, python_time, build_time, wait_time : float
        Of the device; of Python on the way to launches; of compiling and loading; of waiting for the device.
    nbytes, operations : int
        Moved and done by the launches, as far as is known.
    """

    name: str
    launches: int = 0
    compilations: int = 0
    loads: int = 0
    device_time: float = 0.0
    python_time: float = 0.0
    build_time: float = 0.0
    wait_time: float = 0.0
    nbytes: int = 0
    operations: int = 0
    _limits: list[tuple[float, Limits]] = field(default_factory=list, repr=False)

    @property
    def bandwidth(self) -> float:
        """Bytes moved in a second of the device's time."""
        return self.nbytes / self.device_time if self.device_time else 0.0

    @property
    def rate(self) -> float:
        """Operations in a second of the device's time."""
        return self.operations / self.device_time if self.device_time else 0.0


class Profile:
    """What happened within a `with profile()` block: see `profile`.

    Attributes
    ----------
    wall_time : float
        Seconds that the block took.
    events : list of Event
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.wall_time = 0.0
        self._began = self._ended = 0
        self._cursors: dict[int, int] = {}
        self._threads: dict[int, str] = {}
        self._pending: list[tuple[Event, Any, int]] = []
        self._offsets: dict[Device, int] = {}
        self._lock = threading.Lock()

    # What devices tell.

    def allocated(self, buffer: Buffer) -> None:
        """A buffer was given out: the pool keeps account."""

    def launched(self, kernel: Kernel, global_size: Any, local_size: Any, arguments: tuple[Any, ...], event: Any) -> None:
        """A kernel was put into the queue."""
        sizes = [x.size if isinstance(x, Buffer) else x for x in arguments]
        nbytes, operations = engine.work(kernel.template, kernel.parameters, kernel.arguments or (), sizes)
        found = self._add("launch", kernel.name, kernel.device, None)
        found.nbytes, found.operations = nbytes, operations or (0 if running.call is None else running.call.operations)
        self._pending.append((found, event, found.ended))
        if len(self._pending) > _WAITING:
            self._settle(_WAITING // 2)
        self._cursors[found.thread] = time.perf_counter_ns()

    def crossed(self, what: str, nbytes: int, began: int) -> None:
        """Elements went between host and device."""
        self._add("transfer", what.removeprefix("it "), None, began).nbytes = nbytes

    def waited(self, began: int) -> None:
        """The host has waited."""
        self._add("wait", "waits for the device", None, began)

    def built(self, kernel: Kernel, compiled: bool, began: int) -> None:
        """A kernel was compiled, or loaded from disk."""
        self._add("build" if compiled else "load", kernel.name, kernel.device, began)

    def _add(self, kind: str, name: str, device: Device | None, began: int | None) -> Event:
        now, thread, call = time.perf_counter_ns(), threading.get_ident(), running.call
        if thread not in self._cursors:
            self._threads[thread] = threading.current_thread().name
        before = self._cursors.get(thread, now)
        began = now if began is None else began
        operator, site = (call.name, call.site) if call is not None else (name, engine.user_site())
        event = Event(kind, name, operator, site, device, thread, max(0, began - before), began, now)
        self.events.append(event)
        self._cursors[thread] = now
        return event

    # The block.

    def _start(self) -> None:
        Device.timed = True
        for device in open_devices():
            device.renew_queue()
        Device.listen(self)
        self._began = time.perf_counter_ns()
        self._cursors[threading.get_ident()] = self._began
        self._threads[threading.get_ident()] = threading.current_thread().name

    def _stop(self) -> None:
        Device.dismiss(self)
        self._ended = time.perf_counter_ns()
        self.wall_time += (self._ended - self._began) * 1e-9
        Device.timed = any(isinstance(listener, Profile) for listener in Device.listeners)
        for device in open_devices():
            device.finish()
        self._settle(len(self._pending))
        if not Device.timed:
            for device in open_devices():
                device.renew_queue()
        for event in self.events:
            if event.ran is not None and event.device in self._offsets:
                offset = self._offsets[event.device]
                event.ran = event.ran[0] + offset, event.ran[1] + offset
        self._offsets.clear()

    def _settle(self, count: int) -> None:
        """Ask when the oldest `count` launches ran."""
        with self._lock:
            settled, self._pending = self._pending[:count], self._pending[count:]
        for found, event, enqueued in settled:
            times = event_times(event)
            if times is not None and found.device is not None:
                queued, *ran = times
                found.ran = ran[0], ran[1]
                # A launch is in the queue before its call returns: the least of these differences sets the device's clock.
                self._offsets[found.device] = min(self._offsets.get(found.device, enqueued - queued), enqueued - queued)

    # What came out.

    @property
    def launches(self) -> int:
        """Kernels launched."""
        return sum(event.kind == "launch" for event in self.events)

    @property
    def compilations(self) -> int:
        """Kernels compiled."""
        return sum(event.kind == "build" for event in self.events)

    @property
    def device_time(self) -> float:
        """Seconds that devices ran kernels."""
        return sum(event.ran[1] - event.ran[0] for event in self.events if event.ran is not None) * 1e-9

    @property
    def build_time(self) -> float:
        """Seconds of compiling kernels and loading them from disk."""
        return self._host("build", "load")

    @property
    def wait_time(self) -> float:
        """Seconds of waiting for devices, and of copying to and from them."""
        return self._host("wait", "transfer")

    @property
    def python_time(self) -> float:
        """Seconds of Python, up to the last event of each thread."""
        return sum(event.python for event in self.events) * 1e-9

    def _host(self, *kinds: str) -> float:
        return sum(event.ended - event.began for event in self.events if event.kind in kinds) * 1e-9

    @property
    def kernels(self) -> list[Row]:
        """A row for each kernel, those that took most of the device's time first."""
        return self._rows((event for event in self.events if event.kind in ("launch", "build", "load")), lambda event: event.name)

    @property
    def operators(self) -> list[Row]:
        """A row for each operator. A fused kernel counts for the operator whose result it was launched for."""
        return self._rows(self.events, lambda event: event.operator)

    @property
    def lines(self) -> list[Row]:
        """A row for each of the user's lines: those that called the operators, or `backward`."""
        return self._rows(self.events, lambda event: engine.describe_site(event.site))

    def _rows(self, events: Iterable[Event], key: Callable[[Event], str]) -> list[Row]:
        rows: dict[str, Row] = {}
        for event in events:
            name = key(event)
            row = rows.setdefault(name, Row(name))
            row.python_time += event.python * 1e-9
            spent = (event.ended - event.began) * 1e-9
            if event.kind == "launch":
                row.launches += 1
                row.nbytes += event.nbytes
                row.operations += event.operations
                if event.ran is not None and event.device is not None:
                    ran = (event.ran[1] - event.ran[0]) * 1e-9
                    row.device_time += ran
                    row._limits.append((ran, limits(event.device)))
            elif event.kind in ("build", "load"):
                row.compilations += event.kind == "build"
                row.loads += event.kind == "load"
                row.build_time += spent
            else:
                row.wait_time += spent
        return sorted(rows.values(), key=lambda row: (-row.device_time, -row.python_time - row.build_time - row.wait_time))

    def summary(self) -> str:
        """What all of it took, in a few lines."""
        loads = sum(event.kind == "load" for event in self.events)
        crossed = sum(event.nbytes for event in self.events if event.kind == "transfer")
        moved = sum(event.nbytes for event in self.events if event.kind == "launch")
        lines = [
            f"{_seconds(self.wall_time)} in all: devices {_seconds(self.device_time)}, Python {_seconds(self.python_time)}, "
            f"building {_seconds(self.build_time)}, waiting and copying {_seconds(self.wait_time)}",
            f"{self.launches:,} launches, {self.compilations:,} compilations, {loads:,} kernels loaded; "
            f"{_bytes(moved)} moved by kernels, {_bytes(crossed)} between host and device",
        ]
        for device in dict.fromkeys(event.device for event in self.events if event.kind == "launch" and event.device is not None):
            found = limits(device)
            lines.append(f"{device} reaches {found.copy / 1e9:.1f} GB/s on a copy, {found.product / 1e9:.1f} GFLOP/s on a product")
        return "\n".join(lines)

    def table(self, by: str = "kernel", most: int = 30) -> Table:
        """A table for the terminal.

        Parameters
        ----------
        by : {"kernel", "operator", "line"}
        most : int
            Rows to show.
        """
        from rich.table import Table

        rows = {"kernel": self.kernels, "operator": self.operators, "line": self.lines}.get(by)
        if rows is None:
            raise MXNetError(f"profile: a table goes by kernel, operator or line, not by {by!r}")
        table = Table(caption=f"{len(rows) - most} more" if len(rows) > most else None)
        table.add_column(by.capitalize(), overflow="fold")
        for title in ("Launches", "Device", "", "Python", "Building", "Waiting", "Moved", "GB/s", "of copy", "GFLOP/s", "of product"):
            table.add_column(title, justify="right", no_wrap=True)
        whole = self.device_time
        for row in rows[:most]:
            copied = sum(ran * found.copy for ran, found in row._limits)
            multiplied = sum(ran * found.product for ran, found in row._limits)
            table.add_row(
                row.name,
                f"{row.launches:,}",
                _seconds(row.device_time),
                f"{row.device_time / whole:.0%}" if whole else "",
                _seconds(row.python_time),
                _seconds(row.build_time),
                _seconds(row.wait_time),
                _bytes(row.nbytes),
                f"{row.bandwidth / 1e9:.1f}" if row.nbytes and row.device_time else "",
                f"{row.nbytes / copied:.0%}" if row.nbytes and copied else "",
                f"{row.rate / 1e9:.1f}" if row.operations and row.device_time else "",
                f"{row.operations / multiplied:.0%}" if row.operations and multiplied else "",
            )
        return table

    def show(self, by: str | None = None) -> None:
        """Print the tables (or the one that goes by "kernel", "operator" or "line") to the terminal."""
        self._print(console(), ("kernel", "operator", "line") if by is None else (by,))

    def __str__(self) -> str:
        text = StringIO()
        self._print(console(text), ("kernel", "operator", "line"))
        return text.getvalue()

    def _print(self, out: Console, tables: Sequence[str]) -> None:
        out.print(self.summary(), markup=False, soft_wrap=True)
        for by in tables:
            out.print(self.table(by))

    def __repr__(self) -> str:
        return f"<Profile of {_seconds(self.wall_time)}, {self.launches} launches>"

    def save_trace(self, file: str | Path) -> None:
        """Write a trace in Chrome's format, which Perfetto opens: a track for each device and each thread.

        Examples
        --------
        >>> import clnd as mx
        >>> with mx.profiler.profile() as p:
        ...     mx.nd.ones((3,)).wait_to_read()
        >>> import os, tempfile
        >>> file = os.path.join(tempfile.mkdtemp(), "trace.json")
        >>> p.save_trace(file)
        """
        Path(file).write_text(json.dumps({"traceEvents": list(self._trace()), "displayTimeUnit": "ms"}), encoding="utf-8")

    def _trace(self) -> Iterator[dict[str, Any]]:
        devices = list(dict.fromkeys(event.device for event in self.events if event.ran is not None))
        first = min((event.began - event.python for event in self.events), default=0)
        for number, device in enumerate(devices):
            yield {"ph": "M", "name": "process_name", "pid": number + 1, "args": {"name": str(device)}}
        yield {"ph": "M", "name": "process_name", "pid": 0, "args": {"name": "Python"}}
        for thread, name in self._threads.items():
            yield {"ph": "M", "name": "thread_name", "pid": 0, "tid": thread, "args": {"name": name}}

        def slice_of(name: str, category: str, process: int, thread: int, began: int, ended: int, about: dict[str, Any]) -> dict[str, Any]:
            times = {"ts": (began - first) / 1e3, "dur": max(0, ended - began) / 1e3}
            return {"ph": "X", "name": name, "cat": category, "pid": process, "tid": thread, **times, "args": about}

        for event in self.events:
            about: dict[str, Any] = {"operator": event.operator, "line": engine.describe_site(event.site)}
            if event.python:
                yield slice_of(event.operator, "python", 0, event.thread, event.began - event.python, event.began, about)
            if event.kind != "launch":
                yield slice_of(f"{event.kind}: {event.name}", event.kind, 0, event.thread, event.began, event.ended, about)
            elif event.ran is not None:
                ran = max(1, event.ran[1] - event.ran[0])
                about |= {
                    "bytes": event.nbytes,
                    "GB/s": event.nbytes / ran,
                    "operations": event.operations,
                    "GFLOP/s": event.operations / ran,
                }
                yield slice_of(event.name, "kernel", devices.index(event.device) + 1, 0, *event.ran, about)


@contextmanager
def profile() -> Iterator[Profile]:
    """Watch what happens within a block, in all threads and on all devices.

    Launches are timed by the devices themselves. Watching costs some microseconds a launch, and waits for the devices at the borders
    of the block; outside of it nothing is timed.

    Yields
    ------
    Profile
        Complete once the block has ended.

    Examples
    --------
    >>> import clnd as mx
    >>> from clnd import nd
    >>> x = nd.ones((64, 64))
    >>> x.wait_to_read()
    >>> with mx.profiler.profile() as p:
    ...     y = nd.dot(x, x)
    >>> p.operators[0].name, p.operators[0].operations == 2 * 64**3
    ('matmul', True)
    """
    found = Profile()
    found._start()
    try:
        yield found
    finally:
        found._stop()


def _seconds(seconds: float) -> str:
    unit, factor = next(((u, f) for u, f in (("s", 1.0), ("ms", 1e3)) if seconds * f >= 1), ("us", 1e6))
    return f"{seconds * factor:.3g} {unit}" if seconds else "0"


def _bytes(nbytes: int) -> str:
    unit, factor = next(((u, f) for u, f in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if nbytes >= f), ("B", 1.0))
    return f"{nbytes / factor:.3g} {unit}" if nbytes else "0"


# MXNet's names.


_settings: dict[str, Any] = defaultdict(lambda: None, filename="profile.json")
_profile: Profile | None = None
_running = False


def set_config(**settings: Any) -> None:
    """Take MXNet's settings, of which `filename` has a meaning here: all is profiled always.

    >>> from clnd import profiler
    >>> profiler.set_config(profile_all=True, filename="profile.json")
    """
    _settings.update(settings)


def set_state(state: str = "stop", profile_process: str = "worker") -> None:
    """Begin a profile ("run") or end it ("stop"), as MXNet does; `dump` writes it, `dumps` shows it.

    >>> from clnd import nd, profiler
    >>> profiler.set_state("run")
    >>> nd.ones((3,)).wait_to_read()
    >>> profiler.set_state("stop")
    """
    global _profile
    if state not in ("run", "stop"):
        raise MXNetError(f'profiler.set_state: "run" or "stop", not {state!r}')
    if state == "run":
        _profile = Profile() if not _running else _profile
        resume()
    else:
        pause()


def pause(profile_process: str = "worker") -> None:
    """Stop watching until `resume`.

    >>> from clnd import profiler
    >>> profiler.pause()
    """
    global _running
    if _profile is not None and _running:
        _profile._stop()
        _running = False


def resume(profile_process: str = "worker") -> None:
    """Go on watching after `pause`.

    >>> from clnd import profiler
    >>> profiler.resume(); profiler.pause()
    """
    global _profile, _running
    if not _running:
        _profile = _profile or Profile()
        _profile._start()
        _running = True


def dump(finished: bool = True, profile_process: str = "worker") -> None:
    """Write the trace of the profile into the file that `set_config` named."""
    if finished:
        pause()
    if _profile is not None:
        _profile.save_trace(_settings["filename"])


def dumps(reset: bool = False, format: str = "table", sort_by: str = "total", ascending: bool = False) -> str:
    """The profile's tables as text.

    >>> from clnd import profiler
    >>> isinstance(profiler.dumps(), str)
    True
    """
    global _profile
    found, was = _profile, _running
    if found is None:
        return ""
    pause()
    text = str(found)
    if reset:
        _profile = None
    if was:
        resume()
    return text
