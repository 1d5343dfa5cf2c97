## Functions that expressions call and that OpenCL C does not have, or that drivers have wrong. Each is written for one element and
## applied to every lane, or for vectors. What a lane gets never depends on its neighbours. "Own fit" is a minimax polynomial (Remez).
<%!
    import re

    CALL = re.compile(r"\b([a-z_]+?)_((?:char|uchar|int|uint|long|ulong|float|double)(?:\d*))\(")

    # The functions by their names, each with the parts that it is made of; parts named wide_... exist for the wide type alone.
    FUNCTIONS = {
        "integer_power": (),
        "remainder": (),
        "modulo": ("remainder",),
        "rise": ("near_rise",),
        "power": ("fraction", "near_rise"),
        "exp": ("rise",),
        "exp_minus_one": ("rise",),
        "log": ("fraction",),
        "sigmoid": ("exp", "inverse"),
        "tanh": ("rise", "inverse"),
        "erf": ("rise",),
        "hard_sigmoid": (),
        "sin": ("quarter_turns",),
        "cos": ("quarter_turns",),
        "tan": ("quarter_turns",),
        "erfinv": (),
        "gamma": ("wide_gamma",),
        "gammaln": ("wide_gammaln",),
        "digamma": ("wide_digamma",),
        "wide_polygamma": ("wide_digamma",),
        "polygamma": ("wide_polygamma",),
    }

    def element_of(kind):
        """The type of one element of a vector type."""
        return kind.rstrip("0123456789")

    def wide_of(element, fp64):
        """What the functions around the gamma function compute in: double wherever there is one, since they cancel near their zeros."""
        return "double" if fp64 else element

    def wanted(lines, fp64):
        """The (function, type) pairs that the lines call and their parts, each once, parts first."""
        found = {}

        def want(name, kind):
            kind = wide_of(element_of(kind), fp64) if name.startswith("wide_") else kind
            for part in FUNCTIONS.get(name, ()):
                want(part, kind)
            found[name, kind] = None

        for _, _, code in lines:
            for name, kind in CALL.findall(code):
                if name in FUNCTIONS:
                    want(name, kind)
        return list(found)

    def number(value, element):
        """A constant of an element's type."""
        return f"{value}f" if element == "float" else f"{value}"

    def some_lane(far, lanes):
        """Is a comparison true for any lane? PoCL's `any` goes through them."""
        if lanes == 1:
            return far
        flags = f"convert_char{lanes}({far})"
        kind, parts = {2: ("ushort", [""]), 4: ("uint", [""]), 8: ("ulong", [""]), 16: ("ulong2", [".x", ".y"])}[lanes]
        return f"({' | '.join(f'as_{kind}({flags}){part}' for part in parts)}) != 0"

    def polynomial(x, coefficients, element, fused=None):
        """Horner's scheme; the coefficients stand in one text, the constant term first. `fused`: the type to multiply and add in at once."""
        *lower, text = [f"({fused})({number(each, element)})" if fused else number(each, element) for each in coefficients.split()]
        for coefficient in reversed(lower):
            text = f"fma({x}, {text}, {coefficient})" if fused else f"({text}) * {x} + {coefficient}"
        return text
%>
<%def name="needed(lines, lanes)">\
% for name, T in wanted(lines, fp64):
% if loop.first and fp64:
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
% endif
${getattr(self, name)(T, element_of(T), lanes)}\
% endfor
</%def>

## name_T(x, ...) from name_one_element(x, ...).
<%def name="lanewise(name, T, element, lanes, arity)">\
<% letters = "xyz"[:arity] %>\
inline ${T} ${name}_${T}(${", ".join(f"{T} {x}" for x in letters)})
{
% if lanes == 1:
    return ${name}_one_${element}(${", ".join(letters)});
% else:
    ${T} result;
    for (int lane = 0; lane < ${lanes}; lane++)
        ((${element} *)&result)[lane] = ${name}_one_${element}(${", ".join(f"(({element} *)&{x})[lane]" for x in letters)});
    return result;
% endif
}
</%def>

<%def name="integer_power(T, element, lanes)">\
// Wraps around. A negative power of anything but 1 and -1 is 0, and so is one of 0.
inline ${element} integer_power_one_${element}(${element} base, ${element} exponent)
{
    ulong square = (ulong)base, result = 1, rest = (ulong)exponent;
    if (exponent < 0) return base == 1 ? 1 : base + 1 == 0 ? (exponent & 1 ? base : 1) : 0;
    for (; rest; rest >>= 1) {
        if (rest & 1) result *= square;
        square *= square;
    }
    return (${element})result;
}
${lanewise("integer_power", T, element, lanes, 2)}\
</%def>

## Functions of OpenCL C that PoCL has wrong for vectors of doubles: there they are called for each lane.

## Remainder of the truncated quotient, exact. Vectors of doubles: PoCL's never ends where one divisor is infinite.
## Floats: PoCL's calls a function for each lane, and Mesa's takes a round of a loop for each bit of the quotient.
<%def name="remainder(T, element, lanes)">\
% if element == "double":
${sound_for_doubles("remainder", "fmod", T, element, lanes)}\
% else:
<% I = T.replace("float", "int") %>\
// x modulo y for x / y < 2^19: a quotient that is off by less than 1/6 rounds to one with which the product and the difference are exact.
inline ${T} remainder_near_${T}(${T} x, ${T} y)
{
    const ${T} rest = fma(-rint(x / y), y, x);
    return x < y ? x : rest < 0 ? rest + y : rest;
}

