"""Random programs: Hypothesis draws them, clnd runs them, and NumPy runs them beside it with a bound on the error.

A program is drawn by running it: each step is tried on NumPy first, and a step whose result would not be well defined there is left out
(`Rejected`). The mirror computes in float64 and rounds to the dtype where the operation is one that IEEE 754 rounds correctly, so that
sums, products, comparisons and all movement of elements must agree to the bit; what a driver's mathematical functions may add is carried
along, element by element, as a bound. A program is "wild" if it goes on through overflow, NaN and division by zero: then the mirror knows
shapes and dtypes alone.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

import clnd as mx
from clnd import autograd, nd
from measures import keeps_denormals

FLOATS = ("float32", "float64", "float16")
INTEGERS = ("int32", "int64", "int8", "uint8")
LARGEST = 1e4  # larger numbers are left out: they say nothing new and overflow float16
LEAST_DISTANCE = 1e-3  # from a kink to the numbers that a gradient is checked at
LOOSEST = 1e-2  # a bound on the error beyond this would let anything pass
ULPS = 16  # what OpenCL allows a mathematical function, at most
SCALARS = (-2.5, -1, 0, 0.1, 0.5, 1, 2, 3, True)
SPECIAL = (0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 1e-42, -1e-30, 3e38, 65504.0, 2.5, 1e-7, -7.0)


class Rejected(Exception):
    """This step has no well-defined result here."""


@dataclass
class Known:
    """What the mirror knows of an array: its values, how far off clnd may be, its dtype, and whether it shares memory with a leaf."""

    value: np.ndarray
    error: np.ndarray
    dtype: np.dtype
    leaf: bool = False

    def __post_init__(self) -> None:
        self.value, self.error = np.asarray(self.value), np.asarray(self.error)  # NumPy makes scalars of 0-d arrays

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def kind(self) -> str:
        return self.dtype.kind

    def moved(self, move: Callable[[np.ndarray], np.ndarray]) -> Known:
        """A copy whose elements went elsewhere."""
        return Known(np.array(move(self.value), order="C"), np.array(move(self.error), order="C"), self.dtype)


@dataclass(frozen=True)
class Step:
    """`target = name(*operands, **attributes)`, operands being names of arrays or numbers."""

    name: str
    target: str
    operands: tuple[Any, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        attributes = [f"{name}={value!r}" for name, value in self.attributes.items()]
        return f"{self.target} = {self.name}({', '.join([*map(str, self.operands), *attributes])})"


@dataclass
class Program:
    """Inputs, which of them have a gradient attached, the steps, and what the mirror found."""

    inputs: dict[str, np.ndarray]
    leaves: tuple[str, ...]
    steps: list[Step]
    expected: dict[str, Known]

    def __repr__(self) -> str:
        lines = [f"{name} = {value!r}  # {value.dtype}{', a leaf' * (name in self.leaves)}" for name, value in self.inputs.items()]
        return "\n".join(["<program>", *lines, *map(str, self.steps), "</program>"])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print the program as its lines when Hypothesis reports it."""
        printer.text(repr(self))

    def start(self, turned: bool = False) -> dict[str, nd.NDArray]:
        """The inputs on the device, gradients attached; with `turned` each array's elements in the reverse order."""
        inputs = {name: np.flip(value).copy() if turned else value for name, value in self.inputs.items()}
        names = {name: nd.array(value, dtype=value.dtype) for name, value in inputs.items()}
        for name in self.leaves:
            names[name].attach_grad()
        return names

    def run(self, names: dict[str, nd.NDArray]) -> dict[str, nd.NDArray]:
        """Do the steps on clnd."""
        for step in self.steps:
            on_clnd(step, names)
        return names

    def gradients(self, turned: bool = False) -> list[nd.NDArray]:
        """Record the program, weigh its results, walk back, and give the gradient of each leaf; and after them all arrays."""
        names = self.start(turned)
        leaves = [names[name] for name in self.leaves]
        with autograd.record():
            self.run(names)
            head = self.weigh(lambda name, weights: nd.sum(names[name] * nd.array(weights, dtype=weights.dtype)))
            for leaf in leaves:  # so that the head depends on every leaf
                head = head + nd.sum(leaf)
        head.backward()
        return [leaf.grad for leaf in leaves] + list(names.values())

    def weigh(self, term: Callable[[str, np.ndarray], Any]) -> Any:
        """Add up a term for each floating array that the program leaves behind, given its weights."""
        generator, total = np.random.default_rng(len(self.steps)), 0
        for name, known in self.expected.items():
            if known.kind == "f":
                total = total + term(name, (generator.integers(-8, 9, known.shape) / 4).astype(known.dtype))
        return total


