"""Choosing the form of a product by measurement: every form is right, what was measured is read back, a damaged file costs only time."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from typer.testing import CliRunner

import clnd as mx
from clnd import engine, nd
from clnd.cli import app
from clnd.cli import tune as command
from clnd.engine import dtypes
from clnd.engine.layout import row_major
from clnd.opencl import Device, cache
from clnd.ops import product_plans, products, tuning
from clnd.ops.product_plans import Choice, Lines, Problem
from measures import CONTEXTS

portability = pytest.mark.portability


def problem(m, n, k, turned=(False, False), batch=1, device=None, dtype=dtypes.float32):
    shapes = ((batch, k, m) if turned[0] else (batch, m, k)), ((batch, n, k) if turned[1] else (batch, k, n))
    lines = [Lines.of(shape, row_major(shape), 0, columns) for shape, columns in zip(shapes, (turned[0], not turned[1]), strict=True)]
    return Problem(device or mx.current_context().device, dtype, *lines)


def check_every_form(given, generator):
    """Compute a product in every form that there is."""
    device, (batch, m, n, k) = given.device, given.sizes
    numbers = [generator.normal(size=x.shape).astype(np.float32) for x in (given.lhs, given.rhs)]
    buffers = []
    for lines, x in zip((given.lhs, given.rhs), numbers, strict=True):
        there = np.empty(x.size, np.float32)
        np.lib.stride_tricks.as_strided(there, lines.shape, [4 * step for step in lines.strides])[:] = x
        buffers.append(device.allocate(there.nbytes))
        device.write(buffers[-1], 0, there)
    wanted = np.matmul(numbers[0].astype(np.float64), numbers[1].astype(np.float64).swapaxes(1, 2))
    offered = product_plans.choices(given)
    assert len(offered) == len({choice for _, choice in offered})
    for _, choice in offered:
        plan = product_plans.plan(given, choice)
        out = device.allocate(plan.parts * batch * m * n * 4)
        plan.launch(device, out, *buffers)
        found = np.empty((batch, plan.parts, m, n), np.float32)
        device.read(out, 0, found)
        np.testing.assert_allclose(found.sum(1), wanted, rtol=1e-4, atol=1e-5 * k, err_msg=str(choice))


@portability
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)], ids=["ab", "aTb", "abT", "aTbT"])
@pytest.mark.parametrize("context", CONTEXTS, ids=str)
def test_every_form_computes_the_product(context, turned, seeded):
    generator = np.random.default_rng(seeded)
    for sizes in ((37, 70, 65), (5, 3, 130), (1, 40, 9)):
        check_every_form(problem(*sizes, turned, 2, context.device), generator)


@pytest.mark.parametrize(("schedule", "lanes"), [("cpu", 4), ("cpu", 16), ("gpu", 1)])
def test_every_form_for_few_registers_and_many(schedule, lanes, seeded):
    given = mx.cpu().device
    device = Device(given.cl, given.name, schedule, 0)
    device.traits = dataclasses.replace(device.traits, lanes=lanes)
    check_every_form(problem(37, 70, 65, (True, False), 1, device), np.random.default_rng(seeded))


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """A cache of its own, and a process that has not read it; gives what forgets it again."""
    monkeypatch.setenv("CLND_CACHE", str(tmp_path))
    monkeypatch.setattr(products, "_plan", products._plan.__wrapped__)

    def afresh(mode):
        monkeypatch.setattr(tuning, "MODE", mode)
        tuning._kept.cache_clear()

    yield afresh
    tuning._kept.cache_clear()


@pytest.fixture
def stopwatch(monkeypatch):
    """Measuring that finds the last candidate fastest, and what was measured."""
    measured = []

    def measure(given, offered):
        measured.append(given)
        return {choice: 1.0 / (1 + i) for i, choice in enumerate(offered)}

    monkeypatch.setattr(tuning, "measure", measure)
    return measured


def test_a_class_is_measured_once_and_read_back(disk, stopwatch):
    given = problem(100, 110, 120)
    rule = tuning.candidates(given)[0]
    disk("")
    assert tuning.choose(given) == rule
    disk("1")
    chosen = tuning.choose(given)
    assert chosen == tuning.candidates(given)[-1] != rule
    assert tuning.choose(problem(101, 111, 121)) == chosen, "another class, or measured again"
    for mode in ("1", ""):
        disk(mode)
        assert tuning.choose(given) == chosen
    assert len(stopwatch) == 1
    disk("0")
    assert tuning.choose(given) == rule


def test_a_stored_choice_computes(disk, stopwatch, seeded):
    generator = np.random.default_rng(seeded)
    x, y = generator.normal(size=(100, 120)), generator.normal(size=(120, 110))
    disk("1")
    for _ in range(2):
        np.testing.assert_allclose(nd.dot(nd.array(x), nd.array(y)).asnumpy(), x @ y, rtol=1e-4, atol=1e-4)
    assert len(stopwatch) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: json.dumps({"found": [1, 2]}),
        lambda text: json.dumps({"found": {key: ["tiles", 1000, 1000, [False, False], False] for key in json.loads(text)["found"]}}),
        lambda text: json.dumps({"found": {key: {"form": 3} for key in json.loads(text)["found"]}}),
    ],
    ids=["empty", "torn", "a list", "lists inside", "a form that there is not", "no form"],
)
def test_a_damaged_file_costs_only_time(damage, disk, stopwatch, tmp_path):
    given = problem(100, 110, 120)
    disk("1")
    chosen = tuning.choose(given)
    (file,) = (tmp_path / "measured").glob("*.json")
    whole = cache.read("measured", file.name).decode()
    assert cache.keep("measured", file.name, damage(whole).encode())
    disk("")
    assert tuning.choose(given) == tuning.candidates(given)[0]
    disk("1")
    assert tuning.choose(given) == chosen
    assert json.loads(cache.read("measured", file.name)) == json.loads(whole)


def test_no_cache_measures_in_every_run(disk, stopwatch, monkeypatch):
    monkeypatch.setenv("CLND_CACHE", "")
    for number in (1, 2):
        disk("1")
        assert tuning.choose(problem(100, 110, 120)) == tuning.choose(problem(100, 110, 120))
        assert len(stopwatch) == number


@pytest.mark.no_zones
def test_a_capture_does_not_hear_of_measuring(disk, stopwatch):
    disk("1")
    x = nd.ones((100, 120))
    captured = mx.capture(lambda: nd.dot(x, x, transpose_b=True))
    with engine.eager(False):
        for _ in range(3):
            np.testing.assert_array_equal(captured().asnumpy(), np.full((100, 100), 120, np.float32))
    assert not stopwatch


def test_measuring_takes_every_candidate(disk):
    given = problem(33, 34, 35)
    seconds = tuning.measure(given, tuning.candidates(given))
    assert list(seconds) == tuning.candidates(given)
    assert all(each > 0 for each in seconds.values())


def test_a_form_that_cannot_be_built_is_left_out(disk, monkeypatch):
    given = problem(100, 110, 120)
    offered = tuning.candidates(given)

    def plan(given, choice):
        if choice == offered[1]:
            raise mx.MXNetError("too large")
        return product_plans.plan(given, choice)

    monkeypatch.setattr(tuning, "plan", plan)
    assert set(offered) - set(tuning.measure(given, offered)) == {offered[1]}


def test_the_command_measures_keeps_and_forgets(disk, monkeypatch, tmp_path):
    disk("")
    monkeypatch.setattr(command, "COMMON", [(1, 20, 30, 40, "left"), (3, 50, 20, 10, "")])
    result = CliRunner().invoke(app, ["tune"])
    assert result.exit_code == 0, result.output
    assert "20x30 by 30x40, left transposed" in result.output
    assert "3 of 50x20 by 20x10" in result.output
    (file,) = (tmp_path / "measured").glob("*.json")
    assert len(json.loads(cache.read("measured", file.name))["found"]) == 2
    assert CliRunner().invoke(app, ["tune", "--forget"]).exit_code == 0
    assert not file.exists()


def test_the_command_says_what_is_wrong(disk, monkeypatch):
    for arguments in (["--device", "tpu"], ["--dtype", "float17"]):
        result = CliRunner().invoke(app, ["tune", *arguments])
        assert result.exit_code == 1
        assert arguments[1] in result.output
    monkeypatch.setenv("CLND_CACHE", "")
    assert CliRunner().invoke(app, ["tune"]).exit_code == 1


def test_what_a_choice_is_written_as():
    assert command.form(Choice("dots", 4, 4, (False, True))) == "dots 4x4, right packed"
    assert command.form(Choice("tiles", 8, 2, (True, True), exchanged=True)) == "tiles 8x2, right and left packed, exchanged"
