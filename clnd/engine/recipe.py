"""One kernel for many arrays: what some elementwise operators compute of arrays of one shape, for arrays of any size that lie compactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clnd.opencl import Bound

from .dtypes import Scalar
from .fusion import ArrayTerm, Cut, Fusion
from .launch import Prepared, prepare
from .layout import Layout, compact
from .plan import Survey
from .value import Value

if TYPE_CHECKING:
    from clnd.opencl import Buffer

MOST = 4096  # recipes that are kept, and sizes of each
_recipes: dict[Any, Recipe | None] = {}


class Recipe:
    """How to compute some waiting values, from other arrays than theirs and with other numbers.

    Parameters
    ----------
    survey : Survey
        Of the values, whose arrays are of one shape with one axis, or single numbers, with buffers of their own. The recipe refers to none.
    arrays : sequence of int
        How the user of the recipe numbers these arrays.

    Raises
    ------
    Cut
        Where one kernel does not do.
    """

    __slots__ = ("_arrays", "_device", "_numbers", "_outputs", "_sizes", "_terms")

    def __init__(self, survey: Survey, arrays: Sequence[int]) -> None:
        first, *_ = results = survey.nodes[: survey.wanted]
        fusion = Fusion(first.shape, first.device)
        self._outputs = [fusion.add(value) for value in results]
        self._arrays = [arrays[~survey.codes[id(term.source)]] for term in fusion.terms if isinstance(term, ArrayTerm)]
        self._numbers = survey.numbers_of(fusion)
        self._device = first.device
        self._terms = [ArrayTerm(None, term.layout, term.dtype) if type(term) is ArrayTerm else term for term in fusion.terms]  # type: ignore[arg-type]
        self._sizes: dict[int, Prepared] = {}  # the launches for arrays of each

    def numbers(self, survey: Survey) -> list[Scalar]:
        """The numbers of values of this structure, in the order of the kernel's arguments."""
        return [survey.numbers[i] for i in self._numbers]

    def bound(self, size: int) -> BoundRecipe:
        """The recipe for arrays of `size` elements that are the same at most launches, and begin where their buffers do."""
        prepared, count = self._of_size(size), len(self._outputs)
        places = [*enumerate(prepared.outputs), *((count + i, at) for i, at in zip(self._arrays, prepared.arrays, strict=True))]
        return BoundRecipe(self, prepared, places)

    def of(
        self, size: int, numbers: Sequence[Scalar], outputs: Sequence[Buffer], arrays: Sequence[tuple[Buffer | None, int]]
    ) -> tuple[Prepared, list[Any]]:
        """A launch, for `together`: into these buffers, from these, each beside where in it `size` elements begin, below `MARGIN`."""
        prepared = self._of_size(size)
        return prepared, prepared.filled(outputs, [arrays[i] for i in self._arrays], numbers)

    def _of_size(self, size: int) -> Prepared:
        prepared = self._sizes.get(size)
        if prepared is None:
            fusion = Fusion((size,), self._device)
            for term in self._terms:
                if type(term) is ArrayTerm:
                    term = ArrayTerm(term.source, Layout((size,), term.layout.strides, 0), term.dtype)
                fusion.terms.append(term)
            if len(self._sizes) >= MOST:
                self._sizes.clear()
            prepared = self._sizes[size] = prepare(fusion, self._outputs, [compact((size,))] * len(self._outputs))
        return prepared


class BoundRecipe:
    """A recipe with a kernel of its own, whose arguments are set when they change. It is not for where somebody listens to the devices."""

    __slots__ = ("_bound", "_numbers", "_places", "_positions", "_recipe", "_set")

    def __init__(self, recipe: Recipe, prepared: Prepared, places: list[tuple[int, int]]) -> None:
        self._recipe, self._places, self._positions = recipe, places, prepared.numbers
        self._bound = Bound(prepared.kernel, prepared.global_size, prepared.local_size, ())
        for position, argument in enumerate(prepared.arguments):
            if argument is not None:
                self._bound.set(position, argument)
        self._bound.outputs = prepared.outputs
        self._set: list[Any] = [None] * len(prepared.numbers)  # the numbers that are bound
        self._numbers: Sequence[Scalar] | None = None  # those of the last launch

    def launch(self, recipe: Recipe, numbers: Sequence[Scalar], buffers: Sequence[Any]) -> bool:
        """Launch with buffers to store to, and then those of the inputs. False if it is for another recipe."""
        if recipe is not self._recipe:
            return False
        if numbers is not self._numbers:
            for i, number in enumerate(numbers):
                if number != self._set[i] or number == 0:  # which has a sign
                    self._set[i] = None  # Ctrl-C may come before it is bound
                    self._bound.set(self._positions[i], number)
                    self._set[i] = number
            self._numbers = numbers
        self._bound.give([(position, buffers[i]) for i, position in self._places])
        self._bound.launch()
        return True


def recipe(inputs: Sequence[Value], results: Sequence[Value]) -> tuple[Recipe, list[Scalar]] | None:
    """The recipe of `results`, computed from `inputs`, and their numbers; None where one kernel does not do."""
    if any(value.strides is not None for value in results):
        return None
    survey = Survey(list(results))
    if survey.before is not None:
        return None
    numbers = {id(value.buffer): i for i, value in enumerate(inputs)}
    arrays = tuple(numbers[id(value.buffer)] for value in survey.arrays)
    key = survey.key, arrays
    found = _recipes.get(key)
    if found is None and key not in _recipes:
        try:
            found = Recipe(survey, arrays)
        except Cut:
            pass
        if len(_recipes) >= MOST:
            _recipes.clear()
        _recipes[key] = found
    return None if found is None else (found, found.numbers(survey))
