## The images in which each place of a window has added its number to what the window sees at one of its offsets: the place's number in `picks`.
## A work-item takes a chunk of the images, and goes through the places of each in order.
<%namespace name="common" file="common.cl.mako"/>\
<% axes = lambda words: ",\n    ".join(", ".join(f"const {index} {word}_{axis}" for axis in "zyx") for word in words.split()) %>\
${common.head({storage}, {storage}, fp64)}\
${common.memory({storage}, index, lanes)}\

__kernel void ${name}(
    __global ${storage} *restrict out, __global const ${storage} *restrict numbers_data, const ${index} numbers_start,
    __global const int *restrict picks_data, const ${index} picks_start, const ${index} images,
    ${axes("size window stride dilate pad places")})
{
    const ${index} chunk = (images + get_global_size(0) - 1) / get_global_size(0), size = size_z * size_y * size_x;
    const ${index} begin = get_global_id(0) * chunk, end = min(images, begin + chunk), window = window_z * window_y * window_x;
    // How far an offset is from a window's place, where all windows are inside of the image: divisions would take most of the time.
    ${index} away[64];
    const int quick = window <= 64 && pad_z == 0 && pad_y == 0 && pad_x == 0 && (places_z - 1) * stride_z + (window_z - 1) * dilate_z < size_z
        && (places_y - 1) * stride_y + (window_y - 1) * dilate_y < size_y && (places_x - 1) * stride_x + (window_x - 1) * dilate_x < size_x;
    for (int pick = 0; quick && pick < window; pick++) {
        const int rows = pick / (int)window_x, planes = rows / (int)window_y;
        away[pick] = (planes * dilate_z * size_y + (rows - planes * (int)window_y) * dilate_y) * size_x + (pick - rows * (int)window_x) * dilate_x;
    }
    for (${index} image = begin; image < end; image++) {
        __global ${storage} *z = out + image * size;
        __global const ${storage} *numbers = numbers_data + numbers_start + image * places_z * places_y * places_x;
        __global const int *picks = picks_data + picks_start + image * places_z * places_y * places_x;
        for (${index} i = 0; i < size; i += ${lanes}) store_${storage}(z + i, 0, (int)min((${index})${lanes}, size - i));
        for (${index} at_z = -pad_z, p = 0; p < places_z; p++, at_z += stride_z)
            for (${index} at_y = -pad_y, q = 0; q < places_y; q++, at_y += stride_y)
                for (${index} at_x = -pad_x, r = 0; r < places_x; r++, at_x += stride_x, numbers++) {
                    const int pick = *picks++;
                    if (quick) {
                        if (pick >= 0 && pick < window) z[(at_z * size_y + at_y) * size_x + at_x + away[pick]] += *numbers;
                    } else if (pick >= 0 && pick < window) {
                        const int rows = pick / (int)window_x, planes = rows / (int)window_y;
                        const ${index} x = at_x + (pick - rows * (int)window_x) * dilate_x, y = at_y + (rows - planes * (int)window_y) * dilate_y;
                        const ${index} k = at_z + planes * dilate_z;
                        if (x >= 0 && x < size_x && y >= 0 && y < size_y && k >= 0 && k < size_z) z[(k * size_y + y) * size_x + x] += *numbers;
                    }
                }
    }
}
