<%doc>
One pass of a stable sort of unsigned keys by their digits of eight bits, the lowest first: rows are cut into chunks, each chunk's keys are
counted by digit, the counts become places, and each chunk writes its keys there in their order. For the cpu schedule: a work-item has a
counter for each digit.

Parameters
    name        the kernel's name
    step        "count", "scan" or "move"
    key         type of the keys: "uint" or "ulong"
    chunk       keys that a work-item handles

Arguments
    count       keys, counts (rows, chunks, 256), n (of a row), chunks, shift (of the digit)
    scan        counts, which become those of the chunks before, totals (rows, 256), chunks, digits that a work-item handles
    move        keys, order, counts, totals, moved keys, moved order, n, chunks, shift, first: is the order 0, 1, ... still?
</%doc>\
<%page args="name, step, key, chunk"/>\
% if step == "count":
__kernel void ${name}(__global const ${key} *restrict keys, __global int *restrict counts, const long n, const long chunks, const int shift)
{
    const long row = get_global_id(0) / chunks, first = (get_global_id(0) - row * chunks) * ${chunk}, last = min(n, first + ${chunk});
    int count[256];
    for (int digit = 0; digit < 256; digit++) count[digit] = 0;
    keys += row * n;
    for (long i = first; i < last; i++) count[(keys[i] >> shift) & 255]++;
    for (int digit = 0; digit < 256; digit++) counts[get_global_id(0) * 256 + digit] = count[digit];
}
% elif step == "scan":
__kernel void ${name}(__global int *restrict counts, __global int *restrict totals, const long chunks, const long digits)
{
    const long begin = get_global_id(0) * digits;
    for (long at = begin; at < begin + digits; at++) {
        __global int *count = counts + at / 256 * chunks * 256 + at % 256;
        int sum = 0;
        for (long number = 0; number < chunks; number++, count += 256) {
            const int here = *count;
            *count = sum;
            sum += here;
        }
        totals[at] = sum;
    }
}
% else:
__kernel void ${name}(
    __global const ${key} *restrict keys, __global const long *restrict order, __global const int *restrict counts,
    __global const int *restrict totals, __global ${key} *restrict moved_keys, __global long *restrict moved_order,
    const long n, const long chunks, const int shift, const int start)
{
    const long row = get_global_id(0) / chunks, first = (get_global_id(0) - row * chunks) * ${chunk}, last = min(n, first + ${chunk});
    int place[256];
    int before = 0;
    for (int digit = 0; digit < 256; digit++) {
        place[digit] = before + counts[get_global_id(0) * 256 + digit];
        before += totals[row * 256 + digit];
    }
    keys += row * n;
    order += row * n;
    moved_keys += row * n;
    moved_order += row * n;
    for (long i = first; i < last; i++) {
        const ${key} own = keys[i];
        const int to = place[(own >> shift) & 255]++;
        moved_keys[to] = own;
        moved_order[to] = start ? row * n + i : order[i];
    }
}
% endif
