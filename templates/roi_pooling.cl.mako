## Where the largest element of each bin lies: for region r, channel c and bin (h, w) its row, and `size` further on its column; -1 for a bin of no elements.
## `bounds` holds left, top, right and bottom of each region, both ends inside. A launch looks at the rows `lower` to `upper`, after those before.
<%namespace name="common" file="common.cl.mako"/>\
${common.head({storage}, {storage}, fp64)}\

__kernel void ${name}(
    __global int *place,
    __global const ${storage} *data,
    const long data_start,
    __global const int *bounds,
    const long bounds_start,
    __global const int *batch,
    const long batch_start,
    const long regions,
    const long channels,
    const long height,
    const long width,
    const long images,
    const long rows,
    const long columns,
    const long lower,
    const long upper)
{
    const long size = regions * channels * height * width;
${common.each_position("at", "size", "long", schedule)} {
        const long w = at % width, h = at / width % height, c = at / (width * height) % channels, r = at / (width * height * channels);
        const int image = batch[batch_start + r];
        if (lower == 0) place[at] = place[size + at] = -1;
        if (image < 0 || image >= images) continue;
        __global const int *bound = bounds + bounds_start + 4 * r;
        const long left = bound[0], top = bound[1], across = max(bound[2] - left + 1, 1L), down = max(bound[3] - top + 1, 1L);
        // Bin w begins at across * w / width, rounded down, and ends at across * (w + 1) / width, rounded up.
        const long first = max(left + across * w / width, 0L), last = min(left + (across * (w + 1) + width - 1) / width, columns);
        const long start = max(top + down * h / height, lower), stop = min(top + (down * (h + 1) + height - 1) / height, upper);
        __global const ${storage} *plane = data + data_start + (image * channels + c) * rows * columns;
        long row = place[at], column = place[size + at];
        for (long y = start; y < stop; y++)
            for (long x = first; x < last; x++)
                if (row < 0 || plane[y * columns + x] > plane[row * columns + column]) { row = y; column = x; }
        place[at] = row;
        place[size + at] = column;
    }
}
