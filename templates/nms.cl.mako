## Non-maximum suppression: which boxes of each image remain, the best first, where a box goes that overlaps a better one too much.
##     "rank"      order[b, place] = box: the valid ones by score, equal ones and those not valid by their number. Ranks are counted.
##     "others"    for the boxes in places `block` on: does one of places `lower` to `upper`, whose fate is known, suppress it?
##     "block"     the same among the boxes of the block, by one work-item an image
##     "compact"   kept[b, ...] = the boxes that remain, then -1
## A launch does `lower` to `upper` of its loop, and goes on from what the one before left.
<%namespace name="common" file="common.cl.mako"/>\
<%
    reads = step in ("rank", "others", "block")
%>\
${common.head({storage}, {storage}, fp64)}\

% if reads:
typedef struct {
    long size, score, id, corner;
    long background, apart, topk, centred;  // apart: are boxes of different classes left alone?
    ${storage} valid, overlap;
} how;

inline int valid(__global const ${storage} *box, const how *given)
{
    return box[given->score] > given->valid && (given->id < 0 || box[given->id] != given->background);
}
% endif
% if step in ("others", "block"):

inline int suppresses(__global const ${storage} *better, __global const ${storage} *box, const how *given)
{
    if (given->apart && better[given->id] != box[given->id]) return 0;
    ${storage} shared = 1, areas[2] = {1, 1};
    for (int axis = 0; axis < 2; axis++) {
        ${storage} low[2], high[2];
        for (int i = 0; i < 2; i++) {
            __global const ${storage} *corner = (i ? box : better) + given->corner + axis;
            const ${storage} half_size = corner[2] / 2;
            low[i] = given->centred ? corner[0] - half_size : corner[0];
            high[i] = given->centred ? corner[0] + half_size : corner[2];
            areas[i] *= max(high[i] - low[i], (${storage})0);
        }
        shared *= max(min(high[0], high[1]) - max(low[0], low[1]), (${storage})0);
    }
    return shared / (areas[0] + areas[1] - shared) > given->overlap;
}
% endif

__kernel void ${name}(
% if reads:
    __global const ${storage} *data,
    const long data_start,
    const long size,
    const long score,
    const long id,
    const long corner,
    const long background,
    const long apart,
    const long topk,
    const long centred,
    const ${storage} valid_above,
    const ${storage} overlap,
% endif
    __global int *order,
    __global int *state,
    __global int *kept,
    const long images,
    const long boxes,
    const long block,
    const long lower,
    const long upper)
{
% if reads:
    const how given = {size, score, id, corner, background, apart, topk, centred, valid_above, overlap};
    data += data_start;
% endif
% if step == "rank":
    const long all = images * boxes;
${common.each_position("at", "all", "long", schedule)} {
        const long b = at / boxes, i = at % boxes;
        __global const ${storage} *own = data + at * size;
        const int good = valid(own, &given);
        int place = lower ? state[at] : 0;
        for (long j = lower; j < upper; j++) {
            __global const ${storage} *other = data + (b * boxes + j) * size;
            const int fine = valid(other, &given);
            const int better = good && fine ? other[score] > own[score] || (other[score] == own[score] && j < i) : fine || (!good && j < i);
            place += better;
        }
        state[at] = place;
        if (upper == boxes) order[b * boxes + place] = i;
    }
% elif step == "others":
    const long b = get_global_id(1), place = block + get_global_id(0);
    if (place >= boxes) return;
    __global const ${storage} *own = data + (b * boxes + order[b * boxes + place]) * size;
    int alive = lower ? state[b * boxes + place] : place < topk && valid(own, &given);
    for (long other = lower; other < upper && alive; other++)
        alive = !(state[b * boxes + other] && suppresses(data + (b * boxes + order[b * boxes + other]) * size, own, &given));
    state[b * boxes + place] = alive;
% elif step == "block":
    order += get_global_id(0) * boxes;
    state += get_global_id(0) * boxes;
    data += get_global_id(0) * boxes * size;
    for (long place = lower; place < upper; place++)
        for (long other = lower; other < place && state[place]; other++)
            state[place] = !(state[other] && suppresses(data + order[other] * size, data + order[place] * size, &given));
% else:
    order += get_global_id(0) * boxes;
    state += get_global_id(0) * boxes;
    kept += get_global_id(0) * (boxes + 1);  // the last one counts
    int next = lower ? kept[boxes] : 0;
    for (long place = lower; place < upper; place++) {
        kept[place] = -1;
        if (state[place]) kept[next++] = order[place];
    }
    kept[boxes] = next;
% endif
}
