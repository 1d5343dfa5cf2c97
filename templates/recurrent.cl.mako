## A layer of a recurrent network in one direction, steps `begin` to `end` - 1 of its way through the times; the rows of a batch know nothing of
## each other. Step s is at time s, or at times - 1 - s where the way goes `backwards`; states lie in slots 0 to times, time t between slots t and t + 1.
## "forward" computes the states after each step, and keeps what the other form reads; "backward" goes the way back with gradients.
## CPU schedule: a work-item takes rows of the batch through all these steps, or, where the columns are divided too, through one. A tile of rows by
## vectors is summed in registers over the elements of the states before (of the gates' gradients of the step after), from weights in panels:
## forward a panel of ${lanes} columns for each gate, backward one of ${lanes * columns} columns. GPU schedule: one step, one element at a time.
<%namespace name="common" file="common.cl.mako"/>\
<%namespace name="functions" file="functions.cl.mako"/>\
<%
    v = wide if lanes == 1 else f"{wide}{lanes}"
    gates = {"lstm": 4, "gru": 3}.get(mode, 1)
    cpu = schedule == "cpu"
    calls = "" if mode == "rnn_relu" else f"tanh_{v}(" + (f" sigmoid_{v}(" if gates > 1 else "")
    vectors = gates if form == "forward" else columns
    pairs = [(r, c) for r in range(rows) for c in range(vectors)]
    sigmoid, tanh = f"sigmoid_{v}", f"tanh_{v}"
    width = lanes if form == "forward" else lanes * columns
    carried = masked or mode == "gru" # does a state reach the next one beside the product, too?
    fetch = lambda pointer: f"load_{wide}({pointer}, count)" if lanes > 1 else f"*({pointer})"
    put = lambda pointer, value: f"store_{wide}({pointer}, {value}, count);" if lanes > 1 else f"*({pointer}) = {value};"
%>\
${common.head({wide}, {wide}, fp64)}\
${common.memory({wide}, index, lanes)}\
${functions.needed([("", "", calls)], lanes)}\

% if form == "forward":
// The states of ${"some elements" if lanes > 1 else "an element"} of a row after a step, from what the states before give to each gate; h0 is the state before.
inline void step_of_${name}(${", ".join(f"{v} sum{g}" for g in range(gates))}, __global const ${wide} *x, __global const ${wide} *h0, __global ${wide} *h1,
    __global const ${wide} *c0, __global ${wide} *c1, __global ${wide} *z, const ${index} size, const int keep, const int lasts, const int count)
{
% if masked:
    if (!lasts) {
        ${put("h1", fetch("h0"))}
% if mode == "lstm":
        ${put("c1", fetch("c0"))}
% endif
        return;
    }
% endif
% if mode == "lstm":
    const ${v} enter = ${sigmoid}(${fetch("x")} + sum0), forget = ${sigmoid}(${fetch("x + size")} + sum1);
    const ${v} fresh = ${tanh}(${fetch("x + 2 * size")} + sum2), leave = ${sigmoid}(${fetch("x + 3 * size")} + sum3);
    const ${v} c = forget * ${fetch("c0")} + enter * fresh;
    ${put("c1", "c")}
    ${put("h1", f"leave * {tanh}(c)")}
    const ${v} kept0 = enter, kept1 = forget, kept2 = fresh, kept3 = leave;
% elif mode == "gru":
    const ${v} reset = ${sigmoid}(${fetch("x")} + sum0), update = ${sigmoid}(${fetch("x + size")} + sum1);
    const ${v} fresh = ${tanh}(${fetch("x + 2 * size")} + reset * sum2);
    ${put("h1", f"fresh + update * ({fetch('h0')} - fresh)")}
    const ${v} kept0 = reset, kept1 = update, kept2 = fresh, kept3 = sum2;
% elif mode == "rnn_tanh":
    ${put("h1", f"{tanh}({fetch('x')} + sum0)")}
% else:
    const ${v} total = ${fetch("x")} + sum0;
    ${put("h1", f"(total > ({v})(0)) | (total != total) ? total : ({v})(0)")}
% endif
% if gates > 1:
    if (keep) {
% for g in range(4):
        ${put(f"z + {g} * size", f"kept{g}")}
% endfor
    }
% endif
}
% else:
// The gradients of ${"some elements" if lanes > 1 else "an element"} of a row before a step, from that of the state after it, dh.
inline void step_of_${name}(${v} dh, __global ${wide} *dx, __global ${wide} *dy, __global ${wide} *dh0, __global ${wide} *dc0, __global const ${wide} *h0,
    __global const ${wide} *h1, __global const ${wide} *c0, __global const ${wide} *c1, __global const ${wide} *z, const ${index} size, const int lasts,
    const int count)
{
% if masked:
    if (!lasts) {
        ${put("dh0", "dh")}
% for g in range(gates):
        ${put(f"dx + {g} * size", f"({v})(0)")}
% if mode == "gru":
        ${put(f"dy + {g} * size", f"({v})(0)")}
% endif
% endfor
        return;
    }
% endif
% if mode == "lstm":
    const ${v} enter = ${fetch("z")}, forget = ${fetch("z + size")}, fresh = ${fetch("z + 2 * size")}, leave = ${fetch("z + 3 * size")};
    const ${v} c = ${tanh}(${fetch("c1")}), dc = ${fetch("dc0")} + dh * leave * (1 - c * c);
    ${put("dx", "dc * fresh * enter * (1 - enter)")}
    ${put("dx + size", f"dc * {fetch('c0')} * forget * (1 - forget)")}
    ${put("dx + 2 * size", "dc * enter * (1 - fresh * fresh)")}
    ${put("dx + 3 * size", "dh * c * leave * (1 - leave)")}
    ${put("dc0", "dc * forget")}
% elif mode == "gru":
    const ${v} reset = ${fetch("z")}, update = ${fetch("z + size")}, fresh = ${fetch("z + 2 * size")}, given = ${fetch("z + 3 * size")};
    const ${v} dn = dh * (1 - update) * (1 - fresh * fresh), dr = dn * given * reset * (1 - reset);
    const ${v} du = dh * (${fetch("h0")} - fresh) * update * (1 - update);
% for target, third in (("dx", "dn"), ("dy", "dn * reset")):
    ${put(target, "dr")}
    ${put(f"{target} + size", "du")}
    ${put(f"{target} + 2 * size", third)}
% endfor
    ${put("dh0", "dh * update")}
% else:
    const ${v} h = ${fetch("h1")};
    ${put("dx", "dh * (1 - h * h)" if mode == "rnn_tanh" else f"h <= ({v})(0) ? ({v})(0) : dh")}
% endif
% if carried and mode != "gru":
    ${put("dh0", f"({v})(0)")}
% endif
}
% endif

