## Pieces that the templates share: types, loads and stores of a run of elements, walks over axes.

<%!
    def vector(kind, lanes):
        """The type of `lanes` elements."""
        return kind if lanes == 1 else f"{kind}{lanes}"

    # Before the loops of short runs, of which compilers would make code of vectors, which is never worth what that takes.
    SHORT = "#pragma clang loop vectorize(disable) unroll(disable)"
    # Before loops of sums, of which Intel's compiler would make several sums, in another order than those of vectors.
    IN_ORDER = "#pragma clang loop vectorize(disable)"
    sizes = {"half": 2, "float": 4, "double": 8, "char": 1, "uchar": 1, "short": 2, "ushort": 2, "int": 4, "uint": 4, "long": 8, "ulong": 8}

    def offset(coordinates, strides, dims):
        """How far coordinates are from an array's start: k0 * a_v0 + k1 * a_v1."""
        return " + ".join(f"{coordinates}{i} * {strides}{i}" for i in range(dims)) or "0"

    def per_axis(text, dims):
        """The text for each axis, with its number in place of #."""
        return [text.replace("#", str(i)) for i in range(dims)]

    def parameters(access, qualifier, index, axes):
        """An array's kernel parameters: data, start, and strides for each kind of axis."""
        strides = [f"const {index} {access.name}_{axis}{i}" for axis, dims in axes for i in range(dims)]
        return [f"__global {qualifier}{access.storage} *{access.name}_data", f"const {index} {access.name}_start", *strides]
%>\
## What every kernel begins with. Rounding stays as written: fused and unfused kernels give the same bits.
<%def name="head(storages, computes, fp64, contract=False)">\
% if "double" in storages or "double" in computes:
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
% endif
% if not contract:
#pragma OPENCL FP_CONTRACT OFF
% endif
</%def>

## Rounding to half and back: every operator on float16 computes in float and rounds its result once.
<%def name="rounding(lanes, fp64)">\
<% n = "" if lanes == 1 else lanes %>\
inline float${n} round_half_float${n}(float${n} x)
{
    ushort${n} bits;
    vstore_half${n}_rte(x, 0, (half *)&bits);
    return vload_half${n}(0, (const half *)&bits);
}
% if fp64:
inline float${n} round_half_double${n}(double${n} x)
{
    ushort${n} bits;
    vstore_half${n}_rte(x, 0, (half *)&bits);
    return vload_half${n}(0, (const half *)&bits);
}
% endif
</%def>

## Loads and stores of up to ${lanes} elements. A short run goes through the same vector, so that the code between sees one type.
## What is indexed by lane is a variable of its own here and below: a vector that is indexed anywhere lies in memory everywhere.
<%def name="memory(storages, index, lanes)">\
% for storage in sorted(storages):
<%
    compute = "float" if storage == "half" else storage
    v = compute if lanes == 1 else f"{compute}{lanes}"
    size = sizes[storage]
%>\
% if lanes == 1:
% if storage == "half":
#define get_half(p, i) vload_half(i, p)
#define put_half(p, i, x) vstore_half_rte(x, i, p)
% else:
#define get_${storage}(p, i) ((p)[i])
#define put_${storage}(p, i, x) ((p)[i] = (x))
% endif
% else:
% if storage == "half":
#define get_half(p, i) vload_half(i, p)
#define put_half(p, i, x) vstore_half_rte(x, i, p)
inline ${v} load_half(__global const half *p, int count)
{
    if (count >= ${lanes}) return vload_half${lanes}(0, p);
    ${v} v = 0;
    ${SHORT}
    for (int lane = 0; lane < count; lane++) ((float *)&v)[lane] = vload_half(lane, p);
    return v;
}
inline void store_half(__global half *p, ${v} v, int count)
{
    if (count >= ${lanes}) vstore_half${lanes}_rte(v, 0, p);
    else {
        const ${v} part = v;
        ${SHORT}
        for (int lane = 0; lane < count; lane++) vstore_half_rte(((const float *)&part)[lane], lane, p);
    }
}
% else:
// A vector at any element's address, aligned or not.
typedef ${v} ${v}_anywhere __attribute__((aligned(${size})));
#define get_${storage}(p, i) ((p)[i])
#define put_${storage}(p, i, x) ((p)[i] = (x))
inline ${v} load_${storage}(__global const ${storage} *p, int count)
{
    if (count >= ${lanes}) return *(__global const ${v}_anywhere *)p;
    ${v} v = 0;
    ${SHORT}
    for (int lane = 0; lane < count; lane++) ((${storage} *)&v)[lane] = p[lane];
    return v;
}
inline void store_${storage}(__global ${storage} *p, ${v} v, int count)
{
    if (count >= ${lanes}) *(__global ${v}_anywhere *)p = v;
    else {
        const ${v} part = v;
        ${SHORT}
        for (int lane = 0; lane < count; lane++) p[lane] = ((const ${storage} *)&part)[lane];
    }
}
% endif
% endif
% endfor
</%def>

