#!/usr/bin/env python3
"""Write the golden values that `cargo test -p tests` compares against.

    python tests/golden/generate.py [family ...]

needs PyTorch (the version that made the committed files is recorded in each of
them) with NumPy and, for the family `saved`, safetensors. The files are committed,
so running the tests needs no Python. On one processor PyTorch gives the same bytes again:
each family has its own seed and everything runs on one thread.

Here are inputs at which results are easily wrong, results in f32, what training
leaves behind, names and files. The gradients of every op and layer at ordinary
inputs are compared with PyTorch's by `verify`, from crates/verify/pytorch.

A file is one family of cases:

    { "family", "command", "torch", "seed",
      "cases": [ { "name", "dtype", "settings": {...},
                   "arrays": { "x": { "shape": [..], "data": [..] }, ... } } ] }

Arrays are row-major. A number is the shortest decimal that reads back as the
same f64, or as the same f32 when the array was computed in f32. Inputs are
rounded to four decimals, which keeps the files small and a diff readable.

Names: `x` (or `a`, `b`, `weight`, ...) an input, `y` the output, `dy` the random
upstream gradient, `dx` (`da`, `db`, ...) the gradient that autograd returns.

Cases with dtype "f32" hold inputs that are exact in f32. Their plain results
(`y`, `dx`, ...) are computed in f64 from those very inputs: they are the truth
to which an f32 kernel is compared. `y_f32`, `dx_f32`, ... are PyTorch's own f32
results, so that a test can say how much better or worse than PyTorch we are.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parents[1] / "crates/verify/pytorch"))
from networks import Cnn  # noqa: E402

COMMAND = "python tests/golden/generate.py"
F64 = torch.float64


# ---------------------------------------------------------------- random inputs

GEN = torch.Generator()


def randn(*shape, scale=1.0, offset=0.0):
    """Normal values rounded to four decimals."""
    v = torch.randn(shape, generator=GEN, dtype=F64) * scale + offset
    return (v * 1e4).round() / 1e4


def positive(*shape, low=0.5):
    return (randn(*shape).abs() * 1e4 + low * 1e4).round() / 1e4


# ------------------------------------------------------------------ file format


def number(v, dtype):
    if dtype == torch.float32:
        text = str(np.float32(v))
        assert np.float32(float(text)) == np.float32(v)
        return text
    return repr(v)


def array(t):
    t = t.detach().contiguous()
    flat = t.reshape(-1).tolist()
    if t.dtype in (torch.int64, torch.int32):
        body = ", ".join(str(v) for v in flat)
    else:
        assert torch.isfinite(t).all(), "a golden value is not finite"
        body = ", ".join(number(v, t.dtype) for v in flat)
    return '{ "shape": %s, "data": [%s] }' % (json.dumps(list(t.shape)), body)


def case(name, arrays, dtype="f64", **settings):
    rows = ",\n".join(f'        "{k}": {array(v)}' for k, v in arrays.items())
    return (
        f'    {{ "name": {json.dumps(name)}, "dtype": "{dtype}", '
        f'"settings": {json.dumps(settings)},\n      "arrays": {{\n{rows} }} }}'
    )


def write(family, seed, cases):
    text = (
        f'{{ "family": "{family}",\n  "command": "{COMMAND} {family}",\n'
        f'  "torch": "{torch.__version__}",\n  "seed": {seed},\n  "cases": [\n'
        + ",\n".join(cases)
        + "\n  ] }\n"
    )
    names = [c["name"] for c in json.loads(text)["cases"]]
    assert len(names) == len(set(names)), f"{family}: two cases share a name"
    path = HERE / f"{family}.json"
    path.write_text(text)
    print(f"{path.name:24} {len(cases):3} cases {len(text) / 1024:7.1f} KiB")


# ------------------------------------------------------- one op, forward and back


def op(name, f, inputs, ints=None, **settings):
    """y = f(inputs), a random dy, and the gradient of <y, dy> for each input."""
    ints = ints or {}
    leaves = {k: v.clone().requires_grad_() for k, v in inputs.items()}
    y = f(**leaves, **ints)
    dy = randn(*y.shape)
    grads = torch.autograd.grad(y, list(leaves.values()), dy)
    arrays = {**inputs, **ints, "y": y, "dy": dy}
    arrays.update({f"d{k}": g for k, g in zip(leaves, grads)})
    return case(name, arrays, **settings)


# ------------------------------------------------------------------- hard inputs


def hard():
    """Inputs at which ops are easily wrong; `verify` has PyTorch's values at others."""
    wide = torch.tensor([-30.0, -6.5, -1.0, -1e-3, 1e-3, 0.7, 5.25, 30.0], dtype=F64)
    ends = torch.tensor([-1.0, 0.0, 1.0], dtype=F64)
    out = [
        op("tanh wide", torch.tanh, {"x": wide}, op="tanh"),
        op("sigmoid wide", torch.sigmoid, {"x": wide}, op="sigmoid"),
        op("relu at zero", torch.relu, {"x": ends}, op="relu"),
        op("gelu wide", F.gelu, {"x": wide}, op="gelu"),
        op("gelu tails", F.gelu, {"x": torch.linspace(-9, 9, 13, dtype=F64)}, op="gelu"),
        op("powi 0", lambda x: x**0, {"x": positive(2, 3) * randn(2, 3).sign()}, op="powi", exponent=0),
        op("powi 0 of zero", lambda x: x**0, {"x": ends}, op="powi", exponent=0),
    ]  # fmt: skip
    tied = torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], dtype=F64)
    out.append(op("max with ties", lambda x: torch.amax(x, dim=[1]), {"x": tied}, op="max", axes=[1]))
    tied = torch.tensor([1.0, 1.0, 0.0, 1.0], dtype=F64).repeat(4).reshape(1, 1, 4, 4)
    pool = lambda x: F.max_pool2d(x, 2)
    out.append(op("max_pool2d with ties", pool, {"x": tied}, op="max_pool2d", kernel=2))
    for name, f in {"softmax": F.softmax, "log_softmax": F.log_softmax}.items():
        for offset in [1000.0, -1000.0]:
            x = randn(2, 4, offset=offset)
            out.append(op(f"{name} offset {offset:g}", lambda x, f=f: f(x, dim=1), {"x": x}, op=name, axis=1))
        spread = torch.tensor([[-40.0, 0.0, 3.0, 40.0]], dtype=F64)
        out.append(op(f"{name} spread", lambda x, f=f: f(x, dim=1), {"x": spread}, op=name, axis=1))
    for n, c, scale, offset in [(1, 5, 2, 0), (3, 4, 1, 1000), (3, 4, 30, 0)]:
        target = torch.randint(0, c, (n,), generator=GEN)
        name = f"cross_entropy [{n}, {c}] scale {scale} offset {offset}"
        x = randn(n, c, scale=scale, offset=offset)
        out.append(op(name, lambda x, target: F.cross_entropy(x, target), {"x": x}, {"target": target}, op="cross_entropy"))
    target, kept = torch.tensor([2, 0, -100, 1, -100]), torch.tensor([1, 1, 0, 1, 0])
    shown = torch.where(kept == 1, target, 0)
    ignore = lambda x, target, kept: F.cross_entropy(x, torch.where(kept == 1, target, -100))
    out.append(op("cross_entropy, two ignored", ignore, {"x": randn(5, 3)}, {"target": shown, "kept": kept}, op="cross_entropy_weighted"))
    return out


