## out[i] = start + i * step. In runs, since drivers make no vectors of conversions of 64 bits; halves are rounded from the wide type, one by one.
<%namespace name="common" file="common.cl.mako"/>\
<%
    module = common.module
    m = 1 if storage == "half" else lanes
    v, result = module.vector(wide, m), module.vector(compute, m)
    steps = "" if m == 1 else f" + ({module.vector('long' if wide == 'float' else wide, m)})({', '.join(map(str, range(m)))})"
    i = f"convert_{v}(at{steps})" if wide == "float" else f"({wide})at{steps}"
%>\
${common.head({storage}, {compute, wide}, fp64)}\
${common.memory({storage}, "long", m)}\

__kernel void ${name}(__global ${storage} *out, const long n, const ${wide} start, const ${wide} step)
{
    const long runs = (n + ${m - 1}) / ${m};
${common.each_position("run", "runs", "long", schedule)} {
        const long at = run * ${m};
        const ${v} found = start + (${i}) * step;
% if storage == "half":
        put_half(out, at, found);
% elif m == 1:
        put_${storage}(out, at, (${compute})found);
% else:
        store_${storage}(out + at, convert_${result}(found), (int)min((long)${m}, n - at));
% endif
    }
}
