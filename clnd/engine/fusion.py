"""From waiting records to kernels: which records run together, what they store, and what is computed again later."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clnd.errors import MXNetError

from . import launch, reduce
from .code import Expression
from .dtypes import Scalar
from .launch import Place
from .layout import Layout, Shape, broadcast, compact, is_compact, repeats
from .reduce import Folding
from .value import How, Operation, Record, Step, Value, state

if TYPE_CHECKING:
    from clnd.opencl import Device

MAX_DEPTH = 64  # longest chain that may wait; also bounds the recursion below
MAX_ARRAYS = 20  # arrays one kernel reads
MAX_ARGUMENTS = 1024  # bytes of arguments that OpenCL promises room for
MAX_AGAIN = 8  # cheap operations that a backward kernel computes again rather than reading their result
MAX_REFUSED = 4  # values that may be tried in vain before a kernel is launched
MAX_TERMS = 160  # a larger kernel takes longer to compile than it saves

lock = threading.RLock()
Chain = tuple[Step, ...]


@dataclass(slots=True, eq=False)
class ArrayTerm:
    """Elements read from a buffer, laid out over the kernel's shape."""

    source: Value
    layout: Layout
    dtype: np.dtype[Any]


@dataclass(slots=True, eq=False)
class NumberTerm:
    """A scalar: an argument of the kernel, so that another number needs no other kernel."""

    number: Scalar
    dtype: np.dtype[Any]


@dataclass(slots=True, eq=False)
class ApplyTerm:
    """An expression applied to earlier terms."""

    expression: Expression
    operands: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The result's."""
        return self.expression.result


Term = ArrayTerm | NumberTerm | ApplyTerm


class Member(NamedTuple):
    """A waiting value that a kernel computes.

    Attributes
    ----------
    value : Value
    term : int
        The term that it is, or for a view that it is of.
    place : Layout or None
        How a compact array of the value lies over the kernel's shape; None if the kernel cannot store it.
    """

    value: Value
    term: int
    place: Layout | None


class Cut(Exception):
    """Raised while a kernel is put together: `value` must be computed by a kernel of its own first."""

    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value


