"""The benchmark's networks in JAX, NHWC as XLA's CPU convolutions want it: init(key) -> params,
apply(params, x, key) -> (logits, batch statistics)."""
import math

import jax
import jax.numpy as jnp
from jax import lax


class Net:
    """Collects parameters while the network is traced once, then replays them in order."""

    def __init__(self, key=None, params=None, low=None):
        self.low = low  # what products compute in, and what lies between them
        self.key, self.params, self.next, self.stats = key, params if params is not None else [], 0, []
        self.initialising = params is None

    def parameter(self, shape, bound):
        if self.initialising:
            self.key, sub = jax.random.split(self.key)
            value = jnp.full(shape, -float(bound)) if bound < 0 else jax.random.uniform(
                sub, shape, minval=-bound, maxval=bound)
            self.params.append(value)
            return value
        self.next += 1
        return self.params[self.next - 1]

    def conv(self, x, channels, kernel, stride=1, padding=0, bias=True):
        fan_in = x.shape[-1] * kernel * kernel
        w = self.parameter((kernel, kernel, x.shape[-1], channels), 1 / math.sqrt(fan_in))
        x, w = self.lowered(x), self.lowered(w)
        y = lax.conv_general_dilated(x, w, (stride, stride), ((padding, padding),) * 2,
                                     dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return y + self.lowered(self.parameter((channels,), 1 / math.sqrt(fan_in))) if bias else y

    def linear(self, x, features):
        bound = 1 / math.sqrt(x.shape[-1])
        w, b = self.parameter((x.shape[-1], features), bound), self.parameter((features,), bound)
        return self.lowered(x) @ self.lowered(w) + self.lowered(b)

    def lowered(self, x):
        return x if self.low is None else x.astype(self.low)

    def norm(self, x):
        gamma, beta = self.parameter(x.shape[-1:], -1), self.parameter(x.shape[-1:], 0)
        x = x.astype(jnp.float32)
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        self.stats.append((mean, var))
        return self.lowered((x - mean) * lax.rsqrt(var + 1e-5) * gamma + beta)


relu = jax.nn.relu


def seed_cnn(net, x, key):
    return net.linear(relu(net.conv(x, 8, 3, 1, 1)).mean((1, 2)), 2)


def mlp784(net, x, key):
    return net.linear(relu(net.linear(relu(net.linear(x, 128)), 64)), 10)


def gometal_cnn(net, x, key):
    for channels, stride in ((32, 1), (32, 2), (64, 1), (64, 2)):
        x = relu(net.conv(x, channels, 3, stride, 1))
    x = relu(net.linear(x.reshape(x.shape[0], -1), 128))
    x = jnp.where(jax.random.bernoulli(key, 0.5, x.shape), x * 2, 0)
    return net.linear(x, 10)


def shortcut(net, x, channels, stride):
    if stride == 1 and x.shape[-1] == channels:
        return x
    return net.norm(net.conv(x, channels, 1, stride, 0, False))


def basic_block(net, x, channels, stride):
    y = relu(net.norm(net.conv(x, channels, 3, stride, 1, False)))
    y = net.norm(net.conv(y, channels, 3, 1, 1, False))
    return relu(y + shortcut(net, x, channels, stride))


def bottleneck(net, x, channels, stride):
    y = relu(net.norm(net.conv(x, channels, 1, 1, 0, False)))
    y = relu(net.norm(net.conv(y, channels, 3, stride, 1, False)))
    y = net.norm(net.conv(y, 4 * channels, 1, 1, 0, False))
    return relu(y + shortcut(net, x, 4 * channels, stride))


def resnet(net, x, block, depths, small_images, classes):
    if small_images:
        x = relu(net.norm(net.conv(x, 64, 3, 1, 1, False)))
    else:
        x = relu(net.norm(net.conv(x, 64, 7, 2, 3, False)))
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1),
                              ((0, 0), (1, 1), (1, 1), (0, 0)))
    for stage, depth in enumerate(depths):
        for index in range(depth):
            x = block(net, x, 64 << stage, 2 if stage > 0 and index == 0 else 1)
    return net.linear(x.mean((1, 2)), classes)


NETS = {
    "seed-cnn": seed_cnn,
    "mlp784": mlp784,
    "gometal-cnn": gometal_cnn,
    "resnet18-cifar": lambda net, x, key: resnet(net, x, basic_block, (2, 2, 2, 2), True, 10),
    "resnet50": lambda net, x, key: resnet(net, x, bottleneck, (3, 4, 6, 3), False, 1000),
}


def training_step(name, x, low=None):
    """(state, step): step(state, x, y) -> (state, loss); SGD with momentum 0.9. Products in the type
    `low`, parameters, statistics and the loss in f32."""
    forward = NETS[name]
    key = jax.random.key(0)

    def start(key, x):
        net = Net(key=key, low=low)
        forward(net, x, key)
        return net.params, [(jnp.zeros_like(m), jnp.ones_like(v)) for m, v in net.stats]

    params, stats = jax.jit(start)(key, x)  # all at once: nothing of the forward pass runs

    def loss_of(params, x, y, key):
        net = Net(params=params, low=low)
        logits = forward(net, x, key).astype(jnp.float32)
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1)
        return -picked.mean(), net.stats

    def step(state, x, y):
        params, momentum, stats, key = state
        key, sub = jax.random.split(key)
        (loss, batch), grads = jax.value_and_grad(loss_of, has_aux=True)(params, x, y, sub)
        momentum = jax.tree.map(lambda m, g: 0.9 * m + g, momentum, grads)
        params = jax.tree.map(lambda p, m: p - 0.01 * m, params, momentum)
        stats = jax.tree.map(lambda s, b: 0.9 * s + 0.1 * b, stats, batch)
        return (params, momentum, stats, key), loss

    state = (params, jax.tree.map(jnp.zeros_like, params), stats, key)
    return state, jax.jit(step, donate_argnums=0)
