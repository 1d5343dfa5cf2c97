## Steps of a recursion through the states of a CTC path, along time: out[t] from out[t - 1], or with "backward" from out[t + 1].
## A state s is entered from s, from s - 1, and, where skips say so, from s - 2. `row` is the batch times the states.
##   paths:    out[t, s] = data[t, s] + log(exp(out[t - 1, s]) + exp(out[t - 1, s - 1]) + exp(out[t - 1, s - 2]))
##   forward:  out[t, s] = data[t, s] + the sum over k of weights[k, t, s] * out[t - 1, s - k]
##   backward: out[t, s] = data[t, s] + the sum over k of weights[k, t + 1, s + k] * out[t + 1, s + k]
## CPU schedule: `steps` times, each work-item for sequences of its own. GPU schedule: one time, since others' states are needed for the next.
<%namespace name="common" file="common.cl.mako"/>\
<%
    module = common.module
    n = lanes if kind == "paths" and schedule == "cpu" else 1
    v = module.vector(storage, n)
    mask = module.vector({"float": "int", "double": "long"}[storage], n)
    places = "" if n == 1 else f" + ({mask})({', '.join(map(str, range(n)))})"
    load = lambda kind, p: f"get_{kind}({p}, 0)" if n == 1 else f"load_{kind}({p}, count)"
%>\
${common.head({storage}, {storage}, fp64)}\
${common.memory({storage, "uchar"} if kind == "paths" else {storage}, "long", n)}\

__kernel void ${name}(
    __global ${storage} *out, __global const ${storage} *data, const long data_start,
    __global const ${"uchar" if kind == "paths" else storage} *ways, const long ways_start,
    long t, const long steps, const long times, const long row, const long states)
{
    data += data_start;
    ways += ways_start;
% if schedule == "cpu":
    const long batch = row / states, share = (batch + get_global_size(0) - 1) / get_global_size(0);
    const long first = min(batch, (long)get_global_id(0) * share), last = min(batch, first + share);
    for (long step = 0; step < steps; step++, t += ${-1 if kind == "backward" else 1})
    for (long line = first; line < last; line++)
    for (long s = 0; s < states; s += ${n}) {
        const long at = line * states + s, here = t * row + at;
% else:
${common.each_position("at", "row", "long", schedule)} {
        const long s = at % states, here = t * row + at;
% endif
% if kind == "paths":
        const int count = (int)min((long)${n}, states - s);
        const ${mask} place = (${mask})(s)${places};
        ${v} before = place < 2 ? (${v})(0) : (${v})(-INFINITY);
        if (t > 0) {
            // Nothing is read before a sequence's first state: another work-item may be writing there.
            const ${v} stay = ${load(storage, "out + here - row")};
% for k, name_ in ((1, "one"), (2, "two")):
            ${v} ${name_} = ${"0" if n == 1 else f"({v})({', '.join(['0'] * k + [f'stay.s{lane:x}' for lane in range(n - k)])})"};
            if (s >= ${k}) ${name_} = ${load(storage, f"out + here - row - {k}")};
% endfor
            const ${mask} skips = ${"ways[at]" if n == 1 else f"convert_{mask}(load_uchar(ways + at, count))"};
            const ${v} step = place > 0 ? one : (${v})(-INFINITY), skip = (place > 1${" && " if n == 1 else ") & ("}skips != 0) ? two : (${v})(-INFINITY);
            const ${v} most = fmax(stay, fmax(step, skip));
            before = most + log(exp(stay - most) + exp(step - most) + exp(skip - most));
            before = isinf(most) ? most : before;
            before = isnan(stay + step + skip) ? (${v})(NAN) : before;  // of which fmax knows nothing
        }
        const ${v} total = ${load(storage, "data + here")} + before;
        ${f"out[here] = total" if n == 1 else f"store_{storage}(out + here, total, count)"};
% else:
        ${v} total = data[here];
% if kind == "forward":
        for (long k = 0; k < 3; k++)
            if (t > 0 && s >= k) total += ways[k * times * row + here] * out[here - row - k];
% else:
        for (long k = 0; k < 3; k++)
            if (t + 1 < times && s + k < states) total += ways[k * times * row + here + row + k] * out[here + row + k];
% endif
        out[here] = total;
% endif
    }
}
