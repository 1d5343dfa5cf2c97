## More elements around an array. A unit of work is a run of up to `segment` elements along the last axis. CPU schedule: a chunk of units for
## each work-item. GPU schedule: runs of one element, by a stride of the grid. Axis i of the inner array has n_i elements, `before_i` stand before them in the
## outer one, which has `all_i`.
##   "constant", "edge", "reflect"  the outer array from the inner one: around it stands `value`, the nearest element, or the array mirrored
##   "reflect_back"                 the inner array from the outer one: each element is the sum of all that mirror it
<%namespace name="common" file="common.cl.mako"/>\
<%
    back, last = mode == "reflect_back", dims - 1
    size = (lambda i: f"inner{i}") if back else (lambda i: f"all{i}")
    flat = lambda coordinates, sizes: " + ".join(" * ".join([c, *(f"{sizes}{j}" for j in range(i + 1, dims))]) for i, c in enumerate(coordinates)) or "0"
    source = {
        "constant": "at{i}",
        "edge": "min(max(at{i}, ({index})0), inner{i} - 1)",
        "reflect": "at{i} < 0 ? -at{i} : at{i} >= inner{i} ? 2 * (inner{i} - 1) - at{i} : at{i}",
    }.get(mode, "").format
    end = {"constant": "value", "edge": "from[{0}]", "reflect": "from[{1}]"}.get(mode, "").format
%>\
${common.head({storage}, {storage}, fp64)}\
% if not back:
${common.memory({storage}, index, lanes)}\
% endif

__kernel void ${name}(
    __global ${storage} *restrict out, __global const ${storage} *restrict data, const ${index} data_start,
    ${",\n    ".join(f"const {index} inner{i}, const {index} before{i}, const {index} all{i}" for i in range(dims))},
    const ${index} segment${f", const {storage} value" if mode == "constant" else ""})
{
    const ${index} runs = (${size(last)} + segment - 1) / segment;
% for i in range(last):
    const ${index} n${i} = ${size(i)};
% endfor
    const ${index} n${last} = runs;
${common.each_place(dims, index, schedule)}\
        const ${index} left = k${last} * segment, right = min(${size(last)}, left + segment);
        __global ${storage} *row = out + ${flat([*(f"k{i}" for i in range(last)), "0"], "inner" if back else "all")};
% if back:
        for (${index} x = left; x < right; x++) row[x] = 0;
% for i in range(last):
        // The element itself, its image before the array, and the one behind it.
        for (int way${i} = 0; way${i} < 3; way${i}++) {
            if ((way${i} == 1 && (k${i} < 1 || k${i} > before${i})) || (way${i} == 2 && (k${i} > inner${i} - 2 || k${i} < before${i} + 2 * inner${i} - 1 - all${i}))) continue;
            const ${index} at${i} = before${i} + (way${i} == 0 ? k${i} : way${i} == 1 ? -k${i} : 2 * (inner${i} - 1) - k${i});
% endfor
            __global const ${storage} *from = data + data_start + ${flat([*(f"at{i}" for i in range(last)), "0"], "all")} + before${last};
            for (${index} x = left; x < right; x++) row[x] += from[x];
            for (${index} x = max(left, (${index})1); x < min(right, before${last} + 1); x++) row[x] += from[-x];
            const ${index} end = 2 * (inner${last} - 1);
            for (${index} x = max(left, before${last} + end + 1 - all${last}); x < min(right, inner${last} - 1); x++) row[x] += from[end - x];
% for i in range(last):
        }
% endfor
% else:
% for i in range(last):
        const ${index} at${i} = k${i} - before${i};
% endfor
        ${index} x = left;
% if mode == "constant":
        if (${" || ".join([*(f"at{i} < 0 || at{i} >= inner{i}" for i in range(last)), "0"])})
            for (; x < right; x++) row[x] = value;
% endif
        __global const ${storage} *from = data + data_start + ${flat([*(f"({source(i=i, index=index)})" for i in range(last)), "0"], "inner")};
        const ${index} stop = min(right, before${last} + inner${last});
        for (; x < min(right, before${last}); x++) row[x] = ${end("0", f"before{last} - x")};
% if lanes > 1:
        for (; x + ${lanes} <= stop; x += ${lanes}) store_${storage}(row + x, load_${storage}(from + x - before${last}, ${lanes}), ${lanes});
% endif
        for (; x < stop; x++) row[x] = from[x - before${last}];
        for (; x < right; x++) row[x] = ${end(f"inner{last} - 1", f"2 * (inner{last} - 1) - x + before{last}")};
% endif
${common.next_place(dims, schedule)}\
    }
}
