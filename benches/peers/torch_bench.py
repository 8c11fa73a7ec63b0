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


def mlp(kind):
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
    x = tensor(uniform(BATCH * MLP[0], X), [BATCH, MLP[0]])
    target = torch.arange(BATCH) % MLP[-1]

    def run():
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), target)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return run, lambda: {"loss": torch.stack([run() for _ in range(5)])}


def job(name):
    words = name.split()
    if words[0] in ("batchnorm", "layernorm"):
        shape = [int(d) for d in words[1].split("x")]
        return kernel(words[0], shape, words[2] == "forward+backward")
    if words[0] == "chain":
        return chain(int(words[1]))
    return mlp(words[1])


def respond(request):
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
