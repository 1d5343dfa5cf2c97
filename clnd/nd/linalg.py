"""The `mx.nd.linalg` namespace: the operators that `mx.nd` has as `linalg_...`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from clnd.ndarray import NDArray
from clnd.ops import registry

from .wrapping import wrap

if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., NDArray]: ...


_PREFIX = "linalg_"
__all__ = sorted(name.removeprefix(_PREFIX) for name in registry if name.startswith(_PREFIX))

for _name in __all__:
    globals()[_name] = wrap(registry[_PREFIX + _name], _name)