# ------------------------------------------------------------------------ norms


def affine_of(shape, with_affine):
    """gamma and beta, far enough from 1 and 0 that forgetting one shows."""
    if not with_affine:
        return {}
    return {"gamma": randn(*shape, offset=1.5), "beta": randn(*shape)}


def op_f32(name, f, inputs, **settings):
    """As `op`, on inputs exact in f32: the truth in f64, and PyTorch in f32."""
    inputs = {k: v.to(torch.float32) for k, v in inputs.items()}
    arrays = dict(inputs)
    dy = None
    for dtype, suffix in [(F64, ""), (torch.float32, "_f32")]:
        leaves = {k: v.to(dtype).requires_grad_() for k, v in inputs.items()}
        y = f(**leaves)
        if dy is None:
            dy = randn(*y.shape).to(torch.float32)
            arrays["dy"] = dy
        grads = torch.autograd.grad(y, list(leaves.values()), dy.to(dtype))
        arrays[f"y{suffix}"] = y
        arrays.update({f"d{k}{suffix}": g for k, g in zip(leaves, grads)})
    return case(name, arrays, dtype="f32", **settings)


def batchnorm():
    """Training mode, one batch, at inputs at which it is easily wrong."""
    out = []

    def train(eps):
        def f(x, gamma=None, beta=None):
            return F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)

        return f

    out.append(op("two examples", train(1e-5), {"x": randn(2, 3), **affine_of((3,), True)}, eps=1e-5, layout="[N, C]"))
    out.append(op("one example, many positions", train(1e-5), {"x": randn(1, 2, 3, 3), **affine_of((2,), True)}, eps=1e-5, layout="[N, C, H, W]"))
    for eps in [1e-12, 1e-3, 0.1]:
        x = randn(5, 3, scale=0.05)
        out.append(op(f"eps {eps:g}", train(eps), {"x": x, **affine_of((3,), True)}, eps=eps, layout="[N, C]"))
    x = randn(5, 3)
    x[:, 1] = 2.5
    out.append(op("a constant channel", train(1e-5), {"x": x, **affine_of((3,), True)}, eps=1e-5, layout="[N, C]"))
    for offset in [0.0, 1e3, 1e4, 1e6]:
        for layout, shape in [("[N, C]", (16, 3)), ("[N, C, H, W]", (4, 2, 3, 3))]:
            x = randn(*shape, scale=4, offset=offset)
            inputs = {"x": x, **affine_of(shape[1:2], True)}
            out.append(op_f32(f"f32 {layout} offset {offset:g}", train(1e-5), inputs, eps=1e-5, layout=layout, offset=offset))
    return out


