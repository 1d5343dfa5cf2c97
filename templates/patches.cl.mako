## What a window sees at each of its places in an image, as columns. An image has three axes z, y, x; those it has not got are of one element.
## Forth: columns[image, channel, offset, place] = data[image, channel, place * stride + offset * dilate - pad], or 0 where that is outside.
## Back: data[image, channel, ...] is the sum of the columns that look at it, by offsets, of which a launch adds those from `begin` to `end`;
## with `picks`, of those whose offset is the number that `picks` has for the place.
## A unit of work is a run of up to `segment` elements along x: of places, or back of data. CPU schedule: a chunk of units for each work-item.
## GPU schedule: runs of one element, by a stride of the grid.
<%namespace name="common" file="common.cl.mako"/>\
<%
    geometry = [f"{what}_{axis}" for what in ("size", "window", "stride", "dilate", "pad", "places") for axis in "zyx"]
    if back:
        sizes = ("images", "channels", "size_z", "size_y", "runs")
        image, channel, z, y, run = (f"k{i}" for i in range(5))
    else:
        sizes = ("channels", "window_z", "window_y", "window_x", "images", "places_z", "places_y", "runs")
        channel, offset_z, offset_y, offset_x, image, place_z, place_y, run = (f"k{i}" for i in range(8))
    dims = len(sizes)
    seen = lambda i: f"({unsigned})({f'picked[{i}] == offset ? columns[{i}] : 0' if picks else f'columns[{i}]'})"
%>\
${common.head({storage}, {storage}, fp64)}\

// The least number, not below 0, that times `by` is `n` or more.
inline ${index} steps_to(${index} n, ${index} by) { return n > 0 ? (n - 1) / by + 1 : 0; }

__kernel void ${name}(
    __global ${storage} *restrict out,
    __global const ${storage} *restrict given, const ${index} start,
% if picks:
    __global const int *restrict picks, const ${index} picks_start,
% endif
    const ${index} images, const ${index} channels,
    ${",\n    ".join(", ".join(f"const {index} {name}" for name in geometry[i : i + 3]) for i in range(0, len(geometry), 3))},
    // Of columns: how far images, channels and offsets are apart.
    const ${index} image_step, const ${index} channel_step, const ${index} offset_step,
    const ${index} segment${f",\n    const {index} begin, const {index} end" if back else ""})
{
    const ${index} runs = (${"size_x" if back else "places_x"} + segment - 1) / segment;
    const ${index} ${", ".join(f"n{i} = {size}" for i, size in enumerate(sizes))};
${common.each_place(dims, index, schedule)}\
% if back:
        const ${index} left = ${run} * segment, right = min(size_x, left + segment);
        __global ${storage} *row = out + (((${image} * channels + ${channel}) * size_z + ${z}) * size_y + ${y}) * size_x;
% if schedule == "gpu":
        ${unsigned} sum = begin ? row[left] : 0;
% else:
        if (begin == 0)
            for (${index} x = left; x < right; x++) row[x] = 0;
% endif
        ${index} offset_x = begin % window_x, offset_y = begin / window_x % window_y, offset_z = begin / window_x / window_y;
        for (${index} offset = begin; offset < end; offset++) {
            const ${index} from_z = ${z} + pad_z - offset_z * dilate_z, from_y = ${y} + pad_y - offset_y * dilate_y;
            const ${index} place_z = from_z / stride_z, place_y = from_y / stride_y;
            if (from_z >= 0 && from_y >= 0 && place_z < places_z && place_y < places_y && place_z * stride_z == from_z && place_y * stride_y == from_y) {
                const ${index} shift = offset_x * dilate_x - pad_x;
                const ${index} column = ${image} * image_step + ${channel} * channel_step + offset * offset_step
                    + (place_z * places_y + place_y) * places_x;
                __global const ${storage} *columns = given + start + column;
% if picks:
                __global const int *picked = picks + picks_start + column;
% endif
                const ${index} from = steps_to(left - shift, stride_x), to = min(places_x, steps_to(right - shift, stride_x));
% if schedule == "gpu":
                if (from < to) sum += ${seen("from")};
% else:
                if (stride_x == 1)
                    for (${index} i = from; i < to; i++) row[i + shift] = (${storage})((${unsigned})row[i + shift] + ${seen("i")});
                else
                    for (${index} i = from; i < to; i++) row[i * stride_x + shift] = (${storage})((${unsigned})row[i * stride_x + shift] + ${seen("i")});
% endif
            }
            if (++offset_x == window_x) {
                offset_x = 0;
                if (++offset_y == window_y) { offset_y = 0; offset_z++; }
            }
        }
% if schedule == "gpu":
        row[left] = (${storage})sum;
% endif
% else:
        const ${index} left = ${run} * segment, right = min(places_x, left + segment);
        const ${index} z = ${place_z} * stride_z + ${offset_z} * dilate_z - pad_z, y = ${place_y} * stride_y + ${offset_y} * dilate_y - pad_y;
        const ${index} shift = ${offset_x} * dilate_x - pad_x;
        const int inside = z >= 0 && z < size_z && y >= 0 && y < size_y;
        const ${index} from = inside ? min(right, max(left, steps_to(-shift, stride_x))) : right;
        const ${index} to = max(from, min(right, steps_to(size_x - shift, stride_x)));
        __global const ${storage} *row = given + start + (((${image} * channels + ${channel}) * size_z + z) * size_y + y) * size_x;
        __global ${storage} *columns = out + ${image} * image_step + ${channel} * channel_step
            + ((${offset_z} * window_y + ${offset_y}) * window_x + ${offset_x}) * offset_step + (${place_z} * places_y + ${place_y}) * places_x;
        for (${index} i = left; i < from; i++) columns[i] = 0;
        if (stride_x == 1)
            for (${index} i = from; i < to; i++) columns[i] = row[i + shift];
        else
            for (${index} i = from; i < to; i++) columns[i] = row[i * stride_x + shift];
        for (${index} i = to; i < right; i++) columns[i] = 0;
% endif
${common.next_place(dims, schedule)}\
    }
}
