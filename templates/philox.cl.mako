## What the templates of random numbers share: the generator, and normal numbers from its words.

## Philox 4x32-10, of `lanes` counters at once.
<%def name="generator(lanes)">\
<% v = "" if lanes == 1 else str(lanes) %>\
typedef struct { uint${v} w0, w1, w2, w3; } words;

words philox(words c, uint key0, uint key1)
{
    for (int round = 0; round < 10; ++round) {
        const uint${v} high0 = mul_hi(c.w0, (uint${v})(0xD2511F53u)), low0 = c.w0 * 0xD2511F53u;
        const uint${v} high1 = mul_hi(c.w2, (uint${v})(0xCD9E8D57u)), low1 = c.w2 * 0xCD9E8D57u;
        c.w0 = high1 ^ c.w1 ^ key0;
        c.w1 = low1;
        c.w2 = high0 ^ c.w3 ^ key1;
        c.w3 = low0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return c;
}
</%def>

## Box and Muller's transform in the type `compute`, "float" or "double".
<%def name="normal_numbers(compute, lanes)">\
<%
    double = compute == "double"
    real, bits, signed = ("double", "ulong", "long") if double else ("float", "uint", "int")
    v = "" if lanes == 1 else str(lanes)

    def number(text):
        """A constant in the type that is computed in."""
        return text if double else text + "f"

    def polynomial(x, coefficients):
        """Horner's scheme; the coefficients stand in one text, the constant term first."""
        *lower, text = [number(each) for each in coefficients.split()]
        for coefficient in reversed(lower):
            text = f"({text}) * {x} + {coefficient}"
        return text
%>\
// -2 ln(u) of the uniform number u = ((word >> 1) + 1) / 2^${63 if double else 31} in (0, 1], to the last bits also where u is nearly 1.
${real}${v} minus_two_log(${bits}${v} word)
{
    // x = 2^power * (1 + t) with 1 + t between sqrt(1/2) and sqrt(2); the difference is exact in integers.
    const ${bits}${v} x = (word >> 1) + 1;
    const ${bits}${v} shift = ${"63 + 1023" if double else "31 + 127"} - (as_${bits}${v}(convert_${real}${v}(x) * ${number("1.4142135623730951" if double else "1.41421356")}) >> ${52 if double else 23});
    const ${real}${v} t = convert_${real}${v}(as_${signed}${v}((x << shift) - ${"0x8000000000000000UL" if double else "0x80000000u"})) * ${number("0x1p-63" if double else "0x1p-31")};
    // -2 (log1p(t) - t + t^2 / 2) / t^3: own minimax fit (Remez), relative error of log1p below ${"2^-56" if double else "2^-27"}.
% if double:
    const double${v} tail = ${polynomial("t", "-0.66666666666666287 0.49999999999975951 -0.40000000000133203 0.33333333339651962 -0.28571428560188267 0.24999999382869902"
        " -0.22222222294824531 0.20000030413158218 -0.18181847867481547 0.16665827067475003 -0.15383059555081458 0.14298879174173205"
        " -0.13369179348568828 0.12393356447104166 -0.11336747298582227 0.11355562518219359 -0.13007004056395806 0.11963443437266567"
        " -0.052302027511514547")};
% else:
    const float${v} tail = ${polynomial("t", "-0.666666634 0.500016421 -0.400024538 0.332467136 -0.284035129 0.26320373"
        " -0.255231848 0.152690117")};
% endif
    const ${real}${v} square = t * t;
    return convert_${real}${v}(shift) * ${number("1.3862943611198906" if double else "1.38629436")} - 2 * t + (square + square * t * tail);
}

// Newton's steps for 1 / sqrt(x) from the well-known estimate by the exponent's bits, then one for the root, which keeps 0.
${real}${v} root(${real}${v} x)
{
    ${real}${v} y = as_${real}${v}(${"0x5FE6EB50C7B537A9UL" if double else "0x5F3759DFu"} - (as_${bits}${v}(x) >> 1));
% for step in range(3 if double else 2):
    y = y * (${number("1.5")} - ${number("0.5")} * x * y * y);
% endfor
    const ${real}${v} s = x * y;
    return s + ${number("0.5")} * y * (x - s * s);
}

// Box and Muller's transform: two words, two independent normal numbers.
void normal_pair(${bits}${v} distance, ${bits}${v} direction, ${real}${v} *first, ${real}${v} *second)
{
    const ${real}${v} radius = root(minus_two_log(distance));
    // An angle of x * pi / 4, x in [-1, 1), then a quarter: the two upper bits change sine and cosine, and turn by half a circle.
    const ${real}${v} x = convert_${real}${v}(as_${signed}${v}(direction << 2)) * ${number("0x1p-63" if double else "0x1p-31")};
    const ${real}${v} square = x * x;
    // sin(pi / 4 x) / x and (cos(pi / 4 x) - 1) / x^2: own minimax fits (Remez), relative errors of both below ${"2^-58" if double else "2^-28"}.
% if double:
    const double${v} sine = x * (${polynomial("square", "0.78539816339744831 -0.08074551218828053 0.0024903945701887363 -3.6576204158456407e-5 3.1336162166339937e-7 -1.7571492941704679e-9"
        " 6.8771008443665458e-12")});
    const double${v} cosine = 1 + square * (${polynomial("square", "-0.30842513753404245 0.015854344243815433 -0.00032599188692680378 3.5908604461915244e-6 -2.4611364249531468e-8 1.1500526507055237e-10"
        " -3.8585769082408266e-13")});
% else:
    const float${v} sine = x * (${polynomial("square", "0.785398161 -0.0807454325 0.00249000102 -3.59504522e-5")});
    const float${v} cosine = 1 + square * (${polynomial("square", "-0.308425136 0.0158543278 -0.000325942008 3.53133465e-6")});
% endif
    const ${real}${v} turned = as_${real}${v}(as_${bits}${v}(radius) | (direction & ${"0x8000000000000000UL" if double else "0x80000000u"}));
    const ${signed}${v} quarter = as_${signed}${v}(direction << 1);
    *first = turned * (quarter < 0 ? sine : cosine);
    *second = turned * (quarter < 0 ? cosine : sine);
}
</%def>
