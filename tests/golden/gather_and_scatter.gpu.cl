#pragma OPENCL FP_CONTRACT OFF
#define get_float(p, i) ((p)[i])
#define put_float(p, i, x) ((p)[i] = (x))

__kernel void gather_rows__float32__int64_clip(
    __global float *restrict out, __global const float *restrict data, const long data_start,
    __global const long *restrict indices, const long indices_start,
    const long outer, const long rows, const long inner, const long picked, const long run)
{
    data += data_start;
    indices += indices_start;
    const long n0 = outer, n1 = picked, n2 = (inner + run - 1) / run;
    const long n = n0 * n1 * n2;
    for (long at = get_global_id(0); at < n; at += get_global_size(0)) {
        long k0, k1, k2;
        {
            long rest = at;
            k2 = rest % n2;
            rest /= n2;
            k1 = rest % n1;
            rest /= n1;
            k0 = rest;
        }
        const long own = indices[k1];
        const long left = k2 * run, count = min(run, inner - left);
        __global const float *from = data + (k0 * rows + clamp(own, 0L, rows - 1)) * inner + left;
        __global float *to = out + (k0 * picked + k1) * inner + left;
        long i = 0;
        for (; i < count; i++) to[i] = from[i];
    }
}

#pragma OPENCL FP_CONTRACT OFF
#define get_float(p, i) ((p)[i])
#define put_float(p, i, x) ((p)[i] = (x))

__kernel void full__float32_1d(
    __global float *z0_data,
    const int z0_start,
    const float s0_given,
    const int n)
{
    const float s0 = (float)(s0_given);
    for (int at = get_global_id(0); at < n; at += get_global_size(0)) {
        {
            const float t0 = s0;
            put_float(z0_data, z0_start + at, t0);
        }
    }
}

#pragma OPENCL FP_CONTRACT OFF
#define get_long(p, i) ((p)[i])
#define put_long(p, i, x) ((p)[i] = (x))

__kernel void maximum_minimum__int64_1d(
    __global long *z0_data,
    const int z0_start,
    __global const long *a0_data,
    const int a0_start,
    const long s0_given,
    const long s1_given,
    const int n)
{
    const long s0 = (long)(s0_given);
    const long s1 = (long)(s1_given);
    for (int at = get_global_id(0); at < n; at += get_global_size(0)) {
        {
            const long a0 = get_long(a0_data, a0_start + at);
            const long t0 = a0 > s0 ? a0 : s0;
            const long t1 = t0 < s1 ? t0 : s1;
            put_long(z0_data, z0_start + at, t1);
        }
    }
}

#pragma OPENCL FP_CONTRACT OFF

__kernel void add__float32__int64_clip(
    __global float *out, __global const float *data, const long data_start, __global const long *indices, const long indices_start,
    __global const long *order, const long order_start, const long outer, const long rows, const long inner, const long picked,
    const long shares, const long begin, const long end)
{
    indices += indices_start;
    order += order_start;
    const long i = get_global_id(0) % inner, o = get_global_id(0) / inner % outer, part = get_global_id(0) / (inner * outer);
    if (part >= shares) return;
    // The rows that begin in this share of the order.
    const long share = (end - begin + shares - 1) / shares;
    long first = min(end, begin + part * share), last = min(end, first + share);
    while (first < last && first > begin && indices[order[first]] == indices[order[first - 1]]) first++;
    while (first < last && last < end && indices[order[last]] == indices[order[last - 1]]) last++;
    for (long j = first; j < last; j++) {
        const long own = indices[order[j]];
        __global float *total = out + (o * rows + clamp(own, 0L, rows - 1)) * inner + i;
        const float more = data[data_start + (o * picked + order[j]) * inner + i];
        *total = *total + more;
    }
}

inline ulong key_of(ulong bits, ulong flip)
{
    const ulong sign = (ulong)((ulong)1 << 63);
    const ulong x = convert_ulong(bits) << 0;
    return (x ^ sign) ^ (ulong)(flip);
}

__kernel void sort_keys__int64(__global const ulong *data, const long start, __global ulong *keys, const long size, const ulong flip)
{
    for (long i = get_global_id(0); i < size; i += get_global_size(0))
        keys[i] = key_of(data[start + i], flip);
}

__kernel void sort_runs__ulong(__global const ulong *keys, __global ulong *sorted_keys, __global long *order, const long size, const long n)
{
    long first = 0, last = 0;
    for (long i = get_global_id(0); i < size; i += get_global_size(0)) {
        {
            const long row = i / n * n;
            first = row + (i - row) / 32 * 32;
            last = min(first + 32, row + n);
        }
        const ulong own = keys[i];
        long place = first;
        for (long other = first; other < last; other++)
            place += keys[other] < own || (keys[other] == own && other < i);
        sorted_keys[place] = own;
        order[place] = i;
    }
}

__kernel void sort_merge__ulong(
    __global const ulong *keys, __global const long *order, __global ulong *merged_keys, __global long *merged_order,
    const long size, const long n, const long width)
{
    const long parts = (size + 15) / 16;
    for (long number = get_global_id(0); number < parts; number += get_global_size(0)) {
        long place = number * 16;
        const long until = min(place + 16, size);
        while (place < until) {
            // The two runs that the place belongs to; the second may be short, or none.
            const long row = place / n * n, first = row + (place - row) / (2 * width) * (2 * width);
            const long middle = min(first + width, row + n), last = min(middle + width, row + n);
            // How many keys of the left run come before the place: equal keys of the left run come first.
            const long before = place - first;
            long low = max(0L, before - (last - middle)), high = min(before, middle - first);
            while (low < high) {
                const long centre = (low + high) / 2;
                const int comes = keys[first + centre] <= keys[middle + before - 1 - centre];
                low = comes ? centre + 1 : low;
                high = comes ? high : centre;
            }
            long left = first + low, right = middle + before - low;
            for (const long stop = min(until, last); place < stop; place++) {
                // Without a branch, which no processor could foresee.
                const ulong a = keys[min(left, middle - 1)], b = keys[min(right, last - 1)];
                const int from_left = (right >= last) | ((left < middle) & (a <= b));
                merged_keys[place] = from_left ? a : b;
                merged_order[place] = order[from_left ? left : right];
                left += from_left;
                right += 1 - from_left;
            }
        }
    }
}
