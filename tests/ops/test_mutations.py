"""The checks of the table find what is wrong: each of these operators, kernels and rules is broken on purpose."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

import clnd as mx
from clnd import engine
from clnd.engine import Folding
from clnd.opencl import source
from clnd.opencl.device import Device
from clnd.ops import registry
from measures import forget_kernels
from ops.cases import CASES
from ops.checks import check_case, check_elementwise, compactly, compare, later
from ops.gradients import check_case_gradients, check_elementwise_gradients

FLOAT32 = np.dtype("float32")


@pytest.fixture
def context():
    """Where errors come when results are read, not at the calls."""
    with engine.eager(False):
        yield mx.cpu()


@pytest.fixture
def device(context):
    return context.device


@pytest.fixture
def generator(seeded):
    return np.random.default_rng(seeded)


def case(operator, **attributes):
    """The table's first case of an operator, which has these attributes."""
    return next(c for c in CASES if c.operator == operator and attributes.items() <= c.attributes.items())


# Wrong values.


@pytest.mark.parametrize(
    ("name", "wrong", "dtype"),
    [
        pytest.param("tanh", "tanh(data) * (T)(1.000002)", "float32", id="off by more than its units in the last place"),
        pytest.param("add", "lhs + rhs * (T)(1.0000001)", "float32", id="a sum that is off by one unit in the last place"),
        pytest.param("greater", "lhs >= rhs", "float32", id="wrong where the operands are equal"),
        pytest.param("maximum", "lhs > rhs ? lhs : rhs", "float32", id="wrong for a NaN on the left"),
        pytest.param("modulo", "fmod(lhs, rhs)", "float32", id="the sign of the dividend"),
        pytest.param("multiply", "convert_T(convert_T(lhs) * as_T(rhs) & (T)(0x7fffffff))", "int32", id="wrong where integers wrap around"),
        pytest.param("truncated_divide", "lhs / (rhs == (T)(0) ? (T)(1) : rhs)", "uint8", id="wrong for a divisor of 0"),
        pytest.param("logical_xor", "lhs | rhs", "bool", id="wrong for two that are true"),
    ],
)
def test_a_wrong_expression(name, wrong, dtype, device, generator, monkeypatch):
    op = registry[name]
    check_elementwise([op], np.dtype(dtype), "linear", device, generator)
    monkeypatch.setattr(op, "code", dict.fromkeys(op.code, wrong))
    monkeypatch.setattr(op, "_expressions", {})
    with pytest.raises(AssertionError, match=f"^{name}: .* wrong"):
        check_elementwise([op], np.dtype(dtype), "linear", device, generator)


def test_an_expression_that_no_driver_takes(device, generator, monkeypatch):
    op = registry["tanh"]
    monkeypatch.setattr(op, "code", {"float": "no_such_function(data)"})
    monkeypatch.setattr(op, "_expressions", {})
    with pytest.raises(AssertionError, match=r"^tanh: .* cannot build kernel .*tanh"):
        check_elementwise([registry["exp"], op], FLOAT32, "linear", device, generator)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("sum", {"code": "a - b"}),
        ("sum", {"identity": "1"}),
        ("prod", {"identity": "0"}),
        ("max", {"code": "a"}),
        ("max", {"identity": "0"}),
        ("min", {"code": "a < b ? a : b"}),  # loses a NaN
    ],
    ids=str,
)
def test_a_wrong_reduction(name, changed, device, generator, monkeypatch):
    op, chosen = registry[name], [c for c in CASES if c.operator == name][:3]
    plain = op.folding

    def folding(axes, result):
        return Folding(**{**dataclasses.asdict(plain(axes, result)), **changed, "name": f"wrong_{name}"})

    monkeypatch.setattr(op, "folding", folding)
    monkeypatch.setattr(op, "_foldings", {})
    with pytest.raises(AssertionError, match=f"{name} .* wrong"):
        for c in chosen:
            check_case(c, FLOAT32, device, generator)


def test_a_sum_that_does_not_carry_its_rounding_errors(device, generator, monkeypatch):
    op = registry["sum"]
    monkeypatch.setattr(op, "compensated", False)
    monkeypatch.setattr(op, "_foldings", {})
    forget_kernels(monkeypatch)  # they are known by the operator's name
    large = dataclasses.replace(case("sum"), shapes=((8_000, 100),), attributes={"axis": 0}, domain=(0.1, 0.1))
    with pytest.raises(AssertionError, match=r"sum .* wrong"):
        check_case(large, FLOAT32, device, generator)


