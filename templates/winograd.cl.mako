## Convolutions with windows of 3 by 3 by Winograd's form F(2x2, 3x3): 2 by 2 places take 16 products of a channel and a filter instead of 36.
## A window of 4 by 4 at every second place of `seen` (see convolution.cl.mako) sees what 2 by 2 places see. With its elements and the weights
## both turned into 16 numbers e, sums over channels of their products are turned back into the sums of the 4 places:
##   rows of elements d    d0 - d2, d1 + d2, d2 - d1, d1 - d3        of weights g    g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2
##   rows of sums m        m0 + m1 + m2, m1 - m2 - m3                columns in the same way
## Whole numbers stay exact: nothing is divided but weights, by 2 and by 4.
##   weights    turned, (groups, 16, blocks of ${rows} filters, depth, ${rows}): depth is channels, with zeros up to a multiple of ${step}.
##   sums       for ${vectors} vectors of such windows at a time what they see is turned, multiplied tile by tile, and turned back, all in `panel`, a
##              part of the scratch that a work-item has for itself and that stays in its cache.
## Every sum of a tile is a variable of its own, since an array would not stay in registers.
<%namespace name="common" file="common.cl.mako"/>\
<%
    v, width = f"{wide}{lanes}", vectors * lanes
    axes = lambda words: ", ".join(f"const {index} {word}" for word in words.split())
