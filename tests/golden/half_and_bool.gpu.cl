#pragma OPENCL FP_CONTRACT OFF
inline float round_half_float(float x)
{
    ushort bits;
    vstore_half_rte(x, 0, (half *)&bits);
    return vload_half(0, (const half *)&bits);
}
inline float round_half_double(double x)
{
    ushort bits;
    vstore_half_rte(x, 0, (half *)&bits);
    return vload_half(0, (const half *)&bits);
}
#define get_half(p, i) vload_half(i, p)
#define put_half(p, i, x) vstore_half_rte(x, i, p)

__kernel void greater_to_float16_multiply_negative_where__float16_1d(
    __global half *z0_data,
    const int z0_start,
    __global const half *a0_data,
    const int a0_start,
    const float s0_given,
    const float s1_given,
    const int n)
{
    const float s0 = (float)(s0_given);
    const float s1 = (float)(s1_given);
    for (int at = get_global_id(0); at < n; at += get_global_size(0)) {
        {
            const float a0 = get_half(a0_data, a0_start + at);
            const uchar t0 = (convert_uchar(a0 > s0) & (uchar)(1));
            const float t1 = round_half_float(round_half_float(convert_float(t0)));
            const float t2 = round_half_float(a0 * s1);
            const float t3 = round_half_float(-a0);
            const float t4 = round_half_float((convert_int((convert_uchar(t1 != (float)(0)) & (uchar)(1))) != (int)(0)) ? t2 : t3);
            put_half(z0_data, z0_start + at, t4);
        }
    }
}
