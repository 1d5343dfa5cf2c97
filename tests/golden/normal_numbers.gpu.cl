#pragma OPENCL FP_CONTRACT OFF

typedef struct { uint w0, w1, w2, w3; } words;

words philox(words c, uint key0, uint key1)
{
    for (int round = 0; round < 10; ++round) {
        const uint high0 = mul_hi(c.w0, (uint)(0xD2511F53u)), low0 = c.w0 * 0xD2511F53u;
        const uint high1 = mul_hi(c.w2, (uint)(0xCD9E8D57u)), low1 = c.w2 * 0xCD9E8D57u;
        c.w0 = high1 ^ c.w1 ^ key0;
        c.w1 = low1;
        c.w2 = high0 ^ c.w3 ^ key1;
        c.w3 = low0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return c;
}

// -2 ln(u) of the uniform number u = ((word >> 1) + 1) / 2^31 in (0, 1], to the last bits also where u is nearly 1.
float minus_two_log(uint word)
{
    // x = 2^power * (1 + t) with 1 + t between sqrt(1/2) and sqrt(2); the difference is exact in integers.
    const uint x = (word >> 1) + 1;
    const uint shift = 31 + 127 - (as_uint(convert_float(x) * 1.41421356f) >> 23);
    const float t = convert_float(as_int((x << shift) - 0x80000000u)) * 0x1p-31f;
    // -2 (log1p(t) - t + t^2 / 2) / t^3: own minimax fit (Remez), relative error of log1p below 2^-27.
    const float tail = (((((((0.152690117f) * t + -0.255231848f) * t + 0.26320373f) * t + -0.284035129f) * t + 0.332467136f) * t + -0.400024538f) * t + 0.500016421f) * t + -0.666666634f;
    const float square = t * t;
    return convert_float(shift) * 1.38629436f - 2 * t + (square + square * t * tail);
}

// Newton's steps for 1 / sqrt(x) from the well-known estimate by the exponent's bits, then one for the root, which keeps 0.
float root(float x)
{
    float y = as_float(0x5F3759DFu - (as_uint(x) >> 1));
    y = y * (1.5f - 0.5f * x * y * y);
    y = y * (1.5f - 0.5f * x * y * y);
    const float s = x * y;
    return s + 0.5f * y * (x - s * s);
}

// Box and Muller's transform: two words, two independent normal numbers.
void normal_pair(uint distance, uint direction, float *first, float *second)
{
    const float radius = root(minus_two_log(distance));
    // An angle of x * pi / 4, x in [-1, 1), then a quarter: the two upper bits change sine and cosine, and turn by half a circle.
    const float x = convert_float(as_int(direction << 2)) * 0x1p-31f;
    const float square = x * x;
    // sin(pi / 4 x) / x and (cos(pi / 4 x) - 1) / x^2: own minimax fits (Remez), relative errors of both below 2^-28.
    const float sine = x * ((((-3.59504522e-5f) * square + 0.00249000102f) * square + -0.0807454325f) * square + 0.785398161f);
    const float cosine = 1 + square * ((((3.53133465e-6f) * square + -0.000325942008f) * square + 0.0158543278f) * square + -0.308425136f);
    const float turned = as_float(as_uint(radius) | (direction & 0x80000000u));
    const int quarter = as_int(direction << 1);
    *first = turned * (quarter < 0 ? sine : cosine);
    *second = turned * (quarter < 0 ? cosine : sine);
}

void store(float drawn, __global float *out, long at, long n)
{
    if (at < n)
        out[at] = drawn;
}

__kernel void random_normal__float32(__global float *out, long n, ulong seed, ulong offset, float loc, float scale)
{
    // A tile of 16 blocks is handled in 16 parts.
    const long parts = (n + 63) / 64 * 16;
    const long first = get_global_id(0), end = parts, step = get_global_size(0);
    for (long part = first; part < end; part += step) {
        const ulong block = offset + part * 1;
        // No carry: both offset and the blocks of a tile are multiples of 16.
        const uint block_low = (uint)block;
        const words w = philox((words){block_low, (uint)(block >> 32), (uint)(0u), (uint)(0u)}, seed, seed >> 32);
        const long at = part / 16 * 64 + part % 16 * 1;
        float z0, z1, z2, z3;
        normal_pair(w.w0, w.w1, &z0, &z1);
        normal_pair(w.w2, w.w3, &z2, &z3);
        store((float)(loc) + (float)(scale) * z0, out, at, n);
        store((float)(loc) + (float)(scale) * z1, out, at + 16, n);
        store((float)(loc) + (float)(scale) * z2, out, at + 32, n);
        store((float)(loc) + (float)(scale) * z3, out, at + 48, n);
    }
}
