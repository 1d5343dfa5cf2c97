"""What is decided once for a structure of waiting work holds for all work of that structure, and for no other."""

import numpy as np
import pytest

from clnd import autograd, nd
from clnd.engine import fusion, launch, plan
from measures import allocated, counted, waits


@pytest.fixture
def decisions(monkeypatch):
    """How often something was decided, from here on."""
    made = []
    decide = plan._made
    monkeypatch.setattr(plan, "_plans", {})
    monkeypatch.setattr(plan, "_made", lambda survey: made.append(survey.key) or decide(survey))
    return made


def random(*shape, seed=0):
    return nd.array(np.random.default_rng(seed).uniform(0.5, 1.5, shape))


def test_work_of_one_structure_is_decided_once(decisions):
    for number in range(5):
        x, y = random(3, 4, seed=number), random(4, seed=number + 10)
        got = nd.sum(nd.tanh(x * number + y) - 0.5 * number, axis=1)
        expected = np.sum(np.tanh(x.asnumpy() * np.float32(number) + y.asnumpy()) - np.float32(0.5 * number), axis=1)
        np.testing.assert_allclose(got.asnumpy(), expected, rtol=1e-5)
    assert len(decisions) == 1


def test_nothing_is_put_together_again(decisions, monkeypatch):
    x = random(5)
    (x * 2 + 1).wait_to_read()
    monkeypatch.setattr(fusion.Fusion, "add", lambda *_: pytest.fail("this was decided"))
    np.testing.assert_array_equal((x * 3 + 2).asnumpy(), x.asnumpy() * 3 + 2)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda x, y: x * 2 + x, id="an array twice"),
        pytest.param(lambda x, y: x * 2 + (y * 4).astype("int32"), id="a cast"),
        pytest.param(lambda x, y: x.T * 2 + y.T, id="another shape"),
        pytest.param(lambda x, y: x * 2 + y[0], id="one that is repeated"),
        pytest.param(lambda x, y: x * 2 - y, id="another operator"),
        pytest.param(lambda x, y: y + x * 2, id="another order"),
    ],
)
def test_other_work_is_decided_for_itself(other, decisions):
    x, y = random(3, 4), random(3, 4, seed=1)
    (x * 2 + y).wait_to_read()
    expected = other(x.asnumpy(), y.asnumpy())
    before = len(decisions)
    np.testing.assert_allclose(other(x, y).asnumpy(), expected, rtol=1e-6)
    assert len(decisions) > before


def test_parts_of_one_buffer_are_told_from_equal_ones_and_from_others(decisions):
    whole, apart = random(10), random(10, seed=1)
    elements, others = whole.asnumpy(), apart.asnumpy()
    for i, j in ((0, 3), (3, 0), (2, 5), (1, 1), (6, 2)):
        np.testing.assert_array_equal((whole[i : i + 3] + whole[j : j + 3]).asnumpy(), elements[i : i + 3] + elements[j : j + 3])
        np.testing.assert_array_equal((whole[i : i + 3] + apart[j : j + 3]).asnumpy(), elements[i : i + 3] + others[j : j + 3])


def test_where_a_part_begins_decides_nothing_unless_it_is_far_behind(decisions, monkeypatch):
    x = random(64)
    for i in range(5):
        np.testing.assert_array_equal((x[i : i + 3] * 2).asnumpy(), x.asnumpy()[i : i + 3] * 2)
    assert len(decisions) == 1
    monkeypatch.setattr(launch, "MARGIN", 16)
    for i in (15, 16, 20, 20):
        np.testing.assert_array_equal((x[i : i + 3] * 2).asnumpy(), x.asnumpy()[i : i + 3] * 2)
    assert len(decisions) == 3


def test_what_is_held_is_stored_and_what_is_not_held_is_not():
    x = random(100)
    for held in (True, False, True, False):
        with counted() as counts, allocated(x.context.device) as sizes:
            y = nd.tanh(x)
            z = y + 1
            if not held:
                del y
            z.wait_to_read()
        assert counts.launches == 1
        assert len(sizes) == 1 + held
        assert not held or not waits(y)


def test_gradients_of_one_structure_are_decided_once(decisions):
    x = random(6)
    x.attach_grad()
    for number in range(4):
        with autograd.record():
            y = nd.exp(x * number)
        y.backward()
        np.testing.assert_allclose(x.grad.asnumpy(), number * np.exp(x.asnumpy() * number), rtol=1e-5)
    assert len(decisions) == 1


def test_plans_are_bounded(decisions, monkeypatch):
    monkeypatch.setattr(plan, "MOST", 8)
    for n in range(1, 30):
        (random(n) * 2).wait_to_read()
    assert len(plan._plans) <= 8
    assert len(decisions) == 29
