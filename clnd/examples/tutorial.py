"""MXNet's tutorial "Automatic differentiation with autograd", line by line; only the import differs.

Run it with ``python -m clnd.examples.tutorial``, or type its lines at a Python prompt.
"""

import clnd as mx
from clnd import autograd, nd

# Attaching gradients: what is d(2 * x ** 2)/dx?
x = nd.array([[1, 2], [3, 4]])
x.attach_grad()

with autograd.record():
    y = x * 2
    z = y * x

z.backward()
print(x.grad)  # 4 * x

# Head gradients and the chain rule: z is a part of something larger, whose derivative with respect to z is known.
with autograd.record():
    y = x * 2
    z = y * x

head_gradient = nd.array([[10, 1.0], [0.1, 0.01]])
z.backward(head_gradient)
print(x.grad)  # 4 * x * head_gradient

# Python's own loops and branches, which depend on values. This seed's numbers go the way of the tutorial's text.
mx.random.seed(42)
a = nd.random_normal(shape=3)
a.attach_grad()

with autograd.record():
    b = a * 2
    while (nd.norm(b) < 1000).asscalar():
        b = b * 2

    if (mx.nd.sum(b) > 0).asscalar():
        c = b
    else:
        c = 100 * b

head_gradient = nd.array([0.01, 1.0, 0.1])
c.backward(head_gradient)
print(a.grad)
