## out[places[i]] = data[i]. The places are in range, and no two the same.
<%namespace name="common" file="common.cl.mako"/>\
__kernel void ${name}(
    __global ${storage} *out, __global const ${storage} *data, const long data_start, __global const long *places, const long places_start,
    const long size)
{
${common.each_position("i", "size", "long", schedule)}
        out[places[places_start + i]] = data[data_start + i];
}
