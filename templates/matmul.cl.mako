## out[batch, i, j] = sum over k of a[batch, i, k] * b[batch, k, j]; a and b by strides.
## CPU schedule: a work-item takes a chunk of tiles of ${rows} rows by ${vectors} vectors; every sum of a tile is a variable of its own, since an
## array would not stay in registers. GPU schedule: a work-group computes a square of ${tile} by ${tile}, which it reads by way of local memory.
<%namespace name="common" file="common.cl.mako"/>\
<%
    v = wide if lanes == 1 else f"{wide}{lanes}"
    given = storage if storage != "half" else "float"
    widen = lambda text: text if compute == wide else f"convert_{v}({text})"
    narrow = lambda text, kind: f"({text}) != 0" if logical else text if compute == wide else f"({kind})({text})"
    pairs = [(r, c) for r in range(rows) for c in range(vectors)]
%>\
${common.head({storage}, {compute, wide}, fp64, contract=True)}\
${common.memory({storage}, index, lanes)}\

__kernel void ${name}(
    __global ${storage} *out,
    __global const ${storage} *a_data, const ${index} a_start, const ${index} a_batch, const ${index} a_row, const ${index} a_column,
    __global const ${storage} *b_data, const ${index} b_start, const ${index} b_batch, const ${index} b_row, const ${index} b_column,
    const ${index} batches, const ${index} m, const ${index} n, const ${index} depth)
{
% if schedule == "cpu":
<% width = vectors * lanes %>\
    const ${index} down = (m + ${rows - 1}) / ${rows}, across = (n + ${width - 1}) / ${width};
    const ${index} tiles = batches * down * across;
    const ${index} chunk = (tiles + get_global_size(0) - 1) / get_global_size(0);
    const ${index} first = get_global_id(0) * chunk;
    for (${index} number = first; number < min(tiles, first + chunk); number++) {
        // Neighbouring tiles share their columns of b, which then come from the cache.
        const ${index} i = number % down * ${rows}, j = number / down % across * ${width}, batch = number / (down * across);
        // Rows past the last are computed as the last once more, and not stored.
% for r in range(rows):
        ${index} a${r} = a_start + batch * a_batch + min(i + ${r}, m - 1) * a_row;
% endfor
        ${index} b = b_start + batch * b_batch + j;
        const int count = (int)min((${index})${width}, n - j);
        ${v} ${", ".join(f"sum{r}_{c} = 0" for r, c in pairs)};
% for full in (True, False):
        ${"if (count == %d)" % width if full else "else"} for (${index} k = 0; k < depth; k++) {
% for c in range(vectors):
<% lane_count = lanes if full else f"max(0, min({lanes}, count - {c * lanes}))" %>\
% if lanes == 1:
            const ${v} b${c} = ${widen(f"(({v})get_{storage}(b_data, b + {c}))") if full else f"count > {c} ? ({v})get_{storage}(b_data, b + {c}) : 0"};
% else:
            const ${v} b${c} = ${widen(f"load_{storage}(b_data + b + {c * lanes}, {lane_count})")};
% endif
% endfor
% for r in range(rows):
            {
                const ${v} element = (${v})(get_${storage}(a_data, a${r}));
% for c in range(vectors):
                sum${r}_${c} += element * b${c};
% endfor
                a${r} += a_column;
            }
% endfor
            b += b_row;
        }
% endfor
% for r in range(rows):
        if (i + ${r} < m) {
            __global ${storage} *z = out + (batch * m + i + ${r}) * n + j;
% for c in range(vectors):
% if lanes == 1:
            if (count > ${c}) put_${storage}(z, ${c}, ${narrow(f"sum{r}_{c}", compute)});
% else:
            store_${storage}(z + ${c * lanes}, ${f"convert_{compute}{lanes}(sum{r}_{c} != 0) & ({compute}{lanes})(1)" if logical else f"sum{r}_{c}" if compute == wide else f"convert_{compute}{lanes}(sum{r}_{c})"}, max(0, min(${lanes}, count - ${c * lanes})));
% endif
% endfor
        }
% endfor
    }
% else:
    __local ${wide} a_tile[${tile}][${tile}], b_tile[${tile}][${tile} + 1]; // one more: no two rows begin in the same bank
    const int x = get_local_id(0), y = get_local_id(1);
    const ${index} j = get_global_id(0), i = get_global_id(1), batch = get_global_id(2);
    const ${index} a = a_start + batch * a_batch, b = b_start + batch * b_batch;
    ${wide} sum = 0;
    for (${index} k = 0; k < depth; k += ${tile}) {
        a_tile[y][x] = i < m && k + x < depth ? (${wide})get_${storage}(a_data, a + i * a_row + (k + x) * a_column) : (${wide})0;
        b_tile[y][x] = j < n && k + y < depth ? (${wide})get_${storage}(b_data, b + (k + y) * b_row + j * b_column) : (${wide})0;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int step = 0; step < ${tile}; step++) sum += a_tile[y][step] * b_tile[step][x];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (i < m && j < n) put_${storage}(out, (batch * m + i) * n + j, ${narrow("sum", compute)});
% endif
}