## `x` in the lanes from `begin` to `end`, of which one is an end of the vector, and `other` in the rest. By bits: Mesa has choices by comparisons
## of some vectors wrong.
<%def name="between(kind, lanes)">\
<% T, bits = vector(kind, lanes), {"float": "int", "double": "long"}.get(kind, kind) %>\
typedef ${vector(bits, lanes)} bits_anywhere __attribute__((aligned(${sizes[bits]})));
__constant ${bits} LANES[${3 * lanes}] = {${", ".join(["0"] * lanes + ["-1"] * lanes + ["0"] * lanes)}};
inline ${T} between(${T} x, ${T} other, int begin, int end)
{
    const ${vector(bits, lanes)} inside = *(__constant const bits_anywhere *)(LANES + ${2 * lanes} - begin - end);
    return as_${T}((as_${vector(bits, lanes)}(x) & inside) | (as_${vector(bits, lanes)}(other) & ~inside));
}
</%def>

## Halves, quarters and so on of a vector of `lanes` elements at any element's address, down to one, for lines that are often short.
<%def name="pieces(kind, lanes)">\
% for n in (lanes >> i for i in range(1, lanes.bit_length())):
typedef ${vector(kind, n)} ${kind}${n}_anywhere __attribute__((aligned(${8 if kind == "double" else 4})));
% endfor
</%def>

## Store `count` numbers that a work-item has for itself.
<%def name="put_line(storage, wide, lanes)">\
inline void put_line(__global ${storage} *to, const ${wide} *line, int count)
{
    for (; count >= ${lanes}; count -= ${lanes}, to += ${lanes}, line += ${lanes}) store_${storage}(to, *(const ${wide}${lanes}_anywhere *)line, ${lanes});
% for n in (lanes >> i for i in range(1, lanes.bit_length())):
    if (count & ${n}) {
% if storage == "half":
        vstore_half${"" if n == 1 else n}_rte(*(const ${wide}${n}_anywhere *)line, 0, to);
% else:
        *(__global ${wide}${n}_anywhere *)to = *(const ${wide}${n}_anywhere *)line;
% endif
        to += ${n};
        line += ${n};
    }
% endfor
}
</%def>

## turn_tile: rows and columns of a tile of ${lanes} by ${lanes} elements exchanged. load_tile: such a tile, from vectors `stride` elements apart,
## of which `count` of `height` elements are there.
<%def name="tiles(storage, index, lanes)">\
<%
    v = vector(storage, lanes)
    size = sizes[storage]
    mask = vector({1: "uchar", 2: "ushort", 4: "uint", 8: "ulong"}[size], lanes)
    # Of a pair of vectors `step` apart: what becomes of the first one, and of the second one.
    first = lambda step: ", ".join(str(i - step + lanes if i & step else i) for i in range(lanes))
    second = lambda step: ", ".join(str(i + lanes if i & step else i + step) for i in range(lanes))