class Fusion:
    """One kernel being put together: terms over one shape, on one device."""

    def __init__(self, shape: Shape, device: Device) -> None:
        self.shape, self.device = shape, device
        self.terms: list[Term] = []
        self.members: dict[int, Member] = {}  # the waiting values inside
        self._memo: dict[Any, int] = {}
        self._chains: dict[int, Chain] = {}
        self._weights: list[tuple[int, Value]] = []
        self._arrays = self._numbers = 0

    def add(self, value: Value, chain: Chain = ()) -> int:
        """The term of `value` seen through the views of `chain`. Raises Cut where that takes another kernel first."""
        key = (id(value), chain)
        if key in self._memo:
            return self._memo[key]
        record = value.record
        if value.strides is not None:
            index = self._array(value, chain)
        elif isinstance((how := record.how), Step):  # type: ignore[union-attr]
            assert record is not None
            source = record.inputs[0]
            if source.strides is None and source.record.is_dear() and source.size < value.size:
                raise Cut(source)
            index = self.add(source, (Step(how.function, how.arguments, value), *chain))
            self.members.setdefault(id(value), Member(value, index, None))
        elif isinstance(how, Folding):
            raise Cut(value)
        else:
            assert record is not None
            assert how is not None
            if record.is_dear() and self._chains.setdefault(id(value), chain) != chain:
                raise Cut(value)  # wanted from two sides: computing it twice is dearer than storing it
            before = len(self.terms)
            operands = tuple(self._operand(record, i, x, value, chain) for i, x in enumerate(record.inputs))
            index = self._append(ApplyTerm(how, operands))
            known = self.members.get(id(value))
            if known is None or known.place is None:
                self.members[id(value)] = Member(value, index, _spread(value, chain))
            self._weights.append((len(self.terms) - before, value))
            if self._arrays > MAX_ARRAYS or len(self.terms) > MAX_TERMS or not self._has_room(1):
                raise Cut(self._heaviest(value))
        self._memo[key] = index
        return index

    def try_add(self, value: Value) -> bool:
        """Add a value unless that takes another kernel first."""
        before = len(self.terms), dict(self.members), dict(self._memo), dict(self._chains), len(self._weights), self._arrays, self._numbers
        try:
            self.add(value)
        except Cut:
            terms, self.members, self._memo, self._chains, weights, self._arrays, self._numbers = before
            del self.terms[terms:], self._weights[weights:]
            return False
        return True

    def operand(self, value: Value) -> int:
        """The term of a value broadcast to the kernel's shape."""
        return self.add(value, () if value.shape == self.shape else (Step(broadcast, (self.shape,)),))

    def _operand(self, record: Record, position: int, x: Value | Scalar, value: Value, chain: Chain) -> int:
        if not isinstance(x, Value):
            key = (id(record), position)
            if key not in self._memo:
                self._memo[key] = self._append(NumberTerm(x, record.how.operands[position]))  # type: ignore[union-attr]
                self._numbers += 1
            return self._memo[key]
        if x.shape == value.shape:
            return self.add(x, chain)
        if x.strides is None and x.record is not None and x.record.is_dear() and x.size < value.size:
            raise Cut(x)
        return self.add(x, (Step(broadcast, (value.shape,)), *chain))

    def _array(self, value: Value, chain: Chain) -> int:
        layout: Layout | None = value.layout
        for step in chain:
            layout = step.function(layout, *step.arguments)
            if layout is None:
                assert step.value is not None
                raise Cut(step.value)
        assert layout is not None
        key = (id(value.buffer), layout, value.dtype)
        if key not in self._memo:
            self._memo[key] = self._append(ArrayTerm(value, layout, value.dtype))
            self._arrays += 1
        return self._memo[key]

    def _append(self, term: Term) -> int:
        self.terms.append(term)
        return len(self.terms) - 1

    def _has_room(self, outputs: int) -> bool:
        """Do the arguments of the arrays, this many outputs and the numbers fit?"""
        number = 4 if prod(self.shape) < 2**31 - 2**20 else 8
        array = 8 + number * (1 + len(self.shape))  # a pointer, a start, and a stride for each axis
        return (self._arrays + outputs + 1) * array + 8 * (self._numbers + len(self.shape) + 3) <= MAX_ARGUMENTS

    def _heaviest(self, last: Value) -> Value:
        """Of the values put together so far, the one that took most terms (else the last): the place to divide a kernel."""
        inner = [(weight, value) for weight, value in self._weights if value is not last]
        return max(inner, key=lambda pair: pair[0], default=(0, last))[1]

    def kept(self, targets: Iterable[Value], root: Record | None = None) -> list[Member]:
        """The values to store beside `targets` (or beside the output of `root`, which reads them): those that somebody outside holds,
        and of those that a gradient rule will read the dear ones.

        What is cheap and only a gradient rule reads is left waiting: the backward kernel computes it again, which costs
        less than writing it to memory and reading it back.
        """
        self._memo.clear()  # these refer to values, and references are counted below
        self._chains.clear()
        self._weights.clear()
        wanted = {id(value) for value in targets}
        members = sorted(self.members.values(), key=lambda member: -member.value.record.order)  # type: ignore[union-attr]
        outside = self._held_outside(members, root)
        worth: dict[int, bool] = {}  # of the values that will be asked for: is each worth storing, whatever it is computed from?
        saved: set[int] = set()  # read by a gradient rule of a record in here, or by one that is left waiting
        if root is not None and root.traced and not root.freed:
            saved.update(id(root.inputs[i]) for i in root.op.saves(root)[0])
        for member in members:
            value, record = member.value, member.value.record
            assert record is not None
            positions, reads_output = record.op.saves(record) if record.traced and not record.freed else (frozenset[int](), False)
            if isinstance(record.how, Step) and id(value) in outside:
                outside.add(id(record.inputs[0]))  # who holds a view holds what it is a view of
            if id(value) not in wanted and (id(value) in outside or reads_output or id(value) in saved):
                worth[id(value)] = id(value) in outside or reads_output or record.op.dear
                if member.place is None or not worth[id(value)]:
                    positions = frozenset(range(len(record.inputs)))
            saved.update(id(record.inputs[i]) for i in positions)
        result: list[Member] = []
        again: dict[int, int] = {}  # how many operations it takes to compute what is left waiting
        for member in reversed(members):
            value, record = member.value, member.value.record
            assert record is not None
            count = 0 if id(value) in wanted else sum(again.get(id(x), 0) for x in record.inputs) + isinstance(record.how, Expression)
            if id(value) in worth:
                worthwhile = worth[id(value)] or count > MAX_AGAIN
                if member.place is not None and worthwhile and self._has_room(len(wanted) + len(result) + 1):
                    result.append(member)
                    count = 0
                elif id(value) in outside:
                    record.asked = True
            again[id(value)] = count
        return result

    @staticmethod
    def _held_outside(members: list[Member], root: Record | None) -> set[int]:
        """Which of the values somebody else refers to than the records of the others."""
        holders = dict(zip((id(member.value) for member in members), _holders(members), strict=True))
        for record in (root, *(member.value.record for member in members)):
            for x in record.inputs if record is not None else ():
                if id(x) in holders:
                    holders[id(x)] -= 1
        return {key for key, count in holders.items() if count > 0}


