"""From a fusion to a running kernel: how its arrays are walked, which kernel that takes, and its arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clnd.errors import DeviceError

from . import code
from .dtypes import INFO, Scalar, float16, float64
from .layout import Layout, Shape, extent, merge, row_major

if TYPE_CHECKING:
    from clnd.opencl import Buffer, Device, Kernel, Traits

    from .fusion import Fusion, Term

# How many rounds the loops of one work-item may take: Mesa's llvmpipe ends all loops of a work-item, without an error, after 65,535 in all,
# of which the lanes of a run may need several.
ROUNDS = 8192
MAX_ARGUMENTS = 1024  # bytes of arguments that OpenCL promises room for
SEVERAL = 8  # sets of arrays that one launch goes over
_BYTES = {"buffer": 8, "long": 8, "ulong": 8, "double": 8}
NARROW = 2**31 - 2**20  # elements that indices of 32 bits reach, and a round of a loop past them
MARGIN = 1 << 28  # elements from a buffer's start: where arrays begin before, it makes no difference to the kernel
# Tiles along each side of the blocks that elements are turned in: so many pages of memory a processor finds without walking its tables.
BLOCK = 8
_kernels: dict[Any, Kernel] = {}


class Access(NamedTuple):
    """How a kernel walks one of its arrays, as the templates see it.

    `kind` tells how a run of elements along the vector axes lies: "linear" (one after another over all axes), "same" (one element
    for all), and within the last axis "row" (one after another), "repeat" (one element) or "strided"; "crossed" where elements lie
    one after another along another axis, and the kernel reads tiles.
    """

    name: str
    storage: str
    compute: str
    kind: str

    @property
    def general(self) -> bool:
        """Does the kernel need coordinates to find the elements?"""
        return self.kind in ("row", "repeat", "strided", "crossed")


class Walk(NamedTuple):
    """The axes of a kernel after merging: sizes, and for each array its strides."""

    sizes: list[int]
    rows: list[list[int]]

    @classmethod
    def over(cls, layouts: Sequence[Layout], axes: Sequence[int], shape: Shape) -> Walk:
        """Walk `axes` of arrays laid out over `shape`."""
        return cls(*merge(tuple(shape[a] for a in axes), [[layout.strides[a] for a in axes] for layout in layouts]))

    def kind(self, array: int) -> str:
        """The `Access.kind` of an array."""
        row = self.rows[array]
        if not any(row):
            return "same"
        if tuple(row) == row_major(tuple(self.sizes)):
            return "linear"
        return {0: "repeat", 1: "row"}.get(row[-1], "strided")


def check_dtype(dtype: np.dtype[Any], device: Device, name: str) -> None:
    """Raise DeviceError where the device cannot compute with `dtype`."""
    if dtype == float64 and not device.traits.fp64:
        raise DeviceError(f"{name}: {device} has no float64; use float32, or another device (`clnd devices` lists what each can do)")


def kernel_name(names: Sequence[str], dtype: np.dtype[Any], dims: int) -> str:
    """The name of a kernel: its operators, dtype and number of axes."""
    parts: list[str] = []
    for name in names:
        if not parts or parts[-1] != name:
            parts.append(name)
    if len(parts) > 6:
        parts = [*parts[:5], f"{len(parts) - 5}_more"]
    return f"{'_'.join(parts) or 'copy'}__{dtype}_{dims}d"


class Terms:
    """The terms of a fusion as the templates need them: arrays, numbers, lines of code."""

    def __init__(self, fusion: Fusion, lanes: int) -> None:
        from .fusion import ApplyTerm, ArrayTerm, NumberTerm

        self.arrays: list[ArrayTerm] = []
        self.numbers: list[NumberTerm] = []
        self.variables: list[str] = []
        self.applied: list[tuple[int, ApplyTerm]] = []
        self._terms, self._lanes = fusion.terms, lanes
        key: list[Any] = []
        for index, term in enumerate(fusion.terms):
            if type(term) is ApplyTerm:
                self.variables.append(f"t{len(self.applied)}")
                self.applied.append((index, term))
                key.append((term.expression, term.operands))
            elif type(term) is ArrayTerm:
                self.variables.append(f"a{len(self.arrays)}")
                self.arrays.append(term)
                key.append(term.dtype)
            else:
                assert type(term) is NumberTerm
                self.variables.append(f"s{len(self.numbers)}")
                self.numbers.append(term)
                key.append((term.dtype, None))
        self.key = tuple(key)

    @property
    def names(self) -> list[str]:
        """The operators inside."""
        return [term.expression.name for _, term in self.applied]

    def term(self, index: int) -> Term:
        """The fusion's term of this number."""
        return self._terms[index]

    def lines(self) -> tuple[tuple[str, str, str], ...]:
        """A (type, variable, code) for each expression, in order."""
        lanes, result = self._lanes, []
        for index, term in self.applied:
            operands = [
                code.cast(self.variables[i], self._terms[i].dtype, dtype, lanes)
                for i, dtype in zip(term.operands, term.expression.operands, strict=True)
            ]
            kind = code.vector(INFO[term.dtype].compute, lanes)
            result.append((kind, self.variables[index], code.write(term.expression, operands, lanes)))
        return tuple(result)

    def number_parameters(self) -> tuple[tuple[str, str], ...]:
        """The (type, name) of each number."""
        return tuple((INFO[term.dtype].compute, f"s{i}") for i, term in enumerate(self.numbers))


