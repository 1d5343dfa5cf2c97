"""Which devices are used, and their numbers: on made-up platforms, and once for real in a process of its own."""

from types import SimpleNamespace

import pyopencl as cl
import pytest

from clnd.errors import DeviceError
from clnd.opencl import device as device_module
from clnd.opencl import devices
from clnd.opencl.traits import Traits

CPU, GPU, ACCELERATOR = cl.device_type.CPU, cl.device_type.GPU, cl.device_type.ACCELERATOR
POCL = "Portable Computing Language"
TRAITS = Traits("cpu", 8, 2, True, False, 1, 1, 1, False, True, 64, 1 << 30, 1 << 30, True)


def platform(name, version, *listed):
    """A platform; each of `listed` is (device name, driver version, type) and perhaps True for the host's memory."""
    made = []
    for device, driver, kind, *unified in listed:
        made.append(SimpleNamespace(name=device, driver_version=driver, type=kind, version=version, host_unified_memory=bool(unified)))
    return SimpleNamespace(name=name, version=version, get_devices=lambda: made)


INTEL = platform("Intel(R) OpenCL", "OpenCL 3.1 LINUX", ("AMD EPYC", "2026.22.10", CPU))
POCL_3_0 = platform(POCL, "OpenCL 3.0 PoCL 3.0-rc2", ("pthread-AMD EPYC", "3.0-rc2", CPU))
POCL_3_1 = platform(POCL, "OpenCL 3.0 PoCL 3.1+debian", ("pthread-AMD EPYC", "3.1+debian", CPU))
POCL_10 = platform(POCL, "OpenCL 3.0 PoCL 10.0", ("cpu-AMD EPYC", "10.0", CPU))
POCL_10_0_1 = platform(POCL, "OpenCL 3.0 PoCL 10.0.1", ("cpu-AMD EPYC", "10.0.1", CPU))
RUSTICL = platform("rusticl", "OpenCL 3.0", ("llvmpipe (LLVM 15.0.6, 256 bits)", "22.3.6", CPU))
RUSTICL_GPU = platform("rusticl", "OpenCL 3.0", ("llvmpipe (LLVM 19, 256 bits)", "25.0", GPU, True))
NVIDIA = platform("NVIDIA CUDA", "OpenCL 3.0 CUDA", ("NVIDIA H200", "570.1", GPU), ("NVIDIA T4", "570.1", GPU))
GRAPHICS = platform("Intel(R) OpenCL Graphics", "OpenCL 3.0 ", ("Intel(R) UHD", "24.1", GPU, True))
FPGA = platform("FPGA", "OpenCL 1.2", ("board", "1", ACCELERATOR))
OCLGRIND = platform("Oclgrind", "OpenCL 1.2", ("Oclgrind Simulator", "21.10", CPU | GPU | ACCELERATOR))


@pytest.fixture
def machine(monkeypatch):
    """Make a machine of these platforms, where devices whose names are in `broken` cannot be used."""

    def machine(*platforms, broken=(), devices_variable=None, as_gpu=None):
        tried = []

        def reason(listed):
            tried.append(listed.name)
            return "cannot build" if listed.name in broken else None

        monkeypatch.setattr(cl, "get_platforms", lambda: list(platforms))
        monkeypatch.setattr(devices, "reason_unusable", reason)
        monkeypatch.setattr(device_module, "read_traits", lambda device, schedule: TRAITS)
        for name in ("_choice", "_first", "_found"):
            monkeypatch.setattr(devices, name, None)
        for name, value in (("CLND_DEVICES", devices_variable), ("CLND_AS_GPU", as_gpu)):
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        return tried

    return machine


def drivers(found):
    return [device.cl.driver_version for device in found]


def names(found):
    return [device.cl.name for device in found]


def test_cpu_drivers_have_an_order(machine):
    listed = [POCL_3_0, OCLGRIND, POCL_10, RUSTICL, POCL_10_0_1, INTEL, POCL_3_1]
    for order in (listed, listed[::-1]):
        machine(*order)
        assert drivers(devices.cpu_devices()) == ["2026.22.10", "10.0.1", "10.0", "3.1+debian", "3.0-rc2", "21.10", "22.3.6"]
        assert [device.index for device in devices.cpu_devices()] == list(range(7))
        assert devices.gpu_devices() == ()


def test_gpus_have_an_order(machine):
    for order in ((RUSTICL_GPU, FPGA, GRAPHICS, NVIDIA), (NVIDIA, GRAPHICS, FPGA, RUSTICL_GPU)):
        machine(*order)
        assert names(devices.gpu_devices()) == ["NVIDIA H200", "NVIDIA T4", "Intel(R) UHD", "board", "llvmpipe (LLVM 19, 256 bits)"]
        assert devices.cpu_devices() == ()