# --- the operators: how clnd is asked for them, how NumPy is, and how they spread an error ---


@dataclass(frozen=True)
class Function:
    """An elementwise function of one array.

    `slope(x, e)` bounds its derivative within e of x: None says that it has jumps. `domain(x, e)` tells where it may be asked.
    """

    clnd: Callable[..., Any]
    numpy: Callable[..., Any]
    slope: Callable[..., Any] | None = None
    domain: Callable[..., Any] = lambda x, e: np.isfinite(x)
    rounded: bool = False  # is the result correctly rounded?
    integers: bool = False  # is it offered for integers?
    kinks: tuple[float, ...] = ()


FUNCTIONS = {
    "abs": Function(nd.abs, lambda x: np.where(x.real < 0, -x, x), lambda x, e: 1, rounded=True, integers=True, kinks=(0,)),
    "relu": Function(nd.relu, lambda x: np.where(x.real > 0, x, 0), lambda x, e: 1, rounded=True, integers=True, kinks=(0,)),
    "square": Function(nd.square, lambda x: x * x, lambda x, e: 2 * abs(x) + e, rounded=True, integers=True),
    "clip": Function(
        lambda x: nd.clip(x, -1, 2),
        lambda x: np.where(x.real < -1, -1, np.where(x.real > 2, 2, x)),
        lambda x, e: 1,
        rounded=True,
        kinks=(-1, 2),
    ),
    "sign": Function(nd.sign, np.sign, rounded=True, integers=True),
    "floor": Function(nd.floor, np.floor, rounded=True),
    "ceil": Function(nd.ceil, np.ceil, rounded=True),
    "trunc": Function(nd.trunc, np.trunc, rounded=True),
    "rint": Function(
        nd.rint, lambda x: np.ceil(x - 0.5), rounded=True, domain=lambda x, e: x % 1 != 0.5
    ),  # MXNet and NumPy differ at halves
    "logical_not": Function(nd.logical_not, lambda x: x == 0, rounded=True, integers=True),
    "tanh": Function(nd.tanh, np.tanh, lambda x, e: 1),
    "sin": Function(nd.sin, np.sin, lambda x, e: 1),
    "cos": Function(nd.cos, np.cos, lambda x, e: 1),
    "arctan": Function(nd.arctan, np.arctan, lambda x, e: 1),
    "arcsinh": Function(nd.arcsinh, np.arcsinh, lambda x, e: 1, lambda x, e: abs(x) < 100),
    "sigmoid": Function(nd.sigmoid, lambda x: 1 / (1 + np.exp(-x)), lambda x, e: 0.25, lambda x, e: abs(x) < 80),
    "exp": Function(nd.exp, np.exp, lambda x, e: np.exp(x + e), lambda x, e: x < 6),
    "expm1": Function(nd.expm1, np.expm1, lambda x, e: np.exp(x + e), lambda x, e: x < 6),
    "sqrt": Function(nd.sqrt, np.sqrt, lambda x, e: 0.5 / np.sqrt(x - e), lambda x, e: x - e > 0.1),
    "log": Function(nd.log, np.log, lambda x, e: 1 / (x - e), lambda x, e: x - e > 0.1),
    "log1p": Function(nd.log1p, np.log1p, lambda x, e: 1 / (1 + x - e), lambda x, e: x - e > -0.9),
    "reciprocal": Function(nd.reciprocal, lambda x: 1 / x, lambda x, e: 1 / (abs(x) - e) ** 2, lambda x, e: abs(x) - e > 0.1),
}
COMPARISONS = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "lesser": operator.lt,
    "lesser_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "logical_and": lambda x, y: (x != 0) & (y != 0),
    "logical_xor": lambda x, y: (x != 0) ^ (y != 0),
}
ARITHMETIC = {"add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv, "modulo": operator.mod}
BINARY = {
    **{name: (operator, operator) for name, operator in ARITHMETIC.items()},
    **{name: (getattr(nd, name), compare) for name, compare in COMPARISONS.items()},
    "maximum": (nd.maximum, lambda x, y: np.where(x.real >= y.real, x, y)),
    "minimum": (nd.minimum, lambda x, y: np.where(x.real <= y.real, x, y)),
    "hypot": (nd.broadcast_hypot, lambda x, y: np.sqrt(x * x + y * y)),
}
REDUCTIONS = {
    "sum": np.sum,
    "mean": np.mean,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "norm": lambda x, **how: np.sqrt(np.sum(x * x, **how)),
    "argmax": np.argmax,
    "argmin": np.argmin,
}
MOVES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "transpose": (lambda x, axes: nd.transpose(x, axes=axes), lambda x, axes: np.transpose(x, axes)),
    "T": (lambda x: x.T, np.transpose),
    "swapaxes": (lambda x, axes: nd.swapaxes(x, *axes), lambda x, axes: np.swapaxes(x, *axes)),
    "expand_dims": (lambda x, axis: nd.expand_dims(x, axis=axis), lambda x, axis: np.expand_dims(x, axis)),
    "broadcast_to": (lambda x, shape: nd.broadcast_to(x, shape=shape), lambda x, shape: np.broadcast_to(x, shape)),
    "flip": (lambda x, axis: nd.flip(x, axis=axis), lambda x, axis: np.flip(x, axis)),
    "tile": (lambda x, reps: nd.tile(x, reps=reps), lambda x, reps: np.tile(x, reps)),
    "repeat": (lambda x, axis: nd.repeat(x, repeats=2, axis=axis), lambda x, axis: np.repeat(x, 2, axis)),
    "take": (lambda x, indices: nd.take(x, nd.array(indices)), lambda x, indices: np.take(x, indices, 0)),
    "copy": (lambda x: x.copy(), lambda x: x),
}
JOINS = {
    "concat": (lambda *x, axis: nd.concat(*x, dim=axis), lambda *x, axis: np.concatenate(x, axis)),
    "stack": (lambda *x, axis: nd.stack(*x, axis=axis), lambda *x, axis: np.stack(x, axis)),
}
IN_PLACE = {"iadd": ("add", operator.iadd), "isub": ("subtract", operator.isub), "imul": ("multiply", operator.imul)}


