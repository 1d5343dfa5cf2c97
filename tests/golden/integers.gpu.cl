#pragma OPENCL FP_CONTRACT OFF
#define get_int(p, i) ((p)[i])
#define put_int(p, i, x) ((p)[i] = (x))
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
inline int integer_power_int(int x, int y)
{
    return integer_power_one_int(x, y);
}

__kernel void modulo_power_truncated_divide__int32_1d(
    __global int *z0_data,
    const int z0_start,
    __global const int *a0_data,
    const int a0_start,
    __global const int *a1_data,
    const int a1_start,
    const int s0_given,
    const int n)
{
    const int s0 = (int)(s0_given);
    for (int at = get_global_id(0); at < n; at += get_global_size(0)) {
        {
            const int a0 = get_int(a0_data, a0_start + at);
            const int a1 = get_int(a1_data, a1_start + at);
            const int t0 = (((a0 % (((a1 == (int)(0)) | (a1 == (int)(-1))) ? (int)(1) : a1)) != (int)(0)) & (((a0 % (((a1 == (int)(0)) | (a1 == (int)(-1))) ? (int)(1) : a1)) < (int)(0)) != ((((a1 == (int)(0)) | (a1 == (int)(-1))) ? (int)(1) : a1) < (int)(0)))) ? (a0 % (((a1 == (int)(0)) | (a1 == (int)(-1))) ? (int)(1) : a1)) + (((a1 == (int)(0)) | (a1 == (int)(-1))) ? (int)(1) : a1) : (a0 % (((a1 == (int)(0)) | (a1 == (int)(-1))) ? (int)(1) : a1));
            const int t1 = integer_power_int(t0, s0);
            const int t2 = a1 == (int)(-1) ? convert_int(-as_uint(t1)) : (a1 == (int)(0) ? (int)(0) : t1 / (((a1 == (int)(0)) | (a1 == (int)(-1))) ? (int)(1) : a1));
            put_int(z0_data, z0_start + at, t2);
        }
    }
}
