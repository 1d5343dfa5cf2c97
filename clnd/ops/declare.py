"""What an operator is, and the families that turn a declaration into records, kernels and gradients.

A declaration is a decorated function: its name, parameters and docstring are the operator's, positional parameters are arrays,
keyword-only ones attributes. `numpy=` is the oracle of the tests and `domain=` their sampling range.

A gradient is one rule for each array: a function of operators, whose parameter names say what it needs and so what is kept for it:
`dz` (the gradient of the output), `z` (the output), an input's or attribute's name, an input's name with `_shape`, and for
operators of any number of arrays `position` and `shapes`. Its result is summed back over broadcast axes here, never in the rule.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any, TypeVar

import numpy as np

from clnd import engine
from clnd.engine import Expression, Folding, Record, Step, Value, dtypes, state
from clnd.engine.layout import MOST_AXES, MOST_ELEMENTS, Shape, broadcast, compact
from clnd.errors import DTypeError, MXNetError, ShapeError, shown

registry: dict[str, Operator] = {}
Rule = Callable[..., Any]


def zero(dz: Value) -> None:
    """The rule of what is constant wherever it is differentiable: nothing flows back."""


class Operator:
    """A named function of values, with its gradient.

    Attributes
    ----------
    name : str
    names : tuple of str
        The arrays it takes; one name, starred in the signature, where it takes any number.
    variadic : bool
    attributes : dict
        Names of its attributes, and their defaults (`inspect.Parameter.empty` where one must be given).
    rules : tuple of functions
        A gradient rule for each array, or for the first ones: the rest, like indices, get zeros. None if there is no gradient.
    numpy : function or None
        What computes the same with NumPy: the oracle of the tests.
    domain : (float, float)
        Where the tests sample.
    methods : tuple of str
        Under which names arrays have this operator as a method.
    dear : bool
        Is computing it dearer than storing its result?
    repeatable : bool
        Do its rules do the same for every record that says the same?
    words : tuple of str
        See `Launched`.
    """

    repeatable = True
    words: tuple[str, ...] = ()

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        grad: Rule | Sequence[Rule] | None = None,
        numpy: Callable[..., Any] | None = None,
        domain: tuple[float, float] = (-2.0, 2.0),
        methods: Sequence[str] | None = None,
        dear: bool = True,
    ) -> None:
        parameters = list(inspect.signature(function).parameters.values())
        self.function, self.name, self.__doc__ = function, function.__name__, function.__doc__
        self.__name__, self.__qualname__, self.__module__ = function.__name__, function.__qualname__, function.__module__
        self.__wrapped__ = function
        self.names = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
        self.required = sum(p.default is p.empty for p in parameters if p.kind is not p.KEYWORD_ONLY)
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.attributes = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        self.rules: tuple[Rule, ...] = () if grad is None else (grad,) if callable(grad) else tuple(grad)
        self.numpy, self.domain, self.dear = numpy, domain, dear
        if methods is None:
            methods = [self.name] if self.names[:1] == ("data",) and not self.variadic else []
        self.methods = tuple(methods)
        self._must = [name for name, default in self.attributes.items() if default is inspect.Parameter.empty]
        self._needs = [tuple(inspect.signature(rule).parameters) for rule in self.rules]
        known = {"dz", "z", "position", "shapes", *self.names, *self.attributes, *(f"{name}_shape" for name in self.names)}
        for needs in self._needs:
            if not known.issuperset(needs):
                raise ValueError(f"{self.name}: a gradient rule asks for {', '.join(set(needs) - known)}")
        self._arguments = [tuple(self._argument(need) for need in needs) for needs in self._needs]
        self._saves: dict[tuple[bool, ...], tuple[frozenset[int], bool]] = {}
        if self.name in registry:
            raise ValueError(f"operator {self.name} is declared twice")
        registry[self.name] = self
        for method in self.methods:
            if method.startswith("__"):
                setattr(Value, method, _reflected(self) if method.startswith("__r") else _bound(self))

    def __call__(self, *inputs: Any, **attrs: Any) -> Value:
        """Apply the operator to values (and numbers, where it takes them): what each family defines."""
        raise NotImplementedError

    def of_two(self, lhs: Any, rhs: Any) -> Value:
        """The same for two operands and no attributes."""
        return self(lhs, rhs)

    def __repr__(self) -> str:
        return f"<operator {self.name}>"

    # What the tape asks.

    @property
    def differentiable(self) -> bool:
        """Has this a gradient (if only zeros)?"""
        return bool(self.rules)

    def _rule(self, position: int) -> int | None:
        number = 0 if self.variadic else position
        return number if number < len(self.rules) else None

    def saves(self, record: Record) -> tuple[frozenset[int], bool]:
        """Which inputs the gradient rules read (positions), and whether they read the output."""
        flags = tuple([type(x) is Value and x.traced for x in record.inputs])
        found = self._saves.get(flags)
        if found is None:
            read: set[str] = set()
            for position, traced in enumerate(flags):
                if traced and (number := self._rule(position)) is not None:
                    read.update(self._needs[number])
            positions = range(len(flags)) if self.variadic and self.names[0] in read else (i for i, n in enumerate(self.names) if n in read)
            found = self._saves[flags] = frozenset(positions), "z" in read
        return found

    def gradients(self, record: Record, dz: Value) -> list[tuple[Value, Value]]:
        """Run the rules of `record` backwards.

        Returns
        -------
        list of (Value, Value)
            Inputs through which a gradient flows, each with its gradient: of the input's shape and dtype.
        """
        dz, results = self.prepare(record, dz), []
        for position, x in enumerate(record.inputs):
            if not (type(x) is Value and x.traced):
                continue
            number = self._rule(position)
            if number is None:
                continue
            dx = self.rules[number](*[argument(record, dz, position) for argument in self._arguments[number]])
            if dx is not None:
                results.append((x, converted(sum_to(dx, x.shape), x.dtype)))
        return results

    def prepare(self, record: Record, dz: Value) -> Value:
        """What the rules get as `dz`."""
        return dz

    def _argument(self, name: str) -> Callable[[Record, Value, int], Any]:
        """What finds the argument of a rule that has this name."""
        if name == "dz":
            return lambda record, dz, position: dz
        if name == "z":
            return lambda record, dz, position: self.prepare(record, record.recall_output())
        if name == "position":
            return lambda record, dz, position: position
        if name == "shapes":
            return lambda record, dz, position: [x.shape for x in record.inputs if isinstance(x, Value)]
        if name in self.attributes:
            return lambda record, dz, position: record.attrs[name]
        if self.variadic and name == self.names[0]:
            return lambda record, dz, position: record.inputs
        if name.endswith("_shape"):
            of = self.names.index(name[: -len("_shape")])
            return lambda record, dz, position: np.shape(record.inputs[of])
        at = self.names.index(name)
        return lambda record, dz, position: record.inputs[at]

    # What the families share.

    def fill(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The attributes with defaults filled in; MXNetError for unknown or missing ones."""
        filled = {**self.attributes, **attrs}
        if len(filled) != len(self.attributes):
            unknown = ", ".join(name for name in attrs if name not in self.attributes)
            known = ", ".join(self.attributes) or "none"
            raise DTypeError(f"{self.name}: no attribute {unknown}; its attributes are {known}")
        for name in self._must:
            if name not in attrs:
                raise DTypeError(f"{self.name}: the attribute {name} must be given")
        return filled

    def device(self, values: Sequence[Value]) -> Any:
        """The device that all values are on; MXNetError where they are on several."""
        device = values[0].device
        for value in values:
            if value.device is not device:
                raise MXNetError(
                    f"{self.name}: operands are on different contexts, {device} and {value.device}; move one with as_in_context()"
                )
        return device


