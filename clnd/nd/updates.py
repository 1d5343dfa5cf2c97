"""Steps of optimisers: functions that write the optimiser's states and give the new weight, unrecorded."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from clnd import autograd, engine
from clnd.engine import Value, state
from clnd.engine.layout import compact, row_major
from clnd.errors import RAW, DTypeError, MXNetError, ShapeError, refused
from clnd.ndarray import NDArray
from clnd.opencl import Device
from clnd.ops import registry, updates
from clnd.ops.declare import whole_number
from clnd.ops.updates import Rule, Updated, arrays_of, attributes_of, mixed

from .wrapping import NUMBERS, deliver, unwrap

__all__ = [
    "adam_update",
    "ftml_update",
    "ftrl_update",
    "lamb_update_phase1",
    "lamb_update_phase2",
    "mp_lamb_update_phase1",
    "mp_lamb_update_phase2",
    "mp_nag_mom_update",
    "mp_sgd_mom_update",
    "mp_sgd_update",
    "multi_lars",
    "multi_mp_sgd_mom_update",
    "multi_mp_sgd_update",
    "multi_sgd_mom_update",
    "multi_sgd_update",
    "nag_mom_update",
    "preloaded_multi_mp_sgd_mom_update",
    "preloaded_multi_mp_sgd_update",
    "preloaded_multi_sgd_mom_update",
    "preloaded_multi_sgd_update",
    "rmsprop_update",
    "rmspropalex_update",
    "sgd_mom_update",
    "sgd_update",
    "signsgd_update",
    "signum_update",
]


def _update(name: str, rule: Rule, doc: str | None = None, like: str | None = None) -> Callable[..., NDArray]:
    """The function for one weight: arrays and attributes by position or name; the result has the dtype of `like`, or the first array."""
    arrays, attributes = arrays_of(rule), attributes_of(rule)
    count, first = len(arrays), like or arrays[0]
    again: dict[int, _Again] = {}  # by the ids of weights

    def function(*args: Any, out: Any = None, name: str | None = None, **kwargs: Any) -> Any:
        called = function.__name__
        known = again.get(id(out))
        if known is not None and known.take(called, args, kwargs):
            return out
        step = None if len(args) != count else _step(called, rule, args, kwargs, first, out)
        if step is not None:
            _take(called, [step])
            gone = weakref.ref(out, partial(again.pop, id(out)))  # the reference is given too: what `pop` gives if there is nothing
            again[id(out)] = _Again(rule, first, step, kwargs, gone)
            return out
        given = _bound(called, arrays, attributes, args, kwargs)
        handles = [given.pop(array) for array in arrays]
        with autograd.pause():
            found = _computed(called, rule, handles, given, like)
            return _written(called, rule, handles, found, out)

    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return _described(function, name, [inspect.Parameter(a, either) for a in arrays], attributes, doc or rule.__doc__)


def _multi_update(name: str, rule: Rule, doc: str, *, preloaded: bool = False) -> Callable[..., Any]:
    """The function for several weights: the arrays of each, one after another, and the learning rates and decays of all."""
    arrays, attributes = arrays_of(rule), attributes_of(rule)
    for attribute in ("lr", "wd", "lazy_update"):
        attributes.pop(attribute, None)
    required = {} if preloaded else dict.fromkeys(("lrs", "wds"), inspect.Parameter.empty)
    attributes = {**required, **attributes, "num_weights": 1}

    def function(*data: Any, out: Any = None, name: str | None = None, **kwargs: Any) -> Any:
        called = function.__name__
        if len(data) == 1 and isinstance(data[0], (list, tuple)):
            data = tuple(data[0])
        given = _bound(called, (), attributes, (), kwargs)
        count, size = whole_number(called, "num_weights", given.pop("num_weights")), len(arrays)
        if count < 1 or len(data) != count * size + 2 * preloaded:
            each = f"{size} ({', '.join(arrays)}) for each of num_weights={count}"
            raise DTypeError(f"{called} takes {each}{', then lrs and wds' * preloaded}, but was given {len(data)} arrays")
        groups = [data[i * size : (i + 1) * size] for i in range(count)]
        lrs, wds = data[-2:] if preloaded else (given.pop("lrs"), given.pop("wds"))
        rates = zip(_numbers(called, "lrs", lrs, count), _numbers(called, "wds", wds, count), strict=True)
        attrs = [{**given, "lr": lr, "wd": wd} for lr, wd in rates]
        outs = [None] * count if out is None else list(out) if isinstance(out, (list, tuple)) else [out]
        if len(outs) != count:
            raise DTypeError(f"{called}: out holds {len(outs)} arrays, but there are {count} weights")
        steps = _prepared(called, rule, groups, attrs, arrays[0], outs)
        if steps is None:
            with autograd.pause():
                found = [_computed(called, rule, *each) for each in zip(groups, attrs, strict=True)]
                results = [_written(called, rule, *each) for each in zip(groups, found, outs, strict=True)]
            return results if count > 1 else results[0]
        _take(called, steps)
        return outs if count > 1 else outs[0]

    return _described(function, name, [inspect.Parameter("data", inspect.Parameter.VAR_POSITIONAL)], attributes, doc)


def _described(
    function: Callable[..., Any], name: str, arrays: list[inspect.Parameter], attributes: dict[str, Any], doc: str | None
) -> Callable[..., Any]:
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = {**attributes, "out": None, "name": None}
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*arrays, *(inspect.Parameter(a, keyword, default=x) for a, x in options.items())]
    )
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _bound(name: str, arrays: Sequence[str], attributes: dict[str, Any], args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What each array and each attribute is given; DTypeError for one too many, and for one that is missing."""
    order = [*arrays, *attributes]
    if len(args) > len(order):
        raise DTypeError(f"{name} takes at most {len(order)} arguments, {len(args)} given")
    positional = dict(zip(order, args, strict=False))
    for word in kwargs:
        if word not in order:
            raise DTypeError(f"{name}: no attribute {word}; its attributes are {', '.join(attributes)}")
        if word in positional:
            raise DTypeError(f"{name}: {word} is given twice")
    given = {**dict.fromkeys(arrays, inspect.Parameter.empty), **attributes, **positional, **kwargs}
    for word, x in given.items():
        if x is inspect.Parameter.empty:
            raise DTypeError(f"{name}: {word} must be given")
    return given


