## out[segment, kept position] = fold of the elements of a segment of the folded axes; stores on the way what others will read.
## "inner": runs of ${lanes} elements along the folded axes, folded across lanes at the end. "outer": runs along the kept axes, no crossing.
## CPU schedule: each work-item takes a chunk of outputs, and joins ${block} runs (inner: neighbours, outer: of as many rows) in pairs before it
## adds them to a total. GPU schedule: inner, a work-group an output; outer, a work-item an output.
<%namespace name="common" file="common.cl.mako"/>\
<%namespace name="functions" file="functions.cl.mako"/>\
<%
    module = common.module
    arrays = [z for z, _ in stores] + list(loads)
    storages = {a.storage for a in arrays} | {result}
    computes = {a.compute for a in arrays} | {kind for kind, _ in numbers} | {compute} | {kind.rstrip("0123456789") for kind, _, _ in lines}
    general = any(a.general for a in arrays)
    axes = lambda a: [("s", steps), ("v", dims if a.general else 0)]
    signature = (
        [f"__global {result} *out", f"const {index} keep", f"const {index} length"]
        + ([f"const {compute} n"] if finish else [])
        + [p for z, _ in stores for p in module.parameters(z, "", index, axes(z))]
        + [p for a in loads for p in module.parameters(a, "const ", index, axes(a))]
        + [f"const {kind} {number}_given" for kind, number in numbers]
        + [f"const {index} m{i}" for i in range(steps)]
        + [f"const {index} n{i}" for i in range(dims)]
    )
    T = module.vector(compute, lanes)
    end = module.vector(compute, 1 if inner else lanes)
    half = "half" in storages or any("round_half" in code for _, _, code in lines) or "round_half" in convert or "round_half" in value
    run = lanes * block if inner and schedule == "cpu" else block if schedule == "cpu" else lanes
    # Short code is written out twice: once more for blocks without a ragged end, and within a row.
    twice = len(lines) <= 12 and (inner or not general)
    lost_name = lambda width: "lost_by" if width == lanes else f"lost_by_{width}"
    join_name = lambda width: "join" if width == lanes else f"join_{width}"
%>\
${common.head(storages, computes, fp64)}\
% if half:
${common.rounding(lanes, fp64)}\
% if lanes > 1 and inner and "round_half" in convert:
${common.rounding(1, fp64)}\
% endif
% endif
${common.memory(storages, index, lanes)}\
${functions.needed(lines, lanes)}\

% for width, code in joins:
<% W = module.vector(compute, width) %>\
% if width == lanes or inner:
inline ${W} ${join_name(width)}(${W} a, ${W} b) { return ${code}; }
% if compensated:
% if width == lanes:
// What rounding takes from a + b (Knuth's sum of two). An infinite sum has lost nothing; then this is NaN, and stays it.
% endif
inline ${W} ${lost_name(width)}(${W} a, ${W} b) { const ${W} sum = a + b, more = sum - a; return (a - (sum - more)) + (b - more); }
% endif
% endif
% endfor

% if inner and lanes > 1:
${common.between(compute, lanes)}\
% endif
## The elements of one run into `value`; `shift` holds how far the step axes have moved each array.
<%def name="element(whole=False)">\
% for a in loads:
${common.load(a, "at", dims, index, lanes, f" + {a.name}_shift", whole)}\
% endfor
% for kind, variable, code in lines:
            const ${kind} ${variable} = ${code};
% endfor
% for z, variable in stores:
${common.store(z, variable, "at", dims, index, lanes, f" + {z.name}_shift", whole)}\
% endfor
            const ${T} value = ${value};
</%def>\
<%def name="shifts()">\
% for a in arrays:
        const ${index} ${a.name}_shift = ${module.offset("i", f"{a.name}_s", steps)};
% endfor
</%def>\
<%def name="add_value(element, total='total', lost='lost')">\
% if compensated:
            ${lost} += lost_by(${total}, ${element});
% endif
            ${total} = join(${total}, ${element});
</%def>\
<%def name="end_total(total='total', lost='lost')">\
% if compensated:
        ${total} = ${lost} == ${lost} ? ${total} + ${lost} : ${total};
% endif
</%def>\
## The result from the variable `folded`.
<%def name="finished(folded)">\
% if finish:
            const ${end} folded = ${folded};
            const ${end} x = ${finish};
% else:
            const ${end} x = ${folded};
% endif
</%def>\
## What each of the `order` lanes does; a work-item has several where the kernel needs smaller groups than the order of sums has lanes.
<%def name="each_lane()">\
% if group < order:
        for (int lane = item; lane < ${order}; lane += ${group}) {
${caller.body()}\
        }
