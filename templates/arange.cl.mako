## out[i] = start + i * step
<%namespace name="common" file="common.cl.mako"/>\
${common.head({storage}, {compute, wide}, fp64)}\
${common.memory({storage}, "long", 1)}\

__kernel void ${name}(__global ${storage} *out, const long n, const ${wide} start, const ${wide} step)
{
${common.each_position("i", "n", "long", schedule)}
% if wide == "long":
        put_${storage}(out, i, (${compute})(start + i * step));
% else:
        put_${storage}(out, i, ${"" if storage == "half" else f"({compute})"}(start + (${wide})i * step));
% endif
}
