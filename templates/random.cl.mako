<%doc>
Random numbers from a counter: Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).

The key is the 64-bit seed, the counter the 64-bit number of a block, and a block gives four 32-bit words. Blocks stand in tiles of sixteen: in
memory come the first outputs of all its blocks, then the second outputs, and so on. So neighbours in memory come from neighbouring blocks, which
suits vectors on a CPU and coalesced stores on a GPU, and a position depends on (seed, offset, position) alone: not on schedule, lanes or size.

Apart from the integers of Philox only +, -, *, comparisons, conversions from integers and bit operations are used, and nothing is contracted:
OpenCL rounds all of these correctly. So the same seed gives the same bits on every device (denormal results apart, which a device may flush).

Parameters
    name            the kernel's name
    storage         type of an output in memory: "uint", "ulong" for bits; "half", "float", "double"; an integer type for randint
    compute         type that it is computed in: that of storage, for half float
    distribution    "bits", "uniform", "normal", "randint"
    schedule        "cpu": every work-item a contiguous chunk; "gpu": grid-stride
    lanes           blocks handled as one vector: 1, 2, 4, 8 or 16
    arrays          the parameters of uniform and normal are arrays, whose entry i / each belongs to position i
    wide            randint: the range is above 2**32, an output takes four words instead of two
    counter_high    the upper 64 bits of the counter: 0, but for the published test vectors

Arguments: out, n, seed, offset (blocks used so far: a multiple of 16, for a launch uses whole tiles), then
    uniform     low, high       of the type `compute`: values in [low, high); low where they are equal
    normal      loc, scale      of the type `compute`
        or, with arrays, for each of the two a buffer of this type and the position of its first entry (long), then each (long)
    randint     low (long), range (ulong, 0 for 2**64)
</%doc>\
<%namespace name="philox" file="/philox.cl.mako"/>\
<%page args="name, storage, compute, distribution, schedule, lanes, arrays=False, wide=False, counter_high=0"/>\
<%
    double = compute == "double"
    real, bits, signed = ("double", "ulong", "long") if double else ("float", "uint", "int")
    half = "_rtn" if distribution == "uniform" else ""
    v = "" if lanes == 1 else str(lanes)
    # Outputs of a block of four words
    outputs = 1 if wide else 2 if distribution == "randint" or storage in ("double", "ulong") else 4
    tile = 16 * outputs
    parameters = {"uniform": ("low", "high"), "normal": ("loc", "scale")}.get(distribution, ())

    def number(text):
        """A constant in the type that is computed in."""
        return text if double else text + "f"
%>\
#pragma OPENCL FP_CONTRACT OFF
% if double:
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
% endif

${philox.generator(lanes)}\
% if outputs < 4:

ulong${v} join(uint${v} low, uint${v} high)
{
    return convert_ulong${v}(high) << 32 | convert_ulong${v}(low);
}
% endif
% if distribution == "uniform":

// The upper bits of the word, as many as the type keeps in [1/2, 1), so that no value is rounded.
${real}${v} between(${real}${v} low, ${real}${v} high, ${bits}${v} word)
{
    const ${real}${v} drawn = low + (high - low) * (convert_${real}${v}(word >> ${11 if double else 8}) * ${number("0x1p-53" if double else "0x1p-24")});
    // The sum may round up to high, which is not of the interval; then the number below it. Below 0 that is the first normal one.
    const ${signed}${v} pattern = as_${signed}${v}(high);
    const ${signed}${v} toward_zero = pattern - 1, from_zero = pattern + 1, negative = ${"(long%s)(0x8010000000000000L)" % v if double else "(int%s)(0x80800000)" % v};
    const ${real}${v} below = as_${real}${v}(pattern > 0 ? toward_zero : high == 0 ? negative : from_zero);
    return low < high && drawn >= high ? below : drawn;
}
% elif distribution == "normal":

${philox.normal_numbers(compute, lanes)}\
% elif distribution == "randint" and wide:

// The upper 64 bits of the 128-bit product of a 128-bit word, its upper half rounded down, with range (0 for 2^64).
ulong${v} scaled(ulong${v} low, ulong${v} high, ulong range)
{
    const ulong${v} product = high * range, sum = product + mul_hi(low, (ulong${v})(range));
    const ulong${v} carry = sum < product ? (ulong${v})(1) : (ulong${v})(0);
    return range == 0 ? high : mul_hi(high, (ulong${v})(range)) + carry;
}
% elif distribution == "randint":

