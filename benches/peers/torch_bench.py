#!/usr/bin/env python3
"""PyTorch eager as one side of the comparison: `python torch_bench.py THREADS`.

Speaks the line protocol of `benches/src/protocol.rs` and makes the same inputs as
`benches/src/inputs.rs`. Gradients are dropped before each call (set to None, PyTorch's
own default for zero_grad), so that none is accumulated into.
"""

import json
import math
import statistics
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

MLP = [784, 512, 256, 10]
BATCH = 128
CNN_CHANNELS, CNN_SIDE, CNN_BATCH = [1, 16, 32], 28, 64
LSTM = 32, 32, 64, 128
TRANSFORMER = 16, 64, 128, 4
CLASSES = 10
RATE = 0.1
EPS = 1e-5
X, DY, GAMMA, BETA, DIRECTION, WEIGHTS = 1, 2, 3, 4, 9, 10


# --------------------------------------------------------------------- inputs


def uniform(n, stream):
    """`n` values in [-2, 2): the hash of benches/src/inputs.rs."""
    h = np.arange(n, dtype=np.uint32) + np.uint32(stream * 0x9E3779B9 & 0xFFFFFFFF)
    for _ in range(2):
        h = (h ^ (h >> np.uint32(16))) * np.uint32(0x045D9F3B)
    h ^= h >> np.uint32(16)
    return (h.astype(np.float64) / 2**30 - 2.0).astype(np.float32)


def tensor(values, shape, grad=False):
    return torch.from_numpy(np.ascontiguousarray(values)).reshape(shape).clone().requires_grad_(grad)


def gamma(n):
    return np.float32(1) + np.float32(0.25) * uniform(n, GAMMA)


def beta(n):
    return np.float32(0.25) * uniform(n, BETA)


def fingerprint(t):
    v = t.detach().reshape(-1).numpy().astype(np.float64)
    size = np.abs(v).sum()
    along = (v * uniform(len(v), DIRECTION).astype(np.float64)).sum()
    return [size / len(v), along / max(size, sys.float_info.min)]


# --------------------------------------------------------------------- timing


def measure(budget, f):
    """As benches/src/timing.rs: warm up, then samples of at least half a millisecond."""
    start = time.perf_counter()
    calls = 0
    while calls == 0 or time.perf_counter() - start < budget / 3:
        f()
        calls += 1
    inner = max(1, int(0.0005 / ((time.perf_counter() - start) / calls)))
    samples = []
    start = time.perf_counter()
    while len(samples) < 3 or time.perf_counter() - start < budget:
        t = time.perf_counter()
        for _ in range(inner):
            f()
        samples.append((time.perf_counter() - t) * 1e9 / inner)
    return {"median_ns": statistics.median(samples), "min_ns": min(samples), "samples": len(samples)}


# ---------------------------------------------------------------------- cases


def kernel(kind, shape, both):
    n = math.prod(shape)
    features = shape[1] if kind == "batchnorm" else shape[-1]
    x = tensor(uniform(n, X), shape, both)
    g = tensor(gamma(features), [features], both)
    b = tensor(beta(features), [features], both)
    mean, var = torch.zeros(features), torch.ones(features)

    def forward():
        if kind == "batchnorm":
            return F.batch_norm(x, mean, var, g, b, True, 0.1, EPS)
        return F.layer_norm(x, [features], g, b, EPS)

    if not both:

        def run():
            with torch.no_grad():
                return forward()

        return run, lambda: {"y": run()}

    dy = tensor(uniform(n, DY), shape)

    def run():
        x.grad = g.grad = b.grad = None
        y = forward()
        y.backward(dy)
        return y

    return run, lambda: {"y": run(), "dx": x.grad, "dgamma": g.grad, "dbeta": b.grad}


def chain(ops):
    x = tensor(uniform(16, X), [4, 4], True)
    scale, shift = torch.full((4, 4), 0.999), torch.full((4, 4), 0.001)
    dy = torch.ones(4, 4)

    def run():
        x.grad = None
        y = x
        for i in range(ops):
            y = y * scale if i % 2 == 0 else y + shift
        y.backward(dy)
        return y

    return run, lambda: {"y": run(), "dx": x.grad}


def mlp(kind, times):
    layers = []
    for i, (fan_in, out) in enumerate(zip(MLP, MLP[1:])):
        linear = torch.nn.Linear(fan_in, out)
        with torch.no_grad():
            w = uniform(out * fan_in, WEIGHTS + i) * (np.float32(1) / np.sqrt(np.float32(fan_in)))
            linear.weight.copy_(tensor(w, [out, fan_in]))
            linear.bias.zero_()
        layers.append(linear)
        if i + 2 < len(MLP):
            norm = torch.nn.BatchNorm1d if kind == "batchnorm" else torch.nn.LayerNorm
            layers += [norm(out, eps=EPS), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    batch = times * BATCH
    x = tensor(uniform(batch * MLP[0], X), [batch, MLP[0]])
    target = torch.arange(batch) % MLP[-1]

    def run():
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), target)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return run, lambda: {"loss": torch.stack([run() for _ in range(5)])}


