"""Machines on which OpenCL is missing, broken or half there: what a user's first line says then."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

import clnd as mx
from clnd import nd
from clnd.opencl import drivers
from measures import forget_kernels

FIRST_LINE = """
import sys
{before}
import clnd as mx
from clnd import nd
try:
    x = nd.ones((2,)) * 2
    print(x.asnumpy().tolist())
except mx.MXNetError as error:
    print(type(error).__name__, error)
"""
ALL = {"CLND_DEVICES": None, "CLND_AS_GPU": None}


def first_line(run, before="", **variables):
    done = run(FIRST_LINE.format(before=before), **variables)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    return done.stdout


def test_without_a_loader(run):
    """As where pyopencl was built here, and the system's loader is gone."""
    said = first_line(run, "sys.modules['pyopencl'] = None")
    assert said.startswith("DeviceError OpenCL cannot be used, because pyopencl cannot be imported: ")
    assert "pip install --force-reinstall pyopencl" in said
    assert "ocl-icd-libopencl1" in said


def test_without_a_driver(run):
    fails = (
        "import pyopencl as cl\n"
        "def none():\n"
        "    record = cl._cl._ErrorRecord(msg='', code=-1001, routine='clGetPlatformIDs')\n"
        "    raise cl.LogicError(record)\n"
        "cl.get_platforms = none\n"
    )
    said = first_line(run, fails, **ALL)
    assert said.startswith("DeviceError cpu(0): there is no usable OpenCL CPU\nTo get one: ")
    assert "No driver lists any device\n`clnd doctor` says more" in said


def test_with_a_driver_that_cannot_build(run):
    said = first_line(run, "from clnd.opencl import devices\ndevices.reason_unusable = lambda device: 'error: unknown target CPU'", **ALL)
    assert said.startswith("DeviceError cpu(0): there is no usable OpenCL CPU\nTo get one: ")
    assert f"{mx.cpu().device.cl.name.strip()} | " in said
    assert " | error: unknown target CPU\n" in said


@pytest.mark.skipif(os.name == "nt", reason="Windows lists drivers in its registry")
@pytest.mark.parametrize("kind", ["missing", "none"])
def test_with_a_driver_that_does_not_load(run, tmp_path, kind):
    """Beside it others are used; where there is no other, it is as if there was none."""
    known = drivers.system_icds()
    runtimes = drivers.pypi_runtimes()
    text = str(tmp_path / "libmissing.so") if kind == "missing" else str(Path(__file__))  # a library that is none
    (tmp_path / "broken.icd").write_text(text)
    said = first_line(run, **ALL, OCL_ICD_VENDORS=str(tmp_path))
    assert said == "[2.0, 2.0]\n" or said.startswith("DeviceError cpu(0): there is no usable OpenCL CPU"), said
    for number, library in enumerate([*known.values(), *map(str, runtimes)]):
        (tmp_path / f"{number}.icd").write_text(library)
    if known or runtimes:
        assert first_line(run, **ALL, OCL_ICD_VENDORS=str(tmp_path)) == "[2.0, 2.0]\n"


@pytest.mark.parametrize(
    "make", [lambda y: nd.array([1], dtype="float64") + 1, lambda y: nd.ones((2,), dtype="float64"), lambda y: y.astype("float64") * 2]
)
def test_without_the_type_that_was_asked_for(monkeypatch, make):
    y = nd.ones((3,))
    y.wait_to_read()
    device = y.context.device
    monkeypatch.setattr(device, "traits", replace(device.traits, fp64=False))
    forget_kernels(monkeypatch)
    with pytest.raises(mx.MXNetError, match=r"^\w+(, called at .*)?: .* has no float64; use float32, or another device") as caught:
        make(y).asnumpy()
    assert str(device) in str(caught.value)
    assert (y * 2).asnumpy().tolist() == [2, 2, 2]
