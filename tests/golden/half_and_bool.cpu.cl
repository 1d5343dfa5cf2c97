#pragma OPENCL FP_CONTRACT OFF
inline float8 round_half_float8(float8 x)
{
    ushort8 bits;
    vstore_half8_rte(x, 0, (half *)&bits);
    return vload_half8(0, (const half *)&bits);
}
inline float8 round_half_double8(double8 x)
{
    ushort8 bits;
    vstore_half8_rte(x, 0, (half *)&bits);
    return vload_half8(0, (const half *)&bits);
}
#define get_half(p, i) vload_half(i, p)
#define put_half(p, i, x) vstore_half_rte(x, i, p)
inline float8 load_half(__global const half *p, int count)
{
    if (count >= 8) return vload_half8(0, p);
    float8 v = 0;
    #pragma clang loop vectorize(disable) unroll(disable)
    for (int lane = 0; lane < count; lane++) ((float *)&v)[lane] = vload_half(lane, p);
    return v;
}
inline void store_half(__global half *p, float8 v, int count)
{
    if (count >= 8) vstore_half8_rte(v, 0, p);
    else {
        const float8 part = v;
        #pragma clang loop vectorize(disable) unroll(disable)
        for (int lane = 0; lane < count; lane++) vstore_half_rte(((const float *)&part)[lane], lane, p);
    }
}

__kernel __attribute__((vec_type_hint(float8)))
void greater_to_float16_multiply_negative_where__float16_1d(
    __global half *z0_data,
    const int z0_start,
    __global const half *a0_data,
    const int a0_start,
    const float s0_given,
    const float s1_given,
    const int n)
{
    const float8 s0 = (float8)(s0_given);
    const float8 s1 = (float8)(s1_given);
    const int chunk = ((n + 7) / 8 + get_global_size(0) - 1) / get_global_size(0) * 8;
    const int begin = get_global_id(0) * chunk, end = begin < n ? min(n, begin + chunk) : begin;
    for (int at = begin; at < end; at += 8) {
        const int count = (int)min((int)8, end - at);
        {
            const float8 a0 = load_half(a0_data + a0_start + at, count);
            const uchar8 t0 = (convert_uchar8(a0 > s0) & (uchar8)(1));
            const float8 t1 = round_half_float8(round_half_float8(convert_float8(t0)));
            const float8 t2 = round_half_float8(a0 * s1);
            const float8 t3 = round_half_float8(-a0);
            const float8 t4 = round_half_float8((convert_int8((convert_uchar8(t1 != (float8)(0)) & (uchar8)(1))) != (int8)(0)) ? t2 : t3);
            store_half(z0_data + z0_start + at, t4, count);
        }
    }
}
