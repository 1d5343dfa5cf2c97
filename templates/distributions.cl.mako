<%doc>
Numbers of distributions that take any number of random words: a stream of words for each position.

Position i has the blocks of Philox whose lower 64 bits are offset + i, numbered by the upper 64 bits. So it depends on seed, offset and position
alone. Loops that reject are bounded: that one ends early has a probability below 1e-30. All is computed in float; log and exp are those of the
device, so that devices may differ in last bits, and where such a bit decides, in a number.

Parameters
    name            the kernel's name
    storage         type of an output in memory: "half", "float", "double"
    distribution    "exponential", "gamma", "poisson", "negative_binomial", "generalized_negative_binomial"
    schedule        "cpu": every work-item a contiguous chunk; "gpu": grid-stride

Arguments: out, n, seed, offset, then for each parameter of the distribution a buffer of float and the position of its first entry (long), then each
(long): entry i / each belongs to position i. Parameters that the distribution does not have give NaN.
</%doc>\
<%namespace name="philox" file="/philox.cl.mako"/>\
<%page args="name, storage, distribution, schedule"/>\
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
%>\
#pragma OPENCL FP_CONTRACT OFF
% if storage == "double":
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
% endif

${philox.generator(1)}
${philox.normal_numbers("float", 1)}

// The words of a position.
typedef struct { ulong block, seed; uint used; } stream;

words next(stream *s)
{
    const words c = {(uint)s->block, (uint)(s->block >> 32), s->used, 0};
    s->used += 1;
    return philox(c, (uint)s->seed, (uint)(s->seed >> 32));
}

// In (0, 1), ends excluded.
float unit(uint word)
{
    return ((float)(word >> 9) + 0.5f) * 0x1p-23f;
}
% if distribution == "gamma" or mixed:

// log(1 + t) - t + t^2 / 2 - t^3 / 3, by its series where these cancel.
float log_remainder(float t)
{
    const float square = t * t;
    const float series = -0.25f + t * (0.2f + t * (-1 / 6.0f + t * (1 / 7.0f + t * (-0.125f + t * (1 / 9.0f + t * (-0.1f + t * (1 / 11.0f)))))));
    return fabs(t) < 0.25f ? square * square * series : log(1 + t) - t + square * 0.5f - square * t / 3;
}

// G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables" (2000); their test
// log(u) < x^2 / 2 + d - d v + d log(v), with v = (1 + t)^3 and x^2 = 9 d t^2, is written so that nothing cancels.
float gamma_number(stream *s, float alpha)
{
    const float d = (alpha < 1 ? alpha + 1 : alpha) - 1 / 3.0f;
    const float c = 1 / sqrt(9 * d);
    float v = 1, boost = 0.5f;
    for (int round = 0; round < 64; ++round) {
        const words w = next(s);
        float x, other;
        normal_pair(w.w0, w.w1, &x, &other);
        const float t = c * x;
        v = (1 + t) * (1 + t) * (1 + t);
        boost = unit(w.w3);
        if (t > -1 && log(unit(w.w2)) < 3 * d * log_remainder(t))
            break;
    }
    return alpha < 1 ? exp(log(d * v) + log(boost) / alpha) : d * v;
}
% endif
% if counts:

// log(k!) - (k + 1/2) log(k) + k - log(2 pi) / 2, by Stirling's series, for k >= 1.
float stirling_rest(float k)
{
    const float inverse = 1 / k, square = inverse * inverse;
    return inverse * (1 / 12.0f - square * (1 / 360.0f - square * (1 / 1260.0f - square * (1 / 1680.0f))));
}

// k log(k / lam) + lam - k, by its series where these cancel: C. Loader, "Fast and accurate computation of binomial probabilities" (2000).
float deviance(float k, float lam)
{
    const float difference = k - lam;
    if (fabs(difference) > 0.1f * lam)
        return k * log(k / lam) - difference;
    const float v = difference / (k + lam), square = v * v;
    return difference * v + 2 * k * v * square * (1 / 3.0f + square * (0.2f + square * (1 / 7.0f + square * (1 / 9.0f))));
}

