## out[segment, kept position] = fold of the elements of a segment of the folded axes; stores on the way what others will read.
## "inner": runs of ${lanes} elements along the folded axes, folded across lanes at the end. "outer": runs along the kept axes, no crossing.
## CPU schedule: each work-item takes a chunk of outputs. GPU schedule: inner, a work-group an output; outer, a work-item an output.
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
        + [p for z, _ in stores for p in module.parameters(z, "", index, axes(z))]
        + [p for a in loads for p in module.parameters(a, "const ", index, axes(a))]
        + [f"const {kind} {number}_given" for kind, number in numbers]
        + [f"const {index} m{i}" for i in range(steps)]
        + [f"const {index} n{i}" for i in range(dims)]
    )
    T = module.vector(compute, lanes)
    half = "half" in storages or any("round_half" in code for _, _, code in lines) or "round_half" in convert or "round_half" in value
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

inline ${T} join(${T} a, ${T} b) { return ${join}; }
% if lanes > 1:
inline ${compute} join_one(${compute} a, ${compute} b) { return ${join_one}; }
% endif
% if compensated:
// Neumaier's sum: what rounding takes from a + b is summed on its own. An infinite sum has lost nothing; then this is NaN, and stays it.
inline ${T} lost_by(${T} a, ${T} b) { return fabs(a) >= fabs(b) ? (a - (a + b)) + b : (b - (a + b)) + a; }
% if lanes > 1:
inline ${compute} lost_by_one(${compute} a, ${compute} b) { return fabs(a) >= fabs(b) ? (a - (a + b)) + b : (b - (a + b)) + a; }
% endif
% endif

## The elements of one run into `value`; `shift` holds how far the step axes have moved each array.
<%def name="element()">\
% for a in loads:
${common.load(a, "at", dims, index, lanes, f" + {a.name}_shift")}\
% endfor
% for kind, variable, code in lines:
            const ${kind} ${variable} = ${code};
% endfor
% for z, variable in stores:
${common.store(z, variable, "at", dims, index, lanes, f" + {z.name}_shift")}\
% endfor
            const ${T} value = ${value};
</%def>\
<%def name="shifts()">\
% for a in arrays:
        const ${index} ${a.name}_shift = ${module.offset("i", f"{a.name}_s", steps)};
% endfor
</%def>\
<%def name="begin_total()">\
        ${T} total = (${T})(${identity})${f", lost = ({T})(0)" if compensated else ""};
</%def>\
<%def name="add_value(element)">\
% if compensated:
            lost += lost_by(total, ${element});
% endif
            total = join(total, ${element});
</%def>\
<%def name="end_total(total='total', lost='lost')">\
% if compensated:
        ${total} = ${lost} == ${lost} ? ${total} + ${lost} : ${total};
% endif
</%def>\
## Join the totals of all lanes in the first.
<%def name="join_lanes(one)">\
% if compensated:
            lane_lost[lane] += lane_lost[lane + width] + lost_by${one}(lane_totals[lane], lane_totals[lane + width]);
% endif
            lane_totals[lane] = join${one}(lane_totals[lane], lane_totals[lane + width]);
</%def>\

