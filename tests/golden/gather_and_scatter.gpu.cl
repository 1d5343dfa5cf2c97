#pragma OPENCL FP_CONTRACT OFF
#define get_long(p, i) ((p)[i])
#define put_long(p, i, x) ((p)[i] = (x))

__kernel void maximum_minimum__int64_1d(
    __global long *z0_data,
    const int z0_start,
    __global const long *a0_data,
    const int a0_start,
    const long s0_given,
    const long s1_given,
    const int n)
{
    const long s0 = (long)(s0_given);
    const long s1 = (long)(s1_given);
    for (int at = get_global_id(0); at < n; at += get_global_size(0)) {
        {
            const long a0 = get_long(a0_data, a0_start + at);
            const long t0 = a0 > s0 ? a0 : s0;
            const long t1 = t0 < s1 ? t0 : s1;
            put_long(z0_data, z0_start + at, t1);
        }
    }
}

__kernel void gather__float32(
    __global float *out, __global const float *data, const long data_start, __global const long *indices, const long indices_start,
    const long outer, const long n, const long inner, const long picked)
{
    const long size = outer * picked * inner;
    for (long at = get_global_id(0); at < size; at += get_global_size(0)) {
        const long i = at % inner, j = at / inner % picked, o = at / (inner * picked);
        out[at] = data[data_start + (o * n + indices[indices_start + j]) * inner + i];
    }
}

#pragma OPENCL FP_CONTRACT OFF
#define get_float(p, i) ((p)[i])
#define put_float(p, i, x) ((p)[i] = (x))

__kernel void full__float32_1d(
    __global float *z0_data,
    const int z0_start,
    const float s0_given,
    const int n)
{
    const float s0 = (float)(s0_given);
    for (int at = get_global_id(0); at < n; at += get_global_size(0)) {
        {
            const float t0 = s0;
            put_float(z0_data, z0_start + at, t0);
        }
    }
}

#pragma OPENCL FP_CONTRACT OFF

__kernel void add_at__float32(
    __global float *out,
    __global const float *data,
    const long data_start,
    __global const long *indices,
    const long indices_start,
    const long outer,
    const long n,
    const long inner,
    const long picked,
    const long columns,
    const long begin,
    const long end)
{
    const long chunk = (n + get_global_size(0) - 1) / get_global_size(0);
    const long from = min(n, (long)get_global_id(0) * chunk), to = min(n, from + chunk);
    const long across = (inner + columns - 1) / columns;
    const long o = get_global_id(1) / across, left = get_global_id(1) % across * columns, right = min(inner, left + columns);
    if (o >= outer) return;
    if (begin == 0)
        for (long row = from; row < to; row++)
        for (long i = left; i < right; i++) out[(o * n + row) * inner + i] = 0;
    for (long j = begin; j < end; j++) {
        const long row = indices[indices_start + j];
        for (long i = row >= from && row < to ? left : right; i < right; i++) {
            const long z = (o * n + row) * inner + i;
            out[z] = (float)((float)out[z] + (float)data[data_start + (o * picked + j) * inner + i]);
        }
    }
}
