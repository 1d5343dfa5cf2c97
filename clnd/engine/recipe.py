"""One kernel for many arrays: what some elementwise operators compute of arrays of one shape, for arrays of any size that lie compactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clnd.opencl import Bound

from .fusion import ArrayTerm, Cut, Fusion
from .launch import Prepared, Terms, prepare
from .layout import Layout, compact
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
        Arrays of one shape with one axis, or single numbers, with buffers of their own, and all that the values are computed from.
    results : sequence of Value
        What waits. The recipe refers to none of these.

    Attributes
    ----------
    numbers : list of scalars
        Those in it, in the order of the kernel's arguments.
    sizes : dict
        The launches for arrays of each size; one dict for all recipes that differ in numbers alone.

    Raises
    ------
    Cut
        Where one kernel does not do.
    """

    __slots__ = ("_arrays", "_device", "_outputs", "_terms", "numbers", "sizes")

    def __init__(self, inputs: Sequence[Value], results: Sequence[Value]) -> None:
        first = results[0]
        fusion = Fusion(first.shape, first.device)
        self._outputs = [fusion.add(value) for value in results]
        terms = Terms(fusion, first.device.traits.lanes)
        numbers = {id(value.buffer): i for i, value in enumerate(inputs)}
        self._arrays = [numbers[id(term.source.buffer)] for term in terms.arrays]
        self.numbers = [term.number for term in terms.numbers]
        self._device = first.device
        self._terms = [ArrayTerm(None, term.layout, term.dtype) if type(term) is ArrayTerm else term for term in fusion.terms]  # type: ignore[arg-type]
        self.sizes = _sizes.setdefault((first.device, terms.key, tuple(self._outputs)), {})

    def bound(self, size: int) -> BoundRecipe:
        """The recipe for arrays of `size` elements that are the same at most launches, and begin where their buffers do."""
        prepared, count = self._of_size(size), len(self._outputs)
        places = [*enumerate(prepared.outputs), *((count + i, at) for i, at in zip(self._arrays, prepared.arrays, strict=True))]
        return BoundRecipe(self, prepared, places)

    def of(self, size: int, outputs: Sequence[Buffer], arrays: Sequence[tuple[Buffer | None, int]]) -> tuple[Prepared, list[Any]]:
        """A launch, for `together`: into these buffers, from these, each beside where in it `size` elements begin, below `MARGIN`."""
        prepared = self._of_size(size)
        return prepared, prepared.filled(outputs, [arrays[i] for i in self._arrays], self.numbers)

    def _of_size(self, size: int) -> Prepared:
        prepared = self.sizes.get(size)
        if prepared is None:
            fusion = Fusion((size,), self._device)
            for term in self._terms:
                if type(term) is ArrayTerm:
                    term = ArrayTerm(term.source, Layout((size,), term.layout.strides, 0), term.dtype)
                fusion.terms.append(term)
            if len(self.sizes) >= MOST:
                self.sizes.clear()
            prepared = self.sizes[size] = prepare(fusion, self._outputs, [compact((size,))] * len(self._outputs))
        return prepared


class BoundRecipe:
    """A recipe with a kernel of its own, whose arguments are set when they change. It is not for where somebody listens to the devices."""

    __slots__ = ("_bound", "_numbers", "_places", "_positions", "_recipe")

    def __init__(self, recipe: Recipe, prepared: Prepared, places: list[tuple[int, int]]) -> None:
        self._recipe, self._places, self._positions = recipe, places, prepared.numbers
        self._bound = Bound(prepared.kernel, prepared.global_size, prepared.local_size, ())
        for position, argument in enumerate(prepared.arguments):
            if argument is not None:
                self._bound.set(position, argument)
        self._bound.outputs = prepared.outputs
        self._numbers: list[Any] = [None] * len(prepared.numbers)
        self._renew(recipe)

    def launch(self, recipe: Recipe, buffers: Sequence[Any]) -> bool:
        """Launch with buffers to store to, and then those of the inputs. False if it differs from the first recipe by more than numbers."""
        if recipe is not self._recipe:
            if recipe.sizes is not self._recipe.sizes:
                return False
            self._renew(recipe)
        self._bound.give([(position, buffers[i]) for i, position in self._places])
        self._bound.launch()
        return True

    def _renew(self, recipe: Recipe) -> None:
        self._recipe = recipe
        for i, (position, number) in enumerate(zip(self._positions, recipe.numbers, strict=True)):
            if number != self._numbers[i] or number == 0:  # which has a sign
                self._numbers[i] = number
                self._bound.set(position, number)


def recipe(inputs: Sequence[Value], results: Sequence[Value]) -> Recipe | None:
    """The recipe of `results`; None where one kernel does not do."""
    if any(value.strides is not None for value in results):
        return None
    try:
        return Recipe(inputs, results)
    except Cut:
        return None
