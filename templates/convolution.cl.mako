## Convolutions from images with what surrounds them written out, `seen` (images, channels, phases, *extents): along an axis the elements of
## phase r are data[i * stride + r - pad], or 0 where that is outside. There, what a window sees at one offset at all places of a plane lies one
## after another, at `offsets` of the channel and the offset in the window: so a vector of places is one load, whatever stride and dilation are.
## Rows are `extent_x` apart, and the places past the last of a row are computed with the others and not stored.
##   seen       writes the images out; `spacing` - 1 zeros stand between their elements.
##   offsets    where channels and offsets begin in `seen`, and with `rows` the weights in blocks of so many filters, each (depth, rows).
##   sums       a tile of ${rows} filters by ${vectors} vectors of places, for each of a chunk of tiles.
##   planes     both at once, for a group of an image after the other: in a part of `seen` that each work-item has for itself; with `fold`, what
##              the window sees is not multiplied, but folded to its sum or its largest number.
##   weights_by_planes    the gradient, of small groups: images and numbers of a group are written out for an image after the other, as in `planes`.
##   weights    the gradient: a tile of ${rows} filters by ${vectors} weights for each of a chunk of tiles, over a share of the units: bands of planes.
## Every sum of a tile is a variable of its own, since an array would not stay in registers.
<%namespace name="common" file="common.cl.mako"/>\
<%
    v = f"{wide}{lanes}"
    halves = [lanes >> n for n in range(1, lanes.bit_length())]  # of a vector, down to one element
    short = lambda n: f"{wide}{n if n > 1 else ''}"
    taken = lambda n, at: f"vload_half{n if n > 1 else ''}(0, {at})" if storage == "half" else f"*(__global const {wide}{n}_anywhere *)({at})"
    outside = "-INFINITY" if fold == "max" else "0"
    pairs = [(r, c) for r in range(rows) for c in range(vectors)]
    axes = lambda words: ",\n    ".join(", ".join(f"const {index} {word}_{axis}" for axis in "zyx") for word in words.split())
%>\
${common.head({storage}, {wide}, fp64, contract=True)}\
${common.memory({storage, wide}, index, lanes)}\
% if part in ("seen", "sums", "planes", "weights_by_planes"):
${common.pieces(wide, lanes)}\
% endif
% if part in ("sums", "planes") and not apart:
${common.put_line(storage, wide, lanes)}
% endif
% if part in ("seen", "planes", "weights_by_planes"):
// The least number, not below 0, that times `by` is `n` or more.
inline ${index} steps_to(${index} n, ${index} by) { return n <= 0 ? 0 : by == 1 ? n : by == 2 ? (n + 1) / 2 : (n - 1) / by + 1; }

