<%doc>
Numbers of distributions that take any number of random words: a stream of words for each position.

Position i has the blocks of Philox whose lower 64 bits are offset + i, numbered by the upper 64 bits. So it depends on seed, offset and position
alone. A run of positions is drawn as one vector: a loop that rejects goes on while one of them is `open`, the others keep what they have, and
the words that each has used are counted for itself. Loops are bounded: that one ends early has a probability below 1e-30. All is computed in float; log and exp are those of the
device, so that devices may differ in last bits, and where such a bit decides, in a number.

Parameters
    name            the kernel's name
    storage         type of an output in memory: "half", "float", "double"
    distribution    "exponential", "gamma", "poisson", "negative_binomial", "generalized_negative_binomial"
    lanes           positions that are drawn as one vector: 1, 2, 4, 8 or 16
    schedule        "cpu": every work-item a contiguous chunk; "gpu": grid-stride

Arguments: out, n, seed, offset (a multiple of 16), then for each parameter of the distribution a buffer of float and the position of its first entry (long), then each
(long): entry i / each belongs to position i. Parameters that the distribution does not have give NaN.
</%doc>\
<%namespace name="philox" file="/philox.cl.mako"/>\
<%page args="name, storage, distribution, schedule, lanes"/>\
<%
    parameters = {
        "exponential": ("lam",),
        "gamma": ("alpha", "beta"),
        "poisson": ("lam",),
        "negative_binomial": ("k", "p"),
        "generalized_negative_binomial": ("mu", "alpha"),
    }[distribution]
    counts = distribution not in ("exponential", "gamma")
    mixed = distribution.endswith("negative_binomial")
    v = "" if lanes == 1 else str(lanes)
    F, U, M = f"float{v}", f"uint{v}", f"int{v}"
    some = (lambda mask: mask) if lanes == 1 else (lambda mask: f"any({mask})")
%>\
#pragma OPENCL FP_CONTRACT OFF
% if storage == "double":
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
% endif

${philox.generator(lanes)}
${philox.normal_numbers("float", lanes)}

// The words of a run of positions. What a comparison gives, a mask, is of type ${M}.
typedef struct { ${U} low, used; uint high; ulong seed; } stream;

// The next words of those positions that are open.
words next(stream *s, ${M} open)
{
    const words c = {s->low, (${U})(s->high), s->used, (${U})(0)};
    s->used += open ? (${U})(1) : (${U})(0);
    return philox(c, (uint)s->seed, (uint)(s->seed >> 32));
}

// In (0, 1), ends excluded.
${F} unit(${U} word)
{
    return (convert_${F}(word >> 9) + 0.5f) * 0x1p-23f;
}
% if distribution == "gamma" or mixed:

// log(1 + t) - t + t^2 / 2 - t^3 / 3, by its series where these cancel.
${F} log_remainder(${F} t)
{
    const ${F} square = t * t;
    const ${F} series = -0.25f + t * (0.2f + t * (-1 / 6.0f + t * (1 / 7.0f + t * (-0.125f + t * (1 / 9.0f + t * (-0.1f + t * (1 / 11.0f)))))));
    const ${M} near = fabs(t) < 0.25f;
    if (!${some("!near")}) return square * square * series;
    return near ? square * square * series : log(1 + t) - t + square * 0.5f - square * t / 3;
}

// G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables" (2000); their test
// log(u) < x^2 / 2 + d - d v + d log(v), with v = (1 + t)^3 and x^2 = 9 d t^2, is written so that nothing cancels.
${F} gamma_number(stream *s, ${F} alpha, ${M} open)
{
    const ${F} d = (alpha < 1 ? alpha + 1 : alpha) - 1 / 3.0f;
    const ${F} c = 1 / sqrt(9 * d);
    ${F} v = 1, boost = 0.5f;
    for (int round = 0; round < 64 && ${some("open")}; ++round) {
        const words w = next(s, open);
        ${F} x, other;
        normal_pair(w.w0, w.w1, &x, &other);
        const ${F} t = c * x;
        v = open ? (1 + t) * (1 + t) * (1 + t) : v;
        boost = open ? unit(w.w3) : boost;
        open = open & !((t > -1) & (log(unit(w.w2)) < 3 * d * log_remainder(t)));
    }
    if (!${some("(alpha < 1)")}) return d * v;
    return alpha < 1 ? exp(log(d * v) + log(boost) / alpha) : d * v;
}
% endif
% if counts:

