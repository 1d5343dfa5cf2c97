"""Declarations of OpenCL C's built-in functions, for drivers whose compiler reads eighteen thousand lines of them for every program.

PoCL includes Clang's `opencl-c.h` in each build, which takes three quarters of the time that a small kernel does. The header passes over
its own text where `SKIP` is defined; then the source declares what it calls, as here, and nothing else changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SKIP = b" -D_OPENCL_H_"  # the header's own guard

_WIDTHS = ("", "2", "4", "8", "16")
_SIGNED = ("char", "short", "int", "long")
_UNSIGNED = tuple(f"u{kind}" for kind in _SIGNED)
_SAME_SIZE = dict(zip(_SIGNED + _UNSIGNED, _UNSIGNED + _SIGNED, strict=True)) | {"float": "int", "double": "long"}
_SPACES = ("__global", "__local", "__private")

# What functions take and give, by the kinds of types that they are for (OpenCL C 1.2, sections 6.12.2 to 6.12.7): T the type, E an element
# of it, S and U the integers of its size, B what comparisons give, an int for scalars and S for vectors, N ints.
_FLOATS = {
    "T(T)": "acos acosh acospi asin asinh asinpi atan atanh atanpi cbrt ceil cos cosh cospi degrees erf erfc exp exp10 exp2 expm1 fabs "
    "floor lgamma log log10 log1p log2 logb radians rint round rsqrt sign sin sinh sinpi sqrt tan tanh tanpi tgamma trunc",
    "T(T,T)": "atan2 copysign fdim fmax fmin fmod hypot max min nextafter pow powr remainder step",
    "T(T,E)": "fmax fmin max min",
    "T(T,T,T)": "bitselect clamp fma mad mix",
    "T(T,E,E)": "clamp",
    "T(T,T,S)": "select",
    "T(T,T,U)": "select",
    "T(T,N)": "ldexp pown rootn",
    "T(U)": "nan",
    "N(T)": "ilogb",
    "B(T)": "isfinite isinf isnan isnormal signbit",
    "B(T,T)": "isequal isgreater isgreaterequal isless islessequal isnotequal isordered isunordered",
}
_INTEGERS = {
    "T(T)": "clz popcount",
    "T(T,T)": "add_sat hadd max min mul_hi rhadd rotate sub_sat",
    "T(T,E)": "max min",
    "T(T,T,T)": "bitselect clamp mad_hi",
    "T(T,E,E)": "clamp",
    "T(T,T,S)": "select",
    "T(T,T,U)": "select",
    "U(T)": "abs",
    "U(T,T)": "abs_diff",
    "int(T)": "all any",
}
_ATOMIC = {
    "atomic_inc": "",
    "atomic_dec": "",
    **dict.fromkeys((f"atomic_{what}" for what in ("add", "and", "max", "min", "or", "sub", "xchg", "xor")), ",{0}"),
    "atomic_cmpxchg": ",{0},{0}",
}
_CONST, _OTHER = "__attribute__((overloadable, const))", "__attribute__((overloadable))"


def _by_name(functions: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for form, names in functions.items():
        for name in names.split():
            found.setdefault(name, []).append(form)
    return found


_FORMS = ((("float", "double"), _by_name(_FLOATS)), (_SIGNED + _UNSIGNED, _by_name(_INTEGERS)))
_PLACE = re.compile(r"get_(global|local)_(id|size)|get_global_offset|get_group_id|get_num_groups")
_MEMORY = re.compile(r"v(load|store)(_half)?(2|4|8|16)?(_r[tepn][ezpn]?)?")
_CONVERSION = re.compile(r"convert_(u?char|u?short|u?int|u?long|float|double)(2|4|8|16)?(_sat)?(_rt[ezpn])?")
_NAME = re.compile(r"\b[a-z]\w+\b")


def _typed(kind: str, width: str, form: str, name: str) -> str:
    same = _SAME_SIZE[kind]
    signed = kind if kind in _SIGNED else same
    types = {
        "T": kind + width,
        "E": kind,
        "S": signed + width,
        "U": f"u{signed}{width}",
        "B": signed + width if width else "int",
        "N": f"int{width}",
    }
    result, arguments = form.rstrip(")").split("(")
    return f"{types.get(result, result)} {_CONST} {name}({','.join(types[each] for each in arguments.split(','))})"


def _values(name: str, kinds: tuple[str, ...]) -> Iterator[str]:
    """The declarations of a function of values alone."""
    if name == "get_work_dim":
        yield f"uint {_CONST} {name}(void)"
    elif _PLACE.fullmatch(name):
        yield f"size_t {_CONST} {name}(uint)"
    elif (found := _CONVERSION.fullmatch(name)) and found[1] in kinds:
        yield from (f"{found[1]}{found[2] or ''} {_CONST} {name}({given}{found[2] or ''})" for given in kinds)
    for types, forms in _FORMS:
        for form in forms.get(name, ()):
            # Of scalars E is T, and would be declared twice.
            yield from (_typed(kind, width, form, name) for kind in types if kind in kinds for width in _WIDTHS if width or "E" not in form)


def _effects(name: str, kinds: tuple[str, ...]) -> Iterator[str]:
    """The declarations of a function that reads or writes memory, or waits."""
    if name == "barrier":
        yield "void __attribute__((overloadable, convergent)) barrier(uint)"
    elif name in ("mem_fence", "read_mem_fence", "write_mem_fence"):
        yield f"void {_OTHER} {name}(uint)"
    elif name in _ATOMIC:
        for kind in ("int", "uint"):
            yield from (f"{kind} {_OTHER} {name}(volatile {space} {kind}*{_ATOMIC[name].format(kind)})" for space in _SPACES[:2])
    elif found := _MEMORY.fullmatch(name):
        store, half, width = found[1] == "store", found[2], found[3] or ""
        for kind in ("float", "double") if half and store else ("float",) if half else kinds:
            for space in _SPACES if kind in kinds else ():
                place = f"{space} {'half' if half else kind}*"
                yield (
                    f"void {_OTHER} {name}({kind}{width},size_t,{place})"
                    if store
                    else f"{kind}{width} {_OTHER} {name}(size_t,const {place})"
                )


def declarations(source: str) -> str:
    """Declare the built-in functions that a source calls, in one line to stand before its first.

    Parameters
    ----------
    source
        OpenCL C.

    Examples
    --------
    >>> print(declarations("__kernel void k(__global float *p) { p[get_global_id(0)] = 0; }"), end="")
    size_t __attribute__((overloadable, const)) get_global_id(uint);
    #line 1
    """
    kinds = (*(("float", "double") if "double" in source else ("float",)), *_SIGNED, *_UNSIGNED)
    found = [line for name in dict.fromkeys(_NAME.findall(source)) for each in (_values, _effects) for line in each(name, kinds)]
    return "; ".join([*found, ""]).rstrip() + "\n#line 1\n"
