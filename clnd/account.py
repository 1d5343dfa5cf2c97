"""What holds a device's memory: by the operator and the user's line that it was made for."""

from __future__ import annotations

from clnd import engine
from clnd.opencl import Holding, holdings

from .context import Context, current_context

__all__ = ["Holding", "holdings", "memory_summary"]


def memory_summary(context: Context | None = None, most: int = 20) -> str:
    """What holds a device's memory, as text: totals, and what the buffers in use were made for.

    Work that waits takes no memory, nor does what only kernels saw.

    Parameters
    ----------
    context : Context, optional
        By default the current one.
    most : int
        Lines to show.

    Examples
    --------
    >>> import clnd as mx
    >>> x = mx.nd.array([1, 2, 3])
    >>> text = mx.memory_summary()
    >>> "used" in text and "array" in text
    True
    """
    device = (context or current_context()).device
    engine.launch_due()
    pool, rows = device.memory, holdings(device)
    left, total = device.memory_info()
    lines = [
        f"Memory of {device}",
        *(
            f"{text:44}{number:>18,}"
            for text, number in (
                ("bytes used by arrays and kernels (in blocks)", pool.used),
                ("bytes free in the pool", pool.free),
                ("bytes held, used and free", pool.held),
                ("most bytes held so far", pool.peak),
                ("bytes left on the device or host", left),
                ("bytes of memory in all", total),
            )
        ),
        "",
        f"{'bytes':>16} {'buffers':>8}  made for",
        *(f"{row.nbytes:16,} {row.buffers:8,}  {row.made_for}" for row in rows[:most]),
    ]
    if len(rows) > most:
        lines.append(
            f"{sum(row.nbytes for row in rows[most:]):16,} {sum(row.buffers for row in rows[most:]):8,}  {len(rows) - most} others"
        )
    return "\n".join(lines)
