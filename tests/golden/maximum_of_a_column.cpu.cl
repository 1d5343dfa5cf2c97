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

inline float8 join(float8 a, float8 b) { return ((a > b) | (a != a)) ? a : b; }

__kernel __attribute__((vec_type_hint(float8)))
void abs_max__float32_1d(
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
    const int part = ((length + segments - 1) / segments + 7) / 8 * 8;
    const int from = min(length, segment * part), to = min(length, from + part);
    const int chunk = ((keep + 7) / 8 + get_global_size(0) - 1) / get_global_size(0) * 8;
    const int begin = get_global_id(0) * chunk, end = begin < keep ? min(keep, begin + chunk) : begin;
    for (int left = begin; left < end; left += 512) {
        const int wide = (int)((min((int)512, end - left) + 7) / 8);
        float8 totals[64];
        for (int w = 0; w < wide; w++) {
            totals[w] = (float8)(-INFINITY);
        }
        int i0;
        {
            int rest = from;
            i0 = rest;
        }
        for (int r = from; r < to; r += 8) {
            const int rows = (int)min((int)8, to - r);
            int z0_shifts[8], a0_shifts[8];
            for (int u = 0; u < rows; u++) {
                z0_shifts[u] = i0 * z0_s0;
                a0_shifts[u] = i0 * a0_s0;
                i0 += 1;
            }
            for (int w = 0; w < wide; w++) {
                const int at = left + w * 8;
                if (rows == 8 && at + 8 <= end) {
                    float8 parts[8];
                    for (int u = 0; u < 8; u++) {
                        const int count = 8;
                        const int z0_shift = z0_shifts[u];
                        const int a0_shift = a0_shifts[u];
                        const float8 a0 = load_float(a0_data + a0_start + a0_shift + at, count);
                        const float8 t0 = fabs(a0);
                        store_float(z0_data + z0_start + z0_shift + at, t0, count);
                        const float8 value = t0;
                        parts[u] = value;
                    }
                    const float8 joined = join(join(join(parts[0], parts[1]), join(parts[2], parts[3])), join(join(parts[4], parts[5]), join(parts[6], parts[7])));
                    totals[w] = join(totals[w], joined);
                    continue;
                }
                const int count = (int)min((int)8, end - at);
                {
                    float8 parts[8];
                    for (int u = 0; u < 8; u++) {
                        if (u >= rows) {
                            parts[u] = (float8)(-INFINITY);
                            continue;
                        }
                        const int z0_shift = z0_shifts[u];
                        const int a0_shift = a0_shifts[u];
                        const float8 a0 = load_float(a0_data + a0_start + a0_shift + at, count);
                        const float8 t0 = fabs(a0);
                        store_float(z0_data + z0_start + z0_shift + at, t0, count);
                        const float8 value = t0;
                        parts[u] = value;
                    }
                    const float8 joined = join(join(join(parts[0], parts[1]), join(parts[2], parts[3])), join(join(parts[4], parts[5]), join(parts[6], parts[7])));
                    totals[w] = join(totals[w], joined);
                }
            }
        }
        for (int w = 0; w < wide; w++) {
            const int at = left + w * 8;
            const float8 x = totals[w];
            store_float(out + segment * keep + at, x, (int)min((int)8, end - at));
        }
    }
}
