## z[i] = expression(a[i], b[i], ...) for every position i of one shape, arrays broadcast by strides of 0.
## CPU schedule: each work-item takes a contiguous chunk of runs of ${lanes} elements. GPU schedule: one element at a time, stride of the grid.
<%namespace name="common" file="common.cl.mako"/>\
<%namespace name="functions" file="functions.cl.mako"/>\
<%
    module = common.module
    arrays = [z for z, _ in stores] + list(loads)
    computes = {a.compute for a in arrays} | {kind for kind, _ in numbers}
    storages = {a.storage for a in arrays}
    general = any(a.general for a in arrays)
    axes = lambda a: [("v", dims if a.general else 0)]
    signature = (
        [p for z, _ in stores for p in module.parameters(z, "", index, axes(z))]
        + [p for a in loads for p in module.parameters(a, "const ", index, axes(a))]
        + [f"const {kind} {number}_given" for kind, number in numbers]
        + [f"const {index} n"]
        + [f"const {index} n{i}" for i in range(dims)]
    )
    half = "half" in storages or any("round_half" in code for _, _, code in lines)
%>\
${common.head(storages, computes | {kind.rstrip("0123456789") for kind, _, _ in lines}, fp64)}\
% if half:
${common.rounding(lanes, fp64)}\
% endif
${common.memory(storages, index, lanes)}\
${functions.needed(lines, lanes)}\

__kernel void ${name}(
    ${",\n    ".join(signature)})
{
% for kind, number in numbers:
    const ${module.vector(kind, lanes)} ${number} = (${module.vector(kind, lanes)})(${number}_given);
% endfor
% if schedule == "cpu":
    const ${index} chunk = ((n + ${lanes - 1}) / ${lanes} + get_global_size(0) - 1) / get_global_size(0) * ${lanes};
    const ${index} begin = get_global_id(0) * chunk, end = begin < n ? min(n, begin + chunk) : begin;
% if general:
${common.unravel("begin", "k", "n", dims, index)}\
% endif
    for (${index} at = begin; at < end; at += ${lanes}) {
        const int count = (int)min((${index})${lanes}, end - at);
% if general and lanes > 1:
        const int in_row = k${dims - 1} + count <= n${dims - 1};
% endif
% else:
    for (${index} at = get_global_id(0); at < n; at += get_global_size(0)) {
% if general:
${common.unravel("at", "k", "n", dims, index)}\
% endif
% endif
        {
% for a in loads:
${common.load(a, "at", dims, index, lanes)}\
% endfor
% for kind, variable, code in lines:
            const ${kind} ${variable} = ${code};
% endfor
% for z, variable in stores:
${common.store(z, variable, "at", dims, index, lanes)}\
% endfor
        }
% if schedule == "cpu" and general:
${common.advance("k", "n", dims, lanes)}\
% endif
    }
}
