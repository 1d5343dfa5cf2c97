"""Second derivatives of what no case of the table can say: several results, state, training, MXNet's rules. And that none is left out.

A rule that is right, and made of operators whose rules are right, has right derivatives of every order: so each must be asked for once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, engine, nd
from clnd.nd.conventions import CONVENTIONS
from clnd.nd.names import names_in_nd
from clnd.ndarray import NDArray
from clnd.ops import registry
from clnd.ops.declare import Composed, Elementwise, zero
from measures import CONTEXTS, Cube
from ops.cases import CASES
from ops.gradients import check_gradients
from ops.table import Array, Shape

contrib, linalg = nd.contrib, nd.linalg


@dataclass(frozen=True)
class Row:
    """A function whose derivatives of both orders are checked.

    Attributes
    ----------
    name : str
        The operator's, or the function's of `mx.nd`; what follows is for people.
    function : function of arrays
        Gives an array or several.
    drawn : tuple of shapes or functions of a generator
    single : bool
        Is something on the way float32, whatever the arrays are?
    """

    name: str
    function: Callable[..., Any]
    drawn: tuple[Shape | Callable[[np.random.Generator], Array], ...]
    single: bool = False

    def __str__(self) -> str:
        return self.name


def row(name: str, function: Callable[..., Any], *drawn: Any, single: bool = False) -> Row:
    return Row(name, function, drawn, single)


def like(x: NDArray, numbers: Any) -> NDArray:
    """Numbers as an array beside another one."""
    return nd.array(numbers, dtype=x.dtype, ctx=x.context)


# --- with state ---


def trained(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function in training, and each time with the same random numbers."""

    def call(*arrays: NDArray) -> Any:
        mx.random.seed(7)
        with autograd.train_mode():
            return function(*arrays)

    return call


def batch_norm(**attributes: Any) -> Callable[..., Any]:
    def call(x: NDArray, gamma: NDArray, beta: NDArray) -> Any:
        mean, variance = like(x, [0.1, -0.2]), like(x, [1.5, 0.75])
        return nd.BatchNorm(x, gamma, beta, mean, variance, eps=0.1, **{"output_mean_var": True, **attributes})

    return call


NORMED = ((3, 2, 2), (2,), (2,))
LAYERS = [
    row("BatchNorm in training", trained(batch_norm(fix_gamma=False)), *NORMED),
    row("BatchNorm in training, fixed", trained(batch_norm()), *NORMED),
    row("BatchNorm by moving averages", trained(batch_norm(fix_gamma=False, use_global_stats=True, axis=-1)), *NORMED),
    row("BatchNorm of images", trained(batch_norm(fix_gamma=False, output_mean_var=False)), (3, 2, 4, 4), (2,), (2,)),
    row("BatchNorm of images, fixed", trained(batch_norm(output_mean_var=False)), (3, 2, 4, 4), (2,), (2,)),
    row("LayerNorm of rows", lambda *arrays: nd.LayerNorm(*arrays, eps=0.1), (3, 5), (5,), (5,)),
    row("LayerNorm", lambda *arrays: nd.LayerNorm(*arrays, axis=0, output_mean_var=True), (3, 2), (3,), (3,)),
    row("GroupNorm", lambda *arrays: nd.GroupNorm(*arrays, num_groups=2, output_mean_var=True), (2, 4, 2), (2,), (2,)),
    row("Dropout", trained(nd.Dropout), (4, 3)),
    row("Dropout of rows", trained(lambda x: nd.Dropout(x, axes=(1,), mode="always")), (6, 2)),
    row("LeakyReLU", trained(lambda x: nd.LeakyReLU(x, act_type="rrelu")), (4, 3)),
    row("shuffle", trained(nd.shuffle), (4, 2)),
    row(
        "sample_multinomial", trained(lambda p: nd.sample_multinomial(p, shape=5, get_prob=True)[1]), lambda g: g.uniform(0.2, 0.4, (2, 3))
    ),
]

# --- recurrent networks ---

GATES = {"rnn_relu": 1, "rnn_tanh": 1, "lstm": 4, "gru": 3}
TIMES, BATCH, SIZE = 2, 2, 2


