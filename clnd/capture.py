"""Capture: the launches of a function's first call, put into the queue again by the later ones without rebuilding records.

While a call is watched, the devices tell which kernels they launch and which buffers they give out, and the arrays that the function
reaches tell which buffers they hold. A buffer is then one of three things. It is *given*: an array that was there before holds it, and at
every later call it is whatever buffer that array has by then. It is *left*: an array that the function returned or wrote holds it in the
end, so every call makes a new one. Or it is *between*, and the capture keeps one for good, shared by all that are not used at one time.
"""

from __future__ import annotations

import functools
import gc
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from clnd import engine
from clnd.engine import Value, state
from clnd.engine.layout import Shape, compact
from clnd.engine.tracing import Found, Number, Replay, Watch, watching
from clnd.opencl import Buffer

from .context import current_context
from .ndarray import Leaf, NDArray

__all__ = ["Captured", "capture"]

_NONE: Any = ((), {})
MOST = 16  # captures that one function keeps


def capture(function: Callable[..., Any]) -> Captured:
    """Let later calls of a function put the launches of its first call into the queue again, which costs Python next to nothing.

    The function may do all that arrays do: compute, record, differentiate, and write to arrays, its arguments or others, such as
    parameters. Results are those of the function itself, to the bit; random numbers advance as they would. There is a capture for every
    combination of the arguments' shapes, dtypes and devices, of what else is among the arguments, and of the training mode.

    What a capture cannot do again is found out, and the function is called as it stands: where it reads elements on the host
    (`if loss.asscalar() > 1:`) or sends some to the device (`nd.array([...])`), where it keeps an array for itself, goes through a graph
    that was recorded outside, or leaves one behind. `reason` tells which it was. Neither is anything captured while recording, where the
    tape needs the records, nor with CLND_EAGER=1.

    What the function does beside arrays, such as printing or counting, happens in its first call alone, and the numbers and strings that
    it found outside its arguments stay what they were: give a learning rate that changes as an array.

    Parameters
    ----------
    function : callable
        Takes arrays, numbers, strings, and lists, tuples and dicts of them; returns the like.

    Returns
    -------
    Captured
        To be called in its place.

    Examples
    --------
    >>> import clnd as mx
    >>> from clnd import nd, autograd
    >>> w = nd.array([1.0, 2.0])
    >>> w.attach_grad()
    >>> @mx.capture
    ... def step(x, rate):
    ...     with autograd.record():
    ...         loss = ((w * x - 1) ** 2).sum()
    ...     loss.backward()
    ...     w[:] = w - rate * w.grad
    ...     return loss
    >>> [step(nd.array([1.0, 1.0]), nd.array([0.25])).asscalar() for _ in range(3)]
    [np.float32(1.0), np.float32(0.25), np.float32(0.0625)]
    >>> step.replays
    2
    """
    return Captured(function)