def _numbers(name: str, word: str, given: Any, count: int) -> Sequence[Any]:
    """The numbers of an array, or of a sequence, or a single one: one for each weight."""
    if isinstance(given, NDArray):
        if given.shape != (count,):
            raise ShapeError(f"{name}: {word} has shape {given.shape}, but there are {count} weights")
        return [registry["reshape"](given[i].value, shape=()) for i in range(count)]
    numbers = tuple(given) if isinstance(given, (tuple, list, np.ndarray)) else (given,)
    if len(numbers) != count:
        raise ShapeError(f"{name}: {word} holds {len(numbers)} numbers, but there are {count} weights")
    return numbers


class _Step(NamedTuple):
    """A rule about to be launched, for arrays that lie alike; `single` are the numbers that lie in arrays."""

    kernel: updates.Kernel
    handles: Sequence[NDArray]
    targets: list[NDArray]
    single: list[Value]


def _take(name: str, steps: Sequence[_Step]) -> None:
    """Launch steps that have no array in common. What nobody else holds is written where it lies."""
    with engine.lock, engine.called(name):
        found = [_places(step) for step in steps]
        launches = []
        for step, (buffers, _) in zip(steps, found, strict=True):
            values = [*[handle.value for handle in step.handles], *step.single]
            kernel, arrays = step.kernel, [(value.buffer, value.offset) for value in values]
            launches.append(kernel.recipe.of(values[0].size, kernel.numbers, buffers, arrays))
            del values
        engine.together(launches)
        for step, (buffers, alone) in zip(steps, found, strict=True):
            for handle, buffer, here in zip(step.targets, buffers, alone, strict=True):
                if here:
                    handle._own.record = None  # what it was computed from is not what it holds now
                else:
                    own = handle._own
                    handle.replace(Value(own.shape, own.dtype, own.device).place(buffer, compact(own.shape)))


