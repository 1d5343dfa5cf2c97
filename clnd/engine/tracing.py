"""Watching what devices are made to do, and doing it again: what captures, repeated backward passes and repeated calls stand on."""

from __future__ import annotations

import threading
import weakref
from bisect import bisect
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from clnd.errors import MXNetError
from clnd.opencl import Bound, Buffer, Call, Device, Kernel, Site, describe_site, running

from . import plan
from .layout import Layout
from .value import Value, add_blame, state, user_site

KEPT = 1 << 26  # bytes that may be kept of calls
_EACH = 10 << 10  # bytes that a driver takes for a kernel that is kept, at most
_PART = 100  # bytes that a part of a key takes, about
_TRIED = 64  # buffers that one may share, the least of those that are large enough


class Place(int):
    """A number that tells a launch where in a stream of random bits it begins: another one at the next call."""

    draw: int
    word: int

    @classmethod
    def of(cls, words: Sequence[int], draw: int) -> tuple[Place, ...]:
        """The words of a draw, as places that know which it was."""
        places = tuple(cls(word) for word in words)
        for number, place in enumerate(places):
            place.draw, place.word = draw, number
        return places


class Number(int):
    """The number of a buffer, among a kernel's arguments."""


class Seen(NamedTuple):
    """A buffer: known by its weak reference, so that watching keeps none alive."""

    reference: weakref.ref[Buffer]
    size: int
    device: Device
    made: bool  # during the call?
    maker: Call | None

    def again(self) -> Buffer:
        """Another one like it."""
        buffer = self.device.allocate(self.size)
        buffer.maker = self.maker
        return buffer


class Found(NamedTuple):
    """Where an array's elements lie: in which buffer (by number; None where there are no elements), and how."""

    buffer: int | None
    layout: Layout
    dtype: Any
    device: Any

    def value(self, buffers: dict[int, Buffer]) -> Value:
        """The like of it in other buffers."""
        value = Value(self.layout.shape, self.dtype, self.device)
        return value if self.buffer is None else value.place(buffers[self.buffer], self.layout)


class Launched(NamedTuple):
    """A launch that was watched: its arguments, with numbers for buffers."""

    kernel: Kernel
    global_size: Any
    local_size: Any
    arguments: list[Any]
    call: Call | None
    operations: int


class Watch:
    """What one call does: the launches, and the buffers that they were given or that were made.

    Attributes
    ----------
    reason : str or None
        Why it cannot be done again.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.launches: list[Launched] = []
        self.draws: list[tuple[Any, int]] = []
        self.buffers: list[Seen] = []
        self.paused = False
        self._thread = threading.get_ident()
        self._numbers: dict[int, int] = {}

    def _listens(self) -> bool:
        return not self.paused and threading.get_ident() == self._thread

    # What the devices tell.

    def allocated(self, buffer: Buffer) -> None:
        """A device has given out a buffer."""
        if self._listens():
            self.number(buffer, made=True)

    def launched(self, kernel: Kernel, global_size: Any, local_size: Any, arguments: tuple[Any, ...], event: Any) -> None:
        """A device was given a kernel to run."""
        if self._listens():
            given = [Number(self.number(x)) if isinstance(x, Buffer) else x for x in arguments]
            call = running.call
            self.launches.append(Launched(kernel, global_size, local_size, given, call, 0 if call is None else call.operations))

    def crossed(self, what: str, nbytes: int, began: int) -> None:
        """Elements went between host and device."""
        if self._listens():
            self.refuse(what)

    def waited(self, began: int) -> None:
        """The host has waited for the device: it may."""

    def built(self, kernel: Kernel, compiled: bool, began: int) -> None:
        """A kernel was made: it is there at the next call."""

    # What arrays and generators tell.

    def meets(self, handle: Any) -> None:
        """An array is reached, or about to be written."""

    def makes(self, handle: Any) -> None:
        """An array is made."""

    def overwrites(self, buffer: Buffer) -> None:
        """A part of a buffer is written in place."""

    def drawn(self, generator: Any, blocks: int, words: tuple[int, int]) -> tuple[int, int]:
        """Random bits are taken from a generator. Gives `words` back as numbers that are known again among a launch's arguments."""
        if type(words[1]) is Place:
            return words  # taken before, and given on
        seed, offset = Place.of(words, len(self.draws))
        self.draws.append((generator, blocks))
        return seed, offset

    def refuse(self, reason: str) -> None:
        """The call cannot be done again."""
        if self.reason is None:
            self.reason = f"{reason}, at {describe_site(user_site())}"

    def found(self, value: Value) -> Found:
        """Where a launched value lies."""
        return Found(None if value.buffer is None else self.number(value.buffer), value.layout, value.dtype, value.device)

    def number(self, buffer: Buffer, made: bool = False) -> int:
        """The number of a buffer."""
        reference = weakref.ref(buffer)
        number = self._numbers.get(id(reference))
        if number is None:
            number = self._numbers[id(reference)] = len(self.buffers)
            self.buffers.append(Seen(reference, buffer.size, buffer.device, made, buffer.maker))
        return number

    def strange(self, known: Collection[int | None]) -> bool:
        """Did a launch get a buffer that was not made in the call, and is not `known`?"""
        given = (x for launch in self.launches for x in launch.arguments if type(x) is Number)
        return any(not self.buffers[x].made and x not in known for x in given)

    def repeatable(self, given: Collection[int], left: Collection[int | None]) -> bool:
        """Can it be done again from the buffers `given` alone, and is `left` all that it leaves?"""
        if self.reason is not None or self.draws or self.strange(given):
            return False
        others = ((i, seen) for i, seen in enumerate(self.buffers) if i not in given)
        return all((i in left) == (seen.made and seen.reference() is not None) for i, seen in others)


