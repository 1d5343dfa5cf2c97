## softmax of rows, its logarithm, and what flows back through them. `keep`: the result holds the powers (their logarithms) until the
## row's sum is known. So they are computed once, and the result's memory comes to the cache meanwhile.
<%namespace name="common" file="common.cl.mako"/>\
<%namespace name="functions" file="functions.cl.mako"/>\
<%namespace name="rows" file="rows.cl.mako"/>\
<%
    T = common.module.vector(compute, lanes)
    exp = f"exp_{T}"
    load = lambda name: f"get_{storage}({name}, at)" if lanes == 1 else f"load_{storage}({name} + at, count)"
    write = lambda value: f"put_{storage}(out, at, {value})" if lanes == 1 else f"store_{storage}(out + at, {value}, count)"
    store = lambda value: write(value) if lanes == 1 else f"store_run_{storage}(out + at, {value}, count, again)"
    given = ["data"] if step in ("softmax", "log_softmax") else ["head", "result"]
    running = dict(index=index, lanes=lanes, schedule=schedule, group=group, joined=True)
    folding = lambda kind, folded: dict(running, kind=kind, names=[folded], compute=compute)
    keep = storage == compute
%>\
${common.head({storage}, {compute}, fp64)}\
${common.memory({storage}, index, lanes)}\
${functions.needed([(T, "", f"{exp}(")] if step != "softmax_back" else [], lanes)}\
${rows.functions(["max", "sum"] if given == ["data"] else ["sum"], compute, lanes, schedule, group)}\
${rows.store_run({storage}, compute, lanes)}\

__kernel void ${name}(
    __global ${storage} *out,
% for x in given:
    __global const ${storage} *${x},
    const ${index} ${x}_start,
% endfor
    ${rows.parameters(index)})
{
% for x in given:
    ${x} += ${x}_start;
% endfor
${rows.each_row(index, schedule, group, compute)}\
% if given == ["data"]:
<%call expr="rows.fold(**folding('max', 'largest'))">\
                const ${T} largest_value = ${load("data")};
</%call>\
<%call expr="rows.fold(**folding('sum', 'total'))">\
                const ${T} exponent = ${load("data")} - largest, total_value = ${exp}(exponent);
% if keep:
                ${write("total_value" if step == "softmax" else "exponent")};
% endif
</%call>\
% if step == "softmax":
        const ${compute} scale = 1 / total;
% else:
        const ${compute} logarithm = log(total);
% endif
<%call expr="rows.each_run(**running)">\
% if step == "log_softmax":
                ${store(load("out") + " - logarithm" if keep else load("data") + " - largest - logarithm")};
% elif keep:
                ${store(load("out") + " * scale")};
% else:
                ${store(f"{exp}({load('data')} - largest) * scale")};
% endif
</%call>\
% elif step == "softmax_back":
<%call expr="rows.fold(**folding('sum', 'total'))">\
                const ${T} total_value = ${load("head")} * ${load("result")};
</%call>\
<%call expr="rows.each_run(**running)">\
                ${store(f"({load('head')} - total) * {load('result')}")};
</%call>\
% else:
<%call expr="rows.fold(**folding('sum', 'total'))">\
                const ${T} total_value = ${load("head")};
</%call>\
<%call expr="rows.each_run(**running)">\
                ${store(f"{load('head')} - {exp}({load('result')}) * total")};
</%call>\
% endif
    }
}
