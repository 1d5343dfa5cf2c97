__kernel void matmul_blocks__float32(
    __global float *out, __global const float *a_data, __global const float *b_data,
    const int a_start, const int a_batch, const int a_row, const int a_column,
    const int b_start, const int b_batch, const int b_row, const int b_column,
    const int parts, const int m, const int n, const int depth, const int deep)
{
    __local float a_tile[16][65], b_tile[16][65]; // one more: no two rows begin in the same bank
    const int x = get_local_id(0), y = get_local_id(1), item = y * 8 + x;
    const int j = get_group_id(0) * (int)64, i = get_group_id(1) * (int)64, each = get_group_id(2);
    const int batch = each / parts, begin = each % parts * deep, length = min(deep, depth - begin);
    const int a = a_start + batch * a_batch + begin * a_column, b = b_start + batch * b_batch + begin * b_row;
    // Neighbouring work-items read neighbouring elements, whichever way the matrices lie.
    const int a_deep = a_column == 1, b_deep = b_row == 1;
    float sum0_0 = 0, sum0_1 = 0, sum0_2 = 0, sum0_3 = 0, sum0_4 = 0, sum0_5 = 0, sum0_6 = 0, sum0_7 = 0, sum1_0 = 0, sum1_1 = 0, sum1_2 = 0, sum1_3 = 0, sum1_4 = 0, sum1_5 = 0, sum1_6 = 0, sum1_7 = 0, sum2_0 = 0, sum2_1 = 0, sum2_2 = 0, sum2_3 = 0, sum2_4 = 0, sum2_5 = 0, sum2_6 = 0, sum2_7 = 0, sum3_0 = 0, sum3_1 = 0, sum3_2 = 0, sum3_3 = 0, sum3_4 = 0, sum3_5 = 0, sum3_6 = 0, sum3_7 = 0, sum4_0 = 0, sum4_1 = 0, sum4_2 = 0, sum4_3 = 0, sum4_4 = 0, sum4_5 = 0, sum4_6 = 0, sum4_7 = 0, sum5_0 = 0, sum5_1 = 0, sum5_2 = 0, sum5_3 = 0, sum5_4 = 0, sum5_5 = 0, sum5_6 = 0, sum5_7 = 0, sum6_0 = 0, sum6_1 = 0, sum6_2 = 0, sum6_3 = 0, sum6_4 = 0, sum6_5 = 0, sum6_6 = 0, sum6_7 = 0, sum7_0 = 0, sum7_1 = 0, sum7_2 = 0, sum7_3 = 0, sum7_4 = 0, sum7_5 = 0, sum7_6 = 0, sum7_7 = 0;
    for (int k = 0; k < length; k += 16) {
        for (int at = item; at < 1024; at += 64) {
            const int down = a_deep ? at / 16 : at % 64, step = a_deep ? at % 16 : at / 64;
            a_tile[step][down] = i + down < m && k + step < length ? a_data[a + (i + down) * a_row + (k + step) * a_column] : (float)0;
        }
        for (int at = item; at < 1024; at += 64) {
            const int across = b_deep ? at / 16 : at % 64, step = b_deep ? at % 16 : at / 64;
            b_tile[step][across] = j + across < n && k + step < length ? b_data[b + (k + step) * b_row + (j + across) * b_column] : (float)0;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int step = 0; step < 16; step++) {
            const float b0 = b_tile[step][0 + x], b1 = b_tile[step][8 + x], b2 = b_tile[step][16 + x], b3 = b_tile[step][24 + x], b4 = b_tile[step][32 + x], b5 = b_tile[step][40 + x], b6 = b_tile[step][48 + x], b7 = b_tile[step][56 + x];
            {
                const float element = a_tile[step][0 + y];
                sum0_0 += element * b0; sum0_1 += element * b1; sum0_2 += element * b2; sum0_3 += element * b3; sum0_4 += element * b4; sum0_5 += element * b5; sum0_6 += element * b6; sum0_7 += element * b7;
            }
            {
                const float element = a_tile[step][8 + y];
                sum1_0 += element * b0; sum1_1 += element * b1; sum1_2 += element * b2; sum1_3 += element * b3; sum1_4 += element * b4; sum1_5 += element * b5; sum1_6 += element * b6; sum1_7 += element * b7;
            }
            {
                const float element = a_tile[step][16 + y];
                sum2_0 += element * b0; sum2_1 += element * b1; sum2_2 += element * b2; sum2_3 += element * b3; sum2_4 += element * b4; sum2_5 += element * b5; sum2_6 += element * b6; sum2_7 += element * b7;
            }
            {
                const float element = a_tile[step][24 + y];
                sum3_0 += element * b0; sum3_1 += element * b1; sum3_2 += element * b2; sum3_3 += element * b3; sum3_4 += element * b4; sum3_5 += element * b5; sum3_6 += element * b6; sum3_7 += element * b7;
            }
            {
                const float element = a_tile[step][32 + y];
                sum4_0 += element * b0; sum4_1 += element * b1; sum4_2 += element * b2; sum4_3 += element * b3; sum4_4 += element * b4; sum4_5 += element * b5; sum4_6 += element * b6; sum4_7 += element * b7;
            }
            {
                const float element = a_tile[step][40 + y];
                sum5_0 += element * b0; sum5_1 += element * b1; sum5_2 += element * b2; sum5_3 += element * b3; sum5_4 += element * b4; sum5_5 += element * b5; sum5_6 += element * b6; sum5_7 += element * b7;
            }
            {
                const float element = a_tile[step][48 + y];
                sum6_0 += element * b0; sum6_1 += element * b1; sum6_2 += element * b2; sum6_3 += element * b3; sum6_4 += element * b4; sum6_5 += element * b5; sum6_6 += element * b6; sum6_7 += element * b7;
            }
            {
                const float element = a_tile[step][56 + y];
                sum7_0 += element * b0; sum7_1 += element * b1; sum7_2 += element * b2; sum7_3 += element * b3; sum7_4 += element * b4; sum7_5 += element * b5; sum7_6 += element * b6; sum7_7 += element * b7;
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
    if (i + 0 + y < m && j + 32 + x < n)
        out[each * m * n + (i + 0 + y) * n + j + 32 + x] = sum0_4;
    if (i + 0 + y < m && j + 40 + x < n)
        out[each * m * n + (i + 0 + y) * n + j + 40 + x] = sum0_5;
    if (i + 0 + y < m && j + 48 + x < n)
        out[each * m * n + (i + 0 + y) * n + j + 48 + x] = sum0_6;
    if (i + 0 + y < m && j + 56 + x < n)
        out[each * m * n + (i + 0 + y) * n + j + 56 + x] = sum0_7;
    if (i + 8 + y < m && j + 0 + x < n)
        out[each * m * n + (i + 8 + y) * n + j + 0 + x] = sum1_0;
    if (i + 8 + y < m && j + 8 + x < n)
        out[each * m * n + (i + 8 + y) * n + j + 8 + x] = sum1_1;
    if (i + 8 + y < m && j + 16 + x < n)
        out[each * m * n + (i + 8 + y) * n + j + 16 + x] = sum1_2;
    if (i + 8 + y < m && j + 24 + x < n)
        out[each * m * n + (i + 8 + y) * n + j + 24 + x] = sum1_3;
    if (i + 8 + y < m && j + 32 + x < n)
        out[each * m * n + (i + 8 + y) * n + j + 32 + x] = sum1_4;
    if (i + 8 + y < m && j + 40 + x < n)
        out[each * m * n + (i + 8 + y) * n + j + 40 + x] = sum1_5;
    if (i + 8 + y < m && j + 48 + x < n)
        out[each * m * n + (i + 8 + y) * n + j + 48 + x] = sum1_6;
    if (i + 8 + y < m && j + 56 + x < n)
        out[each * m * n + (i + 8 + y) * n + j + 56 + x] = sum1_7;
    if (i + 16 + y < m && j + 0 + x < n)
        out[each * m * n + (i + 16 + y) * n + j + 0 + x] = sum2_0;
    if (i + 16 + y < m && j + 8 + x < n)
        out[each * m * n + (i + 16 + y) * n + j + 8 + x] = sum2_1;
    if (i + 16 + y < m && j + 16 + x < n)
        out[each * m * n + (i + 16 + y) * n + j + 16 + x] = sum2_2;
    if (i + 16 + y < m && j + 24 + x < n)
        out[each * m * n + (i + 16 + y) * n + j + 24 + x] = sum2_3;
    if (i + 16 + y < m && j + 32 + x < n)
        out[each * m * n + (i + 16 + y) * n + j + 32 + x] = sum2_4;
    if (i + 16 + y < m && j + 40 + x < n)
        out[each * m * n + (i + 16 + y) * n + j + 40 + x] = sum2_5;
    if (i + 16 + y < m && j + 48 + x < n)
        out[each * m * n + (i + 16 + y) * n + j + 48 + x] = sum2_6;
    if (i + 16 + y < m && j + 56 + x < n)
        out[each * m * n + (i + 16 + y) * n + j + 56 + x] = sum2_7;
    if (i + 24 + y < m && j + 0 + x < n)
        out[each * m * n + (i + 24 + y) * n + j + 0 + x] = sum3_0;
    if (i + 24 + y < m && j + 8 + x < n)
        out[each * m * n + (i + 24 + y) * n + j + 8 + x] = sum3_1;
    if (i + 24 + y < m && j + 16 + x < n)
        out[each * m * n + (i + 24 + y) * n + j + 16 + x] = sum3_2;
    if (i + 24 + y < m && j + 24 + x < n)
        out[each * m * n + (i + 24 + y) * n + j + 24 + x] = sum3_3;
    if (i + 24 + y < m && j + 32 + x < n)
        out[each * m * n + (i + 24 + y) * n + j + 32 + x] = sum3_4;
    if (i + 24 + y < m && j + 40 + x < n)
        out[each * m * n + (i + 24 + y) * n + j + 40 + x] = sum3_5;
    if (i + 24 + y < m && j + 48 + x < n)
        out[each * m * n + (i + 24 + y) * n + j + 48 + x] = sum3_6;
    if (i + 24 + y < m && j + 56 + x < n)
        out[each * m * n + (i + 24 + y) * n + j + 56 + x] = sum3_7;
    if (i + 32 + y < m && j + 0 + x < n)
        out[each * m * n + (i + 32 + y) * n + j + 0 + x] = sum4_0;
    if (i + 32 + y < m && j + 8 + x < n)
        out[each * m * n + (i + 32 + y) * n + j + 8 + x] = sum4_1;
    if (i + 32 + y < m && j + 16 + x < n)
        out[each * m * n + (i + 32 + y) * n + j + 16 + x] = sum4_2;
    if (i + 32 + y < m && j + 24 + x < n)
        out[each * m * n + (i + 32 + y) * n + j + 24 + x] = sum4_3;
    if (i + 32 + y < m && j + 32 + x < n)
        out[each * m * n + (i + 32 + y) * n + j + 32 + x] = sum4_4;
    if (i + 32 + y < m && j + 40 + x < n)
        out[each * m * n + (i + 32 + y) * n + j + 40 + x] = sum4_5;
    if (i + 32 + y < m && j + 48 + x < n)
        out[each * m * n + (i + 32 + y) * n + j + 48 + x] = sum4_6;
    if (i + 32 + y < m && j + 56 + x < n)
        out[each * m * n + (i + 32 + y) * n + j + 56 + x] = sum4_7;
    if (i + 40 + y < m && j + 0 + x < n)
        out[each * m * n + (i + 40 + y) * n + j + 0 + x] = sum5_0;
    if (i + 40 + y < m && j + 8 + x < n)
        out[each * m * n + (i + 40 + y) * n + j + 8 + x] = sum5_1;
    if (i + 40 + y < m && j + 16 + x < n)
        out[each * m * n + (i + 40 + y) * n + j + 16 + x] = sum5_2;
    if (i + 40 + y < m && j + 24 + x < n)
        out[each * m * n + (i + 40 + y) * n + j + 24 + x] = sum5_3;
    if (i + 40 + y < m && j + 32 + x < n)
        out[each * m * n + (i + 40 + y) * n + j + 32 + x] = sum5_4;
    if (i + 40 + y < m && j + 40 + x < n)
        out[each * m * n + (i + 40 + y) * n + j + 40 + x] = sum5_5;
    if (i + 40 + y < m && j + 48 + x < n)
        out[each * m * n + (i + 40 + y) * n + j + 48 + x] = sum5_6;
    if (i + 40 + y < m && j + 56 + x < n)
        out[each * m * n + (i + 40 + y) * n + j + 56 + x] = sum5_7;
    if (i + 48 + y < m && j + 0 + x < n)
        out[each * m * n + (i + 48 + y) * n + j + 0 + x] = sum6_0;
    if (i + 48 + y < m && j + 8 + x < n)
        out[each * m * n + (i + 48 + y) * n + j + 8 + x] = sum6_1;
    if (i + 48 + y < m && j + 16 + x < n)
        out[each * m * n + (i + 48 + y) * n + j + 16 + x] = sum6_2;
    if (i + 48 + y < m && j + 24 + x < n)
        out[each * m * n + (i + 48 + y) * n + j + 24 + x] = sum6_3;
    if (i + 48 + y < m && j + 32 + x < n)
        out[each * m * n + (i + 48 + y) * n + j + 32 + x] = sum6_4;
    if (i + 48 + y < m && j + 40 + x < n)
        out[each * m * n + (i + 48 + y) * n + j + 40 + x] = sum6_5;
    if (i + 48 + y < m && j + 48 + x < n)
        out[each * m * n + (i + 48 + y) * n + j + 48 + x] = sum6_6;
    if (i + 48 + y < m && j + 56 + x < n)
        out[each * m * n + (i + 48 + y) * n + j + 56 + x] = sum6_7;
    if (i + 56 + y < m && j + 0 + x < n)
        out[each * m * n + (i + 56 + y) * n + j + 0 + x] = sum7_0;
    if (i + 56 + y < m && j + 8 + x < n)
        out[each * m * n + (i + 56 + y) * n + j + 8 + x] = sum7_1;
    if (i + 56 + y < m && j + 16 + x < n)
        out[each * m * n + (i + 56 + y) * n + j + 16 + x] = sum7_2;
    if (i + 56 + y < m && j + 24 + x < n)
        out[each * m * n + (i + 56 + y) * n + j + 24 + x] = sum7_3;
    if (i + 56 + y < m && j + 32 + x < n)
        out[each * m * n + (i + 56 + y) * n + j + 32 + x] = sum7_4;
    if (i + 56 + y < m && j + 40 + x < n)
        out[each * m * n + (i + 56 + y) * n + j + 40 + x] = sum7_5;
    if (i + 56 + y < m && j + 48 + x < n)
        out[each * m * n + (i + 56 + y) * n + j + 48 + x] = sum7_6;
    if (i + 56 + y < m && j + 56 + x < n)
        out[each * m * n + (i + 56 + y) * n + j + 56 + x] = sum7_7;
}