def index_type(layouts: Sequence[Layout], total: int) -> str:
    """ "int" where 32 bits reach every element (a stride past the end included), else "long"."""
    reach = (extent(layout) + max(0, MARGIN - layout.offset) for layout in layouts)
    return "int" if max([total, *reach]) < NARROW else "long"


class Prepared(NamedTuple):
    """A kernel with its grid and those of its arguments that are the same in every launch.

    Attributes
    ----------
    arguments : list
        With gaps at these positions: `outputs` for their buffers, `arrays` for buffers and, next to them, offsets, `numbers` for numbers.
    """

    kernel: Kernel
    global_size: tuple[int, ...]
    local_size: tuple[int, ...] | None
    arguments: list[Any]
    outputs: list[int]
    arrays: list[int]
    numbers: list[int]

    def launch(self, outputs: Sequence[Buffer], arrays: Sequence[tuple[Buffer | None, int]], numbers: Sequence[Scalar]) -> None:
        """Launch with these buffers to store to, arrays (and where in them the elements begin) and numbers."""
        self.kernel(self.global_size, self.local_size, *self.filled(outputs, arrays, numbers))

    def filled(self, outputs: Sequence[Buffer], arrays: Sequence[tuple[Buffer | None, int]], numbers: Sequence[Scalar]) -> list[Any]:
        """The arguments, with these."""
        arguments = self.arguments.copy()
        for at, buffer in zip(self.outputs, outputs):
            arguments[at] = buffer
        for at, (buffer, offset) in zip(self.arrays, arrays):  # type: ignore[assignment]
            arguments[at], arguments[at + 1] = buffer, offset
        for at, number in zip(self.numbers, numbers):
            arguments[at] = number
        return arguments


