"""Recurrent networks."""

from __future__ import annotations

from typing import Any

from clnd.engine import Value
from clnd.errors import DTypeError
from clnd.ops import Operator

from .declare import Convention, convention


@convention("RNN")
def recurrent(op: Operator) -> Convention:
    """The mode and `use_sequence_length` say which arrays follow the state, one after another."""

    def function(
        data: Value,
        parameters: Value,
        state: Value,
        state_cell: Value | None = None,
        sequence_length: Value | None = None,
        *,
        state_size: int,
        num_layers: int,
        bidirectional: Any = False,
        mode: str,
        p: float = 0.0,
        state_outputs: Any = False,
        projection_size: Any = None,
        lstm_state_clip_min: Any = None,
        lstm_state_clip_max: Any = None,
        lstm_state_clip_nan: Any = False,
        use_sequence_length: Any = False,
        generator: Any = None,
    ) -> Any:
        given = [x for x in (state_cell, sequence_length) if x is not None]
        wanted = mode == "lstm", bool(use_sequence_length)
        if len(given) != sum(wanted):
            raise DTypeError(
                f"RNN: with mode {mode} and use_sequence_length {bool(use_sequence_length)} {sum(wanted)} array(s) follow the state, "
                f"not {len(given)}"
            )
        more = [given.pop(0) if use else None for use in wanted]
        return op(
            data,
            parameters,
            state,
            *more,
            state_size=state_size,
            num_layers=num_layers,
            mode=mode,
            bidirectional=bool(bidirectional),
            p=float(p),
            state_outputs=bool(state_outputs),
            projection_size=projection_size,
            lstm_state_clip_min=lstm_state_clip_min,
            lstm_state_clip_max=lstm_state_clip_max,
            lstm_state_clip_nan=bool(lstm_state_clip_nan),
            generator=generator,
        )

    return function