%>\
${common.head({storage}, {wide}, fp64, contract=True)}\
${common.memory({storage, wide}, index, lanes)}\
% if part == "weights":
__kernel void ${name}(
    __global ${wide} *restrict packed, __global const ${storage} *restrict weight, const ${index} start,
    ${axes("groups filters channels depth group_step filter_step channel_step step_y step_x")})
{
    const ${index} blocks = (filters + ${rows - 1}) / ${rows}, n0 = groups, n1 = blocks, n2 = depth;
${common.each_place(3, index, "cpu")}\
        ${wide} turned[16][${rows}];
        for (int r = 0; r < ${rows}; r++) {
            const ${index} filter = k1 * ${rows} + r, from = start + k0 * group_step + filter * filter_step + k2 * channel_step;
            const int there = filter < filters && k2 < channels;
% for x in range(3):
            const ${wide} ${", ".join(f"g{y}{x} = there ? get_{storage}(weight, from + {y} * step_y + {x} * step_x) : 0" for y in range(3))};
            const ${wide} t0${x} = g0${x}, t1${x} = (g0${x} + g1${x} + g2${x}) / 2, t2${x} = (g0${x} - g1${x} + g2${x}) / 2, t3${x} = g2${x};
% endfor
% for y in range(4):
            turned[${4 * y}][r] = t${y}0;
            turned[${4 * y + 1}][r] = (t${y}0 + t${y}1 + t${y}2) / 2;
            turned[${4 * y + 2}][r] = (t${y}0 - t${y}1 + t${y}2) / 2;
            turned[${4 * y + 3}][r] = t${y}2;
% endfor
        }
        // A line at a time: the places of the numbers e are far apart, often in the same set of the cache.
        __global ${wide} *to = packed + ((k0 * 16 * blocks + k1) * depth + k2) * ${rows};
        for (int e = 0; e < 16; e++, to += blocks * depth * ${rows})
            for (int r = 0; r < ${rows}; r++) to[r] = turned[e][r];
${common.next_place(3, "cpu")}\
    }
}
% else:
${common.pieces(wide, lanes)}\
${common.put_line(storage, wide, lanes)}
__kernel void ${name}(
    __global ${storage} *out, __global ${wide} *scratch, __global const ${wide} *restrict seen, const ${index} seen_start,
    __global const ${wide} *restrict packed,
% if biased:
    __global const ${storage} *restrict bias_data, const ${index} bias_start,
% endif
    ${axes("begin_unit chunk room together images groups filters channels depth apart tiles_y tiles_x pitch image_size group_size channel_size phase_size")},
    ${axes("start image_step filter_step step_y places_y places_x")})
{
    const ${index} per_row = (tiles_x + ${lanes - 1}) / ${lanes}, plane = apart ? per_row * tiles_y : (tiles_y * pitch + ${lanes - 1}) / ${lanes};
    const ${index} all = images * plane, strips = (all + ${vectors - 1}) / ${vectors};
    const ${index} blocks = (filters + ${rows - 1}) / ${rows}, parts = (blocks + together - 1) / together, units = groups * strips * parts;
    const ${index} first = begin_unit + get_global_id(0) * chunk, last = min(units, first + chunk);
    // Numbers e of neighbouring channels are one line of the cache further, lest all go to the same set of it.
    const ${index} next = depth * ${width} + ${lanes};
    __global ${wide} *panel = scratch + get_global_id(0) * room, *sums = panel + 16 * next;
    for (${index} unit = first, before = -1; unit < last; unit++) {
        const ${index} run = unit / parts, group = run / strips, begin = run % strips * ${vectors};
        const ${index} from = unit % parts * together, to = min(blocks, from + together);
        ${index} image[${vectors}], y[${vectors}], left[${vectors}], at[${vectors}];
        for (int c = 0; c < ${vectors}; c++) {
            const ${index} number = min(begin + c, all - 1);
            image[c] = number / plane;
            const ${index} place = number - image[c] * plane;
            if (apart) { // no vector goes past the end of a row: the last one of a row begins earlier
                y[c] = place / per_row;
                left[c] = min((place - y[c] * per_row) * ${lanes}, tiles_x - ${lanes});
                at[c] = y[c] * pitch + left[c];
            } else {
                at[c] = place * ${lanes};
                y[c] = at[c] / pitch;
                left[c] = at[c] - y[c] * pitch;
            }
        }
        if (run != before) {
            for (${index} k = 0; k < channels; k++)
                for (int c = 0; c < ${vectors}; c++) {
                    __global const ${wide} *x = seen + seen_start + image[c] * image_size + group * group_size + k * channel_size + at[c];
                    __global ${v} *z = (__global ${v} *)(panel + k * ${width} + c * ${lanes});
% for j in range(4):
% for i in range(4):
                    const ${v} d${i}${j} = *(__global const ${v}_anywhere *)(x + ${i % 2 * 2 + j % 2} * phase_size + ${i // 2} * pitch + ${j // 2});
% endfor
                    const ${v} t0${j} = d0${j} - d2${j}, t1${j} = d1${j} + d2${j}, t2${j} = d2${j} - d1${j}, t3${j} = d1${j} - d3${j};
% endfor
% for i in range(4):
                    z[${4 * i} * next / ${lanes}] = t${i}0 - t${i}2;
                    z[${4 * i + 1} * next / ${lanes}] = t${i}1 + t${i}2;
                    z[${4 * i + 2} * next / ${lanes}] = t${i}2 - t${i}1;
                    z[${4 * i + 3} * next / ${lanes}] = t${i}1 - t${i}3;
% endfor
                }
            for (int e = 0; e < 16; e++)
                for (${index} i = channels * ${vectors}; i < depth * ${vectors}; i++) *(__global ${v} *)(panel + e * next + i * ${lanes}) = 0;
        }
        before = run;
        for (int e = 0; e < 16; e++)
            for (${index} block = from; block < to; block++) {
                __global const ${wide} *w = packed + ((group * 16 + e) * blocks + block) * depth * ${rows};
                __global const ${v} *x = (__global const ${v} *)(panel + e * next);
% for r in range(rows):
                ${v} ${", ".join(f"sum{r}_{c} = 0" for c in range(vectors))};
% endfor
                for (${index} k = 0; k < depth; k += ${step}) {
% for k in range(step):
                    {
% for c in range(vectors):
                        const ${v} x${c} = x[${k * vectors + c}];
% endfor
% for r in range(rows):
                        {
                            const ${v} element = (${v})(w[${k * rows + r}]);
% for c in range(vectors):
                            sum${r}_${c} += element * x${c};
% endfor
                        }
% endfor
                    }
% endfor
                    x += ${step * vectors};
                    w += ${step * rows};
                }
                __global ${v} *z = (__global ${v} *)(sums + ((block - from) * ${16 * rows} + e) * ${width});
% for r in range(rows):
                ${" ".join(f"z[{r * 16 * vectors + c}] = sum{r}_{c};" for c in range(vectors))}
% endfor
            }
        for (${index} filter = from * ${rows}; filter < min(filters, to * ${rows}); filter++)
            for (int c = 0; c < ${vectors} && begin + c < all; c++) {
                __global const ${v} *m = (__global const ${v} *)(sums + (filter - from * ${rows}) * ${16 * width}) + c;
% for i in range(4):
                const ${v} ${", ".join(f"m{i}{j} = m[{(4 * i + j) * vectors}]" for j in range(4))};
                const ${v} t${i}0 = m${i}0 + m${i}1 + m${i}2, t${i}1 = m${i}1 - m${i}2 - m${i}3;
% endfor
% if biased:
                const ${v} more = (${v})(get_${storage}(bias_data, bias_start + group * filters + filter));
% endif
% for j in range(2):
                const ${v} y0${j} = t0${j} + t1${j} + t2${j}${" + more" if biased else ""}, y1${j} = t1${j} - t2${j} - t3${j}${" + more" if biased else ""};
% endfor
                // What places along a row lies one after another.
                ${v} lines[4];
% for i in range(2):
                lines[${2 * i}].even = y${i}0.lo;
                lines[${2 * i}].odd = y${i}1.lo;
                lines[${2 * i + 1}].even = y${i}0.hi;
                lines[${2 * i + 1}].odd = y${i}1.hi;
% endfor
                __global ${storage} *plane_out = out + start + image[c] * image_step + (group * filters + filter) * filter_step;
                ${index} row = y[c], column = left[c];
                for (int lane = 0; lane < ${lanes} && row < tiles_y; lane += pitch - column, column = 0, row++) {
                    const int count = (int)min((${index})(2 * (${lanes} - lane)), places_x - 2 * column);
                    __global ${storage} *z = plane_out + 2 * row * step_y + 2 * column;
                    if (count <= 0) continue;
                    put_line(z, (const ${wide} *)lines + 2 * lane, count);
                    if (2 * row + 1 < places_y) put_line(z + step_y, (const ${wide} *)(lines + 2) + 2 * lane, count);
                }
            }
    }
}
% endif