class Irregular(Exception):
    """What a call does cannot be told from what it is given."""


_PLAIN = frozenset({int, str, type(None), type})


def frozen(x: Any) -> Any:
    """An attribute as a part of a key, where 1, 1.0 and True differ, and so do the zeros; Irregular for what is no plain data."""
    kind = type(x)
    if kind in _PLAIN or isinstance(x, (np.dtype, Device)):
        return x
    if kind is bool:
        return kind, x
    if isinstance(x, (tuple, list)):
        return (kind, *[y if type(y) is int else frozen(y) for y in x])
    if isinstance(x, (int, float, np.generic)):
        return kind, repr(x)
    if hasattr(kind, "__dataclass_fields__") and kind.__dataclass_params__.frozen:
        return (kind, *[frozen(getattr(x, name)) for name in kind.__dataclass_fields__])
    raise Irregular


class watching:
    """A `with` block in which `watch` is told of what this thread does."""

    __slots__ = ("_watch",)

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    # Ctrl-C is met at calls: there is none after the last change in `__enter__`, and the watch is dismissed at whatever call it comes.

    def __enter__(self) -> None:
        try:
            Device.listen(self._watch)
            state.tracer = self._watch
        except BaseException:
            Device.dismiss(self._watch)
            raise

    def __exit__(self, *error: object) -> None:
        state.tracer = None
        try:
            Device.dismiss(self._watch)
        except BaseException:
            Device.dismiss(self._watch)
            raise


class Again(NamedTuple):
    """A launch of a replay: the buffers (by number) and places in random streams that it gets, what is made before and dropped after."""

    bound: Bound
    buffers: list[tuple[int, int]]
    places: list[tuple[int, int, int]]
    made: list[tuple[int, Seen]]
    last: list[int]


