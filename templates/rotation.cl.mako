## Steps of Jacobi's method for the eigenvalues of symmetric matrices, in place of a, (batch, n, n), and of u, which collects the rotations.
## In a round every row is paired with another one: the circle method for tournaments, whose last place stands still. Of an odd number
## of rows one stays alone: its partner is n.
<%namespace name="common" file="common.cl.mako"/>\
${common.head({storage}, {storage}, fp64, contract=True)}\

// Two elements rotated. Rutishauser's form, with the tangent of half the angle, keeps lengths better than cosine and sine do.
#define rotated_x(x, y, sine, half_tangent) ((x) - (sine) * ((y) + (half_tangent) * (x)))
#define rotated_y(x, y, sine, half_tangent) ((y) + (sine) * ((x) - (half_tangent) * (y)))

inline long2 pair(const long k, const long round, const long pairs)
{
    const long places = 2 * pairs - 1;
    const long p = (round + k) % places, q = k ? (round + places - k) % places : places;
    return (long2)(min(p, q), max(p, q));
}

% if step == "rotations":
## The rotation (sine, tangent of half the angle) for each pair: the smaller of the two that make its element zero (Rutishauser, 1966).
## Elements below `least` are left alone; `rotated` tells which pairs were not, in any round of the sweep.
__kernel void ${name}(
    __global const ${storage} *a, __global ${storage} *rotations, __global ${storage} *rotated, __global const ${storage} *least,
    const long batches, const long n, const long pairs, const long round)
{
    const long batch = get_global_id(0) / pairs, k = get_global_id(0) % pairs;
    if (batch >= batches) return;
    const long2 at = pair(k, round, pairs);
    a += batch * n * n;
    ${storage} sine = 0, half_tangent = 0;
    const ${storage} off = at.y < n ? a[at.y * n + at.x] : 0;
    if (fabs(off) > least[batch]) {
        const ${storage} slope = (a[at.y * n + at.y] - a[at.x * n + at.x]) / (2 * off);
        const ${storage} tangent = copysign((${storage})1, slope) / (fabs(slope) + sqrt(1 + slope * slope));
        const ${storage} cosine = 1 / sqrt(1 + tangent * tangent);
        sine = tangent * cosine;
        half_tangent = sine / (1 + cosine);
    }
    rotations[2 * get_global_id(0)] = sine;
    rotations[2 * get_global_id(0) + 1] = half_tangent;
    rotated[get_global_id(0)] = sine != 0 || (round && rotated[get_global_id(0)] != 0);
}
% elif step == "rotate":
## Applies the rotations of a round from both sides to a, and from the left to u: two rows and two columns at a time, where nobody else writes.
## Dimension 1 has the pairs of rows, dimension 0 takes the pairs of columns. Of a the lower blocks are computed, and mirrored.
__kernel void ${name}(
    __global ${storage} *a, __global ${storage} *u, __global const ${storage} *rotations, const long n, const long pairs, const long round)
{
    const long batch = get_global_id(1) / pairs, k = get_global_id(1) % pairs;
    a += batch * n * n;
    u += batch * n * n;
    rotations += 2 * batch * pairs;
    const long2 row = pair(k, round, pairs);
    const ${storage} s = rotations[2 * k], h = rotations[2 * k + 1];
    const bool two = row.y < n;
    for (long j = get_global_id(0); j < pairs; j += get_global_size(0)) {
        const ${storage} t = rotations[2 * j], g = rotations[2 * j + 1];
        if (s != 0)
            for (long column = 2 * j; column < min(n, 2 * j + 2); column++) {
                const ${storage} x = u[row.x * n + column], y = u[row.y * n + column];
                u[row.x * n + column] = rotated_x(x, y, s, h);
                u[row.y * n + column] = rotated_y(x, y, s, h);
            }
        if (j > k || (s == 0 && t == 0)) continue;
        const long2 column = pair(j, round, pairs);
        const bool wide = column.y < n;
        // The block, from which a row or column that is alone lacks the other one.
        const ${storage} xx = a[row.x * n + column.x], xy = wide ? a[row.x * n + column.y] : 0;
        const ${storage} yx = two ? a[row.y * n + column.x] : 0, yy = two && wide ? a[row.y * n + column.y] : 0;
        const ${storage} left_x = rotated_x(xx, yx, s, h), right_x = rotated_x(xy, yy, s, h);
        const ${storage} left_y = rotated_y(xx, yx, s, h), right_y = rotated_y(xy, yy, s, h);
        a[row.x * n + column.x] = a[column.x * n + row.x] = rotated_x(left_x, right_x, t, g);
        if (wide) a[row.x * n + column.y] = a[column.y * n + row.x] = j == k ? 0 : rotated_y(left_x, right_x, t, g);
        if (two) a[row.y * n + column.x] = a[column.x * n + row.y] = j == k ? 0 : rotated_x(left_y, right_y, t, g);
        if (two && wide) a[row.y * n + column.y] = a[column.y * n + row.y] = rotated_y(left_y, right_y, t, g);
    }
}
% else:
## out, (batch, n, n + 1): the rows of u and behind each its value, in ascending order (NaN last), the largest element of a row positive.
__kernel void ${name}(
    __global ${storage} *out, __global const ${storage} *values, __global const ${storage} *u, const long batches, const long n)
{
    const long batch = get_global_id(0) / n, i = get_global_id(0) % n;
    if (batch >= batches) return;
    values += batch * n;
    u += (batch * n + i) * n;
    const ${storage} value = values[i];
    long rank = 0;
    for (long j = 0; j < n; j++) {
        const ${storage} other = values[j];
        const bool same = other == value || (isnan(other) && isnan(value));
        rank += same ? j < i : other < value || (isnan(value) && !isnan(other));
    }
    ${storage} largest = 0;
    for (long j = 0; j < n; j++) largest = fabs(u[j]) > fabs(largest) ? u[j] : largest;
    out += (batch * n + rank) * (n + 1);
    for (long j = 0; j < n; j++) out[j] = largest < 0 ? -u[j] : u[j];
    out[n] = value;
}
% endif
