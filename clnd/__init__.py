"""clnd: n-dimensional arrays and automatic differentiation on any OpenCL device, with MXNet's imperative interface.

>>> import clnd as mx
>>> from clnd import nd, autograd
>>> x = nd.array([[1, 2], [3, 4]])
>>> x.attach_grad()
>>> with autograd.record():
...     z = x * 2 * x
>>> z.backward()
>>> x.grad
<BLANKLINE>
[[ 4.  8.]
 [12. 16.]]
<NDArray 2x2 @cpu(0)>
"""

from . import autograd, context, nd, operator, profiler, random
from . import nd as ndarray
from .account import memory_summary
from .capture import capture
from .context import Context, cpu, cpu_pinned, current_context, gpu, gpu_memory_info, num_gpus
from .errors import MXNetError, missing_name

__version__ = "0.1.0"

__all__ = [
    "Context",
    "MXNetError",
    "autograd",
    "capture",
    "context",
    "cpu",
    "cpu_pinned",
    "current_context",
    "gpu",
    "gpu_memory_info",
    "memory_summary",
    "nd",
    "ndarray",
    "num_gpus",
    "operator",
    "profiler",
    "random",
]


def __getattr__(name: str) -> object:
    raise missing_name("clnd", name)
