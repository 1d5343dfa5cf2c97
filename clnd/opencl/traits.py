"""What a device can do and how kernels should be shaped for it: templates and operators ask this, never a vendor's name."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from clnd.errors import MXNetError

if TYPE_CHECKING:
    import pyopencl as cl

Schedule = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Traits:
    """Traits of a device, read once.

    Attributes
    ----------
    schedule
        "cpu": few work-items, each a contiguous chunk taken in vectors; "gpu": many work-items with a grid stride.
    lanes
        Elements that a work-item handles as one OpenCL vector; one number for all dtypes.
    compute_units
        Compute units, on a CPU its hardware threads.
    fp64, fp16
        Whether double and half can be computed with.
    local_memory, memory, max_allocation
        Bytes of local memory, of all memory and of the largest single buffer.
    max_group, group
        Largest work-group, and the one to use by default on the gpu schedule: a power of two, at most 256.
    subgroups
        Whether sub-group functions exist.
    unified_memory
        Whether the device works in the host's memory.
    alignment
        Bytes that a buffer's start is aligned to.
    correctly_rounded
        Whether ``-cl-fp32-correctly-rounded-divide-sqrt`` is supported.
    """

    schedule: Schedule
    lanes: int
    compute_units: int
    fp64: bool
    fp16: bool
    local_memory: int
    max_group: int
    group: int
    subgroups: bool
    unified_memory: bool
    alignment: int
    memory: int
    max_allocation: int
    correctly_rounded: bool


def read_traits(device: cl.Device, schedule: Schedule) -> Traits:
    """Read a device's traits, for the schedule that it shall be used with; CLND_TRAITS makes it out to be less than it is.

    Raises
    ------
    MXNetError
        If CLND_TRAITS names what is no trait, or more than the device has.
    """
    import pyopencl as cl

    extensions = set(device.extensions.split())
    lanes = 1
    if schedule == "cpu":
        lanes = min(max(power_of_two_below(device.native_vector_width_float), 4), 16)
    traits = Traits(
        schedule=schedule,
        lanes=lanes,
        compute_units=max(1, device.max_compute_units),
        fp64=bool(extensions & {"cl_khr_fp64", "cl_amd_fp64"}),
        fp16="cl_khr_fp16" in extensions,
        local_memory=device.local_mem_size,
        max_group=device.max_work_group_size,
        group=min(power_of_two_below(device.max_work_group_size), 256),
        subgroups=bool(extensions & {"cl_khr_subgroups", "cl_intel_subgroups"}),
        unified_memory=bool(device.host_unified_memory) or bool(device.type & cl.device_type.CPU),
        alignment=max(1, device.mem_base_addr_align // 8),
        memory=device.global_mem_size,
        max_allocation=device.max_mem_alloc_size,
        correctly_rounded=bool(device.single_fp_config & cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT),
    )
    return _forced(traits, os.environ.get("CLND_TRAITS", ""))


_SIZES = ("lanes", "compute_units", "local_memory", "max_group", "memory", "max_allocation")
_FORCED = ("fp64", "fp16", "subgroups", "correctly_rounded", *_SIZES)


def _forced(traits: Traits, text: str) -> Traits:
    """Traits with those that `text` gives, such as `fp64=0,max_group=64`: how devices are tried out that are not at hand."""
    changes: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, given = (word.strip() for word in part.partition("="))
        if name not in _FORCED or not given.isdecimal():
            raise MXNetError(f"CLND_TRAITS: {part!r} is no trait and a number; traits are {', '.join(_FORCED)} (as in fp64=0,max_group=64)")
        has, wanted = getattr(traits, name), int(given)
        if name == "lanes":
            if wanted not in (1, 4, 8, 16):
                raise MXNetError(f"CLND_TRAITS: {part!r}: lanes are 1, 4, 8 or 16")
        elif wanted > has or (wanted == 0 and name in _SIZES):
            raise MXNetError(f"CLND_TRAITS: {part!r}: the device has {int(has)}, and can be made out to have less, not more or nothing")
        changes[name] = type(has)(wanted)
    if "max_group" in changes:
        changes["group"] = min(power_of_two_below(changes["max_group"]), traits.group)
    return replace(traits, **changes)


def power_of_two_below(number: int) -> int:
    """Give the largest power of two up to a number, at least 1."""
    return 1 << max(0, number.bit_length() - 1)
