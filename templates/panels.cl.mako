## Pack the lines of a stack of matrices, (batch, lines, depth) by strides, into panels of ${width} lines: the elements of all lines of a panel at one
## depth lie together, and zeros stand for lines past the last. A work-item takes a chunk of pieces, ${piece} elements deep.
<%namespace name="common" file="common.cl.mako"/>\
<%
    four = f"{wide}4"
    run = next(run for run in (lanes, 4, 2, 1) if width % run == 0)
%>\
${common.head({wide}, {wide}, fp64)}\
${common.memory({wide}, index, run)}\
typedef ${four} ${four}_unaligned __attribute__((aligned(${8 if wide in ("double", "ulong") else 4})));

__kernel void ${name}(
    __global ${wide} *out, __global const ${wide} *data, const ${index} start, const ${index} batch_step, const ${index} line_step, const ${index} depth_step,
    const ${index} batches, const ${index} lines, const ${index} depth)
{
    const ${index} panels = (lines + ${width - 1}) / ${width}, pieces = (depth + ${piece - 1}) / ${piece};
    const ${index} total = batches * panels * pieces;
    const ${index} chunk = (total + get_global_size(0) - 1) / get_global_size(0);
    const ${index} first = get_global_id(0) * chunk;
    for (${index} number = first; number < min(total, first + chunk); number++) {
        const ${index} panel = number / pieces % panels, batch = number / (pieces * panels);
        const ${index} begin = number % pieces * ${piece};
        const int deep = (int)min((${index})${piece}, depth - begin), count = (int)min((${index})${width}, lines - panel * ${width});
        __global const ${wide} *x = data + start + batch * batch_step + panel * ${width} * line_step + begin * depth_step;
        __global ${wide} *z = out + ((batch * panels + panel) * depth + begin) * ${width};
% if run > 1:
        if (line_step == 1) {
            for (int k = 0; k < deep; k++) {
% for c in range(0, width, run):
                store_${wide}(z + k * ${width} + ${c}, load_${wide}(x + k * depth_step + ${c}, count - ${c}), ${run});
% endfor
            }
            continue;
        }
% endif
        const int squares = depth_step == 1 ? deep / 4 * 4 : 0, joined = count / 4 * 4;
        for (int k = 0; k < squares; k += 4) {
            for (int line = 0; line < joined; line += 4) {
% for i in range(4):
                const ${four} x${i} = *(__global const ${four}_unaligned *)(x + (line + ${i}) * line_step + k);
% endfor
% for i in range(4):
                *(__global ${four}_unaligned *)(z + (k + ${i}) * ${width} + line) = (${four})(x0.s${i}, x1.s${i}, x2.s${i}, x3.s${i});
% endfor
            }
        }
        for (int k = 0; k < deep; k++)
            for (int line = k < squares ? joined : 0; line < ${width}; line++)
                z[k * ${width} + line] = line < count ? x[line * line_step + k * depth_step] : (${wide})0;
    }
}