class Templates:
    """A folder of templates that can be changed, and devices that have no kernel yet."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        shutil.copytree(source.template_folder(), folder)
        monkeypatch.setattr(source, "template_folder", lambda: folder)
        forget_kernels(monkeypatch)

    def change(self, template, old, new):
        file = self.folder / f"{template}.cl.mako"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        source._texts.cache_clear()
        source._lookup.cache_clear()

    def device(self, schedule):
        """The current device, opened afresh, with either schedule."""
        device = mx.current_context().device
        return Device(device.cl, device.name, schedule, 0)


@pytest.fixture
def templates(tmp_path, monkeypatch):
    yield Templates(tmp_path / "templates", monkeypatch)
    source._texts.cache_clear()
    source._lookup.cache_clear()


@pytest.mark.parametrize(
    ("schedule", "template", "old", "new", "operator", "attributes"),
    [
        pytest.param("cpu", "gather", "indices[k1]", "indices[k1 / 2]", "take", {}, id="the wrong element"),
        pytest.param("gpu", "gather", "data += data_start;", "", "take", {}, id="not from where a view begins"),
        pytest.param("cpu", "scatter", "{old} + {more}", "{more}", "add_at", {"axis": 0}, id="doubles"),
        pytest.param("gpu", "scatter", "{old} + {more}", "{more}", "add_at", {"axis": 0}, id="doubles, in sorted order"),
        pytest.param("cpu", "matmul", "step = k * a_column", "step = k", "dot", {"transpose_a": True}, id="along rows"),
        pytest.param(
            "gpu",
            "matmul_blocks",
            "element = a_tile[step]",
            "element = a_tile[0]",
            "dot",
            {"transpose_a": True},
            id="one step",
        ),
        pytest.param("cpu", "reduction", "again, count)", "again, ${lanes})", "prod", {"axis": 1}, id="past the last"),
        pytest.param("cpu", "reduction", "again, count)", "0, count)", "sum", {"axis": 1}, id="what was added"),
        pytest.param("gpu", "reduction", "at += ${order}", "at += 2 * ${order}", "max", {"axis": 1}, id="every other group"),
    ],
)
def test_a_wrong_template(schedule, template, old, new, operator, attributes, templates, generator):
    chosen = [c for c in CASES if c.operator == operator and attributes.items() <= c.attributes.items()]

    def check(on):
        for c in chosen:
            for placed in (compactly, later):
                check_case(c, FLOAT32, on, generator, placed)

    check(templates.device(schedule))
    templates.change(template, old, new)
    with pytest.raises(AssertionError, match=f"^{operator} .* wrong"):
        check(templates.device(schedule))


@pytest.mark.parametrize(
    ("template", "old", "new", "layout"),
    [
        ("common", "lane = 0; lane < count; lane++) p[lane] =", "lane = 1; lane < count; lane++) p[lane] =", "linear"),
        ("common", "${coordinates}${i} = rest % ${sizes}${i};", "${coordinates}${i} = 0;", "backwards, padded rows, column"),
        ("common", "if (++j${i} == n${i})", "if (++j${i} > n${i})", "row, steps, one"),
        ("elementwise", "top = rest % down * side", "top = 0", "transposed, repeated, linear"),
    ],
    ids=["the elements past the last whole vector", "where a work-item begins", "from one row to the next", "from one block to the next"],
)
def test_a_wrong_walk(template, old, new, layout, templates, generator):
    check_elementwise([registry["add"]], FLOAT32, layout, templates.device("cpu"), generator)
    templates.change(template, old, new)
    with pytest.raises(AssertionError, match=r"^add: .* wrong"):
        check_elementwise([registry["add"]], FLOAT32, layout, templates.device("cpu"), generator)


# Wrong derivatives.


def broken(op, position, change):
    """The operator's rules with another one for one of its arrays: made of the right gradient, and of what the right rule is given."""
    rule, needs = op.rules[position], op._needs[position]

    def wrong(*given):
        return change(rule(*given), dict(zip(needs, given, strict=True)))

    return tuple(wrong if i == position else each for i, each in enumerate(op.rules))


def scaled(gradient, given):
    return gradient * 1.001


def cut_off(gradient, given):
    """Right, but without what the next order would need."""
    return registry["stop_gradient"](gradient)


def constant_factor(gradient, given):
    """Right at first order: a factor of 1 whose derivative is wrong."""
    data = given.get("data", given.get("lhs", given.get("rhs")))
    return gradient * (1 + (data - registry["stop_gradient"](data)))


