## Pieces of Fourier transforms of many lines of n complex numbers, each its real and its imaginary part.
##     "roots"     out[j] = exp(sign * 2 pi i * j / n), for j < size; with `chirp` exp(sign * pi i * j * j / n), and where size is larger
##                 than n, of j = 0 to n - 1 from the left, of 1 to n - 1 from the right, and zeros between
##     "pass"      a step of Stockham's algorithm: lines of transforms of length `done` become those of length `done * radix`
##     "lines"     whole transforms of as many lines at a time as a vector has elements; lines of n real numbers with `real`
##     "product"   out[j] = x[j] * y[j] * scale for j < size, where x has zeros after its n numbers
<%namespace name="common" file="common.cl.mako"/>\
${common.head({storage}, {storage}, fp64, contract=step == "lines")}\
<% pair, v = f"{storage}2", common.module.vector(storage, lanes) %>\
% if step == "lines":
${common.memory({storage}, "long", lanes)}\
${common.tiles(storage, "long", lanes)}\
% endif

inline ${pair} times(const ${pair} a, const ${pair} b)
{
    return (${pair})(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

% if step == "roots":
__kernel void ${name}(__global ${pair} *out, const long n, const long size, const long sign)
{
${common.each_position("at", "size", "long", schedule)} {
% if chirp:
        const long j = size > n ? min(at, size - at) : at, whole = 2 * n;
        if (j >= n) {
            out[at] = 0;
            continue;
        }
        const long turn = (ulong)j * (ulong)j % (ulong)whole;
% else:
        const long turn = at, whole = n;
% endif
        // The nearest quarter of a turn is exact, and the rest small, so that it is hardly rounded.
        const long quarter = (4 * turn + whole / 2) / whole;
        const ${storage} rest = (${storage})(4 * turn - quarter * whole) / (${storage})(2 * whole);
        const ${storage} c = cospi(rest), s = sinpi(rest);
        const ${pair} found = quarter & 1 ? (${pair})(-s, c) : (${pair})(c, s);
        out[at] = (quarter & 2 ? -found : found) * (${pair})(1, sign);
    }
}
% elif step == "pass":
__kernel void ${name}(
    __global ${pair} *out, __global const ${pair} *data, const long start, __global const ${pair} *roots, const long lines, const long n, const long done, const long radix)
{
    const long size = lines * n, many = n / (done * radix), length = done * radix;
${common.each_position("at", "size", "long", schedule)} {
        const long p = at % length, q = at / length % many, line = at / n;
        __global const ${pair} *given = data + start + line * n + q * done + p % done;
        const long turn = p * many;  // in nths
        ${pair} sum = given[0];
        for (long u = 1, root = turn; u < radix; u++) {
            sum += times(given[u * many * done], roots[root]);
            root += turn;
            if (root >= n) root -= n;
        }
        out[at] = sum;
    }
}
% elif step == "lines":
## Stockham's algorithm in two planes of `scratch`, which are a work-item's own: a vector holds the same part of a number of all lines.
__kernel void ${name}(
    __global ${storage} *out, __global const ${storage} *data, const long start, __global const ${pair} *roots,
    __global ${storage} *scratch, const long lines, const long n, const ${storage} sign)
{
    const long blocks = (lines + ${lanes - 1}) / ${lanes}, share = (blocks + get_global_size(0) - 1) / get_global_size(0);
    const long begin = min(blocks, (long)get_global_id(0) * share), end = min(blocks, begin + share);
    __global ${v} *from = (__global ${v} *)(scratch + get_global_id(0) * 4 * n * ${lanes}), *to = from + 2 * n;
    ${v} tile[${lanes}];
    for (long block = begin; block < end; block++) {
        const int many_lines = (int)min((long)${lanes}, lines - block * ${lanes});
        const long width = ${"n" if real else "2 * n"};
        for (long j = 0; j < width; j += ${lanes}) {
            const int height = (int)min((long)${lanes}, width - j);
            load_tile_${storage}(data + start + block * ${lanes} * width + j, width, many_lines, height, tile);
            for (int i = 0; i < height; i++) {
% if real:
                from[2 * (j + i)] = tile[i];
                from[2 * (j + i) + 1] = 0;
% else:
                from[j + i] = tile[i];
% endif
            }
        }
        long radix = 4;
        for (long done = 1; done < n; done *= radix) {
            const long rest = n / done;
            if (radix == 4 && rest % 4 != 0) radix = 2;
            while (rest % radix != 0) radix++;
            const long many = rest / radix, apart = 2 * many * done;
            for (long q = 0; q < many; q++) {
                __global const ${v} *x = from + 2 * q * done;
                __global ${v} *y = to + 2 * q * done * radix;
                if (radix == 4) {
                    for (long p = 0; p < done; p++, x += 2, y += 2) {
% for u in range(1, 4):
                        const ${pair} w${u} = roots[${u} * p * many];
                        const ${v} r${u} = x[${u} * apart] * w${u}.x - x[${u} * apart + 1] * w${u}.y, i${u} = x[${u} * apart] * w${u}.y + x[${u} * apart + 1] * w${u}.x;
% endfor
                        const ${v} even_r = x[0] + r2, even_i = x[1] + i2, odd_r = x[0] - r2, odd_i = x[1] - i2;
                        const ${v} sum_r = r1 + r3, sum_i = i1 + i3, turned_r = (i3 - i1) * sign, turned_i = (r1 - r3) * sign;
                        y[0] = even_r + sum_r;
                        y[1] = even_i + sum_i;
                        y[2 * done] = odd_r + turned_r;
                        y[2 * done + 1] = odd_i + turned_i;
                        y[4 * done] = even_r - sum_r;
                        y[4 * done + 1] = even_i - sum_i;
                        y[6 * done] = odd_r - turned_r;
                        y[6 * done + 1] = odd_i - turned_i;
                    }
                } else {
                    for (long p = 0; p < done * radix; p++, y += 2) {
                        __global const ${v} *given = x + 2 * (p % done);
                        const long turn = p * many;
                        ${v} sum_r = given[0], sum_i = given[1];
                        for (long u = 1, root = turn; u < radix; u++) {
                            const ${pair} w = roots[root];
                            const ${v} r = given[u * apart], i = given[u * apart + 1];
                            sum_r += r * w.x - i * w.y;
                            sum_i += r * w.y + i * w.x;
                            root += turn;
                            if (root >= n) root -= n;
                        }
                        y[0] = sum_r;
                        y[1] = sum_i;
                    }
                }
            }
            __global ${v} *swapped = from;
            from = to;
            to = swapped;
        }
        for (long j = 0; j < 2 * n; j += ${lanes}) {
            const int count = (int)min((long)${lanes}, 2 * n - j);
            load_tile_${storage}((__global const ${storage} *)(from + j), ${lanes}, count, ${lanes}, tile);
            for (int i = 0; i < many_lines; i++) store_${storage}(out + (block * ${lanes} + i) * 2 * n + j, tile[i], count);
        }
    }
}
% else:
__kernel void ${name}(
    __global ${pair} *out,
    __global const ${pair} *x,
    const long start,
    __global const ${pair} *y,
    const long lines,
    const long n,
    const long stride,
    const long size,
    const ${storage} scale)
{
    const long all = lines * size;
${common.each_position("at", "all", "long", schedule)} {
        const long j = at % size, line = at / size;
        out[at] = j < n ? times(x[start + line * stride + j], y[j]) * scale : (${pair})(0, 0);
    }
}
% endif
