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

__kernel __attribute__((vec_type_hint(float8)))
void multiply_add__float32_2d(
    __global float *z0_data,
    const int z0_start,
    __global const float *a0_data,
    const int a0_start,
    __global const float *a1_data,
    const int a1_start,
    const int a1_v0,
    const int a1_v1,
    __global const float *a2_data,
    const int a2_start,
    const int a2_v0,
    const int a2_v1,
    const int n,
    const int n0,
    const int n1)
{
    const int chunk = ((n + 7) / 8 + get_global_size(0) - 1) / get_global_size(0) * 8;
    const int begin = get_global_id(0) * chunk, end = begin < n ? min(n, begin + chunk) : begin;
    int k0, k1;
    {
        int rest = begin;
        k1 = rest % n1;
        rest /= n1;
        k0 = rest;
    }
    for (int at = begin; at < end; at += 8) {
        const int count = (int)min((int)8, end - at);
        const int in_row = k1 + count <= n1;
        {
            const float8 a0 = load_float(a0_data + a0_start + at, count);
            float8 a1;
            if (in_row) {
                const int first = a1_start + k0 * a1_v0 + k1 * a1_v1;
                a1 = load_float(a1_data + first, count);
            }
            else {
                float8 part = 0;
                int p = a1_start + k0 * a1_v0 + k1 * a1_v1, j1 = k1;
                for (int lane = 0; lane < count; lane++, p += a1_v1) {
                    ((float *)&part)[lane] = get_float(a1_data, p);
                    if (++j1 == n1) {
                        j1 = 0;
                        p += a1_v0 - n1 * a1_v1;
                    }
                }
                a1 = part;
            }
            float8 a2;
            if (in_row) {
                const int first = a2_start + k0 * a2_v0 + k1 * a2_v1;
                a2 = (float8)(get_float(a2_data, first));
            }
            else {
                float8 part = 0;
                int p = a2_start + k0 * a2_v0 + k1 * a2_v1, j1 = k1;
                for (int lane = 0; lane < count; lane++, p += a2_v1) {
                    ((float *)&part)[lane] = get_float(a2_data, p);
                    if (++j1 == n1) {
                        j1 = 0;
                        p += a2_v0 - n1 * a2_v1;
                    }
                }
                a2 = part;
            }
            const float8 t0 = a0 * a1;
            const float8 t1 = t0 + a2;
            store_float(z0_data + z0_start + at, t1, count);
        }
        k1 += 8;
        while (k1 >= n1) { k1 -= n1; k0++; }
    }
}