def recurrent(name: str, mode: str, layers: int = 1, directions: int = 1, lengths: Any = None, outputs: int = SIZE, **more: Any) -> Row:
    """A network with all its outputs and states. Its arrays are data, parameters and states."""
    rows = [columns for layer in range(layers) for columns in [SIZE if layer == 0 else directions * outputs] * directions]
    count = sum(GATES[mode] * SIZE * (columns + outputs + 2) + ("projection_size" in more) * outputs * SIZE for columns in rows)
    states = [(layers * directions, BATCH, outputs), (layers * directions, BATCH, SIZE)][: 1 + (mode == "lstm")]
    attributes = {"state_size": SIZE, "num_layers": layers, "mode": mode, "bidirectional": directions == 2, "state_outputs": True, **more}

    def function(*arrays: NDArray) -> Any:
        given = arrays if lengths is None else (*arrays, like(arrays[0], lengths))
        return nd.RNN(*given, **attributes, use_sequence_length=lengths is not None)

    return row(f"RNN: {name}", trained(function), (TIMES, BATCH, SIZE), (count,), *states)


NETWORKS = [
    *(recurrent(mode, mode) for mode in GATES),
    recurrent("layers in two directions with dropout", "gru", 2, 2, p=0.5),
    recurrent("two directions with lengths", "lstm", 1, 2, [2, 1]),
    recurrent("an LSTM with bounds, a projection and lengths", "lstm", 1, 2, [2, 1], 1, projection_size=1, lstm_state_clip_min=-0.3),
]

# --- several results, lists of arrays, functions of functions ---


class Product(mx.operator.CustomOp):
    """With a gradient of its own, as `Cube` has one, of two arrays."""

    def forward(self, is_train: Any, req: Any, in_data: Any, out_data: Any, aux: Any) -> None:
        self.assign(out_data[0], req[0], in_data[0] * in_data[1])

    def backward(self, req: Any, out_grad: Any, in_data: Any, out_data: Any, in_grad: Any, aux: Any) -> None:
        for i in range(2):
            self.assign(in_grad[i], req[i], out_grad[0] * in_data[1 - i])


@mx.operator.register("test_second_derivatives")
class ProductProp(mx.operator.CustomOpProp):
    def list_arguments(self) -> list[str]:
        return ["left", "right"]

    def create_operator(self, ctx: Any, in_shapes: Any, in_dtypes: Any) -> Product:
        return Product()


def regular(*shape: int) -> Callable[[np.random.Generator], Array]:
    """Matrices whose diagonal outweighs the rest, with eigenvalues far from each other."""
    return lambda generator: generator.uniform(-0.3, 0.3, shape) + np.diag([1.5, 2.5, 4])


def through(op: str, **attributes: Any) -> Callable[..., Any]:
    """The operator itself, on arrays."""

    def call(*arrays: NDArray) -> Any:
        found = registry[op](*(x.value for x in arrays), **attributes)
        return [NDArray(x, arrays[0].context) for x in found] if isinstance(found, (list, tuple)) else NDArray(found, arrays[0].context)

    return call


def looped(x: NDArray, w: NDArray) -> Any:
    return contrib.while_loop(lambda p, i: i < 2, lambda p, i: (p, [p * x * w, i + 1]), [x, like(x, [0])], max_iterations=3)[0]


def chosen(x: NDArray) -> Any:
    return contrib.cond(x[0] > -9, lambda: x * x * x, lambda: x)


