"""The `mx.nd` namespace: MXNet's names and conventions over the operators of `clnd.ops`, and nothing else."""

from __future__ import annotations

from typing import Any

from clnd.ndarray import NDArray
from clnd.ops import registry

from . import creation, names, saving
from .creation import arange, array, empty, eye, full, linspace, ones, zeros
from .saving import load, load_frombuffer, save
from .wrapping import inplace_method, operator_method, wrap

_OWN_METHODS = {name for name in vars(NDArray) if not name.startswith("__")}


def waitall() -> None:
    """Wait until all devices have done all their work; raises what went wrong.

    >>> from clnd import nd
    >>> nd.waitall()
    """
    from clnd.opencl import open_devices

    for device in open_devices():
        device.finish()


def _fill(namespace: dict[str, Any]) -> list[str]:
    """Make the functions and methods that the declarations of operators stand for."""
    exported = []
    for op in registry.values():
        known_as = names.RENAMED.get(op.name, () if op.name in names.HIDDEN else (op.name,)) + names.ALIASES.get(op.name, ())
        for name in known_as:
            namespace[name] = wrap(op, name)
            exported.append(name)
        for method in op.methods:
            if method.startswith("__"):
                setattr(NDArray, method, operator_method(op, method))
                if len(op.names) == 2 and not method.startswith("__r"):
                    inplace = method.replace("__", "__i", 1)
                    setattr(NDArray, inplace, inplace_method(op, inplace))
            elif known_as and method not in _OWN_METHODS:
                for name in known_as if method == op.name else (method,):
                    setattr(NDArray, name, wrap(op, name))
    for method, operator in {"__eq__": "equal", "__ne__": "not_equal", "__gt__": "greater", "__ge__": "greater_equal"}.items():
        setattr(NDArray, method, operator_method(registry[operator], method))
    for method, operator in {"__lt__": "less", "__le__": "less_equal"}.items():
        setattr(NDArray, method, operator_method(registry[operator], method))
    return exported


_exported = _fill(globals())

from . import random  # noqa: E402  (its samplers use the functions above)
from .random import (  # noqa: E402
    normal,
    random_normal,
    random_randint,
    random_uniform,
    sample_normal,
    sample_uniform,
    shuffle,
    uniform,
)

_SAMPLERS = ("normal", "random_normal", "random_randint", "random_uniform", "sample_normal", "sample_uniform", "shuffle", "uniform")
__all__ = sorted({*_exported, *creation.__all__, *saving.__all__, *_SAMPLERS, "NDArray", "random", "waitall"})