def batchnorm_running():
    """Several batches of different sizes in training, then one in evaluation."""
    out = []
    layouts = {
        "[N, C]": [(5, 3), (2, 3), (8, 3)],
        "[N, C, L]": [(2, 2, 4), (3, 2, 2), (1, 2, 6)],
        "[N, C, H, W]": [(2, 2, 2, 3), (1, 2, 3, 3), (3, 2, 2, 2)],
    }
    for layout, shapes in layouts.items():
        c = shapes[0][1]
        cls = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}[len(shapes[0])]
        for momentum in [0.1, 0.3, None]:
            for with_affine in [True, False]:
                bn = cls(c, eps=1e-5, momentum=momentum, affine=with_affine).double()
                params = affine_of((c,), with_affine)
                arrays = dict(params)
                if with_affine:
                    with torch.no_grad():
                        bn.weight.copy_(params["gamma"])
                        bn.bias.copy_(params["beta"])
                for i, shape in enumerate(shapes):
                    x = randn(*shape, scale=1.0 + i, offset=i)
                    arrays[f"x{i}"] = x
                    arrays[f"y{i}"] = bn(x)
                    arrays[f"running_mean{i}"] = bn.running_mean.clone()
                    arrays[f"running_var{i}"] = bn.running_var.clone()
                assert bn.num_batches_tracked.item() == len(shapes)
                bn.eval()
                x = randn(*shapes[0], scale=2)
                leaf = x.clone().requires_grad_()
                y = bn(leaf)
                dy = randn(*y.shape)
                wrt = [leaf, *bn.parameters()]
                grads = torch.autograd.grad(y, wrt, dy)
                arrays.update({"x_eval": x, "y_eval": y, "dy_eval": dy, "dx_eval": grads[0]})
                if with_affine:
                    arrays.update({"dgamma_eval": grads[1], "dbeta_eval": grads[2]})
                name = f"{layout} momentum {momentum} {'affine' if with_affine else 'plain'}"
                out.append(case(name, arrays, eps=1e-5, momentum=momentum, layout=layout, batches=len(shapes)))
    return out


def layernorm():
    out = []

    def norm(shape, eps):
        def f(x, gamma=None, beta=None):
            return F.layer_norm(x, list(shape), gamma, beta, eps)

        return f

    # Rows of five, which a measurement of the book compares too; one row alone; rows of two.
    for shape, normalized in [((4, 5), (5,)), ((7,), (7,)), ((3, 2), (2,))]:
        inputs = {"x": randn(*shape, scale=1.3, offset=0.7), **affine_of(normalized, True)}
        name = f"{list(shape)} over {list(normalized)} affine"
        out.append(op(name, norm(normalized, 1e-5), inputs, eps=1e-5, normalized_shape=list(normalized)))
    for eps in [1e-12, 1e-3, 0.1]:
        inputs = {"x": randn(3, 6, scale=0.05), **affine_of((6,), True)}
        out.append(op(f"eps {eps:g}", norm((6,), eps), inputs, eps=eps, normalized_shape=[6]))
    x = randn(3, 4)
    x[1] = 2.5
    out.append(op("a constant row", norm((4,), 1e-5), {"x": x, **affine_of((4,), True)}, eps=1e-5, normalized_shape=[4]))
    for offset in [0.0, 1e3, 1e4, 1e6]:
        inputs = {"x": randn(3, 24, scale=4, offset=offset), **affine_of((24,), True)}
        out.append(op_f32(f"f32 offset {offset:g}", norm((24,), 1e-5), inputs, eps=1e-5, normalized_shape=[24], offset=offset))
    # A known trap: a variance computed as E[x^2] - E[x]^2 in f32 gives +-1106.8
    # for these rows instead of +-1.53.
    ramp = 1e4 + torch.arange(8, dtype=F64).repeat(2, 1)
    inputs = {"x": ramp, "gamma": torch.ones(8, dtype=F64), "beta": torch.zeros(8, dtype=F64)}
    out.append(op_f32("f32 ramp at 1e4", norm((8,), 1e-5), inputs, eps=1e-5, normalized_shape=[8], offset=1e4))
    return out