inline ${T} remainder_${T}(${T} x, ${T} y)
{
    const ${T} size = fabs(y);
    ${T} rest = fabs(x);
    const ${I} none = (rest < INFINITY) == 0 | (size > 0) == 0, far = (rest / size >= 0x1p19f) & (none == 0);
    if (${some_lane("far", lanes)}) {
        // From the highest bits of the quotient on, 19 of them a step, three steps a round.
        ${I} power = ilogb(far ? rest : (${T})(1)) - ilogb(far ? size : (${T})(1)) - 18;
        while (${some_lane("power > 0", lanes)}) {
% for _ in range(3):
            rest = power > 0 ? remainder_near_${T}(rest, ldexp(size, max(power, 0))) : rest;
            power -= 19;
% endfor
        }
    }
    return none ? (${T})(NAN) : copysign(remainder_near_${T}(rest, size), x);
}
% endif
</%def>

<%def name="modulo(T, element, lanes)">\
inline ${T} modulo_${T}(${T} x, ${T} y)
{
    const ${T} rest = remainder_${T}(x, y);
    return rest == 0 ? copysign((${T})(0), y) : (rest < 0) != (y < 0) ? rest + y : rest;
}
</%def>

<%def name="sound_for_doubles(name, given, T, element, lanes)">\
% if element == "double" and lanes > 1:
inline double ${name}_one_double(double x, double y) { return ${given}(x, y); }
${lanewise(name, T, element, lanes, 2)}\
% else:
inline ${T} ${name}_${T}(${T} x, ${T} y) { return ${given}(x, y); }
% endif
</%def>

## Exponentials and what is made of them. The built-ins of PoCL are slow, and those of Intel take a vector of few operations apart. The floats'
## functions contract, so that their polynomials take half of the operations; no result hangs on it. Doubles take the built-ins.

## What becomes of lanes that are far out, all at once: few vectors have one.
<%def name="where_any(far, lanes)">if (${some_lane(far, lanes)})</%def>

<%def name="near_rise(T, element, lanes)">\
% if element == "float":
// exp(x) - 1 for |x| < 0.35, for small x with all its digits. An own fit.
inline ${T} near_rise_${T}(${T} x)
{
#pragma OPENCL FP_CONTRACT ON
    const ${T} rest = ${polynomial("x", "0.499999981 0.166665432 0.0416672018 0.00836658034 0.00138825113", element)};
    return x + x * x * rest;
}
% endif
</%def>

<%def name="rise(T, element, lanes)">\
% if element == "float":
<% U = T.replace("float", "uint") %>\
// exp(x) = 2^n (1 + rise), for |x| < 2^20: the rise, and n in the low bits of `turns`.
inline ${T} rise_${T}(${T} x, ${U} *turns)
{
#pragma OPENCL FP_CONTRACT ON
    const ${T} shifted = x * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f; // at 1.5 * 2^23 the last bit is worth 1
    const ${T} r = (x - n * 0.693359375f) - n * -2.12194440e-4f; // log(2) in two parts; the first product is exact
    *turns = as_${U}(shifted);
    return near_rise_${T}(r);
}

// 2^n for -127 < n < 128.
inline ${T} power_of_two_${T}(${U} turns) { return as_${T}((turns << 23) + 0x3f800000u); }
% endif
</%def>

<%def name="fraction(T, element, lanes)">\
% if element == "float":
<% S, U = T.replace("float", "int"), T.replace("float", "uint") %>\
// x = 2^n (1 + fraction) for x > 0, with 1 + fraction from sqrt(1 / 2) to sqrt(2). `far`: lanes that may be denormal, or no such number.
inline ${T} fraction_${T}(${T} x, ${S} far, ${T} *n)
{
    ${U} bits = as_${U}(x);
    ${T} scaled = 0;
    ${where_any("far", lanes)} {
        const ${S} small = x < 0x1p-126f;
        bits = small ? as_${U}(x * 0x1p23f) : bits;
        scaled = small ? (${T})(-23) : scaled;
    }
    bits -= 0x3f3504f3u;
    *n = scaled + convert_${T}(as_${S}(bits) >> 23);
    return as_${T}((bits & 0x007fffffu) + 0x3f3504f3u) - 1;
}
% endif
</%def>

<%def name="power(T, element, lanes)">\
% if element == "float":
<% S, U = T.replace("float", "int"), T.replace("float", "uint") %>\
// The number without its last 12 bits: products of two such are exact (Dekker, 1971), and so the products below lose nothing.
inline ${T} upper_${T}(${T} x) { return as_${T}(as_${U}(x) & 0xfffff000u); }

