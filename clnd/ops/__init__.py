"""The operators: one declaration each, a file a family. Nothing here knows MXNet's conventions."""

from . import arithmetic, creation, indexing, linalg, lookup, mathematics, network, positions, random, reduction, selection, shape
from .declare import Operator, registry

__all__ = [
    "Operator",
    "arithmetic",
    "creation",
    "indexing",
    "linalg",
    "lookup",
    "mathematics",
    "network",
    "positions",
    "random",
    "reduction",
    "registry",
    "selection",
    "shape",
]