def _spread(value: Value, chain: Chain) -> Layout | None:
    """How a compact array of `value` lies when seen through a chain of views; None where that shows it not whole, or repeated."""
    place: Layout | None = compact(value.shape)
    for step in chain:
        if place is not None:
            place = step.function(place, *step.arguments)
    if place is None or prod(place.shape) != value.size or repeats(place):
        return None
    return place


def _references(members: list[Any]) -> list[int]:
    return [sys.getrefcount(member[0]) for member in members]


_ALONE = _references([(object(),)])[0]  # what the counting itself adds; interpreters differ


def _holders(members: list[Member]) -> list[int]:
    """How many references to each value there are besides those of `members` itself."""
    return [count - _ALONE for count in _references(members)]


def put_together(value: Value) -> Fusion:
    """The kernel that computes `value`, after whatever must run before it has run."""
    return assemble(value.shape, value.device, lambda fusion: fusion.add(value))[0]


def assemble(shape: Shape, device: Device, build: Callable[[Fusion], int]) -> tuple[Fusion, int]:
    """Call `build` on new fusions until none needs to be cut."""
    while True:
        fusion = Fusion(shape, device)
        try:
            return fusion, build(fusion)
        except Cut as cut:
            value = cut.value
        del fusion  # it refers to values, and their references are about to be counted
        evaluate(value)


def evaluate(*values: Value) -> None:
    """Launch what computes `values`; returns without waiting for the device."""
    with lock:
        todo = [value for value in values if value.strides is None]
        related = _related(todo) if len(todo) > 1 else {}
        for value in todo:
            if value.strides is not None:
                continue
            assert value.record is not None
            if not isinstance(value.record.how, Expression):
                (_evaluate_view if isinstance(value.record.how, Step) else _evaluate_folding)(value)
                continue
            fusion = put_together(value)
            targets = [value, *_joined(fusion, related.get(id(value)), value)]
            _run(fusion, targets)


def _related(todo: list[Value]) -> dict[int, deque[Value]]:
    """The values of a shape that share waiting work, in order, by the id of each."""
    groups: dict[int, int] = {}  # the group of each waiting value, by its id; a group that has joined another says which
    joined: list[int] = []

    def find(group: int) -> int:
        while joined[group] != group:
            group = joined[group]
        return group

    for number, value in enumerate(todo):
        joined.append(number)
        stack = [value]
        while stack:
            below = stack.pop()
            if id(below) in groups:
                joined[find(number)] = find(groups[id(below)])
            elif below.strides is None and below.record is not None:
                groups[id(below)] = number
                stack += [x for x in below.record.inputs if isinstance(x, Value)]
    found: dict[Any, deque[Value]] = {}
    result: dict[int, deque[Value]] = {}
    for number, value in enumerate(todo):
        if isinstance(value.record.how, Expression):  # type: ignore[union-attr]
            key = (find(number), value.shape, value.device)
            result[id(value)] = found.setdefault(key, deque())
            result[id(value)].append(value)
    return result


def _joined(fusion: Fusion, related: deque[Value] | None, first: Value) -> Iterator[Value]:
    """Add to the fusion of `first` what of `related` fits into the same kernel; yields what did."""
    refused: list[Value] = []
    while related and len(refused) < MAX_REFUSED:
        other = related.popleft()
        if other is first or other.strides is not None:
            continue
        if fusion.try_add(other):
            yield other
        else:
            refused.append(other)
    if related is not None:
        related.extendleft(reversed(refused))


def _run(fusion: Fusion, targets: list[Value]) -> None:
    outputs = [fusion.members[id(value)] for value in targets] + fusion.kept(targets)
    record = targets[0].record
    assert record is not None
    with launch.blame(record.op.name, lambda: record.line):
        places = room_for(outputs)
        launch.elementwise(fusion, [member.term for member in outputs], places)
    stored(outputs, places)
    finish(fusion)


def room_for(members: list[Member]) -> list[Place]:
    """New buffers for the values of `members`, each with the layout that the kernel sees it in."""
    return [(m.value.device.allocate(m.value.size * m.value.dtype.itemsize), m.place) for m in members if m.place is not None]


def stored(members: list[Member], places: list[Place]) -> None:
    """After a launch: the values of `members` lie in these places."""
    for member, (buffer, _) in zip(members, places, strict=True):
        member.value.place(buffer, compact(member.value.shape))


