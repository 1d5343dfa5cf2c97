## out[batch, i, j] = sum over k of a[batch, i, k] * b[batch, k, j] on a CPU; everything by strides. A work-item takes a chunk of tiles of the result, every
## sum of which is a variable of its own, since an array would not stay in registers. Rows and columns past the last are computed as others once
## more, or from zeros, and not stored. Two forms:
## "tiles" of ${rows} rows by ${columns} vectors, read from rows of b, and from panels of either matrix where it is packed: ${rows} of its lines for a, as many as a
## tile has columns for b; or, where that is not worth it, with the elements of a vector gathered from b wherever they lie;
## "dots", ${rows} by ${columns} sums of two matrices that both lie along the depth: vectors of products, added up at the end.
<%namespace name="common" file="common.cl.mako"/>\
<%
    v = wide if lanes == 1 else f"{wide}{lanes}"
    pairs = [(r, c) for r in range(rows) for c in range(columns)]
    sums = ", ".join(f"sum{r}_{c} = 0" for r, c in pairs)
%>\
${common.head({wide}, {wide}, fp64, contract=True)}\
${common.memory({wide}, index, lanes)}\

// A function, since PoCL's compiler takes vectors as wide as the device's only where a function has been given one.
inline ${v} add_product(const ${v} sum, const ${v} x, const ${v} y) { return sum + x * y; }

% if form == "dots":
// The elements from `done` on, in the last vector that lies inside the line; the others are zeros.
inline ${v} load_rest(__global const ${wide} *line, const ${index} done, const ${index} length)
{
    if (length < ${lanes}) return load_${wide}(line, length);
    const ${v} x = *(__global const ${v}_anywhere *)(line + length - ${lanes});
    const int first = (int)(done + ${lanes} - length);
    return (${v})(${", ".join(f"{lane} >= first ? x.s{lane:x} : 0" for lane in range(lanes))});
}