// Vectors, and at the end halves, quarters and so on of one: rows are often short.
inline void nothing(__global ${wide} *to, ${index} count)
{
    for (; count >= ${lanes}; count -= ${lanes}, to += ${lanes}) store_${wide}(to, ${outside}, ${lanes});
% for n in halves:
    if (count & ${n}) {
        *(__global ${wide}${n}_anywhere *)to = ${outside};
        to += ${n};
    }
% endfor
}
// Every element, or every second one.
inline void copy_line(__global ${wide} *to, __global const ${storage} *from, ${index} count, ${index} step)
{
    if (step == 1) {
        for (; count >= ${lanes}; count -= ${lanes}, to += ${lanes}, from += ${lanes}) store_${wide}(to, load_${storage}(from, ${lanes}), ${lanes});
% for n in halves:
        if (count & ${n}) {
            *(__global ${wide}${n}_anywhere *)to = ${taken(n, "from")};
            to += ${n};
            from += ${n};
        }
% endfor
    } else { // the last element that is loaded is the last one that is used
        for (; count >= ${lanes}; count -= ${lanes}, to += ${lanes}, from += ${2 * lanes}) {
            const ${v} a = load_${storage}(from, ${lanes}), b = load_${storage}(from + ${lanes - 1}, ${lanes});
            store_${wide}(to, (${v})(a.even, b.odd), ${lanes});
        }
% for n in halves:
        if (count & ${n}) {
% if n > 1:
            const ${short(n)} a = ${taken(n, "from")}, b = ${taken(n, f"(from + {n - 1})")};
            *(__global ${wide}${n}_anywhere *)to = (${short(n)})(a.even, b.odd);
% else:
            *to = ${taken(n, "from")};
% endif
            to += ${n};
            from += ${2 * n};
        }
% endfor
    }
}
% endif
% if part in ("weights", "weights_by_planes"):
inline ${wide} total_of(${v} x${lanes})
{
% for n in (n for n in (16, 8, 4) if n <= lanes):
    const ${wide}${n // 2} x${n // 2} = x${n}.lo + x${n}.hi;
% endfor
    return x2.x + x2.y;
}
% endif


## Write a row of an image out: `row`, from its axes' positions (channel or plane, phases, elements) k0 to k5.
<%def name="write_row(first)">\
        const ${index} z_at = k4 * stride_z + k1 - pad_z, y_at = k5 * stride_y + k2 - pad_y, shift = k3 - pad_x;
% if spaced:
        const ${index} z_in = z_at / spacing_z, y_in = y_at / spacing_y, wide = (size_x - 1) * spacing_x + 1;
        const int inside = z_at >= 0 && z_in < size_z && z_in * spacing_z == z_at && y_at >= 0 && y_in < size_y && y_in * spacing_y == y_at;
% else:
        const ${index} z_in = z_at, y_in = y_at, wide = size_x;
        const int inside = z_at >= 0 && z_at < size_z && y_at >= 0 && y_at < size_y;
% endif
        // Elements i with 0 <= i * stride_x + shift < wide are those of the image.
        const ${index} from = inside ? min(extent_x, steps_to(-shift, stride_x)) : extent_x;
        const ${index} to = max(from, min(extent_x, steps_to(wide - shift, stride_x)));
        __global const ${storage} *line = data + start + ((${first} * size_z + z_in) * size_y + y_in) * size_x;
% if spaced:
        nothing(row, extent_x);
        for (${index} j = (from + shift + spacing_x - 1) / spacing_x; j * spacing_x - shift < to; j++) row[j * spacing_x - shift] = get_${storage}(line, j);
% else:
        nothing(row, from);
        if (stride_x <= 2)
            copy_line(row + from, line + from * stride_x + shift, to - from, stride_x);
        else
            for (${index} i = from; i < to; i++) row[i] = get_${storage}(line, i * stride_x + shift);
        nothing(row + to, extent_x - to);
% endif
</%def>

<%def name="plane_vectors()">\
% if apart:
    const ${index} per_row = (places_x + ${lanes - 1}) / ${lanes}, vectors = per_row * places_y;
% else:
    // The last vector ends with the last place, and what it has in common with the one before is computed twice.
    const ${index} whole = (places_y - 1) * pitch + places_x, vectors = (whole + ${lanes - 1}) / ${lanes};
    const ${index} last_at = max((${index})0, whole - ${lanes}), last_y = last_at / pitch, last_left = last_at - last_y * pitch;
% endif
</%def>

## The tile of sums of places, stored from `to` on: filters from `filter` on with the weights `w`, vectors of places from `begin` on of the plane `x`.
## With `apart` no vector goes past the end of a row: the last one of a row begins earlier, and what it has in common with the one before is
## computed twice. Else vectors lie one after another in what is written out.
<%def name="one_tile()">\
% if apart:
        ${index} y = begin / per_row, left = (begin - y * per_row) * ${lanes};
% else:
        ${index} y = begin * ${lanes} / pitch, left = begin * ${lanes} - y * pitch;
% endif
% for c in range(vectors):
% if apart:
        const ${index} y${c} = min(y, places_y - 1), left${c} = min(left, places_x - ${lanes}), at${c} = y${c} * pitch + left${c};
        left += ${lanes};
        if (left >= per_row * ${lanes}) { left = 0; y++; }
% else:
        ${index} y${c} = y, left${c} = left, at${c} = (begin + ${c}) * ${lanes};
        if (at${c} > last_at) {
            y${c} = begin + ${c} < vectors ? last_y : places_y;
            left${c} = last_left;
            at${c} = last_at;
        }
        left += ${lanes};
        while (left >= pitch) { left -= pitch; y++; }
% endif
% endfor
% for r in range(rows):
        ${v} ${", ".join(f"sum{r}_{c}" for c in range(vectors))};
        ${" = ".join(f"sum{r}_{c}" for c in range(vectors))} = ${outside if fold else f"(({v})(get_{storage}(bias, group * filters + min(filter + {r}, filters - 1))))" if biased else "0"};
% endfor
        for (${index} k = 0; k < depth; k++) {
            __global const ${wide} *line = x + offsets[k];
% for c in range(vectors):
            const ${v} x${c} = *(__global const ${v}_anywhere *)(line + at${c});
% endfor
% if fold:
% for c in range(vectors):
            sum0_${c} = ${{"sum": f"sum0_{c} + x{c}", "max": f"((x{c} > sum0_{c}) | (x{c} != x{c})) ? x{c} : sum0_{c}"}[fold]};
% endfor
        }
% else:
% for r in range(rows):
            {
                const ${v} element = (${v})(w[${r}]);
% for c in range(vectors):
                sum${r}_${c} += element * x${c};
% endfor
            }
% endfor
            w += ${rows};
        }
