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
// Drivers make calls of shuffle2.
#ifdef __clang__
#define pick_float(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
#define pick_float(x, y, ...) shuffle2(x, y, (uint8)(__VA_ARGS__))
#endif
inline void turn_tile_float(float8 *tile)
{
    float8 swapped;
    float8 r0 = tile[0];
    float8 r1 = tile[1];
    float8 r2 = tile[2];
    float8 r3 = tile[3];
    float8 r4 = tile[4];
    float8 r5 = tile[5];
    float8 r6 = tile[6];
    float8 r7 = tile[7];
    swapped = pick_float(r0, r4, 0, 1, 2, 3, 8, 9, 10, 11);
    r4 = pick_float(r0, r4, 4, 5, 6, 7, 12, 13, 14, 15);
    r0 = swapped;
    swapped = pick_float(r1, r5, 0, 1, 2, 3, 8, 9, 10, 11);
    r5 = pick_float(r1, r5, 4, 5, 6, 7, 12, 13, 14, 15);
    r1 = swapped;
    swapped = pick_float(r2, r6, 0, 1, 2, 3, 8, 9, 10, 11);
    r6 = pick_float(r2, r6, 4, 5, 6, 7, 12, 13, 14, 15);
    r2 = swapped;
    swapped = pick_float(r3, r7, 0, 1, 2, 3, 8, 9, 10, 11);
    r7 = pick_float(r3, r7, 4, 5, 6, 7, 12, 13, 14, 15);
    r3 = swapped;
    swapped = pick_float(r0, r2, 0, 1, 8, 9, 4, 5, 12, 13);
    r2 = pick_float(r0, r2, 2, 3, 10, 11, 6, 7, 14, 15);
    r0 = swapped;
    swapped = pick_float(r1, r3, 0, 1, 8, 9, 4, 5, 12, 13);
    r3 = pick_float(r1, r3, 2, 3, 10, 11, 6, 7, 14, 15);
    r1 = swapped;
    swapped = pick_float(r4, r6, 0, 1, 8, 9, 4, 5, 12, 13);
    r6 = pick_float(r4, r6, 2, 3, 10, 11, 6, 7, 14, 15);
    r4 = swapped;
    swapped = pick_float(r5, r7, 0, 1, 8, 9, 4, 5, 12, 13);
    r7 = pick_float(r5, r7, 2, 3, 10, 11, 6, 7, 14, 15);
    r5 = swapped;
    swapped = pick_float(r0, r1, 0, 8, 2, 10, 4, 12, 6, 14);
    r1 = pick_float(r0, r1, 1, 9, 3, 11, 5, 13, 7, 15);
    r0 = swapped;
    swapped = pick_float(r2, r3, 0, 8, 2, 10, 4, 12, 6, 14);
    r3 = pick_float(r2, r3, 1, 9, 3, 11, 5, 13, 7, 15);
    r2 = swapped;
    swapped = pick_float(r4, r5, 0, 8, 2, 10, 4, 12, 6, 14);
    r5 = pick_float(r4, r5, 1, 9, 3, 11, 5, 13, 7, 15);
    r4 = swapped;
    swapped = pick_float(r6, r7, 0, 8, 2, 10, 4, 12, 6, 14);
    r7 = pick_float(r6, r7, 1, 9, 3, 11, 5, 13, 7, 15);
    r6 = swapped;
    tile[0] = r0;
    tile[1] = r1;
    tile[2] = r2;
    tile[3] = r3;
    tile[4] = r4;
    tile[5] = r5;
    tile[6] = r6;
    tile[7] = r7;
}
inline void load_tile_float(__global const float *p, int stride, int count, int height, float8 *tile)
{
    if (count < 8 || height < 8) {
        for (int line = 0; line < height; line++) tile[line] = 0;
        for (int lane = 0; lane < count; lane++)
            for (int line = 0; line < height; line++) ((float *)(tile + line))[lane] = p[lane * stride + line];
        return;
    }
    tile[0] = *(__global const float8_anywhere *)(p + 0 * stride);
    tile[1] = *(__global const float8_anywhere *)(p + 1 * stride);
    tile[2] = *(__global const float8_anywhere *)(p + 2 * stride);
    tile[3] = *(__global const float8_anywhere *)(p + 3 * stride);
    tile[4] = *(__global const float8_anywhere *)(p + 4 * stride);
    tile[5] = *(__global const float8_anywhere *)(p + 5 * stride);
    tile[6] = *(__global const float8_anywhere *)(p + 6 * stride);
    tile[7] = *(__global const float8_anywhere *)(p + 7 * stride);
    turn_tile_float(tile);
}

__kernel __attribute__((vec_type_hint(float8)))
void add__float32_2d(
    __global float *z0_data,
    const int z0_start,
    const int z0_v0,
    const int z0_v1,
    __global const float *a0_data,
    const int a0_start,
    const int a0_v0,
    const int a0_v1,
    __global const float *a1_data,
    const int a1_start,
    const int a1_v0,
    const int a1_v1,
    const int n,
    const int n0,
    const int n1)
{
    const int side = 64;
    const int across = (n1 + side - 1) / side, down = (n0 + side - 1) / side;
    const int blocks = across * down;
    const int share = (blocks + get_global_size(0) - 1) / get_global_size(0);
    const int begin = min(blocks, (int)get_global_id(0) * share), end = min(blocks, begin + share);
    for (int number = begin; number < end; number++) {
        int rest = number;
        const int left = rest % across * side;
        rest /= across;
        const int top = rest % down * side;
        rest /= down;
        for (int tile = 0; tile < 64; tile++) {
            const int first_line = top + tile / 8 * 8, k1 = left + tile % 8 * 8;
            if (first_line >= n0 || k1 >= n1) continue;
            const int height = (int)min((int)8, n0 - first_line), count = (int)min((int)8, n1 - k1);
            int k0 = first_line;
            float8 a0_tile[8];
            load_tile_float(a0_data + a0_start + k0 * a0_v0 + k1 * a0_v1, a0_v1, count, height, a0_tile);
            for (int line = 0; line < height; line++, k0++) {
                const float8 a0 = a0_tile[line];
                float8 a1;
                {
                    const int first = a1_start + k0 * a1_v0 + k1 * a1_v1;
                    a1 = (float8)(get_float(a1_data, first));
                }
                const float8 t0 = a0 + a1;
                {
                    const int first = z0_start + k0 * z0_v0 + k1 * z0_v1;
                    store_float(z0_data + first, t0, count);
                }
            }
        }
    }
}
