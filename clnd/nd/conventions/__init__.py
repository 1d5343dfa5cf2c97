"""What MXNet does otherwise than NumPy, in one place: each function in here gives an operator MXNet's attributes and results.

They take and give values; `clnd.nd` wraps them for arrays. Nothing below this package knows these rules.
There is a file for each family of `clnd.ops`.
"""

from . import (
    arithmetic,
    convolution,
    detection,
    indexing,
    linalg,
    losses,
    network,
    recurrent,
    reduction,
    sampling,
    sequence,
    shape,
    sorting,
)
from .declare import CONVENTIONS

__all__ = [
    "CONVENTIONS",
    "arithmetic",
    "convolution",
    "detection",
    "indexing",
    "linalg",
    "losses",
    "network",
    "recurrent",
    "reduction",
    "sampling",
    "sequence",
    "shape",
    "sorting",
]
