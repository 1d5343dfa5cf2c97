<%doc>
The order that sorts rows of n elements, equal ones by their place. Elements become unsigned keys of the same order. The first launch sorts short
runs of keys, then each launch merges neighbouring runs of a row, until each row is one. An element finds its place alone, by counting those that
come before it: no barrier, no padding, and the same order from every schedule.

Parameters
    name        the kernel's name
    step        "keys", "runs" or "merge"
    key         type of the keys: "uint" or "ulong"
    storage     with "keys": unsigned type as wide as an element
    shift       with "keys": bits that a key has more than an element
    category    with "keys": of the elements: "float", "int", "uint" or "bool"
    infinity    with "keys" of floats: the bits of infinity
    run         with "runs": keys in a run
    schedule    "cpu": every work-item a contiguous chunk; "gpu": grid-stride

Arguments
    keys        elements, where they start, keys, size, descending (0 or 1)
    runs        keys, sorted keys, order, size, n
    merge       keys, order, merged keys, merged order, size, n, width (of the runs that are merged: a power of two)
</%doc>\
<%namespace name="common" file="common.cl.mako"/>\
<%page args="name, step, schedule, key, storage='', shift=0, category='', infinity=0, run=0"/>\
## The runs that element i belongs to: on the cpu schedule found anew only where others begin.
<%def name="bounds()">\
% if schedule == "cpu":
        if (i == begin || i == last) {
            ${caller.body()}
        }
% else:
        ${caller.body()}
% endif
</%def>\
% if step == "keys":
__kernel void ${name}(__global const ${storage} *data, const long start, __global ${key} *keys, const long size, const int descending)
{
    const ${key} sign = (${key})1 << ${63 if key == "ulong" else 31};
${common.each_position("i", "size", "long", schedule)} {
        ${key} x = (${key})data[start + i] << ${shift};
% if category == "float":
        const int nan = (x & ~sign) > ((${key})${infinity} << ${shift});
        x = x == sign || x == 0 ? sign : x & sign ? ~x : x | sign; // both zeros are equal
        keys[i] = nan ? ~(${key})0 : descending ? ~x : x; // NaN comes last in both directions
% else:
% if category == "int":
        x ^= sign;
% endif
        keys[i] = descending ? ~x : x;
% endif
    }
}
% elif step == "runs":
__kernel void ${name}(__global const ${key} *keys, __global ${key} *sorted_keys, __global long *order, const long size, const long n)
{
    long first = 0, last = 0;
${common.each_position("i", "size", "long", schedule)} {
<%self:bounds>\
const long row = i / n * n;
            first = row + (i - row) / ${run} * ${run};
            last = min(first + ${run}, row + n);
</%self:bounds>\
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
    long first = 0, middle = 0, last = 0, low = 0;
${common.each_position("i", "size", "long", schedule)} {
<%self:bounds>\
const long row = i / n * n;
            first = row + (i - row & -2 * width);
            middle = min(first + width, row + n);
            last = min(middle + width, row + n);
</%self:bounds>\
        // Of the other run, those before the element: equal keys of the left run come first.
        const ${key} own = keys[i];
        const int left = i < middle;
        long high = left ? last : middle;
% if schedule == "cpu":
        if (i == begin || i == first || i == middle)
            low = left ? middle : first;
        // The place is at or after that of the element before: with random keys one step, on average. Steps grow, so that there are few.
        long reach = low;
        for (long stride = 1; reach < high && (left ? keys[reach] < own : keys[reach] <= own); stride *= 2) {
            low = reach + 1;
            reach += stride;
        }
        high = min(high, reach);
% else:
        low = left ? middle : first;
% endif
        while (low < high) {
            const long centre = (low + high) / 2;
            const ${key} other = keys[centre];
            const int before = left ? other < own : other <= own;
            low = before ? centre + 1 : low;
            high = before ? high : centre;
        }
        const long place = i + low - middle;
        merged_keys[place] = own;
        merged_order[place] = order[i];
    }
}
% endif
