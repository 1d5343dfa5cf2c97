"""Values and the launch records that make them: the one structure under laziness, gradients and error messages.

A `Value` is immutable. It owns the record that will make it (or, on the tape, has made it); a record holds its inputs, and its
output weakly. Nothing global holds either, so that whatever nobody can ask for any more dies by reference count.
"""

from __future__ import annotations

import itertools
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from clnd.errors import MXNetError
from clnd.opencl import Call, Site, describe_site, running
from clnd.opencl.settings import switch

from .layout import Layout, Shape, row_major

if TYPE_CHECKING:
    from clnd.opencl import Buffer, Device

    from .code import Expression
    from .reduce import Folding


class _State(threading.local):
    """What holds for the calls of one thread."""

    recording = False
    training = False
    tracer: Any = None  # what is told which arrays this thread reaches: see clnd/capture.py
    site: Site = None  # where the records are made, where that is known: see `called`
    due: weakref.ref[Value] | None = None  # a waiting value to launch soon: see `plan.defer`
    eager = switch("CLND_EAGER") == "1"


LARGE = 1 << 20  # bytes
state = _State()
_orders = itertools.count()


@contextmanager
def eager(on: bool = True) -> Iterator[None]:
    """Launch every record of this thread at once within the block, as CLND_EAGER=1 does for a whole process.

    >>> from clnd import engine, nd
    >>> with engine.eager():
    ...     y = nd.ones((2,)) + 1
    """
    before, state.eager = state.eager, on
    try:
        yield
    finally:
        state.eager = before


def next_order() -> int:
    """A creation number: what is made from now on has a higher one."""
    return next(_orders)


class Operation(Protocol):
    """What the engine asks of an operator."""

    name: str
    dear: bool
    repeatable: bool
    words: tuple[str, ...]

    def saves(self, record: Record) -> tuple[frozenset[int], bool]:
        """Which inputs the gradient rule reads (positions), and whether it reads the output."""


class Value:
    """An immutable array: shape, dtype, device, and either a buffer or the record that will make it.

    `strides` is None as long as the value waits; an empty value never waits and has no buffer.
    `leaf` is what `attach_grad` left here: the place that its gradient goes to.
    """

    __slots__ = ("__weakref__", "buffer", "device", "dtype", "leaf", "offset", "record", "shape", "strides")

    if TYPE_CHECKING:  # the operators, hung here by their declarations (clnd/ops)

        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: Any) -> Value: ...
        def __radd__(self, other: Any) -> Value: ...
        def __sub__(self, other: Any) -> Value: ...
        def __rsub__(self, other: Any) -> Value: ...
        def __mul__(self, other: Any) -> Value: ...
        def __rmul__(self, other: Any) -> Value: ...
        def __truediv__(self, other: Any) -> Value: ...
        def __rtruediv__(self, other: Any) -> Value: ...
        def __neg__(self) -> Value: ...

    def __init__(self, shape: Shape, dtype: np.dtype[Any], device: Device) -> None:
        self.shape, self.dtype, self.device = shape, dtype, device
        self.buffer: Buffer | None = None
        self.strides: tuple[int, ...] | None = None if 0 not in shape else row_major(shape)
        self.offset = 0
        self.record: Record | None = None
        self.leaf: Any = None

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def layout(self) -> Layout:
        """Where the elements lie in the buffer."""
        assert self.strides is not None, "a waiting value has no layout"
        return Layout(self.shape, self.strides, self.offset)

    @property
    def traced(self) -> bool:
        """Does a gradient flow through this value?"""
        return self.leaf is not None or (self.record is not None and self.record.traced)

    def place(self, buffer: Buffer | None, layout: Layout) -> Value:
        """Say where the elements lie from now on; they wait no more."""
        self.buffer, self.offset = buffer, layout.offset
        self.strides = layout.strides  # last: it says to other threads that the rest is there
        return self

    def twin(self) -> Value:
        """The same elements as a value of its own, without record and leaf."""
        assert self.strides is not None
        return Value(self.shape, self.dtype, self.device).place(self.buffer, self.layout)

    def stand_in(self) -> Value:
        """What the tape keeps of a value whose elements no rule reads: its shape, dtype and place in the graph."""
        if self.strides is None and self.record is not None and self.record.kept_output is None:
            self.record.kept_output = Value(self.shape, self.dtype, self.device)
        other = Value(self.shape, self.dtype, self.device)
        other.strides = ()
        other.record, other.leaf = self.record, self.leaf
        return other

    def __repr__(self) -> str:
        how = "waits" if self.strides is None else "ready"
        return f"<Value {self.dtype} {self.shape} on {self.device.name}, {how}>"


class Step(NamedTuple):
    """A view as data: `function(layout, *arguments)`, and the value that the view makes."""

    function: Any
    arguments: tuple[Any, ...]
    value: Value | None = None


How: TypeAlias = "Expression | Step | Folding"


