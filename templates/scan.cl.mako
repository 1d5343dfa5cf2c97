## Running sums along the middle axis of (outer, n, inner), which is divided into parts of `length` positions.
## "totals": the sum of each part. "sums": the sums up to and with each position, from the total of all parts before, which `before` holds.
## Sums of floats carry their rounding errors along (Neumaier 1974): a total is a pair, what was summed and what that lost, in two planes.
## With `totals` given, the elements are such totals themselves.
## "crossed": all sums of lines that lie one after another (inner is 1), ${lanes} of them at a time, in tiles that are turned in registers.
<%namespace name="common" file="common.cl.mako"/>\
<%
    module = common.module
    T = module.vector(compute, lanes)
    load = lambda kind, p: f"get_{kind}({p}, 0)" if lanes == 1 else f"load_{kind}({p}, count)"
    store = lambda kind, p, x: f"put_{kind}({p}, 0, {x})" if lanes == 1 else f"store_{kind}({p}, {x}, count)"
    found = "lost == lost ? total + lost : total" if compensated else "total"
    result = compute if step == "totals" else storage
%>\
${common.head({storage}, {compute}, fp64)}\
${common.memory({storage, compute}, "long", lanes)}\

% if step == "crossed":
${common.tiles(storage, "long", lanes)}\
% endif

inline ${T} plus(${T} a, ${T} b) { return ${plus}; }

__kernel void ${name}(
    __global ${result} *out,
    __global const ${storage} *data,
    const long data_start,
    __global const ${compute} *before,
    const long outer,
    const long n,
    const long inner,
    const long length)
{
% if step == "crossed":
    const long blocks = (outer + ${lanes - 1}) / ${lanes};
    ${T} tile[${lanes}];
    for (int i = 0; i < ${lanes}; i++) tile[i] = 0;
${common.each_position("block", "blocks", "long", schedule)} {
        const int lines = (int)min((long)${lanes}, outer - block * ${lanes});
        ${T} total = 0${", lost = 0" if compensated else ""};
        for (long left = 0; left < n; left += ${lanes}) {
            const int count = (int)min((long)${lanes}, n - left);
            load_tile_${storage}(data + data_start + block * ${lanes} * n + left, n, lines, count, tile);
            for (int i = 0; i < count; i++) {
                const ${T} x = tile[i];
${add()}\
                tile[i] = ${found};
            }
            turn_tile_${storage}(tile);
            for (int i = 0; i < lines; i++) store_${storage}(out + (block * ${lanes} + i) * n + left, tile[i], count);
        }
    }
% else:
    const long parts = (n + length - 1) / length, across = (inner + ${lanes - 1}) / ${lanes}, units = outer * parts * across;
${common.each_position("unit", "units", "long", schedule)} {
        const long left = unit % across * ${lanes}, part = unit / across % parts, o = unit / across / parts;
        const long from = part * length, to = min(n, from + length);
% if lanes > 1:
        const int count = (int)min((long)${lanes}, inner - left);
% endif
        ${T} total = 0${", lost = 0" if compensated else ""};
% if step == "sums":
        if (part > 0) {
            __global const ${compute} *known = before + (o * parts + part - 1) * inner + left;
            total = ${load(compute, "known")};
% if compensated:
            lost = ${load(compute, "known + outer * parts * inner")};
% endif
        }
% endif
        for (long j = from; j < to; j++) {
            const long at = (o * n + j) * inner + left;
            const ${T} x = ${load(storage, "data + data_start + at")};
${add()}\
% if step == "sums" and totals:
            ${store(result, "out + at", "total")};
% if compensated:
            ${store(result, "out + outer * n * inner + at", "lost")};
% endif
% elif step == "sums":
            ${store(result, "out + at", found)};
% endif
        }
% if step == "totals":
        __global ${result} *sum = out + (o * parts + part) * inner + left;
        ${store(result, "sum", "total")};
% if compensated:
        ${store(result, "sum + outer * parts * inner", "lost")};
% endif
% endif
    }
% endif
}

<%def name="add()">\
            const ${T} larger = plus(total, x);
% if compensated:
            // An infinite total has lost nothing: then this is NaN, and stays it.
            lost += fabs(total) >= fabs(x) ? (total - larger) + x : (x - larger) + total;
% if totals:
            lost += ${load(compute, "data + data_start + outer * n * inner + at")};
% endif
% endif
            total = larger;
</%def>
