## Images at the places of a grid, between the four elements around each: x and y, where -1 and 1 are the middles of the first and last column, or row.
##   "value"  out[r, c, p] from data: the element of each place
##   "image"  adds to out[r, c, ...] what `dz` says of each place, by the same weights, in order
##   "grid"   out[r, 0, p] and out[r, 1, p], how the sum of dz * "value" changes with x and y; the channels from `lower` to `upper`, after those before
## An element that does not exist counts as zero, and does not take part in a gradient. A work-item computes offsets and weights of up to `segment`
## places once for all of a `block` of channels. On the GPU schedule both are one, but in "image": there a work-item owns some of the rows (dimension 0)
## of some planes (dimension 1), and goes through all places from `lower` to `upper`.
<%namespace name="common" file="common.cl.mako"/>\
<%
    module = common.module
    run = 64 if schedule == "cpu" else 1  # places, at most
    kind, ints = module.vector(storage, lanes), module.vector("int", lanes)
    corners = [(j, i) for j in (0, 1) for i in (0, 1)]
    masks = f"convert_long{lanes}" if storage == "double" and lanes > 1 else ""
    convert = f"convert_int{lanes}" if lanes > 1 else "(int)"
    vectors = max(1, run // lanes)
    within = [f"{{0}}.s{i:x}" for i in range(lanes)] if lanes > 1 else ["{0}"]
%>\
${common.head({storage}, {storage}, fp64)}\
${common.memory({storage}, index, lanes)}\
% if lanes > 1:

// Elements of a plane; zeros for offsets below zero.
inline ${kind} look(__global const ${storage} *plane, const int *offset)
{
    const ${ints} at = *(const ${ints} *)offset, safe = max(at, 0);
    const ${kind} found = (${kind})(${", ".join(f"plane[{lane.format('safe')}]" for lane in within)});
    return ${masks}(at < 0) ? 0 : found;
}
% else:
inline ${storage} look(__global const ${storage} *plane, const int *offset) { return *offset < 0 ? 0 : plane[*offset]; }
% endif

// Where places lie along an axis: the elements before them, and the distances from there. Far outside, or nowhere, is outside.
inline ${ints} before(${kind} place, ${storage} half_size, int size, ${kind} *beyond)
{
    const ${kind} position = (place + 1) * half_size, whole = floor(position);
    *beyond = position - whole;
    const ${kind} bounded = whole < size ? whole : size;
    return ${convert}(bounded > -2 ? bounded : -2);
}

<%def name="tables()">\
        // Offsets of the four elements, -1 for what does not exist, and the weights of rows and columns: 0 where there are none.
% for j, i in corners:
        ${ints} offset${j}${i}[${vectors}];
% endfor
        ${kind} x[${vectors}], y[${vectors}];
% for axis in "yx":
        ${kind} near_${axis}[${vectors}], far_${axis}[${vectors}];
% endfor
        {
            ${index} line = left / width, at = left % width;
            for (int i = 0; i < count; i++) {
                __global const ${storage} *here = grid + grid_start + image * grid_image + line * grid_row + at * grid_column;
                ((${storage} *)x)[i] = here[0];
                ((${storage} *)y)[i] = here[grid_axis];
                if (++at == width) { at = 0; line++; }
            }
            for (int i = count; i % ${lanes}; i++) ((${storage} *)x)[i] = ((${storage} *)y)[i] = 0;
        }
        for (int k = 0; k * ${lanes} < count; k++) {
            ${kind} beyond_x, beyond_y;
            const ${ints} column = before(x[k], half_width, (int)columns, &beyond_x), row = before(y[k], half_height, (int)rows, &beyond_y);
            const ${ints} start = row * (int)columns + column;
            const ${ints} is_left = (column >= 0) & (column < (int)columns), is_right = (column >= -1) & (column + 1 < (int)columns);
            const ${ints} is_top = (row >= (int)from) & (row < (int)to), is_bottom = (row + 1 >= (int)from) & (row + 1 < (int)to);
            offset00[k] = (is_top & is_left) ? start : -1;
            offset01[k] = (is_top & is_right) ? start + 1 : -1;
            offset10[k] = (is_bottom & is_left) ? start + (int)columns : -1;
            offset11[k] = (is_bottom & is_right) ? start + (int)columns + 1 : -1;
            near_y[k] = ${masks}(is_top) ? 1 - beyond_y : 0;
            far_y[k] = ${masks}(is_bottom) ? beyond_y : 0;
            near_x[k] = ${masks}(is_left) ? 1 - beyond_x : 0;
            far_x[k] = ${masks}(is_right) ? beyond_x : 0;
        }
</%def>\
<%def name="four()">\
% for j, i in corners:
                const ${kind} v${j}${i} = look(plane, (const int *)(offset${j}${i} + k));
% endfor
</%def>\
__kernel void ${name}(
    __global ${storage} *restrict out,
% if step != "value":
    __global const ${storage} *restrict dz, const ${index} dz_start,
% endif
% if step != "image":
    __global const ${storage} *restrict data, const ${index} data_start,
% endif
    __global const ${storage} *restrict grid, const ${index} grid_start,
    const ${index} grid_image, const ${index} grid_axis, const ${index} grid_row, const ${index} grid_column,
    const ${index} images, const ${index} channels, const ${index} rows, const ${index} columns, const ${index} places, const ${index} width,
    const ${storage} half_width, const ${storage} half_height,
    const ${index} block, const ${index} segment, const ${index} lower, const ${index} upper)
{
% if step == "image":
    const ${index} blocks = (channels + block - 1) / block, chunk = (rows + get_global_size(0) - 1) / get_global_size(0);
    const ${index} from = min(rows, (${index})get_global_id(0) * chunk), to = min(rows, from + chunk);
    const ${index} image = get_global_id(1) / blocks, first = get_global_id(1) % blocks * block, last = min(channels, first + block);
    if (image >= images) return;
    for (${index} left = lower; left < upper; left += segment) {
        const int count = (int)min(segment, upper - left);
${tables()}\
        for (${index} c = first; c < last; c++) {
            __global ${storage} *plane = out + (image * channels + c) * rows * columns;
            __global const ${storage} *share = dz + dz_start + (image * channels + c) * places + left;
            for (int i = 0; i < count; i++) {
% for j, side in ((0, "near"), (1, "far")):
                const ${storage} line${j} = share[i] * ((const ${storage} *)${side}_y)[i];
% for i, end in ((0, "near"), (1, "far")):
                const int at${j}${i} = ((const int *)offset${j}${i})[i];
                if (at${j}${i} >= 0) plane[at${j}${i}] += line${j} * ((const ${storage} *)${end}_x)[i];
% endfor
% endfor
            }
        }
    }
% else:
    const ${index} from = 0, to = rows;
    const ${index} n0 = images, n1 = (channels + block - 1) / block, n2 = (places + segment - 1) / segment;
${common.each_place(3, index, schedule)}\
        const ${index} image = k0, left = k2 * segment;
        const int count = (int)min(segment, places - left);
${tables()}\
% if step == "value":
        for (${index} c = k1 * block; c < min(channels, (k1 + 1) * block); c++) {
            __global const ${storage} *plane = data + data_start + (image * channels + c) * rows * columns;
            __global ${storage} *to = out + (image * channels + c) * places + left;
            for (int k = 0; k * ${lanes} < count; k++) {
${four()}\
                const ${kind} line0 = near_x[k] * v00 + far_x[k] * v01, line1 = near_x[k] * v10 + far_x[k] * v11;
                const ${kind} sum = near_y[k] * line0 + far_y[k] * line1;
% if lanes > 1:
                store_${storage}(to + k * ${lanes}, sum, count - k * ${lanes});
% else:
                to[k] = sum;
% endif
            }
        }
% else:
        for (int k = 0; k * ${lanes} < count; k++) {
            // Sums for rows and columns, before and after the place.
            ${kind} above = 0, below = 0, left_of = 0, right_of = 0;
            for (${index} c = lower; c < upper; c++) {
                __global const ${storage} *plane = data + data_start + (image * channels + c) * rows * columns;
                __global const ${storage} *share = dz + dz_start + (image * channels + c) * places + left;
                const ${kind} d = ${f"load_{storage}(share + k * {lanes}, count - k * {lanes})" if lanes > 1 else "share[k]"};
${four()}\
                above += d * (near_x[k] * v00 + far_x[k] * v01);
                below += d * (near_x[k] * v10 + far_x[k] * v11);
                left_of += d * (near_y[k] * v00 + far_y[k] * v10);
                right_of += d * (near_y[k] * v01 + far_y[k] * v11);
            }
            // What does not exist adds nothing, whatever arrives.
% for sum, one, two in (("above", "00", "01"), ("below", "10", "11"), ("left_of", "00", "10"), ("right_of", "01", "11")):
            ${sum} = ${masks}((offset${one}[k] < 0) & (offset${two}[k] < 0)) ? 0 : ${sum};
% endfor
            __global ${storage} *of_x = out + 2 * image * places + left + k * ${lanes}, *of_y = of_x + places;
            ${kind} dx = (right_of - left_of) * half_width, dy = (below - above) * half_height;
% if lanes > 1:
            const int some = count - k * ${lanes};
            if (lower > 0) {
                dx += load_${storage}(of_x, some);
                dy += load_${storage}(of_y, some);
            }
            store_${storage}(of_x, dx, some);
            store_${storage}(of_y, dy, some);
% else:
            *of_x = lower > 0 ? *of_x + dx : dx;
            *of_y = lower > 0 ? *of_y + dy : dy;
% endif
        }
% endif
${common.next_place(3, schedule)}\
    }
% endif
}