def with_weights(net):
    """Weights by number, in the order of the network, scales 1 and biases 0."""
    layer = 0
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.dim() > 1:
                fan_in = p.numel() // p.shape[0]
                w = uniform(p.numel(), WEIGHTS + layer) * (np.float32(1) / np.sqrt(np.float32(fan_in)))
                p.copy_(tensor(w, p.shape))
                layer += 1
            elif "bias" in name:
                p.zero_()
    return net


def steps(net, loss_of):
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)

    def run():
        optimizer.zero_grad()
        loss = loss_of(net)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return run, lambda: {"loss": torch.stack([run() for _ in range(5)])}


def cnn(times):
    layers, side = [], CNN_SIDE
    for c, o in zip(CNN_CHANNELS, CNN_CHANNELS[1:]):
        layers += [torch.nn.Conv2d(c, o, 3, padding=1), torch.nn.BatchNorm2d(o, eps=EPS)]
        layers += [torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
        side //= 2
    head = torch.nn.Linear(CNN_CHANNELS[-1] * side * side, CLASSES)
    net = torch.nn.Sequential(*layers, torch.nn.Flatten(), head)
    shape = [times * CNN_BATCH, CNN_CHANNELS[0], CNN_SIDE, CNN_SIDE]
    x = tensor(uniform(math.prod(shape), X), shape)
    target = torch.arange(shape[0]) % CLASSES
    return steps(with_weights(net), lambda net: F.cross_entropy(net(x), target))


def lstm(times):
    batch, time, features, hidden = LSTM
    batch *= times
    net = torch.nn.ModuleDict(
        {
            "rnn": torch.nn.LSTM(features, hidden, batch_first=True),
            "head": torch.nn.Linear(hidden, CLASSES),
        }
    )
    x = tensor(uniform(batch * time * features, X), [batch, time, features])
    target = torch.arange(batch) % CLASSES

    def loss(net):
        return F.cross_entropy(net["head"](net["rnn"](x)[0][:, -1]), target)

    return steps(with_weights(net), loss)


class Block(torch.nn.TransformerEncoderLayer):
    """Without the dropouts of probability 0, which would be recorded, and with the fused
    attention that PyTorch takes when no weights are asked for."""

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))

    def attention(self, x):
        a = self.self_attn
        qkv = F.linear(x, a.in_proj_weight, a.in_proj_bias)
        heads = [t.unflatten(-1, (a.num_heads, -1)).transpose(1, 2) for t in qkv.chunk(3, -1)]
        y = F.scaled_dot_product_attention(*heads, is_causal=True)
        return a.out_proj(y.transpose(1, 2).flatten(2))


def transformer(times):
    batch, time, width, heads = TRANSFORMER
    batch *= times
    block = Block(width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
    x = tensor(uniform(batch * time * width, X), [batch, time, width])
    zeros = torch.zeros_like(x)
    return steps(with_weights(block), lambda block: F.mse_loss(block(x), zeros))


def job(name, times=1):
    words = name.split()
    if words[0] in ("batchnorm", "layernorm"):
        shape = [int(d) for d in words[1].split("x")]
        return kernel(words[0], shape, words[2] == "forward+backward")
    if words[0] == "chain":
        return chain(int(words[1]))
    if words[0] == "mlp":
        return mlp(words[1], times)
    return {"cnn": cnn, "lstm": lstm, "transformer": transformer}[words[0]](times)


def memory(field):
    """Bytes of this process, as /proc/self/status has them."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(field))


def peak_over(calls, case, times):
    """As benches/src/protocol.rs: how far memory grows above what it was before."""
    start = memory("VmRSS:")
    run, _ = job(case, times)
    with open("/proc/self/clear_refs", "w") as mark:
        mark.write("5")
    for _ in range(calls):
        run()
    return {"peak_bytes": max(memory("VmHWM:") - start, 0)}


def respond(request):
    if calls := request.get("peak_over"):
        return peak_over(calls, request["case"], request.get("times", 1))
    run, check = job(request["case"])
    if request.get("check"):
        return {"check": {k: fingerprint(v) for k, v in check().items()}}
    return measure(request["budget_ms"] / 1000, run)


def main():
    threads = int(sys.argv[1])
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    print(json.dumps({"side": "torch", "version": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        print(json.dumps(respond(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
