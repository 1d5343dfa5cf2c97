"""From operators on values to functions and methods on arrays, with MXNet's signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clnd import engine
from clnd.context import Context
from clnd.engine import Value, dtypes, state
from clnd.errors import RAW, DTypeError, MXNetError, ShapeError, refused
from clnd.ndarray import NDArray
from clnd.ops import Operator
from clnd.ops.declare import checks

from .conventions import CONVENTIONS
from .conventions.arithmetic import SAME
from .names import PARAMETERS

NUMBERS = (bool, int, float, np.integer, np.floating, np.bool_)


def wrap(op: Operator, name: str) -> Callable[..., Any]:
    """The function of `mx.nd` for an operator: arrays, then attributes by position or name, then `out` and `name`."""
    call: Callable[..., Any] = CONVENTIONS.get(name) or CONVENTIONS.get(op.name, op)
    if call is op:
        arrays, attributes, variadic, required = op.names, op.attributes, op.variadic, op.required
    else:
        parameters = inspect.signature(call).parameters.values()
        arrays = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
        attributes = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        variadic, required = op.variadic, op.required
    arrays = PARAMETERS.get(name, arrays)
    random = "generator" in attributes  # which the context gives, not the user
    attributes = {attribute: default for attribute, default in attributes.items() if attribute != "generator"}
    reads_out = "out" in attributes  # rather than only being written
    attributes = {a: default for a, default in attributes.items() if a != "out"}
    checked = checks(op.function if call is op else call)
    order, count = list(attributes), len(arrays)
    must = [attribute for attribute, default in attributes.items() if default is inspect.Parameter.empty]

    def function(*args: Any, out: Any = None, name: str | None = None, **kwargs: Any) -> Any:
        if variadic:
            given = args[0] if len(args) == 1 and isinstance(args[0], (list, tuple)) else args
            kwargs.pop("num_args", None)
        elif len(args) == count:
            given = args
        else:
            given = args[:count]
            for attribute, value in zip(order, args[count:], strict=False):
                if attribute in kwargs:
                    raise DTypeError(f"{function.__name__}: {attribute} is given twice")
                kwargs[attribute] = value
            if len(args) > count + len(order):
                raise DTypeError(f"{function.__name__} takes at most {count + len(order)} arguments, {len(args)} given")
            for array in arrays[len(given) :]:
                if array in kwargs:
                    given = (*given, kwargs.pop(array))
                elif len(given) < required:
                    raise DTypeError(f"{function.__name__}: the array {array!r} is missing")
        values, context = unwrap(function.__name__, given)
        for attribute, value in kwargs.items():
            if attribute not in attributes:
                raise DTypeError(f"{function.__name__}: no attribute {attribute}; its attributes are {', '.join(order) or 'none'}")
            if attribute in checked:
                kwargs[attribute] = checked[attribute](function.__name__, attribute, value)
        for attribute in must:
            if attribute not in kwargs:
                raise DTypeError(f"{function.__name__}: the attribute {attribute} must be given")
        if random:
            from clnd.random import generator

            kwargs["generator"] = generator(context)
        if reads_out:
            kwargs["out"] = out.value if isinstance(out, NDArray) else None
        before = state.site
        if before is None:
            state.site = engine.user_site()
        try:
            result = call(*values, **kwargs)
        except MXNetError:
            raise
        except RAW as error:
            raise refused(function.__name__, error, {**dict(zip(arrays, values, strict=False)), **kwargs}) from error
        finally:
            state.site = before
        del values  # a write into a part of `out` costs the part only if nobody refers to the whole
        if out is None and type(result) is Value:
            return NDArray(result, context)
        return deliver(function.__name__, result, context, out)

    keyword = inspect.Parameter.KEYWORD_ONLY
    either = inspect.Parameter.VAR_POSITIONAL if variadic else inspect.Parameter.POSITIONAL_OR_KEYWORD
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(a, either) for a in arrays]
        + [inspect.Parameter(a, keyword, default=default) for a, default in attributes.items()]
        + [inspect.Parameter(a, keyword, default=None) for a in ("out", "name")]
    )
    function.__name__ = function.__qualname__ = name
    function.__doc__, function.__module__ = op.__doc__, "clnd.nd"
    return function


def unwrap(name: str, given: Sequence[Any]) -> tuple[list[Any], Context]:
    """The values behind arrays (numbers stay numbers, NumPy arrays are copied to the device), and the context that they share."""
    context: Context | None = None
    others = False
    for x in given:
        if type(x) is NDArray:
            if context is None:
                context = x._context
            elif x._context is not context and x._context != context:
                raise MXNetError(f"{name}: operands are on different contexts, {context} and {x._context}; move one with as_in_context()")
        else:
            others = True
    if context is None:
        found = ", ".join(type(x).__name__ for x in given) or "nothing"
        raise DTypeError(f"{name} takes NDArrays, but was given {found}; make one with nd.array()")
    if others:
        return [x.value if type(x) is NDArray else _operand(name, x, context) for x in given if x is not None], context
    return [x.value for x in given], context


def _operand(name: str, x: Any, context: Context) -> Any:
    """An operand that is no NDArray: a number as it is, a NumPy array or list as a value."""
    if isinstance(x, NUMBERS):
        return x
    if isinstance(x, (np.ndarray, list, tuple)):
        return from_host(name, x, context)
    raise DTypeError(f"{name}: an operand is a {type(x).__name__}; it takes NDArrays, NumPy arrays and numbers")


def from_host(name: str, array: Any, context: Context) -> Value:
    """A NumPy array or list beside an NDArray, as a value: floats as float32 unless NumPy says otherwise."""
    try:
        found = np.asarray(array)
    except ValueError as error:
        raise DTypeError(f"{name}: an operand is no array: {error}") from error
    if found.dtype == np.float64 and not context.device.traits.fp64:
        found = found.astype(np.float32)
    dtype = dtypes.as_dtype(found.dtype, f"{name}: an operand's ")
    return engine.from_numpy(found.astype(dtype, copy=False), context.device)


def deliver(name: str, result: Any, context: Context, out: Any = None) -> Any:
    """Hand values out as arrays, or write them into `out`."""
    several = isinstance(result, (list, tuple))
    if out is None:
        return [NDArray(value, context) for value in result] if several else NDArray(result, context)
    if several or isinstance(out, (list, tuple)):
        results = result if several else [result]
        if not isinstance(out, (list, tuple)) or len(out) != len(results):
            given = f"{len(out)} arrays" if isinstance(out, (list, tuple)) else f"a {type(out).__name__}"
            raise ShapeError(f"{name}: out is {given}; there are {len(results)} results, so it must be a list of as many NDArrays")
        return [deliver(name, value, context, target) for value, target in zip(results, out, strict=True)]
    if not isinstance(out, NDArray):
        raise DTypeError(f"{name}: out is a {type(out).__name__}, not an NDArray")
    if out.shape != result.shape:
        raise ShapeError(f"{name}: out has shape {out.shape}, the result {result.shape}")
    out._write(result)
    return out


def operator_method(op: Operator, method: str) -> Callable[..., Any]:
    """`__add__`, `__radd__` and the like. The shortest way from two arrays to a record."""
    call: Callable[..., Any] = CONVENTIONS.get(op.name, op)
    both = op.of_two if op.name in SAME else call
    name = op.name
    if len(op.names) == 1:
        return lambda self: NDArray(call(self.value), self._context)

    def forward(self: NDArray, other: Any) -> Any:
        kind, context = type(other), self._context
        if kind is NDArray:
            if other._context is not context and other._context != context:
                unwrap(name, (self, other))
            return NDArray(both(self.value, other.value), context)
        if kind is float or kind is int or isinstance(other, NUMBERS):
            return NDArray(call(self.value, other), context)
        if isinstance(other, (np.ndarray, list, tuple)):
            return NDArray(call(self.value, from_host(name, other, self._context)), self._context)
        return NotImplemented

    def reflected(self: NDArray, other: Any) -> Any:
        if isinstance(other, NUMBERS):
            return NDArray(call(other, self.value), self._context)
        if isinstance(other, (np.ndarray, list, tuple)):
            return NDArray(call(from_host(name, other, self._context), self.value), self._context)
        return NotImplemented

    found = reflected if method.startswith("__r") else forward
    found.__name__ = method
    return found


def inplace_method(op: Operator, method: str) -> Callable[..., Any]:
    """`__iadd__` and the like: the result, as the array's dtype, becomes the array's value."""
    forward = operator_method(op, method.replace("__i", "__"))

    def inplace(self: NDArray, other: Any) -> Any:
        result = forward(self, other)
        if result is NotImplemented:
            return result
        if result.shape != self.shape:
            raise ShapeError(f"{op.name} in place: the result has shape {result.shape}, the array {self.shape}")
        self._write(result.value)
        return self

    inplace.__name__ = method
    return inplace
