<%doc>
Rows picked by an array of indices: out[o, j, i] = data[o, indices[j], i]; with "each", out[o, i] = data[o, indices[o, i], i];
with "back", out[o, indices[o, i], i] = data[o, i], and zeros elsewhere.

Parameters
    name        the kernel's name
    storage     type of the elements
    index       type of the indices
    row         OpenCL C of the row, a long from 0 to rows - 1 whatever the index `own` is
    form        "rows"; "elements": rows of one element; "each", "back": every element has an index of its own
    lanes       elements of a row that are copied, or set to zero, as one vector
    schedule    "cpu": every work-item a contiguous chunk of runs; "gpu": grid-stride

Arguments
    out, data, where it starts, indices, where they start, outer, rows, inner, picked, run
                picked: indices, of no say with "each"; with "back": the rows that are written together
                run: elements of a row that are copied, or written, together, of no say with "each"; whole rows where several rows are
</%doc>\
<%namespace name="common" file="common.cl.mako"/>\
<%page args="name, storage, index, row, form, schedule, lanes, fp64"/>\
${common.head({storage}, {storage}, fp64)}\
% if form in ("rows", "back"):
${common.memory({storage}, "long", lanes)}\
% endif

__kernel void ${name}(
    __global ${storage} *restrict out, __global const ${storage} *restrict data, const long data_start,
    __global const ${index} *restrict indices, const long indices_start,
    const long outer, const long rows, const long inner, const long picked, const long run)
{
    data += data_start;
    indices += indices_start;
% if form == "back":
    const long n0 = outer, n1 = (rows + picked - 1) / picked, n2 = (inner + run - 1) / run;
${common.each_place(3, "long", schedule)}\
        const long top = k1 * picked, bottom = min(rows, top + picked), left = k2 * run, right = min(inner, left + run);
        __global ${storage} *block = out + (k0 * rows + top) * inner + left;
        const long count = (bottom - top) * (right - left);
        long i = 0;
% if lanes > 1:
        for (; i + ${lanes} <= count; i += ${lanes}) store_${storage}(block + i, 0, ${lanes});
% endif
        for (; i < count; i++) block[i] = 0;
        for (long column = left; column < right; column++) {
            const ${index} own = indices[k0 * inner + column];
            const long row = ${row};
            if (row >= top && row < bottom) out[(k0 * rows + row) * inner + column] = data[k0 * inner + column];
        }
${common.next_place(3, schedule)}\
    }
% elif form != "rows":
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
