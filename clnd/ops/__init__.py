"""The operators: one declaration each, a file a family. Nothing here knows MXNet's conventions."""

from . import arithmetic, creation, indexing, linalg, mathematics, network, positions, random, reduction, shape
from .declare import Operator, registry

__all__ = [
    "Operator",
    "arithmetic",
    "creation",
    "indexing",
    "linalg",
    "mathematics",
    "network",
    "positions",
    "random",
    "reduction",
    "registry",
    "shape",
]
