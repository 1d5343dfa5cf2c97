"""Every operator beside MXNet 1.9.1, on the same arguments: results, dtypes, shapes and gradients.

    python tools/compare_mxnet.py                      # clnd beside MXNet's recorded answers; prints where they differ
    PYTHON_WITH_MXNET tools/compare_mxnet.py --record  # run where `import mxnet` works: writes tests/mxnet_answers.npz

`tests/test_mxnet_answers.py` runs the comparison; what is decided to differ is listed there with its reason.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from pathlib import Path

import numpy as np

ANSWERS = Path(__file__).resolve().parent.parent / "tests" / "mxnet_answers.npz"


class Call:
    """A call of an operator: its name below `mx`, arrays, attributes."""

    def __init__(self, name, *arrays, gradient=True, **attributes):
        self.name, self.arrays, self.attributes, self.gradient = name, arrays, attributes, gradient

    def __str__(self):
        shapes = "+".join("x".join(map(str, a.shape)) or "0d" for a in self.arrays)
        attributes = "".join(f" {k}={v}".replace(", ", ",") for k, v in self.attributes.items())
        return f"{self.name} {shapes}{attributes}"


def draw(*shape, low=-2.0, high=2.0):
    """Floats whose values depend on the shape and range alone, no two alike."""
    count = int(np.prod(shape))
    seed = zlib.crc32(repr((shape, low, high)).encode())
    return np.random.RandomState(seed).permutation(np.linspace(low, high, count + 2)[1:-1]).astype("float32").reshape(shape)


def positive(*shape):
    return draw(*shape, low=0.5, high=2.5)


def unit(*shape):
    return draw(*shape, low=-0.95, high=0.95)


def whole(high, *shape, dtype="float32"):
    return (np.arange(int(np.prod(shape))) * 7 % high).astype(dtype).reshape(shape)


def numbers(*values, dtype="float32"):
    return np.array(values, dtype)


def spd(n, batch=2):
    """Symmetric positive definite matrices."""
    a = draw(batch, n, n)
    return np.matmul(a, a.transpose(0, 2, 1)) + n * np.eye(n, dtype="float32")


def triangular(n, batch=2):
    return np.tril(draw(batch, n, n)) + 3 * np.eye(n, dtype="float32")


def functions():
    """Elementwise functions, and arithmetic."""
    domains = {
        "abs arctan arcsinh cbrt ceil cos cosh degrees erf exp expm1 fix floor negative radians relu rint round sigmoid sign sin sinh "
        "softsign square tan tanh trunc identity BlockGrad stop_gradient make_loss zeros_like ones_like hard_sigmoid Flatten flatten": draw,
        "log log10 log1p log2 sqrt rsqrt rcbrt reciprocal gamma gammaln": positive,
        "arcsin arccos arctanh erfinv": unit,
        "logical_not": lambda *shape: whole(3, *shape),
    }
    for names, domain in domains.items():
        for name in names.split():
            yield Call(f"nd.{name}", domain(3, 4))
    yield Call("nd.arccosh", draw(3, 4, low=1.1, high=3))
    for name in ("isnan", "isinf", "isfinite"):
        yield Call(f"nd.contrib.{name}", numbers(1, np.nan, np.inf, -np.inf, 0))
    yield Call("nd.clip", draw(3, 4), a_min=-0.5, a_max=1.0)
    yield Call("nd.smooth_l1", draw(3, 4), scalar=1.5)
    yield Call("nd.hard_sigmoid", draw(3, 4), alpha=0.3, beta=0.4)
    for dtype in ("float16", "float64", "int32", "int8", "uint8", "bool"):
        yield Call("nd.cast", positive(3, 4), dtype=dtype, gradient=False)
        yield Call("nd.Cast", positive(3), dtype=dtype, gradient=False)
    order = "equal not_equal greater greater_equal lesser lesser_equal"
    pairs = f"add sub mul div minus plus power maximum minimum hypot mod logical_and logical_or logical_xor {order}"
    for name in pairs.split():
        yield Call(f"nd.broadcast_{name}", positive(3, 4), positive(1, 4))
        yield Call(f"nd.broadcast_{name}", whole(3, 2, 3), whole(2, 2, 1))
    for name in f"add subtract multiply divide true_divide modulo power maximum minimum {order}".split():
        yield Call(f"nd.{name}", positive(3, 4), draw(3, 4, low=0.6, high=1.7))
    for name in ["logical_and", "logical_or", "logical_xor"]:
        yield Call(f"nd.{name}", whole(2, 3, 4), whole(3, 3, 4))
    for name in ["add", "sub", "mul", "div"]:
        yield Call(f"nd.elemwise_{name}", draw(3, 4), positive(3, 4))
    for name in ("add_n", "ElementWiseSum"):
        yield Call(f"nd.{name}", draw(3, 4), positive(3, 4), unit(3, 4))
    yield Call("nd.contrib.div_sqrt_dim", draw(3, 4))
    yield Call("nd.contrib.allclose", draw(3), draw(3), gradient=False)
    yield Call("nd.where", whole(2, 3, 4), draw(3, 4), positive(3, 4))
    yield Call("nd.where", whole(2, 3), draw(3, 4), positive(3, 4))


def reductions():
    """Reductions and scans."""
    for name in ["sum", "mean", "prod", "max", "min", "nansum", "nanprod", "sum_axis", "max_axis", "min_axis"]:
        for attributes in ({}, {"axis": 1}, {"axis": (0, 2), "keepdims": True}, {"axis": 1, "exclude": True}):
            yield Call(f"nd.{name}", draw(2, 3, 4), **attributes)
    yield Call("nd.nansum", numbers(1, np.nan, 2))
    yield Call("nd.nanprod", numbers(3, np.nan, 2))
    for attributes in (
        {},
        {"ord": 1},
        {"ord": 2, "axis": 1},
        {"ord": 1, "axis": 0, "keepdims": True},
        {"axis": (0, 1)},
        {"ord": 1, "axis": (0, 1)},
    ):
        yield Call("nd.norm", draw(3, 4), **attributes)
    for name in ("argmax", "argmin"):
        for attributes in ({}, {"axis": 1}, {"axis": 0, "keepdims": True}):
            yield Call(f"nd.{name}", draw(3, 4), gradient=False, **attributes)
    yield Call("nd.argmax_channel", draw(3, 4), gradient=False)
    for attributes in ({"axes": (0,)}, {"axes": (1, 2)}, {"axes": (1,), "keepdims": True}):
        yield Call("nd.moments", draw(2, 3, 4), **attributes)
    for attributes in ({}, {"axis": 0}, {"axis": 1}, {"axis": 1, "dtype": "float64"}):
        yield Call("nd.cumsum", draw(3, 4), gradient="dtype" not in attributes, **attributes)
    yield Call("nd.cumsum", whole(5, 7, dtype="int32"), gradient=False)
    yield Call("nd.histogram", draw(30), bins=5, range=(-2, 2), gradient=False)
    yield Call("nd.all_finite", draw(3), gradient=False)
    yield Call("nd.all_finite", numbers(1, np.inf), gradient=False)
    yield Call("nd.multi_all_finite", draw(3), numbers(np.nan), num_arrays=2, gradient=False)
    yield Call("nd.multi_sum_sq", draw(3), draw(4), num_arrays=2, gradient=False)


def shapes():
    """Shapes, parts, and arrays put together."""
    x = draw(2, 3, 4)
    for shape in ((6, 4), (0, -1), (-2,), (-3, 4), (-4, 1, 2, -2), (-1,)):
        yield Call("nd.reshape", x, shape=shape)
    yield Call("nd.reshape", x, shape=(-1, 0), reverse=True)
    yield Call("nd.Reshape", x, shape=(4, -1))
    yield Call("nd.reshape_like", draw(6, 2), draw(3, 4))
    yield Call("nd.reshape_like", draw(30, 7), draw(15, 2, 4), lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=2)
    yield Call("nd.transpose", x)
    yield Call("nd.transpose", x, axes=(1, 2, 0))
    yield Call("nd.moveaxis", x, source=0, destination=2)
    yield Call("nd.swapaxes", x, dim1=0, dim2=2)
    yield Call("nd.SwapAxis", x, dim1=1, dim2=2)
    yield Call("nd.expand_dims", x, axis=1)
    yield Call("nd.expand_dims", x, axis=-1)
    yield Call("nd.squeeze", draw(1, 3, 1))
    yield Call("nd.squeeze", draw(1, 3, 1), axis=0)
    yield Call("nd.flip", x, axis=1)
    yield Call("nd.reverse", x, axis=(0, 2))
    for reps in (2, (2, 3), (1, 2, 1, 2)):
        yield Call("nd.tile", draw(2, 3), reps=reps)
    yield Call("nd.repeat", draw(2, 3), repeats=2)
    yield Call("nd.repeat", draw(2, 3), repeats=3, axis=1)
    for mode in ("constant", "edge", "reflect"):
        yield Call("nd.pad", draw(1, 2, 4, 5), mode=mode, pad_width=(0, 0, 0, 0, 1, 2, 2, 1), constant_value=1.5)
        yield Call("nd.Pad", draw(1, 2, 3, 4, 5), mode=mode, pad_width=(0, 0, 0, 0, 1, 1, 0, 2, 2, 1))
    for name in ("concat", "Concat"):
        yield Call(f"nd.{name}", draw(2, 3), positive(2, 2), dim=1)
    yield Call("nd.concat", draw(2, 3), positive(1, 3), dim=0)
    yield Call("nd.stack", draw(2, 3), positive(2, 3), axis=1)
    for name in ("split", "SliceChannel"):
        yield Call(f"nd.{name}", draw(2, 4), num_outputs=2)
        yield Call(f"nd.{name}", draw(2, 3), num_outputs=3, squeeze_axis=True)
    yield Call("nd.split_v2", draw(6, 2), indices_or_sections=3)
    yield Call("nd.split_v2", draw(6, 2), indices_or_sections=(1, 4))
    yield Call("nd.space_to_depth", draw(1, 2, 4, 6), block_size=2)
    yield Call("nd.depth_to_space", draw(1, 8, 2, 3), block_size=2)
    yield Call("nd.broadcast_to", draw(1, 3), shape=(2, 3))
    for name in ("broadcast_axis", "broadcast_axes"):
        yield Call(f"nd.{name}", draw(1, 3, 1), axis=(0, 2), size=(2, 4))
    yield Call("nd.broadcast_like", draw(1, 3), draw(4, 3))
    yield Call("nd.broadcast_like", draw(1, 3), draw(5, 4), lhs_axes=(0,), rhs_axes=(1,))
    yield Call("nd.shape_array", x, gradient=False)
    yield Call("nd.size_array", x, gradient=False)
    geometry = {"kernel": (2, 3), "stride": (2, 1), "dilate": (1, 1), "pad": (1, 1)}
    yield Call("nd.im2col", draw(2, 3, 5, 6), **geometry)
    yield Call("nd.col2im", draw(2, 18, 18), output_size=(5, 6), **geometry)
    yield Call("nd.slice", x, begin=(0, 1), end=(2, 3))
    yield Call("nd.slice", x, begin=(None, 2), end=(None, 0), step=(1, -1))
    yield Call("nd.crop", x, begin=(0, 1, 0), end=(1, 3, 2))
    yield Call("nd.slice_axis", x, axis=1, begin=1, end=None)
    yield Call("nd.slice_axis", x, axis=-1, begin=-3, end=-1)
    yield Call("nd.slice_like", x, draw(2, 2, 2))
    yield Call("nd.slice_like", x, draw(1, 2, 9), axes=(0, 1))
    for attributes in ({}, {"k": 1}, {"k": -1}):
        yield Call("nd.diag", draw(3, 4), **attributes)
    yield Call("nd.diag", draw(3))
    yield Call("nd.diag", draw(2, 3, 3), axis1=1, axis2=2)


def picking():
    """Indexing by arrays, and sorting."""
    for mode in ("clip", "wrap"):
        yield Call("nd.take", draw(4, 3), numbers(3, 0, -1, 7), mode=mode)
        yield Call("nd.pick", draw(4, 3), numbers(2, 0, 1, 5), mode=mode)
    yield Call("nd.take", draw(2, 4), numbers(1, 3, 1), axis=1)
    yield Call("nd.batch_take", draw(4, 3), numbers(2, 0, 1, 1, dtype="int32"))
    yield Call("nd.pick", draw(4, 3), numbers(1, 0, 1), axis=0, keepdims=True)
    yield Call("nd.choose_element_0index", draw(4, 3), numbers(2, 0, 1, 1))
    yield Call("nd.fill_element_0index", draw(4, 3), numbers(7, 8, 9, 6), numbers(2, 0, 1, 1), gradient=False)
    yield Call("nd.gather_nd", draw(3, 4), whole(3, 2, 5))
    yield Call("nd.gather_nd", draw(3, 4, 2), numbers([0, 2], [1, 3]))
    yield Call("nd.scatter_nd", draw(2), numbers([0, 2], [1, 3]), shape=(3, 4))
    yield Call("nd.scatter_nd", draw(2, 3), numbers([4, 1]), shape=(5, 3))
    yield Call("nd.one_hot", numbers(0, 2, 5), depth=3, gradient=False)
    yield Call("nd.one_hot", numbers(0, 2, 1), depth=3, on_value=4, off_value=-1, dtype="int32", gradient=False)
    yield Call("nd.onehot_encode", numbers(0, 2), np.zeros((2, 3), "float32"), gradient=False)
    yield Call("nd.Embedding", numbers([1, 0], [2, 1]), draw(3, 4), input_dim=3, output_dim=4)
    yield Call("nd.contrib.boolean_mask", draw(3, 4), numbers(1, 0, 1))
    yield Call("nd.contrib.index_copy", draw(4, 3), numbers(2, 0, dtype="int32"), positive(2, 3))
    yield Call("nd.ravel_multi_index", whole(3, 2, 4), shape=(3, 4), gradient=False)
    yield Call("nd.unravel_index", whole(12, 5), shape=(3, 4), gradient=False)
    yield Call("nd.Crop", draw(1, 2, 5, 6), offset=(1, 2), h_w=(3, 3))
    yield Call("nd.Crop", draw(1, 2, 5, 6), h_w=(3, 4), center_crop=True)
    yield Call("nd.Crop", draw(1, 2, 5, 6), draw(1, 1, 2, 3))
    x = draw(3, 5)
    for attributes in ({}, {"axis": 0}, {"is_ascend": False}, {"axis": None}):
        yield Call("nd.sort", x, **attributes)
        yield Call("nd.argsort", x, gradient=False, **attributes)
    yield Call("nd.argsort", x, dtype="int32", gradient=False)
    for kind in ("indices", "value", "both", "mask"):
        yield Call("nd.topk", x, k=2, ret_typ=kind, gradient=kind == "value")
        yield Call("nd.topk", x, k=2, axis=0, ret_typ=kind, is_ascend=True, gradient=kind == "value")


def algebra():
    """Products of matrices and factorisations."""
    a, b = draw(3, 4), positive(4, 2)
    yield Call("nd.dot", a, b)
    yield Call("nd.dot", a, draw(3, 2), transpose_a=True)
    yield Call("nd.dot", a, draw(2, 4), transpose_b=True)
    yield Call("nd.dot", draw(2, 3, 4), draw(4, 5))
    yield Call("nd.dot", draw(4), draw(4, low=0, high=1))
    yield Call("nd.batch_dot", draw(2, 3, 4), draw(2, 4, 5))
    yield Call("nd.batch_dot", draw(2, 4, 3), draw(2, 5, 4), transpose_a=True, transpose_b=True)
    yield Call("nd.khatri_rao", draw(2, 3), positive(4, 3))
    for form in ("nd.linalg_", "nd.linalg."):
        yield Call(f"{form}gemm", draw(2, 3, 4), draw(2, 4, 5), draw(2, 3, 5), alpha=0.5, beta=2.0)
        yield Call(f"{form}gemm2", draw(2, 3, 4), draw(2, 4, 5), alpha=0.5)
        yield Call(f"{form}potrf", spd(3))
        yield Call(f"{form}potri", triangular(3))
        yield Call(f"{form}trmm", triangular(3), draw(2, 3, 4), alpha=2.0)
        yield Call(f"{form}trsm", triangular(3), draw(2, 3, 4), alpha=2.0)
        yield Call(f"{form}syrk", draw(2, 3, 4), alpha=2.0)
        yield Call(f"{form}sumlogdiag", spd(3))
        yield Call(f"{form}extractdiag", draw(2, 3, 3))
        yield Call(f"{form}makediag", draw(2, 3))
        yield Call(f"{form}extracttrian", draw(2, 3, 3))
        yield Call(f"{form}maketrian", draw(2, 6))
        yield Call(f"{form}inverse", spd(3))
        yield Call(f"{form}det", spd(3))
        yield Call(f"{form}slogdet", spd(3), gradient=False)
        yield Call(f"{form}gelqf", draw(2, 3, 4))
    yield Call("nd.linalg.gemm", draw(2, 4, 3), draw(2, 5, 4), draw(2, 3, 5), transpose_a=True, transpose_b=True)
    yield Call("nd.linalg.gemm2", draw(3, 2, 4), draw(4, 2, 5), axis=0)
    yield Call("nd.linalg.trmm", triangular(3), draw(2, 4, 3), rightside=True, transpose=True)
    yield Call("nd.linalg.trsm", triangular(3), draw(2, 4, 3), rightside=True, transpose=True)
    yield Call("nd.linalg.trsm", triangular(3).transpose(0, 2, 1), draw(2, 3, 4), lower=False)
    yield Call("nd.linalg.syrk", draw(2, 3, 4), transpose=True)
    yield Call("nd.linalg.syevd", spd(3), gradient=False)
    for offset in (1, -1):
        yield Call("nd.linalg.extractdiag", draw(2, 3, 3), offset=offset)
        yield Call("nd.linalg.makediag", draw(2, 3), offset=offset)
        yield Call("nd.linalg.extracttrian", draw(2, 3, 3), offset=offset)
    yield Call("nd.linalg.extracttrian", draw(2, 3, 3), lower=False)


def networks():
    """Layers."""
    for kind in ("relu", "sigmoid", "softrelu", "softsign", "tanh"):
        yield Call("nd.Activation", draw(3, 4), act_type=kind)
    for kind in ("leaky", "elu", "selu", "gelu"):
        yield Call("nd.LeakyReLU", draw(3, 4), act_type=kind, slope=0.3)
    yield Call("nd.LeakyReLU", draw(2, 3, 4), unit(3), act_type="prelu")
    yield Call("nd.FullyConnected", draw(3, 2, 2), draw(5, 4), draw(5), num_hidden=5)
    yield Call("nd.FullyConnected", draw(3, 2, 4), draw(5, 4), num_hidden=5, no_bias=True, flatten=False)
    plane = {"kernel": (3, 2), "num_filter": 4}
    yield Call("nd.Convolution", draw(2, 3, 6, 5), draw(4, 3, 3, 2), draw(4), **plane)
    yield Call("nd.Convolution", draw(2, 3, 6, 5), draw(4, 3, 3, 2), no_bias=True, stride=(2, 1), pad=(1, 2), dilate=(2, 1), **plane)
    yield Call("nd.Convolution", draw(2, 4, 6, 5), draw(4, 2, 3, 2), no_bias=True, num_group=2, **plane)
    yield Call("nd.Convolution", draw(2, 3, 7), draw(4, 3, 3), draw(4), kernel=(3,), num_filter=4)
    yield Call("nd.Convolution", draw(1, 2, 4, 4, 4), draw(3, 2, 2, 2, 2), draw(3), kernel=(2, 2, 2), num_filter=3)
    yield Call("nd.Deconvolution", draw(2, 3, 4, 5), draw(3, 4, 3, 2), **plane)
    yield Call("nd.Deconvolution", draw(2, 3, 4, 5), draw(3, 4, 3, 2), stride=(2, 2), pad=(1, 0), adj=(1, 1), **plane)
    yield Call("nd.Deconvolution", draw(2, 3, 4), draw(3, 2, 3), draw(2), kernel=(3,), num_filter=2, stride=(2,), no_bias=False)
    for kind in ("max", "avg", "sum"):
        for convention in ("valid", "full"):
            yield Call(
                "nd.Pooling", draw(1, 2, 6, 7), kernel=(3, 2), stride=(2, 2), pad=(1, 0), pool_type=kind, pooling_convention=convention
            )
        yield Call("nd.Pooling", draw(1, 2, 6, 7), pool_type=kind, global_pool=True, kernel=(1, 1))
        yield Call("nd.Pooling", draw(1, 2, 8), kernel=(2,), pool_type=kind)
    yield Call("nd.Pooling", draw(1, 2, 6, 7), kernel=(3, 2), pad=(1, 1), pool_type="avg", count_include_pad=False)
    yield Call("nd.Pooling", positive(1, 2, 6, 7), kernel=(3, 2), pool_type="lp", p_value=2)
    yield Call("nd.LayerNorm", draw(3, 4), positive(4), draw(4))
    yield Call("nd.LayerNorm", draw(3, 4, 2), positive(4), draw(4), axis=1)
    yield Call("nd.InstanceNorm", draw(2, 3, 4), positive(3), draw(3))
    yield Call("nd.GroupNorm", draw(2, 4, 3), positive(2), draw(2), num_groups=2)
    for mode in ("instance", "channel", "spatial"):
        yield Call("nd.L2Normalization", draw(2, 3, 4), mode=mode)
    yield Call("nd.LRN", draw(2, 5, 3, 3), nsize=3, alpha=0.1)
    bn = (draw(2, 3, 4), positive(3), draw(3), unit(3), positive(3))
    yield Call("nd.BatchNorm", *bn, fix_gamma=False)
    yield Call("nd.BatchNorm", *bn, fix_gamma=False, use_global_stats=True)
    yield Call("nd.BatchNorm", *bn)
    for name in ("softmax", "log_softmax", "softmin"):
        yield Call(f"nd.{name}", draw(3, 4))
        yield Call(f"nd.{name}", draw(3, 4), axis=0, temperature=2.0)
    yield Call("nd.softmax", draw(3, 4), numbers(2, 4, 1, dtype="int32"), use_length=True)
    for mode in ("instance", "channel"):
        yield Call("nd.SoftmaxActivation", draw(2, 3, 4), mode=mode)
    yield Call("nd.Dropout", draw(3, 4), p=0.0)
    yield Call("nd.UpSampling", draw(1, 2, 3, 4), scale=2, sample_type="nearest")
    yield Call("nd.softmax_cross_entropy", draw(3, 4), numbers(0, 3, 1))


def losses():
    """Losses that carry their own gradient, and sequences."""
    for name in ("Softmax", "SoftmaxOutput"):
        yield Call(f"nd.{name}", draw(3, 4), numbers(0, 3, 1))
    yield Call("nd.SoftmaxOutput", draw(3, 4), numbers(0, 3, 1), use_ignore=True, ignore_label=1, normalization="valid", grad_scale=2.0)
    yield Call("nd.SoftmaxOutput", draw(2, 4, 3), whole(4, 2, 3), multi_output=True)
    yield Call("nd.SoftmaxOutput", draw(3, 4), numbers(0, 3, 1), smooth_alpha=0.1, normalization="batch")
    for name in ("Linear", "Logistic", "MAE"):
        yield Call(f"nd.{name}RegressionOutput", draw(3, 4), positive(3, 4), grad_scale=0.5)
    for linear in (False, True):
        yield Call("nd.SVMOutput", draw(3, 4), numbers(0, 3, 1), margin=0.5, regularization_coefficient=0.7, use_linear=linear)
    for kind in ("null", "batch", "valid"):
        yield Call("nd.MakeLoss", positive(3, 4), grad_scale=2.0, valid_thresh=1.0, normalization=kind)
    for name in ("CTCLoss", "ctc_loss"):
        yield Call(f"nd.{name}", draw(6, 2, 5), numbers([1, 2, 0], [3, 3, 4]))
    yield Call("nd.CTCLoss", draw(6, 2, 5), numbers([1, 2, -1], [3, 3, 0]), blank_label="last")
    yield Call("nd.SequenceMask", draw(4, 2, 3), numbers(2, 3), use_sequence_length=True, value=-1.0)
    yield Call("nd.SequenceMask", draw(2, 4, 3), numbers(2, 3), use_sequence_length=True, axis=1)
    yield Call("nd.SequenceLast", draw(4, 2, 3), numbers(2, 3), use_sequence_length=True)
    yield Call("nd.SequenceReverse", draw(4, 2, 3), numbers(2, 3), use_sequence_length=True)
    gates = {"rnn_relu": 1, "rnn_tanh": 1, "gru": 3, "lstm": 4}
    for mode, count in gates.items():
        for layers, directions in ((1, 1), (2, 2)):
            state, size = 3, 2
            inputs = [size if layer == 0 else state * directions for layer in range(layers)]
            parameters = sum(directions * count * state * (n + state + 2) for n in inputs)
            arrays = [draw(4, 2, size), unit(parameters), draw(layers * directions, 2, state)]
            arrays += [positive(layers * directions, 2, state)] * (mode == "lstm")
            options = {"state_size": state, "num_layers": layers, "bidirectional": directions == 2, "mode": mode}
            yield Call("nd.RNN", *arrays, state_outputs=True, **options)
    yield Call("nd.contrib.interleaved_matmul_selfatt_qk", draw(4, 2, 12), heads=2)
    yield Call("nd.contrib.interleaved_matmul_selfatt_valatt", draw(4, 2, 12), unit(4, 4, 4), heads=2)
    yield Call("nd.contrib.arange_like", draw(2, 3), gradient=False)
    yield Call("nd.contrib.arange_like", draw(2, 3), axis=1, start=2, step=3, gradient=False)


def vision():
    """Images, boxes, spectra."""
    yield Call("nd.BilinearSampler", draw(1, 2, 4, 5), unit(1, 2, 3, 3))
    yield Call("nd.GridGenerator", draw(2, 6, low=-1, high=1), transform_type="affine", target_shape=(3, 4))
    yield Call("nd.GridGenerator", draw(1, 2, 3, 4), transform_type="warp")
    affine = {"target_shape": (3, 4), "transform_type": "affine", "sampler_type": "bilinear"}
    yield Call("nd.SpatialTransformer", draw(1, 2, 4, 5), numbers([0.9, 0.1, 0.05, -0.1, 0.8, 0.02]), **affine)
    rois = numbers([0, 0, 0, 4, 4], [0, 1, 2, 6, 5])
    yield Call("nd.ROIPooling", draw(1, 2, 7, 8), rois, pooled_size=(2, 2), spatial_scale=1.0)
    yield Call("nd.contrib.ROIAlign", draw(1, 2, 7, 8), rois, pooled_size=(2, 2), spatial_scale=1.0, sample_ratio=2)
    corr = {"kernel_size": 1, "max_displacement": 2, "stride1": 1, "stride2": 1, "pad_size": 2}
    yield Call("nd.Correlation", draw(1, 2, 5, 5), positive(1, 2, 5, 5), **corr)
    yield Call("nd.contrib.AdaptiveAvgPooling2D", draw(1, 2, 5, 7), output_size=(2, 3))
    yield Call("nd.contrib.BilinearResize2D", draw(1, 2, 4, 5), height=7, width=3)
    yield Call("nd.contrib.BilinearResize2D", draw(1, 2, 4, 5), height=7, width=3, align_corners=False)
    boxes = numbers([0, 0, 2, 2], [1, 1, 3, 3], [0, 0.5, 2, 2.5])
    yield Call("nd.contrib.box_iou", boxes, boxes[:2], gradient=False)
    scored = np.concatenate([numbers([0], [1], [0]), numbers([0.9], [0.8], [0.7]), boxes], 1)
    for attributes in ({}, {"id_index": 0}, {"id_index": 0, "force_suppress": True}, {"topk": 2}, {"valid_thresh": 0.75}):
        yield Call("nd.contrib.box_nms", scored, overlap_thresh=0.4, gradient=False, **attributes)


def updates():
    """Steps of optimisers."""
    w, g, m, v = draw(3, 4), unit(3, 4), draw(3, 4, low=-0.1, high=0.1), positive(3, 4)
    step = {"lr": 0.1, "wd": 0.01, "rescale_grad": 0.5, "clip_gradient": 0.3, "gradient": False}
    yield Call("nd.sgd_update", w, g, **step)
    yield Call("nd.sgd_mom_update", w, g, m, momentum=0.9, **step)
    yield Call("nd.nag_mom_update", w, g, m, momentum=0.9, **step)
    yield Call("nd.signsgd_update", w, g, **step)
    yield Call("nd.signum_update", w, g, m, momentum=0.9, wd_lh=0.01, **step)
    yield Call("nd.adam_update", w, g, m, v, **step)
    yield Call("nd.rmsprop_update", w, g, v, **step)
    yield Call("nd.rmspropalex_update", w, g, v + 1, m, m, **step)
    yield Call("nd.ftrl_update", w, g, m, v, **step)
    ftml = {k: x for k, x in step.items() if k != "clip_gradient"}
    yield Call("nd.ftml_update", w, g, v, v, m, t=3, clip_grad=0.3, **ftml)
    lamb = {k: x for k, x in step.items() if k != "lr"}
    yield Call("nd.lamb_update_phase1", w, g, m, v, t=3, **lamb)
    yield Call("nd.lamb_update_phase2", w, g, numbers(2), numbers(3), lr=0.1, gradient=False)
    yield Call("nd.multi_lars", numbers(0.1, 0.2), numbers(4, 9), numbers(1, 4), numbers(0.0, 0.01), eta=0.001, eps=1e-6, gradient=False)


def densities():
    """The densities of random distributions."""
    x, a, b = positive(2, 3), positive(2), draw(2, low=0.2, high=0.8)
    for log in (False, True):
        yield Call("nd.random_pdf_uniform", x, numbers(0, 0.1), numbers(3, 4), is_log=log)
        yield Call("nd.random_pdf_normal", x, a, b, is_log=log)
        yield Call("nd.random_pdf_gamma", x, a, b, is_log=log)
        yield Call("nd.random_pdf_exponential", x, a, is_log=log)
        yield Call("nd.random_pdf_poisson", whole(4, 2, 3), a, is_log=log)
        yield Call("nd.random_pdf_negative_binomial", whole(4, 2, 3), numbers(2, 3), b, is_log=log)
        yield Call("nd.random_pdf_generalized_negative_binomial", whole(4, 2, 3), a, b, is_log=log)
        yield Call("nd.random_pdf_dirichlet", numbers([[0.2, 0.3, 0.5]], [[0.1, 0.6, 0.3]]), positive(2, 3), is_log=log)


def halves(array):
    return array.astype("float16")


def variants():
    """Further attributes of what the families have: kinds of windows, layouts, axes, lengths, ties, special values."""
    for kind in ("max", "avg", "sum", "lp"):
        more = {"pool_type": kind, **({"p_value": 3} if kind == "lp" else {})}
        for kernel, stride, pad in (((2, 2), (3, 1), (0, 0)), ((3, 3), (1, 1), (1, 0)), ((3, 2), (2, 2), (1, 1))):
            window = {"kernel": kernel, "stride": stride, "pad": pad}
            yield Call("nd.Pooling", positive(1, 2, 6, 7), pooling_convention="full", **window, **more)
            yield Call("nd.Pooling", positive(1, 2, 6, 7), **window, **more)
        yield Call("nd.Pooling", positive(1, 2, 4, 5, 3), kernel=(2, 2, 2), stride=(2, 1, 1), **more)
        yield Call("nd.Pooling", positive(1, 6, 7, 2), kernel=(3, 2), stride=(2, 2), pad=(1, 0), layout="NHWC", **more)
        yield Call("nd.Pooling", positive(1, 8, 2), kernel=(3,), layout="NWC", **more)
    yield Call(
        "nd.Pooling", positive(1, 2, 6, 7), kernel=(3, 2), pad=(1, 1), pooling_convention="full", pool_type="avg", count_include_pad=False
    )
    cube = {"kernel": (2, 2, 2), "num_filter": 6, "num_group": 2, "pad": (1, 0, 1), "stride": (1, 2, 1)}
    yield Call("nd.Convolution", draw(1, 4, 3, 4, 3), draw(6, 2, 2, 2, 2), draw(6), **cube)
    yield Call("nd.Convolution", draw(2, 4, 9), draw(6, 2, 3), draw(6), kernel=(3,), num_filter=6, num_group=2, dilate=(2,), pad=(2,))
    yield Call("nd.Convolution", draw(2, 3, 6, 5), draw(4, 3, 1, 1), draw(4), kernel=(1, 1), num_filter=4, stride=(2, 2))
    yield Call("nd.Convolution", draw(2, 3, 6, 5), draw(3, 1, 3, 3), draw(3), kernel=(3, 3), num_filter=3, num_group=3, pad=(1, 1))
    many = {"kernel": (3, 2), "num_filter": 6, "num_group": 2, "stride": (2, 3), "pad": (1, 1), "adj": (1, 0)}
    yield Call("nd.Deconvolution", draw(2, 4, 4, 5), draw(4, 3, 3, 2), **many)
    yield Call("nd.Deconvolution", draw(2, 4, 4, 5), draw(4, 3, 3, 3), kernel=(3, 3), num_filter=3, dilate=(2, 2), pad=(1, 0))
    yield Call("nd.Deconvolution", draw(1, 2, 3, 2, 2), draw(2, 2, 2, 2, 2), draw(2), kernel=(2, 2, 2), num_filter=2, no_bias=False)
    for axis, n in ((0, 2), (2, 4), (-1, 4)):
        arrays = (draw(2, 3, 4), positive(n), draw(n), unit(n), positive(n))
        yield Call("nd.BatchNorm", *arrays, fix_gamma=False, axis=axis, eps=1e-2, momentum=0.7)
    yield Call("nd.BatchNorm", draw(5, 3), positive(3), draw(3), unit(3), positive(3), fix_gamma=False)
    yield Call("nd.LayerNorm", draw(3, 4, 2), positive(3), draw(3), axis=0, eps=1e-2)
    yield Call("nd.GroupNorm", draw(2, 4, 3, 2), positive(1), draw(1), num_groups=1)
    yield Call("nd.InstanceNorm", draw(2, 3, 4, 5), positive(3), draw(3), eps=0.1)
    yield Call("nd.LRN", draw(2, 5, 3, 3), nsize=5, alpha=0.2, beta=0.5, knorm=1.0)
    yield Call("nd.softmax", draw(2, 3, 4), numbers([1, 2, 3, 0], [3, 1, 2, 2], dtype="int32"), axis=1, use_length=True)
    for name in ("softmax", "log_softmax", "softmin"):
        yield Call(f"nd.{name}", draw(3, 4, 2), axis=1, temperature=0.5)
        yield Call(f"nd.{name}", draw(3, 4), dtype="float64", gradient=False)
    yield Call("nd.LeakyReLU", draw(2, 3, 4, 5), unit(1), act_type="prelu")
    yield Call("nd.UpSampling", draw(1, 2, 3, 4), draw(2, 1, 4, 4), scale=2, sample_type="bilinear", num_filter=2, num_args=2)
    for name in ("Mask", "Last", "Reverse"):
        yield Call(f"nd.Sequence{name}", draw(4, 2), numbers(1, 4), use_sequence_length=True)
    yield Call("nd.SequenceLast", draw(2, 4, 3), numbers(2, 3), use_sequence_length=True, axis=1)
    for mode, count in {"rnn_relu": 1, "rnn_tanh": 1, "gru": 3, "lstm": 4}.items():
        arrays = [draw(4, 2, 2), unit(count * 3 * (2 + 3 + 2)), draw(1, 2, 3)] + [positive(1, 2, 3)] * (mode == "lstm")
        yield Call("nd.RNN", *arrays, state_size=3, num_layers=1, mode=mode)
    for blank in ("first", "last"):
        label = numbers([1, 2, 2, 0], [3, 3, 1, 2]) + (blank == "first")
        lengths = {"use_data_lengths": True, "use_label_lengths": True, "blank_label": blank}
        yield Call("nd.CTCLoss", draw(8, 2, 5), label, numbers(6, 8), numbers(2, 4), **lengths)
        yield Call("nd.CTCLoss", draw(8, 2, 5), label, numbers(2, 3), use_label_lengths=True, blank_label=blank)
    yield Call("nd.SoftmaxOutput", draw(2, 3, 4), whole(4, 2, 3), preserve_shape=True)
    yield Call("nd.SoftmaxOutput", draw(2, 4, 3), whole(4, 2, 3), multi_output=True, use_ignore=True, ignore_label=0, normalization="valid")
    x = draw(2, 3, 4)
    for shape in ((0, 0, -1), (-4, -1, 2, 0, 0), (0, -4, -1, 3, 0), (-3, -2), (2, -2), (-2, 1, 1), (0, -3)):
        yield Call("nd.reshape", x, shape=shape)
    for shape in ((0, 0, -1), (-1, 4), (0, -3)):
        yield Call("nd.reshape", x, shape=shape, reverse=True)
    yield Call("nd.slice", x, begin=(-1, None, -3), end=(None, -1, None))
    yield Call("nd.slice", x, begin=(None, None, -1), end=(None, None, None), step=(None, None, -2))
    yield Call("nd.split", x, num_outputs=4, axis=-1, squeeze_axis=True)
    yield Call("nd.split_v2", x, indices_or_sections=(1, 3), axis=-1)
    yield Call("nd.diag", draw(2, 3, 4), k=1, axis1=-2, axis2=-1)
    yield Call("nd.take", draw(4, 3, 2), numbers([0, 1], [2, 0]), axis=-2)
    yield Call("nd.take", draw(4, 3), numbers([3.7, 0.2], [-0.5, 1.9]))
    for index in (whole(4, 2, 3), whole(3, 2, 4)):
        yield Call("nd.pick", x, index, axis=-1 if index.shape[1] == 3 else 1)
    yield Call("nd.where", numbers(0, 1, np.nan, -1), draw(4), positive(4))
    ties = numbers([2, 1, 2, 3, 1], [0, 0, 1, 1, 0])
    for ascending in (True, False):
        yield Call("nd.argsort", ties, is_ascend=ascending, gradient=False)
        yield Call("nd.topk", ties, k=3, is_ascend=ascending, ret_typ="both", gradient=False)
    yield Call("nd.topk", draw(3, 5), axis=None, k=3, ret_typ="both", gradient=False)
    for name in ("sum", "mean", "prod", "max", "min", "nansum", "nanprod"):
        yield Call(f"nd.{name}", draw(2, 3, 4), axis=(0, 2), exclude=True)
        yield Call(f"nd.{name}", whole(5, 3, 4, dtype="int32"), axis=1, gradient=False)
    for name in ("max", "min"):
        yield Call(f"nd.{name}", numbers([1, 3, 3, 1], [2, 2, 1, 1]), axis=1)
    for count, dtype in enumerate(("float64", "int32", "int64"), 3):
        yield Call("nd.argmax", whole(5, count, 7, dtype=dtype), axis=1, gradient=False)
    for transposed in (False, True):
        for right in (False, True):
            for lower in (False, True):
                triangle = triangular(3) if lower else triangular(3).transpose(0, 2, 1).copy()
                how = {"transpose": transposed, "rightside": right, "lower": lower}
                yield Call("nd.linalg.trmm", triangle, draw(2, 3, 3), alpha=0.5, **how)
                yield Call("nd.linalg.trsm", triangle, draw(2, 3, 3), alpha=0.5, **how)
    yield Call("nd.linalg.gemm", draw(2, 4, 3, 5), draw(2, 5, 3, 2), draw(2, 4, 3, 2), axis=1)
    yield Call("nd.linalg.maketrian", draw(2, 6), lower=False)
    yield Call("nd.linalg.maketrian", draw(2, 3), offset=-1)
    special = numbers(0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 0.5, -0.5, 2.5, -2.5, 1e30)
    names = "abs arctan arcsinh cbrt ceil cosh erf exp expm1 fix floor relu rint round sigmoid sinh square sqrt tanh trunc log log1p"
    for name in names.split():
        yield Call(f"nd.{name}", special, gradient=False)
    for name in ["maximum", "minimum", "hypot", "equal", "greater", "lesser_equal", "logical_and", "power"]:
        yield Call(f"nd.broadcast_{name}", special.reshape(-1, 1), special.reshape(1, -1), gradient=False)
    w, g, m, v = draw(3, 4), unit(3, 4), draw(3, 4, low=-0.1, high=0.1), positive(3, 4)
    step = {"rescale_grad": 0.5, "clip_gradient": 0.3, "gradient": False}
    yield Call("nd.mp_sgd_update", halves(w), halves(g), w, lr=0.1, wd=0.01, **step)
    yield Call("nd.mp_sgd_mom_update", halves(w), halves(g), m, w, lr=0.1, wd=0.01, momentum=0.9, **step)
    yield Call("nd.lamb_update_phase1", w, g, m, v, t=3, wd=0.01, bias_correction=False, **step)
    yield Call("nd.lamb_update_phase2", w, g, numbers(9), numbers(3), lr=0.1, lower_bound=0.5, upper_bound=1.5, gradient=False)
    yield Call("nd.rmsprop_update", w, g, v, lr=0.1, clip_weights=0.5, gamma1=0.8, **step)
    yield Call("nd.adam_update", w, g, m, v, lr=0.1, wd=0.1, epsilon=0.1, beta1=0.5, beta2=0.6, **step)
    for size in (1, 3):
        more = {"kernel_size": size, "max_displacement": 2, "stride1": 2, "stride2": 2, "pad_size": 3}
        yield Call("nd.Correlation", draw(1, 2, 6, 6), positive(1, 2, 6, 6), **more)
        yield Call("nd.Correlation", draw(1, 2, 6, 6), positive(1, 2, 6, 6), kernel_size=size, pad_size=2, is_multiply=False)
    for mode in ("to_even_down", "to_even_up", "to_odd_down", "to_odd_up"):
        yield Call("nd.contrib.BilinearResize2D", draw(1, 2, 5, 6), mode=mode)
    yield Call("nd.contrib.BilinearResize2D", draw(1, 2, 5, 6), scale_height=1.5, scale_width=0.7, mode="odd_scale")
    rois = numbers([0, 0.4, 0.6, 4.5, 4.4], [0, 1.3, 2.1, 6.9, 5.2], [0, 3, 3, 3, 3])
    yield Call("nd.ROIPooling", draw(1, 2, 7, 8), rois, pooled_size=(3, 2), spatial_scale=0.7)
    yield Call("nd.contrib.ROIAlign", draw(1, 2, 7, 8), rois, pooled_size=(3, 2), spatial_scale=0.7)
    yield Call(
        "nd.contrib.ROIAlign", draw(1, 12, 7, 8), rois, pooled_size=(3, 2), spatial_scale=0.7, position_sensitive=True, sample_ratio=2
    )


def calls():
    """All of them."""
    for family in (functions, reductions, shapes, picking, algebra, networks, losses, vision, updates, densities, variants):
        yield from family()


def answer(mx, call, gradient=True):
    """What a library answers: its results, the gradients, and of the arrays given those that it wrote to."""
    function = mx
    for part in call.name.split("."):
        function = getattr(function, part)
    arrays = [mx.nd.array(a, dtype=a.dtype) for a in call.arrays]
    gradient = gradient and call.gradient
    if gradient:
        for a in arrays:
            if a.dtype == np.float32:
                a.attach_grad()
    with mx.autograd.record(train_mode=True):
        results = function(*arrays, **call.attributes)
    results = list(results) if isinstance(results, (list, tuple)) else [results]
    found = [r.asnumpy() for r in results]
    if gradient:
        heads = [mx.nd.array(draw(*r.shape, low=0.5, high=1.5), dtype=r.dtype) for r in results]
        mx.autograd.backward(results, heads)
        found += [a.grad.asnumpy() for a in arrays if a.grad is not None]
    after = [a.asnumpy() for a in arrays]
    return found + [new for new, old in zip(after, call.arrays) if not np.array_equal(new, old, equal_nan=True)]


def record(path):
    """Write MXNet's answers: for each call the dtypes and shapes, or why there is no answer, and all elements one after another."""
    import mxnet as mx

    index, data = {}, []
    for call in calls():
        text = ""
        for gradient in (True, False):
            try:
                found = answer(mx, call, gradient)
            except Exception as error:
                text = str(error).strip().splitlines()[-1][:150]
                continue
            index[str(call)] = {"gradient": gradient, "arrays": [(str(array.dtype), array.shape) for array in found]}
            data += [array.tobytes() for array in found]
            break
        else:
            index[str(call)] = {"refused": text}
        if text:
            print(f"{call}: {text}", file=sys.stderr)
    np.savez_compressed(path, index=np.array(json.dumps(index)), data=np.frombuffer(b"".join(data), np.uint8))
    print(f"{len(index)} calls in {path}, {path.stat().st_size} bytes")