def test_a_simulator_that_claims_every_type_is_one_cpu(machine):
    machine(OCLGRIND)
    assert names(devices.cpu_devices()) == ["Oclgrind Simulator"]
    assert devices.gpu_devices() == ()


def test_a_driver_listed_twice_counts_once(machine):
    twin = platform(POCL, "OpenCL 3.0 PoCL 3.1+debian", ("pthread-AMD EPYC", "3.1+debian", CPU))
    machine(POCL_3_1, twin)
    assert len(devices.candidates()) == len(devices.cpu_devices()) == 1


def test_equal_devices_of_one_platform_are_several(machine):
    machine(platform(POCL, "OpenCL 3.0 PoCL 3.1", ("pthread", "3.1", CPU), ("pthread", "3.1", CPU)))
    assert len(devices.cpu_devices()) == 2


def test_a_platform_that_lists_nothing_does_no_harm(machine):
    def refuse():
        raise cl.LogicError(cl._cl._ErrorRecord(msg="", code=cl.status_code.DEVICE_NOT_FOUND, routine="clGetDeviceIDs"))

    machine(SimpleNamespace(name="Clover", version="OpenCL 1.1", get_devices=refuse), INTEL)
    assert names(devices.cpu_devices()) == ["AMD EPYC"]


def test_an_unusable_device_takes_no_number(machine):
    machine(POCL_3_0, INTEL, broken={"AMD EPYC"})
    assert drivers(devices.cpu_devices()) == ["3.0-rc2"]
    unusable, usable = devices.candidates()
    assert (unusable.reason, unusable.usable, unusable.devices) == ("cannot build", False, [])
    assert (usable.reason, usable.usable, usable.devices) == (None, True, list(devices.cpu_devices()))


@pytest.mark.parametrize(
    ("text", "cpus", "gpus"),
    [
        ("rusticl,intel", ["22.3.6", "2026.22.10"], []),
        (" Intel ,RUSTICL,", ["2026.22.10", "22.3.6"], []),
        ("pocl", ["3.1+debian", "3.0-rc2"], []),
        ("pocl 3.0", ["3.0-rc2"], []),
        ("t4,pocl 3.0,nvidia", ["3.0-rc2"], ["NVIDIA T4", "NVIDIA H200"]),
        ("", ["2026.22.10", "3.1+debian", "3.0-rc2", "22.3.6"], ["NVIDIA H200", "NVIDIA T4"]),
    ],
)
def test_clnd_devices_chooses_and_orders(machine, text, cpus, gpus):
    machine(POCL_3_0, INTEL, RUSTICL, POCL_3_1, NVIDIA, devices_variable=text)
    assert drivers(devices.cpu_devices()) == cpus
    assert names(devices.gpu_devices()) == gpus


def test_a_device_left_out_is_listed_and_not_tried(machine):
    tried = machine(POCL_3_1, INTEL, devices_variable="pocl")
    assert [candidate.reason for candidate in devices.candidates()] == ["left out by CLND_DEVICES=pocl", None]
    assert tried == ["pthread-AMD EPYC"]


@pytest.mark.parametrize(
    ("text", "cpus", "gpus"),
    [
        ("pocl", ["AMD EPYC"], ["pthread-AMD EPYC"]),
        ("pocl,intel", ["AMD EPYC", "pthread-AMD EPYC"], ["pthread-AMD EPYC", "AMD EPYC"]),  # without a CPU, cpu(0) would be an error
    ],
)
def test_clnd_as_gpu_puts_devices_behind_gpu(machine, text, cpus, gpus):
    machine(INTEL, POCL_3_1, as_gpu=text)
    assert names(devices.cpu_devices()) == cpus
    assert names(devices.gpu_devices()) == gpus
    assert [(device.kind, device.index) for device in devices.gpu_devices()] == [("gpu", index) for index in range(len(gpus))]


def test_clnd_as_gpu_comes_after_the_gpus(machine):
    machine(INTEL, POCL_3_1, NVIDIA, as_gpu="pocl,h200")
    assert names(devices.gpu_devices()) == ["NVIDIA H200", "NVIDIA T4", "pthread-AMD EPYC"]


def test_clnd_as_gpu_cannot_bring_back_what_is_left_out_or_broken(machine):
    machine(INTEL, POCL_3_1, RUSTICL, as_gpu="pocl,rusticl", devices_variable="intel,pocl", broken={"pthread-AMD EPYC"})
    assert devices.gpu_devices() == ()