def _places(step: _Step) -> tuple[list[Any], list[bool]]:
    """Where to write each target, and whether that is where it lies."""
    buffers: list[Any] = []
    alone: list[bool] = []
    for handle in step.targets:
        here = engine.held_alone(engine.Slot(handle._own)) and not handle._own.offset
        alone.append(here)
        if here:
            buffers.append(handle._own.buffer)
            buffers[-1].since = handle._own.device.launched
            if state.tracer is not None:
                state.tracer.overwrites(buffers[-1])
        else:
            own = handle._own
            buffers.append(own.device.allocate(own.size * own.dtype.itemsize))
            del own  # references are counted
    return buffers, alone


def _same(attrs: dict[str, Any], known: dict[str, Any]) -> bool:
    """Are attributes the numbers known? Arrays, which are none, may refuse to say."""
    try:
        return attrs == known
    except ValueError:
        return False


# The attributes and kernel of the last step of a rule for arrays of some dtypes: the next weight's mostly has the same.
_latest: dict[Any, list[tuple[dict[str, Any], updates.Kernel]]] = {}


class _Again:
    """A step that was taken, to be taken again: the arrays are the same, and nobody else holds what is written."""

    def __init__(self, rule: Rule, like: str, step: _Step, attrs: dict[str, Any], out: weakref.ref[NDArray]) -> None:
        self._rule, self._like, self._kernel, self._attrs = rule, like, step.kernel, attrs
        self._handles = [weakref.ref(handle) for handle in step.handles]
        self._out, self._states = out, step.kernel.states
        own = step.targets[0]._own
        self._strides, self._size, self._device = own.strides, own.size, own.device
        self._kinds = tuple(handle._own.dtype for handle in step.handles)
        self._latest = _latest.setdefault((rule, like, self._device, self._kinds), [])
        self._bound: engine.BoundRecipe | None = None  # made the second time

    def take(self, name: str, handles: Sequence[NDArray], attrs: dict[str, Any]) -> bool:
        """Launch it; False, and nothing done, if something is not as it was."""
        if state.tracer is not None or state.eager or Device.listeners:
            return False
        with engine.lock, engine.called(name):
            return self._lies_alike(handles) and self._computes(name, attrs) and self._launched(handles)

    def _lies_alike(self, handles: Sequence[NDArray]) -> bool:
        if len(handles) != len(self._handles):
            return False
        strides = self._strides
        for known, handle in zip(self._handles, handles):
            if known() is not handle or handle._base is not None or handle._own.strides != strides or handle._own.offset:
                return False
        out: Any = self._out()
        return out._base is None and out._own.strides == strides and not out._own.offset

    def _computes(self, name: str, attrs: dict[str, Any]) -> bool:
        if _same(attrs, self._attrs):
            return True
        known, kernel = self._latest[0] if self._latest else ({}, None)
        if kernel is None or not _same(attrs, known):
            if not all(isinstance(x, NUMBERS) for x in attrs.values()):
                return False
            try:
                kernel = updates.kernel_for(name, self._rule, self._device, self._kinds, tuple(attrs.items()), self._like)
            except TypeError:  # of an attribute that there is not, or that must be given
                return False
            if kernel is None or kernel.states != self._states:
                return False
            self._latest[:] = [(attrs, kernel)]
        self._kernel, self._attrs = kernel, attrs
        return True

    def _launched(self, handles: Sequence[NDArray]) -> bool:
        out: Any = self._out()  # which the caller holds
        if not engine.held_alone(engine.Slot(out._own)):
            return False
        for i in self._states:
            if not engine.held_alone(engine.Slot(handles[i]._own)):
                return False
        if self._bound is None:
            self._bound = self._kernel.recipe.bound(self._size)
        buffers = [out._own.buffer, *[handles[i]._own.buffer for i in self._states], *[handle._own.buffer for handle in handles]]
        if not self._bound.launch(self._kernel.recipe, self._kernel.numbers, buffers):
            return False
        out._own.record = None  # what they were computed from is not what they hold now
        for i in self._states:
            handles[i]._own.record = None
        return True