def _bound(op: Operator) -> Callable[..., Value]:
    if len(op.names) == 2:
        return lambda self, other: op.of_two(self, other)
    return lambda self, *rest, **attrs: op(self, *rest, **attrs)


def _reflected(op: Operator) -> Callable[..., Value]:
    return lambda self, other: op.of_two(other, self)


def converted(value: Value, dtype: np.dtype[Any]) -> Value:
    """`value` as `dtype`."""
    return value if value.dtype == dtype else registry["cast"](value, dtype=dtype)


def widened(*values: Value) -> tuple[np.dtype[Any], list[Value]]:
    """The float that a function of the values gives, and the values in what it is computed in: float16 is rounded once, at the end."""
    dtype = dtypes.floating(functools.reduce(dtypes.promote, (value.dtype for value in values)))
    return dtype, [converted(value, dtypes.promote(dtype, dtypes.float32)) for value in values]


def sum_to(value: Value, shape: Shape) -> Value:
    """Undo broadcasting: sum over the axes along which `shape` was stretched."""
    if value.shape == shape:
        return value
    pad = value.ndim - len(shape)
    axes = tuple(i for i, n in enumerate(value.shape) if i < pad or (shape[i - pad] == 1 != n))
    if axes:
        value = registry["sum"](value, axis=axes, keepdims=True)
    return registry["reshape"](value, shape=shape)


