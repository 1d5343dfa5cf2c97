"""Backward passes that were gone through before: their launches, done again for a graph of the same structure.

A training step goes through a graph of one structure a thousand times. When a structure is met for the third time, the launches of the
pass are watched (`clnd.engine.tracing`), and from then on put into the queue again, with the buffers of the new graph, but without its
rules and their records. What a pass launches follows from its `Structure` alone; whatever that cannot tell, such as functions of a
user's, is gone through as it stands.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from clnd import engine
from clnd.engine import Record, Step, Value, state
from clnd.engine.tracing import Found, Irregular, Place, Remembered, Replay, Seen, Watch, frozen, watching
from clnd.errors import MXNetError
from clnd.opencl import Buffer, Call, Device, Site, never

from .ndarray import Leaf, NDArray

MOST = 256  # structures that are remembered
SIGHTS = 2  # of a structure, before a pass is watched
LONGEST = 2000  # records: for a longer graph the device has long to do
LARGEST = 1 << 16  # bytes of a buffer that a pass keeps
LARGE = 1 << 20  # bytes of a gradient whose memory is worth more than the time it takes to give it back

_known = Remembered(MOST)
_order = attrgetter("order")


class Structure:
    """A graph with all that its backward pass depends on, as `clnd.engine.plan.Survey` is of waiting work.

    Attributes
    ----------
    key : tuple
        The structure. Arrays are told by how they lie and which share a buffer; numbers and attributes are part of it.
    arrays : list of Buffer
        Those behind the graph.
    nodes : list of Value
        What waits in it.
    tape : list of Record
        The records that gradients flow through, from the heads on.
    leaves : list of Leaf
        Those that want a gradient.
    drawn : list of Record
        Those that say where in a stream of random numbers they began, which is no part of the key.

    Raises
    ------
    Irregular
        Where a graph cannot be described so.
    """

    __slots__ = ("arrays", "drawn", "key", "leaves", "nodes", "tape")

    def __init__(self, heads: Sequence[Value], head_grads: Sequence[Value | None]) -> None:
        self.arrays: list[Buffer] = []
        self.nodes: list[Value] = []
        self.tape: list[Record] = []
        self.leaves: list[Leaf] = []
        self.drawn: list[Record] = []
        key, uses = self._described(heads, head_grads)
        self.key = (*key, *engine.held(self.nodes, uses))

    def _described(self, heads: Sequence[Value], head_grads: Sequence[Value | None]) -> tuple[list[Any], list[int]]:
        """The key but for who holds what, and how often each node is used by the others."""
        arrays, nodes, tape, leaves = self.arrays, self.nodes, self.tape, self.leaves
        rest: list[Record] = []  # of what waits, and no gradient flows through
        codes: dict[int, int] = {}  # by the ids of all that was seen; of nodes the complements of their numbers
        uses: list[int] = []
        key: list[Any] = [state.training, len(heads)]
        push, known = key.append, codes.get  # what comes next in the key must tell by its kind what it is

        def see(value: Value, flows: bool) -> None:
            """Describe a value, through which a gradient flows or not."""
            identity = id(value)
            code = known(identity)
            if code is not None:
                push(code)
                if code < 0:
                    uses[~code] += 1
                return
            push(value.shape)
            push(value.dtype.num)
            record, leaf = value.record, value.leaf
            if value.strides is None:
                codes[identity] = ~len(nodes)
                nodes.append(value)
                uses.append(1)
                push(value.device)
            else:
                codes[identity] = len(codes)
                buffer = value.buffer
                if buffer is not None:
                    push(value.strides)
                    push(value.offset)
                    identity = id(buffer)
                    number = known(identity)
                    if number is None:
                        number = codes[identity] = len(arrays)
                        arrays.append(buffer)
                        push(buffer.device)
                    push(number)
                if record is not None and not record.traced:
                    record = None
            if leaf is not None:
                push("leaf")
                identity = id(leaf)
                number = known(identity)
                if not flows:
                    pass
                elif number is not None:
                    push(number)
                else:
                    codes[identity] = len(codes)
                    push(leaf.req)
                    if leaf.req != "null":
                        leaves.append(leaf)
                flows = False
            if record is None:
                push(None)
                return
            identity = id(record)
            number = known(identity)
            if number is None:
                number = codes[identity] = len(codes)
                (tape if flows and record.traced else rest).append(record)
            push(number)

        def see_aside(value: Value) -> None:
            """Describe a value of which no gradient is asked here."""
            if value.traced:
                raise Irregular
            see(value, False)

        for value in (*heads, *head_grads):
            if value is None:
                push(None)
            else:
                see(value, True)
                if value.strides is None:
                    uses[~codes[id(value)]] -= 1  # its handle's
        for flows, records in ((True, tape), (False, rest)):  # which grow on the way
            for leaf in () if flows else leaves:
                gradient = leaf.gradient
                own = gradient._own
                if gradient._base is not None or gradient._leaf is not None or id(gradient) in codes:
                    raise Irregular
                codes[id(gradient)] = len(codes)
                if leaf.req == "add":
                    see_aside(own)
                else:
                    key.extend((own.shape, own.dtype.num, own.device))
            for record in records:
                op, how = record.op, record.how
                if record.freed or not op.repeatable or len(tape) > LONGEST:
                    raise Irregular
                push(op)
                if how is not None:
                    push((how.function, how.arguments) if type(how) is Step else how)
                    push((record.traced, record.dear, record.asked, record.hoards, record.depth))
                for x in record.inputs:
                    if type(x) is Value:
                        see(x, flows)
                    else:
                        key.extend((type(x), frozen(x)))
                if op.words:
                    self.drawn.append(record)
                for name, x in record.attrs.items():
                    if name in op.words:
                        push(name)
                    elif type(x) is Value:
                        push(name)
                        see_aside(x)
                    else:
                        push((name, frozen(x)))
                kept, output = record.kept_output, record.output()
                if kept is not None and kept.strides is not None:
                    see_aside(kept)
                else:
                    push("not kept" if kept is None else "kept waiting")
                if output is not None and output.strides is None and id(output) not in codes:
                    see(output, flows)
                    uses[~codes[id(output)]] -= 1
                else:
                    push("gone" if output is None else "there")
        records = tape + rest
        key += sorted(range(len(records)), key=[record.order for record in records].__getitem__)
        return key, uses


class Pass(Replay):
    """A backward pass, ready to be done again for another graph of its structure.

    Parameters
    ----------
    watch : Watch
        What it did; the first buffers are those of the structure.
    site : Site
        Where it was asked for.
    placed : list of (int, Found)
        Which nodes it computed, and where they lie.
    asked : list of int
        Which nodes somebody asks for that still wait.
    gradients : list of Found
        Where those of the leaves lie.
    sites : list of Site
        Where the nodes come from.
    """

    def __init__(
        self,
        watch: Watch,
        site: Site,
        placed: list[tuple[int, Found]],
        asked: list[int],
        gradients: list[Found],
        sites: list[Site],
    ) -> None:
        self._site, self._placed, self._asked, self._gradients = site, placed, asked, gradients
        found = [place for _, place in placed] + gradients
        left = {place.buffer for place in found}
        self._alone = [  # the leaves whose gradients have buffers of their own, and these
            (i, place.buffer, watch.buffers[place.buffer])
            for i, place in enumerate(gradients)
            if place.buffer is not None and watch.buffers[place.buffer].made and sum(x.buffer == place.buffer for x in found) == 1
        ]
        given = {number for number, seen in enumerate(watch.buffers) if not seen.made}
        super().__init__(watch, given | left, given - left, LARGEST)
        # The launches that are blamed on the lines of nodes, and on which.
        origins = {place: i for i, place in enumerate(sites)}
        self._from = [(x.bound, origins[x.bound.call.site]) for x in self.launches if x.bound.call and x.bound.call.site in origins]

    def of(self, structure: Structure) -> None:
        """Do it for a graph, which gives up its arrays on the way.

        Raises
        ------
        MXNetError
            Where a driver or the memory does not allow it. Reading the gradients that were to be written anew raises it again.
        """
        leaves, nodes = structure.leaves, structure.nodes
        if state.site != self._site:
            self.blame(self._site, state.site)
            self._site = state.site
        for bound, i in self._from:
            call, site = bound.call, nodes[i].record.site  # type: ignore[union-attr]
            if call is not None and call.site != site:
                bound.call = Call(call.name, site, call.order)
        buffers = dict(enumerate(structure.arrays))
        words = [_words(record) for record in structure.drawn]
        structure.arrays.clear()
        for i, number, seen in self._alone:
            buffer = _reused(leaves[i], seen)
            if buffer is not None:
                buffers[number] = buffer
        for leaf, found in zip(leaves, self._gradients, strict=True):
            if found.buffer not in buffers:
                leaf.release()
        placed = [nodes[i] for i, _ in self._placed]
        asked = [nodes[i].record for i in self._asked]
        records: list[Any] = sorted([value.record for value in nodes], key=_order, reverse=True)
        nodes.clear()
        for record in sorted(structure.tape, key=_order, reverse=True):
            free(record)
        structure.tape.clear()
        try:
            self.run(buffers, words)
        except BaseException as error:
            why = f"the backward pass that was to compute them failed: {error or type(error).__name__}"
            for leaf, found in zip(leaves, self._gradients, strict=True):
                if leaf.req == "write" and found.buffer is not None:
                    leaf.gradient.replace(found.value({found.buffer: never(found.device, why)}))
            raise
        for value, (_, found) in zip(placed, self._placed, strict=True):
            value.place(buffers[found.buffer], found.layout)  # type: ignore[index]
        for leaf, found in zip(leaves, self._gradients, strict=True):
            leaf.gradient.replace(found.value(buffers))
        for waiting in asked:
            waiting.asked = True  # type: ignore[union-attr]
        engine.finish(records)


def _words(record: Record) -> list[int]:
    """Where in a stream of random numbers a record began."""
    return [record.attrs[word] for word in record.op.words]


def _reused(leaf: Leaf, seen: Seen) -> Buffer | None:
    """The buffer of a gradient that is about to be written anew, if nobody else has it, and it is not worth giving back until then."""
    if leaf.req != "write" or seen.size > LARGE or not engine.held_alone(engine.Slot(leaf.gradient._own)):
        return None
    buffer = leaf.gradient._own.buffer
    alike = buffer is not None and buffer.size == seen.size and buffer.device is seen.device and type(buffer) is Buffer
    return buffer if alike else None


def free(record: Record) -> None:
    """Give back what a record that was gone through has kept for it."""
    record.freed, record.kept_output = True, None
    if record.how is None or record.output() is None:  # what somebody may still ask for keeps its inputs until it is launched
        record.inputs = ()


def run(heads: Sequence[Value], head_grads: Sequence[NDArray | None], walk: Callable[[], None]) -> None:
    """Do again what the backward pass of a graph like this one did; else `walk`, and see what it does if that may come again."""
    if state.eager or state.tracer is not None or Device.listeners:
        walk()
        return
    with engine.lock:
        engine.launch_due()
        met = _again(heads, head_grads)
    if met is None:
        return
    if met.watch is None:
        walk()
    else:
        with watching(met.watch):
            walk()
    with engine.lock:
        met.remember()


class _Met:
    """A graph whose structure was met so many `times`, without references to what it holds; None if it is not to be remembered."""

    def __init__(self, structure: Structure | None, times: int | None) -> None:
        self.watch: Watch | None = None
        self._times = times
        if structure is None or times is None:
            return
        self._key = structure.key
        if times == SIGHTS:
            self.watch, self._leaves = Watch(), structure.leaves
            self._nodes = [weakref.ref(node) for node in structure.nodes]
            self._sites = [node.record.site for node in structure.nodes]  # type: ignore[union-attr]
            self._given = range(len(structure.arrays))
            for buffer in structure.arrays:
                self.watch.number(buffer)
            for draw, record in enumerate(structure.drawn):
                record.attrs.update(zip(record.op.words, Place.of(_words(record), draw), strict=True))

    def remember(self) -> None:
        """Remember that it was met, and what was done."""
        if self._times is None:
            return
        _known.remember(self._key, self._times + 1 if self.watch is None else self._made(self.watch))

    def _made(self, watch: Watch) -> Pass | None:
        if any(leaf.gradient._own.strides is None for leaf in self._leaves):
            return None
        gradients = [watch.found(leaf.gradient._own) for leaf in self._leaves]
        placed, asked = [], []
        for i, reference in enumerate(self._nodes):
            node = reference()
            if node is not None and node.strides is not None:
                placed.append((i, watch.found(node)))
            elif node is not None and node.record.asked:  # type: ignore[union-attr]
                asked.append(i)
        left = {found.buffer for _, found in placed} | {found.buffer for found in gradients}
        if not watch.repeatable(self._given, left):
            return None
        try:
            return Pass(watch, state.site, placed, asked, gradients, self._sites)
        except MXNetError:
            return None  # there is no room to keep it


def _again(heads: Sequence[Value], head_grads: Sequence[NDArray | None]) -> _Met | None:
    """Do the pass again, if it is known: then None."""
    try:
        structure = Structure(heads, _values(heads, head_grads))
        known = _known.met(structure.key)
    except (Irregular, TypeError):
        return _Met(None, None)
    if not isinstance(known, Pass):
        return _Met(structure, known)
    if known.busy:
        return _Met(None, None)
    known.of(structure)
    return None


def _values(heads: Sequence[Value], head_grads: Sequence[NDArray | None]) -> list[Value | None]:
    """What the head gradients are, as far as they are constants that lie alike: a pass does not go behind them."""
    values: list[Value | None] = []
    for head, given in zip(heads, head_grads, strict=False):
        if given is None:
            values.append(None)
            continue
        value = given._own
        alike = value.shape == head.shape and value.dtype == head.dtype and value.device is head.device
        if not alike or value.traced or given._base is not None:
            raise Irregular
        values.append(value)
    return values
