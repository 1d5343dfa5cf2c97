"""How a convention is declared, and what several families share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from clnd.engine import Value
from clnd.errors import DTypeError
from clnd.ops import Operator, registry

Convention = Callable[..., Any]
CONVENTIONS: dict[str, Convention] = {}


def convention(*names: str) -> Callable[[Callable[[Operator], Convention]], Callable[[Operator], Convention]]:
    """Use what the decorated function makes of an operator as MXNet's form of the operators named."""

    def register(make: Callable[[Operator], Convention]) -> Callable[[Operator], Convention]:
        for name in names:
            CONVENTIONS[name] = make(registry[name])
        return make

    return register


def scalar_for(name: str, value: Any, dtype: np.dtype[Any]) -> Any:
    """A number beside an array takes the array's dtype: beside integers it loses its fraction."""
    if dtype.kind in "iu" and isinstance(value, (float, np.floating)):
        if not np.isfinite(value):
            raise DTypeError(f"{name}: the number {value} has no {dtype} value; convert the array with astype('float32') first")
        return int(value)
    return value


def at_least_1d(value: Value) -> Value:
    """MXNet has no 0-d results of reductions: (1,) stands for them."""
    return value if value.shape else registry["reshape"](value, shape=(1,))
