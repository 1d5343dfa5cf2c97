## Where the largest element of each bin lies: for region r, channel c and bin (h, w) its row, and `size` further on its column; -1 for a bin of no elements.
## `bounds` holds left, top, right and bottom of each region, both ends inside. A launch looks at the rows `lower` to `upper`, after those before.
## CPU schedule: what a bin sees is found out once for a `block` of channels.
<%namespace name="common" file="common.cl.mako"/>\
${common.head({storage}, {storage}, fp64)}\

__kernel void ${name}(
    __global int *place,
    __global const ${storage} *data,
    const ${index} data_start,
    __global const int *bounds,
    const ${index} bounds_start,
    __global const int *batch,
    const ${index} batch_start,
    const ${index} regions,
    const ${index} channels,
    const ${index} height,
    const ${index} width,
    const ${index} images,
    const ${index} rows,
    const ${index} columns,
    const ${index} block,
    const ${index} lower,
    const ${index} upper)
{
    const ${index} size = regions * channels * height * width, apart = height * width;
    const ${index} n0 = regions, n1 = (channels + block - 1) / block, n2 = height, n3 = width;
${common.each_place(4, index, schedule)}\
        const ${index} c = k1 * block, count = min(block, channels - c);
        const int image = batch[batch_start + k0], known = image >= 0 && image < images;
        __global int *of_row = place + ((k0 * channels + c) * height + k2) * width + k3, *of_column = of_row + size;
        __global const int *bound = bounds + bounds_start + 4 * k0;
        const long left = bound[0], top = bound[1], across = max(bound[2] - left + 1, 1L), down = max(bound[3] - top + 1, 1L);
        // Bin w begins at across * w / width, rounded down, and ends at across * (w + 1) / width, rounded up.
        const ${index} first = clamp(left + across * k3 / width, 0L, (long)columns);
        const ${index} last = clamp(left + (across * (k3 + 1) + width - 1) / width, 0L, (long)columns);
        const ${index} start = clamp(top + down * k2 / height, (long)lower, (long)upper);
        const ${index} stop = clamp(top + (down * (k2 + 1) + height - 1) / height, (long)lower, (long)upper);
        for (${index} i = 0; i < count; i++) {
            __global const ${storage} *plane = data + data_start + (image * channels + c + i) * rows * columns;
            int row = lower ? of_row[i * apart] : -1, column = lower ? of_column[i * apart] : -1;
            ${storage} largest = row < 0 ? 0 : plane[row * columns + column];
            for (${index} y = start; y < stop && known; y++)
                for (${index} x = first; x < last; x++) {
                    const ${storage} found = plane[y * columns + x];
                    // Without branches, which nobody could foresee.
                    const int better = (row < 0) | (found > largest);
                    row = better ? (int)y : row;
                    column = better ? (int)x : column;
                    largest = better ? found : largest;
                }
            of_row[i * apart] = row;
            of_column[i * apart] = column;
        }
${common.next_place(4, schedule)}\
    }
}
