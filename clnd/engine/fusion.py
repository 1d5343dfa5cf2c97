"""From waiting records to a kernel: which records run together, what they store, and what is computed again later."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .code import Expression
from .dtypes import Scalar
from .launch import MAX_ARGUMENTS, index_type
from .layout import Layout, Shape, broadcast, compact, repeats
from .reduce import Folding
from .value import Record, Step, Value

if TYPE_CHECKING:
    from clnd.opencl import Device

MAX_ARRAYS = 20  # arrays one kernel reads
MAX_AGAIN = 8  # cheap operations that a backward kernel computes again rather than reading their result
MAX_TERMS = 160  # a larger kernel takes longer to compile than it saves

Chain = tuple[Step, ...]


@dataclass(slots=True, eq=False)
class ArrayTerm:
    """Elements read from a buffer, laid out over the kernel's shape."""

    source: Value
    layout: Layout
    dtype: np.dtype[Any]


@dataclass(slots=True, eq=False)
class NumberTerm:
    """A scalar: an argument of the kernel, so that another number needs no other kernel. `place`: the id of the record, and which input."""

    number: Scalar
    dtype: np.dtype[Any]
    place: tuple[int, int]


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
        self._index = index_type([compact(shape)], 0)

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

    def _operand(self, record: Record, position: int, x: Value | Scalar, value: Value, chain: Chain) -> int:
        if not isinstance(x, Value):
            key = (id(record), position)
            if key not in self._memo:
                self._memo[key] = self._append(NumberTerm(x, record.how.operands[position], key))  # type: ignore[union-attr]
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
            if self._index == "int":
                self._index = index_type([layout], 0)
        return self._memo[key]

    def _append(self, term: Term) -> int:
        self.terms.append(term)
        return len(self.terms) - 1

    def _has_room(self, outputs: int) -> bool:
        """Do the arguments of the arrays, this many outputs and the numbers fit?"""
        number = 4 if self._index == "int" else 8
        array = 8 + number * (1 + len(self.shape))  # a pointer, a start, and a stride for each axis
        return (self._arrays + outputs + 1) * array + 8 * (self._numbers + len(self.shape) + 3) <= MAX_ARGUMENTS

    def _heaviest(self, last: Value) -> Value:
        """Of the values put together so far, the one that took most terms (else the last): the place to divide a kernel."""
        inner = [(weight, value) for weight, value in self._weights if value is not last]
        return max(inner, key=lambda pair: pair[0], default=(0, last))[1]

    def kept(self, targets: Iterable[Value], held: Collection[int], root: Record | None = None) -> list[Member]:
        """The values to store beside `targets` (or beside the output of `root`, which reads them): those whose ids are among `held`, since
        somebody outside has them, and of those that a gradient rule will read the dear ones.

        What is cheap and only a gradient rule reads is left waiting: the backward kernel computes it again, which costs
        less than writing it to memory and reading it back.
        """
        wanted = {id(value) for value in targets}
        members = sorted(self.members.values(), key=lambda member: -member.value.record.order)  # type: ignore[union-attr]
        outside = set(held)
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


def _spread(value: Value, chain: Chain) -> Layout | None:
    """How a compact array of `value` lies when seen through a chain of views; None where that shows it not whole, or repeated."""
    place: Layout | None = compact(value.shape)
    for step in chain:
        if place is not None:
            place = step.function(place, *step.arguments)
    if place is None or prod(place.shape) != value.size or repeats(place):
        return None
    return place
