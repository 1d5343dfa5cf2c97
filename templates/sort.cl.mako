<%doc>
The order that sorts rows of n elements, equal ones by their place. Elements become unsigned keys of the same order. The first launch sorts short
runs of keys, each key finding its place alone by counting those that come before it. Then each launch merges neighbouring runs of a row, until
each row is one; a part of the result finds where in the two runs it begins (S. Odeh, O. Green, Z. Mwassi, O. Shmueli and Y. Birk, "Merge path:
parallel merging made simple", 2012). No barrier, no padding, and the same order from every schedule.

Parameters
    name        the kernel's name
    step        "keys", "runs" or "merge"
    key         type of the keys: "uint" or "ulong"
    storage     with "keys": unsigned type as wide as an element
    shift       with "keys": bits that a key has more than an element
    category    with "keys": of the elements: "float", "int", "uint" or "bool"
    infinity    with "keys" of floats: the bits of infinity
    run         with "runs": keys in a run
    part        with "merge": keys that a work-item merges one after another
    schedule    "cpu": every work-item a contiguous chunk; "gpu": grid-stride

Arguments
    keys        elements, where they start, keys, size, flip (0, or ~0 for descending order)
    runs        keys, sorted keys, order, size, n
    merge       keys, order, merged keys, merged order, size, n, width (of the runs that are merged)
</%doc>\
<%namespace name="common" file="common.cl.mako"/>\
<%namespace name="keys" file="keys.cl.mako"/>\
<%page args="name, step, schedule, key, storage='', shift=0, category='', infinity=0, run=0, part=0"/>\
% if step == "keys":
${keys.key_function(key, storage, shift, category, infinity, 1)}\

__kernel void ${name}(__global const ${storage} *data, const long start, __global ${key} *keys, const long size, const ${key} flip)
{
${common.each_position("i", "size", "long", schedule)}
        keys[i] = key_of(data[start + i], flip);
}
% elif step == "runs":
__kernel void ${name}(__global const ${key} *keys, __global ${key} *sorted_keys, __global long *order, const long size, const long n)
{
    long first = 0, last = 0;
${common.each_position("i", "size", "long", schedule)} {
% if schedule == "cpu":
        if (i == begin || i == last)
% endif
        {
            const long row = i / n * n;
            first = row + (i - row) / ${run} * ${run};
            last = min(first + ${run}, row + n);
        }
        const ${key} own = keys[i];
        long place = first;
        for (long other = first; other < last; other++)
            place += keys[other] < own || (keys[other] == own && other < i);
        sorted_keys[place] = own;
        order[place] = i;
    }
}
% else:
__kernel void ${name}(
    __global const ${key} *keys, __global const long *order, __global ${key} *merged_keys, __global long *merged_order,
    const long size, const long n, const long width)
{
    const long parts = (size + ${part - 1}) / ${part};
${common.each_position("number", "parts", "long", schedule)} {
        long place = number * ${part};
        const long until = min(place + ${part}, size);
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
                const ${key} a = keys[min(left, middle - 1)], b = keys[min(right, last - 1)];
                const int from_left = (right >= last) | ((left < middle) & (a <= b));
                merged_keys[place] = from_left ? a : b;
                merged_order[place] = order[from_left ? left : right];
                left += from_left;
                right += 1 - from_left;
            }
        }
    }
}
% endif