% endif
__kernel void ${name}(
    __global ${wide} *out, __global const ${wide} *a_data, __global const ${wide} *b_data,
    const ${index} a_start, const ${index} a_batch, const ${index} a_row, const ${index} a_column,
    const ${index} b_start, const ${index} b_batch, const ${index} b_row, const ${index} b_column,
% if form == "tiles":
    const ${index} a_panel, const ${index} b_panel, const ${index} last, const ${index} block,
% endif
    const ${index} out_row, const ${index} out_column, const ${index} batches, const ${index} parts, const ${index} m, const ${index} n,
    const ${index} depth, const ${index} deep)
{
<% width = lanes * columns if form == "tiles" else columns %>\
    const ${index} down = (m + ${rows - 1}) / ${rows}, across = (n + ${width - 1}) / ${width};
    const ${index} tiles = batches * parts * down * across;
    const ${index} chunk = (tiles + get_global_size(0) - 1) / get_global_size(0);
    const ${index} first = get_global_id(0) * chunk;
    for (${index} number = first; number < min(tiles, first + chunk); number++) {
        const ${index} each = number / (down * across);
% if form == "tiles":
        // Across `block` tiles, then down: their columns of b stay in the second cache, the rows of a in the first.
        const ${index} rest = number - each * (down * across), left = rest / (down * block) * block;
        const ${index} inside = rest - left * down, span = min(block, across - left);
        const ${index} tile = left + inside % span, i = inside / span * ${rows}, j = min(tile * ${width}, last);
% else:
        const ${index} i = number % down * ${rows}, j = number / down % across * ${width};
% endif
        const ${index} batch = each / parts, begin = each % parts * deep, length = min(deep, depth - begin);
        __global ${wide} *z = out + each * m * n + i * out_row + j * out_column;
        ${v} ${sums};
% if form == "tiles":
        __global const ${wide} *a0 = a_data + a_start + batch * a_batch + begin * a_column + i / ${rows} * a_panel;
% for r in range(1, rows):
        __global const ${wide} *a${r} = a0 + min((${index})${r}, m - 1 - i) * a_row;
% endfor
        // In rows of b the last vectors end where the rows do, and cover columns of the tile before, which are not stored again.
        const int skip = (int)(tile * ${width} - j), end = (int)min((${index})${width}, n - j);
        __global const ${wide} *b = b_data + b_start + batch * b_batch + begin * b_row + tile * b_panel - skip;
        for (${index} k = 0; k < length; k++) {
            const ${index} step = k * a_column;
% for c in range(columns):
            const ${v} b${c} = ${f"({v})({', '.join(f'b[min({c * lanes + lane}, end - 1) * b_column]' for lane in range(lanes))})" if gathered else f"*(__global const {v}_anywhere *)(b + {c * lanes})"};
% endfor
% for r in range(rows):
            {
                const ${v} element = (${v})(a${r}[step]);
                ${" ".join(f"sum{r}_{c} = add_product(sum{r}_{c}, element, b{c});" for c in range(columns))}
            }
% endfor
            b += b_row;
        }
        if (out_column == 1 && end - skip == ${width}) {
% for r in range(rows):
            if (i + ${r} < m) {
% for c in range(columns):
                *(__global ${v}_anywhere *)(z + ${r} * out_row + ${c * lanes}) = sum${r}_${c};
% endfor
            }
% endfor
        } else {
            ${v} all[${rows * columns}] = {${", ".join(f"sum{r}_{c}" for r, c in pairs)}};
            const int height = (int)min((${index})${rows}, m - i);
            for (int c = skip; c < end; c++)
                for (int r = 0; r < height; r++) z[r * out_row + c * out_column] = ((const ${wide} *)all)[r * ${width} + c];
        }
% else:
% for name_, count, along, limit in (("a", rows, "a_row", "m - 1 - i"), ("b", columns, "b_column", "n - 1 - j")):
        __global const ${wide} *${name_}0 = ${name_}_data + ${name_}_start + batch * ${name_}_batch + begin + ${"i" if name_ == "a" else "j"} * ${along};
% for r in range(1, count):
        __global const ${wide} *${name_}${r} = ${name_}0 + min((${index})${r}, ${limit}) * ${along};
% endfor
% endfor
        ${index} k = 0;
% for full in (True, False):
        ${f"for (; k + {lanes} <= length; k += {lanes})" if full else "if (k < length)"} {
% for c in range(columns):
            const ${v} b${c}_k = ${f"*(__global const {v}_anywhere *)(b{c} + k)" if full else f"load_rest(b{c}, k, length)"};
% endfor
% for r in range(rows):
            {
                const ${v} elements = ${f"*(__global const {v}_anywhere *)(a{r} + k)" if full else f"load_rest(a{r}, k, length)"};
                ${" ".join(f"sum{r}_{c} = add_product(sum{r}_{c}, elements, b{c}_k);" for c in range(columns))}
            }
% endfor
        }
% endfor
        // Fold the vectors pair by pair, the halves of one beside those of the other, until each is a lane of one vector.
% for group in range(len(pairs) // lanes):
<%
    names = [f"sum{r}_{c}" for r, c in pairs[group * lanes : (group + 1) * lanes]]
    half = lanes // 2
%>\
% while len(names) > 1:
% for x, y in zip(names[::2], names[1::2]):
<% pick = lambda shift: "s" + "".join(f"{b + t + shift:x}" for b in range(0, lanes, 2 * half) for t in range(half)) %>\
        ${x} = (${v})(${x}.${pick(0)}, ${y}.${pick(0)}) + (${v})(${x}.${pick(half)}, ${y}.${pick(half)});
% endfor
<% names, half = names[::2], half // 2 %>\
% endwhile
% for lane, (r, c) in enumerate(pairs[group * lanes : (group + 1) * lanes]):
        if (i + ${r} < m && j + ${c} < n) z[${r} * out_row + ${c} * out_column] = ${names[0]}.s${f"{lane:x}"};
% endfor
% endfor
% endif
    }
}
