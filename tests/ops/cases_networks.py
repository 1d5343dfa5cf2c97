"""The table of operators: convolutions, pooling, normalisation and others of neural networks."""

from __future__ import annotations

import itertools
from statistics import NormalDist
from typing import Any

import numpy as np

from ops.case import Case, cases, magnitudes
from ops.table import FLOATS, INTEGERS, Array, Shape

# --- patches ---


def views(data: Array, kernel: Shape, stride: Shape, dilate: Shape) -> list[Array]:
    """What each element of a window sees at all places in the last axes of `data`, as views."""
    lead = data.ndim - len(kernel)
    shape = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(data.shape[lead:], kernel, stride, dilate, strict=True)]
    return [
        data[(..., *(slice(o * d, o * d + s * (n - 1) + 1, s) for o, d, s, n in zip(offset, dilate, stride, shape, strict=True)))]
        for offset in itertools.product(*map(range, kernel))
    ]


def padded(data: Array, pad: Shape, value: float = 0) -> Array:
    return np.pad(data, [(0, 0)] * (data.ndim - len(pad)) + [(p, p) for p in pad], constant_values=value)


def im2col(data: Array, kernel: Shape, stride: Any = (), dilate: Any = (), pad: Any = ()) -> Array:
    one = (1,) * len(kernel)
    seen = np.stack(views(padded(data, pad or (0,) * len(kernel)), kernel, stride or one, dilate or one), 2)
    return seen.reshape(data.shape[0], data.shape[1] * seen.shape[2], int(np.prod(seen.shape[3:])))


def col2im(data: Array, output_size: Shape, kernel: Shape, stride: Any = (), dilate: Any = (), pad: Any = ()) -> Array:
    one, pad = (1,) * len(kernel), pad or (0,) * len(kernel)
    channels = data.shape[1] // int(np.prod(kernel))
    total = padded(np.zeros((data.shape[0], channels, *output_size), data.dtype), pad)
    parts = views(total, kernel, stride or one, dilate or one)
    for part, column in zip(parts, np.moveaxis(data.reshape(data.shape[0], channels, len(parts), -1), 2, 0), strict=True):
        part += column.reshape(part.shape)
    return total[(..., *(slice(p, p + n) for p, n in zip(pad, output_size, strict=True)))]


ODD = {"kernel": (3, 2), "stride": (2, 1), "dilate": (1, 2), "pad": (1, 2)}
PATCHES = [
    *cases(
        "im2col",
        [
            (((2, 3, 5, 4),), ODD),
            (((2, 1, 9),), {"kernel": (3,), "stride": (2,), "dilate": (3,), "pad": (4,)}),
            (((1, 2, 3, 4, 5),), {"kernel": (2, 3, 2), "stride": (1, 2, 3), "pad": (0, 1, 2)}),
            (((0, 2, 3, 4),), {"kernel": (2, 2)}),
        ],
        numpy=im2col,
    ),
    *cases("im2col", [(((1, 1, 3000),), {"kernel": (5,), "pad": (2,)})], numpy=im2col, dtypes=("float32",), gradient=False),
    *cases(
        "col2im",
        [
            (((2, 18, 18),), {"output_size": (5, 4), **ODD}),
            (((1, 24, 12),), {"output_size": (3, 4, 5), "kernel": (2, 3, 2), "stride": (1, 2, 3), "pad": (0, 1, 2)}),
            (((1, 6, 6),), {"output_size": (0, 4), "kernel": (3, 2), "pad": (2, 0)}),
        ],
        numpy=col2im,
        dtypes=(*FLOATS, *INTEGERS),
        rounded=8,
        terms=magnitudes(col2im),
    ),
    *cases(
        "col2im",
        [(((1, 81, 4488),), {"output_size": (70, 140), "kernel": (9, 9), "stride": (2, 1), "dilate": (1, 1), "pad": (3, 0)})],
        numpy=col2im,
        dtypes=("float32",),
        rounded=81,
        terms=magnitudes(col2im),
        gradient=False,
    ),
]

# --- convolutions ---


