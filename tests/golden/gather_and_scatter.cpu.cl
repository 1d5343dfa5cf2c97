#pragma OPENCL FP_CONTRACT OFF
// A vector at any element's address, aligned or not.
typedef long8 long8_anywhere __attribute__((aligned(8)));
#define get_long(p, i) ((p)[i])
#define put_long(p, i, x) ((p)[i] = (x))
inline long8 load_long(__global const long *p, int count)
{
    if (count >= 8) return *(__global const long8_anywhere *)p;
    long8 v = 0;
    for (int lane = 0; lane < count; lane++) ((long *)&v)[lane] = p[lane];
    return v;
}
inline void store_long(__global long *p, long8 v, int count)
{
    if (count >= 8) *(__global long8_anywhere *)p = v;
    else for (int lane = 0; lane < count; lane++) p[lane] = ((long *)&v)[lane];
}

__kernel void maximum_minimum__int64_1d(
    __global long *z0_data,
    const int z0_start,
    __global const long *a0_data,
    const int a0_start,
    const long s0_given,
    const long s1_given,
    const int n)
{
    const long8 s0 = (long8)(s0_given);
    const long8 s1 = (long8)(s1_given);
    const int chunk = ((n + 7) / 8 + get_global_size(0) - 1) / get_global_size(0) * 8;
    const int begin = get_global_id(0) * chunk, end = begin < n ? min(n, begin + chunk) : begin;
    for (int at = begin; at < end; at += 8) {
        const int count = (int)min((int)8, end - at);
        {
            const long8 a0 = load_long(a0_data + a0_start + at, count);
            const long8 t0 = a0 > s0 ? a0 : s0;
            const long8 t1 = t0 < s1 ? t0 : s1;
            store_long(z0_data + z0_start + at, t1, count);
        }
    }
}

__kernel void gather__float32(
    __global float *out, __global const float *data, const long data_start, __global const long *indices, const long indices_start,
    const long outer, const long n, const long inner, const long picked)
{
    const long size = outer * picked * inner;
    const long share = (size + get_global_size(0) - 1) / get_global_size(0);
    const long begin = get_global_id(0) * share, end = begin < size ? min(size, begin + share) : begin;
    for (long at = begin; at < end; at++) {
        const long i = at % inner, j = at / inner % picked, o = at / (inner * picked);
        out[at] = data[data_start + (o * n + indices[indices_start + j]) * inner + i];
    }
}

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

__kernel void full__float32_1d(
    __global float *z0_data,
    const int z0_start,
    const float s0_given,
    const int n)
{
    const float8 s0 = (float8)(s0_given);
    const int chunk = ((n + 7) / 8 + get_global_size(0) - 1) / get_global_size(0) * 8;
    const int begin = get_global_id(0) * chunk, end = begin < n ? min(n, begin + chunk) : begin;
    for (int at = begin; at < end; at += 8) {
        const int count = (int)min((int)8, end - at);
        {
            const float8 t0 = s0;
            store_float(z0_data + z0_start + at, t0, count);
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