@pytest.mark.parametrize("variable", ["devices_variable", "as_gpu"])
def test_a_name_that_matches_nothing_lists_what_there_is(machine, variable):
    machine(INTEL, POCL_3_1, **{variable: "intel,voodoo"})
    with pytest.raises(DeviceError, match="'voodoo'") as caught:
        devices.cpu_devices()
    assert "AMD EPYC | Intel(R) OpenCL" in str(caught.value)
    assert "PoCL 3.1+debian" in str(caught.value)


def test_a_cpu_past_the_last_is_counted_round(machine):
    machine(INTEL, POCL_3_1)
    first, second = devices.cpu_devices()
    assert [devices.find_device("cpu", index) for index in range(5)] == [first, second, first, second, first]


def test_a_gpu_past_the_last_is_an_error(machine):
    machine(NVIDIA)
    assert devices.find_device("gpu", 1).cl.name == "NVIDIA T4"
    with pytest.raises(DeviceError, match=r"gpu\(2\): there are only gpu\(0\) \[NVIDIA H200, NVIDIA CUDA\], gpu\(1\)"):
        devices.find_device("gpu", 2)


def test_without_any_driver_it_says_what_to_install(machine, monkeypatch):
    def refuse():
        raise cl.LogicError(cl._cl._ErrorRecord(msg="", code=-1001, routine="clGetPlatformIDs"))

    machine()
    monkeypatch.setattr(cl, "get_platforms", refuse)
    assert devices.candidates() == []
    for kind, words in (("cpu", "install"), ("gpu", "intel-opencl-icd")):
        with pytest.raises(DeviceError, match=rf"{kind}\(0\): there is no usable OpenCL {kind.upper()}") as caught:
            devices.find_device(kind, 0)
        assert words in str(caught.value)
        assert "No driver lists any device" in str(caught.value)
        assert "clnd doctor" in str(caught.value)


def test_without_a_usable_device_it_says_why(machine):
    machine(POCL_3_0, broken={"pthread-AMD EPYC"})
    with pytest.raises(DeviceError, match=r"PoCL 3\.0-rc2 \| cannot build"):
        devices.find_device("cpu", 0)


def test_discovery_happens_once(machine):
    tried = machine(INTEL, POCL_3_1)
    assert devices.cpu_devices()[0] is devices.cpu_devices()[0]
    devices.gpu_devices()
    devices.candidates()
    assert tried == ["AMD EPYC", "pthread-AMD EPYC"]


def test_names_are_readable(machine):
    machine(INTEL, GRAPHICS)
    assert devices.cpu_devices()[0].name == "AMD EPYC, Intel OpenCL"
    assert str(devices.gpu_devices()[0]) == "gpu(0) [Intel UHD, Intel OpenCL Graphics]"


def test_for_real_behind_gpu(run):
    known = [candidate for candidate in devices.candidates() if candidate.usable and candidate.kind == "cpu"]
    part = known[0].platform if known else ""
    done = run(
        "from clnd.opencl import gpu_devices, cpu_devices\n"
        "device = gpu_devices()[-1]\n"
        "device.finish(); buffer = device.allocate(4); device.finish()\n"
        "print(device.kind, device.traits.schedule, device.traits.lanes, bool(cpu_devices()))",
        CLND_DEVICES=part or None,
        CLND_AS_GPU=part,
    )
    assert done.stdout.startswith("gpu gpu 1"), done.stderr


def test_for_real_a_wrong_name(run):
    done = run("import clnd.opencl\nclnd.opencl.cpu_devices()", CLND_DEVICES="no such device")
    assert done.returncode == 1
    assert "DeviceError: CLND_DEVICES=no such device: no platform, version or device name holds 'no such device'" in done.stderr


def test_the_first_cpu_is_found_without_trying_the_others(machine):
    tried = machine(POCL_3_1, INTEL, POCL_3_0, NVIDIA, broken=names_of(INTEL))
    first = devices.find_device("cpu", 0)
    assert tried == [*names_of(INTEL), *names_of(POCL_3_1)]
    assert devices.open_devices() == (first,)
    assert devices.find_device("cpu", 1) is not first
    assert len(tried) == len(set(map(id, devices.candidates()))) == 5
    assert devices.cpu_devices()[0] is first and devices.find_device("cpu", 0) is first
    assert [device.kind for device in devices.open_devices()] == ["cpu", "cpu", "gpu", "gpu"]


def test_a_cpu_behind_a_gpu_is_no_first_cpu(machine):
    machine(INTEL, POCL_3_1, as_gpu="intel(r) opencl")
    assert devices.find_device("cpu", 0).cl.name in names_of(POCL_3_1)
    assert devices.find_device("gpu", 0).cl.name in names_of(INTEL)
    machine(INTEL, as_gpu="intel(r) opencl")
    assert devices.find_device("cpu", 0).cl.name in names_of(INTEL)


def names_of(listed):
    return [device.name for device in listed.get_devices()]
