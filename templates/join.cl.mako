## The rows of several arrays side by side: row r of array i, `wide_i` elements from r * apart_i on, becomes a part of row r of `out`, from place_i on.
## Elements are moved as they are. CPU schedule: array after array, each work-item a contiguous share. GPU schedule: stride of the grid.
<%namespace name="common" file="common.cl.mako"/>\
<%
    module = common.module
    words = ["data", "start", "apart", "wide", "place"]
    signature = lambda i: ", ".join([f"__global const {storage} *data{i}", *(f"const {index} {word}{i}" for word in words[1:])])
    v = module.vector(storage, lanes)
%>\
${common.head({storage}, {storage}, fp64)}\
${common.memory({storage}, index, lanes)}\

inline void join(
    __global ${storage} *out, const ${index} row, __global const ${storage} *data, const ${index} apart, const ${index} wide, ${index} begin, const ${index} end)
{
% if schedule == "cpu":
    if (begin >= end) return;
    ${index} r = begin / wide, at = begin - r * wide;
    for (; begin < end; r++, at = 0) {
        const ${index} stop = min(wide, at + end - begin);
        __global const ${storage} *from = data + r * apart;
        __global ${storage} *to = out + r * row;
        begin += stop - at;
% if lanes > 1:
        if (stop - at >= ${lanes}) {
            for (; at < stop - ${lanes}; at += ${lanes}) *(__global ${v}_anywhere *)(to + at) = *(__global const ${v}_anywhere *)(from + at);
            *(__global ${v}_anywhere *)(to + stop - ${lanes}) = *(__global const ${v}_anywhere *)(from + stop - ${lanes});
            continue;
        }
% endif
        ${module.SHORT}
        for (; at < stop; at++) to[at] = from[at];
    }
% else:
    for (; begin < end; begin += get_global_size(0)) {
        const ${index} r = begin / wide, at = begin - r * wide;
        out[r * row + at] = data[r * apart + at];
    }
% endif
}

__kernel void ${name}(
    __global ${storage} *out, const ${index} rows, const ${index} row,
    ${",\n    ".join(signature(i) for i in range(members))})
{
% if schedule == "cpu":
    const ${index} all = rows * (${" + ".join(f"wide{i}" for i in range(members))});
    const ${index} share = ((all + get_global_size(0) - 1) / get_global_size(0) + ${lanes - 1}) / ${lanes} * ${lanes};
    ${index} first = min(all, (${index})get_global_id(0) * share), last = min(all, first + share);
% for i in range(members):
    join(out + place${i}, row, data${i} + start${i}, apart${i}, wide${i}, max(first, (${index})0), min(last, rows * wide${i}));
    first -= rows * wide${i};
    last -= rows * wide${i};
% endfor
% else:
% for i in range(members):
    join(out + place${i}, row, data${i} + start${i}, apart${i}, wide${i}, get_global_id(0), rows * wide${i});
% endfor
% endif
}
