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
    "pick": ("choose_element_0index",),
}

# Operators that only gradients and arrays themselves use.
HIDDEN = {
    "matmul",
    "add_at",
    "random_bits",
    "permutation",
    "sorted_places",
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
}

# Operators of `mx.nd.contrib`.
CONTRIB = {
    "boolean_mask",
    "index_copy",
    "isfinite",
    "isinf",
    "isnan",
}


def names_in_nd(operator: str) -> tuple[str, ...]:
    """What an operator is called in `mx.nd`."""
    own = () if operator in HIDDEN or operator in CONTRIB else (operator,)
    return RENAMED.get(operator, own) + ALIASES.get(operator, ())
