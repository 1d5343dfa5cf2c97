## Functions that expressions call and OpenCL C does not have. Each is written for one element and applied to every lane, or for vectors.

<%def name="integer_power(T, element, lanes)">\
// Wraps around. A negative power of anything but 1 and -1 is 0, and so is one of 0.
inline ${element} integer_power_one_${element}(${element} base, ${element} exponent)
{
    ulong square = (ulong)base, result = 1, rest = (ulong)exponent;
    if (exponent < 0) return base == 1 ? 1 : base + 1 == 0 ? (exponent & 1 ? base : 1) : 0;
    for (; rest; rest >>= 1) {
        if (rest & 1) result *= square;
        square *= square;
    }
    return (${element})result;
}
${lanewise("integer_power", T, element, lanes, 2)}\
</%def>

## name_T(x, ...) from name_one_element(x, ...).
<%def name="lanewise(name, T, element, lanes, arity)">\
<% letters = "xyz"[:arity] %>\
inline ${T} ${name}_${T}(${", ".join(f"{T} {x}" for x in letters)})
{
% if lanes == 1:
    return ${name}_one_${element}(${", ".join(letters)});
% else:
    ${T} result;
    for (int lane = 0; lane < ${lanes}; lane++)
        ((${element} *)&result)[lane] = ${name}_one_${element}(${", ".join(f"(({element} *)&{x})[lane]" for x in letters)});
    return result;
% endif
}
</%def>

<%!
    import re

    ARITY = re.compile(r"\b([a-z_]+?)_((?:char|uchar|int|uint|long|ulong|float|double)(?:\d*))\(")

    def wanted(lines, known):
        """The (function, type) pairs that the lines call, each once, in order."""
        found = {}
        for _, _, code in lines:
            for name, kind in ARITY.findall(code):
                if name in known:
                    found[name, kind] = None
        return list(found)
%>
<%def name="needed(lines, lanes)">\
% for name, T in wanted(lines, ("integer_power",)):
${getattr(self, name)(T, T.rstrip("0123456789"), lanes)}\
% endfor
</%def>