def whole_number(name: str, word: str, given: Any) -> int:
    """The attribute `word` of the operator `name` as an int; DTypeError if it is something else."""
    try:
        found = int(operator.index(given))
    except TypeError:
        raise DTypeError(f"{name}: {word} must be an int, not {shown(given)}") from None
    if not -(1 << 63) <= found < 1 << 63:
        raise ShapeError(f"{name}: {word} must be an int of 64 bits, not {shown(found)}")
    return found


def whole_numbers(name: str, word: str, given: Any) -> tuple[int, ...]:
    """The attribute `word` of the operator `name`, an int or several, as a tuple; DTypeError if it is something else."""
    if not isinstance(given, Iterable) or getattr(given, "ndim", 1) == 0:
        return (whole_number(name, word, given),)
    found = tuple(itertools.islice(given, MOST_AXES * 2 + 1))  # twice: a padding has two for each axis
    if len(found) > MOST_AXES * 2:
        raise ShapeError(f"{name}: {word} has more numbers than an array has axes, of which there are {MOST_AXES} at most")
    return tuple(whole_number(name, word, n) for n in found)


def shape_of(name: str, given: Any, word: str = "shape") -> Shape:
    """A shape, an int or several, as a tuple; the error names the operator.

    Raises
    ------
    ShapeError
        For more axes than arrays may have, a negative size, or more elements than can be counted.
    """
    shape = whole_numbers(name, word, given)
    if len(shape) > MOST_AXES:
        raise ShapeError(f"{name}: {word} has {len(shape)} axes; arrays have {MOST_AXES} at most")
    if min(shape, default=0) < 0:
        raise ShapeError(f"{name}: the {word} {shape} has a negative size")
    if prod(n for n in shape if n) > MOST_ELEMENTS:
        raise ShapeError(f"{name}: the {word} {shape} is of more elements than any device has room for")
    return shape


def number(name: str, word: str, given: Any) -> Any:
    """The attribute `word` of the operator `name`, which is a real number; DTypeError if it is something else."""
    if isinstance(given, (int, float, np.integer, np.floating, np.bool_)):
        return given
    if isinstance(given, np.ndarray) and given.ndim == 0 and given.dtype.kind in "biuf":
        return given.item()
    raise DTypeError(f"{name}: {word} must be a number, not {shown(given)}")


def flag(name: str, word: str, given: Any) -> bool:
    """The attribute `word` of the operator `name` as a bool; DTypeError where it could be meant to be something else."""
    if given is None or isinstance(given, (bool, int, np.bool_, np.integer)):
        return bool(given)
    raise DTypeError(f"{name}: {word} must be True or False, not {shown(given)}")


