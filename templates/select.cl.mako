<%doc>
The places of the k least keys of each row, in order, equal keys by their place. Blocks of a row are folded to their least key, and blocks of
these again, until few are left. From there it goes back: the k least of all elements lie in the k blocks that come first by least key, then
place, so each step ranks the blocks, and hands on the keys inside of the first k. A rank is the count of keys that come before.

Parameters
    name        the kernel's name
    step        "fold": least keys of blocks; "rank": from the keys of blocks, places of the first k or what is inside of them
    source      "elements" or "keys"; with "rank": of what is inside of a block, and "" where places are wanted
    block       elements of a block
    key, storage, shift, category, infinity     of the elements: see sort.cl.mako
    lanes       keys that are compared as one vector
    schedule    "cpu": every work-item a contiguous chunk; "gpu": grid-stride

Arguments
    fold        source, where it starts, its row length and how far its rows are apart, flip (0, or ~0 for the largest), keys, rows, made: keys of
                a row, those past the last block the largest
    rank        keys, places (as int; of no say with `first`), rows, size: keys of a row, a multiple of 16, first: are the places 0, 1, ...?, k,
                then with a source: it, where it starts, its row length and how far its rows are apart, flip, keys and places inside,
                else: places (as long) of elements in the flattened array, and the row length
</%doc>\
<%namespace name="common" file="common.cl.mako"/>\
<%namespace name="keys" file="keys.cl.mako"/>\
<%page args="name, step, source, block, key, storage, shift, category, infinity, lanes, schedule"/>\
<%
    v = "" if lanes == 1 else str(lanes)
    given = storage if source == "elements" else key
    mask = "long" if key == "ulong" and lanes > 1 else "int"
    pieces = lambda name: [f"{name}{'.' if lanes > 1 else ''}{'s%x' % i if lanes > 1 else ''}" for i in range(lanes)]
%>\
${common.memory({given, key, "int"} if lanes > 1 else set(), "long", lanes)}\
% if source == "elements":
% for width in sorted({1, lanes}):
${keys.key_function(key, storage, shift, category, infinity, width)}\
% endfor
% endif
<%
    of = lambda text, width: f"key_of{'' if width == 1 else width}({text}, flip)" if source == "elements" else text
%>\

% if step == "fold":
__kernel void ${name}(
    __global const ${given} *source, const long start, const long length, const long apart, const ${key} flip,
    __global ${key} *keys, const long rows, const long made)
{
    const long size = rows * made;
${common.each_position("at", "size", "long", schedule)} {
        const long row = at / made, first = (at - row * made) * ${block};
        const long count = clamp(length - first, 0L, ${block}L);
        __global const ${given} *from = source + start + row * apart + first;
        ${key} least = ~(${key})0;
        long i = 0;
% if lanes > 1:
        ${key}${v} several = ~(${key}${v})(0);
        for (; i + ${lanes} <= count; i += ${lanes}) {
            const ${key}${v} x = ${of(f"load_{given}(from + i, {lanes})", lanes)};
            several = x < several ? x : several;
        }
% for piece in pieces("several"):
        least = ${piece} < least ? ${piece} : least;
% endfor
% endif
        for (; i < count; i++) {
            const ${key} x = ${of("from[i]", 1)};
            least = x < least ? x : least;
        }
        keys[at] = least;
    }
}
% else:
__kernel void ${name}(
    __global const ${key} *keys, __global const int *places, const long rows, const long size, const int first, const long k,
% if source:
    __global const ${given} *source, const long start, const long length, const long apart, const ${key} flip,
    __global ${key} *inside_keys, __global int *inside_places)
% else:
    __global long *out, const long length)
% endif
{
    const long candidates = rows * size;
${common.each_position("at", "candidates", "long", schedule)} {
        const long row = at / size, begin_row = row * size;
        const ${key} own = keys[at];
        const int place = first ? (int)(at - begin_row) : places[at];
        long rank = 0;
% if lanes > 1:
        ${mask}${v} before = 0;
        for (long other = 0; other < size; other += ${lanes}) {
            const ${key}${v} x = load_${key}(keys + begin_row + other, ${lanes});
            int${v} y;
            if (first) y = (int${v})((int)other) + (int${v})(${", ".join(map(str, range(lanes)))});
            else y = load_int(places + begin_row + other, ${lanes});
            before -= (x < (${key}${v})(own)) | ((x == (${key}${v})(own)) & convert_${mask}${v}(y < (int${v})(place)));
        }
        rank = ${" + ".join(pieces("before"))};
% else:
        for (long other = 0; other < size; other++) {
            const ${key} x = keys[begin_row + other];
            rank += (x < own) | ((x == own) & ((first ? (int)other : places[begin_row + other]) < place));
        }
% endif
        if (rank >= k) continue;
% if source:
        const long to = (row * k + rank) * ${block}, from = (long)place * ${block};
        for (int i = 0; i < ${block}; i++) {
            inside_keys[to + i] = ~(${key})0;
            if (from + i < length) {
                const ${given} x = source[start + row * apart + from + i];
                inside_keys[to + i] = ${of("x", 1)};
            }
            inside_places[to + i] = (int)(from + i);
        }
% else:
        out[row * k + rank] = row * length + place;
% endif
    }
}
% endif
