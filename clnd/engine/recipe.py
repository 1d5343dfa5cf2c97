"""One kernel for many arrays: what some elementwise operators compute of arrays of one shape, for arrays of any size that lie compactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .fusion import ArrayTerm, Cut, Fusion
from .launch import Prepared, Terms, prepare
from .layout import compact
from .value import Value

if TYPE_CHECKING:
    from clnd.opencl import Buffer

MOST = 4096  # sizes of one structure that are kept
_sizes: dict[Any, dict[int, Prepared]] = {}  # for each structure the launches of arrays of a size


class Recipe:
    """How to compute some waiting values, from other arrays than theirs.

    Parameters
    ----------
    inputs : sequence of Value
        Arrays of one shape, with buffers of their own, and all that the values are computed from.
    results : sequence of Value
        What waits. The recipe refers to none of these.

    Raises
    ------
    Cut
        Where one kernel does not do.
    """

    __slots__ = ("_arrays", "_device", "_numbers", "_outputs", "_sizes", "_terms")

    def __init__(self, inputs: Sequence[Value], results: Sequence[Value]) -> None:
        first = results[0]
        fusion = Fusion(first.shape, first.device)
        self._outputs = [fusion.add(value) for value in results]
        terms = Terms(fusion, first.device.traits.lanes)
        numbers = {id(value.buffer): i for i, value in enumerate(inputs)}
        self._arrays = [numbers[id(term.source.buffer)] for term in terms.arrays]
        self._numbers = [term.number for term in terms.numbers]
        self._device = first.device
        self._terms = [ArrayTerm(None, term.layout, term.dtype) if type(term) is ArrayTerm else term for term in fusion.terms]  # type: ignore[arg-type]
        self._sizes = _sizes.setdefault((first.device, terms.key, tuple(self._outputs)), {})

    def launch(self, size: int, outputs: Sequence[Buffer], arrays: Sequence[tuple[Buffer | None, int]]) -> None:
        """Launch for arrays of `size` elements: into these buffers, from these and where in them elements begin, below `MARGIN`."""
        prepared = self._sizes.get(size)
        if prepared is None:
            if len(self._sizes) >= MOST:
                self._sizes.clear()
            prepared = self._sizes[size] = self._prepared(size)
        prepared.launch(outputs, [arrays[i] for i in self._arrays], self._numbers)

    def _prepared(self, size: int) -> Prepared:
        layout = compact((size,))
        fusion = Fusion((size,), self._device)
        fusion.terms = [ArrayTerm(term.source, layout, term.dtype) if type(term) is ArrayTerm else term for term in self._terms]
        return prepare(fusion, self._outputs, [layout] * len(self._outputs))


def recipe(inputs: Sequence[Value], results: Sequence[Value]) -> Recipe | None:
    """The recipe of `results`; None where one kernel does not do."""
    if any(value.strides is not None for value in results):
        return None
    try:
        return Recipe(inputs, results)
    except Cut:
        return None
