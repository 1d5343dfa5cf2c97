## The positions of the true elements of a mask: each work-item counts those of its chunk, or writes them from its place in the list on.
__kernel void ${name}(
    __global long *counts, __global const uchar *mask, const long mask_start, const long n${", __global long *out" if write else ""})
{
    const long chunk = (n + get_global_size(0) - 1) / get_global_size(0);
    const long from = min(n, (long)get_global_id(0) * chunk), to = min(n, from + chunk);
    long found = ${"counts[get_global_id(0)]" if write else "0"};
    for (long at = from; at < to; at++) {
        if (mask[mask_start + at]) {
% if write:
            out[found] = at;
% endif
            found++;
        }
    }
% if not write:
    counts[get_global_id(0)] = found;
% endif
}
