"""The operators: one declaration each, a file a family. Nothing here knows MXNet's conventions."""

from . import arithmetic, creation, detection, indexing, linalg, mathematics, network, random, reduction, sampling, shape, spectral
from .declare import Operator, registry

__all__ = [
    "Operator",
    "arithmetic",
    "creation",
    "detection",
    "indexing",
    "linalg",
    "mathematics",
    "network",
    "random",
    "reduction",
    "registry",
    "sampling",
    "shape",
    "spectral",
]