% else:
${caller.body()}\
% endif
</%def>\
## Join the totals of two lanes in the first.
<%def name="join_lanes()">\
% if compensated:
            lane_lost[lane] += lane_lost[lane + width] + lost_by(lane_totals[lane], lane_totals[lane + width]);
% endif
            lane_totals[lane] = join(lane_totals[lane], lane_totals[lane + width]);
</%def>\
## Join the lanes of `total` in the first, halves with halves; into `total_1`.
<%def name="fold_lanes()">\
<% width = lanes // 2 %>\
% while width:
<% W, wide = module.vector(compute, width), "" if 2 * width == lanes else f"_{2 * width}" %>\
        ${W} total_${width} = ${join_name(width)}(total${wide}.lo, total${wide}.hi);
% if compensated:
        ${W} lost_${width} = lost${wide}.lo + lost${wide}.hi + ${lost_name(width)}(total${wide}.lo, total${wide}.hi);
% endif
<% width //= 2 %>\
% endwhile
</%def>\
## A block's runs, joined in pairs.
<%def name="pairs()">\
<% parts = [f"parts[{i}]" for i in range(block)] %>\
% while len(parts) > 2:
<% parts = [f"join({a}, {b})" for a, b in zip(parts[::2], parts[1::2])] %>\
% endwhile
join(${parts[0]}, ${parts[1]})\
</%def>\
## A block of neighbouring runs from flat position `start` on. A last run that is short begins earlier, and its first lanes count for nothing:
## lane by lane it would take longer than all the others.
<%def name="block_of_runs(whole)">\
        ${T} parts[${block}];
        for (int u = 0; u < ${block}; u++) {
% if whole:
            const ${index} at = start + u * ${lanes};
            const int count = ${lanes};
% else:
            ${"const " if lanes == 1 else ""}${index} at = start + u * ${lanes};
            if (at >= to) {
                parts[u] = (${T})(${identity});
                continue;
            }
% if lanes == 1:
            const int count = 1;
% else:
            const int left = (int)min((${index})${lanes}, to - at), again = to - from < ${lanes} ? 0 : ${lanes} - left, count = left + again;
            at -= again;
% if general:
% for i in range(dims):
            k${i} = again ? j${i} : k${i};
% endfor
            const int in_row = k${dims - 1} + count <= n${dims - 1};
% endif
% endif
% endif
${element(whole)}\
% if whole or lanes == 1:
            parts[u] = value;
% else:
            parts[u] = between(value, ${identity}, again, count);
% endif
% if general:
${common.advance("k", "n", dims, lanes)}\
% endif
        }
        const ${T} joined = ${pairs()};
${add_value("joined")}\
</%def>\
## A block of the runs at flat position `at` of `rows` rows.
<%def name="block_of_rows(whole)">\
        ${T} parts[${block}];
        for (int u = 0; u < ${block}; u++) {
% if whole:
            const int count = ${lanes};
% else:
            if (u >= rows) {
                parts[u] = (${T})(${identity});
                continue;
            }
% endif
% for a in arrays:
            const ${index} ${a.name}_shift = ${a.name}_shifts[u];
% endfor
${element()}\
            parts[u] = value;
        }
        const ${T} joined = ${pairs()};
${add_value("joined", "totals[w]", "losts[w]")}\
</%def>\

