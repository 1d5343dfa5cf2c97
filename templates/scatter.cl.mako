<%doc>
Writes rows where indices say, in the order of the indices: data[o, j, i] to out[o, indices[j], i]. No work-item touches what another one
does, so that none needs atomics, and equal indices take effect in their order from every schedule.

CPU schedule: a work-item goes through all indices, and handles those of the rows and columns that are its own.
GPU schedule: `order` sorts the indices, equal ones by their place, so that those of one row stand together and a work-item has rows to itself.

Parameters
    name        the kernel's name
    step        "add", to what `out` holds, or "assign": of equal indices the last one stays
    storage     type of the elements
    category    with "add": of the elements: "float", "int" or "uint"
    index       type of the indices
    row         OpenCL C of the row, a long from 0 to rows - 1 whatever the index `own` is
    lanes       elements of a row that a work-item handles together; those past the last whole vector it handles one by one
    block       with "cpu": neighbouring rows that one work-item handles
    schedule    "cpu" or "gpu"

Arguments
    cpu         out, data, where they start, indices, where they start, outer, rows, inner, picked, depth (of `outer`) and width (of `inner`) of
                what a work-item handles, parts that the rows fall into, a power of two, and begin and end of the indices of a launch
    gpu         out, data, where they start, indices, where they start, order, where it starts, outer, rows, inner, picked
    add         shares, and begin and end of what a launch goes through of the order: rows are continued by the next launch
</%doc>\
<%namespace name="common" file="common.cl.mako"/>\
<%page args="name, step, storage, schedule, fp64, index, row, lanes=1, category='', block=1"/>\
<%
    def added(old, more, kind):
        """The sum; of signed integers in unsigned arithmetic, which wraps."""
        if category != "int":
            return f"{old} + {more}"
        if kind == storage:
            return f"({kind})((u{kind}){old} + (u{kind}){more})"
        return f"as_{kind}(as_u{kind}({old}) + as_u{kind}({more}))"
%>\
${common.head({storage}, {storage}, fp64)}\
% if schedule == "cpu":
${common.memory({storage}, "long", lanes)}\

__kernel void ${name}(
    __global ${storage} *restrict out, __global const ${storage} *restrict data, const long data_start,
    __global const ${index} *restrict indices, const long indices_start,
    const long outer, const long rows, const long inner, const long picked,
    const long depth, const long width, const long parts, const long begin, const long end)
{
    const long columns = (inner + width - 1) / width, part = get_global_id(0) % parts, rest = get_global_id(0) / parts;
    const long left = rest % columns * width, count = min(width, inner - left);
    const long first = rest / columns * depth, last = min(outer, first + depth);
    data += data_start + left;
    indices += indices_start;
    out += left;
    for (long o = first; o < last; o++) {
        for (long j = begin; j < end; j++) {
            const ${index} own = indices[j];
            const long row = ${row};
            if ((row / ${block} & (parts - 1)) != part) continue;
            __global const ${storage} *from = data + (o * picked + j) * inner;
            __global ${storage} *to = out + (o * rows + row) * inner;
            long i = 0;
% for width in (lanes, 1) if lanes > 1 else (1,):
<%
    kind = storage if width == 1 else f"{storage}{width}"
    old, more = (f"{p}[i]" if width == 1 else f"load_{storage}({p} + i, {width})" for p in ("to", "from"))
    made = added(old, more, kind) if step == "add" else more
%>\
            for (; i + ${width} <= count; i += ${width}) ${f"to[i] = {made}" if width == 1 else f"store_{storage}(to + i, {made}, {width})"};
% endfor
        }
    }
}
% elif step == "assign":

__kernel void ${name}(
    __global ${storage} *out, __global const ${storage} *data, const long data_start, __global const ${index} *indices, const long indices_start,
    __global const long *order, const long order_start, const long outer, const long rows, const long inner, const long picked)
{
    indices += indices_start;
    order += order_start;
    const long size = outer * picked * inner;
${common.each_position("at", "size", "long", schedule)} {
        const long i = at % inner, j = at / inner % picked, o = at / (inner * picked);
        const ${index} own = indices[order[j]];
        if (j + 1 == picked || indices[order[j + 1]] != own)
            out[(o * rows + ${row}) * inner + i] = data[data_start + (o * picked + order[j]) * inner + i];
    }
}
% else:

__kernel void ${name}(
    __global ${storage} *out, __global const ${storage} *data, const long data_start, __global const ${index} *indices, const long indices_start,
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
        const ${index} own = indices[order[j]];
        __global ${storage} *total = out + (o * rows + ${row}) * inner + i;
        const ${storage} more = data[data_start + (o * picked + order[j]) * inner + i];
        *total = ${added("*total", "more", storage)};
    }
}
% endif
