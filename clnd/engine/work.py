"""How many bytes a launch moves and how many operations it does, as far as its arguments tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

_BYTES = {"char": 1, "uchar": 1, "half": 2, "int": 4, "uint": 4, "float": 4, "long": 8, "ulong": 8, "double": 8}


def work(template: str, parameters: Mapping[str, Any], kinds: Sequence[str], arguments: Sequence[Any]) -> tuple[int, int]:
    """Bytes that a launch reads and writes, and arithmetic operations that it does.

    Parameters
    ----------
    template, parameters : str, mapping
        What the kernel's source was rendered from.
    kinds, arguments : sequence
        The declared types of the launch's arguments, and these, with sizes in bytes for buffers.

    Returns
    -------
    (int, int)
        For elementwise work and reductions what their layouts say, each element counted once; for others the bytes of all
        buffers, and no operations: their operators tell these (`operations`).
    """
    found = _FAMILIES.get(template)
    if found is not None:
        return found(parameters, arguments)
    return sum(size for kind, size in zip(kinds, arguments, strict=True) if kind == "buffer"), 0


def _elementwise(parameters: Mapping[str, Any], arguments: Sequence[Any]) -> tuple[int, int]:
    dims, arrays = parameters["dims"], [*(store for store, _ in parameters["stores"]), *parameters["loads"]]
    end = len(arguments) - dims
    n, sizes = arguments[end - 1], arguments[end:]
    nbytes, at = 0, 0
    for array in arrays:
        at += 2
        nbytes += _BYTES[array.storage] * _run(array, n, arguments[at : at + dims], sizes)
        at += dims if array.general else 0
    return nbytes, len(parameters["lines"]) * n


def _reduction(parameters: Mapping[str, Any], arguments: Sequence[Any]) -> tuple[int, int]:
    dims, steps = parameters["dims"], parameters["steps"]
    arrays = [*(store for store, _ in parameters["stores"]), *parameters["loads"]]
    out, keep, length = arguments[:3]
    end = len(arguments) - dims
    sizes, counts = arguments[end:], arguments[end - steps : end]
    nbytes, at = out, 4 if parameters["finish"] else 3
    for array in arrays:
        at += 2
        stepped = prod(count for count, stride in zip(counts, arguments[at : at + steps], strict=True) if stride)
        at += steps
        run = _run(array, length if parameters["inner"] else keep, arguments[at : at + dims], sizes)
        nbytes += _BYTES[array.storage] * stepped * run
        at += dims if array.general else 0
    return nbytes, (len(parameters["lines"]) + 1) * keep * length


def _run(array: Any, n: int, strides: Sequence[int], sizes: Sequence[int]) -> int:
    """Elements of an array that a walk over `n` elements meets."""
    if not array.general:
        return 1 if array.kind == "same" else n
    return prod(size for size, stride in zip(sizes, strides, strict=True) if stride)


_FAMILIES: dict[str, Callable[[Mapping[str, Any], Sequence[Any]], tuple[int, int]]] = {"elementwise": _elementwise, "reduction": _reduction}