class Replay:
    """The launches of a watched call, bound to kernels of their own.

    Parameters
    ----------
    watch : Watch
    varying : set of int
        The buffers that every run is given, or makes and leaves. The others are between.
    passing : set of int
        Those of the buffers given that a run lets go of after their last launch.
    largest : int, optional
        Bytes of the largest buffers between that are kept for good, one for several that are not used at one time: all if None. The
        others every run makes, and lets go of.

    Attributes
    ----------
    nbytes : int
        About how much memory they keep.
    busy : bool
        Is it running? Then a finalizer, which may come at any time, cannot run it.
    """

    def __init__(self, watch: Watch, varying: Collection[int | None], passing: Collection[int] = (), largest: int | None = None) -> None:
        made = {i for i, seen in enumerate(watch.buffers) if largest is not None and seen.size > largest and i not in varying}
        self._between = _shared(watch, made.union(varying))
        self.launches: list[Again] = []
        last: dict[int, Again] = {}
        for kernel, global_size, local_size, arguments, call, operations in watch.launches:
            sizes = tuple(watch.buffers[x].size if type(x) is Number else x for x in arguments)
            bound = Bound(kernel, global_size, local_size, sizes, call, operations)
            again = Again(bound, [], [], [], [])
            for position, x in enumerate(arguments):
                if type(x) is Number and x not in self._between:
                    number = int(x)
                    again.buffers.append((position, number))
                    if watch.buffers[number].made and number not in last:
                        again.made.append((number, watch.buffers[number]))
                    last[number] = again
                elif type(x) is Place:
                    again.places.append((position, x.draw, x.word))
                else:
                    bound.set(position, self._between[x] if type(x) is Number else x)
            self.launches.append(again)
        for number, again in last.items():
            if number in made or number in passing:
                again.last.append(number)
        self.nbytes = _EACH * len(self.launches) + sum({id(buffer): buffer.size for buffer in self._between.values()}.values())
        self.busy = False

    def run(self, buffers: dict[int, Buffer], words: Sequence[Sequence[int]] = ()) -> None:
        """Launch all again, with these buffers by number, and these places in random streams. What is made is put among the buffers.

        Raises
        ------
        MXNetError
            Where a driver or the memory does not allow it; it names the call that did it the first time.
        """
        self.busy = True
        try:
            self._run(buffers, words)
        finally:
            self.busy = False

    def _run(self, buffers: dict[int, Buffer], words: Sequence[Sequence[int]]) -> None:
        for bound, given, places, made, last in self.launches:
            try:
                for number, seen in made:
                    buffer = buffers.get(number)
                    if buffer is None:
                        buffer = buffers[number] = seen.device.allocate(seen.size)
                    else:
                        buffer.since = seen.device.launched
                    buffer.maker = bound.call or running.call
                bound.give([(position, buffers[number]) for position, number in given])
                for position, draw, word in places:
                    bound.set(position, words[draw][word])
                bound.launch()
            except MXNetError as error:
                if bound.call is not None:
                    add_blame(error, bound.call.name, describe_site(bound.call.site))
                raise
            for number in last:
                del buffers[number]

    def disown(self) -> None:
        """From now on the launches are of whatever call is running."""
        for bound, *_ in self.launches:
            bound.call = None

    def blame(self, before: Site, site: Site) -> None:
        """From now on the launches that were made at one place are another's."""
        for bound, *_ in self.launches:
            if bound.call is not None and bound.call.site == before:
                bound.call = Call(bound.call.name, site, bound.call.order)


def _shared(watch: Watch, varying: Collection[int | None]) -> dict[int, Buffer]:
    """A buffer for each that is only used between: one for several that are not used at one time."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for time, launch in enumerate(watch.launches):
        for x in launch.arguments:
            if type(x) is Number and x not in varying:
                first.setdefault(int(x), time)
                last[int(x)] = time
    result: dict[int, Buffer] = {}
    places: dict[Device, list[tuple[Buffer, list[tuple[int, int]]]]] = {}  # buffers, the largest first, and when each is used
    # Each finds its place after all larger ones, in the least that nobody uses at its time.
    for number in sorted(first, key=lambda number: (-watch.buffers[number].size, first[number])):
        seen, used = watch.buffers[number], (first[number], last[number])
        known = places.setdefault(seen.device, [])
        for buffer, times in reversed(known[-_TRIED:]):
            at = bisect(times, used)
            if (at == 0 or times[at - 1][1] < used[0]) and (at == len(times) or used[1] < times[at][0]):
                times.insert(at, used)
                result[number] = buffer
                break
        else:
            made = result[number] = seen.again()
            known.append((made, [used]))
    return result


class Remembered(OrderedDict[Any, Any]):
    """What is known of calls by their keys: how often each was met; what does it again; or None, where that cannot be.

    Parameters
    ----------
    most : int
        Of how many calls. Those that were not met for longest go, also where more than `KEPT` bytes were kept.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.nbytes = most, 0

    def met(self, key: Any) -> Any:
        """What is known of the call with this key: 0 if nothing is."""
        with plan.lock:
            found = self.get(key, 0)
            if isinstance(found, Replay):
                self.move_to_end(key)
            return found

    def remember(self, key: Any, found: Any) -> None:
        """Know of the call with this key what was found."""
        with plan.lock:
            if self._size(key, found) > KEPT // 16:
                found = None
            if key in self:
                self.nbytes -= self._size(key, self.pop(key))
            self[key] = found
            self.nbytes += self._size(key, found)
            while self and (len(self) > self.most or self.nbytes > KEPT):
                self.nbytes -= self._size(*self.popitem(last=False))

    def clear(self) -> None:
        """Know of no call."""
        super().clear()
        self.nbytes = 0

    @staticmethod
    def _size(key: Any, found: Any) -> int:
        return _PART * len(key) + (found.nbytes if isinstance(found, Replay) else 0)