inline ${T} power_${T}(${T} x, ${T} y)
{
#pragma OPENCL FP_CONTRACT ON
    const ${T} size = fabs(x);
    ${S} far = as_${U}(x) - 0x00800000u >= 0x7f000000u; // no positive normal number
    ${T} n;
    const ${T} f = fraction_${T}(size, far, &n);
    // The logarithm of 1 + f is 2 s + 2/3 s^3 + ..., for s = f / (2 + f), in two parts as all that follows.
    const ${T} inverse = 1 / (2 + f), s = f * inverse, s_high = upper_${T}(s), below = upper_${T}(2 + f);
    const ${T} s_low = ((f - s_high * below) - s_high * (f - (below - 2))) * inverse, first = s_high * s_high, square = s * s;
    const ${T} rest = square * square * (${polynomial("square", "0.6000002 0.42843276 0.34575024", element)}) + s_low * (s_high + s); // an own fit
    const ${T} factor = upper_${T}(3 + first + rest), product = s_high * factor;
    const ${T} product_low = s_low * factor + s * (rest - ((factor - 3) - first)), high = upper_${T}(product + product_low);
    // To base 2: times 2 / (3 log 2).
    const ${T} near = high * 0.961669922f, near_low = high * 0.000126772047f + (product_low - (high - product)) * 0.961796694f;
    const ${T} log_high = upper_${T}(near + near_low + n), log_low = near_low - ((log_high - n) - near);
    const ${T} y_high = upper_${T}(y), z_high = y_high * log_high, z_low = (y - y_high) * log_high + y * log_low, z = z_high + z_low;
    // 2^z, as in exp.
    const ${T} shifted = z + 12582912.0f, r = (z_high - (shifted - 12582912.0f)) + z_low;
    ${T} result = as_${T}(as_${U}(1 + near_rise_${T}(r * 0.693147181f)) + (as_${U}(shifted) << 23));
    far |= (fabs(z) <= 125.0f) == 0;
    ${where_any("far", lanes)} { // denormals, overflow, numbers that are not finite or not positive
        const ${S} endless = (size == 0) | (size == INFINITY) | (fabs(y) == INFINITY), rising = (size > 1) == (y > 0);
        const ${S} over = endless | ((fabs(z) <= 160.0f) == 0);
        const ${T} whole = rint(over ? ((endless ? rising : z > 0) ? (${T})(160) : (${T})(-160)) : z);
        const ${T} part = over ? (${T})(0) : (z_high - whole) + z_low;
        const ${S} turns = convert_${S}(whole), half_turns = turns >> 1;
        ${T} other = (1 + near_rise_${T}(part * 0.693147181f)) * as_${T}((half_turns + 127) << 23) * as_${T}((turns - half_turns + 127) << 23);
        const ${S} integral = rint(y) == y, odd = integral & ((convert_${S}(fabs(y) < 0x1p24f ? y : (${T})(0)) & 1) != 0);
        other = ((as_${S}(x) < 0) & odd) ? -other : other;
        other = (((x < 0) & (size < INFINITY) & (integral == 0)) | (x != x) | (y != y)) ? (${T})(NAN) : other;
        other = ((y == 0) | (x == 1) | ((size == 1) & (fabs(y) == INFINITY))) ? (${T})(1) : other;
        result = far ? other : result;
    }
    return result;
}
% else:
${sound_for_doubles("power", "pow", T, element, lanes)}\
% endif
</%def>

<%def name="exp(T, element, lanes)">\
inline ${T} exp_${T}(${T} x)
{
% if element == "float":
<% S, U = T.replace("float", "int"), T.replace("float", "uint") %>\
    ${U} turns;
    const ${T} rise = rise_${T}(x, &turns);
    ${T} y = as_${T}(as_${U}(1 + rise) + (turns << 23));
    const ${S} far = (fabs(x) <= 87.0f) == 0; // or not a number
    ${where_any("far", lanes)} { // denormals, overflow
        ${T} near = x > 89.0f ? (${T})(89.0f) : x;
        near = near < -104.0f ? (${T})(-104.0f) : near;
        const ${T} again = rise_${T}(near, &turns);
        const ${S} n = as_${S}(turns - 0x4b400000u), half_n = n >> 1;
        y = far ? (1 + again) * power_of_two_${T}(as_${U}(half_n)) * power_of_two_${T}(as_${U}(n - half_n)) : y;
    }
    return y;
% else:
    return exp(x);
% endif
}
</%def>

<%def name="exp_minus_one(T, element, lanes)">\
inline ${T} exp_minus_one_${T}(${T} x)
{
% if element == "float":
#pragma OPENCL FP_CONTRACT ON
    ${T} near = x > 89.0f ? (${T})(89.0f) : x;
    near = near < -40.0f ? (${T})(-40.0f) : near;
    ${T.replace("float", "uint")} turns;
    const ${T} rise = rise_${T}(near, &turns), half_scale = power_of_two_${T}(turns - 1);
    return copysign((rise * half_scale + (half_scale - 0.5f)) * 2, x);
% else:
    return expm1(x);
% endif
}
</%def>

<%def name="log(T, element, lanes)">\
inline ${T} log_${T}(${T} x)
{
% if element == "float":
#pragma OPENCL FP_CONTRACT ON
<% S, U = T.replace("float", "int"), T.replace("float", "uint") %>\
    const ${S} far = as_${U}(x) - 0x00800000u >= 0x7f000000u; // no positive normal number
    ${T} n;
    const ${T} f = fraction_${T}(x, far, &n), square = f * f;
    const ${T} rest = ${polynomial("f", "0.333333317 -0.25000821 0.200012272 -0.166233581 0.142017509 -0.131601712 0.127616215"
        " -0.0763457467", element)}; // an own fit
    ${T} y = (f + ((square * (f * rest) + n * -2.12194440e-4f) - 0.5f * square)) + n * 0.693359375f;
    ${where_any("far", lanes)} y = x > 0 ? (x < INFINITY ? y : x) : x == 0 ? (${T})(-INFINITY) : (${T})(NAN);
    return y;
% else:
    return log(x);
% endif
}
</%def>