// log(k!) - (k + 1/2) log(k) + k - log(2 pi) / 2, by Stirling's series, for k >= 1.
${F} stirling_rest(${F} k)
{
    const ${F} inverse = 1 / k, square = inverse * inverse;
    return inverse * (1 / 12.0f - square * (1 / 360.0f - square * (1 / 1260.0f - square * (1 / 1680.0f))));
}

// k log(k / lam) + lam - k, by its series where these cancel: C. Loader, "Fast and accurate computation of binomial probabilities" (2000).
${F} deviance(${F} k, ${F} lam)
{
    const ${F} difference = k - lam;
    const ${F} u = difference / (k + lam), square = u * u;
    const ${F} series = difference * u + 2 * k * u * square * (1 / 3.0f + square * (0.2f + square * (1 / 7.0f + square * (1 / 9.0f))));
    return fabs(difference) > 0.1f * lam ? k * log(k / lam) - difference : series;
}

// For small means products of uniform numbers.
${F} poisson_product(stream *s, ${F} lam, ${M} open)
{
    const ${F} limit = exp(-lam);
    ${F} product = 1, count = 0;
    for (int round = 0; round < 32 && ${some("open")}; ++round) {
        const words w = next(s, open);
% for i in range(4):
        product *= unit(w.w${i});
        open = open & (product > limit);
        count = open ? count + 1 : count;
% endfor
    }
    return count;
}

// W. Hoermann, "The transformed rejection method for generating Poisson random variables" (1993), algorithm PTRS, with the probability
// written so that nothing cancels.
${F} poisson_rejection(stream *s, ${F} lam, ${M} open)
{
    const ${F} b = 0.931f + 2.53f * sqrt(lam), a = -0.059f + 0.02483f * b;
    const ${F} inverse_alpha = 1.1239f + 1.1328f / (b - 3.4f), sure = 0.9277f - 3.6224f / (b - 2);
    const ${F} below = floor(lam), fraction = lam - below;
    ${F} result = below;
    for (int round = 0; round < 64 && ${some("open")}; ++round) {
        const words w = next(s, open);
        const ${F} u = unit(w.w0) - 0.5f, v = unit(w.w1), us = 0.5f - fabs(u);
        const ${F} k = below + floor((2 * a / us + b) * u + fraction + 0.43f);
        ${M} taken = (us >= 0.07f) & (v <= sure);
        const ${M} doubtful = open & !taken & !((k < 0) | ((us < 0.013f) & (v > us)));
        if (${some("doubtful")}) {
            // 0.91893853 is log(2 pi) / 2
            const ${F} logarithm = k < 1 ? -lam : -deviance(k, lam) - 0.5f * log(k) - 0.91893853f - stirling_rest(k);
            taken = taken | (doubtful & (log(v * inverse_alpha / (a / (us * us) + b)) <= logarithm));
        }
        result = open & taken ? k : result;
        open = open & !taken;
    }
    return result;
}

${F} poisson_number(stream *s, ${F} lam, ${M} open)
{
    const ${M} small = open & (lam < 10), large = open & !(lam < 10);
    ${F} result = 0;
    if (${some("small")}) result = poisson_product(s, lam, small);
    if (${some("large")}) result = large ? poisson_rejection(s, lam, large) : result;
    return result;
}
% endif

