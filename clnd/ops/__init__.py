"""The operators: one declaration each, a file a family. Nothing here knows MXNet's conventions."""

from . import (
    arithmetic,
    convolution,
    creation,
    indexing,
    linalg,
    mathematics,
    network,
    normalization,
    patches,
    pooling,
    random,
    reduction,
    shape,
)
from .declare import Operator, registry

__all__ = [
    "Operator",
    "arithmetic",
    "convolution",
    "creation",
    "indexing",
    "linalg",
    "mathematics",
    "network",
    "normalization",
    "patches",
    "pooling",
    "random",
    "reduction",
    "registry",
    "shape",
]
