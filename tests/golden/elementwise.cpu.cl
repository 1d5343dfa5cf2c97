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
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
inline float8 tanh_float8(float8 x)
{
    const float8 size = fabs(x), rise = expm1(2 * (size > 22 ? (float8)(22) : size)); // from there on the quotient is 1; PoCL's tanh never is
    return copysign(rise / (rise + 2), x);
}

__kernel __attribute__((vec_type_hint(float8)))
void multiply_add_tanh__float32_1d(
    __global float *z0_data,
    const int z0_start,
    __global const float *a0_data,
    const int a0_start,
    __global const float *a1_data,
    const int a1_start,
    const float s0_given,
    const int n)
{
    const float8 s0 = (float8)(s0_given);
    const int chunk = ((n + 7) / 8 + get_global_size(0) - 1) / get_global_size(0) * 8;
    const int begin = get_global_id(0) * chunk, end = begin < n ? min(n, begin + chunk) : begin;
    for (int at = begin; at < end; at += 8) {
        const int count = (int)min((int)8, end - at);
        {
            const float8 a0 = load_float(a0_data + a0_start + at, count);
            const float8 a1 = load_float(a1_data + a1_start + at, count);
            const float8 t0 = a0 * a1;
            const float8 t1 = t0 + s0;
            const float8 t2 = tanh_float8(t1);
            store_float(z0_data + z0_start + at, t2, count);
        }
    }
}
