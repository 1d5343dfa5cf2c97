## Sums of elements of planes, weighted: with lists of rows y[r, c, h, w, j] and columns x[r, c, h, w, i] and their weights, and with
## plane(r, c, h, w) a channel of image batch[r],
##     "resample"          out[r, c, h, w]   = sum over j, i of       wy wx data[plane, y, x]
##     "resample_back"     out[plane, y, x] += sum over all of        wy wx dz[r, c, h, w]
##     "resample_weights"  out[r, h, w, k]   = sum over c, i of dz[r, c, h, w] wx data[plane, y at k, x]
## A row, column or image that does not exist counts as zeros. A launch does `lower` to `upper` of the outermost sum, and adds to what the one before left.
## Numbers out of lists stay ints: Mesa has comparisons of widened ones with constants wrong (see `_widened` in engine/code.py).
<%namespace name="common" file="common.cl.mako"/>\
<%
    weighs = {"resample": ("wy", "wx"), "resample_back": ("wy", "wx"), "resample_weights": ("wx",)}[step]
    axes = "rchwk"
%>\
<%def name="table(kind, given)">\
    __global const ${kind} *${given},
    const long ${given}_start,
% for axis in axes:
    const long ${given}_${axis},
% endfor
</%def>\
<%def name="entry(given, k)">${given}[${given}_start + r * ${given}_r + c * ${given}_c + h * ${given}_h + w * ${given}_w + ${k} * ${given}_k]</%def>\
${common.head({storage}, {storage}, fp64)}\

__kernel void ${name}(
    __global ${storage} *out,
% for source in {"resample": ["data"], "resample_back": ["dz"], "resample_weights": ["dz", "data"]}[step]:
    __global const ${storage} *${source}, const long ${source}_start,
% endfor
% for given in weighs:
${table(storage, given)}\
% endfor
${table("int", "y")}\
${table("int", "x")}\
    __global const int *batch,
    const long batch_start,
    const long regions,
    const long channels,
    const long height,
    const long width,
    const long images,
    const long planes,
    const long rows,
    const long row,
    const long columns,
    const long column,
    const long many_y,
    const long many_x,
    const long section_c,
    const long section_h,
    const long section_w,
    const long lower,
    const long upper)
{
% if step == "resample":
    const long size = regions * channels * height * width;
${common.each_position("at", "size", "long", schedule)} {
        const long w = at % width, h = at / width % height, c = at / (width * height) % channels, r = at / (width * height * channels);
        const int image = batch[batch_start + r];
        if (lower == 0) out[at] = 0;
        if (image < 0 || image >= images) continue;
        __global const ${storage} *plane = data + data_start + (image * planes + c * section_c + h * section_h + w * section_w) * rows * columns;
        ${storage} sum = out[at];
        for (long j = lower; j < upper; j++) {
            const int top = ${entry("y", "j")};
            if (top < 0 || top >= rows) continue;
            ${storage} line = 0;
            for (long i = 0; i < many_x; i++) {
                const int left = ${entry("x", "i")};
                if (left >= 0 && left < columns) line += ${entry("wx", "i")} * plane[top * row + left * column];
            }
            sum += ${entry("wy", "j")} * line;
        }
        out[at] = sum;
    }
% elif step == "resample_back":
    // A work-item owns some rows (dimension 0) of a plane (dimension 1): nobody else writes there.
    const long chunk = (rows + get_global_size(0) - 1) / get_global_size(0);
    const long from = min(rows, (long)get_global_id(0) * chunk), to = min(rows, from + chunk);
    const long image = get_global_id(1) / planes, c = get_global_id(1) % planes / section_c;
    const long section = get_global_id(1) % planes - c * section_c;
    if (image >= images) return;
    __global ${storage} *plane = out + get_global_id(1) * rows * columns;
    if (lower == 0)
        for (long i = from * columns; i < to * columns; i++) plane[i] = 0;
    for (long at = lower; at < upper; at++) {
        const long w = at % width, h = at / width % height, r = at / (width * height);
        if (batch[batch_start + r] != image || section != h * section_h + w * section_w) continue;
        const ${storage} share = dz[dz_start + ((r * channels + c) * height + h) * width + w];
        for (long j = 0; j < many_y; j++) {
            const int top = ${entry("y", "j")};
            if (top < from || top >= to) continue;
            const ${storage} line = share * ${entry("wy", "j")};
            for (long i = 0; i < many_x; i++) {
                const int left = ${entry("x", "i")};
                if (left >= 0 && left < columns) plane[top * row + left * column] += line * ${entry("wx", "i")};
            }
        }
    }
% else:
    const long size = regions * height * width * many_y;
${common.each_position("at", "size", "long", schedule)} {
        const long k = at % many_y, w = at / many_y % width, h = at / (many_y * width) % height, r = at / (many_y * width * height);
        const int image = batch[batch_start + r];
        if (lower == 0) out[at] = 0;
        if (image < 0 || image >= images) continue;
        ${storage} sum = out[at];
        for (long c = lower; c < upper; c++) {
            const int top = ${entry("y", "k")};
            if (top < 0 || top >= rows) continue;
            __global const ${storage} *plane = data + data_start + (image * planes + c * section_c + h * section_h + w * section_w) * rows * columns;
            ${storage} line = 0;
            for (long i = 0; i < many_x; i++) {
                const int left = ${entry("x", "i")};
                if (left >= 0 && left < columns) line += ${entry("wx", "i")} * plane[top * row + left * column];
            }
            sum += dz[dz_start + ((r * channels + c) * height + h) * width + w] * line;
        }
        out[at] = sum;
    }
% endif
}
