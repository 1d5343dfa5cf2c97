## z[i] = expression(a[i], b[i], ...) for every position i of one shape, arrays broadcast by strides of 0.
## CPU schedule: each work-item takes a contiguous chunk of runs of ${lanes} elements. GPU schedule: one element at a time, stride of the grid.
## CPU schedule with `crossed`, an axis that arrays lie along while the kernel's runs go along the last one: each work-item takes a chunk of blocks
## of ${block} by ${block} tiles over these two axes, so that a line of memory is read once, and tiles are turned in registers.
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
    last = dims - 1
    others = [i for i in range(dims) if i not in (crossed, last)]
%>\
${common.head(storages, computes | {kind.rstrip("0123456789") for kind, _, _ in lines}, fp64)}\
% if half:
${common.rounding(lanes, fp64)}\
% endif
${common.memory(storages, index, lanes)}\
% for storage in sorted({a.storage for a in loads if a.kind == "crossed"}):
${common.tiles(storage, index, lanes)}\
% endfor
${functions.needed(lines, lanes)}\

__kernel void ${name}(
    ${",\n    ".join(signature)})
{
% for kind, number in numbers:
    const ${module.vector(kind, lanes)} ${number} = (${module.vector(kind, lanes)})(${number}_given);
% endfor
% if crossed is not None:
    const int side = ${block * lanes};
    const ${index} across = (n${last} + side - 1) / side, down = (n${crossed} + side - 1) / side;
    const ${index} blocks = ${" * ".join(["across", "down", *(f"n{i}" for i in others)])};
    const ${index} share = (blocks + get_global_size(0) - 1) / get_global_size(0);
    const ${index} begin = min(blocks, (${index})get_global_id(0) * share), end = min(blocks, begin + share);
    for (${index} number = begin; number < end; number++) {
        ${index} rest = number;
        const ${index} left = rest % across * side;
        rest /= across;
        const ${index} top = rest % down * side;
        rest /= down;
% for i in reversed(others):
        const ${index} k${i} = rest % n${i};
        rest /= n${i};
% endfor
        for (${index} tile = 0; tile < ${block * block}; tile++) {
            const ${index} first_line = top + tile / ${block} * ${lanes}, k${last} = left + tile % ${block} * ${lanes};
            if (first_line >= n${crossed} || k${last} >= n${last}) continue;
            const int height = (int)min((${index})${lanes}, n${crossed} - first_line), count = (int)min((${index})${lanes}, n${last} - k${last});
            ${index} k${crossed} = first_line;
% for a in loads:
% if a.kind == "crossed":
            ${module.vector(a.compute, lanes)} ${a.name}_tile[${lanes}];
            load_tile_${a.storage}(${a.name}_data + ${a.name}_start + ${module.offset("k", f"{a.name}_v", dims)}, ${a.name}_v${last}, count, height, ${a.name}_tile);
% endif
% endfor
            for (int line = 0; line < height; line++, k${crossed}++) {
${run()}\
            }
        }
    }
% else:
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
${run()}\
        }
% if schedule == "cpu" and general:
${common.advance("k", "n", dims, lanes)}\
% endif
    }
% endif
}

<%def name="run()">\
% for a in loads:
${common.load(a, "at", dims, index, lanes, apart=crossed is not None)}\
% endfor
% for kind, variable, code in lines:
            const ${kind} ${variable} = ${code};
% endfor
% for z, variable in stores:
${common.store(z, variable, "at", dims, index, lanes, apart=crossed is not None)}\
% endfor
</%def>
