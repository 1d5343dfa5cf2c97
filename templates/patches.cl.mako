<%doc>
Patches of an array's spatial axes as columns, and columns added up to an array again: each the other's transpose.

    columns[plane, k, o] = data[plane, p], where p = o * stride - pad + k * dilate on each axis; 0 for p outside of the array

Parameters
    name        the kernel's name
    step        "im2col" or "col2im"
    dims        number of spatial axes
    storage     type of an element in memory
    compute     with "col2im": what is added up in
    segment     with "col2im": elements of a row of the array that are added up together
    index       type of positions
    schedule    "cpu": every work-item a contiguous chunk; "gpu": grid-stride

Arguments
    im2col      columns, data, where they start, number of elements of columns, geometry
    col2im      data, columns, where they start, number of segments, segments of a row, kernel positions from and to, geometry
    geometry    for each axis the sizes of data, of positions o and of the kernel, then stride, dilate and pad
</%doc>\
<%namespace name="common" file="common.cl.mako"/>\
<%page args="name, step, dims, storage, index, schedule, fp64, compute='', segment=1"/>\
<%
    last = dims - 1
    geometry = ", ".join(f"const {index} {word}{i}" for i in range(dims) for word in ("n", "out", "kernel", "stride", "dilate", "pad"))
%>\
## Split `rest` into coordinates, the last of them fastest; what is left of it is the plane.
<%def name="split(coordinates, sizes, count)">\
% for i in reversed(range(count)):
        const ${index} ${coordinates}${i} = rest % ${sizes}${i};
        rest /= ${sizes}${i};
% endfor
</%def>\
% if step == "im2col":
__kernel void ${name}(
    __global ${storage} *columns, __global const ${storage} *data, const ${index} start, const ${index} size, ${geometry})
{
% if schedule == "cpu":
    const ${index} share = (size + get_global_size(0) - 1) / get_global_size(0);
    const ${index} begin = min(size, (${index})get_global_id(0) * share), end = min(size, begin + share);
    ${index} count;
    for (${index} at = begin; at < end; at += count) {
% else:
    for (${index} at = get_global_id(0); at < size; at += get_global_size(0)) {
% endif
        ${index} rest = at;
${split("o", "out", dims)}\
${split("k", "kernel", dims)}\
        ${index} row = rest;
        int inside = 1;
% for i in range(last):
        const ${index} p${i} = o${i} * stride${i} - pad${i} + k${i} * dilate${i};
        inside &= p${i} >= 0 && p${i} < n${i};
        row = row * n${i} + p${i};
% endfor
        row = start + row * n${last};
        ${index} p = o${last} * stride${last} - pad${last} + k${last} * dilate${last};
% if schedule == "cpu":
        count = min(end - at, out${last} - o${last});
        for (${index} i = 0; i < count; i++, p += stride${last})
            columns[at + i] = inside && p >= 0 && p < n${last} ? data[row + p] : 0;
% else:
        columns[at] = inside && p >= 0 && p < n${last} ? data[row + p] : 0;
% endif
    }
}
% else:
${common.head({storage}, {compute}, fp64)}\
${common.memory({storage}, index, 1)}\

__kernel void ${name}(
    __global ${storage} *data, __global const ${storage} *columns, const ${index} start, const ${index} segments, const ${index} across,
    const ${index} from, const ${index} to, ${geometry})
{
    const ${index} positions = ${" * ".join(f"kernel{i}" for i in range(dims))};
${common.each_position("number", "segments", index, schedule)} {
        const ${index} w = number % across * ${segment}, count = min((${index})${segment}, n${last} - w);
        ${index} rest = number / across;
${split("p", "n", last)}\
        ${index} first = rest;
% for i in range(last):
        first = first * n${i} + p${i};
% endfor
        first = first * n${last} + w;
        ${compute} sums[${segment}];
        for (int i = 0; i < count; i++) sums[i] = from ? (${compute})get_${storage}(data, first + i) : (${compute})0;
${common.unravel("from", "k", "kernel", dims, index)}\
        for (${index} k = from; k < to; k++) {
            ${index} row = rest * positions + k;
            int inside = 1;
% for i in range(last):
            {
                // Which position's patch has its element k here?
                const ${index} distance = p${i} + pad${i} - k${i} * dilate${i}, o = distance / stride${i};
                inside &= distance >= 0 && o * stride${i} == distance && o < out${i};
                row = row * out${i} + o;
            }
% endfor
            const ${index} shift = pad${last} - k${last} * dilate${last};
            const ${index} low = w + shift, high = low + count - 1; // multiples of the stride between these
            const ${index} begin = low > 0 ? (low - 1) / stride${last} + 1 : 0;
            const ${index} end = inside && high >= 0 ? min(out${last}, high / stride${last} + 1) : 0;
            for (${index} o = begin; o < end; o++)
                sums[${"0" if segment == 1 else f"o * stride{last} - low"}] += (${compute})get_${storage}(columns, start + row * out${last} + o);
${common.advance("k", "kernel", dims, "1")}\
        }
        for (int i = 0; i < count; i++) put_${storage}(data, first + i, ${"sums[i]" if storage == "half" else f"({storage})sums[i]"});
    }
}
% endif
