#define get_float(p, i) ((p)[i])
#define put_float(p, i, x) ((p)[i] = (x))

__kernel void matmul__float32(
    __global float *out,
    __global const float *a_data, const int a_start, const int a_batch, const int a_row, const int a_column,
    __global const float *b_data, const int b_start, const int b_batch, const int b_row, const int b_column,
    const int batches, const int m, const int n, const int depth)
{
    __local float a_tile[16][16], b_tile[16][16 + 1]; // one more: no two rows begin in the same bank
    const int x = get_local_id(0), y = get_local_id(1);
    const int j = get_global_id(0), i = get_global_id(1), batch = get_global_id(2);
    const int a = a_start + batch * a_batch, b = b_start + batch * b_batch;
    float sum = 0;
    for (int k = 0; k < depth; k += 16) {
        a_tile[y][x] = i < m && k + x < depth ? (float)get_float(a_data, a + i * a_row + (k + x) * a_column) : (float)0;
        b_tile[y][x] = j < n && k + y < depth ? (float)get_float(b_data, b + (k + y) * b_row + j * b_column) : (float)0;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int step = 0; step < 16; step++) sum += a_tile[y][step] * b_tile[step][x];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (i < m && j < n) put_float(out, (batch * m + i) * n + j, sum);
}
