## Steps of Householder's LQ decomposition, in place of a, (batch, m, n). A reflection is I - v^T v for a row v of `vectors`, (batch, m, n):
## its square is 2, or it is zero where there is nothing to reflect.
<%namespace name="common" file="common.cl.mako"/>\
${common.head({storage}, {storage}, fp64, contract=True)}\

## The sum of the variable `sum` over the work-group, in all of its work-items.
<%def name="summed()">\
    partial[here] = sum;
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    for (int apart = items / 2; apart > 0; apart /= 2) {
        if (here < apart) partial[here] += partial[here + apart];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    sum = partial[0];
</%def>\
__kernel void ${name}(
    __global ${storage} *a, __global ${storage} *vectors, const long m, const long n, const long row${", const long rows" if step == "reflect" else ""})
{
    __local ${storage} partial[${group}];
    const int here = get_local_id(0), items = get_local_size(0);
    ${storage} sum = 0;
% if step == "reflector":
    ## The reflection that brings a row to its diagonal: a work-group a matrix.
    __global ${storage} *x = a + (get_group_id(0) * m + row) * n, *v = vectors + (get_group_id(0) * m + row) * n;
    const ${storage} first = x[row];
    for (long k = row + 1 + here; k < n; k += items) sum += x[k] * x[k];
${summed()}\
    // Of the two reflections the one whose first element is no difference of nearly equal numbers.
    const ${storage} norm = sqrt(first * first + sum), end = sum == 0 ? first : first < 0 ? norm : -norm;
    const ${storage} scale = sum == 0 ? 0 : 1 / sqrt(norm * (norm + fabs(first)));
    for (long k = here; k < n; k += items) {
        v[k] = k < row ? 0 : scale * (k == row ? first - end : x[k]);
        if (k >= row) x[k] = k == row ? end : 0;
    }
% else:
    ## Applies it to `rows` of the rows below: a work-group a row.
    const long batch = get_group_id(0) / rows;
    __global ${storage} *x = a + (batch * m + row + 1 + get_group_id(0) % rows) * n;
    __global const ${storage} *v = vectors + (batch * m + row) * n;
    for (long k = row + here; k < n; k += items) sum += x[k] * v[k];
${summed()}\
    for (long k = row + here; k < n; k += items) x[k] -= sum * v[k];
% endif
}