// For small means products of uniform numbers, else W. Hoermann, "The transformed rejection method for generating Poisson random
// variables" (1993), algorithm PTRS, with the probability written so that nothing cancels.
float poisson_number(stream *s, float lam)
{
    if (lam < 10) {
        const float limit = exp(-lam);
        float product = 1, count = 0;
        for (int round = 0; round < 32; ++round) {
            const words w = next(s);
% for i in range(4):
            product *= unit(w.w${i});
            if (product <= limit)
                break;
            count += 1;
% endfor
        }
        return count;
    }
    const float b = 0.931f + 2.53f * sqrt(lam), a = -0.059f + 0.02483f * b;
    const float inverse_alpha = 1.1239f + 1.1328f / (b - 3.4f), sure = 0.9277f - 3.6224f / (b - 2);
    const float below = floor(lam), fraction = lam - below;
    for (int round = 0; round < 64; ++round) {
        const words w = next(s);
        const float u = unit(w.w0) - 0.5f, v = unit(w.w1), us = 0.5f - fabs(u);
        const float k = below + floor((2 * a / us + b) * u + fraction + 0.43f);
        if (us >= 0.07f && v <= sure)
            return k;
        if (k < 0 || (us < 0.013f && v > us))
            continue;
        // 0.91893853 is log(2 pi) / 2
        const float logarithm = k < 1 ? -lam : -deviance(k, lam) - 0.5f * log(k) - 0.91893853f - stirling_rest(k);
        if (log(v * inverse_alpha / (a / (us * us) + b)) <= logarithm)
            return k;
    }
    return below;
}
% endif

float drawn(stream *s, ${", ".join(f"float {parameter}" for parameter in parameters)})
{
% if distribution == "exponential":
    return lam > 0 && lam < INFINITY ? 0.5f * minus_two_log(next(s).w0) / lam : NAN;
% elif distribution == "gamma":
    return alpha > 0 && alpha < INFINITY && beta > 0 && beta < INFINITY ? beta * gamma_number(s, alpha) : NAN;
% elif distribution == "poisson":
    return lam >= 0 && lam < INFINITY ? poisson_number(s, lam) : NAN;
% elif distribution == "negative_binomial":
    // A Poisson number whose mean is a gamma number.
    return k > 0 && k < INFINITY && p > 0 && p <= 1 ? poisson_number(s, fmin(gamma_number(s, k) * ((1 - p) / p), FLT_MAX)) : NAN;
% else:
    if (!(mu >= 0 && mu < INFINITY && alpha >= 0 && alpha < INFINITY))
        return NAN;
    // The same, of mean 1 and variance alpha; where the root of alpha is below a float's rounding, that number is 1.
    return poisson_number(s, alpha < 1e-14f ? mu : fmin(gamma_number(s, 1 / alpha) * alpha * mu, FLT_MAX));
% endif
}

__kernel void ${name}(__global ${storage} *out, long n, ulong seed, ulong offset\
% for parameter in parameters:
, __global const float *${parameter}, long ${parameter}_start\
% endfor
, long each)
{
% if schedule == "cpu":
    const long chunk = (n + get_global_size(0) - 1) / get_global_size(0);
    const long first = get_global_id(0) * chunk, end = min(first + chunk, n), step = 1;
% else:
    const long first = get_global_id(0), end = n, step = get_global_size(0);
% endif
    for (long i = first; i < end; i += step) {
        stream s = {offset + i, seed, 0};
        const float number = drawn(&s, ${", ".join(f"{parameter}[{parameter}_start + i / each]" for parameter in parameters)});
        ${"vstore_half(number, i, out)" if storage == "half" else "out[i] = number"};
    }
}
