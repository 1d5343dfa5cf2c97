<%doc>
The order that sorts keys, equal ones by their place: a random permutation where the keys are random. The first launch sorts short runs of keys,
then each launch merges neighbouring runs, until one is left. An element finds its place alone, by counting those that come before it: no barrier,
no padding, and the same order from every schedule.

Parameters
    name        the kernel's name
    step        "runs" or "merge"
    run         with "runs": keys in a run
    schedule    "cpu": every work-item a contiguous chunk; "gpu": grid-stride

Arguments
    runs        keys, sorted keys, order, n
    merge       keys, order, merged keys, merged order, n, width (of the runs that are merged: a power of two)
</%doc>\
<%page args="name, step, schedule, run=0"/>\
<%def name="each_element()">\
% if schedule == "cpu":
    const long chunk = (n + get_global_size(0) - 1) / get_global_size(0);
    const long begin = get_global_id(0) * chunk, end = min(begin + chunk, n);
    for (long i = begin; i < end; ++i) {
% else:
    for (long i = get_global_id(0); i < n; i += get_global_size(0)) {
% endif
</%def>\
% if step == "runs":
__kernel void ${name}(__global const ulong *keys, __global ulong *sorted_keys, __global long *order, long n)
{
${each_element()}\
        const ulong key = keys[i];
        const long first = i / ${run} * ${run}, last = min(first + ${run}, n);
        long place = first;
        for (long other = first; other < last; ++other)
            place += keys[other] < key || (keys[other] == key && other < i);
        sorted_keys[place] = key;
        order[place] = i;
    }
}
% else:
__kernel void ${name}(__global const ulong *keys, __global const long *order, __global ulong *merged_keys, __global long *merged_order, long n, long width)
{
% if schedule == "cpu":
    long low = 0;
% endif
${each_element()}\
        const ulong key = keys[i];
        const long first = i & -2 * width, middle = min(first + width, n), last = min(middle + width, n);
        // Of the other run, those before the element: equal keys of the left run come first.
        const int left = i < middle;
        long high = left ? last : middle;
% if schedule == "cpu":
        const int search = i == begin || i == first || i == middle;
        if (search)
            low = left ? middle : first;
        // Else the place is at or after that of the element before: with random keys one step, on average.
        while (!search && low < high && (left ? keys[low] < key : keys[low] <= key))
            ++low;
        while (search && low < high) {
% else:
        long low = left ? middle : first;
        while (low < high) {
% endif
            const long centre = (low + high) / 2;
            const ulong other = keys[centre];
            const int before = left ? other < key : other <= key;
            low = before ? centre + 1 : low;
            high = before ? high : centre;
        }
        const long place = i + low - middle;
        merged_keys[place] = key;
        merged_order[place] = order[i];
    }
}
% endif
