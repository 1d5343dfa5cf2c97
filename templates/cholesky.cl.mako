## out = the lower triangle L with L L^T = a, where only the lower triangle of a is read: a work-group a matrix, column by column.
## A pivot that is not positive becomes NaN, and with it all that is computed from it.
<%namespace name="common" file="common.cl.mako"/>\
${common.head({storage}, {storage}, fp64, contract=True)}\

% if step == "whole":
<% v = f"{storage}{lanes}" %>\
${common.memory({storage}, "long", lanes)}\
## In place of the upper triangle of a, which is read: its rows by fours, each of which takes away what those above it make, in vectors. A work-item
## a matrix. Below the diagonal is left what vectors make of what stood there.
__kernel void ${name}(__global ${storage} *a, const long n)
{
    a += get_global_id(0) * n * n;
    for (long i = 0; i < n; i += 4) {
% for u in range(4):
        const long at${u} = min(i + ${u}, n - 1);
% endfor
        for (long column = i; column < n; column += ${lanes}) {
            const int count = (int)min((long)${lanes}, n - column);
% for u in range(4):
            ${v} sum${u} = load_${storage}(a + at${u} * n + column, count);
% endfor
            for (long k = 0; k < i; k++) {
                const ${v} known = load_${storage}(a + k * n + column, count);
% for u in range(4):
                sum${u} -= (${v})(a[k * n + at${u}]) * known;
% endfor
            }
% for u in range(4):
            if (i + ${u} < n) store_${storage}(a + at${u} * n + column, sum${u}, count);
% endfor
        }
        for (long row = i; row < min(n, i + 4); row++) {
            const ${storage} pivot = a[row * n + row], root = pivot > 0 ? sqrt(pivot) : (${storage})NAN;
            for (long column = row; column < n; column += ${lanes}) {
                const int count = (int)min((long)${lanes}, n - column);
                store_${storage}(a + row * n + column, load_${storage}(a + row * n + column, count) / (${v})root, count);
            }
            a[row * n + row] = root;
            for (long next = row + 1; next < min(n, i + 4); next++) {
                const ${storage} factor = a[row * n + next];
                for (long column = next; column < n; column += ${lanes}) {
                    const int count = (int)min((long)${lanes}, n - column);
                    __global ${storage} *place = a + next * n + column;
                    store_${storage}(place, load_${storage}(place, count) - (${v})factor * load_${storage}(a + row * n + column, count), count);
                }
            }
        }
    }
}
% else:
__kernel void ${name}(
    __global ${storage} *out, __global const ${storage} *a, const long start, const long a_batch, const long a_row, const long a_column, const long n)
{
    const long first = get_local_id(0), step = get_local_size(0);
    a += start + get_group_id(0) * a_batch;
    out += get_group_id(0) * n * n;
    for (long j = 0; j < n; j++) {
        for (long i = j + first; i < n; i += step) {
            ${storage} sum = a[i * a_row + j * a_column];
            for (long k = 0; k < j; k++) sum -= out[i * n + k] * out[j * n + k];
            out[i * n + j] = sum;
            if (i > j) out[j * n + i] = 0;
        }
        barrier(CLK_GLOBAL_MEM_FENCE);
        const ${storage} pivot = out[j * n + j], root = pivot > 0 ? sqrt(pivot) : (${storage})NAN;
        barrier(CLK_GLOBAL_MEM_FENCE);
        for (long i = j + first; i < n; i += step) out[i * n + j] = i == j ? root : out[i * n + j] / root;
        barrier(CLK_GLOBAL_MEM_FENCE);
    }
}
% endif
