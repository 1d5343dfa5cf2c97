"""The tool that runs the tests on every implementation finds the one that these tests run on, and shows what fails there."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import clnd as mx
from clnd.opencl.memory import MemoryPool
from clnd.opencl.traits import read_traits

TOOLS = Path(__file__).resolve().parent.parent / "tools"
TESTS = """
import os

import pytest


@pytest.mark.portability
@pytest.mark.parametrize("size", [1, 2])
def test_of_sums(size):
    assert size == 1


@pytest.mark.portability
def test_that_is_skipped():
    pytest.skip("no reason")


def test_that_dies():
    os._exit(7)
"""
# Two contexts, each of which empties the log, as Oclgrind's do.
ORACLE = """
import subprocess, sys
_, _, log, *command = sys.argv
with open(log, "w") as first:
    print("Controlflow depends on uninitialized value", file=first, flush=True)
    with open(log, "w") as second:
        print("Write-write data race at global memory address 0x1", file=second)
sys.exit(subprocess.call(command))
"""


@pytest.fixture
def portability(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("portability")


@pytest.fixture
def tests(tmp_path):
    file = tmp_path / "test_sums.py"
    file.write_text(TESTS, encoding="utf-8")
    return str(file)


def test_what_fails_is_shown(portability, tests):
    outcome = portability.run(portability.Implementation("this one", {}), ["-n0", "-m", "portability", tests], 300)
    assert not outcome.died
    assert not outcome.good
    assert [name.rpartition("::")[2] for name in outcome.failures] == ["test_of_sums[2]"]
    (sums,) = outcome.families.values()
    assert (sums.passed, sums.failed, sums.skipped) == (1, 1, 1)
    assert "1, 1 FAILED, 1 skipped" in portability.table({"this one": outcome})


def test_a_run_that_dies_takes_nothing_along(portability, tests, capsys):
    outcome = portability.run(portability.Implementation("this one", {}), ["-n0", tests], 300)
    assert outcome.died == "ended with status 7"
    assert not outcome.good
    assert "ended with status 7" in portability.table({"this one": outcome})


def test_what_passes_is_good(portability, tests):
    outcome = portability.run(portability.Implementation("this one", {}), ["-n0", "-k", "test_of_sums and 1", tests], 300)
    assert outcome.good


def test_no_report_is_lost(portability, tests, tmp_path, capsys):
    oracle = tmp_path / "oracle.py"
    oracle.write_text(ORACLE, encoding="utf-8")
    one = portability.Implementation("Oclgrind", {}, [sys.executable, str(oracle)])
    outcome = portability.run(one, ["-n0", "-k", "test_of_sums and 1", tests], 300)
    assert not outcome.failures
    assert not outcome.good
    assert outcome.reports == {"ninitialized": 1, "data race": 1}
    assert "Controlflow depends" in capsys.readouterr().err


def test_every_buffer_can_be_new(monkeypatch):
    pool = mx.cpu().device.memory
    used = pool.allocate(1000).cl  # whose buffer is given back at once
    assert pool.allocate(1000).cl is used
    monkeypatch.setattr(MemoryPool, "allocate", MemoryPool.allocate)  # which is undone
    importlib.import_module("fresh_buffers")
    assert pool.allocate(1000).cl is not used


def test_families_are_those_of_the_operators(portability):
    assert portability.family("tests.ops.test_operators", "test_calls[cpu(0)-dot 2x3+3x2]") == "products"
    assert portability.family("tests.ops.test_operators", "test_elementwise_operators_of_every_dtype[cpu(0)-int32]") == "elementwise"
    assert portability.family("tests.ops.test_sorting", "test_ties") == "sorting"


def test_the_device_of_these_tests_is_found(portability):
    device = mx.cpu().device.cl
    drivers = [one.environment["CLND_DEVICES"] for one in portability.implementations()]
    assert device.driver_version.strip() in drivers


def test_devices_are_forced_to_what_there_can_be(portability, monkeypatch):
    for text, arguments in portability.FORCED.values():
        monkeypatch.setenv("CLND_TRAITS", text)
        read_traits(mx.cpu().device.cl, "gpu" if arguments is portability.GPU else "cpu")
