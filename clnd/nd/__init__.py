"""The `mx.nd` namespace: MXNet's names and conventions over the operators of `clnd.ops`, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clnd.errors import missing_name
from clnd.ndarray import NDArray as NDArray
from clnd.operator import Custom as Custom
from clnd.ops import registry

from . import creation, interchange, names, saving, updates
from .creation import arange as arange
from .creation import array as array
from .creation import concatenate as concatenate
from .creation import empty as empty
from .creation import eye as eye
from .creation import full as full
from .creation import linspace as linspace
from .creation import onehot_encode as onehot_encode
from .creation import ones as ones
from .creation import zeros as zeros
from .interchange import from_dlpack as from_dlpack
from .interchange import from_numpy as from_numpy
from .interchange import to_dlpack_for_read as to_dlpack_for_read
from .interchange import to_dlpack_for_write as to_dlpack_for_write
from .saving import load as load
from .saving import load_frombuffer as load_frombuffer
from .saving import save as save
from .updates import *  # noqa: F403  (a step each: all of its __all__)
from .wrapping import inplace_method, operator_method, wrap


def __getattr__(name: str) -> Callable[..., NDArray]:
    """For type checkers: the functions that the declarations of operators stand for. For all others: there is no such name."""
    raise missing_name("nd", name)


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
        known_as = names.names_in_nd(op.name)
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

from . import contrib as contrib  # noqa: E402  (these use the functions above)
from . import layers as layers  # noqa: E402
from . import linalg as linalg  # noqa: E402
from . import random as random  # noqa: E402
from .layers import BatchNorm as BatchNorm  # noqa: E402
from .layers import Dropout as Dropout  # noqa: E402
from .layers import LeakyReLU as LeakyReLU  # noqa: E402
from .random import normal as normal  # noqa: E402
from .random import random_exponential as random_exponential  # noqa: E402
from .random import random_gamma as random_gamma  # noqa: E402
from .random import random_generalized_negative_binomial as random_generalized_negative_binomial  # noqa: E402
from .random import random_negative_binomial as random_negative_binomial  # noqa: E402
from .random import random_normal as random_normal  # noqa: E402
from .random import random_poisson as random_poisson  # noqa: E402
from .random import random_randint as random_randint  # noqa: E402
from .random import random_uniform as random_uniform  # noqa: E402
from .random import sample_normal as sample_normal  # noqa: E402
from .random import sample_uniform as sample_uniform  # noqa: E402
from .random import shuffle as shuffle  # noqa: E402
from .random import uniform as uniform  # noqa: E402

_SAMPLERS = (
    "normal",
    "random_exponential",
    "random_gamma",
    "random_generalized_negative_binomial",
    "random_negative_binomial",
    "random_normal",
    "random_poisson",
    "random_randint",
    "random_uniform",
    "sample_normal",
    "sample_uniform",
    "shuffle",
    "uniform",
)
_OTHERS = ("Custom", "NDArray", "contrib", "linalg", "random", "waitall")
_MODULES = (creation, interchange, layers, saving, updates)
__all__ = sorted({*_exported, *(name for module in _MODULES for name in module.__all__), *_SAMPLERS, *_OTHERS})
