"""The operators: one declaration each, a file a family. Nothing here knows MXNet's conventions."""

from . import (
    arithmetic,
    creation,
    factorization,
    indexing,
    joining,
    linalg,
    mathematics,
    network,
    patches,
    random,
    reduction,
    shape,
    sorting,
)
from .declare import Operator, registry

__all__ = [
    "Operator",
    "arithmetic",
    "creation",
    "factorization",
    "indexing",
    "joining",
    "linalg",
    "mathematics",
    "network",
    "patches",
    "random",
    "reduction",
    "registry",
    "shape",
    "sorting",
]
