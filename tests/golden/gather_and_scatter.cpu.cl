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
void gather_rows__float32__int64_clip(
    __global float *restrict out, __global const float *restrict data, const long data_start,
    __global const long *restrict indices, const long indices_start,
    const long outer, const long rows, const long inner, const long picked, const long run)
{
    data += data_start;
    indices += indices_start;
    const long n0 = outer, n1 = picked, n2 = (inner + run - 1) / run;
    const long n = n0 * n1 * n2;
    const long share = (n + get_global_size(0) - 1) / get_global_size(0);
    const long first = min(n, (long)get_global_id(0) * share), last = min(n, first + share);
    long k0, k1, k2;
    {
        long rest = first;
        k2 = rest % n2;
        rest /= n2;
        k1 = rest % n1;
        rest /= n1;
        k0 = rest;
    }
    for (long at = first; at < last; at++) {
        const long own = indices[k1];
        const long left = k2 * run, count = min(run, inner - left);
        __global const float *from = data + (k0 * rows + clamp(own, 0L, rows - 1)) * inner + left;
        __global float *to = out + (k0 * picked + k1) * inner + left;
        long i = 0;
        for (; i + 8 <= count; i += 8) store_float(to + i, load_float(from + i, 8), 8);
        for (; i < count; i++) to[i] = from[i];
        k2 += 1;
        while (k2 >= n2) { k2 -= n2; k1++; }
        while (k1 >= n1) { k1 -= n1; k0++; }
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
void full__float32_1d(
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
void add__float32__int64_clip(
    __global float *restrict out, __global const float *restrict data, const long data_start,
    __global const long *restrict indices, const long indices_start,
    const long outer, const long rows, const long inner, const long picked,
    const long depth, const long width, const long parts, const long begin, const long end)
{
    const long columns = (inner + width - 1) / width, part = get_global_id(0) % parts, rest = get_global_id(0) / parts;
    const long left = rest % columns * width, count = min(width, inner - left);
    const long first = rest / columns * depth, last = min(outer, first + depth);
    data += data_start + left;
    indices += indices_start;
    out += left;
    for (long o = first; o < last; o++) {
        for (long j = begin; j < end; j++) {
            const long own = indices[j];
            const long row = clamp(own, 0L, rows - 1);
            if ((row / 16 & (parts - 1)) != part) continue;
            __global const float *from = data + (o * picked + j) * inner;
            __global float *to = out + (o * rows + row) * inner;
            long i = 0;
            for (; i + 8 <= count; i += 8) store_float(to + i, load_float(to + i, 8) + load_float(from + i, 8), 8);
            for (; i + 1 <= count; i += 1) to[i] = to[i] + from[i];
        }
    }
}
