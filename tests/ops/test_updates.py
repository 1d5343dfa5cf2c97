"""Steps of optimisers: twenty steps of each beside its formula, states written, one launch, bad input."""

from __future__ import annotations

import re
import weakref

import numpy as np
import pytest

from clnd import autograd, engine, nd
from clnd.errors import DTypeError, MXNetError, ShapeError
from clnd.ops import updates
from measures import CONTEXTS, launches

LR, WD, RESCALE, CLIP = 0.1, 0.01, 0.5, 0.3
COMMON = {"lr": LR, "wd": WD, "rescale_grad": RESCALE, "clip_gradient": CLIP}


@pytest.fixture(params=CONTEXTS, ids=str)
def context(request):
    return request.param


def clipped(g):
    return np.clip(g * RESCALE, -CLIP, CLIP)


def decayed(w, g):
    return np.clip(g * RESCALE + WD * w, -CLIP, CLIP)


def sgd(w, g, t):
    return (w - LR * (clipped(g) + WD * w),)


def sgd_mom(w, g, t, mom):
    mom = 0.9 * mom - LR * (clipped(g) + WD * w)
    return w + mom, mom


def nag_mom(w, g, t, mom):
    step = LR * (clipped(g) + WD * w)
    mom = 0.9 * mom - step
    return w + 0.9 * mom - step, mom


def signsgd(w, g, t):
    return ((1 - LR * WD) * w - LR * np.sign(g),)


def signum(w, g, t, mom):
    mom = 0.9 * mom - 0.1 * (WD * w + clipped(g))
    return (1 - LR * 0.05) * w + LR * np.sign(mom), mom


def adam(w, g, t, mean, var):
    g = decayed(w, g)
    mean, var = 0.8 * mean + 0.2 * g, 0.95 * var + 0.05 * g**2
    return w - LR * mean / (np.sqrt(var) + 1e-3), mean, var


def rmsprop(w, g, t, n):
    g = decayed(w, g)
    n = 0.9 * n + 0.1 * g**2
    return np.clip(w - LR * g / np.sqrt(n + 1e-3), -1.5, 1.5), n


def rmspropalex(w, g, t, n, mean, delta):
    g = decayed(w, g)
    n, mean = 0.9 * n + 0.1 * g**2, 0.9 * mean + 0.1 * g
    delta = 0.8 * delta - LR * g / np.sqrt(n - mean**2 + 1e-3)
    return np.clip(w + delta, -1.5, 1.5), n, mean, delta


def ftrl(w, g, t, z, n):
    g = clipped(g)
    z = z + g - (np.sqrt(n + g**2) - np.sqrt(n)) * w / LR
    n = n + g**2
    return np.where(np.abs(z) > 0.2, (np.sign(z) * 0.2 - z) / ((0.5 + np.sqrt(n)) / LR + WD), 0), z, n


