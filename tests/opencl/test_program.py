import os
import re

import pyopencl as cl
import pytest

from clnd.errors import MXNetError
from clnd.opencl import cache_entries, clear_cache, counters, program, source
from clnd.opencl.program import render


@pytest.fixture
def counted():
    """Give what has been counted since the test began."""
    before = (counters.renders, counters.compilations, counters.loaded)
    return lambda: (counters.renders - before[0], counters.compilations - before[1], counters.loaded - before[2])


def test_a_kernel_is_built_once(device, templates, cache, counted):
    first = device.kernel("scale", "scale", addend="0")
    assert device.kernel("scale", "scale", addend="0") is first
    assert counted() == (1, 1, 0)


def test_parameters_that_are_equal_as_keys_are_different_kernels(device, templates, cache, counted):
    kernels = [device.kernel("scale", "scale", addend=addend) for addend in (1, 1.0, "1")]
    assert len(set(kernels)) == 3
    assert counted() == (3, 3, 0)


def test_what_intel_compiled_is_loaded_again(device, templates, cache, counted):
    kernel = device.kernel("scale", "scale", addend="0")
    loaded = kernel.program.get_info(cl.program_info.SOURCE) == ""
    assert loaded == (device.cl.platform.name == "Intel(R) OpenCL")
    assert counted() == (1, 1, 0)


def test_the_order_of_parameters_does_not_matter(device, templates, cache, counted):
    (templates / "two.cl.mako").write_text("kernel void ${name}(global float* z) { z[0] = ${x} + ${y}; }")
    assert device.kernel("two", "two", x=1, y=2) is device.kernel("two", "two", y=2, x=1)


def test_a_second_process_renders_and_compiles_nothing(device, reopen, templates, cache, counted):
    device.kernel("scale", "scale", addend="0")
    reopen(device).kernel("scale", "scale", addend="0")
    assert counted() == (1, 1, 1)


def test_a_warm_process_imports_no_mako(run, templates, cache):
    code = (
        "import sys, pathlib\n"
        "from clnd.opencl import cpu_devices, gpu_devices, counters, source\n"
        f"source.template_folder = lambda: pathlib.Path({str(templates)!r})\n"
        "kernel = (*cpu_devices(), *gpu_devices())[0].kernel('scale', 'scale', addend=0)\n"
        "print('mako' in sys.modules, counters)"
    )
    cold, warm = run(code, CLND_DUMP=None), run(code, CLND_DUMP=None)
    assert cold.stdout == "True <launches 0, compilations 1, loaded 0, renders 1>\n", cold.stderr
    assert warm.stdout == "False <launches 0, compilations 0, loaded 1, renders 0>\n", warm.stderr


@pytest.mark.parametrize("changed", ["scale.cl.mako", "common.cl.mako", "deeper.cl.mako"])
def test_a_changed_template_is_compiled_again(device, reopen, templates, cache, counted, changed):
    (templates / "deeper.cl.mako").write_text('<%def name="deeper()">0</%def>')
    (templates / "common.cl.mako").write_text(
        '<%namespace name="deeper" file="deeper.cl.mako"/><%def name="zero()">${deeper.deeper()}</%def>'
    )
    (templates / "scale.cl.mako").write_text(
        '<%namespace name="common" file="common.cl.mako"/>kernel void ${name}(global float* z) { z[0] = ${common.zero()}; }'
    )
    device.kernel("scale", "scale")
    file = templates / changed
    file.write_text("\n" + file.read_text())
    source._texts.cache_clear()
    source._lookup.cache_clear()
    reopen(device).kernel("scale", "scale")
    assert counted() == (2, 2, 0)


DAMAGES = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "flipped": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "foreign": lambda data: b"#!/bin/sh\n",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_costs_time_only(device, reopen, templates, cache, counted, damage):
    device.kernel("scale", "scale", addend="0")
    [file] = (cache / "programs").iterdir()
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    reopen(device).kernel("scale", "scale", addend="0")
    assert counted() == (2, 2, 0)
    reopen(device).kernel("scale", "scale", addend="0")
    assert counted() == (2, 2, 1)


def test_a_binary_that_the_driver_refuses_costs_time_only(device, reopen, templates, cache, monkeypatch, counted):
    device.kernel("scale", "scale", addend="0")
    take = program.Kernel
    refusals = [cl.LogicError(cl._cl._ErrorRecord(msg="", code=cl.status_code.INVALID_BINARY, routine="clBuildProgram"))]

    def refuse_once(*args):
        if refusals:
            raise refusals.pop()
        return take(*args)

    monkeypatch.setattr(program, "Kernel", refuse_once)
    reopen(device).kernel("scale", "scale", addend="0")
    assert counted() == (2, 2, 0)


def test_an_unwritable_cache_costs_time_only(device, reopen, templates, tmp_path, monkeypatch, counted):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CLND_CACHE", str(tmp_path / "file" / "below"))
    for _ in range(2):
        reopen(device).kernel("scale", "scale", addend="0")
    assert counted() == (2, 2, 0)
    assert cache_entries() == []
    assert clear_cache() == 0


