## Pieces of Fourier transforms of many lines of n complex numbers, each its real and its imaginary part.
##     "roots"     out[j] = exp(sign * 2 pi i * j / n), for j < size; with `chirp` exp(sign * pi i * j * j / n), and where size is larger
##                 than n, of j = 0 to n - 1 from the left, of 1 to n - 1 from the right, and zeros between
##     "pass"      a step of Stockham's algorithm: lines of transforms of length `done` become those of length `done * radix`
##     "product"   out[j] = x[j] * y[j] * scale for j < size, where x has zeros after its n numbers
<%namespace name="common" file="common.cl.mako"/>\
${common.head({storage}, {storage}, fp64)}\
<% pair = f"{storage}2" %>\

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