${F} drawn(stream *s, ${", ".join(f"{F} {parameter}" for parameter in parameters)})
{
<%
    tests = {
        "exponential": ("lam > 0", "lam < INFINITY"),
        "gamma": ("alpha > 0", "alpha < INFINITY", "beta > 0", "beta < INFINITY"),
        "poisson": ("lam >= 0", "lam < INFINITY"),
        "negative_binomial": ("k > 0", "k < INFINITY", "p > 0", "p <= 1"),
        "generalized_negative_binomial": ("mu >= 0", "mu < INFINITY", "alpha >= 0", "alpha < INFINITY"),
    }[distribution]
%>\
    const ${M} good = ${" & ".join(f"({test})" for test in tests)};
% if distribution == "exponential":
    const ${F} number = 0.5f * minus_two_log(next(s, good).w0) / lam;
% elif distribution == "gamma":
    const ${F} number = beta * gamma_number(s, alpha, good);
% elif distribution == "poisson":
    const ${F} number = poisson_number(s, lam, good);
% elif distribution == "negative_binomial":
    // A Poisson number whose mean is a gamma number.
    const ${F} number = poisson_number(s, fmin(gamma_number(s, k, good) * ((1 - p) / p), (${F})(FLT_MAX)), good);
% else:
    // The same, of mean 1 and variance alpha; where the root of alpha is below a float's rounding, that number is 1.
    const ${M} spread = good & !(alpha < 1e-14f);
    const ${F} mean = spread ? fmin(gamma_number(s, 1 / alpha, spread) * alpha * mu, (${F})(FLT_MAX)) : mu;
    const ${F} number = poisson_number(s, mean, good);
% endif
    return good ? number : (${F})(NAN);
}

// The parameters of the positions from i on; those past the last have its own.
${F} entries(__global const float *values, long i, long n, long each)
{
% if lanes == 1:
    return values[i / each];
% else:
    const long first = i / each;
    if (first == (i + ${lanes - 1}) / each) return (${F})(values[first]);
    float found[${lanes}];
    for (int lane = 0; lane < ${lanes}; ++lane)
        found[lane] = values[min(i + lane, n - 1) / each];
    return vload${lanes}(0, found);
% endif
}

__kernel void ${name}(__global ${storage} *out, long n, ulong seed, ulong offset\
% for parameter in parameters:
, __global const float *${parameter}, long ${parameter}_start\
% endfor
, long each)
{
    const long runs = (n + ${lanes - 1}) / ${lanes};
% if schedule == "cpu":
    const long chunk = (runs + get_global_size(0) - 1) / get_global_size(0);
    const long first = get_global_id(0) * chunk, end = min(first + chunk, runs), step = 1;
% else:
    const long first = get_global_id(0), end = runs, step = get_global_size(0);
% endif
    for (long run = first; run < end; run += step) {
        const long i = run * ${lanes};
        const ulong block = offset + i;
        // No carry: the offset is a multiple of 16.
        const ${U} low = (uint)block${"" if lanes == 1 else f" + ({U})({', '.join(map(str, range(lanes)))})"};
        stream s = {low, (${U})(0), (uint)(block >> 32), seed};
        const ${F} number = drawn(&s, ${", ".join(f"entries({parameter} + {parameter}_start, i, n, each)" for parameter in parameters)});
% if lanes == 1:
        ${"vstore_half(number, i, out)" if storage == "half" else "out[i] = number"};
% else:
        if (i + ${lanes} <= n) {
            ${f"vstore_half{v}(number, 0, out + i)" if storage == "half" else f"vstore{v}(convert_{storage}{v}(number), 0, out + i)"};
        } else {
            float lane[${lanes}];
            vstore${v}(number, 0, lane);
            for (int j = 0; i + j < n; ++j)
                ${"vstore_half(lane[j], i + j, out)" if storage == "half" else "out[i + j] = lane[j]"};
        }
% endif
    }
}