% endif
% for c in range(vectors):
% if apart:
% for r in range(rows):
        if (filter + ${r} < filters) {
            __global ${storage} *at = to + ${r} * filter_step + y${c} * step_y + left${c} * step_x;
            if (step_x == 1)
                store_${storage}(at, sum${r}_${c}, ${lanes});
            else { // 2: between elements that are another phase's
                ${v} mixed = load_${storage}(at, ${lanes});
                mixed.even = sum${r}_${c}.lo;
                store_${storage}(at, mixed, ${lanes});
                at += ${lanes - 1};
                mixed = load_${storage}(at, ${lanes});
                mixed.odd = sum${r}_${c}.hi;
                store_${storage}(at, mixed, ${lanes});
            }
        }
% endfor
% else:
        if (left${c} + ${lanes} <= places_x && y${c} < places_y && step_x == 1) {
% for r in range(rows):
            if (filter + ${r} < filters) store_${storage}(to + ${r} * filter_step + y${c} * step_y + left${c}, sum${r}_${c}, ${lanes});
% endfor
        } else {
            ${v} sums[${rows}];
% for r in range(rows):
            sums[${r}] = sum${r}_${c};
% endfor
            ${index} row = y${c}, column = left${c};
            for (int lane = 0; lane < ${lanes} && row < places_y; lane += pitch - column, column = 0, row++) {
                const int count = (int)min(places_x - column, (${index})(${lanes} - lane));
                for (int r = 0; r < min(${rows}, (int)(filters - filter)) && count > 0; r++) {
                    __global ${storage} *at = to + r * filter_step + row * step_y + column * step_x;
                    const ${wide} *line = (const ${wide} *)(sums + r) + lane;
                    if (step_x == 1)
                        put_line(at, line, count);
                    else
                        for (int i = 0; i < count; i++) put_${storage}(at, i * step_x, line[i]);
                }
            }
        }
% endif
% endfor
</%def>

## The products of a tile at `count` places of a plane, which filters' numbers y0, ... and offsets' elements x0, ... begin at.
<%def name="add_products()">\
                for (${index} i = 0; i < count; i += ${lanes}) {
% for r in range(rows):
                    const ${v} b${r} = *(__global const ${v}_anywhere *)(y${r} + i);
% endfor
% for c in range(vectors):
                    {
                        const ${v} a = *(__global const ${v}_anywhere *)(x${c} + i);
% for r in range(rows):
                        sum${r}_${c} += a * b${r};
% endfor
                    }
% endfor
                }
</%def>

## Store a tile's sums, or add them to those of `out`.
<%def name="put_totals(first)">\
            __global ${wide} *z = out + (group * filters + filter) * depth + k;
% for r, c in pairs:
            if (filter + ${r} < filters && k + ${c} < depth) {
                const ${wide} total = total_of(sum${r}_${c});
                z[${r} * depth + ${c}] = ${first} ? total : z[${r} * depth + ${c}] + total;
            }
% endfor
</%def>

