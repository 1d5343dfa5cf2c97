## One step of a recursion through the states of a CTC path, along time: out[t] from out[t - 1], or with "backward" from out[t + 1].
## A state s is entered from s, from s - 1, and, where skips say so, from s - 2. `row` is the batch times the states.
##   paths:    out[t, s] = data[t, s] + log(exp(out[t - 1, s]) + exp(out[t - 1, s - 1]) + exp(out[t - 1, s - 2]))
##   forward:  out[t, s] = data[t, s] + the sum over k of weights[k, t, s] * out[t - 1, s - k]
##   backward: out[t, s] = data[t, s] + the sum over k of weights[k, t + 1, s + k] * out[t + 1, s + k]
<%namespace name="common" file="common.cl.mako"/>\
${common.head({storage}, {storage}, fp64)}\

__kernel void ${name}(
    __global ${storage} *out, __global const ${storage} *data, const long data_start,
    __global const ${"uchar" if kind == "paths" else storage} *ways, const long ways_start,
    const long t, const long times, const long row, const long states)
{
${common.each_position("at", "row", "long", schedule)} {
        const long s = at % states, here = t * row + at;
        const ${storage} given = data[data_start + here];
% if kind == "paths":
        ${storage} before = s < 2 ? 0 : -INFINITY;
        if (t > 0) {
            const ${storage} stay = out[here - row];
            const ${storage} step = s > 0 ? out[here - row - 1] : -INFINITY;
            const ${storage} skip = s > 1 && ways[ways_start + at] ? out[here - row - 2] : -INFINITY;
            const ${storage} most = fmax(stay, fmax(step, skip));
            if (isnan(stay + step + skip)) before = NAN;  // of which fmax knows nothing
            else if (isinf(most)) before = most;
            else before = most + log(exp(stay - most) + exp(step - most) + exp(skip - most));
        }
        out[here] = given + before;
% else:
        ${storage} total = given;
% if kind == "forward":
        for (long k = 0; k < 3; k++)
            if (t > 0 && s >= k) total += ways[ways_start + k * times * row + here] * out[here - row - k];
% else:
        for (long k = 0; k < 3; k++)
            if (t + 1 < times && s + k < states) total += ways[ways_start + k * times * row + here + row + k] * out[here + row + k];
% endif
        out[here] = total;
% endif
    }
}
