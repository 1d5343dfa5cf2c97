"""Built-in functions that sources declare themselves, where the driver would read all declarations for every program."""

import re

import pyopencl as cl
import pytest

from clnd.opencl import builtins, counters
from clnd.opencl.quirks import POCL

EVERY = re.findall(
    r"\w+",
    " ".join([*builtins._FLOATS.values(), *builtins._INTEGERS.values(), *builtins._ATOMIC])
    + " get_global_id get_local_size get_group_id get_num_groups get_work_dim barrier mem_fence convert_int convert_float4"
    " convert_char16_sat convert_ulong8_rte vload4 vstore16 vload_half vload_half8 vstore_half_rte vstore_half16",
)


@pytest.mark.parametrize("kinds", ["", "double "])
def test_declarations_agree_with_the_drivers_own(device, kinds):
    """Two declarations of one function that differ in what it gives are an error."""
    if kinds and not device.traits.fp64:
        pytest.skip("the device has no double")
    declared = builtins.declarations(f"{kinds} {' '.join(EVERY)}")
    for name in EVERY:
        assert re.search(rf"\b{name}\(", declared), name
    # Those that a driver has not, it takes as new ones: nothing is linked that no kernel calls.
    program = cl._cl._Program(device.context, declared + "__kernel void nothing(__global int *z) { z[0] = 0; }")
    program._build(options=b"-cl-std=CL1.2", devices=[device.cl])


def test_a_function_is_declared_once_for_each_type_that_it_takes():
    lines = builtins.declarations("max(a, b); clamp(a, b, c); vload_half2(0, p); convert_float4(x)").split("\n")[0].split("; ")
    assert len(lines) == len(set(lines))
    assert "float4 __attribute__((overloadable, const)) max(float4,float)" in lines
    assert "uint2 __attribute__((overloadable, const)) clamp(uint2,uint,uint)" in lines
    assert "float2 __attribute__((overloadable)) vload_half2(size_t,const __local half*)" in lines
    assert "float4 __attribute__((overloadable, const)) convert_float4(uchar4)" in lines
    assert not any("double" in line for line in lines)


def test_a_function_that_is_not_declared_costs_time_only(device, templates, cache, monkeypatch):
    monkeypatch.setattr(counters, "undeclared", 0)
    (templates / "root.cl.mako").write_text("kernel void ${name}(global float* z) { z[0] = sqrt(z[0]); }")
    monkeypatch.setattr(builtins, "declarations", lambda source: "")
    kernel = device.kernel("root", "root", arguments=("buffer",))
    assert counters.undeclared == (device.cl.platform.name == POCL)
    kernel((1,), (1,), device.allocate(4))
    device.finish()
