"""From waiting values to launches. What is decided about some waiting work is decided once, and kept for other work of the same structure.

A `Survey` goes through the work that waits below some values and writes down its structure: all that the decisions depend on, and nothing
else. Those are made by `clnd.engine.fusion` and kept as a plan; a plan runs with the survey's arrays and numbers.
"""

from __future__ import annotations

import sys
from collections import deque
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from clnd.errors import MXNetError
from clnd.opencl import Call, running
from clnd.opencl.host import fork_safe_lock

from . import launch, reduce
from .code import Expression
from .fusion import ArrayTerm, Cut, Fusion, Member, NumberTerm
from .layout import Shape, broadcast, compact, is_compact
from .reduce import Folding
from .value import How, Operation, Record, Step, Value, add_blame, state

if TYPE_CHECKING:
    from clnd.opencl import Device

MAX_DEPTH = 64  # longest chain that may wait; also bounds recursion
MAX_TOGETHER = 24  # values that are considered for one kernel
MAX_REFUSED = 4  # of which so many may not fit
FEW = 4  # values of which all are considered
MOST = 4096  # plans that are kept

lock = fork_safe_lock()
_plans: dict[Any, First | Fewer | Launch] = {}
_order = attrgetter("order")


def _references(values: list[Any]) -> list[int]:
    return [sys.getrefcount(value) for value in values]


_ALONE = _references([object()])[0]  # what the counting itself adds; interpreters differ


def held(values: list[Any], uses: list[int]) -> list[bool]:
    """For each value: does anybody refer to it beside this list, and those whose number is among `uses`?"""
    return [count - _ALONE != used for count, used in zip(_references(values), uses)]


class Survey:
    """The work that waits below some values.

    Attributes
    ----------
    nodes : list of Value
        The waiting values, first those that are wanted.
    arrays : list of Value
        What they are computed from.
    numbers : list of scalars
        Those among their operands.
    codes : dict
        By the id of a value its number among the nodes, or the complement of its number among the arrays.
    held : list of bool
        For each node: does somebody else refer to it than the other nodes? True of those that are wanted.
    wanted : int
        How many are wanted.
    key : tuple
        The structure. Values are told by their numbers, arrays by how they lie, numbers not at all.
    before : Value or None
        A reduction that must be computed first. Then nothing else is said.
    """

    __slots__ = ("arrays", "before", "codes", "held", "key", "nodes", "numbers", "wanted")

    def __init__(self, wanted: list[Value]) -> None:
        nodes = self.nodes = wanted.copy()
        arrays: list[Value] = []
        numbers: list[Any] = []
        codes = {id(value): number for number, value in enumerate(nodes)}
        uses = [1 << 30] * len(nodes)  # of each node by the others
        buffers: dict[int, tuple[int, int]] = {}
        key: list[Any] = [nodes[0].device, len(nodes)]
        self.before: Value | None = None
        self.wanted = len(nodes)
        push, known = key.append, codes.get
        for value in nodes:  # which grow on the way
            record: Any = value.record
            how = record.how
            kind = type(how)
            if kind is Step:
                push((record.op, how.function, how.arguments))
            elif kind is Folding and value is not nodes[0]:
                self.before = value
                return
            else:
                push(how)
            traced = record.traced
            push(value.shape)
            push((record.dear, record.asked, record.freed) if traced else 2 * record.dear + record.asked)
            for x in record.inputs:
                if type(x) is not Value:
                    numbers.append(x)
                    push(None)
                    continue
                code = known(id(x))
                if code is None:
                    if x.strides is None:
                        code = len(nodes)
                        nodes.append(x)
                        uses.append(1)
                    else:
                        code = ~len(arrays)
                        arrays.append(x)
                        offset = x.offset
                        first, start = buffers.setdefault(id(x.buffer), (code, offset))
                        push((x.shape, x.strides, x.dtype.num, first, offset - start))
                        if offset >= launch.MARGIN:
                            push(offset)
                    codes[id(x)] = code
                elif code >= 0:
                    uses[code] += 1
                push(code)
                if traced:
                    push(x.leaf is not None or (x.record is not None and x.record.traced))
        del value, x  # these would count
        self.arrays, self.numbers, self.codes = arrays, numbers, codes
        self.held = held(nodes, uses)
        key += self.held
        self.key = tuple(key)

    def held_ids(self) -> set[int]:
        """The ids of the nodes that are held."""
        return {id(value) for value, held in zip(self.nodes, self.held) if held}

    def numbers_of(self, fusion: Fusion) -> list[int]:
        """Which of the numbers each number of a fusion of these nodes is, in the order of its terms."""
        records: list[Any] = [x.record for x in self.nodes]
        operands = [((id(record), i), y) for record in records for i, y in enumerate(record.inputs)]
        places = {place: number for number, place in enumerate(place for place, y in operands if type(y) is not Value)}
        return [places[term.place] for term in fusion.terms if isinstance(term, NumberTerm)]

    def below(self, node: int) -> set[int]:
        """A node and all that it is computed from, by their numbers."""
        found, stack = {node}, [node]
        while stack:
            for x in self.nodes[stack.pop()].record.inputs:  # type: ignore[union-attr]
                code = self.codes.get(id(x), -1)
                if code >= 0 and code not in found:
                    found.add(code)
                    stack.append(code)
        return found


