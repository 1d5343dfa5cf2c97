## out[o, j, i] = data[o, indices[j], i]; with `each`, out[o, i] = data[o, indices[o, i], i]. The indices are in range.
<%namespace name="common" file="common.cl.mako"/>\
__kernel void ${name}(
    __global ${storage} *out, __global const ${storage} *data, const long data_start, __global const long *indices, const long indices_start,
    const long outer, const long n, const long inner, const long picked)
{
    const long size = outer * ${"" if each else "picked * "}inner;
${common.each_position("at", "size", "long", schedule)} {
% if each:
        const long i = at % inner, o = at / inner;
        out[at] = data[data_start + (o * n + indices[indices_start + at]) * inner + i];
% else:
        const long i = at % inner, j = at / inner % picked, o = at / (inner * picked);
        out[at] = data[data_start + (o * n + indices[indices_start + j]) * inner + i];
% endif
    }
}