%>\
// Drivers make calls of shuffle2.
#ifdef __clang__
#define pick_${storage}(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
#define pick_${storage}(x, y, ...) shuffle2(x, y, (${mask})(__VA_ARGS__))
#endif
inline void turn_tile_${storage}(${v} *tile)
{
    ${v} swapped;
% for i in range(lanes):
    ${v} r${i} = tile[${i}];
% endfor
% for step in (1 << i for i in reversed(range(lanes.bit_length() - 1))):
% for i in range(lanes):
% if not i & step:
    swapped = pick_${storage}(r${i}, r${i + step}, ${first(step)});
    r${i + step} = pick_${storage}(r${i}, r${i + step}, ${second(step)});
    r${i} = swapped;
% endif
% endfor
% endfor
% for i in range(lanes):
    tile[${i}] = r${i};
% endfor
}
inline void load_tile_${storage}(__global const ${storage} *p, ${index} stride, int count, int height, ${v} *tile)
{
    if (count < ${lanes} || height < ${lanes}) {
        for (int line = 0; line < height; line++) tile[line] = 0;
        for (int lane = 0; lane < count; lane++)
            for (int line = 0; line < height; line++) ((${storage} *)(tile + line))[lane] = p[lane * stride + line];
        return;
    }
% for i in range(lanes):
    tile[${i}] = *(__global const ${v}_anywhere *)(p + ${i} * stride);
% endfor
    turn_tile_${storage}(tile);
}
</%def>

## Split a flat position into coordinates, last axis fastest.
<%def name="unravel(flat, coordinates, sizes, dims, index)">\
% if dims:
        ${index} ${", ".join(f"{coordinates}{i}" for i in range(dims))};
        {
            ${index} rest = ${flat};
% for i in reversed(range(1, dims)):
            ${coordinates}${i} = rest % ${sizes}${i};
            rest /= ${sizes}${i};
% endfor
            ${coordinates}0 = rest;
        }
% endif
</%def>

## Move coordinates `by` elements on.
<%def name="advance(coordinates, sizes, dims, by)">\
% if dims:
            ${coordinates}${dims - 1} += ${by};
% for i in reversed(range(1, dims)):
            while (${coordinates}${i} >= ${sizes}${i}) { ${coordinates}${i} -= ${sizes}${i}; ${coordinates}${i - 1}++; }
% endfor
% endif
</%def>