<%def name="inverse(T, element, lanes)">\
% if element == "float":
// 1 / x for x from 1 to 2, to a unit in the last place: two steps of Newton's method from an own fit. A division takes longer.
inline ${T} inverse_${T}(${T} x)
{
#pragma OPENCL FP_CONTRACT ON
    ${T} y = ${polynomial("x", "2.12121212 -1.45454545 0.323232323", element)};
    y = y + y * (1 - x * y);
    return y + y * (1 - x * y);
}
% endif
</%def>

<%def name="sigmoid(T, element, lanes)">\
inline ${T} sigmoid_${T}(${T} x)
{
    const ${T} e = exp_${T}(-fabs(x)); // at most 1: nothing overflows, and small results keep their digits
% if element == "float":
    const ${T} y = inverse_${T}(1 + e);
    return x < 0 ? e * y : y;
% else:
    return (x < 0 ? e : (${T})(1)) / (1 + e);
% endif
}
</%def>

<%def name="tanh(T, element, lanes)">\
inline ${T} tanh_${T}(${T} x)
{
% if element == "float":
#pragma OPENCL FP_CONTRACT ON
% endif
    const ${T} size = fabs(x), near = size > 22 ? (${T})(22) : size; // from there on it is 1; PoCL's tanh never is
% if element == "float":
    ${T.replace("float", "uint")} turns;
    const ${T} rise = rise_${T}(-2 * near, &turns), scale = power_of_two_${T}(turns);
    const ${T} fall = rise * scale + (scale - 1); // exp(-2 |x|) - 1
    return copysign(fall * inverse_${T}(2 + fall), x);
% else:
    const ${T} rise = expm1(2 * near);
    return copysign(rise / (rise + 2), x);
% endif
}
</%def>

<%def name="erf(T, element, lanes)">\
inline ${T} erf_${T}(${T} x)
{
% if element == "float":
#pragma OPENCL FP_CONTRACT ON
    // Own fits of erf(x) / x - 1 over x^2 and of -log(1 - erf(x)); from 3.95 on it is 1.
    const ${T} size = fabs(x), t = size > 3.95f ? (${T})(3.95f) : size, square = x * x;
    const ${T} centre = ${polynomial("square", "0.128379154 -0.376125233 0.112821408 -0.0267789089 0.00501196282 -0.000609035991", element)};
    const ${T} power = ${polynomial("t", "0.000166447192 1.12779724 0.63697608 0.104113681 -0.0223152143 0.00306549062 -0.000198219685", element)};
    ${T.replace("float", "uint")} turns;
    const ${T} rise = rise_${T}(-power, &turns), scale = power_of_two_${T}(turns);
    return size < 0.9f ? x + x * centre : copysign((1 - scale) - rise * scale, x);
% else:
    return erf(x);
% endif
}
</%def>

<%def name="hard_sigmoid(T, element, lanes)">\
inline ${T} hard_sigmoid_${T}(${T} x, ${T} alpha, ${T} beta)
{
    const ${T} line = fma(alpha, x, beta);
    return line < 0 ? (${T})(0) : line > 1 ? (${T})(1) : line;
}
</%def>

## Sine, cosine and tangent. PoCL's for vectors of floats are wrong for small numbers beside large ones.

<%def name="quarter_turns(T, element, lanes)">\
<%
    double = element == "double"
    S, bits = T.replace(element, "long" if double else "int"), "ulong" if double else "uint"
    signed, size, mantissa = ("long", 64, 53) if double else ("int", 32, 24)
%>\
// The digits of 1 / (2 pi) in base 2.
__constant ${bits} turn_digits_${element}[] = {
% if double:
    0x28be60db9391054aUL, 0x7f09d5f47d4d3770UL, 0x36d8a5664f10e410UL, 0x7f9458eaf7aef158UL, 0x6dc91b8e909374b8UL,
    0x01924bba82746487UL, 0x3f877ac72c4a69cfUL, 0xba208d7d4baed121UL, 0x3a671c09ad17df90UL, 0x4e64758e60d4ce7dUL,
    0x272117e2ef7e4a0eUL, 0xc7fe25fff7816603UL, 0xfbcbc462d6829b47UL, 0xdb4d9fb3c9f2c26dUL, 0xd3d18fd9a797fa8bUL,
    0x5d49eeb1faf97c5eUL, 0xcf41ce7de294a4baUL, 0x9afed7ec47e35742UL, 0x1580cc11bf1edaeaUL
% else:
    0x28be60dbu, 0x9391054au, 0x7f09d5f4u, 0x7d4d3770u, 0x36d8a566u, 0x4f10e410u, 0x7f9458eau
% endif
};

