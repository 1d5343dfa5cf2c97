## Solves L x = b in place of b, (batch, n, m), where only the lower triangle of L is read, without its diagonal if that is `unit`:
## a work-item a run of columns.
<%namespace name="common" file="common.cl.mako"/>\
<% v = storage if lanes == 1 else f"{storage}{lanes}" %>\
${common.head({storage}, {storage}, fp64, contract=True)}\
${common.memory({storage}, "long", lanes)}\

__kernel void ${name}(
    __global ${storage} *x, __global const ${storage} *l, const long start, const long l_batch, const long l_row, const long l_column,
    const long batches, const long n, const long m, const int unit)
{
    const long runs = (m + ${lanes - 1}) / ${lanes}, batch = get_global_id(0) / runs, column = get_global_id(0) % runs * ${lanes};
    if (batch >= batches) return;
    const int count = (int)min((long)${lanes}, m - column);
    l += start + batch * l_batch;
    x += batch * n * m + column;
    for (long i = 0; i < n; i++) {
% if lanes == 1:
        ${v} sum = x[i * m];
        for (long k = 0; k < i; k++) sum -= l[i * l_row + k * l_column] * x[k * m];
        x[i * m] = unit ? sum : sum / l[i * l_row + i * l_column];
% else:
        ${v} sum = load_${storage}(x + i * m, count);
        for (long k = 0; k < i; k++) sum -= (${v})(l[i * l_row + k * l_column]) * load_${storage}(x + k * m, count);
        store_${storage}(x + i * m, unit ? sum : sum / (${v})(l[i * l_row + i * l_column]), count);
% endif
    }
}
