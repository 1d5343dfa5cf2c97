## What a window sees at each of its places in an image, folded to one number. An image has three axes z, y, x; those it has not got are of one
## element. It sees data[image, place * stride + offset * dilate - pad], for each offset in it; what is outside of the image counts for nothing.
##   sum, max  of what it sees
##   first     the number of the first offset at which it sees the place's number in `picks`, or NaN; -1 where there is none
##   take      what it sees at the offset that is the place's number in `picks`
## A launch goes through the offsets from `begin` to `end`; the first begins anew. A unit of work is a run of up to `segment` places along x.
## CPU schedule: a chunk of units for each work-item. GPU schedule: runs of one place, by a stride of the grid.
<%namespace name="common" file="common.cl.mako"/>\
<%
    geometry = [f"{what}_{axis}" for what in ("size", "window", "stride", "dilate", "pad", "places") for axis in "zyx"]
    result = "int" if fold == "first" else storage
    picked = {"first": storage, "take": "int"}.get(fold)
    identity = {"max": "-INFINITY", "first": "-1"}.get(fold, "0")
    joined = {
        "sum": "{0} + {1}",
        "max": "(({1} > {0}) | ({1} != {1})) ? {1} : {0}",
        "first": "(({0} < 0) & (({1} == picks[i]) | ({1} != {1}))) ? (int)offset : {0}",
        "take": "picks[i] == offset ? {1} : {0}",
    }[fold].format
    # The same for a vector: masks are as wide as what they choose between.
    narrow, broad = ("convert_int{n}", "convert_long{n}") if storage == "double" else ("", "")
    vectors = {
        "first": f"((*folded < 0) & {narrow}((x == p) | (x != x))) ? (int{{n}})((int)offset) : *folded",
        "take": f"{broad}(p == (int)offset) ? x : *folded",
    }.get(fold, joined("*folded", "x")).format
    sizes = [lanes * 4 // (8 if storage == "double" else 4) >> i for i in range(5)]
    sizes = [n for n in sizes if n > 1]
%>\
${common.head({storage}, {storage}, fp64)}\
% if schedule == "cpu" and sizes:
% for kind in sorted({storage, result, picked or storage}):
${common.pieces(kind, 2 * sizes[0])}\
% endfor
% endif

// The least number, not below 0, that times `by` is `n` or more.
inline ${index} steps_to(${index} n, ${index} by) { return n <= 0 ? 0 : by == 1 ? n : by == 2 ? (n + 1) / 2 : (n - 1) / by + 1; }

<%def name="fold_vector(step, n)">\
% if step == 1:
                        const ${storage}${n} x = *(__global const ${storage}${n}_anywhere *)(line + i);
% else:
                        // The last element that is loaded is the last one that is used.
                        const ${storage}${n} a = *(__global const ${storage}${n}_anywhere *)(line + 2 * i);
                        const ${storage}${n} b = *(__global const ${storage}${n}_anywhere *)(line + 2 * i + ${n - 1});
                        const ${storage}${n} x = (${storage}${n})(a.even, b.odd);
% endif
% if picked:
                        const ${picked}${n} p = *(__global const ${picked}${n}_anywhere *)(picks + i);
% endif
                        __global ${result}${n}_anywhere *folded = (__global ${result}${n}_anywhere *)(z + i);
                        *folded = ${vectors(n=n)};
</%def>
__kernel void ${name}(
    __global ${result} *restrict out,
    __global const ${storage} *restrict data, const ${index} data_start,
% if picked:
    __global const ${picked} *restrict picked, const ${index} picked_start,
% endif
    const ${index} images,
    ${",\n    ".join(", ".join(f"const {index} {name}" for name in geometry[i : i + 3]) for i in range(0, len(geometry), 3))},
    const ${index} segment, const ${index} begin, const ${index} end)
{
    const ${index} n0 = images, n1 = places_z, n2 = places_y, n3 = (places_x + segment - 1) / segment;
${common.each_place(4, index, schedule)}\
        const ${index} left = k3 * segment, right = min(places_x, left + segment), row = ((k0 * places_z + k1) * places_y + k2) * places_x;
        __global ${result} *z = out + row;
% if picked:
        __global const ${picked} *picks = picked + picked_start + row;
% endif
% if schedule == "gpu":
        ${result} folded = begin ? z[left] : ${identity};
% else:
        if (begin == 0)
            for (${index} i = left; i < right; i++) z[i] = ${identity};
% endif
        ${index} offset_x = begin % window_x, offset_y = begin / window_x % window_y, offset_z = begin / window_x / window_y;
        for (${index} offset = begin; offset < end; offset++) {
            const ${index} at_z = k1 * stride_z + offset_z * dilate_z - pad_z, at_y = k2 * stride_y + offset_y * dilate_y - pad_y;
            if (at_z >= 0 && at_z < size_z && at_y >= 0 && at_y < size_y) {
                const ${index} shift = offset_x * dilate_x - pad_x;
                __global const ${storage} *line = data + data_start + ((k0 * size_z + at_z) * size_y + at_y) * size_x;
                const ${index} from = max(left, steps_to(-shift, stride_x)), to = max(from, min(right, steps_to(size_x - shift, stride_x)));
% if schedule == "gpu":
                const ${index} i = left;
                if (from < to) folded = ${joined("folded", "line[i * stride_x + shift]")};
% else:
                ${index} i = from;
                line += shift;
% for step in (1, 2) if sizes else ():
                if (stride_x == ${step}) {
                    for (; i + ${sizes[0]} <= to; i += ${sizes[0]}) {
${fold_vector(step, sizes[0])}\
                    }
% for n in sizes[1:]:
                    if (to - i & ${n}) {
${fold_vector(step, n)}\
                        i += ${n};
                    }
% endfor
                }
% endfor
                for (; i < to; i++) z[i] = ${joined("z[i]", "line[i * stride_x]")};
% endif
            }
            if (++offset_x == window_x) {
                offset_x = 0;
                if (++offset_y == window_y) { offset_y = 0; offset_z++; }
            }
        }
% if schedule == "gpu":
        z[left] = folded;
% endif
${common.next_place(4, schedule)}\
    }
}