def recorded(path):
    """What `record` wrote: for each call whether its gradient is among the arrays, and these; or a text."""
    with np.load(path) as stored:
        index, data = json.loads(str(stored["index"])), stored["data"].tobytes()
    found, at = {}, 0
    for name, entry in index.items():
        if "refused" in entry:
            found[name] = entry["refused"]
            continue
        arrays = []
        for dtype, shape in entry["arrays"]:
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            arrays.append(np.frombuffer(data[at : at + size], dtype).reshape(shape))
            at += size
        found[name] = entry["gradient"], arrays
    return found


def differs(found, expected):
    """How two answers differ, in a few words; nothing where they agree."""
    if found.shape != expected.shape:
        return f"shape {found.shape}, not {expected.shape}"
    if found.dtype != expected.dtype:
        return f"dtype {found.dtype}, not {expected.dtype}"
    wide = np.float64 if found.dtype.kind == "f" else found.dtype
    if not np.allclose(found.astype(wide), expected.astype(wide), rtol=2e-4, atol=2e-5, equal_nan=True):
        return f"values {found.ravel()[:4]}, not {expected.ravel()[:4]}"
    return ""


def compared(mx, answers, call):
    """How clnd's answer to a call differs from the recorded one."""
    given = answers[str(call)]
    if isinstance(given, str):
        return f"MXNet refuses it: {given}"
    gradient, expected = given
    try:
        found = answer(mx, call, gradient)
    except (mx.MXNetError, AttributeError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:150]}"
    if len(found) != len(expected):
        return f"{len(found)} arrays, not {len(expected)}"
    return "; ".join(f"array {i}: {text}" for i, text in enumerate(map(differs, found, expected)) if text)


def main():
    """Compare, or record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write MXNet's answers to tests/mxnet_answers.npz")
    parser.add_argument("--only", default="", help="part of the names of the calls to make")
    options = parser.parse_args()
    if options.record:
        record(ANSWERS)
        return
    import clnd as mx

    answers = recorded(ANSWERS)
    chosen = [call for call in calls() if options.only in str(call)]
    wrong = [(call, text) for call in chosen if (text := compared(mx, answers, call))]
    for call, text in wrong:
        print(f"{call}: {text}")
    print(f"{len(wrong)} of {len(chosen)} calls differ")


if __name__ == "__main__":
    main()
