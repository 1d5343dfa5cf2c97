// A vector at any element's address, aligned or not.
typedef float8 float8_anywhere __attribute__((aligned(4)));
#define get_float(p, i) ((p)[i])
#define put_float(p, i, x) ((p)[i] = (x))
inline float8 load_float(__global const float *p, int count)
{
    if (count >= 8) return *(__global const float8_anywhere *)p;
    float8 v = 0;
    for (int lane = 0; lane < count; lane++) ((float *)&v)[lane] = p[lane];
    return v;
}
inline void store_float(__global float *p, float8 v, int count)
{
    if (count >= 8) *(__global float8_anywhere *)p = v;
    else for (int lane = 0; lane < count; lane++) p[lane] = ((float *)&v)[lane];
}

__kernel void matmul__float32(
    __global float *out,
    __global const float *a_data, const int a_start, const int a_batch, const int a_row, const int a_column,
    __global const float *b_data, const int b_start, const int b_batch, const int b_row, const int b_column,
    const int batches, const int m, const int n, const int depth)
{
    const int down = (m + 3) / 4, across = (n + 15) / 16;
    const int tiles = batches * down * across;
    const int chunk = (tiles + get_global_size(0) - 1) / get_global_size(0);
    const int first = get_global_id(0) * chunk;
    for (int number = first; number < min(tiles, first + chunk); number++) {
        // Neighbouring tiles share their columns of b, which then come from the cache.
        const int i = number % down * 4, j = number / down % across * 16, batch = number / (down * across);
        // Rows past the last are computed as the last once more, and not stored.
        int a0 = a_start + batch * a_batch + min(i + 0, m - 1) * a_row;
        int a1 = a_start + batch * a_batch + min(i + 1, m - 1) * a_row;
        int a2 = a_start + batch * a_batch + min(i + 2, m - 1) * a_row;
        int a3 = a_start + batch * a_batch + min(i + 3, m - 1) * a_row;
        int b = b_start + batch * b_batch + j;
        const int count = (int)min((int)16, n - j);
        float8 sum0_0 = 0, sum0_1 = 0, sum1_0 = 0, sum1_1 = 0, sum2_0 = 0, sum2_1 = 0, sum3_0 = 0, sum3_1 = 0;
        if (count == 16) for (int k = 0; k < depth; k++) {
            const float8 b0 = load_float(b_data + b + 0, 8);
            const float8 b1 = load_float(b_data + b + 8, 8);
            {
                const float8 element = (float8)(get_float(a_data, a0));
                sum0_0 += element * b0;
                sum0_1 += element * b1;
                a0 += a_column;
            }
            {
                const float8 element = (float8)(get_float(a_data, a1));
                sum1_0 += element * b0;
                sum1_1 += element * b1;
                a1 += a_column;
            }
            {
                const float8 element = (float8)(get_float(a_data, a2));
                sum2_0 += element * b0;
                sum2_1 += element * b1;
                a2 += a_column;
            }
            {
                const float8 element = (float8)(get_float(a_data, a3));
                sum3_0 += element * b0;
                sum3_1 += element * b1;
                a3 += a_column;
            }
            b += b_row;
        }
        else for (int k = 0; k < depth; k++) {
            const float8 b0 = load_float(b_data + b + 0, max(0, min(8, count - 0)));
            const float8 b1 = load_float(b_data + b + 8, max(0, min(8, count - 8)));
            {
                const float8 element = (float8)(get_float(a_data, a0));
                sum0_0 += element * b0;
                sum0_1 += element * b1;
                a0 += a_column;
            }
            {
                const float8 element = (float8)(get_float(a_data, a1));
                sum1_0 += element * b0;
                sum1_1 += element * b1;
                a1 += a_column;
            }
            {
                const float8 element = (float8)(get_float(a_data, a2));
                sum2_0 += element * b0;
                sum2_1 += element * b1;
                a2 += a_column;
            }
            {
                const float8 element = (float8)(get_float(a_data, a3));
                sum3_0 += element * b0;
                sum3_1 += element * b1;
                a3 += a_column;
            }
            b += b_row;
        }
        if (i + 0 < m) {
            __global float *z = out + (batch * m + i + 0) * n + j;
            store_float(z + 0, sum0_0, max(0, min(8, count - 0)));
            store_float(z + 8, sum0_1, max(0, min(8, count - 8)));
        }
        if (i + 1 < m) {
            __global float *z = out + (batch * m + i + 1) * n + j;
            store_float(z + 0, sum1_0, max(0, min(8, count - 0)));
            store_float(z + 8, sum1_1, max(0, min(8, count - 8)));
        }
        if (i + 2 < m) {
            __global float *z = out + (batch * m + i + 2) * n + j;
            store_float(z + 0, sum2_0, max(0, min(8, count - 0)));
            store_float(z + 8, sum2_1, max(0, min(8, count - 8)));
        }
        if (i + 3 < m) {
            __global float *z = out + (batch * m + i + 3) * n + j;
            store_float(z + 0, sum3_0, max(0, min(8, count - 0)));
            store_float(z + 8, sum3_1, max(0, min(8, count - 8)));
        }
    }
}
