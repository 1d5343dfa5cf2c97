#pragma OPENCL FP_CONTRACT OFF
#define get_float(p, i) ((p)[i])
#define put_float(p, i, x) ((p)[i] = (x))

__kernel void add__float32_2d(
    __global float *z0_data,
    const int z0_start,
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
    for (int at = get_global_id(0); at < n; at += get_global_size(0)) {
        int k0, k1;
        {
            int rest = at;
            k1 = rest % n1;
            rest /= n1;
            k0 = rest;
        }
        {
            const float a0 = get_float(a0_data, a0_start + k0 * a0_v0 + k1 * a0_v1);
            const float a1 = get_float(a1_data, a1_start + k0 * a1_v0 + k1 * a1_v1);
            const float t0 = a0 + a1;
            put_float(z0_data, z0_start + at, t0);
        }
    }
}
