// A vector at any element's address, aligned or not.
typedef float8 float8_anywhere __attribute__((aligned(4)));
#define get_float(p, i) ((p)[i])
#define put_float(p, i, x) ((p)[i] = (x))
inline float8 load_float(__global const float *p, int count)
{
    if (count >= 8) return *(__global const float8_anywhere *)p;
    float8 v = 0;
    #pragma clang loop vectorize(disable) unroll(disable)
    for (int lane = 0; lane < count; lane++) ((float *)&v)[lane] = p[lane];
    return v;
}
inline void store_float(__global float *p, float8 v, int count)
{
    if (count >= 8) *(__global float8_anywhere *)p = v;
    else {
        const float8 part = v;
        #pragma clang loop vectorize(disable) unroll(disable)
        for (int lane = 0; lane < count; lane++) p[lane] = ((const float *)&part)[lane];
    }
}

// A function, since PoCL's compiler takes vectors as wide as the device's only where a function has been given one.
inline float8 add_product(const float8 sum, const float8 x, const float8 y) { return sum + x * y; }

__kernel __attribute__((vec_type_hint(float8)))
void matmul_tiles__float32(
    __global float *out, __global const float *a_data, __global const float *b_data,
    const int a_start, const int a_batch, const int a_row, const int a_column,
    const int b_start, const int b_batch, const int b_row, const int b_column,
    const int a_panel, const int b_panel, const int last, const int block,
    const int out_row, const int out_column, const int batches, const int parts, const int m, const int n,
    const int depth, const int deep)
{
    const int down = (m + 5) / 6, across = (n + 15) / 16;
    const int tiles = batches * parts * down * across;
    const int chunk = (tiles + get_global_size(0) - 1) / get_global_size(0);
    const int first = get_global_id(0) * chunk;
    for (int number = first; number < min(tiles, first + chunk); number++) {
        const int each = number / (down * across);
        // Across `block` tiles, then down: their columns of b stay in the second cache, the rows of a in the first.
        const int rest = number - each * (down * across), left = rest / (down * block) * block;
        const int inside = rest - left * down, span = min(block, across - left);
        const int tile = left + inside % span, i = inside / span * 6, j = min(tile * 16, last);
        const int batch = each / parts, begin = each % parts * deep, length = min(deep, depth - begin);
        __global float *z = out + each * m * n + i * out_row + j * out_column;
        float8 sum0_0 = 0, sum0_1 = 0, sum1_0 = 0, sum1_1 = 0, sum2_0 = 0, sum2_1 = 0, sum3_0 = 0, sum3_1 = 0, sum4_0 = 0, sum4_1 = 0, sum5_0 = 0, sum5_1 = 0;
        __global const float *a0 = a_data + a_start + batch * a_batch + begin * a_column + i / 6 * a_panel;
        __global const float *a1 = a0 + min((int)1, m - 1 - i) * a_row;
        __global const float *a2 = a0 + min((int)2, m - 1 - i) * a_row;
        __global const float *a3 = a0 + min((int)3, m - 1 - i) * a_row;
        __global const float *a4 = a0 + min((int)4, m - 1 - i) * a_row;
        __global const float *a5 = a0 + min((int)5, m - 1 - i) * a_row;
        // In rows of b the last vectors end where the rows do, and cover columns of the tile before, which are not stored again.
        const int skip = (int)(tile * 16 - j), end = (int)min((int)16, n - j);
        __global const float *b = b_data + b_start + batch * b_batch + begin * b_row + tile * b_panel - skip;
        for (int k = 0; k < length; k++) {
            const int step = k * a_column;
            const float8 b0 = *(__global const float8_anywhere *)(b + 0);
            const float8 b1 = *(__global const float8_anywhere *)(b + 8);
            {
                const float8 element = (float8)(a0[step]);
                sum0_0 = add_product(sum0_0, element, b0); sum0_1 = add_product(sum0_1, element, b1);
            }
            {
                const float8 element = (float8)(a1[step]);
                sum1_0 = add_product(sum1_0, element, b0); sum1_1 = add_product(sum1_1, element, b1);
            }
            {
                const float8 element = (float8)(a2[step]);
                sum2_0 = add_product(sum2_0, element, b0); sum2_1 = add_product(sum2_1, element, b1);
            }
            {
                const float8 element = (float8)(a3[step]);
                sum3_0 = add_product(sum3_0, element, b0); sum3_1 = add_product(sum3_1, element, b1);
            }
            {
                const float8 element = (float8)(a4[step]);
                sum4_0 = add_product(sum4_0, element, b0); sum4_1 = add_product(sum4_1, element, b1);
            }
            {
                const float8 element = (float8)(a5[step]);
                sum5_0 = add_product(sum5_0, element, b0); sum5_1 = add_product(sum5_1, element, b1);
            }
            b += b_row;
        }
        if (out_column == 1 && end - skip == 16) {
            if (i + 0 < m) {
                *(__global float8_anywhere *)(z + 0 * out_row + 0) = sum0_0;
                *(__global float8_anywhere *)(z + 0 * out_row + 8) = sum0_1;
            }
            if (i + 1 < m) {
                *(__global float8_anywhere *)(z + 1 * out_row + 0) = sum1_0;
                *(__global float8_anywhere *)(z + 1 * out_row + 8) = sum1_1;
            }
            if (i + 2 < m) {
                *(__global float8_anywhere *)(z + 2 * out_row + 0) = sum2_0;
                *(__global float8_anywhere *)(z + 2 * out_row + 8) = sum2_1;
            }
            if (i + 3 < m) {
                *(__global float8_anywhere *)(z + 3 * out_row + 0) = sum3_0;
                *(__global float8_anywhere *)(z + 3 * out_row + 8) = sum3_1;
            }
            if (i + 4 < m) {
                *(__global float8_anywhere *)(z + 4 * out_row + 0) = sum4_0;
                *(__global float8_anywhere *)(z + 4 * out_row + 8) = sum4_1;
            }
            if (i + 5 < m) {
                *(__global float8_anywhere *)(z + 5 * out_row + 0) = sum5_0;
                *(__global float8_anywhere *)(z + 5 * out_row + 8) = sum5_1;
            }
        } else {
            float8 all[12] = {sum0_0, sum0_1, sum1_0, sum1_1, sum2_0, sum2_1, sum3_0, sum3_1, sum4_0, sum4_1, sum5_0, sum5_1};
            const int height = (int)min((int)6, m - i);
            for (int c = skip; c < end; c++)
                for (int r = 0; r < height; r++) z[r * out_row + c * out_column] = ((const float *)all)[r * 16 + c];
        }
    }
}

