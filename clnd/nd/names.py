"""MXNet's names: which operators have other or further names in `mx.nd` than in the table of operators."""

from __future__ import annotations

# Operators that MXNet knows under these names only.
RENAMED: dict[str, tuple[str, ...]] = {
    "less": ("lesser", "broadcast_lesser"),
    "less_equal": ("lesser_equal", "broadcast_lesser_equal"),
    "hypot": ("broadcast_hypot",),
    "window": ("slice", "crop"),
}

# Further names of operators.
ALIASES: dict[str, tuple[str, ...]] = {
    "add": ("broadcast_add", "broadcast_plus", "elemwise_add"),
    "subtract": ("broadcast_sub", "broadcast_minus", "elemwise_sub"),
    "multiply": ("broadcast_mul", "elemwise_mul"),
    "divide": ("broadcast_div", "elemwise_div", "true_divide"),
    "modulo": ("broadcast_mod",),
    "power": ("broadcast_power",),
    "maximum": ("broadcast_maximum",),
    "minimum": ("broadcast_minimum",),
    "equal": ("broadcast_equal",),
    "not_equal": ("broadcast_not_equal",),
    "greater": ("broadcast_greater",),
    "greater_equal": ("broadcast_greater_equal",),
    "logical_and": ("broadcast_logical_and",),
    "logical_or": ("broadcast_logical_or",),
    "logical_xor": ("broadcast_logical_xor",),
    "cast": ("Cast",),
    "reshape": ("Reshape",),
    "flatten": ("Flatten",),
    "concat": ("Concat",),
    "split": ("SliceChannel",),
    "swapaxes": ("SwapAxis",),
    "stop_gradient": ("BlockGrad",),
    "alias": ("identity",),
    "sum": ("sum_axis",),
    "max": ("max_axis",),
    "min": ("min_axis",),
    "flip": ("reverse",),
    "pad": ("Pad",),
    "broadcast_axis": ("broadcast_axes",),
    "SoftmaxOutput": ("Softmax",),
    "CTCLoss": ("ctc_loss",),
    "add_n": ("ElementWiseSum",),
    "pick": ("choose_element_0index",),
}

# What a function's arrays are called, where that is not as in the operator's declaration.
PARAMETERS: dict[str, tuple[str, ...]] = {"power": ("base", "exp")}

# Operators that only gradients and arrays themselves use.
HIDDEN = {
    "matmul",
    "add_at",
    "batch_norm",
    "cube",
    "convolve",
    "convolve_images",
    "convolve_weights",
    "dropout",
    "leaky_relu",
    "pooled_first",
    "pooled_max",
    "pooled_picks",
    "pooled_sum",
    "unpicked",
    "unpooled",
    "unpooled_sum",
    "counts",
    "random_bits",
    "permutation",
    "first_places",
    "sorted_places",
    "take_places",
    "put_places",
    "put",
    "full",
    "arange",
    "assign",
    "transfer",
    "raised",
    "truncated_divide",
    "alias",
    "softrelu",
    "digamma",
    "polygamma",
    "cholesky",
    "triangular_solve",
    "matrix_inverse",
    "determinant",
    "determinant_sign_and_logarithm",
    "lq_factors",
    "symmetric_eigen",
    "packed_triangle",
    "unpacked_triangle",
    "cut",
    "normalized",
    "normalized_back",
    "softmax_back",
    "log_softmax_back",
    "recurrent_layer",
    "with_gradient",
    "turned_sequences",
    "ctc_flow",
    "ctc_paths",
    "correlation",
    "correlation_back",
    "correlation_slope",
    "resample",
    "resample_back",
    "resample_weights",
    "fourier",
    "nms_order",
    "roi_places",
}

# Operators of `mx.nd.contrib`.
CONTRIB = {
    "arange_like",
    "interleaved_matmul_selfatt_qk",
    "interleaved_matmul_selfatt_valatt",
    "allclose",
    "AdaptiveAvgPooling2D",
    "BilinearResize2D",
    "ROIAlign",
    "box_iou",
    "box_nms",
    "fft",
    "ifft",
    "boolean_mask",
    "div_sqrt_dim",
    "index_copy",
    "isfinite",
    "isinf",
    "isnan",
}


def names_in_nd(operator: str) -> tuple[str, ...]:
    """What an operator is called in `mx.nd`."""
    own = () if operator in HIDDEN or operator in CONTRIB else (operator,)
    return RENAMED.get(operator, own) + ALIASES.get(operator, ())