__kernel void ${name}(
    ${",\n    ".join(signature)})
{
% for kind, number in numbers:
    const ${module.vector(kind, lanes)} ${number} = (${module.vector(kind, lanes)})(${number}_given);
% endfor
    const ${index} segments = get_global_size(1), segment = get_global_id(1);
    const ${index} part = ((length + segments - 1) / segments + ${lanes - 1}) / ${lanes} * ${lanes};
    const ${index} from = min(length, segment * part), to = min(length, from + part);
% if inner:
% if schedule == "gpu":
    __local ${compute} lane_totals[${group}]${f", lane_lost[{group}]" if compensated else ""};
    const int lane = get_local_id(0);
    for (${index} o = get_group_id(0); o < keep; o += get_num_groups(0)) {
% else:
    const ${index} chunk = (keep + get_global_size(0) - 1) / get_global_size(0);
    const ${index} first = get_global_id(0) * chunk;
    for (${index} o = first; o < min(keep, first + chunk); o++) {
% endif
${common.unravel("o", "i", "m", steps, index)}\
${shifts()}\
${begin_total()}\
% if schedule == "gpu":
        for (${index} at = from + lane; at < to; at += ${group}) {
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
        for (int width = ${group // 2}; width > 0; width /= 2) {
            barrier(CLK_LOCAL_MEM_FENCE);
            if (lane < width) {
${join_lanes("")}\
            }
        }
        if (lane == 0) {
${end_total("lane_totals[0]", "lane_lost[0]")}\
            const ${compute} x = lane_totals[0];
            put_${result}(out, segment * keep + o, ${convert});
        }
        barrier(CLK_LOCAL_MEM_FENCE);
% else:
% if general:
${common.unravel("from", "k", "n", dims, index)}\
% endif
        for (${index} at = from; at < to; at += ${lanes}) {
            const int count = (int)min((${index})${lanes}, to - at);
% if general and lanes > 1:
            const int in_row = k${dims - 1} + count <= n${dims - 1};
% endif
${element()}\
            ${T} counted = value;
% if lanes > 1:
            // One by one: Mesa has comparisons of widened ints wrong, and so a choice between vectors of long by a comparison of ints.
            if (count < ${lanes})
                for (int lane = count; lane < ${lanes}; lane++) ((${compute} *)&counted)[lane] = ${identity};
% endif
${add_value("counted")}\
% if general:
${common.advance("k", "n", dims, lanes)}\
% endif
        }
% if lanes > 1:
        ${compute} lane_totals[${lanes}]${f", lane_lost[{lanes}]" if compensated else ""};
        for (int lane = 0; lane < ${lanes}; lane++) {
            lane_totals[lane] = ((${compute} *)&total)[lane];
% if compensated:
            lane_lost[lane] = ((${compute} *)&lost)[lane];
% endif
        }
        for (int width = ${lanes // 2}; width > 0; width /= 2) {
            for (int lane = 0; lane < width; lane++) {
${join_lanes("_one")}\
            }
        }
${end_total("lane_totals[0]", "lane_lost[0]")}\
        const ${compute} x = lane_totals[0];
% else:
${end_total()}\
        const ${compute} x = total;
% endif
        put_${result}(out, segment * keep + o, ${convert});
% endif
    }
% else:
% if schedule == "gpu":
    for (${index} at = get_global_id(0); at < keep; at += get_global_size(0)) {
% if general:
${common.unravel("at", "k", "n", dims, index)}\
% endif
% else:
    const ${index} chunk = ((keep + ${lanes - 1}) / ${lanes} + get_global_size(0) - 1) / get_global_size(0) * ${lanes};
    const ${index} begin = get_global_id(0) * chunk, end = begin < keep ? min(keep, begin + chunk) : begin;
% if general:
${common.unravel("begin", "k", "n", dims, index)}\
% endif
    for (${index} at = begin; at < end; at += ${lanes}) {
        const int count = (int)min((${index})${lanes}, end - at);
% if general and lanes > 1:
        const int in_row = k${dims - 1} + count <= n${dims - 1};
% endif
% endif
${begin_total()}\
${common.unravel("from", "i", "m", steps, index)}\
        for (${index} r = from; r < to; r++) {
${shifts()}\
${element()}\
${add_value("value")}\
${common.advance("i", "m", steps, 1)}\
        }
${end_total()}\
        {
            const ${T} x = total;
% if lanes > 1:
            store_${result}(out + segment * keep + at, ${convert}, count);
% else:
            put_${result}(out, segment * keep + at, ${convert});
% endif
        }
% if schedule == "cpu" and general:
${common.advance("k", "n", dims, lanes)}\
% endif
    }
% endif
}