MATRICES = regular(2, 3, 3)
SEVERAL = [
    row("Custom", lambda x, y: nd.Custom(x, y, op_type="test_second_derivatives"), (3,), (3,)),
    row("Function", lambda x: Cube()(x), (3,)),
    row("contrib.foreach", lambda x, w: contrib.foreach(lambda r, s: (r * w * s, r * s), x, w)[0], (3, 2), (2,)),
    row("contrib.while_loop", looped, (1,), (1,)),
    row("contrib.cond", chosen, (3,)),
    row("concatenate", lambda *arrays: nd.concatenate(list(arrays), axis=1), (2, 3), (2, 1)),
    row("cut", lambda x: [part * w for part, w in zip(through("cut", axis=1, sizes=(2, 0, 3))(x), (1, 0, 3), strict=True)][::2], (2, 5, 3)),
    row("moments", lambda x: nd.moments(x, axes=1), (3, 4)),
    row("moments of all", nd.moments, (3, 4)),
    row("split", lambda x: nd.split(x, num_outputs=3, squeeze_axis=True), (2, 3)),
    row("split_v2", lambda x: nd.split_v2(x, (1, 4), axis=1), (2, 5)),
    row("topk", lambda x: nd.topk(x * 4, k=2, ret_typ="both")[0], (2, 5)),
    row("linalg_potrf", lambda x: linalg.potrf(linalg.syrk(x) + nd.ones_like(x)), MATRICES),
    row("linalg_potrf of the upper triangle", lambda x: linalg.potrf(linalg.syrk(x), lower=False), MATRICES),
    row("linalg_potri", linalg.potri, MATRICES),
    row("linalg_trsm", lambda x, b: linalg.trsm(x, b, alpha=2), MATRICES, (2, 3, 2)),
    row(
        "linalg_trsm of an upper triangle",
        lambda x, b: linalg.trsm(x, b, rightside=True, lower=False, transpose=True),
        MATRICES,
        (2, 2, 3),
    ),
    row("linalg_gelqf", lambda x: linalg.gelqf(nd.concat(x, nd.sin(x), dim=2)), MATRICES),
    row("linalg_syevd", lambda x: linalg.syevd(x + nd.swapaxes(x, 1, 2)), MATRICES),
    row("linalg_inverse", linalg.inverse, MATRICES),
    row("linalg_det", linalg.det, MATRICES),
    row("linalg_slogdet", lambda x: linalg.slogdet(x)[1], MATRICES),
    row("multi_sum_sq", nd.multi_sum_sq, (3, 2), (2,), single=True),
]

# --- MXNet's rules, and arrays as Python has them ---

HALVES = {"kernel": (2,), "stride": (2,), "num_filter": 2, "layout": "NWC"}


def lengths(name: str) -> Callable[..., Any]:
    """Of a line that counts, one that counts in part, and one that does not."""
    return lambda x: getattr(nd, name)(x, like(x, [3, 1, 0]), axis=0, use_length=True, temperature=0.5)


def written(x: NDArray, y: NDArray) -> NDArray:
    z = x * x
    z[1:, 0] = y
    z[[0, 2], 1] = y * 2
    z += x
    return z


CONVENTIONAL = [
    row("Convolution, channels last", lambda *xs: nd.Convolution(*xs, **HALVES, no_bias=True), (1, 4, 2), (2, 2, 2)),
    row("Deconvolution, channels last", lambda *xs: nd.Deconvolution(*xs, **HALVES), (1, 3, 2), (2, 2, 2)),
    row("Pooling, channels last", lambda x: nd.Pooling(x, kernel=(2,), pool_type="avg", layout="NWC"), (1, 4, 2)),
    row("softmax of lengths", lengths("softmax"), (3, 3)),
    row("log_softmax of lengths", lengths("log_softmax"), (3, 3)),
    row("softmin", lambda x: nd.softmin(x, temperature=2), (2, 3)),
    row("softmax as float32", lambda x: nd.softmax(x, dtype="float32"), (2, 3), single=True),
    row("norm as float32", lambda x: nd.norm(x + 2, axis=1, out_dtype="float32"), (2, 3), single=True),
    *(row(name, lambda x, name=name: getattr(nd, name)(x * 2, axis=1, exclude=True), (2, 3)) for name in ("sum", "mean", "prod")),
    *(row(name, lambda x, name=name: getattr(nd, name)(x * 8, axis=1, exclude=True), (2, 3)) for name in ("max", "min")),
    *(row(name, lambda x, name=name: getattr(nd, name)(x, axis=1, exclude=True), (2, 3)) for name in ("nansum", "nanprod")),
    row("reshape", lambda x: nd.reshape(x * x, shape=(0, -3), reverse=True), (2, 3, 2)),
    row("slice", lambda x: nd.slice(x, begin=(None, 2), end=(2, None), step=(1, -1)), (3, 4)),
    row("where", lambda x, y: nd.where(like(x, [1, 0]), x, y), (2, 3), (2, 3)),
    row("CTCLoss", lambda x: nd.CTCLoss(x, like(x, [[1, 2]]), like(x, [3]), use_data_lengths=True), (4, 1, 3)),
    row("cast", lambda x: x.astype("float32"), (3,), single=True),
    row("transfer", lambda x: through("transfer", device=x.context.device, source=x.context.device)(x), (3,)),
    row("raised", lambda x: [x**3, x**2, (x + 3) ** -1, (x + 3) ** 0.5, 2**x, nd.power(x + 3, -1.5)], (3,)),
    row("NDArray, read by indices", lambda x: [x[[0, 1, 1], 1:], x[:, None, -1], x.T[1]], (2, 3)),
    row("NDArray, written to", written, (3, 2), (2,)),
    row("NDArray, written to by a slice", lambda x, y: (x * 1).slice_assign(y * y, (0, 1), (2, 2)), (2, 3), (2, 1)),
    row("NDArray, copied", lambda x: [x.copy(), x.as_in_context(x.context), nd.identity(x)], (3,)),
]

