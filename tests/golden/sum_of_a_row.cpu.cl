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
inline float8 exp_float8(float8 x)
{
    uint8 turns;
    const float8 rise = rise_float8(x, &turns);
    float8 y = as_float8(as_uint8(1 + rise) + (turns << 23));
    const int8 far = (fabs(x) <= 87.0f) == 0; // or not a number
    if ((as_ulong(convert_char8(far))) != 0) { // denormals, overflow
        float8 near = x > 89.0f ? (float8)(89.0f) : x;
        near = near < -104.0f ? (float8)(-104.0f) : near;
        const float8 again = rise_float8(near, &turns);
        const int8 n = as_int8(turns - 0x4b400000u), half_n = n >> 1;
        y = far ? (1 + again) * power_of_two_float8(as_uint8(half_n)) * power_of_two_float8(as_uint8(n - half_n)) : y;
    }
    return y;
}

inline float8 join(float8 a, float8 b) { return a + b; }
// What rounding takes from a + b (Knuth's sum of two). An infinite sum has lost nothing; then this is NaN, and stays it.
inline float8 lost_by(float8 a, float8 b) { const float8 sum = a + b, more = sum - a; return (a - (sum - more)) + (b - more); }
inline float4 join_4(float4 a, float4 b) { return a + b; }
inline float4 lost_by_4(float4 a, float4 b) { const float4 sum = a + b, more = sum - a; return (a - (sum - more)) + (b - more); }
inline float2 join_2(float2 a, float2 b) { return a + b; }
inline float2 lost_by_2(float2 a, float2 b) { const float2 sum = a + b, more = sum - a; return (a - (sum - more)) + (b - more); }
inline float join_1(float a, float b) { return a + b; }
inline float lost_by_1(float a, float b) { const float sum = a + b, more = sum - a; return (a - (sum - more)) + (b - more); }

typedef int8 bits_anywhere __attribute__((aligned(4)));
__constant int LANES[24] = {0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
inline float8 between(float8 x, float8 other, int begin, int end)
{
    const int8 inside = *(__constant const bits_anywhere *)(LANES + 16 - begin - end);
    return as_float8((as_int8(x) & inside) | (as_int8(other) & ~inside));
}

__kernel __attribute__((vec_type_hint(float8)))
void multiply_exp_sum__float32_1d(
    __global float *out,
    const int keep,
    const int length,
    __global const float *a0_data,
    const int a0_start,
    const int a0_s0,
    __global const float *a1_data,
    const int a1_start,
    const int a1_s0,
    const int m0)
{
    const int segments = get_global_size(1), segment = get_global_id(1);
    const int part = ((length + segments - 1) / segments + 63) / 64 * 64;
    const int from = min(length, segment * part), to = min(length, from + part);
    const int chunk = (keep + get_global_size(0) - 1) / get_global_size(0);
    const int first = get_global_id(0) * chunk;
    for (int o = first; o < min(keep, first + chunk); o++) {
        int i0;
        {
            int rest = o;
            i0 = rest;
        }
        const int a0_shift = i0 * a0_s0;
        const int a1_shift = i0 * a1_s0;
        float8 total = (float8)(0), lost = (float8)(0);
        for (int start = from; start < to; start += 64) {
            if (to - start >= 64) {
                float8 parts[8];
                for (int u = 0; u < 8; u++) {
                    const int at = start + u * 8;
                    const int count = 8;
                    const float8 a0 = load_float(a0_data + a0_start + a0_shift + at, count);
                    const float8 a1 = load_float(a1_data + a1_start + a1_shift + at, count);
                    const float8 t0 = a0 * a1;
                    const float8 t1 = exp_float8(t0);
                    const float8 value = t1;
                    parts[u] = value;
                }
                const float8 joined = join(join(join(parts[0], parts[1]), join(parts[2], parts[3])), join(join(parts[4], parts[5]), join(parts[6], parts[7])));
                lost += lost_by(total, joined);
                total = join(total, joined);
                continue;
            }
            float8 parts[8];
            for (int u = 0; u < 8; u++) {
                int at = start + u * 8;
                if (at >= to) {
                    parts[u] = (float8)(0);
                    continue;
                }
                const int left = (int)min((int)8, to - at), again = to - from < 8 ? 0 : 8 - left, count = left + again;
                at -= again;
                const float8 a0 = load_float(a0_data + a0_start + a0_shift + at, count);
                const float8 a1 = load_float(a1_data + a1_start + a1_shift + at, count);
                const float8 t0 = a0 * a1;
                const float8 t1 = exp_float8(t0);
                const float8 value = t1;
                parts[u] = between(value, 0, again, count);
            }
            const float8 joined = join(join(join(parts[0], parts[1]), join(parts[2], parts[3])), join(join(parts[4], parts[5]), join(parts[6], parts[7])));
            lost += lost_by(total, joined);
            total = join(total, joined);
        }
        float4 total_4 = join_4(total.lo, total.hi);
        float4 lost_4 = lost.lo + lost.hi + lost_by_4(total.lo, total.hi);
        float2 total_2 = join_2(total_4.lo, total_4.hi);
        float2 lost_2 = lost_4.lo + lost_4.hi + lost_by_2(total_4.lo, total_4.hi);
        float total_1 = join_1(total_2.lo, total_2.hi);
        float lost_1 = lost_2.lo + lost_2.hi + lost_by_1(total_2.lo, total_2.hi);
        total_1 = lost_1 == lost_1 ? total_1 + lost_1 : total_1;
        const float x = total_1;
        put_float(out, segment * keep + o, x);
    }
}
