#pragma OPENCL FP_CONTRACT OFF
#define get_float(p, i) ((p)[i])
#define put_float(p, i, x) ((p)[i] = (x))

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
            const float t1 = exp(t0);
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
