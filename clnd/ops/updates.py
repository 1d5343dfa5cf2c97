"""Steps of optimisers: from a weight, its gradient and the optimiser's states to the new weight and the new states.

A rule is the published one: a plain function of operators, whose result and new states, by their names, one kernel computes together.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape, compact
from clnd.errors import DTypeError, MXNetError, ShapeError, shown

from .arithmetic import equal, greater, less_equal, logical_or, maximum, minimum, where
from .declare import converted, registry
from .mathematics import clip, sign, sqrt, square
from .shape import reshape

Updated: TypeAlias = tuple[Value, dict[str, Value]]  # the result, and the new states by name
Rule: TypeAlias = Callable[..., Updated]

_NORMS = ("r1", "r2")  # single numbers, whatever shape the weight has


@functools.cache
def arrays_of(rule: Rule) -> tuple[str, ...]:
    """The names of the arrays that a rule takes; the first is the weight."""
    return tuple(p.name for p in inspect.signature(rule).parameters.values() if p.kind is not p.KEYWORD_ONLY)


def attributes_of(rule: Rule) -> dict[str, Any]:
    """The names of a rule's attributes, and their defaults (`inspect.Parameter.empty` where one must be given)."""
    return {p.name: p.default for p in inspect.signature(rule).parameters.values() if p.kind is p.KEYWORD_ONLY}


def updated(name: str, rule: Rule, given: dict[str, Value], attrs: dict[str, Any], like: str) -> Updated:
    """Launch a rule for the arrays `given`: the result as the dtype of the array `like`, the new states as theirs.

    float16 is computed as float32, and rounded once.
    """
    first, *_ = given
    for array, x in given.items():
        if dtypes.category(x.dtype) != "float":
            raise DTypeError(f"{name}: {array} has dtype {x.dtype}, but must be of floats; convert it with astype()")
        if array in _NORMS:
            if x.size != 1:
                raise ShapeError(f"{name}: {array} has shape {x.shape}, but must be a single number")
        elif x.shape != given[first].shape:
            raise ShapeError(f"{name}: {array} has shape {x.shape}, but {first} has {given[first].shape}")
    result, states = _waiting(name, rule, given, attrs, like)
    engine.evaluate(result, *states.values())
    return result, states


def _waiting(name: str, rule: Rule, given: dict[str, Value], attrs: dict[str, Any], like: str) -> Updated:
    wide = {array: converted(x, dtypes.float32) if x.dtype == dtypes.float16 else x for array, x in given.items()}
    result, states = rule(*wide.values(), **{key: x if isinstance(x, Value) else _number(name, key, x) for key, x in attrs.items()})
    return converted(result, given[like].dtype), {array: converted(x, given[array].dtype) for array, x in states.items()}


class Kernel(NamedTuple):
    """What `updated` would launch for arrays of one shape that lie compactly, ready for any of them.

    Attributes
    ----------
    recipe : engine.Recipe
    numbers : sequence of numbers
        What the recipe is given, beside arrays.
    states : tuple of int
        Behind the result it gives the new states of these arrays, by their numbers.
    like : int
        The number of the array whose dtype the result has.
    """

    recipe: engine.Recipe
    numbers: Sequence[Any]
    states: tuple[int, ...]
    like: int


@functools.lru_cache(maxsize=1024)
def kernel_for(name: str, rule: Rule, device: Any, kinds: tuple[Any, ...], attrs: tuple[tuple[str, Any], ...], like: str) -> Kernel | None:
    """The kernel of a rule for arrays of these dtypes, and these attributes; None where there is no single one.

    A dtype among the attributes stands for a single number in an array, which comes behind the others.
    """
    arrays = arrays_of(rule)
    if any(dtypes.category(dtype) != "float" for dtype in kinds) or not set(_NORMS).isdisjoint(arrays):
        return None

    def stand_in(shape: Shape, dtype: Any) -> Value:
        return Value(shape, dtype, device).place(device.allocate(prod(shape) * dtype.itemsize), compact(shape))

    given = {array: stand_in((2,), dtype) for array, dtype in zip(arrays, kinds, strict=True)}  # elements to tell from single numbers
    numbers = {word: stand_in((), x) if isinstance(x, np.dtype) else x for word, x in attrs}
    with engine.eager(False):
        result, states = _waiting(name, rule, given, numbers, like)
    single = [x for x in numbers.values() if isinstance(x, Value)]
    found = engine.recipe([*given.values(), *single], [result, *states.values()])
    return None if found is None else Kernel(*found, tuple(arrays.index(array) for array in states), arrays.index(like))


