<%doc>
Writes rows where indices say, in the order of the indices: data[o, j, i] to out[o, indices[j], i]. `order` sorts the indices, equal ones by
their place, so that those of one row stand together: a work-item has rows to itself and needs no atomics. The indices are in range.

Parameters
    name        the kernel's name
    step        "add", to what `out` holds, or "assign": of equal indices the last one stays
    storage     type of the elements
    category    with "add": of the elements: "float", "int" or "uint"
    lanes       with "add": elements of a row that a work-item handles together; those past the last whole vector it handles one by one
    schedule    "cpu": every work-item a contiguous chunk; "gpu": grid-stride

Arguments
    both        out, data, where they start, indices, where they start, order, where it starts, outer, n, inner, picked
    add         shares, and begin and end of what a launch goes through of the order: rows are continued by the next launch
</%doc>\
<%namespace name="common" file="common.cl.mako"/>\
<%page args="name, step, storage, schedule, fp64, lanes=1, category=''"/>\
${common.head({storage}, {storage}, fp64)}\
% if step == "assign":

__kernel void ${name}(
    __global ${storage} *out, __global const ${storage} *data, const long data_start, __global const long *indices, const long indices_start,
    __global const long *order, const long order_start, const long outer, const long n, const long inner, const long picked)
{
    indices += indices_start;
    order += order_start;
    const long size = outer * picked * inner;
${common.each_position("at", "size", "long", schedule)} {
        const long i = at % inner, j = at / inner % picked, o = at / (inner * picked), row = indices[order[j]];
        if (j + 1 == picked || indices[order[j + 1]] != row)
            out[(o * n + row) * inner + i] = data[data_start + (o * picked + order[j]) * inner + i];
    }
}
% else:
${common.memory({storage}, "long", lanes)}\

__kernel void ${name}(
    __global ${storage} *out, __global const ${storage} *data, const long data_start, __global const long *indices, const long indices_start,
    __global const long *order, const long order_start, const long outer, const long n, const long inner, const long picked,
    const long shares, const long begin, const long end)
{
    indices += indices_start;
    order += order_start;
    // Vectors of a row first, then its last elements.
    const long whole = inner / ${lanes}, pieces = whole + inner % ${lanes};
    const long piece = get_global_id(0) % pieces, o = get_global_id(0) / pieces % outer, part = get_global_id(0) / (pieces * outer);
    if (part >= shares) return;
    // The rows that begin in this share of the order.
    const long share = (end - begin + shares - 1) / shares;
    long first = min(end, begin + part * share), last = min(end, first + share);
    while (first < last && first > begin && indices[order[first]] == indices[order[first - 1]]) first++;
    while (first < last && last < end && indices[order[last]] == indices[order[last - 1]]) last++;
% for width, condition, left in [(lanes, "piece < whole", f"piece * {lanes}")] + ([(1, "piece >= whole", f"whole * {lanes} + piece - whole")] if lanes > 1 else []):
<%
    kind = storage if width == 1 else f"{storage}{width}"
    load = (lambda at: f"load_{storage}({at}, {width})") if width > 1 else (lambda at: f"*({at})")
%>\
    for (long j = ${condition} ? first : last; j < last; j++) {
        __global ${storage} *total = out + (o * n + indices[order[j]]) * inner + ${left};
        const ${kind} more = ${load(f"data + data_start + (o * picked + order[j]) * inner + {left}")};
        const ${kind} old = ${load("total")};
% if category == "int" and width > 1:
        const ${kind} sum = as_${kind}(as_u${kind}(old) + as_u${kind}(more));
% elif category == "int":
        const ${kind} sum = (${kind})((u${kind})old + (u${kind})more);
% else:
        const ${kind} sum = old + more;
% endif
        ${f"store_{storage}(total, sum, {width})" if width > 1 else "*total = sum"};
    }
% endfor
}
% endif
