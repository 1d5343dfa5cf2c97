## What the templates share that take rows whole: several passes over a row, of which the first brings it to the cache.
## A row is `parts` pieces of `n` elements each, `part_step` apart. CPU schedule: a work-item a row. GPU schedule: a work-group a row.
<%namespace name="common" file="common.cl.mako"/>\
<%!
    import re

    PAIRS = 4  # runs whose numbers are joined in pairs before they are added to a total
    GRID = ["rows", "parts", "n", "row_step", "part_step"]
%>\

<%def name="parameters(index)">\
${",\n    ".join(f"const {index} {name}" for name in GRID)}\
</%def>\

## Functions that fold numbers: of a vector, and of what the lanes of a work-group hold.
<%def name="functions(folds, compute, lanes, schedule, group)">\
% if lanes > 1:
${common.between(compute, lanes)}\
% endif
% for fold in folds:
<%
    T = common.module.vector(compute, lanes)
    code = "a + b" if fold == "sum" else "((a > b) | (a != a)) ? a : b"
%>\
inline ${T} ${fold}_of(${T} a, ${T} b) { return ${code}; }
% if schedule == "gpu":
inline ${compute} ${fold}_across(${compute} x, __local ${compute} *shared)
{
    const int lane = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    shared[lane] = x;
    for (int width = ${group // 2}; width > 0; width /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (lane < width) shared[lane] = ${fold}_of(shared[lane], shared[lane + width]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return shared[0];
}
% else:
inline ${compute} ${fold}_across(${T} x)
{
<% width, wide = lanes // 2, "x" %>\
% while width:
<% W = common.module.vector(compute, width) %>\
    const ${W} a${width} = ${wide}.lo, b${width} = ${wide}.hi, x${width} = ${re.sub(r"\b([ab])\b", rf"\g<1>{width}", code)};
<% width, wide = width // 2, f"x{width}" %>\
% endwhile
    return ${wide};
}
% endif
% endfor
% if "sum" in folds:
// What rounding takes from a + b (Knuth's sum of two). An infinite sum has lost nothing; then this is NaN, and stays it.
inline ${T} lost_by(${T} a, ${T} b) { const ${T} sum = a + b, more = sum - a; return (a - (sum - more)) + (b - more); }
% endif
</%def>\

## The head of the loop over this work-item's (or group's) rows.
<%def name="each_row(index, schedule, group, compute)">\
% if schedule == "gpu":
    __local ${compute} shared[${group}];
    for (${index} row = get_group_id(0); row < rows; row += get_num_groups(0)) {
% else:
    const ${index} share = (rows + get_global_size(0) - 1) / get_global_size(0);
    const ${index} first = min(rows, (${index})get_global_id(0) * share), last = min(rows, first + share);
    for (${index} row = first; row < last; row++) {
% endif
</%def>\

## Store all but the first `again` elements of a run, whose others are there already.
<%def name="store_run(storages, compute, lanes)">\
<% T = common.module.vector(compute, lanes) %>\
% for storage in sorted(storages) if lanes > 1 else []:
inline void store_run_${storage}(__global ${storage} *p, ${T} v, int count, int again)
{
    store_${storage}(p, again ? between(v, load_${storage}(p, count), again, ${lanes}) : v, count);
}
% endfor
</%def>\

## What is left of a row that is not whole runs: lanes `again` to `until` of a run, of which the lanes before have been done. Lane by lane it would
## take longer than many whole runs, so it begins earlier where the row is long enough, or, of rows that are `joined`, goes on into the next ones,
## which are still to come and this work-item's own.
<%def name="ragged(start, index, lanes, joined)">\
const int left = (int)(n - ${start}), again = n < ${lanes} ? 0 : ${lanes} - left, until = again + left;
% if joined:
                const int count = (int)min((${index})${lanes}, last - row) * (int)min((${index})${lanes}, n) < ${lanes} ? left : ${lanes};
% else:
                const int count = until;
% endif
</%def>\

## The body, a run of `count` elements from `column` of a part and position `at` of the arrays on, for the whole row. The first `again` of them
## stay as they are.
<%def name="each_run(index, lanes, schedule, group, joined=False)">\
% if schedule == "gpu":
        for (${index} place = get_local_id(0); place < parts * n; place += ${group}) {
            const ${index} column = place % n, at = row * row_step + place / n * part_step + column;
${caller.body()}\
        }
% else:
        for (${index} piece = 0; piece < parts; piece++) {
            const ${index} begin = row * row_step + piece * part_step;
            ${index} column = 0;
            for (; n - column >= ${lanes}; column += ${lanes}) {
                const int count = ${lanes}, again = 0;
                const ${index} at = begin + column;
${caller.body()}\
            }
            if (column < n) {
                ${ragged("column", index, lanes, joined)}\
                column -= again;
                const ${index} at = begin + column;
${caller.body()}\
            }
        }
% endif
</%def>\

## Fold over the whole row what the body gives under each of `names` with _value added: declares `names`.
<%def name="fold(kind, names, index, compute, lanes, schedule, group, joined=False)">\
<%
    T = common.module.vector(compute, lanes)
    identity = "0" if kind == "sum" else "-INFINITY"
%>\
% for name in names:
        ${T} ${name}_total = (${T})(${identity})${f", {name}_lost = ({T})(0)" if kind == "sum" else ""};
% endfor
% if schedule == "gpu":
        for (${index} place = get_local_id(0); place < parts * n; place += ${group}) {
            const ${index} column = place % n, at = row * row_step + place / n * part_step + column;
${caller.body()}\
% for name in names:
${add(kind, name, f"{name}_value", T)}\
% endfor
        }
% else:
        for (${index} piece = 0; piece < parts; piece++) {
            const ${index} begin = row * row_step + piece * part_step;
            ${index} start = 0;
            for (; n - start >= ${PAIRS * lanes}; start += ${PAIRS * lanes}) {
                ${T} ${", ".join(f"{name}_runs[{PAIRS}]" for name in names)};
                for (int u = 0; u < ${PAIRS}; u++) {
                    const int count = ${lanes};
                    const ${index} column = start + u * ${lanes}, at = begin + column;
${caller.body()}\
% for name in names:
                    ${name}_runs[u] = ${name}_value;
% endfor
                }
% for name in names:
${add(kind, name, f"{kind}_of({kind}_of({name}_runs[0], {name}_runs[1]), {kind}_of({name}_runs[2], {name}_runs[3]))", T)}\
% endfor
            }
            for (; n - start >= ${lanes}; start += ${lanes}) {
                const int count = ${lanes};
                const ${index} column = start, at = begin + column;
${caller.body()}\
% for name in names:
${add(kind, name, f"{name}_value", T)}\
% endfor
            }
% if lanes > 1:
            if (start < n) {
                ${ragged("start", index, lanes, joined)}\
                const ${index} column = start - again, at = begin + column;
${caller.body()}\
% for name in names:
                const ${T} ${name}_counted = between(${name}_value, ${identity}, again, until);
${add(kind, name, f"{name}_counted", T)}\
% endfor
            }
% endif
        }
% endif
% for name in names:
% if kind == "sum":
        ${name}_total = ${name}_lost == ${name}_lost ? ${name}_total + ${name}_lost : ${name}_total;
% endif
        const ${compute} ${name} = ${kind}_across(${name}_total${", shared" if schedule == "gpu" else ""});
% endfor
</%def>\

<%def name="add(kind, name, value, T)">\
                {
                    const ${T} more = ${value};
% if kind == "sum":
                    ${name}_lost += lost_by(${name}_total, more);
% endif
                    ${name}_total = ${kind}_of(${name}_total, more);
                }
</%def>\
