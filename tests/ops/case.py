"""A case of the table of operators: one way to call an operator that is not elementwise, and what the result is compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clnd.ops import registry
from clnd.ops.declare import Operator
from ops.table import DTYPES, Array, Shape, oracle

Draw = Callable[[np.random.Generator, Shape], Array]
Call = tuple[tuple[Shape, ...], dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """One way to call an operator.

    Attributes
    ----------
    operator : str
    shapes : tuple of shapes
        Of the arrays.
    attributes : dict
    numpy : function, optional
        What it is compared with; that of the declaration by default. It is asked in a wider dtype where the result is rounded.
    dtypes : tuple of str
        Of the arrays.
    result : function, optional
        From the dtype of the arrays to that of the result; the same by default.
    rounded : float or None
        None where the result is exact. Otherwise how many roundings, of a half unit each, an element has gone through ...
    terms : function, optional
        ... and of what size the numbers were that were rounded, if not that of the result: called as `numpy` is.
    draw : dict
        For arrays that are no data (positions and masks): what draws them, by the array's number.
    smooth : tuple of int
        Those of them that are data all the same, but not any: their gradients are checked, too.
    halves : int
        How often the result is rounded on the way if it is float16: each operator that it is composed of does so once.
    gradient : bool
        Is it checked?
    domain : (float, float), optional
        Of data; that of the declaration by default.
    """

    operator: str
    shapes: tuple[Shape, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    numpy: Callable[..., Any] | None = None
    dtypes: tuple[str, ...] = DTYPES
    result: Callable[[np.dtype[Any]], Any] | None = None
    rounded: float | None = None
    terms: Callable[..., Any] | None = None
    draw: dict[int, Draw] = field(default_factory=dict)
    smooth: tuple[int, ...] = ()
    halves: int = 1
    gradient: bool = True
    domain: tuple[float, float] | None = None

    def __str__(self) -> str:
        attributes = [f"{name}={value}".replace(" ", "") for name, value in self.attributes.items()]
        return " ".join([self.operator, "+".join("x".join(map(str, shape)) or "0d" for shape in self.shapes), *attributes])

    @property
    def op(self) -> Operator:
        """The operator."""
        return registry[self.operator]

    @property
    def expected(self) -> Callable[..., Any]:
        """What it is compared with."""
        return self.numpy or oracle(self.op)

    @property
    def moved(self) -> tuple[int, ...]:
        """The arrays whose gradients are checked, by their numbers."""
        small = sum(int(np.prod(shape)) for shape in self.shapes) < 1000
        return tuple(i for i in range(len(self.shapes)) if self.gradient and small and (i not in self.draw or i in self.smooth))

    @property
    def interval(self) -> tuple[float, float]:
        """Where data are drawn from."""
        return self.domain or self.op.domain


def cases(operator: str, calls: list[Call], **options: Any) -> list[Case]:
    """Cases that differ in shapes and attributes alone. The first is checked for every dtype, which further shapes have no bearing on."""
    dtypes = options.pop("dtypes", DTYPES)
    few = ("float32",) if "float32" in dtypes else dtypes
    return [Case(operator, shapes, attributes, dtypes=few if i else dtypes, **options) for i, (shapes, attributes) in enumerate(calls)]


def magnitudes(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of the absolute values."""
    return lambda *arrays, **attributes: function(*(abs(array) for array in arrays), **attributes)


def widened(dtype: np.dtype[Any]) -> Any:
    """Of sums and products: small integers become large ones."""
    return {"i": np.int64, "u": np.uint64, "b": np.int64}.get(dtype.kind, dtype)


def floated(dtype: np.dtype[Any]) -> Any:
    """Of what only floats have."""
    return dtype if dtype.kind == "f" else np.float32


def indices(low: int, high: int, dtype: str = "int32") -> Draw:
    """Draws whole numbers from `low` to `high` - 1."""
    return lambda generator, shape: generator.integers(low, high, shape).astype(dtype)