// The upper 32 bits of the 96-bit product of a 64-bit word with range <= 2^32.
ulong${v} scaled(uint${v} low, uint${v} high, ulong range)
{
    return (convert_ulong${v}(high) * range + (convert_ulong${v}(low) * range >> 32)) >> 32;
}
% endif
% if arrays:

// The parameters of the positions from at on.
${real}${v} entries(__global const ${real} *values, long at, long each, long n)
{
% if lanes == 1:
    return values[min(at, n - 1) / each];
% else:
    ${real} found[${lanes}];
    for (int lane = 0; lane < ${lanes}; ++lane)
        found[lane] = values[min(at + lane, n - 1) / each];
    return vload${lanes}(0, found);
% endif
}
% endif

% if storage == "half" and distribution == "uniform":
// Rounded down, so that none becomes high, and each half has the share of the interval up to the next.
% endif
void store(${compute}${v} drawn, __global ${storage} *out, long at, long n)
{
% if lanes == 1 and storage == "half":
    if (at < n)
        vstore_half${half}(drawn, at, out);
% elif lanes == 1:
    if (at < n)
        out[at] = drawn;
% else:
    if (at + ${lanes} <= n) {
        ${f"vstore_half{v}{half}" if storage == "half" else f"vstore{v}"}(drawn, 0, out + at);
    } else {
        ${compute} lane[${lanes}];
        vstore${v}(drawn, 0, lane);
        for (int i = 0; at + i < n; ++i)
            ${f"vstore_half{half}(lane[i], at + i, out)" if storage == "half" else "out[at + i] = lane[i]"};
    }
% endif
}

__kernel void ${name}(__global ${storage} *out, long n, ulong seed, ulong offset\
% for parameter in parameters:
, ${f"__global const {real} *{parameter}_values, long {parameter}_start" if arrays else f"{real} {parameter}"}\
% endfor
% if arrays:
, long each\
% endif
% if distribution == "randint":
, long low, ulong range\
% endif
)
{
% if lanes == 16:
    const long parts = (n + ${tile - 1}) / ${tile};
% else:
    // A tile of 16 blocks is handled in ${16 // lanes} parts.
    const long parts = (n + ${tile - 1}) / ${tile} * ${16 // lanes};
% endif
% if schedule == "cpu":
    const long chunk = (parts + get_global_size(0) - 1) / get_global_size(0);
    const long first = get_global_id(0) * chunk, end = min(first + chunk, parts), step = 1;
% else:
    const long first = get_global_id(0), end = parts, step = get_global_size(0);
% endif
% for parameter in parameters if arrays else ():
    ${parameter}_values += ${parameter}_start;
% endfor
    for (long part = first; part < end; part += step) {
        const ulong block = offset + part * ${lanes};
        // No carry: both offset and the blocks of a tile are multiples of 16.
        const uint${v} block_low = (uint)block${"" if lanes == 1 else f" + (uint{v})({', '.join(map(str, range(lanes)))})"};
        const words w = philox((words){block_low, (uint${v})(block >> 32), (uint${v})(${counter_high & 0xFFFFFFFF}u), (uint${v})(${counter_high >> 32}u)}, seed, seed >> 32);
        const long at = ${f"part * {tile}" if lanes == 16 else f"part / {16 // lanes} * {tile} + part % {16 // lanes} * {lanes}"};
<%
    joined = ("join(w.w0, w.w1)", "join(w.w2, w.w3)")
    drawn = ("w.w0", "w.w1", "w.w2", "w.w3") if outputs == 4 else joined
%>\
% if distribution == "normal":
        ${real}${v} ${", ".join(f"z{i}" for i in range(outputs))};
% for i in range(0, outputs, 2):
        normal_pair(${joined[0] if double else drawn[i]}, ${joined[1] if double else drawn[i + 1]}, &z${i}, &z${i + 1});
% endfor
% endif
% for i in range(outputs):
<%
    place = f"at + {16 * i}" if i else "at"
    arguments = [f"entries({parameter}_values, {place}, each, n)" if arrays else f"({real}{v})({parameter})" for parameter in parameters]
    if distribution == "uniform":
        result = f"between({arguments[0]}, {arguments[1]}, {drawn[i]})"
    elif distribution == "normal":
        result = f"{arguments[0]} + {arguments[1]} * z{i}"
    elif distribution == "randint":
        pair = joined if wide else ("w.w0, w.w1", "w.w2, w.w3")[i : i + 1]
        result = f"convert_{compute}{v}(as_long{v}((ulong)low + scaled({', '.join(pair)}, range)))"
    else:
        result = drawn[i]
%>\
        store(${result}, out, ${place}, n);
% endfor
    }
}
