## Two images compared at displacements: out[n, d, i, j] is the mean, over the channels c and a window of `kernel_size` squared around (i, j), of
##     first[n, c, p] * second[n, c, p + d], or abs(first - second) with `absolute`.
## Beside the value ("value") there are its derivatives: "back" is the gradient of an element of `first` or `second` (`of`), given that of `out`;
## "along" is how `out` changes with `first` or `second` where these change by `change` (which only `absolute` needs: a product is linear in each).
## What lies outside of an image is zero. A launch does `lower` to `upper` of the outermost sum, and adds to what the one before left.
<%namespace name="common" file="common.cl.mako"/>\
<%
    given = {"value": ["first", "second"], "back": ["dz", "first", "second"], "along": ["change", "first", "second"]}[step]
    slope = "(a >= b ? 1 : -1)" if of == "first" else "(a >= b ? -1 : 1)"
%>\
${common.head({storage}, {storage}, fp64)}\

inline ${storage} element(__global const ${storage} *plane, const long y, const long x, const long rows, const long columns)
{
    return y >= 0 && y < rows && x >= 0 && x < columns ? plane[y * columns + x] : 0;
}

__kernel void ${name}(
    __global ${storage} *out,
% for source in given:
    __global const ${storage} *${source}, const long ${source}_start,
% endfor
    const long images,
    const long channels,
    const long rows,
    const long columns,
    const long height,
    const long width,
    const long kernel_size,
    const long max_displacement,
    const long stride1,
    const long stride2,
    const long pad_size,
    const long lower,
    const long upper)
{
    const long radius = max_displacement / stride2, across = 2 * radius + 1, displacements = across * across;
    const ${storage} count = kernel_size * kernel_size * channels;
    const long border = max_displacement - pad_size;  // from the window of an output to its number times stride1
% if step != "back":
    const long size = images * displacements * height * width;
${common.each_position("at", "size", "long", schedule)} {
        const long j = at % width, i = at / width % height, d = at / (width * height) % displacements, n = at / (width * height * displacements);
        const long right = (d % across - radius) * stride2, down = (d / across - radius) * stride2;
        ${storage} sum = 0;
        for (long c = lower; c < upper; c++) {
            const long plane = (n * channels + c) * rows * columns;
            for (long v = 0; v < kernel_size; v++)
                for (long u = 0; u < kernel_size; u++) {
                    const long y = i * stride1 + border + v, x = j * stride1 + border + u;
                    const ${storage} a = element(first + first_start + plane, y, x, rows, columns);
                    const ${storage} b = element(second + second_start + plane, y + down, x + right, rows, columns);
% if step == "value":
                    sum += ${"fabs(a - b)" if absolute else "a * b"};
% elif of == "first":
                    sum += element(change + change_start + plane, y, x, rows, columns) * ${slope};
% else:
                    sum += element(change + change_start + plane, y + down, x + right, rows, columns) * ${slope};
% endif
                }
        }
        out[at] = (lower ? out[at] : 0) + sum / count;
    }
% else:
    const long size = images * channels * rows * columns;
${common.each_position("at", "size", "long", schedule)} {
        const long x = at % columns, y = at / columns % rows, n = at / (columns * rows * channels), plane = at - y * columns - x;
        ${storage} sum = 0;
        for (long d = lower; d < upper; d++) {
            const long right = (d % across - radius) * stride2, down = (d / across - radius) * stride2;
% if of == "first":
            const long top = y, left = x;  // where `first` is read
            const ${storage} a = first[first_start + at], b = element(second + second_start + plane, y + down, x + right, rows, columns);
% else:
            const long top = y - down, left = x - right;
            const ${storage} a = element(first + first_start + plane, top, left, rows, columns), b = second[second_start + at];
% endif
            ${storage} share = 0;
            for (long v = 0; v < kernel_size; v++)
                for (long u = 0; u < kernel_size; u++) {
                    const long above = top - border - v, before = left - border - u, i = above / stride1, j = before / stride1;
                    if (above >= 0 && before >= 0 && i * stride1 == above && j * stride1 == before && i < height && j < width)
                        share += dz[dz_start + ((n * displacements + d) * height + i) * width + j];
                }
% if absolute:
            sum += share * ${slope};
% else:
            sum += share * ${"b" if of == "first" else "a"};
% endif
        }
        out[at] = (lower ? out[at] : 0) + sum / count;
    }
% endif
}