class Record:
    """One operator call: operator, inputs, attributes, output.

    Attributes
    ----------
    inputs : tuple of Value or scalar
    output : weak reference to Value
    order : int
        Creation number. An input's record is always older.
    how : Expression, Step, Folding or None
        What a waiting record will be computed as: elementwise code, a view, a reduction, or (None) nothing: it is launched.
    depth : int
        The longest chain of waiting records below this one; bounded by `plan.MAX_DEPTH`.
    dear : bool
        Was computing this a second time dearer than storing it, when this was made? See `is_dear`.
    asked : bool
        Does somebody hold the output, whom a kernel that computed it could not serve? Then it is stored the next time.
    hoards : bool
        Does this keep a large buffer alive for a small output?
    traced, freed : bool
        Is this on a tape? Has a backward pass given its part of the tape back?
    kept_output : Value or None
        A twin of the output, where the gradient rule reads it: one that waits, if the output may die before it was computed.
    """

    __slots__ = (
        "__weakref__",
        "asked",
        "attrs",
        "dear",
        "depth",
        "freed",
        "hoards",
        "how",
        "inputs",
        "kept_output",
        "op",
        "order",
        "output",
        "site",
        "traced",
    )

    depth: int
    dear: bool
    hoards: bool
    traced: bool

    def __init__(
        self, op: Operation, inputs: tuple[Any, ...], attrs: dict[str, Any], output: Value, how: Expression | Step | Folding | None = None
    ) -> None:
        self.op, self.inputs, self.attrs, self.how = op, inputs, attrs, how
        self.order = next(_orders)
        self.output = weakref.ref(output)
        self.site = user_site(4)  # this, what makes the record, and an operator's call
        self.freed = self.asked = False
        self.kept_output: Value | None = None
        depth, dear, traced, hoards = 0, op.dear, False, False
        for x in inputs:
            if type(x) is Value:
                below, buffer = x.record, x.buffer
                if x.leaf is not None:
                    traced = True
                if below is not None:
                    if x.strides is None:
                        if below.depth > depth:
                            depth = below.depth
                        if below.dear or below.asked:
                            dear = True
                    if below.traced:
                        traced = True
                if buffer is not None and buffer.size > LARGE and buffer.size > 8 * output.size * output.dtype.itemsize:
                    hoards = True
        self.depth, self.dear, self.traced, self.hoards = depth + 1, dear, traced and state.recording, hoards

    @property
    def line(self) -> str:
        """The user's line that made this record: `file.py:12`."""
        return describe_site(self.site)

    def is_dear(self) -> bool:
        """Would computing this a second time cost more than storing it, as is so where any waiting input is dear?"""
        if self.dear and not (self.asked or self.op.dear):  # an input was; it may have been computed since
            below = (x.record for x in self.inputs if isinstance(x, Value) and x.strides is None)
            self.dear = any(record is not None and record.is_dear() for record in below)
        return self.dear or self.asked

    def settle(self) -> None:
        """The output is computed, or nobody can ask for it: keep what the gradient rule reads and let the rest go."""
        if not self.traced or self.freed:
            self.inputs, self.how = (), None
            return
        positions, reads_output = self.op.saves(self)
        output, kept = self.output(), self.kept_output
        if reads_output and output is None and kept is not None and kept.strides is None:
            return  # the gradient rule will ask for it: see recall_output
        self.inputs = tuple([x.stand_in() if type(x) is Value and i not in positions else x for i, x in enumerate(self.inputs)])
        self.how = None
        self.kept_output = output.twin() if reads_output and output is not None and output.strides is not None else None

    def recall_output(self) -> Value:
        """The output with its place in the graph, though its last holder may be gone."""
        output = self.output()
        if output is None:
            kept = self.kept_output
            assert kept is not None, f"{self.op.name}: the output was not kept"
            output = Value(kept.shape, kept.dtype, kept.device) if kept.strides is None else kept.twin()
            output.record = self
            self.output = weakref.ref(output)
        return output


_modules: dict[str, bool] = {}  # is a module of this package, and no example?


def user_site(above: int = 2) -> Site:
    """Where the innermost call from outside this package stands; `above` frames from here on are known to be inside."""
    if state.site is not None:
        return state.site
    frame: FrameType | None = sys._getframe(above)
    modules = _modules
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        inside = modules.get(module)
        if inside is None:
            inside = (module == "clnd" or module.startswith("clnd.")) and not module.startswith("clnd.examples")
            modules[module] = inside
        if not inside:
            return frame.f_code, frame.f_lasti
        frame = frame.f_back
    return None


class called:
    """A `with` block that does what one call of a user's asks for: its records have the site of that call.

    Parameters
    ----------
    name : str, optional
        What was called: errors of the driver get it, and the user's line.
    """

    __slots__ = ("_before", "_name", "_outer")

    def __init__(self, name: str = "") -> None:
        self._name = name

    # Ctrl-C is met at calls: there is none between a change and the end of `__enter__`, and none before the changes in `__exit__`.

    def __enter__(self) -> None:
        self._before, self._outer = state.site, running.call
        site, call = user_site(), self._outer
        if self._name and call is None:  # else it is a part of the outer call
            call = Call(self._name, site, next(_orders))
        state.site, running.call = site, call

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        running.call = self._outer
        site, state.site = state.site, self._before
        if self._name and isinstance(error, MXNetError):
            add_blame(error, self._name, describe_site(site))


def operations(number: int) -> None:
    """Say how many arithmetic operations the launch that comes next does, where its arguments do not tell."""
    if running.call is not None:
        running.call.operations = number


def add_blame(error: MXNetError, name: str, line: str) -> None:
    """Add to an error of the driver the operator and the user's line that called it."""
    if not hasattr(error, "clnd_line"):
        error.clnd_line = line  # type: ignore[attr-defined]
        error.args = (f"{name}, called at {line}: {error}",)
