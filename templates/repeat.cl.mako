## Each run of `wide` elements of data `copies` times, one after another. Elements are moved as they are.
## CPU schedule: each work-item a contiguous share of the result, in whole vectors, of which the next one overwrites what is too much.
## GPU schedule: stride of the grid.
<%namespace name="common" file="common.cl.mako"/>\
<% v = common.module.vector(storage, lanes) %>\
${common.head({storage}, {storage}, fp64)}\
${common.memory({storage}, index, lanes)}\

__kernel void ${name}(
    __global ${storage} *out, __global const ${storage} *data, const ${index} start, const ${index} outer, const ${index} copies, const ${index} wide)
{
    const ${index} n = outer * copies * wide;
    data += start;
% if schedule == "cpu":
    const ${index} share = (n + get_global_size(0) - 1) / get_global_size(0);
    ${index} at = min(n, (${index})get_global_id(0) * share);
    const ${index} end = min(n, at + share);
    if (at >= end) return;
    ${index} run = at / (copies * wide), copy = at / wide % copies, place = at % wide;
% if lanes > 1:
    if (wide == 1) {
        for (; at < end; run++, copy = 0) {
            const ${index} stop = min(end, at + copies - copy);
            const ${v} x = (${v})(data[run]);
            for (; at < stop && at <= end - ${lanes}; at += ${lanes}) *(__global ${v}_anywhere *)(out + at) = x;
            for (; at < stop; at++) out[at] = data[run];
            at = stop;
        }
        return;
    }
% endif
    for (; at < end; place = 0) {
        const ${index} stop = min(end, at + wide - place);
        ${index} from = run * wide + place;
% if lanes > 1:
        for (; at < stop && at <= end - ${lanes} && from <= outer * wide - ${lanes}; at += ${lanes}, from += ${lanes})
            *(__global ${v}_anywhere *)(out + at) = *(__global const ${v}_anywhere *)(data + from);
% endif
        ${common.module.SHORT}
        for (; at < stop; at++, from++) out[at] = data[from];
        at = stop;
        if (++copy == copies) {
            copy = 0;
            run++;
        }
    }
% else:
    for (${index} at = get_global_id(0); at < n; at += get_global_size(0)) out[at] = data[at / (copies * wide) * wide + at % wide];
% endif
}