def _number(operator: str, name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise DTypeError(f"{operator}: {name} must be a number, not {shown(value)}") from None


def _bounded(value: Value, bound: float) -> Value:
    """Between -bound and bound; as it is where the bound is negative."""
    return value if bound < 0 else clip(value, a_min=-bound, a_max=bound)


def _moved(average: Value, x: Value, decay: float) -> Value:
    """A moving average after `x`."""
    return average * decay + x * (1 - decay)


def _bias(operator: str, decay: float, t: float) -> float:
    """What a moving average that began with 0 is to be divided by after `t` steps."""
    if t < 1:
        raise MXNetError(f"{operator}: t must be the number of the step, at least 1, but is {t:g}")
    return float(1 - decay**t)


def sgd_update(
    weight: Value,
    grad: Value,
    *,
    lr: Any,
    wd: float = 0.0,
    rescale_grad: float = 1.0,
    clip_gradient: float = -1.0,
    lazy_update: Any = True,
) -> Updated:
    """Stochastic gradient descent: ``weight - lr * (clip(rescale_grad * grad) + wd * weight)``.

    Parameters
    ----------
    weight, grad : NDArray
        The result is written into `out`, which may be `weight`, or is a new array.
    lr : float
        The learning rate.
    wd : float
        The decay of the weight.
    rescale_grad : float
        What the gradient is multiplied by first.
    clip_gradient : float
        The bound of the gradient's elements; none where it is negative.
    lazy_update : bool
        Of no effect: it is for sparse gradients.

    >>> from clnd import nd
    >>> weight = nd.array([1, 2])
    >>> nd.sgd_update(weight, nd.array([10, -10]), lr=0.1, out=weight).asnumpy()
    array([0., 3.], dtype=float32)
    """
    return weight - (_bounded(grad * rescale_grad, clip_gradient) + weight * wd) * lr, {}


def sgd_mom_update(
    weight: Value,
    grad: Value,
    mom: Value,
    *,
    lr: Any,
    momentum: float = 0.0,
    wd: float = 0.0,
    rescale_grad: float = 1.0,
    clip_gradient: float = -1.0,
    lazy_update: Any = True,
) -> Updated:
    """Descent with momentum (B. Polyak, 1964): the step of `sgd_update` is added to `momentum` times `mom`, and that to the weight.

    `mom` is written; the other parameters are those of `sgd_update`.

    >>> from clnd import nd
    >>> weight, mom = nd.array([1]), nd.array([0.5])
    >>> nd.sgd_mom_update(weight, nd.array([1]), mom, lr=0.25, momentum=0.5).asnumpy(), mom.asnumpy()
    (array([1.], dtype=float32), array([0.], dtype=float32))
    """
    mom = mom * momentum - (_bounded(grad * rescale_grad, clip_gradient) + weight * wd) * lr
    return weight + mom, {"mom": mom}


def nag_mom_update(
    weight: Value,
    grad: Value,
    mom: Value,
    *,
    lr: Any,
    momentum: float = 0.0,
    wd: float = 0.0,
    rescale_grad: float = 1.0,
    clip_gradient: float = -1.0,
) -> Updated:
    """Nesterov's accelerated gradient (1983), as I. Sutskever et al. (2013) write it.

    `mom` is moved and written as by `sgd_mom_update`; the weight goes on by `momentum` times that and the step of `sgd_update`.

    Notes
    -----
    Where `out` is `weight`, MXNet computes `mom` with the decay of the new weight. Here it is always that of the old one.

    >>> from clnd import nd
    >>> weight, mom = nd.array([1]), nd.array([0.5])
    >>> nd.nag_mom_update(weight, nd.array([1]), mom, lr=0.25, momentum=0.5).asnumpy(), mom.asnumpy()
    (array([0.75], dtype=float32), array([0.], dtype=float32))
    """
    step = (_bounded(grad * rescale_grad, clip_gradient) + weight * wd) * lr
    mom = mom * momentum - step
    return weight + (mom * momentum - step), {"mom": mom}


def signsgd_update(
    weight: Value,
    grad: Value,
    *,
    lr: float,
    wd: float = 0.0,
    rescale_grad: float = 1.0,
    clip_gradient: float = -1.0,
) -> Updated:
    """Descent by the signs of the gradient (J. Bernstein et al., 2018): ``(1 - lr * wd) * weight - lr * sign(grad)``.

    The parameters are those of `sgd_update`; `rescale_grad` and `clip_gradient` are of no effect.

    >>> from clnd import nd
    >>> nd.signsgd_update(nd.array([1, 2]), nd.array([10, -10]), lr=0.25).asnumpy()
    array([0.75, 2.25], dtype=float32)
    """
    return weight * (1 - lr * wd) - sign(grad) * lr, {}


def signum_update(
    weight: Value,
    grad: Value,
    mom: Value,
    *,
    lr: float,
    momentum: float = 0.0,
    wd: float = 0.0,
    rescale_grad: float = 1.0,
    clip_gradient: float = -1.0,
    wd_lh: float = 0.0,
) -> Updated:
    """Descent by the signs of a momentum (J. Bernstein et al., 2018): ``(1 - lr * wd_lh) * weight + lr * sign(mom)``.

    `mom`, written, is the moving average of the descent; `wd` decays within it, `wd_lh` outside (I. Loshchilov and F. Hutter, 2019). The
    other parameters are those of `sgd_update`.

    >>> from clnd import nd
    >>> weight, mom = nd.array([1]), nd.zeros(1)
    >>> nd.signum_update(weight, nd.array([4]), mom, lr=0.25, momentum=0.5).asnumpy(), mom.asnumpy()
    (array([0.75], dtype=float32), array([-2.], dtype=float32))
    """
    mom = mom * momentum - (weight * wd + _bounded(grad * rescale_grad, clip_gradient)) * (1 - momentum)
    return weight * (1 - lr * wd_lh) + sign(mom) * lr, {"mom": mom}


def adam_update(
    weight: Value,
    grad: Value,
    mean: Value,
    var: Value,
    *,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    wd: float = 0.0,
    rescale_grad: float = 1.0,
    clip_gradient: float = -1.0,
    lazy_update: Any = True,
) -> Updated:
    """Adam (D. Kingma and J. Ba, 2015), without correction of the bias: ``weight - lr * mean / (sqrt(var) + epsilon)``.

    `mean` and `var`, written, are moving averages of ``g = clip(rescale_grad * grad + wd * weight)`` and of its square. The other
    parameters are those of `sgd_update`.

    >>> from clnd import nd
    >>> weight, mean, var = nd.array([1]), nd.zeros(1), nd.zeros(1)
    >>> nd.adam_update(weight, nd.array([4]), mean, var, lr=0.5, beta1=0.5, beta2=0.75, epsilon=0).asnumpy()
    array([0.5], dtype=float32)
    >>> mean.asnumpy(), var.asnumpy()
    (array([2.], dtype=float32), array([4.], dtype=float32))
    """
    g = _bounded(grad * rescale_grad + weight * wd, clip_gradient)
    mean, var = _moved(mean, g, beta1), _moved(var, square(g), beta2)
    return weight - mean * lr / (sqrt(var) + epsilon), {"mean": mean, "var": var}


def rmsprop_update(
    weight: Value,
    grad: Value,
    n: Value,
    *,
    lr: float,
    gamma1: float = 0.95,
    epsilon: float = 1e-8,
    wd: float = 0.0,
    rescale_grad: float = 1.0,
    clip_gradient: float = -1.0,
    clip_weights: float = -1.0,
) -> Updated:
    """RMSProp (T. Tieleman and G. Hinton, 2012): ``weight - lr * g / sqrt(n + epsilon)``.

    `n`, written, is a moving average of the square of ``g = clip(rescale_grad * grad + wd * weight)``. `clip_weights` bounds the result
    where it is not negative. The other parameters are those of `sgd_update`.

    >>> from clnd import nd
    >>> weight, n = nd.array([1]), nd.zeros(1)
    >>> nd.rmsprop_update(weight, nd.array([4]), n, lr=0.25, gamma1=0.75, epsilon=0).asnumpy(), n.asnumpy()
    (array([0.5], dtype=float32), array([4.], dtype=float32))
    """
    g = _bounded(grad * rescale_grad + weight * wd, clip_gradient)
    n = _moved(n, square(g), gamma1)
    return _bounded(weight - g * lr / sqrt(n + epsilon), clip_weights), {"n": n}


def rmspropalex_update(
    weight: Value,
    grad: Value,
    n: Value,
    g: Value,
    delta: Value,
    *,
    lr: float,
    gamma1: float = 0.95,
    gamma2: float = 0.9,
    epsilon: float = 1e-8,
    wd: float = 0.0,
    rescale_grad: float = 1.0,
    clip_gradient: float = -1.0,
    clip_weights: float = -1.0,
) -> Updated:
    """RMSProp, centered and with momentum (A. Graves, 2013): `delta` is added to the weight.

    `n` and `g` are moving averages of the square of ``x = clip(rescale_grad * grad + wd * weight)`` and of x; `delta` becomes
    ``gamma2 * delta - lr * x / sqrt(n - g**2 + epsilon)``. All three are written. The other parameters are those of `rmsprop_update`.

    >>> from clnd import nd
    >>> weight, n, g, delta = nd.array([1]), nd.zeros(1), nd.zeros(1), nd.zeros(1)
    >>> nd.rmspropalex_update(weight, nd.array([4]), n, g, delta, lr=0.25, gamma1=0.5, epsilon=0).asnumpy()
    array([0.5], dtype=float32)
    >>> n.asnumpy(), g.asnumpy(), delta.asnumpy()
    (array([8.], dtype=float32), array([2.], dtype=float32), array([-0.5], dtype=float32))
    """
    x = _bounded(grad * rescale_grad + weight * wd, clip_gradient)
    n, g = _moved(n, square(x), gamma1), _moved(g, x, gamma1)
    delta = delta * gamma2 - x * lr / sqrt(n - square(g) + epsilon)
    return _bounded(weight + delta, clip_weights), {"n": n, "g": g, "delta": delta}


def ftrl_update(
    weight: Value,
    grad: Value,
    z: Value,
    n: Value,
    *,
    lr: float,
    lamda1: float = 0.01,
    beta: float = 1.0,
    wd: float = 0.0,
    rescale_grad: float = 1.0,
    clip_gradient: float = -1.0,
) -> Updated:
    """FTRL-Proximal (H. McMahan et al., "Ad click prediction", 2013): weights with ``abs(z) <= lamda1`` are 0.

    `z` and `n` are written. The other parameters are those of `sgd_update`.

    >>> from clnd import nd
    >>> weight, z, n = nd.array([0.5, 1]), nd.zeros(2), nd.zeros(2)
    >>> nd.ftrl_update(weight, nd.array([4, 0]), z, n, lr=1, lamda1=1).asnumpy(), z.asnumpy(), n.asnumpy()
    (array([-0.2,  0. ], dtype=float32), array([2., 0.], dtype=float32), array([16.,  0.], dtype=float32))
    """
    g = _bounded(grad * rescale_grad, clip_gradient)
    squares = n + square(g)
    z = z + g - (sqrt(squares) - sqrt(n)) * weight / lr
    found = (sign(z) * lamda1 - z) / ((sqrt(squares) + beta) / lr + wd)
    return where(less_equal(registry["abs"](z), lamda1), 0.0, found), {"z": z, "n": squares}


def ftml_update(
    weight: Value,
    grad: Value,
    d: Value,
    v: Value,
    z: Value,
    *,
    lr: float,
    beta1: float = 0.6,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    t: float,
    wd: float = 0.0,
    rescale_grad: float = 1.0,
    clip_grad: float = -1.0,
) -> Updated:
    """Follow the moving leader (S. Zheng and J. Kwok, 2017): ``-z / d``, in the step number `t`, from 1 on.

    `d`, `v` and `z` are written; `clip_grad` is the bound of ``rescale_grad * grad + wd * weight``. The other parameters are those of
    `sgd_update`.

    >>> from clnd import nd
    >>> weight, d, v, z = nd.array([1]), nd.zeros(1), nd.zeros(1), nd.zeros(1)
    >>> nd.ftml_update(weight, nd.array([4]), d, v, z, lr=0.5, beta1=0.5, beta2=0.75, epsilon=0, t=1).asnumpy()
    array([0.5], dtype=float32)
    >>> d.asnumpy(), v.asnumpy(), z.asnumpy()
    (array([4.], dtype=float32), array([4.], dtype=float32), array([-2.], dtype=float32))
    """
    g = _bounded(grad * rescale_grad + weight * wd, clip_grad)
    v = _moved(v, square(g), beta2)
    after = (sqrt(v / _bias("ftml_update", beta2, t)) + epsilon) * _bias("ftml_update", beta1, t) / lr
    z = _moved(z, g, beta1) - (after - d * beta1) * weight
    return -z / after, {"d": after, "v": v, "z": z}


def lamb_update_phase1(
    weight: Value,
    grad: Value,
    mean: Value,
    var: Value,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-6,
    t: float,
    bias_correction: Any = True,
    wd: float,
    rescale_grad: float = 1.0,
    clip_gradient: float = -1.0,
) -> Updated:
    """LAMB (Y. You et al., 2020), first half: the direction ``mean / (sqrt(var) + epsilon) + wd * weight`` of the step number `t`.

    `mean` and `var`, written, are moving averages of ``g = clip(rescale_grad * grad)`` and of its square; with `bias_correction` they are
    divided by ``1 - beta**t`` before use. The other parameters are those of `sgd_update`.

    >>> from clnd import nd
    >>> weight, mean, var = nd.array([1]), nd.zeros(1), nd.zeros(1)
    >>> nd.lamb_update_phase1(weight, nd.array([4]), mean, var, beta1=0.5, beta2=0.75, epsilon=0, t=1, wd=0.5).asnumpy()
    array([1.5], dtype=float32)
    >>> mean.asnumpy(), var.asnumpy()
    (array([2.], dtype=float32), array([4.], dtype=float32))
    """
    g = _bounded(grad * rescale_grad, clip_gradient)
    mean, var = _moved(mean, g, beta1), _moved(var, square(g), beta2)
    m, v = mean, var
    if bias_correction:
        m, v = mean / _bias("lamb_update_phase1", beta1, t), var / _bias("lamb_update_phase1", beta2, t)
    return m / (sqrt(v) + epsilon) + weight * wd, {"mean": mean, "var": var}


def lamb_update_phase2(
    weight: Value,
    g: Value,
    r1: Value,
    r2: Value,
    *,
    lr: float,
    lower_bound: float = -1.0,
    upper_bound: float = -1.0,
) -> Updated:
    """LAMB (Y. You et al., 2020), second half: ``weight - lr * r1 / r2 * g``; where a norm is 0, without the ratio.

    Parameters
    ----------
    g : NDArray
        The direction, from `lamb_update_phase1`.
    r1, r2 : NDArray
        The norms of `weight` and of `g`.
    lower_bound, upper_bound : float
        Bounds of `r1`; none where they are negative.

    >>> from clnd import nd
    >>> nd.lamb_update_phase2(nd.array([3, 4]), nd.array([0, 2]), nd.array([5]), nd.array([2]), lr=0.5).asnumpy()
    array([3. , 1.5], dtype=float32)
    """
    r1, r2 = reshape(r1, shape=()), reshape(r2, shape=())
    if lower_bound >= 0:
        r1 = maximum(r1, lower_bound)
    if upper_bound >= 0:
        r1 = minimum(r1, upper_bound)
    ratio = where(logical_or(equal(r1, 0.0), equal(r2, 0.0)), 1.0, r1 / r2)
    return weight - g * (ratio * lr), {}


def multi_lars(
    lrs: Value,
    weights_sum_sq: Value,
    grads_sum_sq: Value,
    wds: Value,
    *,
    eta: float,
    eps: float,
    rescale_grad: float = 1.0,
) -> Updated:
    """The learning rates of LARS (Y. You, I. Gitman and B. Ginsburg, 2017), an element for each layer.

    They are ``lrs * eta * w / (g * rescale_grad + wds * w + eps)``, where w and g are the norms of weight and gradient, and `lrs` where one
    of these is 0.

    Parameters
    ----------
    weights_sum_sq, grads_sum_sq : NDArray
        The squares of the norms, as `multi_sum_sq` gives them.
    wds : NDArray
        The decays of the weights.

    >>> from clnd import nd
    >>> lrs, wds = nd.array([1, 1]), nd.zeros(2)
    >>> nd.multi_lars(lrs, nd.array([4, 0]), nd.array([16, 16]), wds, eta=0.5, eps=0).asnumpy()
    array([0.25, 1.  ], dtype=float32)
    """
    w, g = sqrt(weights_sum_sq), sqrt(grads_sum_sq)
    scaled = lrs * eta * w / (g * rescale_grad + wds * w + eps)
    return where(greater(weights_sum_sq, 0.0), where(greater(grads_sum_sq, 0.0), scaled, lrs), lrs), {}


def mixed(rule: Rule, *, moves: bool = True) -> Rule:
    """The rule for the float32 copy of a weight, which is the last array; where the rule `moves` the weight, that is written, too."""

    def step(weight: Value, *arrays: Value, **attrs: Any) -> Updated:
        *others, weight32 = arrays
        result, states = rule(weight32, *others, **attrs)
        return result, {**states, "weight32": result} if moves else states

    parameters = list(inspect.signature(rule).parameters.values())
    parameters.insert(len(arrays_of(rule)), inspect.Parameter("weight32", inspect.Parameter.POSITIONAL_OR_KEYWORD))
    step.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return step