def ftml(w, g, t, d, v, z):
    g = decayed(w, g)
    v = 0.95 * v + 0.05 * g**2
    after = (1 - 0.6**t) / LR * (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
    z = 0.6 * z + 0.4 * g - (after - 0.6 * d) * w
    return -z / after, after, v, z


def lamb_phase1(w, g, t, mean, var, corrected=True):
    g = clipped(g)
    mean, var = 0.8 * mean + 0.2 * g, 0.95 * var + 0.05 * g**2
    m, v = (mean / (1 - 0.8**t), var / (1 - 0.95**t)) if corrected else (mean, var)
    return m / (np.sqrt(v) + 1e-3) + WD * w, mean, var


BETAS = {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3}
LAMB = {**BETAS, "wd": WD, "rescale_grad": RESCALE, "clip_gradient": CLIP}
CENTERED = {**COMMON, "gamma1": 0.9, "epsilon": 1e-3, "clip_weights": 1.5}
RULES = {  # the formula, how many states it has, the attributes, and whether they hold t
    "sgd_update": (sgd, 0, COMMON, False),
    "sgd_mom_update": (sgd_mom, 1, {**COMMON, "momentum": 0.9}, False),
    "nag_mom_update": (nag_mom, 1, {**COMMON, "momentum": 0.9}, False),
    "signsgd_update": (signsgd, 0, COMMON, False),
    "signum_update": (signum, 1, {**COMMON, "momentum": 0.9, "wd_lh": 0.05}, False),
    "adam_update": (adam, 2, {**COMMON, **BETAS}, False),
    "rmsprop_update": (rmsprop, 1, CENTERED, False),
    "rmspropalex_update": (rmspropalex, 3, {**CENTERED, "gamma2": 0.8}, False),
    "ftrl_update": (ftrl, 2, {**COMMON, "lamda1": 0.2, "beta": 0.5}, False),
    "ftml_update": (
        ftml,
        3,
        {"lr": LR, "wd": WD, "rescale_grad": RESCALE, "clip_grad": CLIP, "beta1": 0.6, "beta2": 0.95, "epsilon": 1e-3},
        True,
    ),
    "lamb_update_phase1": (lamb_phase1, 2, LAMB, True),
}
MIXED = {"mp_sgd_update": sgd, "mp_sgd_mom_update": sgd_mom, "mp_nag_mom_update": nag_mom, "mp_lamb_update_phase1": lamb_phase1}


def drawn(seed, *shape):
    return np.random.default_rng(seed).uniform(-1, 1, shape)


@pytest.mark.parametrize("name", RULES)
def test_twenty_steps(name, context):
    formula, count, attributes, counted = RULES[name]
    w, states = drawn(0, 3, 5), [np.zeros((3, 5))] * count
    weight, arrays = nd.array(w, ctx=context, dtype="float32"), [nd.zeros((3, 5), ctx=context) for _ in states]
    for t in range(1, 21):
        g = drawn(t, 3, 5)
        w, *states = formula(w, g, t, *states)
        given = {**attributes, "t": t} if counted else attributes
        assert getattr(nd, name)(weight, nd.array(g, ctx=context, dtype="float32"), *arrays, out=weight, **given) is weight
    for found, expected in zip([weight, *arrays], [w, *states], strict=True):
        np.testing.assert_allclose(found.asnumpy(), expected, rtol=2e-4, atol=2e-5)


def test_nan_stays_and_signs_are_not_clipped():
    x, nan = nd.ones(2), nd.array([np.nan, 1])
    for name in ("sgd_update", "ftrl_update", "rmsprop_update"):
        states = [nd.ones(2) for _ in range(RULES[name][1])]
        found = getattr(nd, name)(x, nan, *states, lr=1, clip_gradient=1)
        assert np.isnan(found.asnumpy()).tolist() == [True, False], name
    assert nd.signsgd_update(x, nd.array([-3, 3]), lr=0.5, clip_gradient=0).asnumpy().tolist() == [1.5, 0.5]


@pytest.mark.parametrize("name", MIXED)
def test_mixed_precision(name):
    formula, (_, count, attributes, counted) = MIXED[name], RULES[name.removeprefix("mp_")]
    w, states = drawn(0, 7).astype("float32"), [np.zeros(7)] * count
    weight, exact, arrays = nd.array(w, dtype="float16"), nd.array(w), [nd.zeros(7) for _ in states]
    moves = name != "mp_lamb_update_phase1"
    for t in range(1, 4):
        g = drawn(t, 7).astype("float16")
        result, *states = formula(w, g.astype("float64"), t, *states)
        given = {**attributes, "t": t} if counted else attributes
        grad = nd.array(g, dtype="float16")
        found = [getattr(nd, name)(weight, grad, *arrays, exact, **given)]
        w = result if moves else w
    assert found[0].dtype == (np.float16 if moves else np.float32)
    np.testing.assert_allclose(found[0].asnumpy(), result, rtol=1e-3 if moves else 1e-4)
    for array, expected in zip([exact, *arrays], [w, *states], strict=True):
        np.testing.assert_allclose(array.asnumpy(), expected, rtol=1e-4, atol=1e-6)


def test_lamb_without_correction_and_its_second_half():
    w, g, mean, var = (drawn(i, 5) for i in range(4))
    var = np.abs(var)
    arrays = [nd.array(x, dtype="float32") for x in (w, g, mean, var)]
    found = nd.lamb_update_phase1(*arrays, t=3, bias_correction=False, **LAMB)
    np.testing.assert_allclose(found.asnumpy(), lamb_phase1(w, g, 3, mean, var, corrected=False)[0], rtol=1e-4)
    for r1, r2, bounds, ratio in (
        (2, 4, {}, 0.5),
        (0, 4, {}, 1),
        (2, 0, {}, 1),
        (2, 4, {"lower_bound": 3}, 0.75),
        (2, 4, {"upper_bound": 1}, 0.25),
        (0, 4, {"lower_bound": 1}, 0.25),
    ):
        norms = nd.array([r1]), nd.array([r2])
        np.testing.assert_allclose(
            nd.lamb_update_phase2(*arrays[:2], *norms, lr=LR, **bounds).asnumpy(), w - LR * ratio * g, rtol=1e-5, atol=1e-6
        )
        exact = nd.array(w)
        half = nd.mp_lamb_update_phase2(arrays[0].astype("float16"), arrays[1], *norms, exact, lr=LR, **bounds)
        np.testing.assert_allclose(exact.asnumpy(), w - LR * ratio * g, rtol=1e-5, atol=1e-6)
        assert (half.asnumpy() == exact.asnumpy().astype("float16")).all()


def test_several_weights_are_as_one_after_another():
    rates, decays = (0.1, 0.2), (0.0, 0.01)
    options = {"rescale_grad": RESCALE, "clip_gradient": CLIP}

    def arrays(name):
        states = ["float32"] * ("mom" in name)
        made = []
        for size in (3, 4):
            w = drawn(size, size)
            kinds = ["float16", "float16", *states, "float32"] if "mp" in name else ["float32", "float32", *states]
            made.append([nd.array(w * (0.5 if i == 1 else 1), dtype=kind) for i, kind in enumerate(kinds)])
        return made

    for name in ("sgd_update", "sgd_mom_update", "mp_sgd_update", "mp_sgd_mom_update"):
        more = {"momentum": 0.9, **options} if "mom" in name else options
        expected = arrays(name)
        for group, lr, wd in zip(expected, rates, decays, strict=True):
            getattr(nd, name)(*group, lr=lr, wd=wd, out=group[0], **more)
        for prefix, last, attributes in (
            ("multi_", [], {"lrs": rates, "wds": decays}),
            ("preloaded_multi_", [nd.array(rates), nd.array(decays)], {}),
        ):
            found = arrays(name)
            flat = [x for group in found for x in group]
            outs = [group[0] for group in found]
            given = getattr(nd, prefix + name)(*flat, *last, num_weights=2, out=outs, **attributes, **more)
            assert [x is y for x, y in zip(given, outs, strict=True)] == [True, True]
            for x, y in zip(flat, [x for group in expected for x in group], strict=True):
                assert x.dtype == y.dtype
                np.testing.assert_allclose(x.asnumpy(), y.asnumpy(), rtol=1e-3 if x.dtype == np.float16 else 1e-6, atol=1e-6)


def test_half_is_rounded_once():
    w, g, mom = (drawn(i, 50).astype("float16") for i in range(3))
    weight, grad, state = (nd.array(x, dtype="float16") for x in (w, g, mom))
    found = nd.sgd_mom_update(weight, grad, state, lr=LR, momentum=0.9)
    exact = [nd.array(x.astype("float32")) for x in (w, g, mom)]
    assert (found.asnumpy() == nd.sgd_mom_update(*exact, lr=LR, momentum=0.9).asnumpy().astype("float16")).all()
    assert (state.asnumpy() == exact[2].asnumpy().astype("float16")).all()


@pytest.mark.parametrize("name", [*RULES, *MIXED])
def test_one_launch(name):
    _, count, attributes, counted = RULES[name.removeprefix("mp_")]
    arrays = [nd.ones(5) for _ in range(count + 2 + name.startswith("mp_"))]
    nd.waitall()
    given = {**attributes, "t": 1} if counted else attributes
    with engine.eager(False):
        assert launches(lambda: getattr(nd, name)(*arrays, out=arrays[0], **given)) == 1
        assert launches(lambda: [x.asnumpy() for x in arrays]) == 0


SEVERAL = [
    ("multi_sgd_update", 2, "float32"),
    ("multi_sgd_mom_update", 3, "float32"),
    ("multi_mp_sgd_mom_update", 4, "float16"),
    ("preloaded_multi_sgd_mom_update", 3, "float32"),
]


@pytest.mark.portability
@pytest.mark.parametrize(("name", "size", "dtype"), SEVERAL)
def test_many_weights_are_a_few_launches_and_the_bits_of_one_by_one(name, size, dtype, context):
    shapes = [(n,) for n in (1, 2, 3, 100, 17, 65, 1000, 4, 33, 20_000)] + [(3, n) for n in range(2, 12)]
    count, rates = len(shapes), np.linspace(0.1, 0.3, len(shapes)).astype("float32")

    def groups():
        found = []
        for i, shape in enumerate(shapes):
            arrays = [nd.array(drawn(size * i + j, *shape), dtype=dtype, ctx=context) for j in range(size)]
            found.append([*arrays[:-1], arrays[0].astype("float32")] if dtype == "float16" else arrays)
        return found

    def step(given, rates):
        preloaded = name.startswith("preloaded")
        more = [nd.array(rates, ctx=context), nd.array(rates / 10, ctx=context)] if preloaded else []
        attributes = {} if preloaded else {"lrs": tuple(rates.tolist()), "wds": tuple((rates / 10).tolist())}
        arrays = [x for group in given for x in group]
        getattr(nd, name)(*arrays, *more, out=[group[0] for group in given], num_weights=len(given), **attributes)

    together, apart = groups(), groups()
    for x in (x for group in (*together, *apart) for x in group):
        x.wait_to_read()
    with engine.eager(False):
        found = launches(lambda: step(together, rates))
        assert found <= 2 + count // 4
        for i, group in enumerate(apart):
            step([group], rates[i : i + 1])
    for one, other in zip(together, apart, strict=True):
        for x, y in zip(one, other, strict=True):
            np.testing.assert_array_equal(x.asnumpy(), y.asnumpy())


def test_launches_of_others():
    x, one = nd.ones(5), nd.ones(1)
    with engine.eager(False):
        assert launches(lambda: nd.mp_lamb_update_phase2(x, x, one, one, x, lr=0.1, lower_bound=0, upper_bound=9)) == 1
        assert launches(lambda: nd.multi_lars(x, x, x, x, eta=0.1, eps=0)) == 1


def stepped(out, arrays):
    """Three steps of Adam, each with another rate; the weight and the states in the end."""
    for lr in (0.1, 0.2, 0.3):
        nd.adam_update(*arrays, lr=lr, wd=WD, clip_gradient=CLIP, out=out)
    return [x.asnumpy() for x in (out, *arrays[2:])]


@pytest.mark.no_zones
def test_what_nobody_else_holds_is_written_where_it_lies():
    arrays = [nd.array(drawn(i, 3, 5)) for i in range(4)]
    arrays[0].attach_grad()
    before = [x.value.buffer.cl for x in arrays]
    stepped(arrays[0], arrays)
    assert [x.value.buffer.cl for x in arrays] == before or engine.state.eager


def test_what_somebody_holds_stays_as_it_is():
    arrays = [nd.array(drawn(i, 3, 5)) for i in range(4)]
    weight, _, mean, _ = arrays
    alias, kept, view = weight.detach(), mean.asnumpy(), mean.detach()[1:]
    weight.attach_grad()
    with autograd.record():
        loss = (weight * weight).sum()
    old = weight.asnumpy()
    stepped(weight, arrays)
    np.testing.assert_array_equal(alias.asnumpy(), old)
    np.testing.assert_array_equal(view.asnumpy(), kept[1:])
    loss.backward()
    np.testing.assert_array_equal(weight.grad.asnumpy(), 2 * old)


def test_the_same_bits_wherever_arrays_lie():
    """Eager, and from parts of others, transposed, waiting, the steps go another way."""
    given = [np.abs(drawn(i, 3, 5)).astype("float32") for i in range(4)]

    def whole():
        return [nd.array(x) for x in given]

    expected = stepped(*(lambda arrays: (arrays[0], arrays))(whole()))
    parts = [nd.array(np.stack([x, x]))[1] for x in given]
    turned = [nd.array(np.ascontiguousarray(x.T)).T for x in given]
    for arrays in (parts, turned, [x * 1 for x in whole()]):
        for one, other in zip(stepped(arrays[0], arrays), expected, strict=True):
            np.testing.assert_array_equal(one, other)
    with engine.eager():
        arrays = whole()
        for one, other in zip(stepped(arrays[0], arrays), expected, strict=True):
            np.testing.assert_array_equal(one, other)
    arrays = whole()
    out = nd.zeros((3, 5))
    nd.adam_update(*arrays, lr=0.1, out=out)
    other = whole()
    np.testing.assert_array_equal(nd.adam_update(*other, lr=0.1).asnumpy(), out.asnumpy())
    np.testing.assert_array_equal(arrays[0].asnumpy(), given[0])


def test_a_step_taken_again_follows_what_has_changed():
    arrays, others = ([nd.array(drawn(i, 3, 5)) for i in range(4)] for _ in range(2))
    holders = []
    for t in range(12):
        attributes = {"lr": 0.1 / (1 + t // 2), **({"clip_gradient": CLIP} if t > 6 else {})}
        if t == 3:
            arrays[1], others[1] = (nd.array(drawn(7, 3, 5)) for _ in range(2))  # another array
        if t == 4:
            holders.append((arrays[2].detach(), arrays[2].asnumpy()))  # somebody holds a state
        if t == 5:
            arrays[0].attach_grad()
        if t == 8:
            arrays[3][:] = nd.array(drawn(8, 3, 5)) ** 2
            others[3][:] = nd.array(drawn(8, 3, 5)) ** 2
        if t == 9:
            arrays[1] = nd.array(np.ascontiguousarray(others[1].asnumpy().T)).T  # the same elements, laid out another way
        nd.adam_update(*arrays, out=arrays[0], **attributes)
        others[0] = nd.adam_update(*others, **attributes)
        for one, other in zip(arrays, others, strict=True):
            np.testing.assert_array_equal(one.asnumpy(), other.asnumpy())
    for alias, before in holders:
        np.testing.assert_array_equal(alias.asnumpy(), before)
    with pytest.raises(DTypeError, match="no attribute rate"):
        nd.adam_update(*arrays, out=arrays[0], lr=0.1, rate=1)
    with pytest.raises(DTypeError, match="lr"):
        nd.adam_update(*arrays, out=arrays[0])


def test_another_rate_is_the_same_recipe():
    """Only the numbers differ, whatever the weight; another form of the rule is another recipe."""
    float32 = np.dtype("float32")
    device = nd.ones(1).context.device
    kinds = (float32,) * 3

    def kernel(**attributes):
        return updates.kernel_for("sgd_mom_update", updates.sgd_mom_update, device, kinds, tuple(attributes.items()), "weight")

    one, other, clipping = kernel(lr=0.25, momentum=0.5), kernel(lr=0.125, momentum=0.5), kernel(lr=0.25, clip_gradient=1.0)
    assert one.recipe is other.recipe is not clipping.recipe
    assert sorted(set(one.numbers) - set(other.numbers)) == [0.25] and sorted(set(other.numbers) - set(one.numbers)) == [0.125]


@pytest.mark.no_zones
def test_steps_keep_no_arrays():
    weight, grad = nd.ones(100), nd.ones(100)
    for _ in range(3):
        nd.sgd_update(weight, grad, lr=0.1, out=weight)
    gone = [weakref.ref(x) for x in (weight, weight.value.buffer, grad.value.buffer)]
    del weight, grad
    assert [x() for x in gone] == [None] * 3


def test_an_array_may_be_given_twice():
    w = drawn(0, 5).astype("float32")
    weight = nd.array(w)
    nd.sgd_mom_update(weight, weight, weight, lr=0.5, momentum=0.5, out=weight)
    apart = [nd.array(w) for _ in range(3)]
    nd.sgd_mom_update(*apart, lr=0.5, momentum=0.5, out=apart[0])
    np.testing.assert_array_equal(weight.asnumpy(), apart[2].asnumpy())  # the state is written last
    x, y = nd.array(w), nd.array(w)
    nd.multi_sgd_update(x, x, y, x, lrs=(0.5, 0.5), wds=(0, 0), num_weights=2, out=[x, y])
    np.testing.assert_array_equal(y.asnumpy(), w * np.float32(0.5))  # by the gradient as it was


def test_a_step_of_several_weights_is_taken_whole_or_not_at_all():
    x, y = nd.ones(3), nd.ones(4)
    with pytest.raises(ShapeError):
        nd.multi_sgd_update(x, nd.ones(3), y, nd.ones(5), lrs=(0.5, 0.5), wds=(0, 0), num_weights=2, out=[x, y])
    np.testing.assert_array_equal(x.asnumpy(), np.ones(3))


def test_an_array_as_an_attribute_is_read_at_each_call():
    weight, rate = nd.ones(3), nd.array([0.5])
    for _ in range(2):
        nd.sgd_update(weight, nd.ones(3), lr=rate, out=weight)
        rate[:] = 0.25
    np.testing.assert_array_equal(weight.asnumpy(), np.full(3, 0.25))


def test_the_rates_of_lars():
    lrs, w, g, wds = np.array([0.1, 0.2, 0.3]), np.array([4.0, 0, 9]), np.array([1.0, 4, 0]), np.array([0.1, 0.2, 0.3])
    found = nd.multi_lars(*(nd.array(x) for x in (lrs, w, g, wds)), eta=0.5, eps=1e-3, rescale_grad=0.5)
    np.testing.assert_allclose(found.asnumpy(), [0.1 * 0.5 * 2 / (0.5 + 0.2 + 1e-3), 0.2, 0.3], rtol=1e-6)


def test_nothing_is_recorded():
    weight, grad, mom = nd.array([1, 2]), nd.array([1, 1]), nd.zeros(2)
    weight.attach_grad()
    with autograd.record():
        (weight * weight).backward()
        nd.sgd_mom_update(weight, weight.grad, mom, lr=0.25, out=weight)
        assert autograd.is_recording()
        loss = weight * grad * 3
    loss.backward()
    assert weight.asnumpy().tolist() == [0.5, 1] and weight.grad.asnumpy().tolist() == [3, 3] and mom.asnumpy().tolist() == [-0.5, -1]


def test_views_are_written():
    states = nd.zeros((2, 3))
    nd.sgd_mom_update(nd.ones(3), nd.ones(3), states[1], lr=0.5)
    assert states.asnumpy().tolist() == [[0, 0, 0], [-0.5, -0.5, -0.5]]


@pytest.mark.parametrize("shape", [(0,), (2, 0), (1,)])
def test_small_arrays(shape):
    weight, mom = nd.ones(shape), nd.zeros(shape)
    assert nd.sgd_mom_update(weight, nd.ones(shape), mom, 0.5, out=weight).asnumpy().tolist() == np.full(shape, 0.5).tolist()


X = nd.ones(3)
BAD = {
    "shape of grad": (lambda: nd.sgd_update(X, nd.ones(2), lr=1), ShapeError, "sgd_update: grad has shape (2,), but weight has (3,)"),
    "shape of a state": (lambda: nd.adam_update(X, X, X, nd.ones((3, 1)), lr=1), ShapeError, "adam_update: var has shape (3, 1)"),
    "shape of a norm": (lambda: nd.lamb_update_phase2(X, X, X, nd.ones(1), lr=1), ShapeError, "r1 has shape (3,)"),
    "shape of out": (lambda: nd.sgd_update(X, X, lr=1, out=nd.ones(2)), ShapeError, "out has shape (2,)"),
    "dtype": (lambda: nd.sgd_update(X, nd.ones(3, dtype="int32"), lr=1), DTypeError, "grad has dtype int32"),
    "no array": (lambda: nd.sgd_update(X, np.ones(3), lr=1), DTypeError, "grad is a ndarray"),
    "no lr": (lambda: nd.sgd_update(X, X), DTypeError, "sgd_update: lr must be given"),
    "lr twice": (lambda: nd.sgd_update(X, X, 1, lr=1), DTypeError, "lr is given twice"),
    "unknown": (lambda: nd.sgd_update(X, X, lr=1, speed=1), DTypeError, "no attribute speed"),
    "no number": (lambda: nd.sgd_update(X, X, lr="fast"), DTypeError, "lr must be a number, not 'fast'"),
    "too many": (lambda: nd.sgd_update(*[X] * 20), DTypeError, "at most 7 arguments, 20 given"),
    "step 0": (lambda: nd.ftml_update(X, X, X, X, X, lr=1, t=0), MXNetError, "t must be the number of the step"),
    "arrays": (lambda: nd.multi_sgd_update(X, X, X, lrs=(1,), wds=(1,)), DTypeError, "2 (weight, grad) for each of num_weights=1"),
    "no weights": (lambda: nd.multi_sgd_update(lrs=(), wds=(), num_weights=0), DTypeError, "num_weights=0"),
    "rates": (lambda: nd.multi_sgd_update(X, X, lrs=(1, 2), wds=(1,)), ShapeError, "lrs holds 2 numbers, but there are 1 weights"),
    "loaded rates": (lambda: nd.preloaded_multi_sgd_update(X, X, X, X), ShapeError, "lrs has shape (3,), but there are 1 weights"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, error, text = BAD[case]
    with pytest.raises(error, match=re.escape(text)):
        call()


def test_nothing_is_written_where_out_is_bad():
    mom = nd.zeros(3)
    with pytest.raises(ShapeError):
        nd.sgd_mom_update(X, X, mom, lr=1, out=nd.ones(2))
    assert not mom.asnumpy().any()
