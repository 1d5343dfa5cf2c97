"""What MXNet does otherwise than NumPy, in one place: each function here gives an operator MXNet's attributes and results.

They take and give values; `clnd.nd` wraps them for arrays. Nothing below this package knows these rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape
from clnd.errors import DTypeError, MXNetError, ShapeError
from clnd.ops import Operator, registry
from clnd.ops.declare import normalize_axes, normalize_axis

Convention = Callable[..., Any]
CONVENTIONS: dict[str, Convention] = {}


def convention(*names: str) -> Callable[[Callable[[Operator], Convention]], Callable[[Operator], Convention]]:
    """Use what the decorated function makes of an operator as MXNet's form of the operators named."""

    def register(make: Callable[[Operator], Convention]) -> Callable[[Operator], Convention]:
        for name in names:
            CONVENTIONS[name] = make(registry[name])
        return make

    return register


def scalar_for(value: Any, dtype: np.dtype[Any]) -> Any:
    """A number beside an array takes the array's dtype: beside integers it loses its fraction."""
    if isinstance(value, (float, np.floating)) and dtypes.category(dtype) in ("int", "uint"):
        if not np.isfinite(value):
            raise DTypeError(f"the number {value} has no {dtype} value; convert the array with astype('float32') first")
        return int(value)
    return value


def _typed(lhs: Any, rhs: Any) -> tuple[Any, Any]:
    if not isinstance(lhs, Value):
        lhs = scalar_for(lhs, rhs.dtype)
    elif not isinstance(rhs, Value):
        rhs = scalar_for(rhs, lhs.dtype)
    return lhs, rhs


@convention("add", "subtract", "multiply", "modulo", "power", "raised", "maximum", "minimum", "hypot")
def arithmetic(op: Operator) -> Convention:
    """A scalar takes the array's dtype."""

    def function(lhs: Any, rhs: Any) -> Any:
        return op(*_typed(lhs, rhs))

    return function


@convention("divide")
def division(op: Operator) -> Convention:
    """Integers divide as in C."""
    truncated = registry["truncated_divide"]

    def function(lhs: Any, rhs: Any) -> Any:
        lhs, rhs = _typed(lhs, rhs)
        whole = all(dtypes.category(x.dtype) != "float" for x in (lhs, rhs) if isinstance(x, Value))
        return (truncated if whole else op)(lhs, rhs)

    return function


@convention("equal", "not_equal", "greater", "greater_equal", "less", "less_equal", "logical_and", "logical_or", "logical_xor")
def comparison(op: Operator) -> Convention:
    """The answer is 0 or 1 in the operands' dtype. A scalar is compared as it is, not cut to an integer."""

    def function(lhs: Any, rhs: Any) -> Any:
        arrays = [x.dtype for x in (lhs, rhs) if isinstance(x, Value)]
        dtype = arrays[0] if len(arrays) == 1 else dtypes.promote(*arrays)
        return registry["cast"](op(lhs, rhs), dtype=dtype)

    return function


@convention("logical_not")
def negation(op: Operator) -> Convention:
    """The answer is 0 or 1 in the operand's dtype."""

    def function(data: Value) -> Any:
        return registry["cast"](op(data), dtype=data.dtype)

    return function


@convention("rint")
def nearest(op: Operator) -> Convention:
    """Halves go to the lower whole number, not to the even one."""

    def function(data: Value) -> Any:
        if dtypes.category(data.dtype) != "float":
            return op(data)
        below, above = registry["floor"](data), registry["ceil"](data)
        return registry["where"](registry["less_equal"](data - below, above - data), below, above)

    return function


def excluded(name: str, axis: Any, ndim: int, exclude: Any) -> Any:
    """The axes to reduce: those given, or with `exclude` all others. MXNet takes () for all."""
    if isinstance(axis, (tuple, list)) and not len(axis):
        axis = None
    if not exclude or axis is None:
        return axis
    given = normalize_axes(name, axis, ndim)
    return tuple(a for a in range(ndim) if a not in given)


def at_least_1d(value: Value) -> Value:
    """MXNet has no 0-d results of reductions: (1,) stands for them."""
    return value if value.shape else registry["reshape"](value, shape=(1,))


@convention("sum", "prod", "max", "min", "mean")
def reduction(op: Operator) -> Convention:
    """`exclude`; the input's dtype; (1,) for a single number."""

    def function(data: Value, *, axis: Any = None, keepdims: Any = False, exclude: Any = False) -> Any:
        axes = excluded(op.name, axis, data.ndim, exclude)
        more = {"dtype": data.dtype} if "dtype" in op.attributes and data.dtype != dtypes.bool_ else {}
        value = op(data, axis=axes, keepdims=bool(keepdims), **more)
        if value.dtype != data.dtype and data.dtype != dtypes.bool_:
            value = registry["cast"](value, dtype=data.dtype)
        return at_least_1d(value)

    return function


