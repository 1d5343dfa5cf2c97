## out = the lower triangle L with L L^T = a, where only the lower triangle of a is read: a work-group a matrix, column by column.
## A pivot that is not positive becomes NaN, and with it all that is computed from it.
<%namespace name="common" file="common.cl.mako"/>\
${common.head({storage}, {storage}, fp64, contract=True)}\

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