#pragma OPENCL FP_CONTRACT ON
__kernel void ${name}(
% if form == "forward":
    __global ${wide} *states, __global ${wide} *cells, __global ${wide} *kept, __global const ${wide} *given, const ${index} given_start,
    __global const ${wide} *weights, __global const ${wide} *bias, const ${index} bias_start,
    __global const ${wide} *first, const ${index} first_start, __global const ${wide} *first_cell, const ${index} first_cell_start,
    const int keep,
% else:
    __global ${wide} *d_given, __global ${wide} *d_hidden, __global ${wide} *d_state, __global ${wide} *d_cell,
    __global const ${wide} *d_output, const ${index} d_output_start, __global const ${wide} *states, __global const ${wide} *cells,
    __global const ${wide} *kept, __global const ${wide} *weights,
% endif
    __global const int *lengths, const ${index} lengths_start, const int times, const ${index} batch, const ${index} size, const int backwards,
    const int begin, const int end, const ${index} shares)
{
    const ${index} whole = batch * size;
% if cpu:
    // Neighbouring work-items take other rows, and those `shares` apart other columns.
    const ${index} blocks = (batch + ${rows - 1}) / ${rows}, panels = (size + ${width - 1}) / ${width};
    const ${index} across = get_global_size(0) / shares, down = get_global_id(0) % shares, over = get_global_id(0) / shares;
    const ${index} some_blocks = (blocks + shares - 1) / shares, some_panels = (panels + across - 1) / across;
    const ${index} first_panel = over * some_panels, end_panel = min(panels, first_panel + some_panels);
    const ${index} first_block = down * some_blocks, end_block = min(blocks, first_block + some_blocks);
% endif
    for (int number = begin; number < end; number++) {
% if form == "forward":
        const int step = number;
% else:
        const int step = times - 1 - number;
% endif
        const ${index} t = backwards ? times - 1 - step : step, before = t + backwards, after = t + 1 - backwards;
% if form == "forward":
        __global const ${wide} *h0 = step ? states + before * whole : first + first_start;
% if mode == "lstm":
        __global const ${wide} *c0 = step ? cells + before * whole : first_cell + first_cell_start;
% endif
% else:
        __global const ${wide} *source = d_hidden + (t + 1 - 2 * backwards) * whole * ${gates};
% endif
% if cpu:
        for (${index} panel = first_panel; panel < end_panel; panel++) for (${index} block = first_block; block < end_block; block++) {
            const ${index} i = block * ${rows}, j = panel * ${width};
            const int high = (int)min((${index})${rows}, batch - i);
% if form == "forward":
            const int count = (int)min((${index})${lanes}, size - j);
% for g in range(gates):
            const ${v} bias${g} = ${fetch(f"bias + bias_start + {g} * size + j")};
% endfor
            ${v} ${", ".join(f"sum{r}_{g} = bias{g}" for r, g in pairs)};
            __global const ${wide} *w = weights + panel * size * ${lanes};
<% deep, source, stride = "size", "h0", "size" %>\
% else:
            ${v} ${", ".join(f"sum{r}_{c} = 0" for r, c in pairs)};
            __global const ${wide} *w = weights + panel * size * ${gates * lanes * columns};
            const ${index} deep = number ? size * ${gates} : 0; // nothing comes from behind the last step
<% deep, source, stride = "deep", "source", f"size * {gates}" %>\
% endif
% for r in range(rows):
            __global const ${wide} *a${r} = ${source} + (i + ${f"min({r}, high - 1)" if r else 0}) * ${stride};
% endfor
            ${index} k = 0;
% for each in (4, 1):
            for (; k + ${each} <= ${deep}; k += ${each}) {
% for u in range(each):
                {
% for c in range(vectors):
                    const ${v} w${c} = *(__global const ${v}_anywhere *)(w + ${f"{c} * panels * size * {lanes}" if form == "forward" else c * lanes});
% endfor
% for r in range(rows):
                    {
                        const ${v} element = (${v})(a${r}[k + ${u}]);
                        ${" ".join(f"sum{r}_{c} += element * w{c};" for c in range(vectors))}
                    }
% endfor
                    w += ${width};
                }
% endfor
            }
% endfor
            ${v} tile[${rows * vectors}] = {${", ".join(f"sum{r}_{c}" for r, c in pairs)}};
            for (int r = 0; r < high; r++) {
                const ${index} row = i + r;
% if form == "backward":
                for (int c = 0; c < ${columns} && j + c * ${lanes} < size; c++) {
                const int count = (int)min((${index})${lanes}, size - j - c * ${lanes});
                const ${index} place = row * size + j + c * ${lanes}, column = j + c * ${lanes};
                const ${v} sum = tile[r * ${columns} + c];
% else:
                const ${index} place = row * size + j, column = j;
<% sums = ", ".join(f"tile[r * {gates} + {g}]" for g in range(gates)) %>\
% endif
% else:
        for (${index} place = get_global_id(0); place < whole; place += get_global_size(0)) {
            const ${index} row = place / size, column = place % size;
            const int count = 1;
            {
% if form == "forward":
% for g in range(gates):
                ${wide} sum${g} = bias[bias_start + ${g} * size + column];
% endfor
                for (${index} k = 0; k < size; k++) {
                    const ${wide} element = h0[row * size + k];
% for g in range(gates):
                    sum${g} += element * weights[(k * ${gates} + ${g}) * size + column];
% endfor
                }
<% sums = ", ".join(f"sum{g}" for g in range(gates)) %>\
% else:
                {
                ${wide} sum = 0;
                for (${index} k = 0; k < (number ? size * ${gates} : 0); k++) sum += source[row * size * ${gates} + k] * weights[k * size + column];
% endif
% endif
                const int lasts = ${"(int)t < lengths[lengths_start + row]" if masked else "1"};
                const ${index} at = t * batch + row;
% if form == "forward":
                if (step == 0) {
                    ${put("states + before * whole + place", fetch("h0 + place"))}
% if mode == "lstm":
                    ${put("cells + before * whole + place", fetch("c0 + place"))}
% endif
                }
                step_of_${name}(${sums}, given + given_start + at * size * ${gates} + column, h0 + place, states + after * whole + place,
                    ${"c0 + place, cells + after * whole + place" if mode == "lstm" else "h0, states"}, kept + at * size * 4 + column, size, keep, lasts, count);
            }
% else:
                const ${v} arrived = ${"" if carried else "number ? sum : "}sum + ${fetch("d_state + place")};
                if (step < 0) {
                    ${put("d_state + place", "arrived")}
                } else {
                    step_of_${name}(arrived + ${fetch("d_output + d_output_start + at * size + column")}, d_given + at * size * ${gates} + column,
                        d_hidden + at * size * ${gates} + column, d_state + place, d_cell + place, states + before * whole + place,
                        states + after * whole + place, cells + before * whole + place, cells + after * whole + place,
                        kept + at * size * 4 + column, size, lasts, count);
                }
                }
            }
% endif
        }
    }
}