% if part == "seen":
__kernel void ${name}(
    __global ${wide} *restrict seen, __global const ${storage} *restrict data, const ${index} start, const ${index} planes,
    ${axes("size spacing stride phases extent pad")},
    const ${index} slack)
{
    const ${index} n0 = planes, n1 = phases_z, n2 = phases_y, n3 = phases_x, n4 = extent_z, n5 = extent_y;
${common.each_place(6, index, "cpu")}\
        __global ${wide} *row = seen + at * extent_x;
${write_row("k0")}\
        if (at == n - 1)
            for (${index} more = 0; more < slack; more++) row[extent_x + more] = 0;
${common.next_place(6, "cpu")}\
    }
}
% elif part == "offsets":
__kernel void ${name}(
    __global ${index} *restrict offsets,
% if rows:
    __global ${wide} *restrict packed, __global const ${storage} *restrict weight, const ${index} start,
    const ${index} groups, const ${index} filters, const ${index} group_step, const ${index} filter_step, const ${index} channel_step,
    ${axes("step")},
% endif
    const ${index} channels, const ${index} channel_size,
    ${axes("window stride dilate phases extent")})
{
% if rows:
    const ${index} blocks = (filters + ${rows - 1}) / ${rows}, n0 = groups * blocks;
% else:
    const ${index} n0 = 1;
% endif
    const ${index} n1 = channels, n2 = window_z, n3 = window_y, n4 = window_x, depth = n1 * n2 * n3 * n4;
${common.each_place(5, index, "cpu")}\
        if (at < depth) {
            const ${index} z = k2 * dilate_z, y = k3 * dilate_y, x = k4 * dilate_x;
            const ${index} phase = (z % stride_z * phases_y + y % stride_y) * phases_x + x % stride_x;
            offsets[at] = k1 * channel_size + ((phase * extent_z + z / stride_z) * extent_y + y / stride_y) * extent_x + x / stride_x;
        }
% if rows:
        const ${index} group = k0 / blocks, filter = k0 % blocks * ${rows};
        const ${index} from = start + group * group_step + k1 * channel_step + k2 * step_z + k3 * step_y + k4 * step_x;
        for (int r = 0; r < ${rows}; r++)
            packed[at * ${rows} + r] = filter + r < filters ? get_${storage}(weight, from + (filter + r) * filter_step) : (${wide})0;
% endif
${common.next_place(5, "cpu")}\
    }
}
% elif part == "sums":
__kernel void ${name}(
    __global ${storage} *out, __global const ${wide} *restrict seen, const ${index} seen_start,
    __global const ${index} *restrict offsets, __global const ${wide} *restrict packed,
% if biased:
    __global const ${storage} *restrict bias_data, const ${index} bias_start,
% endif
    const ${index} chunk, const ${index} weights_stay, const ${index} images, const ${index} groups, const ${index} filters, const ${index} depth,
    ${axes("places")}, const ${index} pitch, const ${index} image_size, const ${index} group_size, const ${index} plane_size,
    const ${index} start, const ${index} image_step, const ${index} filter_step, ${axes("step")})
{
% if biased:
    __global const ${storage} *bias = bias_data + bias_start;
% endif
${plane_vectors()}\
    const ${index} blocks = (filters + ${rows - 1}) / ${rows}, across = (vectors - 1) / ${vectors} + 1;
    const ${index} tiles = images * places_z * groups * blocks * across;
    const ${index} first = get_global_id(0) * chunk, last = min(tiles, first + chunk);
    // Neighbouring tiles see the same, or where weights are many have the same weights, which then come from the cache.
    ${index} block, place, group, z, image;
    {
        const ${index} run = first / (weights_stay ? across : blocks), inner = first - run * (weights_stay ? across : blocks);
        const ${index} rest = run / (weights_stay ? images * places_z : across), middle = run - rest * (weights_stay ? images * places_z : across);
        const ${index} plane = weights_stay ? middle : rest / groups;
        block = weights_stay ? rest % blocks : inner;
        place = weights_stay ? inner : middle;
        group = weights_stay ? rest / blocks : rest % groups;
        image = plane / places_z;
        z = plane - image * places_z;
    }
    for (${index} number = first; number < last; number++) {
        const ${index} begin = place * ${vectors}, filter = block * ${rows};
        __global const ${wide} *x = seen + seen_start + image * image_size + group * group_size + z * plane_size;
        __global const ${wide} *w = packed + (group * blocks + block) * depth * ${rows};
        __global ${storage} *to = out + start + image * image_step + (group * filters + filter) * filter_step + z * step_z;
${one_tile()}\
        if (weights_stay) {
            if (++place < across) continue;
            place = 0;
            if (++z < places_z) continue;
            z = 0;
            if (++image < images) continue;
            image = 0;
            if (++block < blocks) continue;
            block = 0;
            group++;
        } else {
            if (++block < blocks) continue;
            block = 0;
            if (++place < across) continue;
            place = 0;
            if (++group < groups) continue;
            group = 0;
            if (++z < places_z) continue;
            z = 0;
            image++;
        }
    }
}
% elif part == "planes":
__kernel void ${name}(
    __global ${storage} *out, __global ${wide} *seen, __global const ${storage} *restrict data, const ${index} start,
    __global const ${index} *restrict offsets,
% if not fold:
    __global const ${wide} *restrict packed,
% endif
% if biased:
    __global const ${storage} *restrict bias_data, const ${index} bias_start,
% endif
    ${axes("size spacing stride phases extent pad")},
    const ${index} room, const ${index} seen_start, const ${index} images, const ${index} groups, const ${index} channels, const ${index} filters, const ${index} depth,
    ${axes("places")}, const ${index} pitch, const ${index} first_place, const ${index} image_step, const ${index} filter_step, ${axes("step")})
{
% if biased:
    __global const ${storage} *bias = bias_data + bias_start;
% endif
${plane_vectors()}\
    const ${index} blocks = (filters + ${rows - 1}) / ${rows}, units = images * groups;
    const ${index} chunk = (units + get_global_size(0) - 1) / get_global_size(0);
    const ${index} begin_unit = get_global_id(0) * chunk, end_unit = min(units, begin_unit + chunk);
    const ${index} n1 = phases_z, n2 = phases_y, n3 = phases_x, n4 = extent_z, n5 = extent_y;
    seen += get_global_id(0) * room;
    for (${index} unit = begin_unit; unit < end_unit; unit++) {
        const ${index} image = unit / groups, group = unit - image * groups;
        __global ${wide} *row = seen;
        for (${index} k0 = unit * channels; k0 < (unit + 1) * channels; k0++)
        for (${index} k1 = 0; k1 < n1; k1++) for (${index} k2 = 0; k2 < n2; k2++) for (${index} k3 = 0; k3 < n3; k3++)
        for (${index} k4 = 0; k4 < n4; k4++) for (${index} k5 = 0; k5 < n5; k5++) {
${write_row("k0")}\
            row += extent_x;
        }
        for (${index} z = 0; z < places_z; z++)
        for (${index} begin = 0; begin < vectors; begin += ${vectors})
        for (${index} block = 0; block < blocks; block++) {
            const ${index} filter = block * ${rows};
            __global const ${wide} *x = seen + seen_start + z * extent_y * extent_x;
% if not fold:
            __global const ${wide} *w = packed + (group * blocks + block) * depth * ${rows};
% endif
            __global ${storage} *to = out + first_place + image * image_step + (group * filters + filter) * filter_step + z * step_z;
${one_tile()}\
        }
    }
}
% elif part == "weights_by_planes":
__kernel void ${name}(
    __global ${wide} *restrict out, __global ${wide} *scratch, __global const ${storage} *restrict data, const ${index} start,
    __global const ${storage} *restrict numbers, const ${index} numbers_start, __global const ${index} *restrict offsets,
    ${axes("size stride phases extent pad places")},
    const ${index} room, const ${index} slack, const ${index} more, const ${index} ranges, const ${index} share, const ${index} images,
    const ${index} groups, const ${index} channels, const ${index} filters, const ${index} depth)
{
    const ${index} chunk = (groups + ranges - 1) / ranges, first_group = get_global_id(0) % ranges * chunk;
    const ${index} first = get_global_id(0) / ranges * share, last = min(images, first + share);
    const ${index} n1 = phases_z, n2 = phases_y, n3 = phases_x, n4 = extent_z, n5 = extent_y, count = places_y * extent_x;
    out += get_global_id(0) / ranges * groups * filters * depth;
    scratch += get_global_id(0) * room;
    for (${index} group = first_group; group < min(groups, first_group + chunk); group++)
        for (${index} image = first; image < last; image++) {
            const ${index} unit = image * groups + group;
            __global ${wide} *row = scratch;
            for (${index} k0 = unit * channels; k0 < (unit + 1) * channels; k0++)
            for (${index} k1 = 0; k1 < n1; k1++) for (${index} k2 = 0; k2 < n2; k2++) for (${index} k3 = 0; k3 < n3; k3++)
            for (${index} k4 = 0; k4 < n4; k4++) for (${index} k5 = 0; k5 < n5; k5++) {
${write_row("k0")}\
                row += extent_x;
            }
            nothing(row, slack);
            row += slack;
            __global const ${wide} *there = row;
            for (${index} plane = unit * filters * places_z; plane < (unit + 1) * filters * places_z; plane++) {
                for (${index} i = 0; i < places_y; i++, row += extent_x) {
                    copy_line(row, numbers + numbers_start + (plane * places_y + i) * places_x, places_x, 1);
                    nothing(row + places_x, extent_x - places_x);
                }
                nothing(row, more * extent_x);
                row += more * extent_x;
            }
            for (${index} filter = 0; filter < filters; filter += ${rows})
                for (${index} k = 0; k < depth; k += ${vectors}) {
                    ${v} ${", ".join(f"sum{r}_{c} = 0" for r, c in pairs)};
                    for (${index} z = 0; z < places_z; z++) {
                        __global const ${wide} *x = scratch + z * extent_y * extent_x, *y = there + z * (places_y + more) * extent_x;
% for r in range(rows):
                        __global const ${wide} *y${r} = y + min(filter + ${r}, filters - 1) * places_z * (places_y + more) * extent_x;
% endfor
% for c in range(vectors):
                        __global const ${wide} *x${c} = x + offsets[min(k + ${c}, depth - 1)];
% endfor
${add_products()}\
                    }
${put_totals("image == first")}\
                }
        }
}
% else:
__kernel void ${name}(
    __global ${wide} *restrict out, __global const ${wide} *restrict seen, const ${index} seen_start,
    __global const ${wide} *restrict numbers, const ${index} numbers_start,
    __global const ${index} *restrict offsets,
    const ${index} ranges, const ${index} images, const ${index} shares, const ${index} together,
    const ${index} groups, const ${index} filters, const ${index} depth, const ${index} planes, const ${index} bands, const ${index} band,
    const ${index} plane_size, const ${index} image_size, const ${index} group_size, const ${index} seen_plane,
    const ${index} numbers_plane)
{
    const ${index} down = (filters + ${rows - 1}) / ${rows}, across = (depth + ${vectors - 1}) / ${vectors}, tiles = groups * down * across;
    const ${index} chunk = (tiles + ranges - 1) / ranges, share = get_global_id(0) / ranges;
    const ${index} first = get_global_id(0) % ranges * chunk, last = min(tiles, first + chunk);
    const ${index} units = images * planes * bands, part = (units + shares - 1) / shares;
    const ${index} begin = min(units, share * part), end = min(units, begin + part);
    out += share * groups * filters * depth;
    // A few units together, for which the numbers of a tile's filters stay in the cache.
    for (${index} from = begin; from < end || from == begin; from += together)
        for (${index} number = first; number < last; number++) {
            const ${index} k = number % across * ${vectors}, filter = number / across % down * ${rows}, group = number / (across * down);
% for c in range(vectors):
            const ${index} offset${c} = offsets[min(k + ${c}, depth - 1)];
% endfor
            ${v} ${", ".join(f"sum{r}_{c} = 0" for r, c in pairs)};
            for (${index} unit = from; unit < min(end, from + together); unit++) {
                const ${index} start = unit % bands * band, plane = unit / bands % planes, image = unit / (bands * planes);
                __global const ${wide} *x = seen + seen_start + image * image_size + group * group_size + plane * seen_plane + start;
                __global const ${wide} *y = numbers + numbers_start + ((image * groups + group) * filters * planes + plane) * numbers_plane + start;
% for r in range(rows):
                __global const ${wide} *y${r} = y + min(filter + ${r}, filters - 1) * planes * numbers_plane;
% endfor
% for c in range(vectors):
                __global const ${wide} *x${c} = x + offset${c};
% endfor
                const ${index} count = min(band, plane_size - start);
${add_products()}\
            }
${put_totals("from == begin")}\
        }
}
% endif
