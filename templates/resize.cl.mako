## An axis of arrays (outer, axis, inner) at another size: data of `elements` along it, and `places`, each of which sees some of them.
##   "mean"    place i sees the elements from i * elements / places, rounded down, to (i + 1) * elements / places, rounded up, all with the same weight
##   "linear"  it lies at i * stride + shift units of an element, or at 0, between two elements (at the end the last one twice)
## "forth" sums up for each place what it sees, "back" for each element the places that see it, with the weights of forth; both in order, the terms
## from `lower` to `upper` in a launch, after those before. So nobody writes what somebody else writes, and nothing is looked up.
## CPU schedule: a work-item takes a chunk of units, each a run of up to `segment` positions that share one place of the axis: elements one after
## another, or elements of as many lines where there are few of them. GPU schedule: one position a unit, neighbours next to each other.
<%namespace name="common" file="common.cl.mako"/>\
<%
    module = common.module
    wide = [n for n in (lanes, lanes // 4) if n > 1]
    pair = how == "linear" and step == "forth"
    terms = 16  # whose weights are computed before their elements are added up
    lined = schedule == "cpu"
    run, place = ("k1", "k2") if lined else ("k2", "k1")
    vector = lambda pointer, n: f"*(__global const {storage}{n}_anywhere *)({pointer})" if n > 1 else f"*({pointer})"
%>\
${common.head({storage}, {storage}, fp64)}\
% if lanes > 1:
${common.pieces(storage, 2 * lanes)}\
% endif

// The least number, not below 0, that times `by` is `n` or more.
inline ${index} steps_to(${index} n, ${index} by) { return n <= 0 ? 0 : (n - 1) / by + 1; }

<%def name="sums(n)">\
<% kind = module.vector(storage, n) %>\
            for (; i + ${n} <= count; i += ${n}) {
                __global const ${storage} *x = from + i * position_in;
% if pair:
                const ${kind} sum = near * ${vector("x", n)} + far * ${vector("x + apart", n)};
% else:
                ${kind} sum = 0;
                if (!fresh) sum = ${vector("to + i * position_out", n)};
% if n == 1:
                ${module.IN_ORDER}
% endif
                for (int k = 0; k < many; k++) sum += weights[k] * ${vector("x + k * inner", n)};
% endif
                ${vector("to + i * position_out", n).replace("const ", "")} = sum;
            }
</%def>\
__kernel void ${name}(
    __global ${storage} *restrict out, __global const ${storage} *restrict data, const ${index} data_start,
    const ${index} elements, const ${index} places, const ${index} stride, const ${index} shift, const ${index} unit,
    const ${index} outer, const ${index} positions, const ${index} inner,
    // How far elements are apart in out and in data: along the outer axis, and from one position to the next.
    const ${index} outer_out, const ${index} outer_in, const ${index} position_out, const ${index} position_in,
    const ${index} segment, const ${index} lower, const ${index} upper)
{
    const ${index} runs = (positions + segment - 1) / segment, made = ${"places" if step == "forth" else "elements"};
    const ${index} n0 = outer, ${run.replace("k", "n")} = runs, ${place.replace("k", "n")} = made;
${common.each_place(3, index, schedule)}\
        const ${index} left = ${run} * segment, count = min(segment, positions - left);
        __global ${storage} *to = out + k0 * outer_out + ${place} * inner + left * position_out;
% if pair:
        const ${index} position = max((${index})0, ${place} * stride + shift), whole = position / unit;
        const ${storage} far = (${storage})(position - whole * unit) / unit, near = 1 - far;
        const ${index} apart = whole + 1 < elements ? inner : 0;
% elif step == "forth":
        const ${index} begin = ${place} * elements / places, end = ((${place} + 1) * elements + places - 1) / places;
        const ${storage} weight = (${storage})1 / (end - begin);
% elif how == "mean":
        const ${index} begin = ${place} * places / elements, end = ((${place} + 1) * places + elements - 1) / elements;
% else:
        // The places that lie at the element before it, or at it.
        ${index} begin = 0, end = ${place} < 2 ? places : 0;
        if (stride > 0) {
            begin = ${place} < 2 ? 0 : min(places, steps_to((${place} - 1) * unit - shift, stride));
            end = min(places, steps_to((${place} + 1) * unit - shift, stride));
        }
% endif
        __global const ${storage} *line = data + data_start + k0 * outer_in + left * position_in;
% if pair:
        __global const ${storage} *from = line + whole * inner;
% else:
        const ${index} stop = min(end, begin + upper);
        ${index} term = min(stop, begin + lower);
        int fresh = lower == 0;
        do {
            const int many = (int)min((${index})${terms}, stop - term);
            ${storage} weights[${terms}];
            for (int k = 0; k < many; k++) {
% if step == "forth":
                weights[k] = weight;
% elif how == "mean":
                const ${index} seen = term + k;
                weights[k] = (${storage})1 / (((seen + 1) * elements + places - 1) / places - seen * elements / places);
% else:
                const ${index} position = max((${index})0, (term + k) * stride + shift), whole = position / unit;
                const ${storage} far = (${storage})(position - whole * unit) / unit;
                weights[k] = (${place} == whole ? 1 - far : 0) + (${place} == min(whole + 1, elements - 1) ? far : 0);
% endif
            }
            __global const ${storage} *from = line + term * inner;
% endif
            ${index} i = 0;
% if wide:
            if (position_in == 1 && position_out == 1) {
% for n in wide:
${sums(n)}\
% endfor
            }
% endif
${sums(1)}\
% if not pair:
            term += many;
            fresh = 0;
        } while (term < stop);
% endif
${common.next_place(3, schedule)}\
    }
}
