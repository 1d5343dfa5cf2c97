"""Losses."""

from __future__ import annotations

from typing import Any

from clnd.engine import Value
from clnd.errors import DTypeError
from clnd.ops import Operator

from .declare import Convention, convention


@convention("CTCLoss")
def ctc_loss(op: Operator) -> Convention:
    """`use_data_lengths` and `use_label_lengths` say which arrays follow the labels, one after another."""

    def function(
        data: Value,
        label: Value,
        data_lengths: Value | None = None,
        label_lengths: Value | None = None,
        *,
        use_data_lengths: Any = False,
        use_label_lengths: Any = False,
        blank_label: str = "first",
    ) -> Any:
        given = [x for x in (data_lengths, label_lengths) if x is not None]
        wanted = bool(use_data_lengths), bool(use_label_lengths)
        if len(given) != sum(wanted):
            raise DTypeError(
                f"{op.name}: use_data_lengths and use_label_lengths say that {sum(wanted)} array(s) of lengths follow, not {len(given)}"
            )
        lengths = [given.pop(0) if use else None for use in wanted]
        return op(data, label, *lengths, blank_label=blank_label)

    return function
