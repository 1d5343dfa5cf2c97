## out[o, indices[j], i] += data[o, j, i] from zeros, in the order of j. The indices are in range.
## A work-item owns rows of `out` (dimension 0) and, on the GPU schedule, one column (dimension 1): nobody else writes there, so no atomics.
<%namespace name="common" file="common.cl.mako"/>\
${common.head({storage}, {storage}, fp64)}\

__kernel void ${name}(
    __global ${storage} *out, __global const ${storage} *data, const long data_start, __global const long *indices, const long indices_start,
    const long outer, const long n, const long inner, const long picked)
{
    const long chunk = (n + get_global_size(0) - 1) / get_global_size(0);
    const long from = min(n, (long)get_global_id(0) * chunk), to = min(n, from + chunk);
% if schedule == "cpu":
    for (long o = 0; o < outer; o++) {
        for (long at = (o * n + from) * inner; at < (o * n + to) * inner; at++) out[at] = 0;
        for (long j = 0; j < picked; j++) {
            const long row = indices[indices_start + j];
            if (row < from || row >= to) continue;
            for (long i = 0; i < inner; i++) {
% else:
    const long column = get_global_id(1), o = column / inner, i = column % inner;
    if (o < outer) {
        for (long row = from; row < to; row++) out[(o * n + row) * inner + i] = 0;
        for (long j = 0; j < picked; j++) {
            const long row = indices[indices_start + j];
            if (row < from || row >= to) continue;
            {
% endif
                const long z = (o * n + row) * inner + i;
                out[z] = (${storage})((${unsigned})out[z] + (${unsigned})data[data_start + (o * picked + j) * inner + i]);
            }
        }
    }
}
