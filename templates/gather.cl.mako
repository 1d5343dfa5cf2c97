<%doc>
Rows picked by an array of indices: out[o, j, i] = data[o, indices[j], i]; with "each", out[o, i] = data[o, indices[o, i], i].

Parameters
    name        the kernel's name
    storage     type of the elements
    index       type of the indices
    row         OpenCL C of the row, a long from 0 to rows - 1 whatever the index `own` is
    form        "rows"; "elements": rows of one element; "each": every element has an index of its own
    lanes       elements of a row that are copied as one vector
    schedule    "cpu": every work-item a contiguous chunk of runs; "gpu": grid-stride

Arguments
    out, data, where it starts, indices, where they start, outer, rows, inner, picked, run
                picked: indices, and run: elements of a row that are copied together; both of no say with "each"
</%doc>\
<%namespace name="common" file="common.cl.mako"/>\
<%page args="name, storage, index, row, form, schedule, lanes, fp64"/>\
${common.head({storage}, {storage}, fp64)}\
% if form == "rows":
${common.memory({storage}, "long", lanes)}\
% endif

__kernel void ${name}(
    __global ${storage} *restrict out, __global const ${storage} *restrict data, const long data_start,
    __global const ${index} *restrict indices, const long indices_start,
    const long outer, const long rows, const long inner, const long picked, const long run)
{
    data += data_start;
    indices += indices_start;
% if form != "rows":
    const long n0 = outer, n1 = ${"inner" if form == "each" else "picked"};
${common.each_place(2, "long", schedule)}\
        const ${index} own = indices[${"at" if form == "each" else "k1"}];
        out[at] = data[${f"(k0 * rows + {row}) * inner + k1" if form == "each" else f"k0 * rows + {row}"}];
${common.next_place(2, schedule)}\
    }
% else:
    const long n0 = outer, n1 = picked, n2 = (inner + run - 1) / run;
${common.each_place(3, "long", schedule)}\
        const ${index} own = indices[k1];
        const long left = k2 * run, count = min(run, inner - left);
        __global const ${storage} *from = data + (k0 * rows + ${row}) * inner + left;
        __global ${storage} *to = out + (k0 * picked + k1) * inner + left;
        long i = 0;
% if lanes > 1:
        for (; i + ${lanes} <= count; i += ${lanes}) store_${storage}(to + i, load_${storage}(from + i, ${lanes}), ${lanes});
% endif
        for (; i < count; i++) to[i] = from[i];
${common.next_place(3, schedule)}\
    }
% endif
}
