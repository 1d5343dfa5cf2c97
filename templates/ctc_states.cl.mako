## The states of a path are the labels of a sequence, and blanks before, between and behind them: places[n, s] = classes * n + the class of state s,
## and skips[n, s] = is it a label that is not the one before?
<%namespace name="common" file="common.cl.mako"/>\
__kernel void ${name}(
    __global long *places, __global uchar *skips, __global const long *labels, const long start,
    const long batch, const long most, const long classes, const long blank)
{
    const long states = 2 * most + 1, size = batch * states;
${common.each_position("at", "size", "long", schedule)} {
        const long s = at % states, line = at / states;
        __global const long *label = labels + start + line * most + s / 2;
        const int named = s & 1;
        places[at] = line * classes + (named ? clamp(label[0], (long)0, classes - 1) : blank);
        skips[at] = named && s > 1 && clamp(label[0], (long)0, classes - 1) != clamp(label[-1], (long)0, classes - 1);
    }
}
