__kernel void matmul_blocks__float32(
    __global float *out, __global const float *a_data, __global const float *b_data,
    const int a_start, const int a_batch, const int a_row, const int a_column,
    const int b_start, const int b_batch, const int b_row, const int b_column,
    const int parts, const int m, const int n, const int depth, const int deep)
{
    __local float a_tile[16][33], b_tile[16][33]; // one more: no two rows begin in the same bank
    const int x = get_local_id(0), y = get_local_id(1), item = y * 8 + x;
    const int j = get_group_id(0) * (int)32, i = get_group_id(1) * (int)32, each = get_group_id(2);
    const int batch = each / parts, begin = each % parts * deep, length = min(deep, depth - begin);
    const int a = a_start + batch * a_batch + begin * a_column, b = b_start + batch * b_batch + begin * b_row;
    // Neighbouring work-items read neighbouring elements, whichever way the matrices lie.
    const int a_deep = a_column == 1, b_deep = b_row == 1;
    float sum0_0 = 0, sum0_1 = 0, sum0_2 = 0, sum0_3 = 0, sum1_0 = 0, sum1_1 = 0, sum1_2 = 0, sum1_3 = 0, sum2_0 = 0, sum2_1 = 0, sum2_2 = 0, sum2_3 = 0, sum3_0 = 0, sum3_1 = 0, sum3_2 = 0, sum3_3 = 0;
    for (int k = 0; k < length; k += 16) {
        for (int at = item; at < 512; at += 64) {
            const int down = a_deep ? at / 16 : at % 32, step = a_deep ? at % 16 : at / 32;
            a_tile[step][down] = i + down < m && k + step < length ? a_data[a + (i + down) * a_row + (k + step) * a_column] : (float)0;
        }
        for (int at = item; at < 512; at += 64) {
            const int across = b_deep ? at / 16 : at % 32, step = b_deep ? at % 16 : at / 32;
            b_tile[step][across] = j + across < n && k + step < length ? b_data[b + (k + step) * b_row + (j + across) * b_column] : (float)0;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int step = 0; step < 16; step++) {
            const float b0 = b_tile[step][0 + x], b1 = b_tile[step][8 + x], b2 = b_tile[step][16 + x], b3 = b_tile[step][24 + x];
            {
                const float element = a_tile[step][0 + y];
                sum0_0 += element * b0; sum0_1 += element * b1; sum0_2 += element * b2; sum0_3 += element * b3;
            }
            {
                const float element = a_tile[step][8 + y];
                sum1_0 += element * b0; sum1_1 += element * b1; sum1_2 += element * b2; sum1_3 += element * b3;
            }
            {
                const float element = a_tile[step][16 + y];
                sum2_0 += element * b0; sum2_1 += element * b1; sum2_2 += element * b2; sum2_3 += element * b3;
            }
            {
                const float element = a_tile[step][24 + y];
                sum3_0 += element * b0; sum3_1 += element * b1; sum3_2 += element * b2; sum3_3 += element * b3;
            }
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (i + 0 + y < m && j + 0 + x < n)
        out[each * m * n + (i + 0 + y) * n + j + 0 + x] = sum0_0;
    if (i + 0 + y < m && j + 8 + x < n)
        out[each * m * n + (i + 0 + y) * n + j + 8 + x] = sum0_1;
    if (i + 0 + y < m && j + 16 + x < n)
        out[each * m * n + (i + 0 + y) * n + j + 16 + x] = sum0_2;
    if (i + 0 + y < m && j + 24 + x < n)
        out[each * m * n + (i + 0 + y) * n + j + 24 + x] = sum0_3;
    if (i + 8 + y < m && j + 0 + x < n)
        out[each * m * n + (i + 8 + y) * n + j + 0 + x] = sum1_0;
    if (i + 8 + y < m && j + 8 + x < n)
        out[each * m * n + (i + 8 + y) * n + j + 8 + x] = sum1_1;
    if (i + 8 + y < m && j + 16 + x < n)
        out[each * m * n + (i + 8 + y) * n + j + 16 + x] = sum1_2;
    if (i + 8 + y < m && j + 24 + x < n)
        out[each * m * n + (i + 8 + y) * n + j + 24 + x] = sum1_3;
    if (i + 16 + y < m && j + 0 + x < n)
        out[each * m * n + (i + 16 + y) * n + j + 0 + x] = sum2_0;
    if (i + 16 + y < m && j + 8 + x < n)
        out[each * m * n + (i + 16 + y) * n + j + 8 + x] = sum2_1;
    if (i + 16 + y < m && j + 16 + x < n)
        out[each * m * n + (i + 16 + y) * n + j + 16 + x] = sum2_2;
    if (i + 16 + y < m && j + 24 + x < n)
        out[each * m * n + (i + 16 + y) * n + j + 24 + x] = sum2_3;
    if (i + 24 + y < m && j + 0 + x < n)
        out[each * m * n + (i + 24 + y) * n + j + 0 + x] = sum3_0;
    if (i + 24 + y < m && j + 8 + x < n)
        out[each * m * n + (i + 24 + y) * n + j + 8 + x] = sum3_1;
    if (i + 24 + y < m && j + 16 + x < n)
        out[each * m * n + (i + 24 + y) * n + j + 16 + x] = sum3_2;
    if (i + 24 + y < m && j + 24 + x < n)
        out[each * m * n + (i + 24 + y) * n + j + 24 + x] = sum3_3;
}
