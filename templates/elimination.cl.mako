## Steps of Gaussian elimination with partial pivoting, in place of a, (batch, n, width).
<%namespace name="common" file="common.cl.mako"/>\
${common.head({storage}, {storage}, fp64, contract=True)}\

% if step == "columns":
## Both steps below, for the columns `first` to before `last`. A work-item a matrix.
${common.memory({storage}, "long", lanes)}\
<% v = common.module.vector(storage, lanes) %>\
__kernel void ${name}(
    __global ${storage} *a, __global ${storage} *signs, const long n, const long width, const long first, const long last, const long end)
{
    a += get_global_id(0) * n * width;
    for (long column = first; column < last; column++) {
        long found = column;
        ${storage} size = fabs(a[column * width + column]);
        for (long i = column + 1; i < n; i++) {
            const ${storage} here = fabs(a[i * width + column]);
            if (here > size || (size != size && here == here)) { size = here; found = i; }
        }
        __global ${storage} *pivot = a + column * width, *other = a + found * width;
        if (found != column) {
            for (long j = 0; j < width; j += ${lanes}) {
                const int count = (int)min((long)${lanes}, width - j);
                const ${v} kept = load_${storage}(pivot + j, count);
                store_${storage}(pivot + j, load_${storage}(other + j, count), count);
                store_${storage}(other + j, kept, count);
            }
            signs[get_global_id(0)] = -signs[get_global_id(0)];
        }
        for (long i = column + 1; i < n; i++) {
            __global ${storage} *row = a + i * width;
            // Below a pivot of zero there are zeros alone (or NaN).
            const ${storage} factor = pivot[column] == 0 ? row[column] : row[column] / pivot[column];
            row[column] = factor;
            long j = column + 1;
% for many in (4, 1):
            for (; j + ${many * lanes} <= end; j += ${many * lanes}) {
% for u in range(many):
                *(__global ${v}_anywhere *)(row + j + ${u * lanes}) -= (${v})factor * *(__global const ${v}_anywhere *)(pivot + j + ${u * lanes});
% endfor
            }
% endfor
            const int count = (int)(end - j);
            if (count > 0) store_${storage}(row + j, load_${storage}(row + j, count) - (${v})factor * load_${storage}(pivot + j, count), count);
        }
    }
}
% elif step == "pivot":
## Brings the largest element of a column, from the diagonal down, to the diagonal by exchanging two rows; `signs` changes where it does.
__kernel void ${name}(__global ${storage} *a, __global ${storage} *signs, const long n, const long width, const long column)
{
    __local ${storage} sizes[${group}];
    __local long rows[${group}];
    const int here = get_local_id(0), items = get_local_size(0);
    a += get_group_id(0) * n * width;
    ${storage} size = -1;
    long row = column;
    for (long i = column + here; i < n; i += items) {
        const ${storage} found = fabs(a[i * width + column]);
        if (found > size) { size = found; row = i; }
    }
    sizes[here] = size;
    rows[here] = row;
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    for (int apart = items / 2; apart > 0; apart /= 2) {
        if (here < apart && (sizes[here + apart] > sizes[here] || (sizes[here + apart] == sizes[here] && rows[here + apart] < rows[here]))) {
            sizes[here] = sizes[here + apart];
            rows[here] = rows[here + apart];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    row = rows[0];
    if (row == column) return;
    for (long j = here; j < width; j += items) {
        const ${storage} kept = a[column * width + j];
        a[column * width + j] = a[row * width + j];
        a[row * width + j] = kept;
    }
    if (here == 0) signs[get_group_id(0)] = -signs[get_group_id(0)];
}
% else:
## Subtracts the pivot's row from those below, up to the column `end`; the factors take the place of the zeros. A work-item a row.
__kernel void ${name}(
    __global ${storage} *a, const long batches, const long n, const long width, const long column, const long end)
{
    const long below = n - column - 1, batch = get_global_id(0) / below;
    if (batch >= batches) return;
    __global const ${storage} *pivot = a + (batch * n + column) * width;
    __global ${storage} *row = a + (batch * n + column + 1 + get_global_id(0) % below) * width;
    // Below a pivot of zero there are zeros alone (or NaN).
    const ${storage} factor = pivot[column] == 0 ? row[column] : row[column] / pivot[column];
    row[column] = factor;
    for (long j = column + 1; j < end; j++) row[j] -= factor * pivot[j];
}
% endif
