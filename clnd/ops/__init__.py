"""The operators: one declaration each, a file a family. Nothing here knows MXNet's conventions."""

from . import (
    arithmetic,
    creation,
    ctc,
    indexing,
    linalg,
    losses,
    mathematics,
    network,
    parts,
    random,
    recurrent,
    reduction,
    sequence,
    shape,
)
from .declare import Operator, registry

__all__ = [
    "Operator",
    "arithmetic",
    "creation",
    "ctc",
    "indexing",
    "linalg",
    "losses",
    "mathematics",
    "network",
    "parts",
    "random",
    "recurrent",
    "reduction",
    "registry",
    "sequence",
    "shape",
]
