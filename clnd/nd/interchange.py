"""Arrays from other libraries, and for them: NumPy arrays and DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np

from clnd import engine
from clnd.context import current_context
from clnd.engine import dtypes
from clnd.errors import DTypeError, MXNetError, guarded
from clnd.ndarray import NDArray

__all__ = ["from_dlpack", "from_numpy", "to_dlpack_for_read", "to_dlpack_for_write"]


@guarded
def from_numpy(ndarray: np.ndarray[Any, Any], zero_copy: bool = True, array_cls: type[NDArray] = NDArray) -> NDArray:
    """An array with the elements of a NumPy array, of the same dtype, on the current context.

    They are copied in any case, so that either can be written without a change to the other; `zero_copy` changes nothing.

    Raises
    ------
    TypeError
        If it is no NumPy array, or of a dtype that there is none of here.

    Examples
    --------
    >>> import numpy as np
    >>> from clnd import nd
    >>> nd.from_numpy(np.array([1, 2], "int8")).asnumpy()
    array([1, 2], dtype=int8)
    """
    if not isinstance(ndarray, np.ndarray):
        raise DTypeError(f"from_numpy takes a NumPy array, not {type(ndarray).__name__}; nd.array takes lists and numbers")
    dtype, context = dtypes.as_dtype(ndarray.dtype.newbyteorder("="), "from_numpy: "), current_context()
    return array_cls(engine.from_numpy(ndarray.astype(dtype, copy=False), context.device), context)


class _Capsule:
    """A capsule as an object of the protocol that NumPy takes."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **given: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # what else there may be the capsule itself tells


def from_dlpack(dlpack: Any) -> NDArray:
    """An array with the elements of another library's array in the host's memory, on the current context. They are copied.

    Parameters
    ----------
    dlpack
        An array with the method `__dlpack__`, or a DLPack capsule, which is used up.

    Raises
    ------
    MXNetError
        If it cannot be read: the elements are not in the host's memory, or of a dtype that there is none of here.

    Examples
    --------
    >>> import numpy as np
    >>> from clnd import nd
    >>> nd.from_dlpack(np.array([1.5, 2])).asnumpy()
    array([1.5, 2. ])
    """
    if isinstance(dlpack, np.ndarray):  # NumPy before 2.1 hands out no arrays that must not be written
        return from_numpy(dlpack)
    try:
        array = np.from_dlpack(dlpack if hasattr(dlpack, "__dlpack__") else _Capsule(dlpack))
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
        raise MXNetError(f"from_dlpack: a {type(dlpack).__name__} cannot be read: {error}") from error
    return from_numpy(array)


def to_dlpack_for_read(data: NDArray) -> Any:
    """The elements as a DLPack capsule that must not be written. See `NDArray.__dlpack__`.

    Examples
    --------
    >>> from clnd import nd
    >>> nd.from_dlpack(nd.to_dlpack_for_read(nd.array([1, 2]))).asnumpy()
    array([1., 2.], dtype=float32)
    """
    return data.to_dlpack_for_read()


def to_dlpack_for_write(data: NDArray) -> Any:
    """The elements as a DLPack capsule, through which they can be written. See `NDArray.to_dlpack_for_write`.

    Examples
    --------
    >>> from clnd import nd
    >>> nd.from_dlpack(nd.to_dlpack_for_write(nd.array([1, 2]))).asnumpy()
    array([1., 2.], dtype=float32)
    """
    return data.to_dlpack_for_write()