def text(name: str, word: str, given: Any) -> str:
    """The attribute `word` of the operator `name`, which is a text; DTypeError if it is something else."""
    if isinstance(given, str):
        return given
    raise DTypeError(f"{name}: {word} must be a text, not {shown(given)}")


_KINDS: dict[str, Callable[[str, str, Any], Any]] = {"int": whole_number, "float": number, "bool": flag, "str": text}


def checks(function: Callable[..., Any]) -> dict[str, Callable[[str, str, Any], Any]]:
    """What the attributes of a function are checked and converted by, where their annotations (or a default of True or False) say it."""
    found = {}
    for parameter in inspect.signature(function).parameters.values():
        kind = str(parameter.annotation)
        if kind == "Any" and isinstance(parameter.default, bool):
            kind = "bool"
        check = _KINDS.get(kind.removesuffix(" | None"))
        if check is not None and parameter.kind is parameter.KEYWORD_ONLY:
            found[parameter.name] = _or_none(check) if kind.endswith(" | None") else check
    return found


def _or_none(check: Callable[[str, str, Any], Any]) -> Callable[[str, str, Any], Any]:
    return lambda name, word, given: None if given is None else check(name, word, given)


def normalize_axes(name: str, axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """The axes as sorted non-negative numbers; all of them for None.

    Raises
    ------
    ShapeError
        For an axis that is out of range or given twice.
    """
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis % ndim,)
    given = whole_numbers(name, "axis", axis)
    for a in given:
        if not -ndim <= a < ndim:
            raise ShapeError(f"{name}: axis {a} is out of bounds for an array of {ndim} dimensions")
    axes = tuple(sorted(a % ndim for a in given))
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name}: an axis is given twice in {given}")
    return axes


def normalize_axis(name: str, axis: int, ndim: int) -> int:
    """One axis as a non-negative number."""
    axes = normalize_axes(name, axis, ndim)
    if len(axes) != 1:
        raise ShapeError(f"{name}: the axis is {axis}, but must be a single number")
    return axes[0]


def broadcast_shapes(name: str, shapes: Sequence[Shape]) -> Shape:
    """The shape that all broadcast to; ShapeError naming the operator and the shapes."""
    shape = _broadcast(tuple(shapes))
    if shape is None:
        listed = " ".join(str(list(shape)) for shape in shapes)
        raise ShapeError(f"{name}: operands could not be broadcast together with shapes {listed}")
    return shape


@functools.lru_cache(maxsize=4096)
def _broadcast(shapes: tuple[Shape, ...]) -> Shape | None:
    result = []
    for sizes in itertools.zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        wide = {n for n in sizes if n != 1}
        if len(wide) > 1:
            return None
        result.append(wide.pop() if wide else 1)
    return tuple(reversed(result))