@convention("norm")
def norm(op: Operator) -> Convention:
    """(1,) for a single number."""

    def function(data: Value, *, ord: Any = 2, axis: Any = None, out_dtype: Any = None, keepdims: Any = False) -> Any:
        return at_least_1d(op(data, ord=ord, axis=axis, out_dtype=out_dtype, keepdims=bool(keepdims)))

    return function


@convention("argmax", "argmin")
def position(op: Operator) -> Convention:
    """Positions are float32."""

    def function(data: Value, *, axis: Any = None, keepdims: Any = False) -> Any:
        return at_least_1d(registry["cast"](op(data, axis=axis, keepdims=bool(keepdims)), dtype=dtypes.float32))

    return function


def decoded_shape(shape: Shape, codes: Any, reverse: bool = False) -> Shape:
    """Resolve MXNet's codes in a new shape: 0, -1, -2, -3 and -4 (see `NDArray.reshape`).

    Raises
    ------
    ValueError
        If the shape cannot take the array's elements.
    """
    wanted = [int(codes)] if isinstance(codes, (int, np.integer)) else [int(n) for n in codes]
    if reverse:
        return tuple(reversed(decoded_shape(shape[::-1], _reversed_codes(wanted))))
    result: list[int] = []
    source, i = 0, 0

    def take() -> int:
        nonlocal source
        if source >= len(shape):
            raise ShapeError(f"reshape: the codes {tuple(wanted)} use more axes than the shape {shape} has")
        source += 1
        return shape[source - 1]

    while i < len(wanted):
        code = wanted[i]
        if code > 0:
            result.append(code)
            source += 1
        elif code == 0:
            result.append(take())
        elif code == -1:
            result.append(-1)
            source += 1
        elif code == -2:
            result += shape[source:]
            source = len(shape)
        elif code == -3:
            result.append(take() * take())
        elif code == -4:
            size, left, right = take(), *[*wanted[i + 1 : i + 3], 0, 0][:2]
            if left == -1 and right > 0:
                left = size // right
            elif right == -1 and left > 0:
                right = size // left
            if left * right != size or len(wanted) < i + 3:
                raise ShapeError(f"reshape: -4 cannot split an axis of {size} into {tuple(wanted[i + 1 : i + 3])}")
            result += [left, right]
            i += 2
        else:
            raise ShapeError(f"reshape: unknown code {code} in {tuple(wanted)}")
        i += 1
    size = prod(shape)
    if result.count(-1) > 1:
        raise ShapeError(f"reshape: more than one -1 in {tuple(wanted)}")
    if -1 in result:
        rest = prod(n for n in result if n != -1)
        result[result.index(-1)] = size // rest if rest else 0
    if prod(result) != size:
        raise ShapeError(f"Cannot reshape array of size {size} into shape {tuple(wanted)}")
    return tuple(result)


def _reversed_codes(codes: Sequence[int]) -> list[int]:
    """The codes read from the right; -4 keeps its two numbers behind it, exchanged."""
    groups: list[list[int]] = []
    i = 0
    while i < len(codes):
        width = 3 if codes[i] == -4 else 1
        group = list(codes[i : i + width])
        groups.append([group[0], *reversed(group[1:])])
        i += width
    return [n for group in reversed(groups) for n in group]


@convention("dot")
def dot(op: Operator) -> Convention:
    """(1,) for a single number."""

    def function(lhs: Value, rhs: Value, *, transpose_a: Any = False, transpose_b: Any = False, forward_stype: Any = None) -> Any:
        return at_least_1d(op(lhs, rhs, transpose_a=bool(transpose_a), transpose_b=bool(transpose_b)))

    return function


@convention("batch_dot")
def batch_dot(op: Operator) -> Convention:
    """MXNet's attributes."""

    def function(lhs: Value, rhs: Value, *, transpose_a: Any = False, transpose_b: Any = False, forward_stype: Any = None) -> Any:
        return op(lhs, rhs, transpose_a=bool(transpose_a), transpose_b=bool(transpose_b))

    return function


@convention("reshape")
def reshape(op: Operator) -> Convention:
    """MXNet's codes."""

    def function(data: Value, *, shape: Any = (), reverse: Any = False, target_shape: Any = None, keep_highest: Any = False) -> Any:
        return op(data, shape=decoded_shape(data.shape, shape or target_shape or (), bool(reverse)))

    return function


@convention("broadcast_to")
def broadcast_to(op: Operator) -> Convention:
    """0 keeps an axis."""

    def function(data: Value, *, shape: Any = ()) -> Any:
        wanted = tuple(shape)
        if len(wanted) == data.ndim:
            wanted = tuple(old if new == 0 else new for old, new in zip(data.shape, wanted, strict=True))
        return op(data, shape=wanted)

    return function


