"""Layers that behave otherwise in training: they draw random numbers, or write moving averages into their arrays."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from clnd import autograd
from clnd.errors import DTypeError, MXNetError, guarded
from clnd.ndarray import NDArray
from clnd.ops import network, normalization, registry
from clnd.ops.random import uniform_blocks
from clnd.random import generator

from .wrapping import deliver, unwrap

__all__ = ["BatchNorm", "Dropout", "LeakyReLU"]


@guarded
def BatchNorm(
    data: NDArray,
    gamma: NDArray,
    beta: NDArray,
    moving_mean: NDArray,
    moving_var: NDArray,
    eps: float = 1e-3,
    momentum: float = 0.9,
    fix_gamma: Any = True,
    use_global_stats: Any = False,
    output_mean_var: Any = False,
    axis: int = 1,
    cudnn_off: Any = False,
    min_calib_range: Any = None,
    max_calib_range: Any = None,
    out: Any = None,
    name: str | None = None,
) -> Any:
    """Normalise: less the mean, divided by the root of the variance plus `eps`, times `gamma` plus `beta`.

    S. Ioffe and C. Szegedy, "Batch normalization" (2015). In training, mean and variance are those of all elements with the same position
    along `axis`, and move `moving_mean` and `moving_var`; otherwise these two are used. No gradient flows to them.

    Parameters
    ----------
    data : NDArray
    gamma, beta, moving_mean, moving_var : NDArray
        With an element for each position along `axis`.
    momentum : float
        The moving averages become `momentum` times themselves and (1 - momentum) times those of the data.
    fix_gamma : bool
        Is `gamma` taken for 1, whatever it holds? Then no gradient flows to it.
    use_global_stats : bool
        Are the moving averages used in training, too? Then they are not moved.
    output_mean_var : bool
        Are the mean and 1 / sqrt(variance + eps) given, too?

    Notes
    -----
    The moving averages are moved by the call; MXNet waits for the backward pass, and writes 1 into a fixed `gamma`.

    >>> from clnd import autograd, nd
    >>> mean, var = nd.zeros(1), nd.ones(1)
    >>> with autograd.record():
    ...     y = nd.BatchNorm(nd.array([[1], [3]]), nd.ones(1), nd.zeros(1), mean, var, eps=0)
    >>> y.asnumpy(), mean.asnumpy()
    (array([[-1.],
           [ 1.]], dtype=float32), array([0.2], dtype=float32))
    """
    values, context = unwrap("BatchNorm", (data, gamma, beta, moving_mean, moving_var))
    moving = bool(use_global_stats) or not autograd.is_training()
    attributes = {"eps": float(eps), "fix_gamma": bool(fix_gamma), "moving": moving, "axis": axis, "traced": bool(output_mean_var)}
    values[3:] = [registry["stop_gradient"](average) for average in values[3:]]
    result, mean, variance = normalization.batch_norm(*values, **attributes)
    if not moving:
        with autograd.pause(train_mode=True):
            for average, found in ((moving_mean, mean), (moving_var, variance)):
                average[:] = average * momentum + NDArray(found, context).detach() * (1 - momentum)
    if output_mean_var:
        result = [result, mean, (variance + float(eps)) ** -0.5]
    return deliver("BatchNorm", result, context, out)


@guarded
def Dropout(
    data: NDArray,
    p: float = 0.5,
    mode: str = "training",
    axes: Sequence[int] = (),
    cudnn_off: Any = False,
    out: Any = None,
    name: str | None = None,
) -> Any:
    """Drop elements: zeros with probability `p`, the others divided by 1 - p; outside of training the data as they are.

    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov, "Dropout: a simple way to prevent neural networks from
    overfitting" (2014).

    Parameters
    ----------
    mode : {"training", "always"}
        With "always" outside of training, too.
    axes : tuple of int
        Along these, all elements are dropped, or none.

    >>> from clnd import autograd, nd
    >>> nd.Dropout(nd.ones((2, 3))).asnumpy().min().item()
    1.0
    >>> with autograd.record():
    ...     x = nd.Dropout(nd.ones(100))
    >>> sorted(set(x.asnumpy().tolist()))
    [0.0, 2.0]
    """
    if mode not in ("training", "always"):
        raise DTypeError(f"Dropout: mode {mode!r} is not one of training, always")
    if not 0 <= p <= 1:
        raise MXNetError(f"Dropout: p must be a probability from 0 to 1, but is {p}")
    (value,), context = unwrap("Dropout", (data,))
    shape = network.dropped_shape(value.shape, axes)
    if p == 0 or not (mode == "always" or autograd.is_training()):
        return deliver("Dropout", registry["alias"](value), context, out)
    seed, offset = generator(context).take(uniform_blocks(prod(shape)))
    return deliver("Dropout", network.dropout(value, p=float(p), axes=tuple(axes), seed=seed, offset=offset), context, out)


@guarded
def LeakyReLU(
    data: NDArray,
    gamma: NDArray | None = None,
    act_type: str = "leaky",
    slope: float = 0.25,
    lower_bound: float = 0.125,
    upper_bound: float = 0.334,
    out: Any = None,
    name: str | None = None,
) -> Any:
    """Rectifiers that let something through below 0.

    Parameters
    ----------
    gamma : NDArray, optional
        The slopes of prelu: one, or one for each channel.
    act_type : {"leaky", "prelu", "elu", "selu", "gelu", "rrelu"}
        What stands for x below 0: `slope` * x; `gamma` * x; `slope` * (exp(x) - 1); that with two constants that keep mean and variance;
        for rrelu x times a slope that is drawn from [lower_bound, upper_bound) in training, and their mean otherwise. gelu is x times
        the probability that a normal number is below x.

    >>> from clnd import nd
    >>> nd.LeakyReLU(nd.array([-4, 3])).asnumpy()
    array([-1.,  3.], dtype=float32)
    """
    values, context = unwrap("LeakyReLU", (data, gamma))
    random = generator(context) if autograd.is_training() and act_type == "rrelu" else None
    bounds = {"slope": float(slope), "lower_bound": float(lower_bound), "upper_bound": float(upper_bound)}
    return deliver("LeakyReLU", network.leaky_relu(*values, act_type=act_type, **bounds, generator=random), context, out)
