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
% if lanes == 1:
    for (long i = 0; i < n; i++) {
        ${v} sum = x[i * m];
        for (long k = 0; k < i; k++) sum -= l[i * l_row + k * l_column] * x[k * m];
        x[i * m] = unit ? sum : sum / l[i * l_row + i * l_column];
    }
% else:
    // Rows by fours, so that each element of x is read a quarter as often, and sums do not wait for each other.
    for (long i = 0; i < n; i += 4) {
        const int rows = (int)min((long)4, n - i);
% for u in range(4):
        const long at${u} = min(i + ${u}, n - 1);
        __global const ${storage} *l${u} = l + at${u} * l_row;
        ${v} sum${u} = load_${storage}(x + at${u} * m, count);
% endfor
        for (long k = 0; k < i; k++) {
            const ${v} known = load_${storage}(x + k * m, count);
% for u in range(4):
            sum${u} -= (${v})(l${u}[k * l_column]) * known;
% endfor
        }
% for u in range(4):
        if (rows > ${u}) {
% for w in range(u):
            sum${u} -= (${v})(l${u}[at${w} * l_column]) * sum${w};
% endfor
            if (!unit) sum${u} /= (${v})(l${u}[at${u} * l_column]);
            store_${storage}(x + at${u} * m, sum${u}, count);
        }
% endfor
    }
% endif
}
