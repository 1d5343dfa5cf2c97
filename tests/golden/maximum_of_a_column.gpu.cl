#pragma OPENCL FP_CONTRACT OFF
#define get_float(p, i) ((p)[i])
#define put_float(p, i, x) ((p)[i] = (x))

inline float join(float a, float b) { return ((a > b) | (a != a)) ? a : b; }

__kernel void abs_max__float32_1d(
    __global float *out,
    const int keep,
    const int length,
    __global float *z0_data,
    const int z0_start,
    const int z0_s0,
    __global const float *a0_data,
    const int a0_start,
    const int a0_s0,
    const int m0)
{
    const int segments = get_global_size(1), segment = get_global_id(1);
    const int part = ((length + segments - 1) / segments + 0) / 1 * 1;
    const int from = min(length, segment * part), to = min(length, from + part);
    for (int at = get_global_id(0); at < keep; at += get_global_size(0)) {
        float total = -INFINITY;
        int i0;
        {
            int rest = from;
            i0 = rest;
        }
        for (int r = from; r < to; r++) {
            const int z0_shift = i0 * z0_s0;
            const int a0_shift = i0 * a0_s0;
            const float a0 = get_float(a0_data, a0_start + a0_shift + at);
            const float t0 = fabs(a0);
            put_float(z0_data, z0_start + z0_shift + at, t0);
            const float value = t0;
            total = join(total, value);
            i0 += 1;
        }
        {
            const float x = total;
            put_float(out, segment * keep + at, x);
        }
    }
}