def _step(name: str, rule: Rule, handles: Sequence[Any], attrs: dict[str, Any], like: str, out: Any) -> _Step | None:
    """The short way to launch a rule; None if the arrays and `out` do not lie alike, or something is wrong with them."""
    if type(out) is not NDArray or out._base is not None or state.eager:
        return None
    context, value = out._context, out.value
    shape, strides, kinds = value.shape, value.strides, []
    if strides != row_major(shape) or 0 in shape:
        return None
    result, device = value.dtype, value.device
    for handle in handles:
        if type(handle) is not NDArray or (handle._context is not context and handle._context != context):
            return None
        value = handle.value
        if value.shape != shape or value.strides != strides or value.offset >= engine.MARGIN:
            return None
        kinds.append(value.dtype)
    single: list[Value] = []
    numbers: list[tuple[str, Any]] = []
    for word, x in attrs.items():
        if type(x) is Value:
            if x.device is not device:
                return None
            single.append(engine.ready(x))
            numbers.append((word, x.dtype))
        elif isinstance(x, NUMBERS):
            numbers.append((word, x))
        else:
            return None
    try:
        kernel = updates.kernel_for(name, rule, device, tuple(kinds), tuple(numbers), like)
    except TypeError:  # of an attribute that there is not, or that must be given
        return None
    if kernel is None or result != kinds[kernel.like]:
        return None
    targets = [out, *[handles[i] for i in kernel.states]]
    if len({id(handle) for handle in targets}) < len(targets) or any(handle._base is not None for handle in targets):
        return None
    return _Step(kernel, handles, targets, single)


def _prepared(
    name: str, rule: Rule, groups: Sequence[Sequence[Any]], attrs: Sequence[dict[str, Any]], like: str, outs: Sequence[Any]
) -> list[_Step] | None:
    """The steps of several weights that have no array in common; None if they have one, or some step cannot go the short way."""
    owners: dict[int, int] = {}
    for number, (group, target) in enumerate(zip(groups, outs, strict=True)):
        for x in (*group, target):
            if not isinstance(x, NDArray) or x._base is not None or owners.setdefault(id(x), number) != number:
                return None
    engine.evaluate(*[x.value for group in groups for x in group], *[target.value for target in outs])
    steps = [_step(name, rule, group, some, like, target) for group, some, target in zip(groups, attrs, outs, strict=True)]
    return None if None in steps else steps  # type: ignore[return-value]


def _computed(name: str, rule: Rule, group: Sequence[Any], attrs: dict[str, Any], like: str | None = None) -> Updated:
    """Launch a rule: the result and the new states."""
    arrays = arrays_of(rule)
    for array, x in zip(arrays, group, strict=True):
        if not isinstance(x, NDArray):
            raise DTypeError(f"{name}: {array} is a {type(x).__name__}, but must be an NDArray; make one with nd.array()")
    values, _ = unwrap(name, group)
    try:
        return updates.updated(name, rule, dict(zip(arrays, values, strict=True)), attrs, like or arrays[0])
    except MXNetError:
        raise
    except RAW as error:
        raise refused(name, error, attrs) from error


def _written(name: str, rule: Rule, group: Sequence[Any], found: Updated, out: Any) -> NDArray:
    """Write the result into `out`, or a new array, and the new states over the old."""
    result, states = found
    delivered: NDArray = deliver(name, result, group[0].context, out)
    for array, x in zip(arrays_of(rule), group, strict=True):
        if array in states:
            x._write(states[array])
    return delivered


adam_update = _update("adam_update", updates.adam_update)
ftml_update = _update("ftml_update", updates.ftml_update)
ftrl_update = _update("ftrl_update", updates.ftrl_update)
lamb_update_phase1 = _update("lamb_update_phase1", updates.lamb_update_phase1)
lamb_update_phase2 = _update("lamb_update_phase2", updates.lamb_update_phase2)
multi_lars = _update("multi_lars", updates.multi_lars)
nag_mom_update = _update("nag_mom_update", updates.nag_mom_update)
rmsprop_update = _update("rmsprop_update", updates.rmsprop_update)
rmspropalex_update = _update("rmspropalex_update", updates.rmspropalex_update)
sgd_mom_update = _update("sgd_mom_update", updates.sgd_mom_update)
sgd_update = _update("sgd_update", updates.sgd_update)
signsgd_update = _update("signsgd_update", updates.signsgd_update)
signum_update = _update("signum_update", updates.signum_update)