def convolution(data: Array, weight: Array, bias: Any = 0, *, kernel: Shape, num_filter: int, num_group: int = 1, **window: Any) -> Array:
    """One product of matrices for each group."""
    no_bias, batch = window.pop("no_bias", False), len(data)
    one = (1,) * len(kernel)
    stride, dilate, pad = (window.get(word) or default for word, default in (("stride", one), ("dilate", one), ("pad", (0,) * len(kernel))))
    places = views(padded(data, pad), kernel, stride, dilate)[0].shape[2:]
    seen = im2col(data, kernel, stride, dilate, pad)
    seen = seen.reshape(batch, num_group, seen.shape[1] // num_group, seen.shape[2])
    result = np.matmul(weight.reshape(num_group, num_filter // num_group, seen.shape[2]), seen).reshape(batch, num_filter, *places)
    return result + (0 if no_bias else np.reshape(bias, (-1, *one)))


def deconvolution(data: Array, weight: Array, bias: Any = 0, *, kernel: Shape, num_filter: int, num_group: int = 1, **window: Any) -> Array:
    """One product of matrices for each group, whose columns are added up."""
    one = (1,) * len(kernel)
    stride, dilate, pad = (window.get(word) or default for word, default in (("stride", one), ("dilate", one), ("pad", (0,) * len(kernel))))
    batch, channels, *places = data.shape
    whole = [s * (n - 1) + d * (k - 1) + 1 for s, n, d, k in zip(stride, places, dilate, kernel, strict=True)]
    size = window.get("target_shape")
    if size:
        pad = [(n - m + 1) // 2 for n, m in zip(whole, size, strict=True)]
    else:
        size = [n - 2 * p + a for n, p, a in zip(whole, pad, window.get("adj", (0,) * len(kernel)), strict=True)]
    numbers = data.reshape(batch, num_group, channels // num_group, int(np.prod(places)))
    matrices = weight.reshape(num_group, channels // num_group, -1)
    seen = np.matmul(matrices.swapaxes(1, 2), numbers).reshape(batch, num_filter, int(np.prod(kernel)), -1 if batch else 1)
    total = padded(
        np.zeros((batch, num_filter, *(max(n, m + p) for n, m, p in zip(whole, size, pad, strict=True))), data.dtype), (0,) * len(kernel)
    )
    for part, column in zip(
        views(total[(..., *(slice(0, n) for n in whole))], kernel, stride, dilate),
        np.moveaxis(seen, 2, 0),
        strict=True,
    ):
        part += column.reshape(part.shape)
    result = total[(..., *(slice(p, p + n) for p, n in zip(pad, size, strict=True)))]
    return result + (0 if window.get("no_bias", True) else np.reshape(bias, (-1, *one)))


CONVOLUTIONS = [
    *cases(
        "Convolution",
        [
            (((2, 4, 5, 4), (6, 2, 3, 2), (6,)), {"num_filter": 6, "num_group": 2, **ODD}),
            (((2, 3, 7), (2, 3, 3), (2,)), {"kernel": (3,), "num_filter": 2, "no_bias": True}),
            (((1, 2, 3, 4, 3), (2, 2, 2, 3, 2)), {"kernel": (2, 3, 2), "pad": (0, 1, 0), "num_filter": 2, "no_bias": True}),
            (((2, 3, 3, 2), (3, 1, 2, 2), (3,)), {"kernel": (2, 2), "num_filter": 3, "num_group": 3}),
            (((0, 3, 3, 2), (3, 3, 2, 2), (3,)), {"kernel": (2, 2), "num_filter": 3}),
        ],
        numpy=convolution,
        dtypes=FLOATS,
        rounded=26,
        halves=2,
        terms=magnitudes(convolution),
    ),
    *cases(
        "Deconvolution",
        [
            (((2, 4, 3, 4), (4, 3, 3, 2), (6,)), {"num_filter": 6, "num_group": 2, "no_bias": False, **ODD}),
            (((1, 2, 3, 3), (2, 3, 2, 3)), {"kernel": (2, 3), "num_filter": 3, "stride": (2, 3), "adj": (1, 2)}),
            (((1, 2, 3, 3), (2, 3, 2, 3)), {"kernel": (2, 3), "num_filter": 3, "stride": (2, 3), "target_shape": (5, 6)}),
            (((2, 2, 3), (2, 2, 3)), {"kernel": (3,), "num_filter": 2, "stride": (2,), "pad": (1,)}),
            (((0, 3, 3, 2), (3, 3, 2, 2)), {"kernel": (2, 2), "num_filter": 3}),
        ],
        numpy=deconvolution,
        dtypes=FLOATS,
        rounded=40,
        halves=3,
        terms=magnitudes(deconvolution),
    ),
]

# --- pooling ---


def pooling(
    data: Array,
    kernel: Any = (),
    pool_type: str = "max",
    global_pool: bool = False,
    pooling_convention: str = "valid",
    stride: Any = (),
    pad: Any = (),
    p_value: int = 0,
    count_include_pad: bool = True,
) -> Array:
    """What surrounds the images is NaN, which the functions of NumPy leave out."""
    size = data.shape[2:]
    kernel = size if global_pool else kernel
    stride, pad = stride or (1,) * len(kernel), pad or (0,) * len(kernel)
    up = {"valid": np.floor, "full": np.ceil}.get(pooling_convention, np.ceil)
    less = (0,) * len(kernel) if pooling_convention == "same" else [k - s for k, s in zip(kernel, stride, strict=True)]
    places = [int(up((n + 2 * p - m) / s)) for n, p, m, s in zip(size, pad, less, stride, strict=True)]
    before = np.pad(
        data, [(0, 0), (0, 0), *((p, p) for p in pad)], constant_values=0 if count_include_pad and pool_type == "avg" else np.nan
    )
    after = [max(0, (n - 1) * s + k - m) for n, s, k, m in zip(places, stride, kernel, before.shape[2:], strict=True)]
    whole = np.pad(before, [(0, 0), (0, 0), *((0, n) for n in after)], constant_values=np.nan)
    seen = np.stack([part[(..., *(slice(0, n) for n in places))] for part in views(whole, kernel, stride, (1,) * len(kernel))])
    if pool_type == "max":
        return np.fmax.reduce(seen)
    if pool_type == "avg":
        return np.nansum(seen, 0) / np.maximum(1, np.sum(~np.isnan(seen), 0))
    return np.nansum(seen ** (p_value or 1), 0) ** (1 / (p_value or 1))


POOLED = {"kernel": (3, 2), "stride": (2, 1), "pad": (1, 1)}
POOLING = [
    *cases(
        "Pooling",
        [
            (((2, 2, 5, 4),), POOLED),
            (((1, 2, 8),), {"kernel": (3,), "stride": (3,), "pooling_convention": "full"}),
            (((1, 2, 7),), {"kernel": (3,), "stride": (2,), "pooling_convention": "same"}),
            (((1, 1, 3, 4, 3),), {"kernel": (2, 3, 2), "stride": (1, 2, 1)}),
            (((2, 2, 5, 4),), {"global_pool": True}),
            (((0, 2, 5, 4),), POOLED),
        ],
        numpy=pooling,
        dtypes=FLOATS,
        rounded=1,
        domain=(-20.0, 20.0),  # so far apart that no step of a difference changes which is the largest
    ),
    *cases(
        "Pooling",
        [
            (((2, 2, 5, 4),), {"pool_type": "avg", **POOLED}),
            (((2, 2, 5, 4),), {"pool_type": "avg", "count_include_pad": False, **POOLED}),
            (((1, 2, 8),), {"pool_type": "avg", "kernel": (4,), "stride": (3,), "pooling_convention": "full", "pad": (1,)}),
            (((2, 2, 5, 4),), {"pool_type": "sum", **POOLED}),
            (((2, 2, 5, 4),), {"pool_type": "avg", "global_pool": True}),
            (((1, 1, 30, 2),), {"pool_type": "sum", "kernel": (20, 2), "stride": (5, 1), "pad": (3, 0)}),
        ],
        numpy=pooling,
        dtypes=FLOATS,
        rounded=60,
        terms=lambda data, **attributes: pooling(abs(data), **attributes),
    ),
    *cases(
        "Pooling",
        [(((2, 2, 5, 4),), {"pool_type": "lp", "p_value": p, **POOLED}) for p in (1, 2, 3)]
        + [(((2, 2, 5, 4),), {"pool_type": "lp", "p_value": 2, "global_pool": True})],
        numpy=pooling,
        dtypes=("float32",),
        rounded=30,
        domain=(0.5, 2.0),
    ),
]

# --- normalisation ---


def normalized(data: Array, axes: Any, gamma: Array, beta: Array, eps: float) -> Array:
    distance = data - data.mean(axes, keepdims=True)
    return distance / np.sqrt(np.square(distance).mean(axes, keepdims=True) + eps) * gamma + beta


def along(value: Array, axis: int, ndim: int) -> Array:
    """Broadcast along all axes but one."""
    return np.expand_dims(value, tuple(a for a in range(ndim) if a != axis % ndim))


def layer_norm(data: Array, gamma: Array, beta: Array, axis: int = -1, eps: float = 1e-5) -> Array:
    return normalized(data, axis, along(gamma, axis, data.ndim), along(beta, axis, data.ndim), eps)


def group_norm(data: Array, gamma: Array, beta: Array, num_groups: int = 1, eps: float = 1e-5) -> Array:
    grouped = data.reshape(data.shape[0], num_groups, data.shape[1] // num_groups * int(np.prod(data.shape[2:])))
    return normalized(grouped, 2, gamma[:, None], beta[:, None], eps).reshape(data.shape)


def instance_norm(data: Array, gamma: Array, beta: Array, eps: float = 1e-3) -> Array:
    return normalized(data, tuple(range(2, data.ndim)), along(gamma, 1, data.ndim), along(beta, 1, data.ndim), eps)


def l2_normalization(data: Array, eps: float = 1e-10, mode: str = "instance") -> Array:
    axes = {"instance": tuple(range(1, data.ndim)), "channel": 1, "spatial": tuple(range(2, data.ndim))}[mode]
    return data / np.sqrt(np.square(data).sum(axes, keepdims=True) + eps)


def lrn(data: Array, nsize: int, alpha: float = 1e-4, beta: float = 0.75, knorm: float = 2) -> Array:
    around = np.pad(np.square(data), [(0, 0), (nsize // 2, nsize // 2), (0, 0), (0, 0)])
    sums = sum(around[:, i : i + data.shape[1]] for i in range(nsize))
    return data * (knorm + alpha / nsize * sums) ** -beta


def size_of_terms(function: Any) -> Any:
    """What a normalisation rounds: its result, and what it scales and shifts."""
    return lambda data, *arrays, **attributes: 2 + abs(function(data, *arrays, **attributes)) + sum(abs(array).max() for array in arrays)


LAYERS = {"numpy": layer_norm, "rounded": 40, "terms": size_of_terms(layer_norm)}
NORMALIZATION = [
    *cases("LayerNorm", [(((3, 5), (5,), (5,)), {}), (((0, 3), (3,), (3,)), {})], dtypes=FLOATS, **LAYERS),
    *cases("LayerNorm", [(((2, 3, 70), (70,), (70,)), {}), (((40, 150), (150,), (150,)), {})], dtypes=FLOATS, gradient=False, **LAYERS),
    *cases("LayerNorm", [(((2, 3, 4), (3,), (3,)), {"axis": 1, "eps": 0.1})], dtypes=("float32",), **LAYERS),
    *cases(
        "GroupNorm",
        [(((2, 4, 3), (2,), (2,)), {"num_groups": 2, "eps": 0.1})],
        numpy=group_norm,
        dtypes=("float32",),
        rounded=40,
        terms=size_of_terms(group_norm),
    ),
    *cases(
        "InstanceNorm",
        [(((2, 3, 2, 3), (3,), (3,)), {})],
        numpy=instance_norm,
        dtypes=("float32",),
        rounded=40,
        terms=size_of_terms(instance_norm),
    ),
    *[
        Case("L2Normalization", ((2, 3, 4),), {"mode": mode}, l2_normalization, ("float32",), rounded=24)
        for mode in ("instance", "channel", "spatial")
    ],
    *cases("LRN", [(((2, 4, 2, 3),), {"nsize": 3, "alpha": 0.5, "beta": 0.6, "knorm": 1.5})], numpy=lrn, dtypes=("float32",), rounded=48),
    *cases("LRN", [(((1, 2, 2, 2),), {"nsize": 5})], numpy=lrn, dtypes=("float32",), rounded=48),
]

# --- others ---

SELU = 1.0507009873554805, 1.6732632423543772


def rectified(
    data: Array, gamma: Any = None, act_type: str = "leaky", slope: float = 0.25, lower_bound: float = 0.125, upper_bound: float = 0.334
) -> Array:
    if act_type == "gelu":
        return data * np.vectorize(NormalDist().cdf, otypes=[data.dtype])(data)
    if act_type == "selu":
        return SELU[0] * np.where(data > 0, data, SELU[1] * np.expm1(data))
    below = {
        "leaky": lambda: data * slope,
        "prelu": lambda: data * (gamma if gamma.size == 1 else along(gamma, 1, data.ndim)),
        "elu": lambda: slope * np.expm1(data),
        "rrelu": lambda: data * (lower_bound + upper_bound) / 2,
    }[act_type]()
    return np.where(data > 0, data, below)


def up_sampling(*data: Array, scale: int, multi_input_mode: str = "concat", **_: Any) -> Array:
    size = data[0].shape[2] * scale
    wide = [x.repeat(size // x.shape[2], 2).repeat(size // x.shape[2], 3) for x in data]
    return np.concatenate(wide, 1) if multi_input_mode == "concat" else sum(wide[1:], wide[0])


def bilinear(data: Array, weight: Array, scale: int, num_filter: int, **_: Any) -> Array:
    each = {"kernel": weight.shape[2:], "stride": (scale, scale), "pad": (scale // 2, scale // 2)}
    return deconvolution(data, weight, **each, num_filter=num_filter, num_group=num_filter)


def softmin(data: Array, axis: int = -1) -> Array:
    powers = np.exp(data.min(axis, keepdims=True) - data)
    return powers / powers.sum(axis, keepdims=True)


NEAREST = {"scale": 2, "sample_type": "nearest"}
OTHERS = [
    *[
        Case("leaky_relu", ((3, 2, 4),), {"act_type": name}, rectified, ("float32",), rounded=24, terms=lambda data, **_: 1 + abs(data))
        for name in ("leaky", "elu", "selu", "gelu", "rrelu")
    ],
    *cases(
        "leaky_relu",
        [(((3, 2, 4), (2,)), {"act_type": "prelu"}), (((3,), (1,)), {"act_type": "prelu"})],
        numpy=rectified,
        dtypes=FLOATS,
        rounded=1,
    ),
    *cases("softmin", [(((3, 5),), {}), (((3, 5),), {"axis": 0})], numpy=softmin, dtypes=("float32",), rounded=48),
    *[
        Case(
            "SoftmaxActivation",
            ((2, 3, 4),),
            {"mode": mode},
            lambda data, mode: softmin(-data, -1 if mode == "instance" else 1),
            ("float32",),
            rounded=48,
        )
        for mode in ("instance", "channel")
    ],
    *cases("UpSampling", [(((1, 2, 2, 3),), NEAREST), (((1, 1, 4, 2), (1, 2, 2, 1)), NEAREST)], numpy=up_sampling, dtypes=("float32",)),
    *cases(
        "UpSampling",
        [(((1, 1, 4, 2), (1, 1, 2, 1)), {"multi_input_mode": "sum", **NEAREST})],
        numpy=up_sampling,
        dtypes=("float32",),
        rounded=1,
        terms=magnitudes(up_sampling),
    ),
    *cases(
        "UpSampling",
        [(((1, 2, 3, 2), (2, 1, 5, 5)), {"scale": 3, "sample_type": "bilinear", "num_filter": 2})],
        numpy=bilinear,
        dtypes=("float32",),
        rounded=40,
        terms=magnitudes(bilinear),
    ),
]

CASES = [*PATCHES, *CONVOLUTIONS, *POOLING, *NORMALIZATION, *OTHERS]

# Operators that others are made of.
ELSEWHERE = {
    "batch_norm": "test_networks.py: it gives several arrays",
    **dict.fromkeys(("normalized", "normalized_back"), "cases_networks.py and test_derivatives.py, as parts of LayerNorm and BatchNorm"),
    "dropout": "test_networks.py: what it drops is random",
    "interpolated": "cases_vision.py, as what BilinearSampler launches",
    **dict.fromkeys(("padded", "padded_back"), "cases_shapes.py and test_derivatives.py, as parts of pad"),
    **dict.fromkeys(("resized", "resized_back"), "cases_vision.py and test_derivatives.py, as parts of BilinearResize2D"),
    **dict.fromkeys(("convolve", "convolve_images", "convolve_weights"), "cases_networks.py, as parts of Convolution and Deconvolution"),
    **dict.fromkeys(
        ("pooled_first", "pooled_max", "pooled_picks", "pooled_sum", "unpooled", "unpooled_sum"), "cases_networks.py, as parts of Pooling"
    ),
}