class Elementwise(Operator):
    """z[i] = code(x[i], y[i], ...), arrays broadcast to a common shape; waits, and is fused.

    Parameters
    ----------
    code : dict of str to str
        OpenCL C by category of dtype ("float", "int", "uint", "bool"). See `clnd.engine.Expression`.
    promote : {"same", "float"}
        Operands are converted to the dtype that holds them all, or to a float.
    result : dtype, optional
        The output's, where it is not the operands'.
    conditions : int
        How many operands, from the first on, are conditions: converted to bool, of no say in the dtype.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        code: dict[str, str],
        *,
        promote: str = "same",
        result: Any = None,
        conditions: int = 0,
        dear: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(function, dear=dear, **options)
        self.code, self.promote, self.conditions = code, promote, conditions
        self.result = None if result is None else np.dtype(result)
        self._expressions: dict[Any, Expression] = {}
        self.numbers = tuple(name for name in self.attributes if any(re.search(rf"\b{name}\b", text) for text in code.values()))
        self._count = len(self.names) + len(self.numbers)

    def __call__(self, *inputs: Any, **attrs: Any) -> Value:
        """Make a waiting value; checks shapes, dtypes and devices."""
        if self.attributes or attrs:
            attrs = self.fill(attrs)
            inputs += tuple(attrs[name] for name in self.numbers)
        first: Value | None = None
        same, numbers = True, False
        kinds: list[Any] = []
        for x in inputs:
            if type(x) is not Value:
                numbers = True
                kinds.append(dtypes.scalar_kind(x))
                continue
            kinds.append(x.dtype)
            if first is None:
                first = x
            elif x.device is not first.device:
                self.device([y for y in inputs if type(y) is Value])
            elif x.shape != first.shape:
                same = False
        if len(inputs) != self._count or first is None:
            raise DTypeError(
                f"{self.name} takes {len(self.names)} array(s) ({', '.join(self.names)}), at least one of them no plain number"
            )
        shape = first.shape if same else broadcast_shapes(self.name, [x.shape for x in inputs if type(x) is Value])
        key = tuple(kinds)
        expression = self._expressions.get(key)
        if expression is None:
            expression = self._expressions[key] = self.expression(key)
        if numbers:
            operands = expression.operands
            inputs = tuple([x if type(x) is Value else dtypes.to_scalar(x, dtype) for x, dtype in zip(inputs, operands, strict=True)])
        return engine.defer(self, expression, inputs, attrs, shape, expression.result, first.device)

    def of_two(self, lhs: Any, rhs: Any) -> Value:
        """The same for two operands and no attributes, by a shorter way where operands of these kinds were met before."""
        left, right = type(lhs) is Value, type(rhs) is Value
        expression = self._expressions.get((lhs.dtype if left else type(lhs), rhs.dtype if right else type(rhs)))
        if expression is None or (left and right and lhs.device is not rhs.device):
            return self(lhs, rhs)
        first = lhs if left else rhs
        shape = first.shape
        if not left:
            lhs = dtypes.to_scalar(lhs, expression.operands[0])
        elif not right:
            rhs = dtypes.to_scalar(rhs, expression.operands[1])
        elif shape != rhs.shape:
            shape = broadcast_shapes(self.name, (shape, rhs.shape))
        return engine.defer(self, expression, (lhs, rhs), {}, shape, expression.result, first.device)

    def expression(self, kinds: Sequence[Any]) -> Expression:
        """The code for operands of these dtypes (Python's types stand for numbers)."""
        common: np.dtype[Any] | None = None
        deciding = kinds[self.conditions : len(self.names)]
        for kind in deciding:
            if not isinstance(kind, type):
                common = kind if common is None else dtypes.promote(common, kind)
        for kind in deciding:
            if isinstance(kind, type):
                common = dtypes.promote_scalar(common, kind) if common is not None else _of_number(kind)
        assert common is not None
        if self.promote == "float":
            common = dtypes.floating(common)
        category = dtypes.category(common)
        if category not in self.code:
            raise DTypeError(f"{self.name} is not defined for {common}; convert with astype() first")
        operands = tuple(dtypes.bool_ if i < self.conditions else common for i in range(len(kinds)))
        return Expression(self.name, self.code[category], self.names + self.numbers, operands, common, self.result or common)


def _of_number(kind: type) -> np.dtype[Any]:
    return {bool: dtypes.bool_, int: dtypes.int64}.get(kind, dtypes.float32)


class View(Operator):
    """The same elements seen another way: no kernel. The declared function gives the `Step`.

    Parameters
    ----------
    selects : bool
        Are they some of the elements, so that the others' gradient is zero?
    """

    def __init__(self, function: Callable[..., Step], *, selects: bool = False, **options: Any) -> None:
        super().__init__(function, dear=False, **options)
        self.selects = selects

    def __call__(self, data: Value, **attrs: Any) -> Value:
        """See `data` another way; copies only where strides cannot say it."""
        attrs = self.fill(attrs)
        step = self.function(data, **attrs)
        if data.strides is None:
            shape = step.function(compact(data.shape), *step.arguments).shape
            return engine.defer(self, step, (data,), attrs, shape, data.dtype, data.device)
        layout = step.function(data.layout, *step.arguments)
        source = data
        if layout is None:
            with engine.called(self.name):
                source = engine.copied(data)
            layout = step.function(source.layout, *step.arguments)
        return recorded(self, (data,), attrs, Value(layout.shape, data.dtype, data.device).place(source.buffer, layout))


def recorded(op: Operator, inputs: tuple[Any, ...], attrs: dict[str, Any], value: Value) -> Value:
    """Put the making of a launched value on the tape, if there is one."""
    if state.recording:
        for x in inputs:
            if type(x) is Value and x.traced:
                record = value.record = Record(op, inputs, attrs, value)
                record.settle()
                break
    return value


@functools.lru_cache(maxsize=4096)
def _folded(shape: Shape, axes: tuple[int, ...], keepdims: bool, ndmin: int) -> Shape:
    """The shape of what is folded along `axes`, which are kept as axes of one element or dropped."""
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape)) or (1,) * ndmin
    return tuple(n for i, n in enumerate(shape) if i not in axes) or (1,) * ndmin