def test_an_empty_variable_turns_the_cache_off(device, reopen, templates, cache, monkeypatch, counted):
    monkeypatch.setenv("CLND_CACHE", "")
    for _ in range(2):
        reopen(device).kernel("scale", "scale", addend="0")
    assert counted() == (2, 2, 0)
    assert cache_entries() == []
    assert not cache.exists()


def test_entries_and_clearing(device, reopen, templates, cache, counted):
    assert cache_entries() == []
    device.kernel("scale", "scale", addend="0")
    device.kernel("scale", "scale", addend="1")
    entries = cache_entries()
    assert len(entries) == 2
    for name, size, written in entries:
        file = cache / "programs" / name
        assert (size, written) == (file.stat().st_size, file.stat().st_mtime)
    assert clear_cache() == 2
    assert cache_entries() == []
    reopen(device).kernel("scale", "scale", addend="0")
    assert counted() == (3, 3, 0)


def test_nothing_half_written_is_left(device, templates, cache):
    device.kernel("scale", "scale", addend="0")
    assert [file.suffix for file in (cache / "programs").iterdir()] == [".bin"]


def test_a_failed_build_shows_log_and_source(device, templates, cache):
    with pytest.raises(MXNetError) as caught:
        device.kernel("scale", "scale", addend="nonsense")
    text = str(caught.value)
    assert f"{device}: the driver cannot build kernel scale of scale.cl.mako" in text
    assert re.search(r"^ +\d+ +b\[i\] = a\[i\] \* factor \+ nonsense;$", text, re.MULTILINE)
    assert "nonsense" in text.split("   1 ")[0]  # the driver's own words
    assert cache_entries() == []


def test_warnings_of_the_compiler_stay_out_of_the_terminal(device, templates, cache, capfd):
    (templates / "same.cl.mako").write_text("kernel void ${name}(global int* z) { z[0] = z[1] != z[1] | z[0] == z[0]; }")
    device.kernel("same", "same")
    assert capfd.readouterr().err == ""


def test_a_template_without_this_kernel(device, templates, cache):
    (templates / "other.cl.mako").write_text("kernel void other(global float* z) { z[0] = 0; }")
    with pytest.raises(MXNetError, match=r"cannot build kernel wanted of other\.cl\.mako"):
        device.kernel("other", "wanted")


def test_a_missing_template(device, templates, cache):
    with pytest.raises(MXNetError, match=r"template missing\.cl\.mako is missing"):
        device.kernel("missing", "missing")


def test_a_template_reads_only_its_parameters(device, templates, cache):
    with pytest.raises(MXNetError, match=r"kernel scale: rendering scale\.cl\.mako failed: .*addend"):
        device.kernel("scale", "scale")


def test_a_template_gets_the_device_traits(device, templates, cache, monkeypatch, tmp_path):
    monkeypatch.setenv("CLND_DUMP", str(tmp_path / "dump"))
    (templates / "traits.cl.mako").write_text("// ${lanes} ${schedule} ${fp64} ${fp16}\nkernel void ${name}(global float* z) { z[0] = 0; }")
    device.kernel("traits", "traits")
    traits = device.traits
    head = (tmp_path / "dump" / "traits.cl").read_text().splitlines()[0]
    assert head == f"// {traits.lanes} {traits.schedule} {traits.fp64} {traits.fp16}"


def test_dump_writes_sources_of_warm_kernels_too(device, reopen, templates, cache, monkeypatch, tmp_path, counted):
    device.kernel("scale", "scale__float32", addend="0")
    monkeypatch.setenv("CLND_DUMP", str(tmp_path / "dump"))
    reopen(device).kernel("scale", "scale__float32", addend="0")
    assert counted()[1:] == (1, 1)
    expected = render("scale", "scale__float32", {"addend": "0"})
    assert (tmp_path / "dump" / "scale__float32.cl").read_text() == expected
    assert "kernel void scale__float32(" in expected


def test_dump_keeps_sources_of_the_same_name_apart(device, reopen, templates, cache, monkeypatch, tmp_path):
    folder = tmp_path / "dump"
    monkeypatch.setenv("CLND_DUMP", str(folder))
    for again in (device, reopen(device)):
        again.kernel("scale", "scale", addend="0")
        again.kernel("scale", "scale", addend="1")
    names = sorted(os.listdir(folder))
    assert len(names) == 2
    assert "scale.cl" in names
    assert all(name.startswith("scale") and name.endswith(".cl") for name in names)


def test_dump_takes_long_names(tmp_path):
    source.dump(str(tmp_path), "a" * 1000, "text")
    [file] = tmp_path.iterdir()
    assert file.read_text() == "text"


def test_dump_into_what_cannot_be_written(device, templates, cache, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CLND_DUMP", str(tmp_path / "file"))
    with pytest.raises(MXNetError, match=r"CLND_DUMP=.*cannot write scale\.cl"):
        device.kernel("scale", "scale", addend="0")


def test_rendering_is_deterministic(templates):
    assert render("scale", "scale", {"addend": "0"}) == render("scale", "scale", {"addend": "0"})