def together(launches: Sequence[tuple[Prepared, list[Any]]]) -> None:
    """Launch several kernels with these arguments; one that goes over its arrays element after element does several sets in one launch."""
    groups: dict[int, list[tuple[Prepared, list[Any]]]] = {}
    for prepared, arguments in launches:
        groups.setdefault(id(prepared.kernel), []).append((prepared, arguments))
    for group in groups.values():
        kernel = group[0][0].kernel
        about, kinds = kernel.parameters, kernel.arguments or ()
        most = min(SEVERAL, MAX_ARGUMENTS // sum(_BYTES.get(kind, 4) for kind in kinds))
        straight = not about["dims"] and about["crossed"] is None
        while group:
            taken, group = (group[:most], group[most:]) if straight else (group[:1], group[1:])
            if len(taken) > 1:
                _several(kernel, taken)
            else:
                ((prepared, arguments),) = taken
                kernel(prepared.global_size, prepared.local_size, *arguments)


def _several(kernel: Kernel, sets: Sequence[tuple[Prepared, list[Any]]]) -> None:
    """Launch a kernel's work on several sets of arrays. A set's last argument is its size."""
    device, about, kinds = kernel.device, kernel.parameters, kernel.arguments or ()
    members = 1 << (len(sets) - 1).bit_length()
    several = kept(
        (kernel, members),
        lambda: device.kernel(
            "several",
            f"several_{kernel.name}",
            arguments=kinds * members,
            members=members,
            **{name: about[name] for name in ("index", "stores", "loads", "numbers", "lines")},
        ),
    )
    (first, given), items = sets[0], sum(prepared.global_size[0] for prepared, _ in sets)
    empty = [*given[:-1], 0] * (members - len(sets))
    several((items,), first.local_size, *chain.from_iterable(arguments for _, arguments in sets), *empty)


def prepare(fusion: Fusion, outputs: list[int], places: list[Layout]) -> Prepared:
    """The kernel of a fusion.

    Parameters
    ----------
    fusion : Fusion
    outputs : list of int
        The terms to store.
    places : list of Layout
        Where to store them.
    """
    device, shape = fusion.device, fusion.shape
    traits = device.traits
    terms = Terms(fusion, traits.lanes)
    dtypes = [fusion.terms[i].dtype for i in outputs]
    size = prod(shape)
    layouts = places + [array.layout for array in terms.arrays]
    walk = Walk.over(layouts, range(len(shape)), shape)
    kinds = tuple(walk.kind(i) for i in range(len(layouts)))
    index = index_type(layouts, size)
    dims = len(walk.sizes) if any(kind not in ("linear", "same") for kind in kinds) else 0
    loops = any(term.expression.loops for _, term in terms.applied)
    crossed = None
    if "strided" in kinds and traits.lanes > 1 and not loops:
        crossed, kinds = _crossed(walk, kinds, [*dtypes, *(array.dtype for array in terms.arrays)], len(outputs))
    key = (device, "elementwise", terms.key, tuple(outputs), kinds, dims, index, crossed)
    kernel = _kernels.get(key)
    if kernel is None:
        kernel = _kernels[key] = _elementwise_kernel(device, terms, outputs, dtypes, kinds, dims, index, crossed)

    arguments: list[Any] = []
    positions: list[int] = []
    for i, layout in enumerate(layouts):
        positions.append(len(arguments))
        arguments += [None, layout.offset]
        if kinds[i] not in ("linear", "same"):
            arguments += walk.rows[i]
    numbers = list(range(len(arguments), len(arguments) + len(terms.numbers)))
    arguments += [None] * len(numbers) + [size]
    if dims:
        arguments += walk.sizes
    if crossed is None:
        sizes = grid(traits, size, ROUNDS // 256 if loops else ROUNDS)
    else:
        side = BLOCK * traits.lanes
        down, across = walk.sizes[crossed], walk.sizes[-1]
        blocks = size // (down * across) * -(-down // side) * -(-across // side)
        sizes = (max(min(blocks, 4 * traits.compute_units), -(-blocks // (ROUNDS // (BLOCK * (BLOCK + side))))),), (1,)
    return Prepared(kernel, *sizes, arguments, positions[: len(places)], positions[len(places) :], numbers)


def _crossed(walk: Walk, kinds: tuple[str, ...], dtypes: Sequence[np.dtype[Any]], outputs: int) -> tuple[int | None, tuple[str, ...]]:
    """The axis that arrays which are read lie along while the last one strides over their elements, or None; and the kinds with it."""
    axis = next((walk.rows[i].index(1) for i in range(outputs, len(kinds)) if kinds[i] == "strided" and 1 in walk.rows[i]), None)
    if axis is None:
        return None, kinds
    found = []
    for i, kind in enumerate(kinds):
        turned = i >= outputs and kind == "strided" and walk.rows[i][axis] == 1 and dtypes[i] != float16
        found.append("crossed" if turned else "row" if kind == "linear" else kind)
    return axis, tuple(found)


def grid(traits: Traits, size: int, rounds: int = ROUNDS) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Global and local size for `size` independent elements, of which a work-item takes at most `rounds` runs."""
    if traits.schedule == "cpu":
        wanted = min(size // 8192, 4 * traits.compute_units)
        return (max(1, wanted, -(-size // (traits.lanes * rounds))),), (1,)
    group = traits.group
    groups = max(1, min(-(-size // group), 64 * traits.compute_units))
    return (groups * group,), (group,)


def _elementwise_kernel(
    device: Device,
    terms: Terms,
    outputs: list[int],
    dtypes: list[np.dtype[Any]],
    kinds: tuple[str, ...],
    dims: int,
    index: str,
    crossed: int | None,
) -> Kernel:
    name = kernel_name(terms.names, dtypes[0], max(1, dims))
    for dtype in [*dtypes, *(array.dtype for array in terms.arrays)]:
        check_dtype(dtype, device, name)
    stores = accesses("z", dtypes, kinds)
    loads = accesses("a", [array.dtype for array in terms.arrays], kinds[len(stores) :])
    numbers = terms.number_parameters()
    arguments: list[str] = []
    for access in (*stores, *loads):
        arguments += ["buffer", index] + [index] * (dims if access.general else 0)
    arguments += [kind for kind, _ in numbers] + [index] * (1 + dims)
    return device.kernel(
        "elementwise",
        name,
        arguments=tuple(arguments),
        index=index,
        dims=dims,
        crossed=crossed,
        block=BLOCK,
        stores=tuple((access, terms.variables[i]) for access, i in zip(stores, outputs, strict=True)),
        loads=loads,
        numbers=numbers,
        lines=terms.lines(),
    )


def kept(key: Any, make: Callable[[], Kernel]) -> Kernel:
    """The kernel of this key, a device and what the kernel depends on; made once. Quicker than to ask the device."""
    kernel = _kernels.get(key)
    if kernel is None:
        kernel = _kernels[key] = make()
    return kernel


def accesses(prefix: str, dtypes: Sequence[np.dtype[Any]], kinds: Sequence[str]) -> tuple[Access, ...]:
    """The accesses `prefix0`, `prefix1`, ... of arrays of these dtypes."""
    return tuple(
        Access(f"{prefix}{i}", INFO[dtype].storage, INFO[dtype].compute, kind)
        for i, (dtype, kind) in enumerate(zip(dtypes, kinds, strict=False))
    )