class First:
    """One of the values must be computed before the others can be."""

    def __init__(self, node: int) -> None:
        self._node = node

    def run(self, survey: Survey) -> None:
        """Compute it."""
        value = survey.nodes[self._node]
        survey.nodes.clear()
        evaluate(value)


class Fewer:
    """Not all that are wanted fit into one kernel: those that do."""

    def __init__(self, nodes: list[int]) -> None:
        self._nodes = nodes

    def run(self, survey: Survey) -> None:
        """Compute them."""
        wanted = [survey.nodes[i] for i in self._nodes]
        survey.nodes.clear()
        _advance(wanted)


class Launch:
    """A kernel for all that is wanted: elementwise work, or a reduction with the work before it.

    Parameters
    ----------
    survey : Survey
    fusion : Fusion
        What the kernel computes.
    index : int
        For a reduction: the term that it folds.
    outputs : list of Member
        What it stores (a reduction: beside its result).
    target : int, optional
        The array over which the first of these is written, by its number; else it gets a buffer of its own.
    """

    def __init__(self, survey: Survey, fusion: Fusion, index: int, outputs: list[Member], target: int | None = None) -> None:
        nodes, codes = survey.nodes, survey.codes
        records = [value.record for value in nodes]
        how = records[0].how  # type: ignore[union-attr]
        self._device = fusion.device
        self._stored = [codes[id(member.value)] for member in outputs]
        self._sizes = [member.value.size * member.value.dtype.itemsize for member in outputs]
        terms: list[int] = [member.term for member in outputs]
        places: list[Any] = [member.place for member in outputs]
        sources = [term for term in fusion.terms if isinstance(term, ArrayTerm)]
        self._arrays = [(~codes[id(term.source)], term.layout.offset - term.source.offset) for term in sources]
        self._numbers = survey.numbers_of(fusion)
        self._call: Call | None = None
        self._reduction = reduce.prepare(fusion, index, how, terms, places) if isinstance(how, Folding) else None
        self._prepared = None if self._reduction else launch.prepare(fusion, terms, places)
        self._target = target
        if target is not None:
            assert self._prepared is not None
            first, *others = self._prepared.outputs
            self._prepared = self._prepared._replace(outputs=others, arrays=[first, *self._prepared.arrays])
            self._arrays.insert(0, (target, 0))
            del self._stored[0], self._sizes[0]
        self._asked = [i for i, record in enumerate(records) if record.asked]  # type: ignore[union-attr]
        done = {0, *self._stored}
        waits = any(held and i not in done for i, held in enumerate(survey.held))
        self._nothing_left = not waits and not any(record.traced for record in records)  # type: ignore[union-attr]

    def run(self, survey: Survey) -> None:
        """Launch it, and free what the records need no more."""
        nodes = survey.nodes
        root = nodes[0].record
        assert root is not None
        outer = running.call
        if outer is None or root.order < outer.order:  # else it is a part of the call that is being launched
            if self._call is None or self._call.site != root.site:
                self._call = Call(root.op.name, root.site, root.order)
            running.call = self._call
        try:
            allocate = self._device.allocate
            buffers = [allocate(size) for size in self._sizes]
            arrays, numbers = survey.arrays, survey.numbers
            sources = [(arrays[i].buffer, arrays[i].offset + apart) for i, apart in self._arrays]
            given = [numbers[i] for i in self._numbers]
            if self._target is not None:
                target: Any = arrays[self._target].buffer
                target.since = self._device.launched
            if self._prepared is not None:
                self._prepared.launch(buffers, sources, given)
            elif self._reduction is not None:
                nodes[0].place(self._reduction.launch(buffers, sources, given), compact(nodes[0].shape))
        except MXNetError as error:
            _blame(error, root)
            raise
        finally:
            running.call = outer
        if self._target is not None:
            nodes[0].place(arrays[self._target].buffer, arrays[self._target].layout)
        for i, buffer in zip(self._stored, buffers):
            nodes[i].place(buffer, compact(nodes[i].shape))
        for i in self._asked:
            nodes[i].record.asked = True  # type: ignore[union-attr]
        values = [nodes[0], *[nodes[i] for i in self._stored if i]]  # these stay while the others go
        records = [] if self._nothing_left else sorted([value.record for value in nodes], key=_order, reverse=True)
        nodes.clear()
        if self._nothing_left:
            for value in values:
                _done(value.record, value)  # type: ignore[arg-type]
        else:
            finish(records)  # type: ignore[arg-type]


