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
inline float exp_float(float x)
{
    uint turns;
    const float rise = rise_float(x, &turns);
    float y = as_float(as_uint(1 + rise) + (turns << 23));
    const int far = (fabs(x) <= 87.0f) == 0; // or not a number
    if (far) { // denormals, overflow
        float near = x > 89.0f ? (float)(89.0f) : x;
        near = near < -104.0f ? (float)(-104.0f) : near;
        const float again = rise_float(near, &turns);
        const int n = as_int(turns - 0x4b400000u), half_n = n >> 1;
        y = far ? (1 + again) * power_of_two_float(as_uint(half_n)) * power_of_two_float(as_uint(n - half_n)) : y;
    }
    return y;
}

inline float join(float a, float b) { return a + b; }
// What rounding takes from a + b (Knuth's sum of two). An infinite sum has lost nothing; then this is NaN, and stays it.
inline float lost_by(float a, float b) { const float sum = a + b, more = sum - a; return (a - (sum - more)) + (b - more); }

__kernel void multiply_exp_sum__float32_1d(
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
    const int part = ((length + segments - 1) / segments + 0) / 1 * 1;
    const int from = min(length, segment * part), to = min(length, from + part);
    __local float lane_totals[64], lane_lost[64];
    const int lane = get_local_id(0);
    for (int o = get_group_id(0); o < keep; o += get_num_groups(0)) {
        int i0;
        {
            int rest = o;
            i0 = rest;
        }
        const int a0_shift = i0 * a0_s0;
        const int a1_shift = i0 * a1_s0;
        float total = 0, lost = 0;
        for (int at = from + lane; at < to; at += 64) {
            const float a0 = get_float(a0_data, a0_start + a0_shift + at);
            const float a1 = get_float(a1_data, a1_start + a1_shift + at);
            const float t0 = a0 * a1;
            const float t1 = exp_float(t0);
            const float value = t1;
            lost += lost_by(total, value);
            total = join(total, value);
        }
        lane_totals[lane] = total;
        lane_lost[lane] = lost;
        for (int width = 32; width > 0; width /= 2) {
            barrier(CLK_LOCAL_MEM_FENCE);
            if (lane < width) {
                lane_lost[lane] += lane_lost[lane + width] + lost_by(lane_totals[lane], lane_totals[lane + width]);
                lane_totals[lane] = join(lane_totals[lane], lane_totals[lane + width]);
            }
        }
        if (lane == 0) {
            lane_totals[0] = lane_lost[0] == lane_lost[0] ? lane_totals[0] + lane_lost[0] : lane_totals[0];
            const float x = lane_totals[0];
            put_float(out, segment * keep + o, x);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