def drawn(seed, *shape):
    """Numbers between -1 and 1 that `tests/suite/golden_outliers.rs` draws as well, in f32."""
    count = torch.Size(shape).numel()
    z = (np.arange(count, dtype=np.uint64) + np.uint64(1 + 1000003 * seed)) * np.uint64(2654435761)
    z &= np.uint64(0xFFFFFFFF)
    z ^= z >> np.uint64(16)
    z = z * np.uint64(2246822519) & np.uint64(0xFFFFFFFF)
    z ^= z >> np.uint64(13)
    return torch.tensor((z / 2**31 - 1).astype(np.float32)).reshape(*shape)


def outliers():
    """One value of each row or channel is far larger than all others. Kept is how far
    PyTorch's y and dx in f32 are off at the *others*, in units of their spread. The
    inputs are large and can be drawn again, so they are not in the file."""
    out = []
    layer = [(8, 16), (8, 96), (8, 768), (4, 4096), (2, 50000)]
    batch = [(64, 4), (256, 4), (1000, 4), (16, 2, 49), (4, 2, 14, 14), (16, 8, 14, 14), (1, 2, 5000), (8, 2, 64, 64)]
    for norm, shape in [("layer", s) for s in layer] + [("batch", s) for s in batch]:
        # The axes of one row or channel come last.
        lists = shape if norm == "layer" else (shape[1], shape[0], *shape[2:])
        rows, values = lists[0], torch.Size(lists[1:]).numel()
        for place, at in [("first", 0), ("middle", values // 2), ("last", values - 1)]:
            for magnitude in [1e2, 1e4, 1e6, 1e8]:
                x, dy = drawn(1, rows, values), drawn(2, rows, values)
                x[:, at] = magnitude
                others = torch.arange(values) != at
                found = []
                for dtype in [F64, torch.float32]:
                    in_order = [t.to(dtype).reshape(lists) for t in (x, dy)]
                    if norm == "batch":
                        in_order = [t.transpose(0, 1).contiguous() for t in in_order]
                    leaf = in_order[0].requires_grad_()
                    if norm == "layer":
                        y = F.layer_norm(leaf, lists[1:], eps=1e-5)
                    else:
                        y = F.batch_norm(leaf, None, None, training=True, eps=1e-5)
                    (dx,) = torch.autograd.grad(y, leaf, in_order[1])
                    if norm == "batch":
                        y, dx = y.transpose(0, 1), dx.transpose(0, 1)
                    found.append([t.detach().to(F64).reshape(rows, values)[:, others] for t in (y, dx)])
                errors = {
                    name: ((f32 - f64).abs().amax(1) / f64.std(1, correction=0)).amax().reshape(1)
                    for name, f64, f32 in zip(["y", "dx"], *found)
                }
                name = f"{norm} {list(shape)} {place} {magnitude:g}"
                out.append(case(name, errors, norm=norm, shape=list(shape), at=at, magnitude=magnitude))
    return out


def rmsnorm():
    out = []

    def norm(shape, eps):
        def f(x, gamma=None):
            return F.rms_norm(x, list(shape), gamma, eps)

        return f

    for eps in [1e-12, 0.1]:
        inputs = {"x": randn(3, 6, scale=0.05), "gamma": randn(6, offset=1.5)}
        out.append(op(f"eps {eps:g}", norm((6,), eps), inputs, eps=eps, normalized_shape=[6]))
    return out


# --------------------------------------------------------- a network that trains


def mlp():
    """Linear, norm, ReLU, Linear, cross-entropy; five steps of SGD with momentum.

    Weights are stored as PyTorch keeps them, [out, in].
    """
    out = []
    for kind in ["batchnorm", "layernorm"]:
        steps, n, d, h, c = 5, 8, 5, 6, 3
        layer = torch.nn.BatchNorm1d(h) if kind == "batchnorm" else torch.nn.LayerNorm(h)
        net = torch.nn.Sequential(torch.nn.Linear(d, h), layer, torch.nn.ReLU(), torch.nn.Linear(h, c)).double()
        names = {"0.weight": "w1", "0.bias": "b1", "1.weight": "gamma", "1.bias": "beta", "3.weight": "w2", "3.bias": "b2"}
        arrays = {}
        with torch.no_grad():
            for key, p in net.named_parameters():
                p.copy_(randn(*p.shape, scale=0.6, offset=1.5 if key == "1.weight" else 0))
                arrays[names[key]] = p.clone()
        lr, momentum = 0.2, 0.9
        optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum)
        losses = []
        for i in range(steps):
            x = randn(n, d)
            target = torch.randint(0, c, (n,), generator=GEN)
            arrays[f"x{i}"], arrays[f"target{i}"] = x, target
            loss = F.cross_entropy(net(x), target)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        arrays["loss"] = torch.tensor(losses, dtype=F64)
        for key, p in net.named_parameters():
            arrays[f"{names[key]}_final"] = p
        if kind == "batchnorm":
            arrays["running_mean"] = layer.running_mean
            arrays["running_var"] = layer.running_var
        out.append(case(kind, arrays, lr=lr, momentum=momentum, steps=steps, eps=1e-5))
    return out


def saved():
    """A CNN with Batch Norm as PyTorch saves it, and its result in evaluation mode. The
    weights are in saved.safetensors, in f32."""
    import safetensors.torch

    channels, side, outputs = [1, 2, 4], 5, 3
    net = Cnn("batch", channels, side, outputs)
    with torch.no_grad():
        for t in net.state_dict().values():
            if t.is_floating_point():
                t.copy_(randn(*t.shape, scale=0.4, offset=1.0 if t.dim() == 1 else 0.0).abs())
            else:
                t.fill_(7)
    safetensors.torch.save_file(net.state_dict(), HERE / "saved.safetensors", {"format": "pt"})
    x = randn(3, 1, side, side)
    y = net.double().eval()(x)
    return [case("batch", {"x": x, "y": y}, channels=channels, side=side, outputs=outputs)]


LAYERS = [
    "torch.nn.Linear(2, 3)",
    "torch.nn.Conv2d(2, 3, 5)",
    "torch.nn.Embedding(5, 3)",
    "torch.nn.BatchNorm1d(3)",
    "torch.nn.LayerNorm([3])",
    "torch.nn.RMSNorm([3])",
    "torch.nn.GroupNorm(2, 4)",
    "torch.nn.RNN(2, 3)",
    "torch.nn.GRU(2, 3)",
    "torch.nn.LSTM(2, 3)",
    "torch.nn.MultiheadAttention(4, 2)",
    "torch.nn.TransformerEncoderLayer(4, 2, 8)",
]


def names():
    """Names and shapes of what PyTorch's layers hold, zeros in place of the numbers, and
    the defaults of the norms."""
    out = []
    for expression in LAYERS:
        module = eval(expression)
        settings = {}
        if hasattr(module, "eps"):
            # None stands for the machine epsilon of the numbers that are normalized.
            eps = torch.finfo(torch.float32).eps if module.eps is None else module.eps
            settings = {"eps": eps, "momentum": getattr(module, "momentum", None)}
        state = {k: torch.zeros_like(v) for k, v in module.state_dict().items()}
        out.append(case(expression, state, **settings))
    return out


# Each with its seed.
FAMILIES = {
    hard: 1000, batchnorm: 1009, batchnorm_running: 1010, layernorm: 1011, rmsnorm: 1012,
    mlp: 1013, saved: 1017, names: 1018, outliers: 1019,
}  # fmt: skip


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    known = [f.__name__ for f in FAMILIES]
    for name in sys.argv[1:]:
        if name not in known:
            sys.exit(f"no family is called {name}; there are: {' '.join(known)}")
    for family, seed in FAMILIES.items():
        name = family.__name__
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            GEN.manual_seed(seed)
            write(name, seed, family())


if __name__ == "__main__":
    main()
