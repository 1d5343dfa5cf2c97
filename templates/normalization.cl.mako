## Rows less their mean, divided by their deviation; scaled and shifted by numbers for each element ("element") or for the row ("row").
## "normalized" also writes the rows' means, then their variances, to `moments`, which "normalized_back" may be given. From the gradient `head` of
## the result it makes that of the data, then those of scale and shift; those for each element first of the rows of each work-item (or group), to
## `partial`, which "totals_of_normalized" adds up.
<%namespace name="common" file="common.cl.mako"/>\
<%namespace name="rows" file="rows.cl.mako"/>\
<%
    T = common.module.vector(compute, lanes)
    load = lambda kind, name, at: f"get_{kind}(({name}), {at})" if lanes == 1 else f"load_{kind}({name} + {at}, count)"
    write = lambda kind, name, at, value: (
        f"put_{kind}(({name}), {at}, {value})" if lanes == 1 else f"store_{kind}({name} + {at}, {value}, count)"
    )
    store = lambda kind, name, at, value: (
        write(kind, name, at, value) if lanes == 1 else f"store_run_{kind}({name} + {at}, {value}, count, again)"
    )
    running = dict(index=index, lanes=lanes, schedule=schedule, group=group)
    folding = lambda folded: dict(running, kind="sum", names=folded, compute=compute)
    x = load(storage, "data", "at")
    keep = step == "normalized" and per == "element" and storage == compute # as in softmax.cl.mako, for rows that the first cache holds
    factor = "1" if not scaled else "scale[row]" if per == "row" else load(compute, "scale", "column")
    weighed = lambda value: value if factor == "1" else f"{value} * {factor}"
    head = load(storage, "head", "at")
    if per == "element":
        head = weighed(head)
    given = ["data"] if step == "normalized" else ["head", "data"]
    numbers = ["scale"] * scaled + ["shift"] * (step == "normalized") + ["moments"] * known
    item = "get_group_id(0)" if schedule == "gpu" else "get_global_id(0)"
    one = "if (get_local_id(0) == 0) " if schedule == "gpu" else ""
%>\
${common.head({storage, compute}, {compute}, fp64)}\
${common.memory({storage, compute}, index, lanes)}\

${rows.functions(["sum"], compute, lanes, schedule, group)}\
${rows.store_run({storage, compute}, compute, lanes)}\

% if step == "totals_of_normalized":
## out: sums of scale's gradients and of shift's, each over `items` rows of n.
__kernel void ${name}(
    __global ${compute} *out,
    __global const ${compute} *partial,
    const ${index} partial_start,
    const ${index} start,
    const ${index} items,
    const ${index} n)
{
% if schedule == "cpu":
    const ${index} chunk = ((2 * n + ${lanes - 1}) / ${lanes} + get_global_size(0) - 1) / get_global_size(0) * ${lanes};
    const ${index} begin = get_global_id(0) * chunk, end = begin < 2 * n ? min(2 * n, begin + chunk) : begin;
    for (${index} at = begin; at < end; at += ${lanes}) {
        const int count = (int)min((${index})${lanes}, end - at);
% else:
    for (${index} at = get_global_id(0); at < 2 * n; at += get_global_size(0)) {
% endif
        ${T} total = 0, lost = 0;
        for (${index} i = 0; i < items; i++) {
            const ${T} more = ${load(compute, "partial", "partial_start + i * 2 * n + at")};
            lost += lost_by(total, more);
            total += more;
        }
        total = lost == lost ? total + lost : total;
        ${write(compute, "out", "start + at", "total")};
    }
}
% else:
__kernel void ${name}(
    __global ${storage if step == "normalized" else compute} *out,
% if step == "normalized" or per == "element":
    __global ${compute} *${"moments" if step == "normalized" else "partial"},
% endif
% for array in given:
    __global const ${storage} *${array},
    const ${index} ${array}_start,
% endfor
% for array in numbers:
    __global const ${compute} *${array},
    const ${index} ${array}_start,
% endfor
    ${rows.parameters(index)},
    const ${compute} epsilon)
{
% for array in given + numbers:
    ${array} += ${array}_start;
% endfor
    const ${compute} size = parts * n;
% if step == "normalized_back" and per == "element":
    partial += 2 * n * ${item};
    for (${index} i = ${"get_local_id(0)" if schedule == "gpu" else 0}; i < n; i += ${group if schedule == "gpu" else 1}) partial[i] = partial[n + i] = 0;
% endif
${rows.each_row(index, schedule, group, compute)}\
% if known:
        const ${compute} mean = moments[row], variance = moments[rows + row];
% else:
<%call expr="rows.fold(**folding(['data_sum']))">\
                const ${T} data_sum_value = ${x};
</%call>\
        const ${compute} mean = data_sum / size;
<%call expr="rows.fold(**folding(['square_sum']))">\
                const ${T} distance = ${x} - mean, square_sum_value = distance * distance;
% if keep:
                ${write(storage, "out", "at", "distance")};
% endif
</%call>\
        const ${compute} variance = square_sum / size;
% endif
        const ${compute} inverse = 1 / sqrt(variance + epsilon);
% if step == "normalized":
        ${one}{
            moments[row] = mean;
            moments[rows + row] = variance;
        }
<%call expr="rows.each_run(**running)">\
                const ${T} normal = ${load(storage, "out", "at") if keep else f"({x} - mean)"} * inverse;
                ${store(storage, "out", "at", f"{weighed('normal')} + " + ("shift[row]" if per == "row" else load(compute, "shift", "column")))};
</%call>\
% else:
<%call expr="rows.fold(**folding(['flow', 'along']))">\
                const ${T} flow_value = ${head}, along_value = flow_value * ((${x} - mean) * inverse);
</%call>\
% if per == "row":
        ${one}{
            out[rows * parts * n + row] = along;
            out[rows * parts * n + rows + row] = flow;
        }
        const ${compute} strength = ${"scale[row] * inverse" if scaled else "inverse"};
% else:
        const ${compute} strength = inverse;
% endif
        const ${compute} mean_flow = flow / size, mean_along = along / size;
<%call expr="rows.each_run(**running)">\
                const ${T} normal = (${x} - mean) * inverse;
% if per == "element":
                const ${T} plain = ${load(storage, "head", "at")}, pull = ${weighed("plain")};
                ${store(compute, "partial", "column", load(compute, "partial", "column") + " + plain * normal")};
                ${store(compute, "partial + n", "column", load(compute, "partial + n", "column") + " + plain")};
% else:
                const ${T} pull = ${load(storage, "head", "at")};
% endif
                ${store(compute, "out", "at", "(pull - mean_flow - normal * mean_along) * strength")};
</%call>\
% endif
    }
}
% endif
