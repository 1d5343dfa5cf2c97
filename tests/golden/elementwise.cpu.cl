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
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
// exp(x) - 1 for |x| < 0.35, for small x with all its digits. An own fit.
inline float8 near_rise_float8(float8 x)
{
    #pragma OPENCL FP_CONTRACT ON
    const float8 rest = ((((0.00138825113f) * x + 0.00836658034f) * x + 0.0416672018f) * x + 0.166665432f) * x + 0.499999981f;
    return x + x * x * rest;
}
// exp(x) = 2^n (1 + rise), for |x| < 2^20: the rise, and n in the low bits of `turns`.
inline float8 rise_float8(float8 x, uint8 *turns)
{
    #pragma OPENCL FP_CONTRACT ON
    const float8 shifted = x * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f; // at 1.5 * 2^23 the last bit is worth 1
    const float8 r = (x - n * 0.693359375f) - n * -2.12194440e-4f; // log(2) in two parts; the first product is exact
    *turns = as_uint8(shifted);
    return near_rise_float8(r);
}

// 2^n for -127 < n < 128.
inline float8 power_of_two_float8(uint8 turns) { return as_float8((turns << 23) + 0x3f800000u); }
// 1 / x for x from 1 to 2, to a unit in the last place: two steps of Newton's method from an own fit. A division takes longer.
inline float8 inverse_float8(float8 x)
{
    #pragma OPENCL FP_CONTRACT ON
    float8 y = ((0.323232323f) * x + -1.45454545f) * x + 2.12121212f;
    y = y + y * (1 - x * y);
    return y + y * (1 - x * y);
}
inline float8 tanh_float8(float8 x)
{
    #pragma OPENCL FP_CONTRACT ON
    const float8 size = fabs(x), near = size > 22 ? (float8)(22) : size; // from there on it is 1; PoCL's tanh never is
    uint8 turns;
    const float8 rise = rise_float8(-2 * near, &turns), scale = power_of_two_float8(turns);
    const float8 fall = rise * scale + (scale - 1); // exp(-2 |x|) - 1
    return copysign(fall * inverse_float8(2 + fall), x);
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
