"""From fused terms to lines of OpenCL C. Everything is written for `lanes` elements at once: a vector type, or a scalar for one lane."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from .dtypes import INFO, DTypeInfo, bool_, float16


@dataclass(frozen=True, eq=False)
class Expression:
    """An elementwise operator at certain dtypes.

    Attributes
    ----------
    name : str
        The operator's.
    code : str
        OpenCL C over `names`. `T` stands for the type that the operands are computed in, `U` for the unsigned, `S` for the signed
        integer of its width; `convert_T`, `as_U` and the like work for vectors and scalars;
        `name_T(...)` calls a function of templates/functions.cl.mako. `a ? b : c` needs a comparison of `T`s as its `a`.
    names : tuple of str
        The operands' names in `code`.
    operands : tuple of dtype
        What each operand is converted to first.
    common : dtype
        The dtype that `T` stands for.
    result : dtype
    """

    name: str
    code: str
    names: tuple[str, ...]
    operands: tuple[np.dtype[Any], ...]
    common: np.dtype[Any]
    result: np.dtype[Any]

    @property
    def loops(self) -> bool:
        """Does this take many rounds of a loop for one element?"""
        return _LOOPS.search(self.code) is not None


_LOOPS = re.compile(r"\b(integer_power|gamma|gammaln|digamma|polygamma)_T\b")
_LIMITS = {  # the floats that convert to each integer type: above, below, and the one that stands for all others
    "int": ("-2147483648.0f", "2147483648.0f", "-2147483648.0f"),
    "long": ("-9223372036854775808.0f", "9223372036854775808.0f", "-9223372036854775808.0f"),
    "ulong": ("-1.0f", "18446744073709551616.0f", "9223372036854775808.0f"),
}
_VIA = {"char": "int", "uchar": "int", "int": "int", "uint": "long", "long": "long", "ulong": "ulong"}


def vector(scalar: str, lanes: int) -> str:
    """The type of `lanes` elements."""
    return scalar if lanes == 1 else f"{scalar}{lanes}"


def truth(code: str, lanes: int) -> str:
    """A comparison as 0 or 1: for vectors OpenCL gives 0 or -1."""
    uchar = vector("uchar", lanes)
    return f"(convert_{uchar}({code}) & ({uchar})(1))"


@cache
def cast(code: str, source: np.dtype[Any], target: np.dtype[Any], lanes: int) -> str:
    """`code`, computed as `source`, converted to `target`; defined for every value, NaN and the infinities included."""
    if source == target:
        return code
    given, wanted = INFO[source], INFO[target]
    if wanted.category == "bool":
        return truth(f"{code} != ({vector(given.compute, lanes)})(0)", lanes)
    if given.category == "float" and wanted.category in ("int", "uint"):
        via = _VIA[wanted.compute]
        whole = _float_to_integer(code, given, via, lanes)
        return whole if via == wanted.compute else f"convert_{vector(wanted.compute, lanes)}({whole})"
    if target == float16:
        # One rounding, from the widest: a double that went through float first would be rounded twice.
        inner = code if given.category == "float" else f"convert_{vector('float', lanes)}({code})"
        return f"round_half_{vector('double' if given.compute == 'double' else 'float', lanes)}({inner})"
    if (given.compute, wanted.compute) == ("int", "long"):
        return _widened(code, lanes)
    return code if given.compute == wanted.compute else f"convert_{vector(wanted.compute, lanes)}({code})"


def _widened(code: str, lanes: int) -> str:
    """An int as a long. What `convert_long` gives, Mesa 22.3 compares with constants wrongly (-1 >= 0), but not these shifts."""
    uint, ulong, long = (vector(kind, lanes) for kind in ("uint", "ulong", "long"))
    return f"(as_{long}(convert_{ulong}(as_{uint}({code})) << 32) >> 32)"


def _float_to_integer(code: str, given: DTypeInfo, via: str, lanes: int) -> str:
    low, high, other = (limit if given.compute == "float" else limit[:-1] for limit in _LIMITS[via])
    inside = f"(({code} > {low}) & ({code} < {high}))"
    return f"convert_{vector(via, lanes)}({inside} ? {code} : ({vector(given.compute, lanes)})({other}))"


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    types = r"\b(?P<prefix>[a-z_]+_)?(?P<type>[TUS])\b"
    return re.compile(rf"\b(?P<name>{'|'.join(names) or '(?!)'})\b|{types}")


def spell(text: str, slots: dict[str, str], common: np.dtype[Any], lanes: int) -> str:
    """`text` with the names of `slots` replaced, and the types `T`, `U`, `S` (see Expression) written out."""
    info = INFO[common]
    kinds = {"T": info.compute, "S": info.mask, "U": "u" + info.mask}

    def replace(match: re.Match[str]) -> str:
        if match["name"]:
            return slots[match["name"]]
        return (match["prefix"] or "") + vector(kinds[match["type"]], lanes)

    return _pattern(tuple(slots)).sub(replace, text)


def write(expression: Expression, operands: list[str], lanes: int) -> str:
    """The expression applied to the names of its operands (already of the operands' dtypes)."""
    text = spell(expression.code, dict(zip(expression.names, operands, strict=True)), expression.common, lanes)
    if expression.result == bool_:
        return truth(text, lanes)
    return f"round_half_{vector('float', lanes)}({text})" if expression.result == float16 else text