# Of a float16 weight, by way of its float32 copy.

mp_sgd_update = _update(
    "mp_sgd_update",
    mixed(updates.sgd_update),
    """`sgd_update` of the float32 copy of a float16 weight: `weight32` is written, too; the result is that, rounded.

    >>> from clnd import nd
    >>> weight = nd.array([1], dtype="float16")
    >>> exact = weight.astype("float32")
    >>> nd.mp_sgd_update(weight, weight, exact, lr=1e-4, out=weight).asnumpy(), exact.asnumpy()
    (array([1.], dtype=float16), array([0.9999], dtype=float32))
    """,
)
mp_sgd_mom_update = _update(
    "mp_sgd_mom_update",
    mixed(updates.sgd_mom_update),
    """`sgd_mom_update` of the float32 copy of a float16 weight: `weight32` is written, too; the result is that, rounded.

    >>> from clnd import nd
    >>> weight = nd.array([1], dtype="float16")
    >>> mom, exact = nd.zeros(1), weight.astype("float32")
    >>> nd.mp_sgd_mom_update(weight, weight, mom, exact, lr=1e-4, out=weight).asnumpy(), exact.asnumpy()
    (array([1.], dtype=float16), array([0.9999], dtype=float32))
    """,
)
mp_nag_mom_update = _update(
    "mp_nag_mom_update",
    mixed(updates.nag_mom_update),
    """`nag_mom_update` of the float32 copy of a float16 weight: `weight32` is written, too; the result is that, rounded.

    >>> from clnd import nd
    >>> weight = nd.array([1], dtype="float16")
    >>> mom, exact = nd.zeros(1), weight.astype("float32")
    >>> nd.mp_nag_mom_update(weight, weight, mom, exact, lr=1e-4, out=weight).asnumpy(), exact.asnumpy()
    (array([1.], dtype=float16), array([0.9999], dtype=float32))
    """,
)
mp_lamb_update_phase1 = _update(
    "mp_lamb_update_phase1",
    mixed(updates.lamb_update_phase1, moves=False),
    """`lamb_update_phase1` of the float32 copy of a float16 weight, in float32.

    >>> from clnd import nd
    >>> weight = nd.array([1], dtype="float16")
    >>> exact, mean, var = weight.astype("float32"), nd.zeros(1), nd.zeros(1)
    >>> nd.mp_lamb_update_phase1(weight, weight, mean, var, exact, t=1, wd=0.5, epsilon=0, beta1=0.5, beta2=0.75).asnumpy()
    array([1.5], dtype=float32)
    """,
    like="weight32",
)
mp_lamb_update_phase2 = _update(
    "mp_lamb_update_phase2",
    mixed(updates.lamb_update_phase2),
    """`lamb_update_phase2` of the float32 copy of a float16 weight: `weight32` is written, too; the result is that, rounded.

    Notes
    -----
    MXNet leaves `weight32` as it was, so that the next step begins where this one did.

    >>> from clnd import nd
    >>> weight = nd.array([1], dtype="float16")
    >>> exact, norm = weight.astype("float32"), nd.ones(1)
    >>> nd.mp_lamb_update_phase2(weight, norm, norm, norm, exact, lr=1e-4).asnumpy(), exact.asnumpy()
    (array([1.], dtype=float16), array([0.9999], dtype=float32))
    """,
)

# Of several weights.

