from types import SimpleNamespace

import pyopencl as cl
import pytest

from clnd import MXNetError
from clnd.opencl.device import Device
from clnd.opencl.traits import read_traits


def made_up(**changes):
    facts = {
        "type": cl.device_type.CPU,
        "extensions": "cl_khr_fp64 cl_khr_icd",
        "native_vector_width_float": 8,
        "max_compute_units": 4,
        "local_mem_size": 1 << 15,
        "max_work_group_size": 4096,
        "host_unified_memory": 0,
        "mem_base_addr_align": 1024,
        "global_mem_size": 1 << 33,
        "max_mem_alloc_size": 1 << 31,
        "single_fp_config": 0,
    }
    return SimpleNamespace(**{**facts, **changes})


@pytest.mark.parametrize(("width", "lanes"), [(0, 4), (1, 4), (4, 4), (8, 8), (12, 8), (16, 16), (32, 16)])
def test_lanes_follow_the_native_vector(width, lanes):
    assert read_traits(made_up(native_vector_width_float=width), "cpu").lanes == lanes
    assert read_traits(made_up(native_vector_width_float=width), "gpu").lanes == 1


@pytest.mark.parametrize(("largest", "group"), [(1, 1), (64, 64), (96, 64), (256, 256), (8192, 256)])
def test_the_group_is_a_power_of_two(largest, group):
    traits = read_traits(made_up(max_work_group_size=largest), "gpu")
    assert (traits.max_group, traits.group) == (largest, group)


@pytest.mark.parametrize(
    ("extensions", "fp64", "fp16", "subgroups"),
    [
        ("", False, False, False),
        ("cl_khr_fp64", True, False, False),
        ("cl_khr_fp16 cl_khr_subgroups", False, True, True),
        ("cl_khr_fp64_imagined cl_intel_subgroups", False, False, True),
    ],
)
def test_extensions(extensions, fp64, fp16, subgroups):
    traits = read_traits(made_up(extensions=extensions), "cpu")
    assert (traits.fp64, traits.fp16, traits.subgroups) == (fp64, fp16, subgroups)


def test_memory():
    traits = read_traits(made_up(), "gpu")
    assert (traits.memory, traits.max_allocation, traits.local_memory, traits.alignment) == (1 << 33, 1 << 31, 1 << 15, 128)
    assert traits.unified_memory  # a CPU, whatever its driver says
    assert not read_traits(made_up(type=cl.device_type.GPU), "gpu").unified_memory
    assert read_traits(made_up(type=cl.device_type.GPU, host_unified_memory=1), "gpu").unified_memory


def test_rounding():
    assert not read_traits(made_up(), "cpu").correctly_rounded
    correct = cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT | cl.device_fp_config.DENORM
    assert read_traits(made_up(single_fp_config=correct), "cpu").correctly_rounded


def test_real_devices(device):
    traits = device.traits
    assert traits.schedule == device.kind
    assert traits.lanes in ((4, 8, 16) if device.kind == "cpu" else (1,))
    assert traits.fp64 == ("cl_khr_fp64" in device.cl.extensions)
    assert traits.max_allocation > 0
    assert traits.memory > 0
    assert traits.compute_units > 0


def test_a_cpu_behind_gpu_has_the_gpu_schedule(device):
    disguised = Device(device.cl, device.name, "gpu", 0)
    assert (disguised.traits.schedule, disguised.traits.lanes) == ("gpu", 1)


def test_a_device_can_be_made_out_to_be_less_than_it_is(monkeypatch):
    monkeypatch.setenv("CLND_TRAITS", " fp64=0, max_group=100,local_memory = 16384,lanes=16,max_allocation=1000000 ")
    traits = read_traits(made_up(), "cpu")
    assert (traits.fp64, traits.max_group, traits.group, traits.local_memory) == (False, 100, 64, 16384)
    assert (traits.lanes, traits.max_allocation, traits.memory) == (16, 1_000_000, 1 << 33)


@pytest.mark.parametrize(
    "text", ["fp64", "fp64=no", "warp=32", "max_group=8192", "max_group=0", "lanes=3", "fp16=1", "local_memory=-1", "fp64=0;fp16=0"]
)
def test_what_is_no_trait_or_more_than_there_is_is_refused(text, monkeypatch):
    monkeypatch.setenv("CLND_TRAITS", text)
    with pytest.raises(MXNetError, match="CLND_TRAITS: "):
        read_traits(made_up(), "gpu")
