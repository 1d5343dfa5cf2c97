## What the templates that sort share: unsigned keys in the order of the elements. NaN comes last in both directions.

## key_of(x, flip): the keys of `lanes` elements, given as unsigned numbers of their bits; `flip` is 0, or ~0 for the opposite order.
## See sort.cl.mako for the parameters.
<%def name="key_function(key, storage, shift, category, infinity, lanes)">\
<%
    v = "" if lanes == 1 else str(lanes)
    K = key + v
%>\
inline ${K} key_of${v}(${storage}${v} bits, ${key} flip)
{
    const ${K} sign = (${K})((${key})1 << ${63 if key == "ulong" else 31});
    const ${K} x = convert_${K}(bits) << ${shift};
% if category == "float":
    const ${K} ordered = ((x == sign) | (x == 0)) ? sign : (x & sign) != 0 ? ~x : x | sign; // both zeros are equal
    return (x & ~sign) > (${K})((${key})${infinity} << ${shift}) ? ~(${K})(0) : ordered ^ (${K})(flip);
% else:
    return ${"(x ^ sign)" if category == "int" else "x"} ^ (${K})(flip);
% endif
}
</%def>