@pytest.mark.parametrize(
    ("name", "position", "change", "order"),
    [
        ("tanh", 0, scaled, 1),
        ("multiply", 0, scaled, 1),
        ("divide", 1, scaled, 1),
        ("where", 2, scaled, 1),
        ("square", 0, cut_off, 2),
        ("exp", 0, cut_off, 2),
        ("log", 0, constant_factor, 2),
        ("divide", 1, cut_off, 2),
    ],
)
@pytest.mark.parametrize("squared", [False, True])
def test_a_wrong_rule(name, position, change, order, squared, context, device, generator, monkeypatch):
    op = registry[name]
    monkeypatch.setattr(op, "rules", broken(op, position, change))
    if order == 2:
        check_elementwise_gradients([op], 1, False, context, device, generator)
    with pytest.raises(AssertionError, match=f"^{name}: gradient . of order {order}"):
        check_elementwise_gradients([op], order, squared, context, device, generator)


@pytest.mark.parametrize(
    ("name", "position", "attributes", "change", "order"),
    [
        ("sum", 0, {"axis": 1}, scaled, 1),
        ("max", 0, {"axis": 1}, scaled, 1),
        ("softmax", 0, {}, scaled, 1),
        ("softmax", 0, {}, cut_off, 2),
        ("matmul", 1, {}, scaled, 1),
        ("matmul", 1, {}, cut_off, 2),
        ("take", 0, {}, scaled, 1),
        ("concat", 0, {"dim": 1}, scaled, 1),
        ("transpose", 0, {}, scaled, 1),
        ("reshape", 0, {}, cut_off, 2),
        ("prod", 0, {"axis": 1}, cut_off, 2),
    ],
)
def test_a_wrong_rule_of_a_call(name, position, attributes, change, order, context, device, generator, monkeypatch):
    op = registry[name]
    monkeypatch.setattr(op, "rules", broken(op, position, change))
    with pytest.raises(AssertionError, match=f"^{name} .*: order 1{' . 1' * (order - 1)}, argument"):
        check_case_gradients(case(name, **attributes), context, device, generator)


def test_gradients_of_the_wrong_array(context, device, generator, monkeypatch):
    op = registry["subtract"]
    monkeypatch.setattr(op, "rules", op.rules[::-1])
    with pytest.raises(AssertionError, match=r"^subtract: gradient . of order 1"):
        check_elementwise_gradients([op], 1, False, context, device, generator)


def test_a_gradient_that_is_not_summed_over_all_that_was_stretched(context, device, generator, monkeypatch):
    from clnd.ops import declare

    monkeypatch.setattr(declare, "sum_to", lambda value, shape: registry["broadcast_to"](registry["max"](value), shape=shape))
    with pytest.raises(AssertionError, match=r"^multiply .*: order 1, argument"):
        check_case_gradients(case("multiply"), context, device, generator)


# What comparing finds.


@pytest.mark.parametrize(
    ("got", "exact", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], ""),
        ([1.0, 2.0], [1.0, 2.0000002], "1 of 2 elements are wrong; at (1,)"),
        ([np.nan], [np.nan], ""),
        ([np.nan], [1.0], "1 of 1 elements are wrong"),
        ([1.0], [np.nan], "1 of 1 elements are wrong"),
        ([np.inf], [3e38], "1 of 1 elements are wrong"),
        ([0.0], [-0.0], "1 of 1 elements are wrong"),
        ([[1.0]], [1.0], "the shape is (1, 1), not (1,)"),
    ],
)
def test_comparing(got, exact, expected):
    wrong = compare(np.array(got, np.float32), np.array(exact, np.float32), FLOAT32)
    assert wrong.startswith(expected) if expected else not wrong


def test_comparing_dtypes_and_bounds():
    one, more = np.ones(3, np.float32), np.nextafter(np.ones(3, np.float32), 2)
    assert compare(one.astype("float64"), one, FLOAT32) == "the dtype is float64, not float32"
    assert compare(more, one.astype("float64"), FLOAT32, ulps=1) == ""
    assert compare(np.nextafter(more, 2), one.astype("float64"), FLOAT32, ulps=1) != ""
    assert compare(more, one.astype("float64"), FLOAT32, allowed=1.2e-7) == ""
    assert compare(more, one.astype("float64"), FLOAT32, allowed=1.1e-7) != ""
    assert compare(np.inf * one, 3.5e38 * one.astype("float64"), FLOAT32, ulps=1) == ""
    assert compare(more, one, FLOAT32, where=np.zeros(3, bool)) == ""