@convention("split")
def split(op: Operator) -> Convention:
    """Equal parts; a list of them, or the one part alone."""

    def function(data: Value, *, num_outputs: int, axis: int = 1, squeeze_axis: Any = False) -> Any:
        axis = normalize_axis("split", axis, data.ndim)
        n = data.shape[axis]
        if num_outputs < 1 or n % num_outputs:
            raise ShapeError(f"split: an axis of {n} elements cannot be split into {num_outputs} equal parts")
        part = n // num_outputs
        parts: Any = op(data, sections=[(i * part, (i + 1) * part) for i in range(num_outputs)], axis=axis)
        if squeeze_axis:
            parts = [registry["squeeze"](x, axis=axis) for x in parts]
        return parts[0] if num_outputs == 1 else parts

    return function


def slice_window(shape: Shape, begin: Any, end: Any, step: Any = ()) -> tuple[Shape, Shape, Shape]:
    """The window (begin, count, step) of MXNet's `slice`: None or missing for the ends of an axis."""
    begin, end = _sequence(begin), _sequence(end)
    step = _sequence(step) if step is not None else ()
    if len(begin) != len(end) or len(begin) > len(shape):
        raise ShapeError(f"slice: begin {begin} and end {end} do not fit shape {shape}")
    found = []
    for axis, n in enumerate(shape):
        given = slice(
            begin[axis] if axis < len(begin) else None,
            end[axis] if axis < len(end) else None,
            step[axis] if axis < len(step) else None,
        )
        first, last, stride = given.indices(n)
        found.append((first, len(range(first, last, stride)), stride))
    return tuple(f[0] for f in found), tuple(f[1] for f in found), tuple(f[2] for f in found)


def _sequence(numbers: Any) -> tuple[Any, ...]:
    return tuple(numbers) if isinstance(numbers, (tuple, list)) else (numbers,)


@convention("window")
def slicing(op: Operator) -> Convention:
    """MXNet's `slice`: begin, end, step."""

    def function(data: Value, *, begin: Any, end: Any, step: Any = ()) -> Any:
        first, count, stride = slice_window(data.shape, begin, end, step)
        return op(data, begin=first, count=count, step=stride)

    return function


@convention("softmax", "log_softmax")
def softmax(op: Operator) -> Convention:
    """`temperature`; the result's `dtype`; `length`: how many elements of each line count, the others give 0."""

    def function(
        data: Value, length: Value | None = None, *, axis: int = -1, temperature: Any = None, dtype: Any = None, use_length: Any = False
    ) -> Any:
        if temperature is not None and temperature != 1:
            data = data / float(temperature)
        if not use_length:
            value = op(data, axis=axis)
            return value if dtype is None else registry["cast"](value, dtype=dtype)
        if length is None:
            raise DTypeError(f"{op.name}: use_length needs the array length")
        at = normalize_axis(op.name, axis, data.ndim)
        lines = data.shape[:at] + data.shape[at + 1 :]
        if length.shape != lines:
            raise ShapeError(f"{op.name}: length of shape {length.shape} does not fit the lines {lines} of data of shape {data.shape}")
        count = registry["arange"](start=0, step=1, count=data.shape[at], dtype=dtypes.int64, device=data.device)
        count = registry["reshape"](count, shape=tuple(n if i == at else 1 for i, n in enumerate(data.shape)))
        counts = registry["less"](count, registry["cast"](registry["expand_dims"](length, axis=at), dtype=dtypes.int64))
        value = registry["where"](counts, op(registry["where"](counts, data, -math.inf), axis=at), 0.0)
        return value if dtype is None else registry["cast"](value, dtype=dtype)

    return function


@convention("Embedding")
def embedding(op: Operator) -> Convention:
    """MXNet's attributes."""

    def function(
        data: Value, weight: Value, *, input_dim: int = 0, output_dim: int = 0, dtype: Any = None, sparse_grad: Any = False
    ) -> Any:
        if sparse_grad:
            raise MXNetError("Embedding: clnd has no sparse gradients; leave sparse_grad out")
        return op(data, weight, input_dim=input_dim, output_dim=output_dim)

    return function


@convention("where")
def where(op: Operator) -> Convention:
    """A condition of one axis picks whole rows of arrays with more."""

    def function(condition: Any, x: Any, y: Any) -> Any:
        rows = max((value for value in (x, y) if isinstance(value, Value)), key=lambda value: value.ndim, default=None)
        if rows is not None and rows.ndim > 1 and isinstance(condition, Value) and condition.shape == rows.shape[:1]:
            condition = registry["reshape"](condition, shape=(*condition.shape, *[1] * (rows.ndim - 1)))
        return op(condition, x, y)

    return function