ROWS = [*LAYERS, *NETWORKS, *SEVERAL, *CONVENTIONAL]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_second_derivatives(row: Row, seeded: int) -> None:
    generator = np.random.default_rng(seeded)
    arrays = [each(generator) if callable(each) else generator.uniform(-1, 1, each) for each in row.drawn]

    def squares(arguments: Sequence[NDArray]) -> list[NDArray]:
        found = row.function(*arguments)
        return [x * x for x in (found if isinstance(found, (list, tuple)) else [found])]

    for context in CONTEXTS:
        if not (context.device.traits.fp64 or row.single):
            continue  # the steps of differences in float32 reach over jumps and kinks
        with engine.eager(True):  # an operator, a kernel: so that the rows share them
            check_gradients(squares, arrays, context, context.device, 2, generator, single=row.single)


# --- that none is left out ---

# Operators that others are made of, by which they are checked.
PARTS = {
    "Convolution": ["convolve", "convolve_images", "convolve_weights"],
    "Pooling": ["pooled_max", "pooled_picks", "pooled_sum", "unpooled", "unpooled_sum"],
    "pick": ["unpicked"],
    "pad": ["padded", "padded_back"],
    "BilinearResize2D": ["resized", "resized_back"],
    "Correlation": ["correlation", "correlation_slope"],
    "Dropout": ["dropout"],
    "BatchNorm": ["batch_norm"],
    "LayerNorm": ["normalized", "normalized_back"],
    "softmax": ["softmax_back"],
    "log_softmax": ["log_softmax_back"],
    "linalg_extracttrian": ["packed_triangle"],
    "linalg_maketrian": ["unpacked_triangle"],
    "linalg_potrf": ["cholesky"],
    "linalg_trsm": ["triangular_solve"],
    "linalg_inverse": ["matrix_inverse"],
    "linalg_det": ["determinant"],
    "linalg_slogdet": ["determinant_sign_and_logarithm"],
    "linalg_gelqf": ["lq_factors"],
    "linalg_syevd": ["symmetric_eigen"],
}
# Arrays that no gradient flows to, or not that of the result; (operator, array), or the operator if it is all of its arrays.
WITHOUT: dict[str, list[Any]] = {
    "positions, lengths, masks, labels": [
        *[("batch_take", "indices"), ("fill_element_0index", "rhs"), ("Embedding", "data"), ("boolean_mask", "index")],
        *[
            ("gather_nd", "indices"),
            ("scatter_nd", "indices"),
            ("index_copy", "index_vector"),
            ("ROIPooling", "rois"),
            ("ROIAlign", "rois"),
        ],
        *[("SequenceMask", "sequence_length"), ("SequenceLast", "sequence_length"), ("SequenceReverse", "sequence_length")],
        *[("CTCLoss", "label"), ("CTCLoss", "data_lengths"), ("CTCLoss", "label_lengths"), ("softmax_cross_entropy", "label")],
    ],
    "counts": [(f"random_pdf_{name}", "sample") for name in ("poisson", "negative_binomial", "generalized_negative_binomial")],
    "an array for its shape": ["arange_like", ("BilinearResize2D", "like"), "zeros_like", "ones_like"],
    "results that are whole numbers or booleans": [
        *["argsort", "argmax_channel", "all_finite", "multi_all_finite", "allclose", "histogram", "one_hot"],
        *["ravel_multi_index", "unravel_index"],
    ],
    "losses with a gradient of their own, in test_losses.py": [
        *["with_gradient", "SoftmaxOutput", "LinearRegressionOutput", "LogisticRegressionOutput", "MAERegressionOutput"],
        *["SVMOutput", "MakeLoss", "make_loss"],
    ],
}
# Functions of `mx.nd` and its namespaces that stand for no operator, beside the rows.
PLAIN = {
    "made of numbers": ["arange", "array", "empty", "eye", "full", "linspace", "onehot_encode", "ones", "zeros"],
    "read or written": ["from_dlpack", "from_numpy", "load", "load_frombuffer", "save", "to_dlpack_for_read", "to_dlpack_for_write"],
    "namespaces": ["NDArray", "contrib", "linalg", "random", "waitall"],
}
# Parameters of MXNet's that do nothing, say which arrays follow or what dtype is wanted, or are other names.
NEUTRAL = {"cudnn_off", "cudnn_tune", "workspace", "forward_stype", "sparse_grad", "dtype", "ctx", "num_arrays", "init_output", "out"}
NEUTRAL |= {"lhs", "rhs", "base", "exp"}


