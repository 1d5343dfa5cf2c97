"""The `mx.nd.contrib` namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from clnd.ndarray import NDArray
from clnd.ops import registry

from .names import CONTRIB
from .wrapping import wrap

if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., NDArray]: ...


__all__ = sorted(CONTRIB)

for _name in __all__:
    globals()[_name] = wrap(registry[_name], _name)
