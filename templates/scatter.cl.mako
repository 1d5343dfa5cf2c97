## out[o, indices[j], i] += data[o, j, i] in the order of j, from `begin` to `end`; from zeros where `begin` is 0. The indices are in range.
## A work-item owns some rows of `out` (dimension 0) in some columns (dimension 1): nobody else writes there, so it needs no atomics.
<%namespace name="common" file="common.cl.mako"/>\
${common.head({storage}, {storage}, fp64)}\

__kernel void ${name}(
    __global ${storage} *out,
    __global const ${storage} *data,
    const long data_start,
    __global const long *indices,
    const long indices_start,
    const long outer,
    const long n,
    const long inner,
    const long picked,
    const long columns,
    const long begin,
    const long end)
{
    const long chunk = (n + get_global_size(0) - 1) / get_global_size(0);
    const long from = min(n, (long)get_global_id(0) * chunk), to = min(n, from + chunk);
    const long across = (inner + columns - 1) / columns;
    const long o = get_global_id(1) / across, left = get_global_id(1) % across * columns, right = min(inner, left + columns);
    if (o >= outer) return;
    if (begin == 0)
        for (long row = from; row < to; row++)
            for (long i = left; i < right; i++) out[(o * n + row) * inner + i] = 0;
    for (long j = begin; j < end; j++) {
        const long row = indices[indices_start + j];
        for (long i = row >= from && row < to ? left : right; i < right; i++) {
            const long z = (o * n + row) * inner + i;
            out[z] = (${storage})((${unsigned})out[z] + (${unsigned})data[data_start + (o * picked + j) * inner + i]);
        }
    }
}
