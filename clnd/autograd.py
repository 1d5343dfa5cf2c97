"""Automatic differentiation: walk the launch records behind the heads in reverse, add up what arrives, free what was used.

Nothing here knows an operator: each record's operator gives the gradients of its inputs (`clnd.ops.declare`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clnd import engine, ops
from clnd.engine import Record, Value, state
from clnd.errors import DTypeError, MXNetError, ShapeError
from clnd.ops.declare import converted
from clnd.ops.parts import Part, part_of
from clnd.ops.shape import add_selected, side_by_side

from . import passes
from .ndarray import Leaf, NDArray

__all__ = [
    "Function",
    "backward",
    "get_symbol",
    "grad",
    "is_recording",
    "is_training",
    "mark_variables",
    "pause",
    "predict_mode",
    "record",
    "set_recording",
    "set_training",
    "train_mode",
]


# What is recorded, and how.


class _scope:
    """A `with` block in which this thread records, trains, or not (None: as before). It may be entered again, also within itself."""

    def __init__(self, recording: bool | None, training: bool | None) -> None:
        self._recording = None if recording is None else bool(recording)
        self._training = None if training is None else bool(training)
        self._before: list[tuple[bool, bool]] = []

    # Ctrl-C is met at calls: there is none between the first change and the end of `__enter__`, and none before the last in `__exit__`.

    def __enter__(self) -> None:
        self._before.append((state.recording, state.training))
        if self._recording is not None:
            state.recording = self._recording
        if self._training is not None:
            state.training = self._training

    def __exit__(self, *error: object) -> None:
        state.recording, state.training = self._before[-1]
        del self._before[-1]


def record(train_mode: bool = True) -> Any:
    """A `with` block whose operations are recorded, so that they can be differentiated.

    Parameters
    ----------
    train_mode : bool
        Do operators like dropout behave as in training?

    Examples
    --------
    >>> from clnd import nd, autograd
    >>> x = nd.array([1, 2])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = x * x
    >>> y.backward()
    >>> x.grad.asnumpy()
    array([2., 4.], dtype=float32)
    """
    return _scope(True, train_mode)


def pause(train_mode: bool = False) -> Any:
    """A `with` block within `record` whose operations are not recorded.

    >>> from clnd import autograd
    >>> with autograd.record():
    ...     with autograd.pause():
    ...         print(autograd.is_recording())
    False
    """
    return _scope(False, train_mode)


def train_mode() -> Any:
    """A `with` block in which operators behave as in training, recorded or not.

    >>> from clnd import autograd
    >>> with autograd.train_mode():
    ...     print(autograd.is_training())
    True
    """
    return _scope(None, True)


def predict_mode() -> Any:
    """A `with` block in which operators behave as in prediction, recorded or not.

    >>> from clnd import autograd
    >>> with autograd.record(), autograd.predict_mode():
    ...     print(autograd.is_training())
    False
    """
    return _scope(None, False)


def is_recording() -> bool:
    """Are this thread's operations recorded?

    >>> from clnd import autograd
    >>> autograd.is_recording()
    False
    """
    return state.recording


def is_training() -> bool:
    """Do this thread's operators behave as in training?

    >>> from clnd import autograd
    >>> autograd.is_training()
    False
    """
    return state.training


def set_recording(is_recording: bool) -> bool:
    """Switch recording on or off for this thread; returns what it was.

    >>> from clnd import autograd
    >>> autograd.set_recording(False)
    False
    """
    before, state.recording = state.recording, bool(is_recording)
    return before


def set_training(train_mode: bool) -> bool:
    """Switch training behaviour on or off for this thread; returns what it was.

    >>> from clnd import autograd
    >>> autograd.set_training(False)
    False
    """
    before, state.training = state.training, bool(train_mode)
    return before


def mark_variables(variables: Any, gradients: Any, grad_reqs: str | Sequence[str] = "write") -> None:
    """Attach gradients to arrays: `backward` will write those of `variables` into `gradients`.

    Parameters
    ----------
    variables, gradients : NDArray or list of NDArray
    grad_reqs : {"write", "add", "null"} or list of them

    Examples
    --------
    >>> from clnd import nd, autograd
    >>> x, dx = nd.array([3.0]), nd.zeros((1,))
    >>> autograd.mark_variables([x], [dx])
    >>> with autograd.record():
    ...     y = x * x
    >>> y.backward()
    >>> dx.asnumpy()
    array([6.], dtype=float32)
    """
    variables, gradients = _listed(variables), _listed(gradients)
    reqs = [grad_reqs] * len(variables) if isinstance(grad_reqs, str) else list(grad_reqs)
    if not len(variables) == len(gradients) == len(reqs):
        raise ShapeError(f"mark_variables: {len(variables)} variables, {len(gradients)} gradients and {len(reqs)} grad_reqs")
    for variable, gradient, req in zip(variables, gradients, reqs, strict=True):
        variable.mark(gradient, req)


# The walk.


def backward(heads: Any, head_grads: Any = None, retain_graph: bool = False, train_mode: bool = True) -> None:
    """Compute the gradients of `heads` with respect to all arrays that they were computed from and that have one attached.

    Parameters
    ----------
    heads : NDArray or list of NDArray
    head_grads : NDArray, list of NDArray or None
        The gradient to begin with at each head: ones where there is none.
    retain_graph : bool
        Keep the graph, to go through it again?
    train_mode : bool

    Raises
    ------
    MXNetError
        If a head was not recorded, its graph was freed already, or nothing that it came from has a gradient attached.

    Examples
    --------
    >>> from clnd import nd, autograd
    >>> x = nd.array([1, 2])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y, z = x * 2, x * 3
    >>> autograd.backward([y, z])
    >>> x.grad.asnumpy()
    array([5., 5.], dtype=float32)
    """
    values = [head.value for head in _listed(heads)]
    with engine.called(), _scope(False, train_mode):
        given = _head_grads(values, head_grads)
        if retain_graph:
            _pass(values, given, True)
        else:
            passes.run(values, given, lambda: _pass(values, given, False))


def _pass(values: list[Value], head_grads: Sequence[NDArray | None], retain: bool) -> None:
    """Go through the graph behind `values`, and have the gradients of its leaves computed."""
    tape, leaves = _tape(values)
    wanted = [leaf for leaf in leaves if leaf.req != "null"]
    if not wanted:
        raise MXNetError("There are no inputs in computation graph that require gradients. Call attach_grad() on an input first")
    head_gradients = _head_gradients(values, head_grads)
    for leaf in wanted:
        leaf.release()
    arrived = _walk(tape, values, head_gradients, retain)
    for leaf in wanted:
        leaf.receive(arrived.get(leaf))
    engine.evaluate(*(leaf.gradient.value for leaf in wanted), *values)


def grad(
    heads: Any,
    variables: Any,
    head_grads: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    train_mode: bool = True,
) -> Any:
    """The gradients of `heads` with respect to `variables`, as new arrays.

    Parameters
    ----------
    heads, variables : NDArray or list of NDArray
    head_grads : NDArray, list of NDArray or None
    retain_graph : bool, optional
        Keep the graph? By default if `create_graph`.
    create_graph : bool
        Record the walk itself, so that the gradients can be differentiated again?

    Returns
    -------
    NDArray or list of NDArray
        As `variables` was given.

    Examples
    --------
    >>> from clnd import nd, autograd
    >>> x = nd.array([2.0])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = x * x * x
    ...     dx = autograd.grad(y, [x], create_graph=True)[0]
    >>> dx.backward()
    >>> x.grad.asnumpy()
    array([12.], dtype=float32)
    """
    single = isinstance(variables, NDArray)
    values, wanted = [head.value for head in _listed(heads)], [variable.value for variable in _listed(variables)]
    for value in wanted:
        if not value.traced:
            raise MXNetError("grad: a variable has no gradient attached and was not recorded; call attach_grad() on it before recording")
    retain = create_graph if retain_graph is None else retain_graph
    with engine.called(), _scope(create_graph, train_mode):
        tape, _ = _tape(values)
        head_gradients = _head_gradients(values, _head_grads(values, head_grads))
        arrived = _walk(tape, values, head_gradients, retain, frozenset(_place(value) for value in wanted))
        found = [arrived.get(_place(value)) for value in wanted]
        gradients = [
            NDArray(ops.registry["zeros_like"](variable.value) if dx is None else dx, variable.context)
            for variable, dx in zip(_listed(variables), found, strict=True)
        ]
    return gradients[0] if single else gradients


def _tape(heads: Sequence[Value]) -> tuple[list[Record], list[Leaf]]:
    """The records that the heads were computed by, in the order of their creation, and the leaves that they began with."""
    for head in heads:
        if not head.traced:
            raise MXNetError(
                "Cannot differentiate node because it is not in a computational graph. "
                "Call attach_grad() on the inputs and compute inside `with autograd.record():`"
            )
    places = dict.fromkeys(_place(head) for head in heads)
    stack = list(places)
    while stack:
        place = stack.pop()
        if isinstance(place, Record):
            if place.freed:
                raise MXNetError(
                    f"The graph behind {place.op.name} (recorded at {place.line}) was freed by an earlier backward; "
                    "call that one with retain_graph=True to go through the graph again"
                )
            for x in place.inputs:
                if isinstance(x, Value) and x.traced and (found := _place(x)) not in places:
                    places[found] = None
                    stack.append(found)
    records = sorted((place for place in places if isinstance(place, Record)), key=lambda record: record.order)
    return records, [place for place in places if isinstance(place, Leaf)]


def _walk(
    tape: list[Record], heads: Sequence[Value], head_grads: Sequence[Value], retain: bool, wanted: frozenset[Any] = frozenset()
) -> dict[Any, Any]:
    """Go through the tape backwards. Returns what arrives at the leaves, and at the records in `wanted`."""
    arrived: dict[Any, Any] = {}  # a `Slot` holds a sum in a buffer of its own, and `_Parts` wait for others

    def arrive(value: Value, dz: Any) -> None:
        place = _place(value)
        arrived[place] = _sum(arrived[place]) + dz if place in arrived else dz

    def arrive_selected(record: Record, dz: Value) -> None:
        """Add up gradients of parts where they lie: a sum of arrays as large as the whole for each part would be quadratic."""
        (whole,) = record.inputs
        if not whole.traced:
            return
        place = _place(whole)
        before: Any = arrived.get(place)
        if before is None:
            before = arrived[place] = _Parts(whole)
        if type(before) is _Parts:
            if before.take(record, dz):
                return
            before = before.total()
        if type(before) is not engine.Slot:
            before = engine.Slot(engine.copied(before))
        arrived[place] = before
        add_selected(before, record, dz)

    for head, head_grad in zip(heads, head_grads, strict=True):
        arrive(head, head_grad)
    while tape:
        record = tape.pop()
        dz = _sum(arrived.get(record) if record in wanted else arrived.pop(record, None))
        if dz is not None and getattr(record.op, "selects", False) and not state.recording:
            arrive_selected(record, dz)
        elif dz is not None:
            for x, dx in record.op.gradients(record, dz):  # type: ignore[attr-defined]
                arrive(x, dx)
        if not retain:
            passes.free(record)
    return {place: _sum(dz) for place, dz in arrived.items()}


class _Parts:
    """Gradients of parts of a value, of no more elements than it has: where they turn out to be all of it, one launch joins them."""

    def __init__(self, whole: Value) -> None:
        self._like, self._room = (whole.shape, whole.dtype, whole.device), whole.size
        self._found: list[tuple[Record, Value]] = []

    def take(self, record: Record, dz: Value) -> bool:
        """Take another one, computed so that it holds nothing that it came from; False if it has no room."""
        if dz.size > self._room:
            return False
        self._room -= dz.size
        self._found.append((record, engine.ready(dz)))
        return True

    def total(self) -> Any:
        """Their sum: joined, or a `Slot`, added up where they lie."""
        shape, dtype, device = self._like
        axis = None if self._room else side_by_side(shape, [record.attrs for record, _ in self._found])
        if axis is not None:
            found = sorted(self._found, key=lambda part: part[0].attrs["begin"][axis])
            return ops.registry["concat"](*(dz for _, dz in found), dim=axis)
        slot = engine.Slot(engine.ready(ops.registry["full"](shape=shape, value=0, dtype=dtype, device=device)))
        for i, (record, dz) in enumerate(self._found):
            add_selected(slot, record, dz, fresh=i == 0)
        return slot


def _sum(arrived: Any) -> Any:
    if type(arrived) is _Parts:
        arrived = arrived.total()
    return arrived.value if type(arrived) is engine.Slot else arrived


def _place(value: Value) -> Any:
    """Where the gradient of a value adds up: its leaf, else the record that made it."""
    return value.leaf if value.leaf is not None else value.record


def _head_grads(heads: Sequence[Value], given: Any) -> list[NDArray | None]:
    gradients = [None] * len(heads) if given is None else _listed(given, optional=True)
    if len(gradients) != len(heads):
        raise ShapeError(f"backward: {len(heads)} heads, but {len(gradients)} head gradients")
    return gradients


def _head_gradients(heads: Sequence[Value], given: Sequence[NDArray | None]) -> list[Value]:
    result = []
    for head, gradient in zip(heads, given, strict=True):
        if gradient is None:
            result.append(ops.registry["ones_like"](head))
            continue
        if gradient.shape != head.shape:
            raise ShapeError(f"backward: the head gradient of shape {gradient.shape} does not match the head of shape {head.shape}")
        if gradient.value.device is not head.device:
            raise MXNetError(f"backward: the head is on {head.device}, its gradient on {gradient.value.device}; use as_in_context()")
        result.append(ops.registry["cast"](gradient.value, dtype=head.dtype) if gradient.dtype != head.dtype else gradient.value)
    return result


def _listed(arrays: Any, optional: bool = False) -> list[Any]:
    """One array or several, as a list; if `optional`, None may stand for one."""
    listed = list(arrays) if isinstance(arrays, (list, tuple)) else [arrays]
    for array in listed:
        if not isinstance(array, NDArray) and not (optional and array is None):
            raise DTypeError(f"autograd: an argument is a {type(array).__name__}, not an NDArray")
    return listed


def get_symbol(x: NDArray) -> None:
    """Symbols are the other half of MXNet's interface, which clnd does not have.

    Raises
    ------
    MXNetError
        Always.
    """
    raise MXNetError("get_symbol: clnd has no symbols; call functions of clnd.nd on arrays instead")


# Functions with gradients of their own.


class _Call(Part):
    """The operator of one call of a Function: what it computed lies in the Function's hands.

    Outputs are saved for backward before they have a place in the graph. When the gradient is recorded, `backward` finds them with it.
    """

    repeatable = False

    def __init__(self, function: Function, outputs: Sequence[NDArray]) -> None:
        self.function = function
        self.name = type(function).__name__
        self.outputs = [(x.shape, x.value.dtype, x.context) for x in outputs]
        values = [x.value for x in outputs]
        saved = enumerate(function.saved_tensors)
        self.saved = {i: values.index(x.value) for i, x in saved if isinstance(x, NDArray) and x.value in values}

    def gradients(self, record: Record, dz: Any) -> list[tuple[Value, Any]]:
        """What the Function's `backward` makes of all that has arrived."""
        full = ops.registry["full"]
        given = [
            NDArray(dz[i] if i in dz else full(shape=shape, value=0, dtype=dtype, device=context.device), context)
            for i, (shape, dtype, context) in enumerate(self.outputs)
        ]
        saved = self.function.saved_tensors
        if state.recording and (whole := record.output()) is not None:
            self.function.saved_tensors = tuple(
                NDArray(part_of(whole, self.saved[i], x.value), x.context) if i in self.saved else x for i, x in enumerate(saved)
            )
        site, state.site = state.site, None  # what follows stands in the user's own lines
        try:
            found = self.function.backward(*given)
        finally:
            self.function.saved_tensors, state.site = saved, site
        found = [found] if not isinstance(found, (list, tuple)) else found
        if len(found) != len(record.inputs):
            raise MXNetError(f"{self.name}.backward returned {len(found)} gradients for {len(record.inputs)} inputs")
        results = []
        for i, (x, dx) in enumerate(zip(record.inputs, found, strict=True)):
            if not x.traced or dx is None:
                continue
            if not isinstance(dx, NDArray):
                raise DTypeError(f"{self.name}.backward: gradient {i} is a {type(dx).__name__}, neither an NDArray nor None")
            if dx.shape != x.shape:
                raise ShapeError(f"{self.name}.backward: gradient {i} has shape {dx.shape}, its input {x.shape}")
            results.append((x, converted(dx.value, x.dtype)))
        return results