def promote(*dtypes: np.dtype) -> np.dtype:
    """As NumPy does, but an integer beside a float takes the float's dtype."""
    floats = [dtype for dtype in dtypes if dtype.kind == "f"]
    return np.result_type(*(floats or dtypes))


def offered(dtypes: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the dtypes that the device has, else float32; float16 is on every device, since it is computed in float32."""
    return tuple(dtype for dtype in dtypes if dtype != "float64" or mx.cpu().device.traits.fp64) or ("float32",)


def flushes(dtype: np.dtype) -> bool:
    """May the device put zero for a denormal number? It may in float32 alone."""
    return dtype == np.float32 and not keeps_denormals(mx.cpu().device)


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape, if there is one."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise Rejected from None


# --- clnd ---


def on_clnd(step: Step, names: dict[str, nd.NDArray]) -> None:
    """Do one step on clnd."""
    name, how = step.name, step.attributes
    operands = [names[x] if isinstance(x, str) else x for x in step.operands]
    if name == "drop":
        del names[step.target]
    elif name == "read":
        names[step.target].asnumpy()
    elif name == "write":
        names[step.target][how["key"]] = operands[0]
    elif name in IN_PLACE:
        before = names[step.target]
        after = IN_PLACE[name][1](before, operands[0])
        assert after is before
    else:
        names[step.target] = clnd_result(name, operands, how)


def clnd_result(name: str, operands: list[Any], how: dict[str, Any]) -> nd.NDArray:
    """Compute what a step puts under a new name."""
    if name in FUNCTIONS:
        return FUNCTIONS[name].clnd(*operands)
    if name in BINARY:
        return BINARY[name][0](*operands)
    if name in REDUCTIONS:
        return getattr(nd, name)(*operands, **how)
    if name in MOVES:
        return MOVES[name][0](*operands, **how)
    if name in JOINS:
        return JOINS[name][0](*operands, **how)
    if name == "view":
        return operands[0][how["key"]]
    if name == "loop":
        result, other = operands
        for _ in range(how["times"]):
            result = other - result
        return result
    method = {"astype": "astype", "reshape": "reshape", "negative": "__neg__"}.get(name)
    return getattr(operands[0], method)(*how.values()) if method else getattr(nd, name)(*operands, **how)


# --- NumPy ---


class Mirror:
    """Runs steps on NumPy.

    Parameters
    ----------
    wild : bool
        Go on whatever the values are.
    smooth : bool
        Leave out what has no derivative.
    leaves_are_fixed : bool
        Refuse to write to what shares memory with a leaf, as recording does.
    """

    def __init__(self, wild: bool = False, smooth: bool = False, leaves_are_fixed: bool = False) -> None:
        self.wild, self.smooth, self.leaves_are_fixed = wild, smooth, leaves_are_fixed
        self.names: dict[str, Known] = {}

    def require(self, *conditions: Any) -> None:
        if not self.wild and not all(np.all(condition) for condition in conditions):
            raise Rejected

    def require_exact(self, *operands: Known) -> None:
        self.require(*(x.error == 0 for x in operands), not self.smooth)

    def require_distance(self, distance: np.ndarray) -> None:
        self.require(not self.smooth or abs(distance) > LEAST_DISTANCE)

    def do(self, step: Step) -> None:
        name, how = step.name, step.attributes
        with np.errstate(all="ignore"):
            operands = [self.names[x] if isinstance(x, str) else x for x in step.operands]
            if name == "drop":
                del self.names[step.target]
            elif name == "write":
                self.write(self.names[step.target], how["key"], operands[0])
            elif name in IN_PLACE:
                target = self.names[step.target]
                result = self.binary(IN_PLACE[name][0], target, operands[0])
                if result.dtype != target.dtype or result.shape != target.shape:
                    raise Rejected
                self.write(target, ..., result)
            elif name != "read":
                self.names[step.target] = self.result(name, operands, how)

    def result(self, name: str, operands: list[Any], how: dict[str, Any]) -> Known:
        if name in FUNCTIONS:
            return self.function(FUNCTIONS[name], *operands)
        if name in BINARY:
            return self.binary(name, *operands)
        if name in REDUCTIONS:
            return self.reduction(name, *operands, **how)
        if name in MOVES:
            return operands[0].moved(lambda x: MOVES[name][1](x, **how))
        if name in JOINS:
            dtypes = {x.dtype for x in operands}
            if len(dtypes) > 1:
                raise Rejected
            value, error = (JOINS[name][1](*planes, **how) for planes in zip(*((x.value, x.error) for x in operands)))
            return Known(value, error, operands[0].dtype)
        return getattr(self, name)(*operands, **how)

    def finish(self, value: Any, error: Any, dtype: np.dtype, rounded: bool = True) -> Known:
        """Round a result to its dtype; an operation that is not correctly rounded adds to the bound."""
        value = np.array(value, complex if np.iscomplexobj(value) else float, order="C")
        error = np.broadcast_to(np.array(error, float), value.shape).copy()
        if self.wild or np.iscomplexobj(value):
            return Known(value, np.zeros(value.shape), dtype)
        if dtype.kind == "f":
            information = np.finfo(dtype)
            exact = (error == 0) & rounded
            nearest = value.astype(dtype).astype(float)
            unit = np.maximum(float(information.eps) * (abs(value) + error), float(information.smallest_subnormal))
            error += np.where(exact, 0, (1 if rounded else ULPS) * unit)
            if flushes(dtype):
                error += np.where((value != 0) & (abs(value) < information.tiny), float(information.tiny), 0)
            value = np.where(exact, nearest, value)
            self.require(abs(value) <= LARGEST)
        else:
            least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
            self.require(error == 0, value == np.floor(value), least <= value, value <= most, abs(value) < LARGEST)
        self.require(error <= LOOSEST * (1 + abs(value)))
        return Known(value, error, dtype)

    def scalar(self, number: Any, dtype: np.dtype) -> Known:
        """A Python number beside an array takes the array's dtype."""
        convert = {"f": float, "b": bool}.get(dtype.kind, int)
        return self.finish(convert(number), 0, dtype)

    def function(self, function: Function, x: Known) -> Known:
        if x.kind == "b" or (x.kind != "f" and not function.integers):
            raise Rejected
        value, error = x.value, x.error
        self.require(function.domain(value.real, error))
        if function.slope is None:
            self.require_exact(x)
        for kink in function.kinks:
            self.require_distance(value.real - kink)
        spread = 0 if function.slope is None else function.slope(value.real, error) * error
        return self.finish(function.numpy(value), spread, x.dtype, function.rounded)

    def binary(self, name: str, x: Any, y: Any) -> Known:
        given = x, y
        x, y = (x if isinstance(x, Known) else self.scalar(x, y.dtype), y if isinstance(y, Known) else self.scalar(y, x.dtype))
        if x.kind == y.kind == "b" or {x.dtype, y.dtype} == {np.dtype("int8"), np.dtype("uint8")}:
            raise Rejected
        dtype = promote(x.dtype, y.dtype)
        broadcast(x.shape, y.shape)
        a, b, ea, eb = x.value, y.value, x.error, y.error
        if (
            dtype.kind == "f" and not self.wild and not np.iscomplexobj(a) and not np.iscomplexobj(b)
        ):  # an integer beside a float is rounded first
            a, b = (k.value if k.dtype == dtype or k.kind == "f" else k.value.astype(dtype).astype(float) for k in (x, y))
        if name in COMPARISONS:
            self.require_exact(x, y)
            if dtype.kind != "f" and any(isinstance(k, float) for k in given):  # clnd compares it as it is, MXNet cuts it
                raise Rejected
            return self.finish(COMPARISONS[name](a, b), 0, dtype)
        if name in ("add", "subtract"):
            return self.finish(ARITHMETIC[name](a, b), ea + eb, dtype)
        if name == "multiply":
            return self.finish(a * b, ea * abs(b) + eb * abs(a) + ea * eb, dtype)
        if name == "divide" and dtype.kind != "f":
            self.require(b != 0)
            return self.finish(np.trunc(a / b), 0, dtype)
        if name == "divide":
            self.require(abs(b) - eb > 0.1)
            return self.finish(a / b, ea / (abs(b) - eb) + eb * abs(a) / (abs(b) - eb) ** 2, dtype, rounded=False)
        if name == "modulo":
            self.require_exact(x, y)
            self.require(b != 0)
            return self.finish(np.mod(a.real, b.real), 0, dtype)
        if name == "hypot":
            if dtype.kind != "f":
                raise Rejected
            value = BINARY[name][1](a, b)
            self.require_distance(value.real)
            return self.finish(value, ea + eb, dtype, rounded=False)
        self.require_distance(a.real - b.real)
        return self.finish(BINARY[name][1](a, b), np.maximum(ea, eb), dtype)

    def reduction(self, name: str, x: Known, axis: Any = None, keepdims: bool = False, exclude: bool = False) -> Known:
        value, error, rank = x.value, x.error, x.value.ndim
        if x.kind == "b" or (x.kind != "f" and name in ("mean", "norm", "argmax", "argmin")):
            raise Rejected
        axes = tuple(range(rank)) if axis is None else tuple(a % rank for a in (axis if isinstance(axis, tuple) else (axis,)))
        if exclude:
            axes = tuple(a for a in range(rank) if a not in axes)
            if not axes:
                raise Rejected
        n = int(np.prod([x.shape[a] for a in axes]))
        if name not in ("sum", "prod", "norm") and n == 0:
            raise Rejected
        how: dict[str, Any] = {"axis": axes, "keepdims": keepdims}
        if name in ("argmax", "argmin"):
            how["axis"] = axis if axis is None else axes[0]
        result = REDUCTIONS[name](value, **how)
        if np.ndim(result) == 0:
            result = np.reshape(result, 1)
        unit = float(np.finfo(x.dtype).eps) if x.kind == "f" else 0.0
        error_sum, total = (np.sum(plane, axis=axes).reshape(result.shape) for plane in (error, abs(value)))
        if name in ("sum", "mean"):
            # Multiples of 1/1024 add up without rounding, in whatever order.
            exact = (
                not error.any() and not (value * 1024 % 1).any() and (total * 1024 < 2**24).all() if not np.iscomplexobj(value) else True
            )
            slack = error_sum + (0 if exact else n * unit * (total + error_sum))
            divisor = n if name == "mean" else 1
            return self.finish(result, slack / divisor, x.dtype, rounded=name == "sum")
        if name == "norm":
            self.require_distance(result.real)
            return self.finish(result, error_sum + n * unit * abs(result), x.dtype, rounded=False)
        if name == "prod":
            self.require(error == 0)
            whole = not np.iscomplexobj(value) and (value == np.floor(value)).all()
            return self.finish(result, 0 if whole or n == 1 else n * unit * abs(result), x.dtype)
        if name in ("argmax", "argmin"):
            self.require_exact(x)
            return self.finish(result, 0, x.dtype if x.dtype.itemsize >= 4 else np.dtype("float32"))
        if self.smooth:
            ordered = np.sort(np.moveaxis(value.real, axes, range(-len(axes), 0)).reshape(-1, n), axis=1)
            self.require_distance(np.diff(ordered, axis=1))
        return self.finish(result, np.max(error, axis=axes).reshape(result.shape), x.dtype)

    def negative(self, x: Known) -> Known:
        if x.kind == "b":
            raise Rejected
        return self.finish(-x.value, x.error, x.dtype)

    def astype(self, x: Known, dtype: str) -> Known:
        to = np.dtype(dtype)
        if self.smooth and to.kind != "f":
            raise Rejected
        if to.kind == "f":
            return self.finish(x.value, x.error, to)
        self.require_exact(x)
        return self.finish(x.value != 0 if to.kind == "b" else np.trunc(x.value.real), 0, to)

    def where(self, condition: Known, x: Known, y: Known) -> Known:
        if x.dtype != y.dtype or not condition.shape == x.shape == y.shape:
            raise Rejected
        self.require_exact(condition)
        chosen = condition.value != 0
        return Known(np.where(chosen, x.value, y.value), np.where(chosen, x.error, y.error), x.dtype)

    def dot(self, x: Known, y: Known, transpose_a: bool = False, transpose_b: bool = False) -> Known:
        if x.dtype != y.dtype or x.kind != "f" or not x.value.ndim == y.value.ndim == 2:
            raise Rejected
        (a, ea), (b, eb) = (
            [plane.T if turned else plane for plane in (k.value, k.error)] for k, turned in ((x, transpose_a), (y, transpose_b))
        )
        if a.shape[1] != b.shape[0]:
            raise Rejected
        slack = (a.shape[1] + 2) * float(np.finfo(x.dtype).eps) * (abs(a) @ abs(b))
        return self.finish(a @ b, ea @ abs(b) + abs(a) @ eb + ea @ eb + slack, x.dtype)

    def softmax(self, x: Known, axis: int) -> Known:
        if x.kind != "f" or 0 in x.shape:
            raise Rejected
        powers = np.exp(x.value - np.max(x.value.real, axis=axis, keepdims=True))
        result = powers / np.sum(powers, axis=axis, keepdims=True)
        slack = (x.shape[axis] + ULPS) * float(np.finfo(x.dtype).eps)
        return self.finish(result, 2 * np.max(x.error, axis=axis, keepdims=True) + slack, x.dtype, rounded=False)

    def loop(self, x: Known, other: Known, times: int) -> Known:
        for _ in range(times):
            before = x
            x = self.binary("subtract", other, x)
            if x.shape != before.shape or x.dtype != before.dtype:
                raise Rejected
        return x

    def view(self, x: Known, key: Any) -> Known:
        """A contiguous part shares memory, any other is a copy; one element has one dimension."""
        planes = []
        for plane in (x.value, x.error):
            part = plane[(*key, ...)] if isinstance(key, tuple) and ... not in key else plane[key]
            part = np.asarray(part) if isinstance(part, np.ndarray) else plane[(key, ...)]
            if part.ndim == 0 and plane.ndim:
                part = part.reshape(1)
            planes.append(part if part.flags.c_contiguous else part.copy())
        shared = planes[0].base is not None
        return Known(*planes, x.dtype, x.leaf and shared)

    def reshape(self, x: Known, shape: tuple[int, ...]) -> Known:
        return Known(x.value.reshape(shape), x.error.reshape(shape), x.dtype, x.leaf)

    def write(self, target: Known, key: Any, source: Any) -> None:
        if target.leaf and self.leaves_are_fixed:
            raise Rejected
        source = source if isinstance(source, Known) else self.scalar(source, target.dtype)
        shape = target.value[key].shape
        if broadcast(shape, source.shape) != shape and source.shape != (1,):
            raise Rejected
        source = self.astype(source, target.dtype.name) if source.dtype != target.dtype else source
        for plane, given in ((target.value, source.value), (target.error, source.error)):
            plane[key] = given.reshape(shape) if given.size == np.prod(shape) == 1 else given


# --- drawing ---

SIZES = (1, 2, 3, 5, 16, 33)


class Draft:
    """A program while it is drawn. Every choice of a step hangs on one number, so that Hypothesis can leave steps out."""

    def __init__(self, mirror: Mirror, dtypes: tuple[str, ...], seed: int) -> None:
        self.mirror, self.names, self.random = mirror, mirror.names, random.Random(seed)
        self.dtypes = self.random.choices(dtypes, k=self.integer(1, 3))
        self.sizes = [self.choose(SIZES) for _ in range(self.integer(1, 3))]
        self.steps: list[Step] = []
        self.count = 0

    def choose(self, options: Any) -> Any:
        return self.random.choice(list(options))

    def integer(self, least: int, most: int) -> int:
        return self.random.randint(least, most)

    def flag(self) -> bool:
        return self.random.random() < 0.5

    def new_name(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def shape(self) -> tuple[int, ...]:
        """A shape that broadcasts with the others: a size is the program's for that axis, or 1; now and then 0."""
        rank = self.integer(0, len(self.sizes))
        sizes = self.sizes[len(self.sizes) - rank :]
        return tuple(0 if self.integer(0, 30) == 30 else 1 if self.integer(0, 3) == 3 else n for n in sizes)

    def input(self, dtype: str) -> np.ndarray:
        shape, generator = self.shape(), np.random.default_rng(self.integer(0, 1000))
        if dtype == "bool":
            return generator.integers(0, 2, shape).astype(bool)
        if dtype in INTEGERS:
            return generator.integers(0 if dtype == "uint8" else -5, 6, shape).astype(dtype)
        if self.mirror.wild:
            with np.errstate(over="ignore"):
                return generator.choice(SPECIAL, shape).astype(dtype)
        if self.mirror.smooth:
            return generator.uniform(-2, 2, shape).astype(dtype)
        return (generator.integers(-12, 13, shape) / 4).astype(dtype)

    def operand(self) -> str:
        return self.choose(self.names)

    def operand_or_number(self) -> Any:
        return self.choose(SCALARS) if self.integer(0, 2) == 0 else self.operand()

    def key(self, shape: tuple[int, ...]) -> Any:
        """A key of basic indexing that fits the shape."""
        if not shape:
            return ...
        parts: list[Any] = []
        for n in shape[: self.integer(1, len(shape))]:
            kind = self.choose(["index", "range", "range", "all", "step", "back"])
            if kind == "index" and n:
                parts.append(self.integer(-n, n - 1))
            elif kind == "range":
                parts.append(slice(*sorted((self.integer(0, n), self.integer(0, n)))))
            elif kind == "step":
                parts.append(slice(self.integer(0, n), None, 2))
            elif kind == "back":
                parts.append(slice(None, None, -1))
            else:
                parts.append(slice(None))
        if self.integer(0, 5) == 0:
            parts.insert(0, ...) if len(parts) == len(shape) else parts.append(...)
        if self.integer(0, 8) == 0:
            parts.insert(self.integer(0, len(parts)), None)
        return parts[0] if len(parts) == 1 and self.flag() else tuple(parts)

    def axis(self, rank: int) -> int:
        return self.integer(-rank, rank - 1)

    def add(self, name: str, *operands: Any, target: str | None = None, **attributes: Any) -> None:
        """Try a step on the mirror and keep it if it went well."""
        step = Step(name, target or self.new_name(), operands, attributes)
        try:
            self.mirror.do(step)
        except Rejected:
            return
        self.steps.append(step)

    def step(self, seed: int) -> None:
        """Draw one step; some attempts may be rejected."""
        self.random, before = random.Random(seed), len(self.steps)
        for _ in range(10):
            if len(self.steps) == before:
                getattr(self, "draw_" + self.choose(KINDS))()

    def draw_function(self) -> None:
        self.add(self.choose([*FUNCTIONS, "negative"]), self.operand())

    def draw_binary(self) -> None:
        operands = [self.operand(), self.operand_or_number()]
        name = self.choose([*BINARY, *ARITHMETIC, *ARITHMETIC])
        if self.flag() and (name in ARITHMETIC or not isinstance(operands[1], str)):
            operands.reverse()
        if name not in ARITHMETIC and not isinstance(operands[0], str):
            operands.reverse()
        if name == "hypot" and not isinstance(operands[1], str):
            return
        self.add(name, *operands)

    def draw_reduction(self) -> None:
        x = self.operand()
        rank = len(self.names[x].shape)
        name = self.choose(REDUCTIONS)
        how: dict[str, Any] = {}
        if rank and self.integer(0, 2):
            how["axis"] = self.axis(rank)
            if name not in ("argmax", "argmin", "norm"):
                if rank > 1 and self.flag():
                    how["axis"] = self.choose([(0, 1), (-1, 0), (rank - 1,), (0,)])
                if self.integer(0, 4) == 0:
                    how["exclude"] = True
            if self.flag():
                how["keepdims"] = True
        self.add(name, x, **how)

    def draw_move(self) -> None:
        x = self.operand()
        shape = self.names[x].shape
        rank = len(shape)
        name = self.choose(MOVES)
        if name in ("T", "copy"):
            self.add(name, x)
        elif name == "expand_dims":
            self.add(name, x, axis=self.integer(-rank - 1, rank))
        elif rank == 0:
            return
        elif name == "transpose":
            self.add(name, x, axes=tuple(self.random.sample(range(rank), rank)))
        elif name == "swapaxes":
            self.add(name, x, axes=(self.integer(0, rank - 1), self.integer(0, rank - 1)))
        elif name == "broadcast_to":
            self.add(name, x, shape=tuple(self.choose([1, 2, 7]) if n == 1 else n for n in shape))
        elif name == "tile":
            self.add(name, x, reps=tuple(self.integer(1, 2) for _ in shape))
        elif name == "take":
            if shape[0]:
                self.add(name, x, indices=[self.integer(0, shape[0] - 1) for _ in range(self.integer(1, 4))])
        else:
            self.add(name, x, axis=self.integer(0, rank - 1))

    def draw_join(self) -> None:
        x = self.operand()
        same = [name for name in self.names if self.names[name].shape == self.names[x].shape]
        rank = len(self.names[x].shape)
        name = self.choose(JOINS)
        if name == "stack" or rank:
            self.add(name, x, *(self.choose(same) for _ in range(self.integer(0, 2))), axis=self.integer(0, rank - (name == "concat")))

    def draw_view(self) -> None:
        x = self.operand()
        self.add("view", x, key=self.key(self.names[x].shape))

    def draw_reshape(self) -> None:
        x = self.operand()
        shape = self.names[x].shape
        if 0 in shape:
            return
        size = int(np.prod(shape))
        others = [(size,), (1, size), (size, 1), *((n, size // n) for n in (2, 3) if size % n == 0), (-1,), tuple(reversed(shape)) or (1,)]
        self.add("reshape", x, shape=self.choose(others))

    def draw_write(self) -> None:
        x = self.operand()
        key = slice(None) if self.names[x].shape and self.flag() else self.key(self.names[x].shape)
        self.add("write", self.operand_or_number(), target=x, key=key)

    def draw_in_place(self) -> None:
        self.add(self.choose(IN_PLACE), self.operand_or_number(), target=self.operand())

    def draw_cast(self) -> None:
        self.add("astype", self.operand(), dtype=self.choose(self.dtypes))

    def draw_where(self) -> None:
        x = self.operand()
        same = [name for name in self.names if self.names[name].shape == self.names[x].shape]
        self.add("where", x, self.choose(same), self.choose(same))

    def draw_dot(self) -> None:
        x, turned = self.operand(), {name: True for name in ("transpose_a", "transpose_b") if self.flag()}
        fitting = [name for name in self.names if set(self.names[name].shape) & set(self.names[x].shape)]
        self.add("dot", x, self.choose([x, *fitting]), **turned)

    def draw_softmax(self) -> None:
        x = self.operand()
        if self.names[x].shape:
            self.add("softmax", x, axis=self.axis(len(self.names[x].shape)))

    def draw_loop(self) -> None:
        self.add("loop", self.operand(), self.operand(), times=self.choose([3, 70, 200]))

    def draw_read(self) -> None:
        self.add("read", target=self.operand())

    def draw_drop(self) -> None:
        if len(self.names) > 1:
            self.add("drop", target=self.operand())


KINDS = (
    *("function", "binary") * 6,
    *("write", "in_place", "view", "reduction", "move") * 2,
    *("reshape", "join", "cast", "where", "dot", "softmax", "loop", "read", "drop"),
)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def programs(
    draw: Any, dtypes: tuple[str, ...] = (*FLOATS, *INTEGERS, "bool"), leaves: bool = False, wild: bool = False, smooth: bool = False
) -> Program:
    """Programs of up to twelve steps over arrays of up to three of the dtypes that the device has; `leaves` makes each float array one."""
    mirror = Mirror(wild, smooth, leaves_are_fixed=True)
    draft = Draft(mirror, offered(dtypes), draw(SEEDS))
    inputs, marked = {}, []
    for _ in range(draft.integer(1, 3)):
        name, value = draft.new_name(), np.asarray(draft.input(draft.choose(draft.dtypes)))
        inputs[name] = value
        if value.dtype.kind == "f" and (leaves or draft.flag()):
            marked.append(name)
        mirror.names[name] = Known(np.array(value, float), np.zeros(value.shape), value.dtype, name in marked)
    for seed in draw(st.lists(SEEDS, min_size=1, max_size=12)):
        draft.step(seed)
    return Program(inputs, tuple(marked), draft.steps, mirror.names)