// The same as quarter_turns below for one x > 1, of any size (Payne and Hanek): the product of x and 1 / (2 pi) without the digits
// that are whole turns, then two bits for the quarter and the rest for the angle.
inline ${element} quarter_turns_far_${element}(${element} x, ${signed} *quarter)
{
    const ${bits} all = as_${bits}(x), digits = all << ${size - mantissa} | (${bits})1 << ${size - 1};
    const int shift = (int)(all >> ${mantissa - 1}) - ${1022 if double else 126}, word = shift / ${size}, left = shift % ${size};
    ${bits} high = word ? turn_digits_${element}[word - 1] : 0, middle = turn_digits_${element}[word], low = turn_digits_${element}[word + 1];
    if (left) {
        high = high << left | middle >> (${size} - left);
        middle = middle << left | low >> (${size} - left);
        low = low << left | turn_digits_${element}[word + 2] >> (${size} - left);
    }
% if double:
    ulong below = digits * middle + mul_hi(digits, low);
    ulong above = digits * high + mul_hi(digits, middle) + (below < digits * middle);
    const int over = (int)(above >> 61 & 1);
    *quarter = (long)(above >> 62) + over;
    above &= 0x3fffffffffffffffUL;
    if (over) { // the angle is negative: its distance from the next quarter
        above = ~(above | 0xc000000000000000UL);
        below = ~below; // one unit in the last of 126 digits is nothing
    }
    const double angle = ((double)above + (double)below * 0x1p-64) * (1.5707963267948966 * 0x1p-62);
    return over ? -angle : angle;
% else:
    ulong product = (ulong)digits * middle + ((ulong)digits * low >> 32) + ((ulong)(digits * high) << 32);
    const int over = (int)(product >> 61 & 1);
    *quarter = (int)(product >> 62) + over;
    const long rest = (long)(product << 2) >> 2;
    const float part = (float)rest, remainder = (float)(rest - (long)part);
    return fma(part, 0x1.921fb6p-62f, fma(part, -0x1.777a5cp-87f, remainder * 0x1.921fb6p-62f));
% endif
}

// x = quarter * pi / 2 + r for x >= 0, with |r| a little above pi / 4 at most; of the quarter, only the last two bits are.
inline ${T} quarter_turns_${T}(${T} x, ${S} *quarter)
{
    const ${S} far = (x <= ${"1e9" if double else "1e5f"}) == 0; // or not a number
    const ${T} near = far ? (${T})(0) : x;
    // At 1.5 * 2^${52 if double else 23} the last bit is worth 1.
    const ${T} shifted = near * ${number("0.63661977236758134", element)} + ${number("6755399441055744.0" if double else "12582912.0", element)};
    const ${T} turns = shifted - ${number("6755399441055744.0" if double else "12582912.0", element)};
    // The first step is exact; pi / 2 in three parts.
% if double:
    ${T} r = fma(turns, (${T})(-1.5707963267948966), near);
    r = fma(turns, (${T})(-6.123233995736766e-17), r);
    r = fma(turns, (${T})(1.4973849048591698e-33), r);
% else:
    ${T} r = fma(turns, (${T})(-1.57079637f), near);
    r = fma(turns, (${T})(4.37113900e-8f), r);
    r = fma(turns, (${T})(1.71512451e-15f), r);
% endif
    *quarter = as_${S}(shifted);
% if lanes == 1:
    if (far) r = x < INFINITY ? quarter_turns_far_${element}(x, quarter) : NAN;
% else:
    if (${some_lane("far", lanes)})
        for (int lane = 0; lane < ${lanes}; lane++) {
            const ${element} one = ((${element} *)&x)[lane];
            if (((${signed} *)&far)[lane])
                ((${element} *)&r)[lane] = one < INFINITY ? quarter_turns_far_${element}(one, (${signed} *)quarter + lane) : NAN;
        }
% endif
    return r;
}

// Own fits, relative errors below 2^-${58 if double else 28}.
inline ${T} near_sine_${T}(${T} r)
{
    const ${T} square = r * r;
% if double:
    const ${T} rest = ${polynomial("square", "-0.16666666666666632 0.008333333333322384 -0.00019841269829780944 2.755731368145478e-06"
        " -2.5050756306676863e-08 1.5896681823887785e-10", element)};
% else:
    const ${T} rest = ${polynomial("square", "-0.16666655 0.008332176 -0.00019516972", element)};
% endif
    return r + r * square * rest;
}

inline ${T} near_cosine_${T}(${T} r)
{
    const ${T} square = r * r;
% if double:
    const ${T} rest = ${polynomial("square", "0.0416666666666666 -0.0013888888888874075 2.480158728944865e-05 -2.75573143419398e-07"
        " 2.0875721776699913e-09 -1.135956640309983e-11", element)};
% else:
    const ${T} rest = ${polynomial("square", "0.041666646 -0.0013887364 2.443808e-05", element)};
% endif
    const ${T} half_square = ${number("0.5", element)} * square, sum = 1 - half_square;
    return sum + (((1 - sum) - half_square) + square * square * rest); // with what the first difference lost
}
</%def>

<%def name="sin(T, element, lanes)">\
<% S, U = (T.replace(element, kind) for kind in (("long", "ulong") if element == "double" else ("int", "uint"))) %>\
inline ${T} sine_of_size_${T}(${T} size)
{
    ${S} quarter;
    const ${T} r = quarter_turns_${T}(size, &quarter);
    const ${T} y = (quarter & 1) != 0 ? near_cosine_${T}(r) : near_sine_${T}(r);
    return as_${T}(as_${U}(y) ^ as_${U}(quarter >> 1) << ${63 if element == "double" else 31});
}

