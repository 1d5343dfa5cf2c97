"""The `mx.nd.contrib` namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from clnd.ndarray import NDArray
from clnd.ops import registry

from . import control
from .control import cond as cond
from .control import foreach as foreach
from .control import while_loop as while_loop
from .names import CONTRIB
from .wrapping import wrap

if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., NDArray]: ...


_generated = sorted(CONTRIB)
__all__ = sorted({*_generated, *control.__all__})

for _name in _generated:
    globals()[_name] = wrap(registry[_name], _name)