multi_sgd_update = _multi_update(
    "multi_sgd_update",
    updates.sgd_update,
    """`sgd_update` of `num_weights` weights, with the learning rates `lrs` and the decays `wds`.

    Given are `weight`, `grad` of each, one after another.

    >>> from clnd import nd
    >>> w = nd.array([1])
    >>> nd.multi_sgd_update(w, w, lrs=(0.5,), wds=(0,)).asnumpy()
    array([0.5], dtype=float32)
    """,
)
multi_sgd_mom_update = _multi_update(
    "multi_sgd_mom_update",
    updates.sgd_mom_update,
    """`sgd_mom_update` of `num_weights` weights, with the learning rates `lrs` and the decays `wds`.

    Given are `weight`, `grad`, `mom` of each, one after another.

    >>> from clnd import nd
    >>> w = nd.array([1])
    >>> nd.multi_sgd_mom_update(w, w, nd.zeros(1), lrs=(0.5,), wds=(0,)).asnumpy()
    array([0.5], dtype=float32)
    """,
)
multi_mp_sgd_update = _multi_update(
    "multi_mp_sgd_update",
    mixed(updates.sgd_update),
    """`mp_sgd_update` of `num_weights` weights, with the learning rates `lrs` and the decays `wds`.

    Given are `weight`, `grad`, `weight32` of each, one after another.

    >>> from clnd import nd
    >>> w = nd.array([1], dtype="float16")
    >>> nd.multi_mp_sgd_update(w, w, w.astype("float32"), lrs=(0.5,), wds=(0,)).asnumpy()
    array([0.5], dtype=float16)
    """,
)
multi_mp_sgd_mom_update = _multi_update(
    "multi_mp_sgd_mom_update",
    mixed(updates.sgd_mom_update),
    """`mp_sgd_mom_update` of `num_weights` weights, with the learning rates `lrs` and the decays `wds`.

    Given are `weight`, `grad`, `mom`, `weight32` of each, one after another.

    >>> from clnd import nd
    >>> w = nd.array([1], dtype="float16")
    >>> nd.multi_mp_sgd_mom_update(w, w, nd.zeros(1), w.astype("float32"), lrs=(0.5,), wds=(0,)).asnumpy()
    array([0.5], dtype=float16)
    """,
)
preloaded_multi_sgd_update = _multi_update(
    "preloaded_multi_sgd_update",
    updates.sgd_update,
    """`sgd_update` of `num_weights` weights.

    Given are `weight`, `grad` of each, one after another, then two arrays: all learning rates, all decays.

    >>> from clnd import nd
    >>> w = nd.array([1])
    >>> nd.preloaded_multi_sgd_update(w, w, nd.array([0.5]), nd.zeros(1)).asnumpy()
    array([0.5], dtype=float32)
    """,
    preloaded=True,
)
preloaded_multi_sgd_mom_update = _multi_update(
    "preloaded_multi_sgd_mom_update",
    updates.sgd_mom_update,
    """`sgd_mom_update` of `num_weights` weights.

    Given are `weight`, `grad`, `mom` of each, one after another, then two arrays: all learning rates, all decays.

    >>> from clnd import nd
    >>> w = nd.array([1])
    >>> nd.preloaded_multi_sgd_mom_update(w, w, nd.zeros(1), nd.array([0.5]), nd.zeros(1)).asnumpy()
    array([0.5], dtype=float32)
    """,
    preloaded=True,
)
preloaded_multi_mp_sgd_update = _multi_update(
    "preloaded_multi_mp_sgd_update",
    mixed(updates.sgd_update),
    """`mp_sgd_update` of `num_weights` weights.

    Given are `weight`, `grad`, `weight32` of each, one after another, then two arrays: all learning rates, all decays.

    >>> from clnd import nd
    >>> w = nd.array([1], dtype="float16")
    >>> nd.preloaded_multi_mp_sgd_update(w, w, w.astype("float32"), nd.array([0.5]), nd.zeros(1)).asnumpy()
    array([0.5], dtype=float16)
    """,
    preloaded=True,
)
preloaded_multi_mp_sgd_mom_update = _multi_update(
    "preloaded_multi_mp_sgd_mom_update",
    mixed(updates.sgd_mom_update),
    """`mp_sgd_mom_update` of `num_weights` weights.

    Given are `weight`, `grad`, `mom`, `weight32` of each, one after another, then two arrays: all learning rates, all decays.

    >>> from clnd import nd
    >>> w = nd.array([1], dtype="float16")
    >>> nd.preloaded_multi_mp_sgd_mom_update(w, w, nd.zeros(1), w.astype("float32"), nd.array([0.5]), nd.zeros(1)).asnumpy()
    array([0.5], dtype=float16)
    """,
    preloaded=True,
)
