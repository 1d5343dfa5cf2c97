## Sums of elements of planes, weighted: with lists of rows y[r, c, h, w, j] and columns x[r, c, h, w, i] and their weights, and with
## plane(r, c, h, w) a channel of image batch[r],
##     "resample"          out[r, c, h, w]   = sum over j, i of       wy wx data[plane, y, x]
##     "resample_back"     out[plane, y, x] += sum over all of        wy wx dz[r, c, h, w]
##     "resample_weights"  out[r, h, w, k]   = sum over c, i of dz[r, c, h, w] wx data[plane, y at k, x]
## CPU schedule: lists are read once for a `block` of channels, of one channel where channels have lists of their own.
## A row, column or image that does not exist counts as zeros. A launch does `lower` to `upper` of the outermost sum, and adds to what the one before left.
## Numbers out of lists stay ints: Mesa has comparisons of widened ones with constants wrong (see `_widened` in engine/code.py).
<%namespace name="common" file="common.cl.mako"/>\
<%
    weighs = {"resample": ("wy", "wx"), "resample_back": ("wy", "wx"), "resample_weights": ("wx",)}[step]
    axes = "rchwk"
    TERMS = 16  # of each list that a work-item has at hand
%>\
<%def name="table(kind, given)">\
    __global const ${kind} *${given},
    const ${index} ${given}_start,
% for axis in axes:
    const ${index} ${given}_${axis},
% endfor
</%def>\
<%def name="entry(given, k)">${given}[${given}_start + r * ${given}_r + c * ${given}_c + h * ${given}_h + w * ${given}_w + ${k} * ${given}_k]</%def>\
<%def name="listed(list, step, begin, end, least, past)">\
                // Those that exist, in their order: how far they are from where the image begins, and their weights.
                ${index} at_${list}[${TERMS}];
                ${storage} weight_${list}[${TERMS}];
                int some_${list} = 0;
                for (${index} next = ${begin}; next < min(${end}, ${begin} + ${TERMS}); next++) {
                    const int place = ${entry(list, "next")};
                    if (place < ${least} || place >= ${past}) continue;
                    at_${list}[some_${list}] = place * ${step};
                    weight_${list}[some_${list}++] = ${entry("w" + list, "next")};
                }
</%def>\
${common.head({storage}, {storage}, fp64)}\

__kernel void ${name}(
    __global ${storage} *out,
% for source in {"resample": ["data"], "resample_back": ["dz"], "resample_weights": ["dz", "data"]}[step]:
    __global const ${storage} *${source}, const ${index} ${source}_start,
% endfor
% for given in weighs:
${table(storage, given)}\
% endfor
${table("int", "y")}\
${table("int", "x")}\
    __global const int *batch,
    const ${index} batch_start,
    const ${index} regions,
    const ${index} channels,
    const ${index} height,
    const ${index} width,
    const ${index} images,
    const ${index} planes,
    const ${index} rows,
    const ${index} row,
    const ${index} columns,
    const ${index} column,
    const ${index} many_y,
    const ${index} many_x,
    const ${index} section_c,
    const ${index} section_h,
    const ${index} section_w,
    const ${index} block,
    const ${index} lower,
    const ${index} upper)
{
% if step == "resample" and schedule == "gpu":
    const ${index} n0 = regions, n1 = channels, n2 = height, n3 = width;
${common.each_place(4, index, schedule)}\
        const ${index} r = k0, c = k1, h = k2, w = k3;
        const int image = batch[batch_start + r];
        if (lower == 0) out[at] = 0;
        if (image < 0 || image >= images) continue;
        __global const ${storage} *plane = data + data_start + (image * planes + c * section_c + h * section_h + w * section_w) * rows * columns;
        ${storage} sum = out[at];
        for (${index} j = lower; j < upper; j++) {
            const int top = ${entry("y", "j")};
            if (top < 0 || top >= rows) continue;
            ${storage} line = 0;
            ${common.module.IN_ORDER}
            for (${index} i = 0; i < many_x; i++) {
                const int left = ${entry("x", "i")};
                if (left >= 0 && left < columns) line += ${entry("wx", "i")} * plane[top * row + left * column];
            }
            sum += ${entry("wy", "j")} * line;
        }
        out[at] = sum;
    }
% elif step == "resample":
    const ${index} n0 = regions, n1 = (channels + block - 1) / block, n2 = height, n3 = width;
