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
void subtract__float32_2d(
    __global float *z0_data,
    const int z0_start,
    __global const float *a0_data,
    const int a0_start,
    const int a0_v0,
    const int a0_v1,
    const float s0_given,
    const int n,
    const int n0,
    const int n1)
{
    const float8 s0 = (float8)(s0_given);
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
            float8 a0;
            if (in_row) {
                const int first = a0_start + k0 * a0_v0 + k1 * a0_v1;
                float8 part = 0;
                for (int lane = 0; lane < count; lane++)
                    ((float *)&part)[lane] = get_float(a0_data, first + lane * a0_v1);
                a0 = part;
            }
            else {
                float8 part = 0;
                int p = a0_start + k0 * a0_v0 + k1 * a0_v1, j1 = k1;
                for (int lane = 0; lane < count; lane++, p += a0_v1) {
                    ((float *)&part)[lane] = get_float(a0_data, p);
                    if (++j1 == n1) {
                        j1 = 0;
                        p += a0_v0 - n1 * a0_v1;
                    }
                }
                a0 = part;
            }
            const float8 t0 = a0 - s0;
            store_float(z0_data + z0_start + at, t0, count);
        }
        k1 += 8;
        while (k1 >= n1) { k1 -= n1; k0++; }
    }
}
