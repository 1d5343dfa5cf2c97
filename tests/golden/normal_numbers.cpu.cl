#pragma OPENCL FP_CONTRACT OFF

typedef struct { uint8 w0, w1, w2, w3; } words;

words philox(words c, uint key0, uint key1)
{
    for (int round = 0; round < 10; ++round) {
        const uint8 high0 = mul_hi(c.w0, (uint8)(0xD2511F53u)), low0 = c.w0 * 0xD2511F53u;
        const uint8 high1 = mul_hi(c.w2, (uint8)(0xCD9E8D57u)), low1 = c.w2 * 0xCD9E8D57u;
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
float8 minus_two_log(uint8 word)
{
    // x = 2^power * (1 + t) with 1 + t between sqrt(1/2) and sqrt(2); the difference is exact in integers.
    const uint8 x = (word >> 1) + 1;
    const uint8 shift = 31 + 127 - (as_uint8(convert_float8(x) * 1.41421356f) >> 23);
    const float8 t = convert_float8(as_int8((x << shift) - 0x80000000u)) * 0x1p-31f;
    // -2 (log1p(t) - t + t^2 / 2) / t^3: own minimax fit (Remez), relative error of log1p below 2^-27.
    const float8 tail = (((((((0.152690117f) * t + -0.255231848f) * t + 0.26320373f) * t + -0.284035129f) * t + 0.332467136f) * t + -0.400024538f) * t + 0.500016421f) * t + -0.666666634f;
    const float8 square = t * t;
    return convert_float8(shift) * 1.38629436f - 2 * t + (square + square * t * tail);
}

// Newton's steps for 1 / sqrt(x) from the well-known estimate by the exponent's bits, then one for the root, which keeps 0.
float8 root(float8 x)
{
    float8 y = as_float8(0x5F3759DFu - (as_uint8(x) >> 1));
    y = y * (1.5f - 0.5f * x * y * y);
    y = y * (1.5f - 0.5f * x * y * y);
    const float8 s = x * y;
    return s + 0.5f * y * (x - s * s);
}

// Box and Muller's transform: two words, two independent normal numbers.
void normal_pair(uint8 distance, uint8 direction, float8 *first, float8 *second)
{
    const float8 radius = root(minus_two_log(distance));
    // An angle of x * pi / 4, x in [-1, 1), then a quarter: the two upper bits change sine and cosine, and turn by half a circle.
    const float8 x = convert_float8(as_int8(direction << 2)) * 0x1p-31f;
    const float8 square = x * x;
    // sin(pi / 4 x) / x and (cos(pi / 4 x) - 1) / x^2: own minimax fits (Remez), relative errors of both below 2^-28.
    const float8 sine = x * ((((-3.59504522e-5f) * square + 0.00249000102f) * square + -0.0807454325f) * square + 0.785398161f);
    const float8 cosine = 1 + square * ((((3.53133465e-6f) * square + -0.000325942008f) * square + 0.0158543278f) * square + -0.308425136f);
    const float8 turned = as_float8(as_uint8(radius) | (direction & 0x80000000u));
    const int8 quarter = as_int8(direction << 1);
    *first = turned * (quarter < 0 ? sine : cosine);
    *second = turned * (quarter < 0 ? cosine : sine);
}

void store(float8 drawn, __global float *out, long at, long n)
{
    if (at + 8 <= n) {
        vstore8(drawn, 0, out + at);
    } else {
        float lane[8];
        vstore8(drawn, 0, lane);
        for (int i = 0; at + i < n; ++i)
            out[at + i] = lane[i];
    }
}

__kernel __attribute__((vec_type_hint(float8)))
void random_normal__float32(__global float *out, long n, ulong seed, ulong offset, float loc, float scale)
{
    // A tile of 16 blocks is handled in 2 parts.
    const long parts = (n + 63) / 64 * 2;
    const long chunk = (parts + get_global_size(0) - 1) / get_global_size(0);
    const long first = get_global_id(0) * chunk, end = min(first + chunk, parts), step = 1;
    for (long part = first; part < end; part += step) {
        const ulong block = offset + part * 8;
        // No carry: both offset and the blocks of a tile are multiples of 16.
        const uint8 block_low = (uint)block + (uint8)(0, 1, 2, 3, 4, 5, 6, 7);
        const words w = philox((words){block_low, (uint8)(block >> 32), (uint8)(0u), (uint8)(0u)}, seed, seed >> 32);
        const long at = part / 2 * 64 + part % 2 * 8;
        float8 z0, z1, z2, z3;
        normal_pair(w.w0, w.w1, &z0, &z1);
        normal_pair(w.w2, w.w3, &z2, &z3);
        store((float8)(loc) + (float8)(scale) * z0, out, at, n);
        store((float8)(loc) + (float8)(scale) * z1, out, at + 16, n);
        store((float8)(loc) + (float8)(scale) * z2, out, at + 32, n);
        store((float8)(loc) + (float8)(scale) * z3, out, at + 48, n);
    }
}
