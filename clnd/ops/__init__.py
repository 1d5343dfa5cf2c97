"""The operators: one declaration each, a file a family. Nothing here knows MXNet's conventions."""

from . import arithmetic, creation, factorization, indexing, linalg, mathematics, network, random, reduction, shape
from .declare import Operator, registry

__all__ = [
    "Operator",
    "arithmetic",
    "creation",
    "factorization",
    "indexing",
    "linalg",
    "mathematics",
    "network",
    "random",
    "reduction",
    "registry",
    "shape",
]
