#pragma OPENCL FP_CONTRACT OFF
// A vector at any element's address, aligned or not.
typedef int8 int8_anywhere __attribute__((aligned(4)));
#define get_int(p, i) ((p)[i])
#define put_int(p, i, x) ((p)[i] = (x))
inline int8 load_int(__global const int *p, int count)
{
    if (count >= 8) return *(__global const int8_anywhere *)p;
    int8 v = 0;
    #pragma clang loop vectorize(disable) unroll(disable)
    for (int lane = 0; lane < count; lane++) ((int *)&v)[lane] = p[lane];
    return v;
}
inline void store_int(__global int *p, int8 v, int count)
{
    if (count >= 8) *(__global int8_anywhere *)p = v;
    else {
        const int8 part = v;
        #pragma clang loop vectorize(disable) unroll(disable)
        for (int lane = 0; lane < count; lane++) p[lane] = ((const int *)&part)[lane];
    }
}
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
// Wraps around. A negative power of anything but 1 and -1 is 0, and so is one of 0.
inline int integer_power_one_int(int base, int exponent)
{
    ulong square = (ulong)base, result = 1, rest = (ulong)exponent;
    if (exponent < 0) return base == 1 ? 1 : base + 1 == 0 ? (exponent & 1 ? base : 1) : 0;
    for (; rest; rest >>= 1) {
        if (rest & 1) result *= square;
        square *= square;
    }
    return (int)result;
}
inline int8 integer_power_int8(int8 x, int8 y)
{
    int8 result;
    for (int lane = 0; lane < 8; lane++)
        ((int *)&result)[lane] = integer_power_one_int(((int *)&x)[lane], ((int *)&y)[lane]);
    return result;
}

__kernel __attribute__((vec_type_hint(float8)))
void modulo_power_truncated_divide__int32_1d(
    __global int *z0_data,
    const int z0_start,
    __global const int *a0_data,
    const int a0_start,
    __global const int *a1_data,
    const int a1_start,
    const int s0_given,
    const int n)
{
    const int8 s0 = (int8)(s0_given);
    const int chunk = ((n + 7) / 8 + get_global_size(0) - 1) / get_global_size(0) * 8;
    const int begin = get_global_id(0) * chunk, end = begin < n ? min(n, begin + chunk) : begin;
    for (int at = begin; at < end; at += 8) {
        const int count = (int)min((int)8, end - at);
        {
            const int8 a0 = load_int(a0_data + a0_start + at, count);
            const int8 a1 = load_int(a1_data + a1_start + at, count);
            const int8 t0 = (((a0 % (((a1 == (int8)(0)) | (a1 == (int8)(-1))) ? (int8)(1) : a1)) != (int8)(0)) & (((a0 % (((a1 == (int8)(0)) | (a1 == (int8)(-1))) ? (int8)(1) : a1)) < (int8)(0)) != ((((a1 == (int8)(0)) | (a1 == (int8)(-1))) ? (int8)(1) : a1) < (int8)(0)))) ? (a0 % (((a1 == (int8)(0)) | (a1 == (int8)(-1))) ? (int8)(1) : a1)) + (((a1 == (int8)(0)) | (a1 == (int8)(-1))) ? (int8)(1) : a1) : (a0 % (((a1 == (int8)(0)) | (a1 == (int8)(-1))) ? (int8)(1) : a1));
            const int8 t1 = integer_power_int8(t0, s0);
            const int8 t2 = a1 == (int8)(-1) ? convert_int8(-as_uint8(t1)) : (a1 == (int8)(0) ? (int8)(0) : t1 / (((a1 == (int8)(0)) | (a1 == (int8)(-1))) ? (int8)(1) : a1));
            store_int(z0_data + z0_start + at, t2, count);
        }
    }
}
