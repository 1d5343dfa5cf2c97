"""Parts of one thing, each with a place of its own in the graph, whose gradients come back together: a cut array, outputs of a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import Any

from clnd import engine
from clnd.engine import Record, Value
from clnd.engine.layout import window
from clnd.errors import ShapeError

from .declare import Operator, normalize_axis, recorded, registry


class Arrived(dict[int, Value]):
    """What has arrived at the parts, by number; adds up like a gradient."""

    def __add__(self, other: Arrived) -> Arrived:
        joined = Arrived(self)
        for index, dz in other.items():
            joined[index] = joined[index] + dz if index in joined else dz
        return joined


class Part:
    """The operator of a part: takes one out of several."""

    name, dear, repeatable = "part", True, True
    words: tuple[str, ...] = ()

    def saves(self, record: Record) -> tuple[frozenset[int], bool]:
        """Nothing: a part is a part whatever the values are."""
        return frozenset(), False

    def gradients(self, record: Record, dz: Value) -> list[tuple[Value, Any]]:
        """The gradient of one part, on its way to the whole."""
        return [(record.inputs[0], Arrived({record.attrs["index"]: dz}))]


PART = Part()


def part_of(whole: Value, index: int, value: Value) -> Value:
    """`value` with its place in the graph: part number `index` of `whole`."""
    output = value.twin()
    output.record = Record(PART, (whole,), {"index": index}, output)
    return output


class Cut(Operator):
    """Gives a list. The gradients of the parts are joined once, where one rule for each part would add up arrays as large as the whole."""

    def __call__(self, data: Value, **attrs: Any) -> Any:
        """See the parts; copies nothing."""
        attrs = self.fill(attrs)
        axis, sizes = normalize_axis(self.name, attrs["axis"], data.ndim), attrs["sizes"]
        if sum(sizes) != data.shape[axis]:
            raise ShapeError(f"{self.name}: parts of {', '.join(map(str, sizes))} are not the {data.shape[axis]} elements of axis {axis}")
        layout, one = engine.ready(data).layout, (1,) * data.ndim
        whole = recorded(self, (data,), attrs, Value(data.shape, data.dtype, data.device))
        parts, at = [], 0
        for number, size in enumerate(sizes):
            shape = _along(data.shape, axis, size)
            place = window(layout, _along((0,) * data.ndim, axis, at), shape, one)
            value = Value(shape, data.dtype, data.device)
            if 0 not in shape:
                value.place(data.buffer, place)
            parts.append(value if whole.record is None else part_of(whole, number, value))
            at += size
        return parts

    def prepare(self, record: Record, dz: Any) -> Value:
        """All gradients in one array, with zeros for the parts at which none has arrived."""
        (whole,), axis = record.inputs, record.attrs["axis"]
        axis %= whole.ndim
        pieces = [
            dz[i] if i in dz else registry["full"](shape=_along(whole.shape, axis, size), value=0, dtype=whole.dtype, device=whole.device)
            for i, size in enumerate(record.attrs["sizes"])
        ]
        joined: Value = registry["concat"](*pieces, dim=axis)
        return joined


def _along(shape: Sequence[int], axis: int, size: int) -> tuple[int, ...]:
    """The shape with another size of one axis."""
    return (*shape[:axis], size, *shape[axis + 1 :])


@partial(Cut, grad=lambda dz: dz, methods=[])
def cut(data: Value, *, axis: int, sizes: Sequence[int]) -> None:
    """Parts of these sizes, one after another along `axis`, as a list."""


def unstacked(data: Value, axis: int = 0) -> list[Value]:
    """The arrays that `data` is a stack of along `axis`."""
    parts: Any = cut(data, axis=axis, sizes=(1,) * data.shape[axis])
    shape = data.shape[:axis] + data.shape[axis + 1 :]
    return [registry["reshape"](part, shape=shape) for part in parts]


def derived(function: Callable[..., Sequence[Value]], inputs: Sequence[Value], dz: Arrived) -> list[tuple[Value, Value]]:
    """The gradients of `inputs` of a composition, where `dz` has arrived at its outputs, by number: as recorded as operators are."""
    begin = engine.next_order()
    own = [registry["alias"](x) if x.traced else x for x in inputs]  # the way back ends at places that are nobody else's
    outputs = function(*own)
    arrived: dict[Record, Any] = {}
    waiting: list[tuple[int, Record]] = []

    def arrive(x: Value, dx: Any) -> None:
        record = x.record
        if record is None or record.order < begin:
            return
        if record in arrived:
            arrived[record] = arrived[record] + dx
        else:
            arrived[record] = dx
            heappush(waiting, (-record.order, record))

    for number, dx in dz.items():
        arrive(outputs[number], dx)
    ends = {x.record for x in own}
    while waiting:
        _, record = heappop(waiting)
        if record not in ends:
            for x, dx in record.op.gradients(record, arrived.pop(record)):  # type: ignore[attr-defined]
                arrive(x, dx)
    return [(x, arrived[alias.record]) for x, alias in zip(inputs, own, strict=True) if alias is not x and alias.record in arrived]