__kernel void ${name}(
    ${",\n    ".join(signature)})
{
% for kind, number in numbers:
    const ${module.vector(kind, lanes)} ${number} = (${module.vector(kind, lanes)})(${number}_given);
% endfor
    const ${index} segments = get_global_size(1), segment = get_global_id(1);
    const ${index} part = ((length + segments - 1) / segments + ${run - 1}) / ${run} * ${run};
    const ${index} from = min(length, segment * part), to = min(length, from + part);
% if inner and schedule == "gpu":
    __local ${compute} lane_totals[${order}]${f", lane_lost[{order}]" if compensated else ""};
    const int ${"item" if group < order else "lane"} = get_local_id(0);
    for (${index} o = get_group_id(0); o < keep; o += get_num_groups(0)) {
${common.unravel("o", "i", "m", steps, index)}\
${shifts()}\
<%call expr="each_lane()">\
        ${T} total = ${identity}${", lost = 0" if compensated else ""};
        for (${index} at = from + lane; at < to; at += ${order}) {
% if general:
${common.unravel("at", "k", "n", dims, index)}\
% endif
${element()}\
${add_value("value")}\
        }
        lane_totals[lane] = total;
% if compensated:
        lane_lost[lane] = lost;
% endif
</%call>\
        for (int width = ${order // 2}; width > 0; width /= 2) {
            barrier(CLK_LOCAL_MEM_FENCE);
% if group < order:
            for (int lane = item; lane < width; lane += ${group}) {
% else:
            if (lane < width) {
% endif
${join_lanes()}\
            }
        }
        if (${"item" if group < order else "lane"} == 0) {
${end_total("lane_totals[0]", "lane_lost[0]")}\
${finished("lane_totals[0]")}\
            put_${result}(out, segment * keep + o, ${convert});
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
% elif inner:
    const ${index} chunk = (keep + get_global_size(0) - 1) / get_global_size(0);
    const ${index} first = get_global_id(0) * chunk;
    for (${index} o = first; o < min(keep, first + chunk); o++) {
${common.unravel("o", "i", "m", steps, index)}\
${shifts()}\
        ${T} total = (${T})(${identity})${f", lost = ({T})(0)" if compensated else ""};
% if general:
${common.unravel("from", "k", "n", dims, index)}\
% if lanes > 1:
${common.unravel(f"to - {lanes}", "j", "n", dims, index)}\
% endif
% endif
        for (${index} start = from; start < to; start += ${run}) {
% if twice:
            if (to - start >= ${run}${f" && k{dims - 1} + {run} <= n{dims - 1}" if general else ""}) {
${block_of_runs(True)}\
                continue;
            }
% endif
${block_of_runs(False)}\
        }
% if lanes > 1:
${fold_lanes()}\
${end_total("total_1", "lost_1")}\
${finished("total_1")}\
% else:
${end_total()}\
${finished("total")}\
% endif
            put_${result}(out, segment * keep + o, ${convert});
    }
% elif schedule == "gpu":
    for (${index} at = get_global_id(0); at < keep; at += get_global_size(0)) {
% if general:
${common.unravel("at", "k", "n", dims, index)}\
% endif
        ${T} total = ${identity}${", lost = 0" if compensated else ""};
${common.unravel("from", "i", "m", steps, index)}\
        for (${index} r = from; r < to; r++) {
${shifts()}\
${element()}\
${add_value("value")}\
${common.advance("i", "m", steps, 1)}\
        }
${end_total()}\
        {
${finished("total")}\
            put_${result}(out, segment * keep + at, ${convert});
        }
    }
% else:
    const ${index} chunk = ((keep + ${lanes - 1}) / ${lanes} + get_global_size(0) - 1) / get_global_size(0) * ${lanes};
    const ${index} begin = get_global_id(0) * chunk, end = begin < keep ? min(keep, begin + chunk) : begin;
    for (${index} left = begin; left < end; left += ${strip * lanes}) {
        const int wide = (int)((min((${index})${strip * lanes}, end - left) + ${lanes - 1}) / ${lanes});
        ${T} totals[${strip}]${f", losts[{strip}]" if compensated else ""};
        for (int w = 0; w < wide; w++) {
            totals[w] = (${T})(${identity});
% if compensated:
            losts[w] = (${T})(0);
% endif
        }
${common.unravel("from", "i", "m", steps, index)}\
        for (${index} r = from; r < to; r += ${block}) {
            const int rows = (int)min((${index})${block}, to - r);
% if arrays:
            ${index} ${", ".join(f"{a.name}_shifts[{block}]" for a in arrays)};
            for (int u = 0; u < rows; u++) {
% for a in arrays:
                ${a.name}_shifts[u] = ${module.offset("i", f"{a.name}_s", steps)};
% endfor
${common.advance("i", "m", steps, 1)}\
            }
% endif
% if general:
${common.unravel("left", "k", "n", dims, index)}\
% endif
            for (int w = 0; w < wide; w++) {
                const ${index} at = left + w * ${lanes};
% if twice:
                if (rows == ${block} && at + ${lanes} <= end) {
${block_of_rows(True)}\
                    continue;
                }
% endif
                const int count = (int)min((${index})${lanes}, end - at);
% if general and lanes > 1:
                const int in_row = k${dims - 1} + count <= n${dims - 1};
% endif
                {
${block_of_rows(False)}\
                }
% if general:
${common.advance("k", "n", dims, lanes)}\
% endif
            }
        }
        for (int w = 0; w < wide; w++) {
            const ${index} at = left + w * ${lanes};
${end_total("totals[w]", "losts[w]")}\
${finished("totals[w]")}\
% if lanes > 1:
            store_${result}(out + segment * keep + at, ${convert}, (int)min((${index})${lanes}, end - at));
% else:
            put_${result}(out, segment * keep + at, ${convert});
% endif
        }
    }
% endif
}
