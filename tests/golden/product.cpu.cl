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

// A function, since PoCL's compiler takes vectors as wide as the device's only where a function has been given one.
inline float8 add_product(const float8 sum, const float8 x, const float8 y) { return sum + x * y; }

__kernel void matmul_tiles__float32(
    __global float *out, __global const float *a_data, __global const float *b_data,
    const int a_start, const int a_batch, const int a_row, const int a_column,
    const int b_start, const int b_batch, const int b_row, const int b_column,
    const int a_panel, const int b_panel, const int b_end, const int block,
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
        const int i = inside / span * 6, j = (left + inside % span) * 16;
        const int batch = each / parts, begin = each % parts * deep, length = min(deep, depth - begin);
        __global float *z = out + each * m * n + i * out_row + j * out_column;
        float8 sum0_0 = 0, sum0_1 = 0, sum1_0 = 0, sum1_1 = 0, sum2_0 = 0, sum2_1 = 0, sum3_0 = 0, sum3_1 = 0, sum4_0 = 0, sum4_1 = 0, sum5_0 = 0, sum5_1 = 0;
        __global const float *a0 = a_data + a_start + batch * a_batch + begin * a_column + i / 6 * a_panel;
        __global const float *a1 = a0 + min((int)1, m - 1 - i) * a_row;
        __global const float *a2 = a0 + min((int)2, m - 1 - i) * a_row;
        __global const float *a3 = a0 + min((int)3, m - 1 - i) * a_row;
        __global const float *a4 = a0 + min((int)4, m - 1 - i) * a_row;
        __global const float *a5 = a0 + min((int)5, m - 1 - i) * a_row;
        const int start = b_start + batch * b_batch + begin * b_row + j / 16 * b_panel;
        __global const float *b = b_data + start;
        const int count = (int)min((int)16, n - j);
        // Where vectors end inside the array, what is there past the last column does no harm: those sums are not stored. Elsewhere the last
        // column stands for those past it. (Loads by way of an array would cost the registers of the sums on some drivers.)
        const int room = b_end - 16 - start;
        const int whole = room < 0 ? 0 : (length - 1) * b_row <= room ? length : room / b_row + 1;
        const int last = count - 1;
        int k = 0;
        for (; k < whole; k++) {
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
        for (; k < length; k++) {
            const int step = k * a_column;
            const float8 b0 = (float8)(b[min(0, last)], b[min(1, last)], b[min(2, last)], b[min(3, last)], b[min(4, last)], b[min(5, last)], b[min(6, last)], b[min(7, last)]);
            const float8 b1 = (float8)(b[min(8, last)], b[min(9, last)], b[min(10, last)], b[min(11, last)], b[min(12, last)], b[min(13, last)], b[min(14, last)], b[min(15, last)]);
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
        if (out_column == 1 && count == 16) {
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
            float8 tile[12] = {sum0_0, sum0_1, sum1_0, sum1_1, sum2_0, sum2_1, sum3_0, sum3_1, sum4_0, sum4_1, sum5_0, sum5_1};
            const int height = (int)min((int)6, m - i);
            for (int c = 0; c < count; c++)
                for (int r = 0; r < height; r++) z[r * out_row + c * out_column] = ((const float *)tile)[r * 16 + c];
        }
    }
}

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

// A function, since PoCL's compiler takes vectors as wide as the device's only where a function has been given one.
inline float8 add_product(const float8 sum, const float8 x, const float8 y) { return sum + x * y; }

// The elements from `done` on, in the last vector that lies inside the line; the others are zeros.
inline float8 load_rest(__global const float *line, const int done, const int length)
{
    if (length < 8) return load_float(line, length);
    const float8 x = *(__global const float8_anywhere *)(line + length - 8);
    const int first = (int)(done + 8 - length);
    return (float8)(0 >= first ? x.s0 : 0, 1 >= first ? x.s1 : 0, 2 >= first ? x.s2 : 0, 3 >= first ? x.s3 : 0, 4 >= first ? x.s4 : 0, 5 >= first ? x.s5 : 0, 6 >= first ? x.s6 : 0, 7 >= first ? x.s7 : 0);
}

__kernel void matmul_dots__float32(
    __global float *out, __global const float *a_data, __global const float *b_data,
    const int a_start, const int a_batch, const int a_row, const int a_column,
    const int b_start, const int b_batch, const int b_row, const int b_column,
    const int out_row, const int out_column, const int batches, const int parts, const int m, const int n,
    const int depth, const int deep)
{
    const int down = (m + 3) / 4, across = (n + 1) / 2;
    const int tiles = batches * parts * down * across;
    const int chunk = (tiles + get_global_size(0) - 1) / get_global_size(0);
    const int first = get_global_id(0) * chunk;
    for (int number = first; number < min(tiles, first + chunk); number++) {
        const int each = number / (down * across);
        const int i = number % down * 4, j = number / down % across * 2;
        const int batch = each / parts, begin = each % parts * deep, length = min(deep, depth - begin);
        __global float *z = out + each * m * n + i * out_row + j * out_column;
        float8 sum0_0 = 0, sum0_1 = 0, sum1_0 = 0, sum1_1 = 0, sum2_0 = 0, sum2_1 = 0, sum3_0 = 0, sum3_1 = 0;
        __global const float *a0 = a_data + a_start + batch * a_batch + begin + i * a_row;
        __global const float *a1 = a0 + min((int)1, m - 1 - i) * a_row;
        __global const float *a2 = a0 + min((int)2, m - 1 - i) * a_row;
        __global const float *a3 = a0 + min((int)3, m - 1 - i) * a_row;
        __global const float *b0 = b_data + b_start + batch * b_batch + begin + j * b_column;
        __global const float *b1 = b0 + min((int)1, n - 1 - j) * b_column;
        int k = 0;
        for (; k + 8 <= length; k += 8) {
            const float8 b0_k = *(__global const float8_anywhere *)(b0 + k);
            const float8 b1_k = *(__global const float8_anywhere *)(b1 + k);
            {
                const float8 elements = *(__global const float8_anywhere *)(a0 + k);
                sum0_0 = add_product(sum0_0, elements, b0_k); sum0_1 = add_product(sum0_1, elements, b1_k);
            }
            {
                const float8 elements = *(__global const float8_anywhere *)(a1 + k);
                sum1_0 = add_product(sum1_0, elements, b0_k); sum1_1 = add_product(sum1_1, elements, b1_k);
            }
            {
                const float8 elements = *(__global const float8_anywhere *)(a2 + k);
                sum2_0 = add_product(sum2_0, elements, b0_k); sum2_1 = add_product(sum2_1, elements, b1_k);
            }
            {
                const float8 elements = *(__global const float8_anywhere *)(a3 + k);
                sum3_0 = add_product(sum3_0, elements, b0_k); sum3_1 = add_product(sum3_1, elements, b1_k);
            }
        }
        if (k < length) {
            const float8 b0_k = load_rest(b0, k, length);
            const float8 b1_k = load_rest(b1, k, length);
            {
                const float8 elements = load_rest(a0, k, length);
                sum0_0 = add_product(sum0_0, elements, b0_k); sum0_1 = add_product(sum0_1, elements, b1_k);
            }
            {
                const float8 elements = load_rest(a1, k, length);
                sum1_0 = add_product(sum1_0, elements, b0_k); sum1_1 = add_product(sum1_1, elements, b1_k);
            }
            {
                const float8 elements = load_rest(a2, k, length);
                sum2_0 = add_product(sum2_0, elements, b0_k); sum2_1 = add_product(sum2_1, elements, b1_k);
            }
            {
                const float8 elements = load_rest(a3, k, length);
                sum3_0 = add_product(sum3_0, elements, b0_k); sum3_1 = add_product(sum3_1, elements, b1_k);
            }
        }
        // Fold the vectors pair by pair, the halves of one beside those of the other, until each is a lane of one vector.
        sum0_0 = (float8)(sum0_0.s0123, sum0_1.s0123) + (float8)(sum0_0.s4567, sum0_1.s4567);
        sum1_0 = (float8)(sum1_0.s0123, sum1_1.s0123) + (float8)(sum1_0.s4567, sum1_1.s4567);
        sum2_0 = (float8)(sum2_0.s0123, sum2_1.s0123) + (float8)(sum2_0.s4567, sum2_1.s4567);
        sum3_0 = (float8)(sum3_0.s0123, sum3_1.s0123) + (float8)(sum3_0.s4567, sum3_1.s4567);
        sum0_0 = (float8)(sum0_0.s0145, sum1_0.s0145) + (float8)(sum0_0.s2367, sum1_0.s2367);
        sum2_0 = (float8)(sum2_0.s0145, sum3_0.s0145) + (float8)(sum2_0.s2367, sum3_0.s2367);
        sum0_0 = (float8)(sum0_0.s0246, sum2_0.s0246) + (float8)(sum0_0.s1357, sum2_0.s1357);
        if (i + 0 < m && j + 0 < n) z[0 * out_row + 0 * out_column] = sum0_0.s0;
        if (i + 0 < m && j + 1 < n) z[0 * out_row + 1 * out_column] = sum0_0.s1;
        if (i + 1 < m && j + 0 < n) z[1 * out_row + 0 * out_column] = sum0_0.s2;
        if (i + 1 < m && j + 1 < n) z[1 * out_row + 1 * out_column] = sum0_0.s3;
        if (i + 2 < m && j + 0 < n) z[2 * out_row + 0 * out_column] = sum0_0.s4;
        if (i + 2 < m && j + 1 < n) z[2 * out_row + 1 * out_column] = sum0_0.s5;
        if (i + 3 < m && j + 0 < n) z[3 * out_row + 0 * out_column] = sum0_0.s6;
        if (i + 3 < m && j + 1 < n) z[3 * out_row + 1 * out_column] = sum0_0.s7;
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
    for (int lane = 0; lane < count; lane++) ((float *)&v)[lane] = p[lane];
    return v;
}
inline void store_float(__global float *p, float8 v, int count)
{
    if (count >= 8) *(__global float8_anywhere *)p = v;
    else for (int lane = 0; lane < count; lane++) p[lane] = ((float *)&v)[lane];
}
typedef float4 float4_unaligned __attribute__((aligned(4)));

__kernel void panels__float32(
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