#pragma OPENCL FP_CONTRACT OFF
// A vector at any element's address, aligned or not.
typedef float8 float8_anywhere __attribute__((aligned(4)));
#define get_float(p, i) ((p)[i])
#define put_float(p, i, x) ((p)[i] = (x))
inline float8 load_float(__global const float *p, int count)
{
    if (count >= 8) return *(__global const float8_anywhere *)p;
    float8 v = 0;
    #pragma clang loop vectorize(disable) unroll(disable)
    for (int lane = 0; lane < count; lane++) ((float *)&v)[lane] = p[lane];
    return v;
}
inline void store_float(__global float *p, float8 v, int count)
{
    if (count >= 8) *(__global float8_anywhere *)p = v;
    else {
        const float8 part = v;
        #pragma clang loop vectorize(disable) unroll(disable)
        for (int lane = 0; lane < count; lane++) p[lane] = ((const float *)&part)[lane];
    }
}
typedef float4 float4_unaligned __attribute__((aligned(4)));

__kernel __attribute__((vec_type_hint(float8)))
void panels__float32(
    __global float *out, __global const float *data, const int start, const int batch_step, const int line_step, const int depth_step,
    const int batches, const int lines, const int depth)
{
    const int panels = (lines + 15) / 16, pieces = (depth + 63) / 64;
    const int total = batches * panels * pieces;
    const int chunk = (total + get_global_size(0) - 1) / get_global_size(0);
    const int first = get_global_id(0) * chunk;
    for (int number = first; number < min(total, first + chunk); number++) {
        const int panel = number / pieces % panels, batch = number / (pieces * panels);
        const int begin = number % pieces * 64;
        const int deep = (int)min((int)64, depth - begin), count = (int)min((int)16, lines - panel * 16);
        __global const float *x = data + start + batch * batch_step + panel * 16 * line_step + begin * depth_step;
        __global float *z = out + ((batch * panels + panel) * depth + begin) * 16;
        if (line_step == 1) {
            for (int k = 0; k < deep; k++) {
                store_float(z + k * 16 + 0, load_float(x + k * depth_step + 0, count - 0), 8);
                store_float(z + k * 16 + 8, load_float(x + k * depth_step + 8, count - 8), 8);
            }
            continue;
        }
        const int squares = depth_step == 1 ? deep / 4 * 4 : 0, joined = count / 4 * 4;
        for (int k = 0; k < squares; k += 4) {
            for (int line = 0; line < joined; line += 4) {
                const float4 x0 = *(__global const float4_unaligned *)(x + (line + 0) * line_step + k);
                const float4 x1 = *(__global const float4_unaligned *)(x + (line + 1) * line_step + k);
                const float4 x2 = *(__global const float4_unaligned *)(x + (line + 2) * line_step + k);
                const float4 x3 = *(__global const float4_unaligned *)(x + (line + 3) * line_step + k);
                *(__global float4_unaligned *)(z + (k + 0) * 16 + line) = (float4)(x0.s0, x1.s0, x2.s0, x3.s0);
                *(__global float4_unaligned *)(z + (k + 1) * 16 + line) = (float4)(x0.s1, x1.s1, x2.s1, x3.s1);
                *(__global float4_unaligned *)(z + (k + 2) * 16 + line) = (float4)(x0.s2, x1.s2, x2.s2, x3.s2);
                *(__global float4_unaligned *)(z + (k + 3) * 16 + line) = (float4)(x0.s3, x1.s3, x2.s3, x3.s3);
            }
        }
        for (int k = 0; k < deep; k++)
            for (int line = k < squares ? joined : 0; line < 16; line++)
            z[k * 16 + line] = line < count ? x[line * line_step + k * depth_step] : (float)0;
    }
}
