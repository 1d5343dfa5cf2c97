#pragma OPENCL FP_CONTRACT OFF
#define get_float(p, i) ((p)[i])
#define put_float(p, i, x) ((p)[i] = (x))
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
// exp(x) - 1 for |x| < 0.35, for small x with all its digits. An own fit.
inline float near_rise_float(float x)
{
    #pragma OPENCL FP_CONTRACT ON
    const float rest = ((((0.00138825113f) * x + 0.00836658034f) * x + 0.0416672018f) * x + 0.166665432f) * x + 0.499999981f;
    return x + x * x * rest;
}
// exp(x) = 2^n (1 + rise), for |x| < 2^20: the rise, and n in the low bits of `turns`.
inline float rise_float(float x, uint *turns)
{
    #pragma OPENCL FP_CONTRACT ON
    const float shifted = x * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f; // at 1.5 * 2^23 the last bit is worth 1
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f; // log(2) in two parts; the first product is exact
    *turns = as_uint(shifted);
    return near_rise_float(r);
}

// 2^n for -127 < n < 128.
inline float power_of_two_float(uint turns) { return as_float((turns << 23) + 0x3f800000u); }
// 1 / x for x from 1 to 2, to a unit in the last place: two steps of Newton's method from an own fit. A division takes longer.
inline float inverse_float(float x)
{
    #pragma OPENCL FP_CONTRACT ON
    float y = ((0.323232323f) * x + -1.45454545f) * x + 2.12121212f;
    y = y + y * (1 - x * y);
    return y + y * (1 - x * y);
}
inline float tanh_float(float x)
{
    #pragma OPENCL FP_CONTRACT ON
    const float size = fabs(x), near = size > 22 ? (float)(22) : size; // from there on it is 1; PoCL's tanh never is
    uint turns;
    const float rise = rise_float(-2 * near, &turns), scale = power_of_two_float(turns);
    const float fall = rise * scale + (scale - 1); // exp(-2 |x|) - 1
    return copysign(fall * inverse_float(2 + fall), x);
}

__kernel void multiply_add_tanh__float32_1d(
    __global float *z0_data,
    const int z0_start,
    __global const float *a0_data,
    const int a0_start,
    __global const float *a1_data,
    const int a1_start,
    const float s0_given,
    const int n)
{
    const float s0 = (float)(s0_given);
    for (int at = get_global_id(0); at < n; at += get_global_size(0)) {
        {
            const float a0 = get_float(a0_data, a0_start + at);
            const float a1 = get_float(a1_data, a1_start + at);
            const float t0 = a0 * a1;
            const float t1 = t0 + s0;
            const float t2 = tanh_float(t1);
            put_float(z0_data, z0_start + at, t2);
        }
    }
}