inline ${T} sin_${T}(${T} x)
{
% if element == "float":
#pragma OPENCL FP_CONTRACT ON
% endif
    const ${T} size = fabs(x);
% if element == "float":
    // By half turns, as quarter_turns; an own fit.
    const ${T} shifted = size * 0.318309886f + 12582912.0f, turns = shifted - 12582912.0f;
    const ${T} r = fma(turns, (${T})(3.43024902e-15f), fma(turns, (${T})(8.74227801e-8f), fma(turns, (${T})(-3.14159274f), size)));
    const ${T} square = r * r;
    const ${T} rest = ${polynomial("square", "-0.166666595 0.00833306608 -0.000198095901 2.60575076e-6", element)};
    ${T} y = r + r * (square * rest);
    y = y > 1 ? (${T})(1) : y;
    y = y < -1 ? (${T})(-1) : y;
    y = as_${T}(as_${U}(y) ^ as_${U}(shifted) << 31);
    const ${S} far = (size <= 1e5f) == 0; // or not a number
    ${where_any("far", lanes)} y = far ? sine_of_size_${T}(size) : y;
% else:
    const ${T} y = sine_of_size_${T}(size);
% endif
    return as_${T}(as_${U}(y) ^ (as_${U}(x) & as_${U}((${T})(-0.0f))));
}
</%def>

<%def name="cos(T, element, lanes)">\
<% S, U = (T.replace(element, kind) for kind in (("long", "ulong") if element == "double" else ("int", "uint"))) %>\
inline ${T} cos_${T}(${T} x)
{
    ${S} quarter;
    const ${T} r = quarter_turns_${T}(fabs(x), &quarter);
    const ${T} size = (quarter & 1) != 0 ? near_sine_${T}(r) : near_cosine_${T}(r);
    return as_${T}(as_${U}(size) ^ (as_${U}((quarter + 1) >> 1) << ${63 if element == "double" else 31}));
}
</%def>

<%def name="tan(T, element, lanes)">\
<% S, U = (T.replace(element, kind) for kind in (("long", "ulong") if element == "double" else ("int", "uint"))) %>\
inline ${T} tan_${T}(${T} x)
{
    ${S} quarter;
    const ${T} r = quarter_turns_${T}(fabs(x), &quarter), sine = near_sine_${T}(r), cosine = near_cosine_${T}(r);
    const ${T} size = (quarter & 1) != 0 ? -cosine / sine : sine / cosine;
    return as_${T}(as_${U}(size) ^ (as_${U}(x) & as_${U}((${T})(-0.0f))));
}
</%def>

<%def name="erfinv(T, element, lanes)">\
// x times a function of w = -log(1 - x^2), as M. Giles, "Approximating the erfinv function" (2010). Own fits.
inline ${T} erfinv_${T}(${T} x)
{
    const ${T} w = -log((1 - x) * (1 + x)), root = sqrt(w);
% if element == "double":
    const ${T} u = w - 3.125, v = root - 3.25, t = root - 5;
    const ${T} centre = ${polynomial("u", "1.6536545626831027 0.24015818242559042 -0.00603367087142911 -0.0007407025341727113 0.0001867342080285486"
        " -1.3882523347599071e-05 -1.365469189422842e-06 4.234787620064428e-07 -2.9070380110110065e-08 -4.112624461894225e-09"
        " 1.0512177563984752e-09 -5.415744848430525e-11 -1.2976942107881111e-11 2.6342351976105793e-12 -8.11419577882375e-14"
        " -4.064524260043034e-14 6.5876607698393375e-15 2.9320362721738216e-17 -1.2924631834137895e-16 1.0767359159393218e-17"
        " 1.0999039320943337e-18 -1.6069551560017562e-19", element, T)};
    const ${T} side = ${polynomial("v", "3.0838856104922208 1.0052589676941572 0.005370914553583288 -0.0037512085073763473 0.0024914420965824156"
        " -0.0016882755612435013 0.0009532893684821995 -0.0003550374576598262 2.4031235433872817e-05 6.828445577118182e-05"
        " -4.7318977741584355e-05 1.2476710149384958e-05 2.9260052466753336e-06 -4.016693599113506e-06 1.4977405314020796e-06"
        " 2.1238601747315068e-08 -2.6998907766022204e-07 8.945195552547754e-08", element, T)};
    const ${T} tail = ${polynomial("t", "4.849906401408584 1.0103004648645284 -0.00013871931836041172 -0.00021503011905781594"
        " 7.599527766805205e-05 -1.9681780860668203e-05 4.526056604367736e-06 -9.92969098443359e-07 2.290313431275612e-07"
        " -6.774629814206865e-08 2.9085964317348734e-08 -1.491413955195856e-08 7.694398624210219e-09 -3.82054570411598e-09"
        " 1.4563899700711008e-09 -2.471832397420923e-10 -1.3693038971416144e-11", element, T)};
    const ${T} slope = w < 6.25 ? centre : root < 4 ? side : tail;
% else:
    const ${T} u = w - 2.5f, v = root - 3.125f;
    const ${T} centre = ${polynomial("u", "1.5014094 0.24664028 -0.004177387 -0.0012527419 0.00021834444 -4.9633236e-06 -3.462705e-06"
        " 4.661652e-07 2.3232648e-08 -8.790656e-09", element, T)};
    const ${T} tail = ${polynomial("v", "2.9583201 1.0037186 0.00704812 -0.005300094 0.0037916095 -0.0025258276 0.0012736091 -0.00031406552"
        " -0.000117789445 0.00012360983 -2.942919e-05", element, T)};
    const ${T} slope = w < 5 ? centre : tail;
% endif
    return fabs(x) == 1 ? x * INFINITY : x * slope;
}
</%def>

