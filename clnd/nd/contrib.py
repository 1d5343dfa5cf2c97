"""The `mx.nd.contrib` namespace."""

from __future__ import annotations

from collections.abc import Callable

from clnd.errors import missing_name
from clnd.ndarray import NDArray
from clnd.ops import registry

from . import control
from .control import cond as cond
from .control import foreach as foreach
from .control import while_loop as while_loop
from .names import CONTRIB
from .wrapping import wrap


def __getattr__(name: str) -> Callable[..., NDArray]:
    """For type checkers: the functions that the declarations of operators stand for. For all others: there is no such name."""
    raise missing_name("nd.contrib", name)


_generated = sorted(CONTRIB)
__all__ = sorted({*_generated, *control.__all__})

for _name in _generated:
    globals()[_name] = wrap(registry[_name], _name)