class Captured:
    """A function whose calls are captured: see `capture`.

    Attributes
    ----------
    replays : int
        How many calls were not calls of the function.
    reason : str or None
        Why the last call could not be captured.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.replays = 0
        self.reason: str | None = None
        self._known: OrderedDict[Any, Recording | str] = OrderedDict()
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, or do again what it did."""
        if state.recording or state.eager or state.tracer is not None:
            return self.function(*args, **kwargs)
        given = Given((args, kwargs))
        if given.key is None:
            return self._plainly("an argument is neither an array nor a number, string, list, tuple or dict", args, kwargs)
        known = self._known.get(given.key)
        if isinstance(known, str):
            return self._plainly(known, args, kwargs)
        if known is not None:
            with engine.lock:
                ready = None if known.busy else known.buffers(given.arrays)
                if ready is not None:
                    result = known.replay(*ready)
                    given.write_through()
                    self.replays += 1
                    self._known.move_to_end(given.key)
                    return result
        return self._trace(given)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: each object has captures of its own."""
        if instance is None:
            return self
        bound = Captured(functools.partial(self.function, instance))
        functools.update_wrapper(bound, self.function)
        setattr(instance, self.function.__name__, bound)  # found there from now on
        return bound

    def _plainly(self, reason: str, args: Any, kwargs: Any) -> Any:
        self.reason = reason
        return self.function(*args, **kwargs)

    def _trace(self, given: Given) -> Any:
        args, kwargs = given.filled()
        engine.launch_due()
        tracer = Tracer(given.arrays)
        with watching(tracer):
            result = self.function(*args, **kwargs)
            recording = tracer.recording(result, given)
        given.write_through()
        self.reason = recording if isinstance(recording, str) else None
        self._known[given.key] = recording
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return result


class Given:
    """The arguments of a call.

    Attributes
    ----------
    arrays : list of NDArray
        The arrays among them, and their gradients. Views are stood in for by arrays of their own.
    key : tuple or None
        What a capture depends on; None if there cannot be one.
    """

    def __init__(self, arguments: Any) -> None:
        self.arrays: list[NDArray] = []
        self._arguments = arguments
        self._stand_ins: list[tuple[NDArray, NDArray, Value]] = []
        self._numbers: dict[int, int] = {}  # of the arrays, by the ids of the arguments
        key = () if arguments == _NONE else self._read(arguments)
        if self.arrays:
            self.arrays += [array._leaf.gradient for array in self.arrays if array._leaf is not None]
        self.key = None if key is None else (key, state.training, current_context())

    def _read(self, x: Any) -> Any:
        if isinstance(x, NDArray):
            number = self._numbers.get(id(x))
            if number is None:
                number = self._numbers[id(x)] = len(self.arrays)
                self.arrays.append(self._array(x))
            array = self.arrays[number]
            value = array._own
            leaf = None if array._leaf is None else array._leaf.req
            return number, value.shape, value.strides, value.offset, value.dtype, value.device, array._context, leaf
        if isinstance(x, (list, tuple)):
            parts = [self._read(y) for y in x]
            return None if None in parts else (type(x), *parts)
        if isinstance(x, dict):
            parts = [self._read(y) for y in x.values()]
            return None if None in parts else (dict, tuple(x), *parts)
        try:
            hash(x)
        except TypeError:
            return None
        return type(x), repr(x) if isinstance(x, float) else x

    def _array(self, x: NDArray) -> NDArray:
        value = engine.ready(x.value)
        if x._base is None and not value.offset:
            return x
        # Where a part of an array begins is no concern of a capture, as far as nothing is laid out another way by a copy.
        value = engine.copied(value) if value.offset and engine.is_compact(value.layout) else value.twin()
        other = NDArray(value, x.context)
        self._stand_ins.append((x, other, value))
        return other

    def filled(self) -> Any:
        """The arguments, with what stands in for views."""

        def fill(x: Any) -> Any:
            if isinstance(x, NDArray):
                return self.arrays[self._numbers[id(x)]]
            if isinstance(x, (list, tuple)):
                parts = [fill(y) for y in x]
                return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
            return {name: fill(y) for name, y in x.items()} if isinstance(x, dict) else x

        return fill(self._arguments)

    def write_through(self) -> None:
        """Write to views what was written to what stood in for them."""
        for view, other, before in self._stand_ins:
            if other._own is not before:
                view._write(other._own)


class Source(NamedTuple):
    """An array that was there before the call."""

    where: int | weakref.ref[NDArray]  # among the arguments, or elsewhere
    leaf: Leaf | None
    found: Found


class Target(NamedTuple):
    """An array that the call left: one of the sources, or a new one in a context."""

    source: int | None
    context: Any
    found: Found


class Entry(NamedTuple):
    """What is asked about a source at each later call."""

    where: int | weakref.ref[NDArray]
    leaf: Leaf | None
    buffer: int | None  # its number, if the call uses it
    used: bool
    shape: Shape
    strides: tuple[int, ...]
    offset: int
    dtype: Any
    overwritten: bool
    found: Found


class Tracer(Watch):
    """What one call does, and which arrays it reaches."""

    def __init__(self, arguments: Sequence[NDArray]) -> None:
        super().__init__()
        self.overwritten: set[int] = set()
        self._begin = engine.next_order()
        self._met: dict[int, tuple[weakref.ref[NDArray], Source | None]] = {}
        self._handles: list[weakref.ref[NDArray]] = []
        for position, handle in enumerate(arguments):
            self.meets(handle, position)

    def meets(self, handle: NDArray, position: int | None = None) -> None:
        """The function reaches an array, or is about to write it."""
        reference = weakref.ref(handle)
        if id(reference) in self._met:
            return
        value, source = handle._own, None
        if value.strides is None and (value.record is None or value.record.order < self._begin):
            self.paused = True
            try:
                engine.evaluate(value)  # what waited before the call is not of it
            finally:
                self.paused = False
        if value.strides is not None:
            found = self.found(value)
            if found.buffer is None or not self.buffers[found.buffer].made:
                source = Source(reference if position is None else position, handle._leaf, found)
        self._met[id(reference)] = reference, source

    def makes(self, handle: NDArray) -> None:
        """An array is made."""
        self._handles.append(weakref.ref(handle))

    def overwrites(self, buffer: Buffer) -> None:
        """A part of a buffer is written in place."""
        self.overwritten.add(self.number(buffer))

    # In the end.

    def recording(self, result: Any, given: Given) -> Recording | str:
        """What later calls do; or why they cannot."""
        sources, changed = self._sources()
        results: list[NDArray] = []
        structure = _structure(result, results)
        values = [array.value for array in (*results, *changed)]
        if structure is None:
            self.refuse("it returned something else than arrays, numbers, strings, lists, tuples and dicts")
        elif any(value.record is not None and value.record.traced and not value.record.freed for value in values):
            self.refuse("it left a recorded graph behind")
        if self.reason is not None:
            return self.reason
        engine.evaluate(*values)
        numbers = {id(handle): number for number, (handle, _) in enumerate(sources)}
        targets = [Target(numbers.get(id(array)), array.context, self.found(array.value)) for array in (*results, *changed)]
        del values
        known = {target.found.buffer for target in targets} | {source.found.buffer for _, source in sources}
        self._look_for_strangers(known, results)
        return self.reason or Recording(self, [source for _, source in sources], targets, len(results), structure)

    def _sources(self) -> tuple[list[tuple[NDArray, Source]], list[NDArray]]:
        """The arrays that were there before the call and still are, and those of them that were written."""
        met = [(reference(), source) for reference, source in self._met.values()]
        sources = [(handle, source) for handle, source in met if handle is not None and source is not None]
        written = []
        for handle, source in sources:
            if handle._base is not None or handle._leaf is not source.leaf:
                self.refuse("it attached a gradient to an array")
                break
            if handle._own.strides is None or self.found(handle._own) != source.found:
                written.append(handle)
        return sources, written

    def _look_for_strangers(self, known: set[int | None], results: Sequence[NDArray]) -> None:
        """Refuse what reads a buffer that no array told of, and what keeps an array or a buffer that it made."""
        if self.strange(known):
            self.refuse("it goes through a graph that was recorded outside")
            return
        returned = {id(base) for array in results for base in _bases(array)}
        for last in (False, True):
            buffers = (seen.reference() for number, seen in enumerate(self.buffers) if seen.made and number not in known)
            arrays = (array for array in (reference() for reference in self._handles) if id(array) not in returned)
            if all(x is None for x in (*buffers, *arrays)):
                return
            if not last:
                gc.collect()  # in a cycle it is kept by nobody
        self.refuse("it keeps an array that it neither returns nor was given")


def _bases(array: NDArray | None) -> Iterator[NDArray]:
    """An array, what it is a view of, and so on."""
    while array is not None:
        yield array
        array = array._base


def _structure(x: Any, arrays: list[NDArray]) -> Any:
    """What makes the like of `x` from other arrays; None if nothing does. Puts its arrays into `arrays`."""
    if isinstance(x, NDArray):
        arrays.append(x)
        return lambda given: next(given)
    if isinstance(x, (list, tuple)):
        parts, kind = [_structure(y, arrays) for y in x], type(x)
        if None in parts:
            return None
        if hasattr(x, "_fields"):
            return lambda given: kind(*[part(given) for part in parts])
        return lambda given: kind([part(given) for part in parts])
    if isinstance(x, dict):
        named = {name: _structure(y, arrays) for name, y in x.items()}
        return None if None in named.values() else lambda given: {name: part(given) for name, part in named.items()}
    return (lambda given: x) if x is None or isinstance(x, (bool, int, float, complex, str, bytes)) else None


class Recording:
    """A watched call, ready to be done again."""

    def __init__(self, tracer: Tracer, sources: list[Source], targets: list[Target], results: int, structure: Any) -> None:
        self._targets, self._results, self._structure = targets, results, structure
        self._draws, self._overwritten = tracer.draws, tracer.overwritten
        given = {source.found.buffer for source in sources}
        self._left = [
            (number, tracer.buffers[number])
            for number in sorted({target.found.buffer for target in targets if target.found.buffer is not None} - given)
        ]
        used = {int(x) for launch in tracer.launches for x in launch.arguments if type(x) is Number}
        self._used = used | {target.found.buffer for target in targets} | self._overwritten
        # What is written anew, and read by no launch.
        written = {target.source for target in targets}
        self._replaced = [i for i, source in enumerate(sources) if i in written and source.found.buffer not in self._used]
        self._entries = [self._entry(source) for source in sources]
        self._replay = Replay(tracer, given | {number for number, _ in self._left})

    @property
    def busy(self) -> bool:
        """Is it running?"""
        return self._replay.busy

    def _entry(self, source: Source) -> Entry:
        found = source.found
        number, used = found.buffer, found.buffer in self._used
        return Entry(
            source.where, source.leaf, number if used else None, used, *found.layout, found.dtype, number in self._overwritten, found
        )

    def buffers(self, arguments: Sequence[NDArray]) -> tuple[list[NDArray], dict[int, Buffer]] | None:
        """The arrays that were there before, and their buffers by number; None if some array is not as it was when the capture was made."""
        handles: list[NDArray] = []
        buffers: dict[int, Buffer] = {}
        for where, leaf, number, used, shape, strides, offset, dtype, overwritten, found in self._entries:
            if type(where) is int:
                handle: Any = arguments[where]
            else:
                handle = where()  # type: ignore[operator]
                if handle is None or handle._leaf is not leaf:
                    return None
            if handle._base is not None:
                return None
            handles.append(handle)
            if used:
                own = handle._own
                alike = own.strides == strides and own.offset == offset and own.shape == shape and own.dtype == dtype
                del own  # references are about to be counted
                if not alike and not _laid_out(handle, found):
                    return None
            if overwritten and not engine.held_alone(engine.Slot(handle._own)):
                if handle._own.layout != compact(shape):
                    return None
                handle.replace(engine.copied(handle._own))
            if number is not None:
                buffer = handle._own.buffer
                if buffer is not None and buffers.setdefault(number, buffer) is not buffer:
                    return None  # two arrays shared a buffer, and do no more
        return handles, buffers

    def replay(self, handles: Sequence[NDArray], buffers: dict[int, Buffer]) -> Any:
        """Do what the watched call did, with these arrays and buffers."""
        words = [generator.take(blocks) for generator, blocks in self._draws]
        for number in self._replaced:
            handles[number].forget()
        for number in self._overwritten & buffers.keys():
            buffers[number].since = buffers[number].device.launched
        for left, seen in self._left:
            buffers[left] = seen.again()  # all before the first launch
        self._replay.run(buffers, words)
        made: list[NDArray] = []
        for source, context, found in self._targets:
            if source is not None and len(made) < self._results:
                made.append(handles[source])
                continue
            value = found.value(buffers)
            if source is None:
                made.append(NDArray(value, context))
            else:
                value.leaf = handles[source]._leaf
                handles[source]._own = value
        return self._structure(iter(made))


def _laid_out(handle: NDArray, wanted: Found) -> bool:
    """Let an array lie as it did when a capture was made; False if that is not for a copy to do."""
    value = engine.ready(handle._own)
    if (value.shape, value.dtype, value.device) != (wanted.layout.shape, wanted.dtype, wanted.device):
        return False
    if value.layout != wanted.layout:
        if (value.strides, 0) != wanted.layout[1:] or not engine.is_compact(value.layout):
            return False  # another layout may mean another order of summation
        handle.replace(engine.copied(value))
    return True