## The gamma function, its logarithm, and the derivatives of that.

<%def name="wide_gamma(W, element, lanes)">\
inline ${W} wide_gamma_${W}(${W} x)
{
    const ${W} size = fabs(x), whole = floor(x);
    if (x != x || x == INFINITY) return x;
    if (x <= 0 && x == whole) return x == 0 ? 1 / x : NAN;
    if (size > ${200 if W == "double" else 45}) return x > 0 ? INFINITY : whole * ${number("0.5", W)} == floor(whole * ${number("0.5", W)}) ? 0 : ${number("-0.0", W)};
    // To [1.5, 2.5) step by step, and there an own fit of 1 / gamma(2 + t), relative error below 2^-56. (A power is dear in double.)
    if (size < ${45 if W == "double" else 10}) {
        ${W} y = x, product = 1, divisor = 1;
        for (; y >= ${number("2.5", W)}; product *= y) y -= 1;
        for (; y < ${number("1.5", W)}; y += 1) divisor *= y;
        const ${W} t = y - 2;
        return product / (divisor * (${polynomial("t", "1.0 -0.4227843350984668 -0.23309373642178632 0.19109110138763732 -0.024552490005420466"
            " -0.017645244547816536 0.00802327302254925 -0.0008043298197344564 -0.00036083781594684164 0.00014559657181090907"
            " -1.7545895799194265e-05 -2.5912354916475088e-06 1.3388048955568959e-06 -1.995302750962697e-07 -1.1864035944745972e-09", W)}));
    }
    // Stirling's formula with an own fit of what it leaves (below 2^-57); the power in halves, which do not overflow.
    const ${W} u = 1 / size, power = pow(size, ${number("0.5", W)} * size - ${number("0.25", W)});
    const ${W} rest = exp(-size) * ${number("2.5066282746310002", W)} * (${polynomial("u", "1.0 0.0833333333333255 0.0034722222243409183"
        " -0.002681327381230783 -0.00022946055068215115 0.0007836989757528709 7.565431994740012e-05 -0.0006529493138401877"
        " 0.0002911430367454215", W)});
    if (x > 0) return power * rest * power;
    const ${W} nearest = rint(size), sine = sin((size - nearest) * ${number("3.141592653589793", W)});
    const ${W} mirrored = ${number("-3.141592653589793", W)} / (size * sine) / power / rest / power;
    return nearest * ${number("0.5", W)} == floor(nearest * ${number("0.5", W)}) ? mirrored : -mirrored;
}
</%def>

<%def name="gamma(T, element, lanes)">\
<% W = wide_of(element, fp64) %>\
inline ${element} gamma_one_${element}(${element} x) { return wide_gamma_${W}(x); }
${lanewise("gamma", T, element, lanes, 1)}\
</%def>

<%def name="wide_gammaln(W, element, lanes)">\
inline ${W} wide_gammaln_${W}(${W} x)
{
    const ${W} size = fabs(x);
    if (x != x) return x;
    if (size == INFINITY || (x <= 0 && x == floor(x))) return INFINITY;
    ${W} value;
    if (size < 10) { // gammaln(2 + t) / t for |t| <= 0.5 by an own fit, relative error below 2^-56; t without rounding
        ${W} t, factor;
        const int small = size < ${number("0.5", W)}, below = size < ${number("1.5", W)};
        if (small) { t = x; factor = size * (x + 1); }
        else if (below) { t = size - 1; factor = size; }
        else {
            ${W} y = size;
            for (factor = 1; y >= ${number("2.5", W)}; factor *= y) y -= 1;
            t = y - 2;
        }
        const ${W} logarithm = log(factor);
        value = t * (${polynomial("t", "0.42278433509846713 0.3224670334241133 -0.06735230105319576 0.020580808427765933 -0.007385551028925226"
            " 0.002890510331843001 -0.0011927539013276915 0.0005096694950870947 -0.00022315497229761174 9.945794444708919e-05"
            " -4.492377156338473e-05 2.050354247591879e-05 -9.456080841931631e-06 4.3935256319684465e-06 -1.97482118291038e-06"
            " 8.998938643193471e-07 -5.806179078805687e-07 2.9771097221250317e-07", W)});
        value = below ? value - logarithm : value + logarithm;
        if (small) return value;
    } else { // Stirling's series, with Bernoulli's numbers
        const ${W} u = 1 / size, square = u * u;
        value = (size - ${number("0.5", W)}) * (log(size) - 1) + ${number("0.41893853320467274", W)}
            + u * (${polynomial("square", "0.08333333333333333 -0.002777777777777778 0.0007936507936507937 -0.0005952380952380953"
                " 0.0008417508417508417 -0.0019175269175269176 0.00641025641025641 -0.029550653594771242", W)});
    }
    if (x > 0) return value;
    return log(${number("3.141592653589793", W)} / (size * fabs(sin((size - rint(size)) * ${number("3.141592653589793", W)})))) - value;
}
</%def>