class Reduction(Operator):
    """Folds elements along axes; waits, and takes the elementwise work before it into its kernel.

    The rule sees `dz` and `z` with the folded axes kept as axes of one element.

    Parameters
    ----------
    join, identity : str
        OpenCL C of folding `a` and `b`, and of what changes nothing; or each a dict by category of dtype.
    widen : bool
        Do small integers and bool fold to 64 bits, as NumPy's sums do?
    empty : number, optional
        The result of folding no elements; an error without one.
    compensated : bool
        Is it a sum, in which floats carry their rounding errors along?
    finish : str
        OpenCL C of the result from what was folded, `x`, and from the number of elements, `n`.
    promote : {"same", "float"}
        Is the result a float whatever is folded?
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        join: str | dict[str, str],
        identity: str | dict[str, str],
        widen: bool = False,
        empty: float | None = None,
        compensated: bool = False,
        finish: str = "x",
        promote: str = "same",
        **options: Any,
    ) -> None:
        super().__init__(function, **options)
        self.join, self.identity, self.widen, self.empty, self.compensated = join, identity, widen, empty, compensated
        self.finish, self.promote = finish, promote
        self._foldings: dict[Any, Folding] = {}

    def __call__(self, data: Value, *, ndmin: int = 0, **attrs: Any) -> Value:
        """Make a waiting value, with `ndmin` (0 or 1) axes at least."""
        attrs = self.fill(attrs)
        axes = normalize_axes(self.name, attrs["axis"], data.ndim)
        wanted = attrs.get("dtype")
        result = self.result_dtype(data.dtype) if wanted is None else dtypes.as_dtype(wanted)
        shape = _folded(data.shape, axes, bool(attrs["keepdims"]), ndmin)
        if data.size == 0 and 0 not in shape:
            if self.empty is None:
                raise ShapeError(f"{self.name} of no elements (shape {data.shape}, axis {attrs['axis']}) has no value")
            nothing = registry["full"](shape=shape, value=self.empty, dtype=result, device=data.device)
            return recorded(self, (data,), attrs, engine.ready(nothing))
        key = (axes, data.dtype, result)
        how = self._foldings.get(key)
        if how is None:
            how = self._foldings[key] = self.folding(axes, result)
        return engine.defer(self, how, (data,), attrs, shape, result, data.device)

    def result_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """The dtype of the output for an input of `dtype`."""
        if self.promote == "float":
            return dtypes.floating(dtype)
        if not self.widen or dtypes.category(dtype) == "float":
            return dtype
        return np.dtype(np.uint64 if dtypes.category(dtype) == "uint" else np.int64)

    def folding(self, axes: tuple[int, ...], result: np.dtype[Any]) -> Folding:
        """How the engine folds to `result` along `axes`."""
        common = dtypes.float32 if result == dtypes.float16 else result
        category = dtypes.category(common)
        join = self.join if isinstance(self.join, str) else self.join[category]
        identity = self.identity if isinstance(self.identity, str) else self.identity.get(str(common), self.identity.get(category, "0"))
        return Folding(self.name, axes, join, identity, common, result, self.compensated and category == "float", self.finish)

    def prepare(self, record: Record, dz: Value) -> Value:
        """With the folded axes kept as axes of one element."""
        (data,) = record.inputs
        axes = normalize_axes(self.name, record.attrs["axis"], data.ndim)
        return registry["reshape"](dz, shape=tuple(1 if i in axes else n for i, n in enumerate(data.shape)))


class Launched(Operator):
    """Runs at once: the declared function launches templates or calls other operators; the tape sees one record.

    Parameters
    ----------
    gathers : bool
        Does it have arrays that wait computed before it does anything else?
    words : sequence of str
        Attributes that say where in a stream of random numbers it begins, which only its launches depend on.
    """

    def __init__(self, function: Callable[..., Any], *, gathers: bool = False, words: Sequence[str] = (), **options: Any) -> None:
        super().__init__(function, **options)
        self.gathers, self.words = gathers, tuple(words)

    def __call__(self, *inputs: Any, **attrs: Any) -> Value:
        """Launch; returns without waiting for the device."""
        attrs = self.fill(attrs)

        def compute() -> Value:
            value: Value = self.function(*inputs, **attrs)
            engine.evaluate(value)
            return value

        with engine.called(self.name):
            recording, state.recording = state.recording, False
            try:
                value = engine.again(self, inputs, attrs, compute)
            finally:
                state.recording = recording
        if any(value is x for x in inputs) or value.record is not None:
            value = value.twin()
        return recorded(self, inputs, attrs, value)


class Composed(Operator):
    """A function of other operators, each recorded for itself: its gradient is theirs."""

    def __call__(self, *inputs: Any, **attrs: Any) -> Any:
        """Call the function."""
        return self.function(*inputs, **self.fill(attrs))

    @property
    def differentiable(self) -> bool:
        """The parts tell."""
        return True


Declared = TypeVar("Declared", bound=Operator)


def elementwise(
    code: str | None = None,
    *,
    float: str | None = None,
    int: str | None = None,
    uint: str | None = None,
    bool: str | None = None,
    **options: Any,
) -> Callable[[Callable[..., Any]], Elementwise]:
    """Declare an elementwise operator. `code` holds for floats and integers, the others for their category (or override it)."""
    codes = {"float": float or code, "int": int or code, "uint": uint or int or code, "bool": bool}
    return lambda function: Elementwise(function, {k: text for k, text in codes.items() if text is not None}, **options)


def view(**options: Any) -> Callable[[Callable[..., Step]], View]:
    """Declare a view."""
    return lambda function: View(function, **options)


def reduction(**options: Any) -> Callable[[Callable[..., Any]], Reduction]:
    """Declare a reduction."""
    return lambda function: Reduction(function, **options)


def launched(**options: Any) -> Callable[[Callable[..., Any]], Launched]:
    """Declare an operator with a kernel of its own, or one composed of others under its own gradient."""
    return lambda function: Launched(function, **options)


def composed(**options: Any) -> Callable[[Callable[..., Any]], Composed]:
    """Declare a function of other operators."""
    return lambda function: Composed(function, **options)


def stretch(value: Value, shape: Shape) -> Step:
    """The step that broadcasts `value` to `shape`."""
    if len(shape) > MOST_AXES or prod(shape) > MOST_ELEMENTS:
        shape_of("broadcast_to", shape)
    if broadcast_shapes("broadcast_to", [value.shape, shape]) != shape:
        raise ShapeError(f"broadcast_to: an array of shape {value.shape} cannot be broadcast to {shape}")
    return Step(broadcast, (shape,))
