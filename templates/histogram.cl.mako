## counts[row, bin] += how many elements lie in the bin: edges[bin] <= x < edges[bin + 1], in the last bin up to its upper edge and with it.
## Whole numbers add up to the same in any order, so that atomic additions leave nothing open. Many rows keep work-items from waiting in line.
<%namespace name="common" file="common.cl.mako"/>\
${common.head({storage}, {compute}, fp64)}\
${common.memory({storage}, "long", 1)}\

__kernel void ${name}(
    __global volatile uint *counts,
    const long rows,
    __global const ${storage} *data,
    const long data_start,
    const long n,
    __global const ${storage} *edges,
    const long edges_start,
    const long bins)
{
% if schedule == "cpu":
    const long row = get_group_id(0) * rows / get_num_groups(0);
% else:
    const long row = get_group_id(0) % rows;
% endif
    const ${compute} lowest = get_${storage}(edges, edges_start), highest = get_${storage}(edges, edges_start + bins);
${common.each_position("at", "n", "long", schedule)} {
        const ${compute} x = get_${storage}(data, data_start + at);
        if (!(x >= lowest && x <= highest)) continue;
        long bin = 0, above = bins;
        while (above - bin > 1) {
            const long middle = (bin + above) / 2;
            const int right = get_${storage}(edges, edges_start + middle) <= x;
            bin = right ? middle : bin;
            above = right ? above : middle;
        }
        atomic_inc(counts + row * bins + bin);
    }
}
