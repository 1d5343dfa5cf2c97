## The work of elementwise.cl.mako on several sets of arrays, each of a size of its own, whose arrays lie compactly or are single elements.
<%namespace name="common" file="common.cl.mako"/>\
<%namespace name="functions" file="functions.cl.mako"/>\
<%
    module = common.module
    arrays = [z for z, _ in stores] + list(loads)
    computes = {a.compute for a in arrays} | {kind for kind, _ in numbers}
    storages = {a.storage for a in arrays}
    signature = (
        [p for z, _ in stores for p in module.parameters(z, "", index, [])]
        + [p for a in loads for p in module.parameters(a, "const ", index, [])]
        + [f"const {kind} {number}_given" for kind, number in numbers]
        + [f"const {index} n"]
    )
    half = "half" in storages or any("round_half" in code for _, _, code in lines)
    words = [p.split()[-1].lstrip("*") for p in signature]
    member = lambda text, number: text[: len(text) - len(text.split()[-1].lstrip("*"))] + f"m{number}_" + text.split()[-1].lstrip("*")
    given = lambda number: ", ".join(f"m{number}_{word}" for word in words)
%>\
${common.head(storages, computes | {kind.rstrip("0123456789") for kind, _, _ in lines}, fp64)}\
% if half:
${common.rounding(lanes, fp64)}\
% endif
${common.memory(storages, index, lanes)}\
${functions.needed(lines, lanes)}\

inline void set(
    ${",\n    ".join(signature)}, const ${index} begin, const ${index} end)
{
% for kind, number in numbers:
    const ${module.vector(kind, lanes)} ${number} = (${module.vector(kind, lanes)})(${number}_given);
% endfor
% if schedule == "cpu":
    for (${index} at = begin; at < end; at += ${lanes}) {
        const int count = (int)min((${index})${lanes}, end - at);
% else:
    for (${index} at = begin; at < end; at += get_global_size(0)) {
% endif
% for a in loads:
${common.load(a, "at", 0, index, lanes)}\
% endfor
% for kind, variable, code in lines:
        const ${kind} ${variable} = ${code};
% endfor
% for z, variable in stores:
${common.store(z, variable, "at", 0, index, lanes)}\
% endfor
    }
}

__kernel void ${name}(
    ${",\n    ".join(member(p, number) for number in range(members) for p in signature)})
{
% if schedule == "cpu":
    // Runs of ${lanes} elements, set after set; each work-item takes a contiguous share of them.
    ${index} runs = 0;
% for number in range(members):
    runs += (m${number}_n + ${lanes - 1}) / ${lanes};
% endfor
    const ${index} share = (runs + get_global_size(0) - 1) / get_global_size(0);
    ${index} first = get_global_id(0) * share, last = first + share;
% for number in range(members):
    {
        const ${index} mine = (m${number}_n + ${lanes - 1}) / ${lanes}, begin = max(first, (${index})0), end = min(last, mine);
        if (begin < end) set(${given(number)}, begin * ${lanes}, min(m${number}_n, end * ${lanes}));
        first -= mine;
        last -= mine;
    }
% endfor
% else:
% for number in range(members):
    set(${given(number)}, get_global_id(0), m${number}_n);
% endfor
% endif
}