## A statement for each lane of a run that goes past the end of its row; `p` is how far the lane's element is from the array's start.
<%def name="each_lane(statement, name, start, dims, index)">\
<% last = dims - 1 %>\
                ${index} p = ${start} + ${offset("k", f"{name}_v", dims)}, ${", ".join(f"j{i} = k{i}" for i in range(1, dims)) or "j0 = k0"};
                for (int lane = 0; lane < count; lane++, p += ${name}_v${last}) {
                    ${statement};
% for i in reversed(range(1, dims)):
                    if (++j${i} == n${i}) {
                    j${i} = 0;
                    p += ${name}_v${i - 1} - n${i} * ${name}_v${i};
% endfor
                    ${"}" * last}
                }
</%def>

## Load the run at flat position `at` (coordinates k0, k1, ...) of the vector axes into the variable named as the array.
## `apart`: no run goes past the end of its row.
<%def name="load(a, at, dims, index, lanes, shift='', apart=False)">\
<%
    v = vector(a.compute, lanes)
    data, start, first = f"{a.name}_data", f"{a.name}_start{shift}", offset("k", f"{a.name}_v", dims)
%>\
% if a.kind == "crossed":
            const ${v} ${a.name} = ${a.name}_tile[line];
% elif a.kind == "same":
            const ${v} ${a.name} = (${v})(get_${a.storage}(${data}, ${start}));
% elif a.kind == "linear" and lanes == 1:
            const ${v} ${a.name} = get_${a.storage}(${data}, ${start} + ${at});
% elif a.kind == "linear":
            const ${v} ${a.name} = load_${a.storage}(${data} + ${start} + ${at}, count);
% elif lanes == 1:
            const ${v} ${a.name} = get_${a.storage}(${data}, ${start} + ${first});
% else:
            ${v} ${a.name};
            ${"" if apart else "if (in_row) "}{
                const ${index} first = ${start} + ${first};
% if a.kind == "row":
                ${a.name} = load_${a.storage}(${data} + first, count);
% elif a.kind == "repeat":
                ${a.name} = (${v})(get_${a.storage}(${data}, first));
% else:
                ${v} part = 0;
                for (int lane = 0; lane < count; lane++)
                    ((${a.compute} *)&part)[lane] = get_${a.storage}(${data}, first + lane * ${a.name}_v${dims - 1});
                ${a.name} = part;
% endif
            }
% if not apart:
            else {
                ${v} part = 0;
${each_lane(f"(({a.compute} *)&part)[lane] = get_{a.storage}({data}, p)", a.name, start, dims, index)}\
                ${a.name} = part;
            }
% endif
% endif
</%def>

## Store the variable `value` as the run at flat position `at`.
<%def name="store(z, value, at, dims, index, lanes, shift='', apart=False)">\
<%
    data, start, first = f"{z.name}_data", f"{z.name}_start{shift}", offset("k", f"{z.name}_v", dims)
%>\
% if z.kind in ("linear", "same") and lanes == 1:
            put_${z.storage}(${data}, ${start} + ${at}, ${value});
% elif z.kind in ("linear", "same"):
            store_${z.storage}(${data} + ${start} + ${at}, ${value}, count);
% elif lanes == 1:
            put_${z.storage}(${data}, ${start} + ${first}, ${value});
% else:
            ${"" if apart else "if (in_row) "}{
                const ${index} first = ${start} + ${first};
% if z.kind == "row":
                store_${z.storage}(${data} + first, ${value}, count);
% else:
                const ${vector(z.compute, lanes)} part = ${value};
                for (int lane = 0; lane < count; lane++)
                    put_${z.storage}(${data}, first + lane * ${z.name}_v${dims - 1}, ((const ${z.compute} *)&part)[lane]);
% endif
            }
% if not apart:
            else {
                const ${vector(z.compute, lanes)} part = ${value};
${each_lane(f"put_{z.storage}({data}, p, ((const {z.compute} *)&part)[lane])", z.name, start, dims, index)}\
            }
% endif
% endif
</%def>

## The head of a loop over this work-item's share of 0 to `n` - 1: a contiguous chunk, or every so many.
<%def name="each_position(at, n, index, schedule)">\
% if schedule == "cpu":
    const ${index} share = (${n} + get_global_size(0) - 1) / get_global_size(0);
    const ${index} begin = get_global_id(0) * share, end = begin < ${n} ? min(${n}, begin + share) : begin;
    for (${index} ${at} = begin; ${at} < end; ${at}++)\
% else:
    for (${index} ${at} = get_global_id(0); ${at} < ${n}; ${at} += get_global_size(0))\
% endif
</%def>

## The head of a loop over this work-item's share of all positions of axes n0, n1, ..., with coordinates k0, k1, ...: a contiguous chunk, or
## every so many. `next_place` goes before its closing brace.
<%def name="each_place(dims, index, schedule)">\
    const ${index} n = ${" * ".join(f"n{i}" for i in range(dims))};
% if schedule == "cpu":
    const ${index} share = (n + get_global_size(0) - 1) / get_global_size(0);
    const ${index} first = min(n, (${index})get_global_id(0) * share), last = min(n, first + share);
${unravel("first", "k", "n", dims, index)}\
    for (${index} at = first; at < last; at++) {
% else:
    for (${index} at = get_global_id(0); at < n; at += get_global_size(0)) {
${unravel("at", "k", "n", dims, index)}\
% endif
</%def>

<%def name="next_place(dims, schedule)">\
% if schedule == "cpu":
${advance("k", "n", dims, 1)}\
% endif
</%def>