class Function:
    """A function with a gradient of its own, and any Python in between. Subclasses define `forward` and `backward`.

    Examples
    --------
    >>> from clnd import nd, autograd
    >>> class Sigmoid(autograd.Function):
    ...     def forward(self, x):
    ...         y = 1 / (1 + nd.exp(-x))
    ...         self.save_for_backward(y)
    ...         return y
    ...     def backward(self, dy):
    ...         y, = self.saved_tensors
    ...         return dy * y * (1 - y)
    >>> x = nd.array([0.0])
    >>> x.attach_grad()
    >>> with autograd.record():
    ...     y = Sigmoid()(x)
    >>> y.backward()
    >>> x.grad.asnumpy()
    array([0.25], dtype=float32)
    """

    saved_tensors: tuple[Any, ...] = ()
    _called = False

    def save_for_backward(self, *args: Any) -> None:
        """Keep arrays for `backward`, which finds them in `saved_tensors`."""
        self.saved_tensors = args

    def forward(self, *inputs: Any) -> Any:
        """Compute the outputs; not recorded."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(self, *inputs)")

    def backward(self, *output_grads: Any) -> Any:
        """The gradients of the inputs, given those of the outputs."""
        raise NotImplementedError(f"{type(self).__name__} must define backward(self, *output_grads)")

    def __call__(self, *inputs: NDArray) -> Any:
        """Run `forward`; while recording, `backward` will give its gradient."""
        with _scope(False, None):
            outputs = self.forward(*inputs)
        single = not isinstance(outputs, (list, tuple))
        results = [outputs] if single else list(outputs)
        if state.recording and any(x.value.traced for x in inputs):
            if self._called:
                raise MXNetError(f"{type(self).__name__}: a Function object can be called once while recording; make another one")
            self._called = True
            results = self._record(inputs, results)
        return results[0] if single else results

    def _record(self, inputs: Sequence[NDArray], results: Sequence[NDArray]) -> list[NDArray]:
        values = [result.value for result in results]
        whole = values[0].stand_in()
        whole.leaf = None
        whole.record = Record(_Call(self, results), tuple(x.value.stand_in() for x in inputs), {}, whole)
        engine.evaluate(*values)
        return [
            NDArray(part_of(whole, index, value), result.context) for index, (value, result) in enumerate(zip(values, results, strict=True))
        ]
