#pragma OPENCL FP_CONTRACT OFF
#define get_float(p, i) ((p)[i])
#define put_float(p, i, x) ((p)[i] = (x))
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
inline float tanh_float(float x)
{
    const float size = fabs(x), rise = expm1(2 * (size > 22 ? (float)(22) : size)); // from there on the quotient is 1; PoCL's tanh never is
    return copysign(rise / (rise + 2), x);
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
