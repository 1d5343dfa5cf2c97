## out[batch, i, j] = sum over k of a[batch, i, k] * b[batch, k, j] on a GPU; everything by strides. A work-group of ${side} by ${side} work-items, at most
## `group` in all, computes a block, by way of local memory; each work-item has ${rows} by ${columns} sums, as far apart as the group is wide.
<%namespace name="common" file="common.cl.mako"/>\
<%
    pairs = [(r, c) for r in range(rows) for c in range(columns)]
    side = 1 << (group.bit_length() - 1) // 2
    edge, other = side * rows, side * columns
%>\
${common.head({wide}, {wide}, fp64, contract=True)}\

__kernel void ${name}(
    __global ${wide} *out, __global const ${wide} *a_data, __global const ${wide} *b_data,
    const ${index} a_start, const ${index} a_batch, const ${index} a_row, const ${index} a_column,
    const ${index} b_start, const ${index} b_batch, const ${index} b_row, const ${index} b_column,
    const ${index} parts, const ${index} m, const ${index} n, const ${index} depth, const ${index} deep)
{
    __local ${wide} a_tile[${slab}][${edge + 1}], b_tile[${slab}][${other + 1}]; // one more: no two rows begin in the same bank
    const int x = get_local_id(0), y = get_local_id(1), item = y * ${side} + x;
    const ${index} j = get_group_id(0) * (${index})${other}, i = get_group_id(1) * (${index})${edge}, each = get_group_id(2);
    const ${index} batch = each / parts, begin = each % parts * deep, length = min(deep, depth - begin);
    const ${index} a = a_start + batch * a_batch + begin * a_column, b = b_start + batch * b_batch + begin * b_row;
    // Neighbouring work-items read neighbouring elements, whichever way the matrices lie.
    const int a_deep = a_column == 1, b_deep = b_row == 1;
    ${wide} ${", ".join(f"sum{r}_{c} = 0" for r, c in pairs)};
    for (${index} k = 0; k < length; k += ${slab}) {
        for (int at = item; at < ${slab * edge}; at += ${side * side}) {
            const int down = a_deep ? at / ${slab} : at % ${edge}, step = a_deep ? at % ${slab} : at / ${edge};
            a_tile[step][down] = i + down < m && k + step < length ? a_data[a + (i + down) * a_row + (k + step) * a_column] : (${wide})0;
        }
        for (int at = item; at < ${slab * other}; at += ${side * side}) {
            const int across = b_deep ? at / ${slab} : at % ${other}, step = b_deep ? at % ${slab} : at / ${other};
            b_tile[step][across] = j + across < n && k + step < length ? b_data[b + (k + step) * b_row + (j + across) * b_column] : (${wide})0;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int step = 0; step < ${slab}; step++) {
            const ${wide} ${", ".join(f"b{c} = b_tile[step][{c * side} + x]" for c in range(columns))};
% for r in range(rows):
            {
                const ${wide} element = a_tile[step][${r * side} + y];
                ${" ".join(f"sum{r}_{c} += element * b{c};" for c in range(columns))}
            }
% endfor
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
% for r, c in pairs:
    if (i + ${r * side} + y < m && j + ${c * side} + x < n)
        out[each * m * n + (i + ${r * side} + y) * n + j + ${c * side} + x] = sum${r}_${c};
% endfor
}
