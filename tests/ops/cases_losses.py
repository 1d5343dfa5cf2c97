"""Cases of CTC, sequences and attention. What has a gradient of its own is tested in test_losses.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from ops.case import Case, cases, indices, magnitudes
from ops.table import FLOATS, Array

# --- connectionist temporal classification ---


def ctc_paths(emissions: Array, skips: Array) -> Array:
    """Sums of probabilities, state after state."""
    found = np.full_like(emissions, -np.inf)
    found[0, :, :2] = emissions[0, :, :2]
    for t in range(1, len(emissions)):
        for n, s in np.ndindex(*emissions.shape[1:]):
            before = [found[t - 1, n, s - k] for k in range(3) if k <= s and (k < 2 or skips[n, s])]
            found[t, n, s] = np.log(np.sum(np.exp(before))) + emissions[t, n, s]
    return found


def ctc_flow(data: Array, weights: Array, backwards: bool) -> Array:
    found = data.copy()
    times, _, states = data.shape
    for t in reversed(range(times)) if backwards else range(times):
        for s in range(states):
            for k in range(3):
                if backwards and t + 1 < times and s + k < states:
                    found[t, :, s] += weights[k, t + 1, :, s + k] * found[t + 1, :, s + k]
                elif not backwards and t and s >= k:
                    found[t, :, s] += weights[k, t, :, s] * found[t - 1, :, s - k]
    return found


def ctc_loss(data: Array, label: Array, data_lengths: Any = None, label_lengths: Any = None, blank_label: str = "first") -> Array:
    """The definition, as a dynamic programme for one sequence after another."""
    losses = []
    for n, labels in enumerate(label.astype(int)):
        probabilities = np.exp(data[:, n])
        probabilities = probabilities / probabilities.sum(1, keepdims=True)
        times = len(data) if data_lengths is None else int(data_lengths[n])
        blank, filling = (0, 0) if blank_label == "first" else (data.shape[2] - 1, -1)
        count = [*labels, filling].index(filling) if label_lengths is None else int(label_lengths[n])
        states = [blank]
        for c in labels[:count]:
            states += [int(c), blank]
        alpha = np.array([float(s < 2) for s in range(len(states))]) * probabilities[0, states]
        for t in range(1, times):
            before = alpha
            alpha = np.array(
                [
                    sum(before[s - k] for k in range(3) if k <= s and (k < 2 or (states[s] != blank and states[s] != states[s - 2])))
                    for s in range(len(states))
                ]
            )
            alpha = alpha * probabilities[t, states]
        total = sum(alpha[-2:]) if times else 0
        losses.append(-np.log(total) if total else 0.0)
    return np.array(losses, data.dtype)


def some(numbers: Any) -> Any:
    """Draws nothing: these."""
    return lambda generator, shape: np.array(numbers, np.float32)


CTC = [
    *cases(
        "ctc_paths",
        [(((4, 2, 2), (2, 2)), {}), (((3, 1, 1), (1, 1)), {})],
        numpy=ctc_paths,
        dtypes=("float32", "float64"),
        rounded=24,
        terms=lambda emissions, skips: 1 + abs(ctc_paths(emissions, skips)),
        draw={1: indices(0, 2, "bool")},
    ),
    Case(
        "ctc_paths",
        ((6, 3, 7), (3, 7)),
        numpy=ctc_paths,
        dtypes=("float32",),
        rounded=32,
        terms=lambda emissions, skips: 6 + abs(ctc_paths(emissions, skips)),
        draw={1: indices(0, 2, "bool")},
        gradient=False,  # it has states that no path is in
    ),
    *cases(
        "ctc_flow",
        [(((4, 2, 5), (3, 4, 2, 5)), {"backwards": False}), (((4, 2, 5), (3, 4, 2, 5)), {"backwards": True})],
        numpy=ctc_flow,
        dtypes=("float32", "float64"),
        rounded=24,
        terms=magnitudes(ctc_flow),
    ),
    *cases(
        "CTCLoss",
        [
            (((6, 4, 4), (4, 3)), {}),
            (((1, 1, 2), (1, 1)), {}),
            (((3, 2, 3), (2, 0)), {}),
        ],
        numpy=ctc_loss,
        dtypes=FLOATS,
        rounded=64,
        draw={1: lambda generator, shape: np.array([[1, 1, 2], [3, 0, 0], [0, 0, 0], [1, 2, 3]], np.float32)[: shape[0], : shape[1]]},
    ),
    Case(
        "CTCLoss",
        ((6, 5, 4), (5, 3), (5,), (5,)),
        {"blank_label": "last"},
        numpy=ctc_loss,
        dtypes=("float32",),
        rounded=64,
        # With as many times as there must be, one too few for a repetition, none at all, and no label.
        draw={1: some([[0, 1, 2], [0, 0, 2], [0, 0, 1], [2, -1, -1], [1, 0, 2]]), 2: some([6, 3, 2, 0, 4]), 3: some([3, 2, 2, 1, 0])},
    ),
]

# --- sequences ---


def lasting(shape: Any, lengths: Array, axis: int) -> Array:
    """Where the sequences have not ended."""
    count = np.arange(shape[axis])
    found = count[:, None] < lengths if axis == 0 else count < lengths[:, None]
    return found.reshape(found.shape + (1,) * (len(shape) - 2))


def sequence_mask(data: Array, lengths: Any = None, use_sequence_length: bool = False, value: float = 0, axis: int = 0) -> Array:
    return np.where(lasting(data.shape, lengths, axis), data, np.asarray(value, data.dtype)) if use_sequence_length else data


def sequence_last(data: Array, lengths: Any = None, use_sequence_length: bool = False, axis: int = 0) -> Array:
    moved = np.moveaxis(data, axis, 0)
    last = np.clip(lengths.astype(int) - 1, 0, len(moved) - 1) if use_sequence_length else np.full(moved.shape[1], -1)
    return moved[last, np.arange(moved.shape[1])]


def turned_sequences(data: Array, lengths: Array, axis: int) -> Array:
    found = np.moveaxis(data.copy(), axis, 0)
    for n, length in enumerate(lengths.astype(int)):
        found[: max(0, length), n] = found[: max(0, length), n][::-1].copy()
    return np.moveaxis(found, 0, axis)


def sequence_reverse(data: Array, lengths: Any = None, use_sequence_length: bool = False, axis: int = 0) -> Array:
    return turned_sequences(data, lengths, axis) if use_sequence_length else np.flip(data, axis)


USED = {"use_sequence_length": True}
SEQUENCES = [
    case
    for name, oracle, more in (
        ("SequenceMask", sequence_mask, {"value": 1}),
        ("SequenceLast", sequence_last, {}),
        ("SequenceReverse", sequence_reverse, {}),
    )
    for case in cases(
        name,
        [
            (((4, 3, 2), (3,)), {**USED, **more}),
            (((3, 4), (3,)), {**USED, **more, "axis": 1}),
            (((4, 3),), {"axis": 1}),
            (((4, 0, 2), (0,)), {**USED}),
        ],
        numpy=oracle,
        draw={1: indices(-1, 7, "float32")},
    )
] + cases("turned_sequences", [(((4, 3, 2), (3,)), {"axis": 0})], numpy=turned_sequences, draw={1: indices(0, 5, "int64")})

# --- attention ---


def three(data: Array, heads: int) -> list[Array]:
    """Queries, keys and values: (batch, head, time, size)."""
    return [data.reshape(*data.shape[:2], heads, 3, -1)[:, :, :, i].transpose(1, 2, 0, 3) for i in range(3)]


def scores(data: Array, heads: int) -> Array:
    queries, keys, _ = three(data, heads)
    found = queries @ np.swapaxes(keys, 2, 3) / np.sqrt(queries.shape[3])
    return found.reshape(-1, len(data), len(data))


def weighted(data: Array, attention: Array, heads: int) -> Array:
    values = three(data, heads)[2]
    found = attention.reshape(*values.shape[:2], len(data), len(data)) @ values
    return found.transpose(2, 0, 1, 3).reshape(*data.shape[:2], -1)


def arange_like(data: Array, start: float = 0, step: float = 1, repeat: int = 1, axis: int | None = None) -> Array:
    count = data.size if axis is None else data.shape[axis]
    return (start + step * (np.arange(count) // repeat)).reshape(data.shape if axis is None else (count,)).astype(data.dtype)


ATTENTION = [
    *cases(
        "interleaved_matmul_selfatt_qk",
        [(((4, 2, 18),), {"heads": 3})],
        numpy=scores,
        dtypes=FLOATS,
        rounded=8,
        halves=3,  # two of the scaled queries, and one of the sum
        terms=magnitudes(scores),
    ),
    *cases(
        "interleaved_matmul_selfatt_valatt",
        [(((4, 2, 18), (6, 4, 4)), {"heads": 3})],
        numpy=weighted,
        dtypes=FLOATS,
        rounded=8,
        terms=magnitudes(weighted),
    ),
    *cases(
        "arange_like",
        [
            (((2, 3),), {}),
            (((2, 3),), {"axis": 1, "start": 3, "step": 0.5}),
            (((2, 3),), {"repeat": 4}),
            (((5, 3),), {"axis": 0, "repeat": 2}),
        ],
        numpy=arange_like,
        dtypes=(*FLOATS, "int32"),
        gradient=False,
    ),
]

CASES = [*CTC, *SEQUENCES, *ATTENTION]

ELSEWHERE = {
    "LinearRegressionOutput": "test_losses.py: its gradient is its own",
    "LogisticRegressionOutput": "test_losses.py: its gradient is its own",
    "MAERegressionOutput": "test_losses.py: its gradient is its own",
    "MakeLoss": "test_losses.py: its gradient is its own",
    "RNN": "test_recurrent.py: it gives several arrays",
    "SVMOutput": "test_losses.py: its gradient is its own",
    "SoftmaxOutput": "test_losses.py: its gradient is its own",
    "cut": "test_recurrent.py: it gives several arrays",
    "recurrent_layer": "test_recurrent.py: it gives several arrays",
    "make_loss": "test_losses.py: its gradient is its own",
    "with_gradient": "test_losses.py, by those that use it",
}