<%def name="gammaln(T, element, lanes)">\
<% W = wide_of(element, fp64) %>\
inline ${element} gammaln_one_${element}(${element} x) { return wide_gammaln_${W}(x); }
${lanewise("gammaln", T, element, lanes, 1)}\
</%def>

<%def name="wide_digamma(W, element, lanes)">\
inline ${W} wide_digamma_${W}(${W} x)
{
    if (x == 0) return -1 / x;
    if (x < 0 && x == floor(x)) return NAN;
    ${W} y = x < 0 ? 1 - x : x, value = 0;
    if (y < 10) { // to [1, 2) step by step, and there an own fit of digamma(y) / (y - its zero), relative error below 2^-58
        for (; y >= 2; value += 1 / y) y -= 1;
        if (y < 1) { value -= 1 / y; y += 1; }
        const ${W} t = y - ${number("1.5", W)};
% if W == "double":
        const ${W} distance = (y - 1.4616321446374059) - 3.309564689176888e-10;
% else:
        const ${W} distance = (y - 1.46163213f) - 1.24381501e-8f;
% endif
        value += distance * (${polynomial("t", "0.9510558760318328 -0.4236274212814606 0.24054248424078722 -0.1484049230538802 0.09498872445285002"
            " -0.061922133275550455 0.04076083394337775 -0.026975796657315438 0.01790724823594765 -0.01190822015996442 0.007927023321430028"
            " -0.0052799365465260005 0.003518088764711913 -0.0023455005719212056 0.0015635030246950346 -0.0010364281980067087"
            " 0.0006902836207715892 -0.0004860467787793845 0.0003258771957600899 -0.00014463477455904108 9.32997941309136e-05"
            " -0.00017834985270857916 0.00012117074950983246", W)});
    } else { // the derivative of Stirling's series
        const ${W} u = 1 / y, square = u * u;
        value = log(y) - u * ${number("0.5", W)} - square * (${polynomial("square", "0.08333333333333333 -0.008333333333333333 0.003968253968253968"
            " -0.004166666666666667 0.007575757575757576 -0.021092796092796094 0.08333333333333333 -0.4432598039215686", W)});
    }
    return x < 0 ? value - ${number("3.141592653589793", W)} / tan((x - rint(x)) * ${number("3.141592653589793", W)}) : value;
}
</%def>

<%def name="digamma(T, element, lanes)">\
<% W = wide_of(element, fp64) %>\
inline ${element} digamma_one_${element}(${element} x) { return wide_digamma_${W}(x); }
${lanewise("digamma", T, element, lanes, 1)}\
</%def>

<%def name="wide_polygamma(W, element, lanes)">\
// The sum of n! / (a + k)^(n + 1) over k >= 0, a > 0: the first terms one by one, the rest by the formula of Euler and Maclaurin.
inline ${W} wide_power_sum_${W}(${W} n, ${W} a)
{
    ${W} sum = 0, term, total = ${number("0.5", W)};
    for (; a < 11 + n; a += 1) {
        term = 1 / a;
        for (${W} i = 1; i <= n; i += 1) term *= i / a;
        sum += term;
    }
    term = 1;
    for (${W} i = 1; i <= n; i += 1) term *= i / a;
    ${W} factor = (n + 1) / a;
    const ${W} square = a * a;
    // Bernoulli's numbers by the factorials of twice their indices.
<%
    terms = (
        "0.08333333333333333 -0.001388888888888889 3.306878306878307e-05 -8.267195767195768e-07 2.08767569878681e-08"
        " -5.284190138687493e-10 1.3382536530684679e-11 -3.3896802963225827e-13 8.586062056277845e-15"
    ).split()
%>\
% for term in terms:
    total += ${number(term, W)} * factor;
% if not loop.last:
    factor *= (n + ${2 * loop.index + 2}) * (n + ${2 * loop.index + 3}) / square;
% endif
% endfor
    return sum + term * (1 / n + total / a);
}

inline ${W} wide_polygamma_${W}(${W} n, ${W} x)
{
    if (n < 1) return wide_digamma_${W}(x);
    const ${W} sign = n * ${number("0.5", W)} == floor(n * ${number("0.5", W)}) ? -1 : 1, below = floor(x), above = ceil(x);
    if (x > 0 || x != x) return sign * wide_power_sum_${W}(n, x);
    if (x == below) return x == -INFINITY ? NAN : sign * INFINITY;
    // The sum over all integers k, which is 0 for even n halfway between two integers, less that over the k beyond.
    return sign * wide_power_sum_${W}(n, x - below) + wide_power_sum_${W}(n, above - x) - wide_power_sum_${W}(n, 1 - x);
}
</%def>

<%def name="polygamma(T, element, lanes)">\
<% W = wide_of(element, fp64) %>\
inline ${element} polygamma_one_${element}(${element} n, ${element} x) { return wide_polygamma_${W}(n, x); }
${lanewise("polygamma", T, element, lanes, 2)}\
</%def>