def finish(fusion: Fusion) -> None:
    """After a launch: free what the records in `fusion` need no more, the youngest first; what is left waiting waits for less."""
    records = sorted((member.value.record for member in fusion.members.values() if member.value.record), key=lambda record: -record.order)
    fusion.members.clear()
    fusion.terms.clear()
    for record in records:
        output = record.output()
        if output is None:
            record.settle()
        elif output.strides is not None:
            _done(record, output)
    for record in reversed(records):
        below = (x.record for x in record.inputs if isinstance(x, Value) and x.strides is None)
        record.depth = 1 + max((other.depth for other in below if other is not None), default=0)


def _evaluate_view(value: Value) -> None:
    record = value.record
    assert record is not None
    source, how = record.inputs[0], record.how
    assert isinstance(how, Step)
    evaluate(source)
    layout = how.function(source.layout, *how.arguments)
    if layout is None:
        with launch.blame(record.op.name, lambda: record.line):
            source = copied(source)
        layout = how.function(source.layout, *how.arguments)
    value.place(source.buffer, layout)
    _done(record, value)


def _evaluate_folding(value: Value) -> None:
    record = value.record
    assert record is not None
    how = record.how
    assert isinstance(how, Folding)
    with launch.blame(record.op.name, lambda: record.line):
        # The input goes by no name here: whether others hold it is about to be counted.
        shape, device = record.inputs[0].shape, record.inputs[0].device
        fusion, index = assemble(shape, device, lambda fusion: _add_without_loops(fusion, record.inputs[0]))
        kept = fusion.kept((), record)
        places = room_for(kept)
        buffer = reduce.fold(fusion, index, how, [member.term for member in kept], places)
    stored(kept, places)
    value.place(buffer, compact(value.shape))
    _done(record, value)
    finish(fusion)


def _add_without_loops(fusion: Fusion, value: Value) -> int:
    """The term of a reduction's input. What loops for each element has a kernel of its own, whose work-items are given less."""
    index = fusion.add(value)
    for member in fusion.members.values():
        how = member.value.record.how  # type: ignore[union-attr]
        if isinstance(how, Expression) and how.loops:
            raise Cut(member.value)
    return index


def copied(value: Value) -> Value:
    """A compact copy of the elements of a value, in a buffer of its own."""
    evaluate(value)
    result = Value(value.shape, value.dtype, value.device)
    if value.size == 0:
        return result
    with lock:
        fusion = Fusion(value.shape, value.device)
        index = fusion.add(value)
        buffer = value.device.allocate(value.size * value.dtype.itemsize)
        launch.elementwise(fusion, [index], [(buffer, compact(value.shape))])
        return result.place(buffer, compact(value.shape))


def ready(value: Value) -> Value:
    """`value`, launched; wherever its elements lie."""
    if value.strides is None:
        evaluate(value)
    return value


def gathered(value: Value) -> Value:
    """`value`, launched and compact (its offset may be any)."""
    return ready(value) if value.size == 0 or is_compact(ready(value).layout) else copied(value)


def defer(
    op: Operation, how: How, inputs: tuple[Any, ...], attrs: dict[str, Any], shape: Shape, dtype: np.dtype[Any], device: Device
) -> Value:
    """A value that waits for a record of this call.

    A reduction, and what keeps far more memory alive than its own, is launched when the user's next call computes something. Not at once:
    by then the temporaries of its own call are gone, so that counting references tells what else the kernel should store.
    """
    value = Value(shape, dtype, device)
    record = value.record = Record(op, inputs, attrs, value, how)
    soon = record.hoards or type(how) is Folding
    if state.due is not None and type(how) is not Step:
        _launch_due(record, soon)
    if value.strides is not None:  # empty: there is nothing to compute
        _done(record, value)
    elif state.eager or record.depth > MAX_DEPTH:
        evaluate(value)
    elif soon and type(how) is not Step:
        state.due = record.output
    return value


def launch_due() -> None:
    """Launch what this thread has due."""
    due = state.due() if state.due is not None else None
    state.due = None
    if due is not None:
        try:
            evaluate(due)
        except MXNetError:
            pass  # it waits on, and whoever reads it will be told


def _launch_due(record: Record, soon: bool) -> None:
    """Launch what is due, unless `record` is of the same call (and is not due itself)."""
    due = state.due() if state.due is not None else None
    if due is not None and due.record is not None and due.record.site == record.site and not soon:
        return
    launch_due()


def _done(record: Record, value: Value) -> None:
    record.settle()
    if not record.traced:
        value.record = None
