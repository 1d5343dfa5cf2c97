"""The `mx.nd.contrib` namespace."""

from __future__ import annotations

from collections.abc import Callable

from clnd.errors import missing_name
from clnd.ndarray import NDArray
from clnd.ops import registry

from .names import CONTRIB
from .wrapping import wrap


def __getattr__(name: str) -> Callable[..., NDArray]:
    """For type checkers: the functions that the declarations of operators stand for. For all others: there is no such name."""
    raise missing_name("nd.contrib", name)


__all__ = sorted(CONTRIB)

for _name in __all__:
    globals()[_name] = wrap(registry[_name], _name)