def _blame(error: MXNetError, record: Record) -> None:
    """Add to an error the operator and the user's line; where elements are moved, who has them moved does that."""
    if not isinstance(record.op, _Moving):
        add_blame(error, record.op.name, record.line)


def _made(survey: Survey) -> First | Fewer | Launch:
    """Decide how the work of a survey is computed."""
    nodes = survey.nodes
    first = nodes[0]
    record = first.record
    assert record is not None
    try:
        if isinstance(record.how, Folding):
            (data,) = record.inputs
            fusion = Fusion(data.shape, data.device)
            index = _add_without_loops(fusion, data)
            return Launch(survey, fusion, index, fusion.kept((), survey.held_ids(), record))
        fusion = Fusion(first.shape, first.device)
        index = fusion.add(first)
    except Cut as cut:
        return First(survey.codes[id(cut.value)])
    if isinstance(record.op, _Moving):
        return _move(survey, fusion, index)
    together, refused = [0], 0
    inside = survey.below(0)
    for i in range(1, survey.wanted):
        below = survey.below(i)
        if refused < MAX_REFUSED and not inside.isdisjoint(below) and fusion.try_add(nodes[i]):
            together.append(i)
            inside |= below
        else:
            refused += 1
    if refused:
        return Fewer(together)
    outputs = [fusion.members[id(value)] for value in nodes[: survey.wanted]]
    return Launch(survey, fusion, 0, outputs + fusion.kept(nodes[: survey.wanted], survey.held_ids()))


def _move(survey: Survey, fusion: Fusion, index: int) -> First | Launch:
    """How elements are written somewhere. What others hold is stored on the way; the source, which the caller holds, only for a tape."""
    first = survey.nodes[0]
    record: Any = first.record
    source, *targets = record.inputs
    target = None
    if targets:
        (over,) = targets
        target = ~survey.codes[id(over)]
        arrays = (term for term in fusion.terms if isinstance(term, ArrayTerm))
        if any(term.source.buffer is over.buffer and term.layout != over.layout for term in arrays):
            return First(survey.codes[id(source)])  # it reads what is about to be written for other elements
    taped = source.record is not None and source.record.traced and source.record.is_dear()
    place = compact(first.shape) if target is None else over.layout
    outputs = [Member(first, index, place), *fusion.kept((first,) if taped else (first, source), survey.held_ids())]
    return Launch(survey, fusion, index, outputs, target)


def _add_without_loops(fusion: Fusion, value: Value) -> int:
    """The term of a reduction's input. What loops for each element has a kernel of its own, whose work-items are given less."""
    index = fusion.add(value)
    for member in fusion.members.values():
        how = member.value.record.how  # type: ignore[union-attr]
        if isinstance(how, Expression) and how.loops:
            raise Cut(member.value)
    return index


def _advance(wanted: list[Value]) -> None:
    """Launch the next kernel on the way to what is wanted."""
    survey = Survey(wanted)
    before = survey.before
    if before is not None:
        del survey  # it refers to values, and their references are about to be counted
        evaluate(before)
        return
    plan = _plans.get(survey.key)
    if plan is None:
        record: Any = survey.nodes[0].record
        try:
            plan = _made(survey)
        except MXNetError as error:
            _blame(error, record)
            raise
        if len(_plans) >= MOST:
            del _plans[next(iter(_plans))]
        _plans[survey.key] = plan
        del record
    plan.run(survey)