${common.each_place(4, index, schedule)}\
        const ${index} r = k0, h = k2, w = k3, c = k1 * block, count = min(block, channels - c), apart = height * width;
        const int image = batch[batch_start + r];
        __global ${storage} *to = out + ((r * channels + c) * height + h) * width + w;
        if (lower == 0)
            for (${index} i = 0; i < count; i++) to[i * apart] = 0;
        if (image >= 0 && image < images) {
            __global const ${storage} *planes_here = data + data_start + (image * planes + c * section_c + h * section_h + w * section_w) * rows * columns;
            for (${index} j = lower; j < upper; j += ${TERMS}) {
${listed("y", "row", "j", "upper", "0", "rows")}\
                for (${index} i = 0; i < many_x && some_y; i += ${TERMS}) {
${listed("x", "column", "i", "many_x", "0", "columns")}\
                    for (${index} k = 0; k < count; k++) {
                        __global const ${storage} *plane = planes_here + k * section_c * rows * columns;
                        ${storage} sum = to[k * apart];
                        for (int down = 0; down < some_y; down++) {
                            ${storage} line = 0;
                            ${common.module.IN_ORDER}
                            for (int right = 0; right < some_x; right++) line += weight_x[right] * plane[at_y[down] + at_x[right]];
                            sum += weight_y[down] * line;
                        }
                        to[k * apart] = sum;
                    }
                }
            }
        }
${common.next_place(4, schedule)}\
    }
% elif step == "resample_back":
    // A work-item owns some rows (dimension 0) of the planes of a block of channels (dimension 1): nobody else writes there.
    const ${index} chunk = (rows + get_global_size(0) - 1) / get_global_size(0);
    const ${index} from = min(rows, (${index})get_global_id(0) * chunk), to = min(rows, from + chunk), blocks = (channels + block - 1) / block;
    const ${index} image = get_global_id(1) / blocks, c = get_global_id(1) % blocks * block, count = min(block, channels - c);
    if (image >= images) return;
    ${index} w = lower % width, h = lower / width % height, r = lower / (width * height);
    for (${index} at = lower; at < upper; at++) {
        if (batch[batch_start + r] == image) {
            __global ${storage} *planes_here = out + (image * planes + c * section_c + h * section_h + w * section_w) * rows * columns;
            __global const ${storage} *shares = dz + dz_start + ((r * channels + c) * height + h) * width + w;
            for (${index} j = 0; j < many_y; j += ${TERMS}) {
${listed("y", "row", "j", "many_y", "from", "to")}\
                for (${index} i = 0; i < many_x && some_y; i += ${TERMS}) {
${listed("x", "column", "i", "many_x", "0", "columns")}\
                    for (${index} k = 0; k < count; k++) {
                        __global ${storage} *plane = planes_here + k * section_c * rows * columns;
                        for (int down = 0; down < some_y; down++) {
                            const ${storage} line = shares[k * height * width] * weight_y[down];
                            for (int right = 0; right < some_x; right++) plane[at_y[down] + at_x[right]] += line * weight_x[right];
                        }
                    }
                }
            }
        }
        if (++w == width) {
            w = 0;
            if (++h == height) { h = 0; r++; }
        }
    }
% else:
    const ${index} n0 = regions, n1 = height, n2 = width, n3 = many_y;
${common.each_place(4, index, schedule)}\
        const ${index} r = k0, h = k1, w = k2, k = k3;
        const int image = batch[batch_start + r];
        if (lower == 0) out[at] = 0;
        ${storage} sum = out[at];
        for (${index} c = image < 0 || image >= images ? upper : lower; c < upper; c++) {
            const int top = ${entry("y", "k")};
            if (top < 0 || top >= rows) continue;
            __global const ${storage} *plane = data + data_start + (image * planes + c * section_c + h * section_h + w * section_w) * rows * columns;
            ${storage} line = 0;
            ${common.module.IN_ORDER}
            for (${index} i = 0; i < many_x; i++) {
                const int left = ${entry("x", "i")};
                if (left >= 0 && left < columns) line += ${entry("wx", "i")} * plane[top * row + left * column];
            }
            sum += dz[dz_start + ((r * channels + c) * height + h) * width + w] * line;
        }
        out[at] = sum;
${common.next_place(4, schedule)}\
    }
% endif
}