def by_tables() -> set[tuple[str, str]]:
    """The operators, with their arrays, whose derivatives are checked as elements or by cases."""
    found = {(op.name, name) for op in registry.values() if isinstance(op, Elementwise) for name in op.names}
    for case in CASES:
        moved = [i for i in case.moved if np.prod(case.shapes[i])]
        found.update((case.operator, case.op.names[0 if case.op.variadic else i]) for i in moved)
    return found


def by_rows() -> set[str]:
    return {row.name.split(" ")[0].rstrip(":,") for row in ROWS}


def test_every_rule_of_every_operator_is_checked() -> None:
    without = {each for some in WITHOUT.values() for each in some}
    parts = {part: whole for whole, some in PARTS.items() for part in some}
    tables, rows = by_tables(), by_rows()
    unchecked = {
        (op.name, name)
        for op in registry.values()
        for i, name in enumerate(op.names)
        if (isinstance(op, Composed) or (i < len(op.rules) and op.rules[i] is not zero)) and (op.name, name) not in tables
    }
    listed = {pair for pair in unchecked if pair[0] in rows | parts.keys() or {pair, pair[0]} & without}
    assert sorted(unchecked - listed) == [], "no second derivative by these arrays is checked"
    needless = {each for each in without if each not in unchecked and each not in {name for name, _ in unchecked}}
    assert sorted(map(str, needless)) == [], "a table checks these"
    assert sorted(set(parts.values()) - rows - {name for name, _ in tables}) == [], "nothing checks these, of which others are parts"


def test_every_function_of_nd_is_checked() -> None:
    known = by_rows() | {name for some in PLAIN.values() for name in some}
    known |= {name for op in registry for name in (op, *names_in_nd(op), op.replace("linalg_", "linalg."), f"contrib.{op}")}
    random = {f"{prefix}{name}" for prefix in ("random.", "random_", "") for name in nd.random.__all__}  # constants, says test_random.py
    spaces = {"": nd.__all__, "contrib.": contrib.__all__, "linalg.": linalg.__all__}
    names = {f"{space}{name}" for space, some in spaces.items() for name in some}
    steps = {name for name in names if "_update" in name or name == "multi_lars"}  # of optimisers, which write and record nothing
    assert sorted(names - known - random - steps) == [], "no second derivative of these is checked"


def test_every_rule_of_mxnet_is_checked() -> None:
    """Those that take more than their operators do."""
    unchecked = []
    for name, function in CONVENTIONS.items():
        op = registry.get(name)
        more = set(signature(function).parameters) - NEUTRAL - set(op.names if op else ()) - set(op.attributes if op else ())
        if more and not by_rows() & {name, *names_in_nd(name)}:
            unchecked.append((name, more))
    assert unchecked == []