def evaluate(*values: Value) -> None:
    """Launch what computes `values`; returns without waiting for the device."""
    with lock:
        todo = [value for value in values if value.strides is None]
        related = _related(todo) if len(todo) > 1 else {}
        for value in todo:
            others = related.get(id(value))
            while value.strides is None:
                if type(value.record.how) is Step:  # type: ignore[union-attr]
                    _evaluate_view(value)
                elif others is None:
                    _advance([value])
                else:
                    while others and others[0].strides is not None:
                        others.popleft()
                    _advance([value, *(x for x in islice(others, MAX_TOGETHER) if x is not value and x.strides is None)])


def _related(todo: list[Value]) -> dict[int, deque[Value]]:
    """For each value its equals in shape that may share waiting work with it, in order, where there are any."""
    shapes: dict[Any, list[Value]] = {}
    for value in todo:
        if type(value.record.how) is Expression:  # type: ignore[union-attr]
            shapes.setdefault((value.shape, value.device), []).append(value)
    result: dict[int, deque[Value]] = {}
    groups = _groups(todo) if len(todo) > FEW else {}
    for equals in shapes.values():
        found: dict[int | None, deque[Value]] = {}
        for value in equals if len(equals) > 1 else ():
            result[id(value)] = found.setdefault(groups.get(id(value)), deque())
            result[id(value)].append(value)
    return result


def _groups(todo: list[Value]) -> dict[int, int]:
    """The same number for values that share waiting work, by their ids."""
    groups: dict[int, int] = {}  # of each waiting value; a group that has joined another says which
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
                stack += [x for x in below.record.inputs if type(x) is Value]
    return {id(value): find(number) for number, value in enumerate(todo)}


def finish(records: list[Record]) -> None:
    """After a launch: free what the records of its kernel need no more, the youngest first; what is left waiting waits for less."""
    for record in records:
        output = record.output()
        if output is None:
            record.settle()
        elif output.strides is not None:
            _done(record, output)
    for record in reversed(records):
        depth = 0
        for x in record.inputs:
            if type(x) is Value and x.strides is None and x.record is not None and x.record.depth > depth:
                depth = x.record.depth
        record.depth = depth + 1


def _evaluate_view(value: Value) -> None:
    record = value.record
    assert record is not None
    source, how = record.inputs[0], record.how
    assert isinstance(how, Step)
    evaluate(source)
    layout = how.function(source.layout, *how.arguments)
    if layout is None:
        try:
            source = copied(source)
        except MXNetError as error:
            add_blame(error, record.op.name, record.line)
            raise
        layout = how.function(source.layout, *how.arguments)
    value.place(source.buffer, layout)
    _done(record, value)


class _Moving:
    """The engine's own operator: has its first input, broadcast, written over the second, if there is one, or into a new buffer."""

    dear, repeatable = False, False
    words: tuple[str, ...] = ()

    def __init__(self, name: str) -> None:
        self.name = name

    def saves(self, record: Record) -> tuple[frozenset[int], bool]:
        """It has no gradient rule: none."""
        return frozenset(), False


_COPY, _ASSIGN = _Moving("copy"), _Moving("assign")


def _moved(op: _Moving, shape: Shape, *inputs: Value) -> Value:
    """A waiting value of what `op` does."""
    value = Value(shape, inputs[0].dtype, inputs[0].device)
    value.record = Record(op, inputs, {}, value, Step(broadcast, (shape,)))
    value.record.traced = False
    return value


def copied(value: Value) -> Value:
    """A compact copy of the elements of a value, in a buffer of its own."""
    evaluate(value)
    if value.size == 0:
        return Value(value.shape, value.dtype, value.device)
    with lock:
        result = _moved(_COPY, value.shape, value)
        _advance([result])
        return result


def write(source: Value, target: Value) -> None:
    """Compute `source`, broadcast and of the same dtype, over the elements of `target`, which nothing that waits may read."""
    with lock:
        if source.strides is not None and source.buffer is target.buffer and source.layout != target.layout:
            source = copied(source)  # it reads what is about to be written for other elements
        result = _moved(_ASSIGN, target.shape, source, target)
        while result.strides is None:
            _advance([result])


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
