#!/usr/bin/env python3
"""Compute with PyTorch what `verify` compares its cases with.

    python crates/verify/pytorch/generate.py

needs PyTorch, with NumPy and safetensors; the version that computed the committed values is
recorded beside them. `verify` draws the inputs of its cases itself, and tells them through
`cargo run -p verify --example pytorch_inputs`. FUNCTIONS says what PyTorch computes for each
case: the value and, for the upstream gradient that comes with the inputs, the gradients of all
arguments, in float64 and on one thread, so that one processor gives the same bytes again.

values.safetensors holds `N.y`, the value, and `N.d0`, `N.d1`, ..., the gradients in the order of
the arguments. Its metadata, as JSON under `verify`, has PyTorch's version and, for each case,
what was computed, the digests of its inputs, and N, which cases share that PyTorch computed alike.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

sys.dont_write_bytecode = True
from networks import Block, Cnn, DynamicTanh, Mlp, QkNormAttention, Recurrent, RecurrentLm
from networks import SelfAttention, Transformer
from networks import later, pad, packed_attention

HERE = Path(__file__).resolve().parent
F64 = torch.float64

# What each case is in PyTorch, by its group and name. The first pattern that matches a whole name
# counts, and its groups are put into the expression. `x0`, `x1`, ... are the arguments. An
# expression that is a module is called with `x0`, and the other arguments are its parameters;
# constants that it has too are its buffers.
FUNCTIONS = [
    (r"ops: a ([-+*/]) b of .*", "x0 {0} x1"),
    (r"ops: a / 3", "x0 / 3"),
    (r"ops: x / \(x \* x\)", "x0 / (x0 * x0)"),
    (r"ops: powi (-?\d+)( of both signs)?", "x0 ** {0}"),
    (r"ops: (sum|mean) over (\[.+\])", "x0.{0}({1})"),
    (r"ops: (sum|mean) over (\[.+\]), kept", "x0.{0}({1}, keepdim=True)"),
    (r"ops: max over (\[.+\])", "x0.amax({0})"),
    (r"ops: max over (\[.+\]), kept", "x0.amax({0}, keepdim=True)"),
    (r"ops: (sum|mean|max) of all", "x0.{0}()"),
    (r"ops: max, of equals", "torch.stack([x0, x0], 1).amax(1)"),
    (r"ops: permute .* by (\[.*\])", "x0.permute({0})"),
    (r"ops: transpose", "x0.transpose(1, 2)"),
    (r"ops: slice along axis (\d)", "x0.narrow({0}, 1, 2)"),
    (r"ops: slice from the start", "x0[:, :2]"),
    (r"ops: select", "x0.select(1, 3)"),
    (r"ops: slices that overlap", "x0[:, 0:3] * x0[:, 2:5]"),
    (r"ops: stack along axis (\d)", "torch.stack([x0, x1], {0})"),
    (r"ops: concat along axis 0", "torch.cat([x0, x1])"),
    (r"ops: concat", "torch.cat([x0, x1, x2], 1)"),
    (r"ops: concat, one part twice", "torch.cat([x0, x0], 1)"),
    (r"ops: index_select along axis (\d)", "x0.index_select({0}, torch.tensor([1, 1, 0]))"),
    (r"ops: embedding", "F.embedding(torch.tensor([4, 0, 4]), x0)"),
    (r"ops: embedding, two look-ups", "x0[[0, 1]] * x0[[1, 2]]"),
    (r"ops: broadcast_to (\[.*\]) of .*", "x0.broadcast_to({0})"),
    (r"ops: reshape to a scalar", "x0.reshape([])"),
    (r"ops: reshape", "x0.reshape(3, 4)"),
    (r"ops: masked_fill", "x0.masked_fill(later(3), 5.0)"),
    (r"ops: masked_fill -inf, softmax", "x0.masked_fill(later(3), -torch.inf).softmax(2)"),
    (r"ops: (softmax|log_softmax) along axis (\d)", "x0.{0}({1})"),
    (r"ops: -x", "-x0"),
    (r"ops: x ([+*]) x", "x0 {0} x0"),
    (r"ops: ln", "x0.log()"),
    (r"ops: gelu", "F.gelu(x0)"),
    (r"ops: (exp|sqrt|tanh|sigmoid|relu)", "x0.{0}()"),
    (r"ops: stop_gradient", "x0 * x0.detach()"),
    (r"ops: matmul, squared", "x0 @ x0"),
    (r"ops: matmul.*", "x0 @ x1"),
    (r"ops: conv2d of .*, (\[.*\]), (\[.*\])", "F.conv2d(x0, x1, x2, {0}, {1})"),
    (r"ops: conv2d without a bias", "F.conv2d(x0, x1)"),
    (
        r"ops: conv2d, one kernel twice",
        "F.conv2d(F.conv2d(x0, x1, x2, 1, 1), x1, x2, 1, 1) * F.conv2d(x0, x1, None, 1, 1)",
    ),
    (r"ops: (max|avg)_pool2d, an edge of padding", "F.{0}_pool2d(x0, (1, 3), 1, (0, 1))"),
    (r"ops: (max|avg)_pool2d, windows that overlap", "F.{0}_pool2d(x0, 3, (1, 2), 1)"),
    (r"ops: max_pool2d, of equals", "F.max_pool2d(torch.cat([x0, x0], 2), (4, 2), 1)"),
    (r"ops: (max|avg)_pool2d", "F.{0}_pool2d(x0, 2)"),
    (r"ops: cross_entropy", "F.cross_entropy(x0, torch.tensor([3, 0, 4, 3]))"),
    (r"ops: cross_entropy, weighted", "weighted_cross_entropy(x0, [3, 0, 4, 3], [2.0, 0.0, 0.5, 1.0])"),
    (r"ops: mse to a constant", "F.mse_loss(x0, target)"),
    (r"ops: mse", "F.mse_loss(x0, x1)"),
    (r"batch norm: (?:composed|staged|fused) \[.*\]", "batch_norm(x0, x1, x2)"),
    (r"batch norm: frozen \[.*\]", "frozen(x0, mean, var, x1, x2)"),
    (r"batch norm: fused, (?:long planes, )?plus x", "batch_norm(x0, x1, x2) + x0"),
    (
        r"batch norm: frozen, (?:long planes, )?plus x",
        "frozen(x0, [0.5, -1.0], [2.0, 0.3], x1, x2) + x0",
    ),
    (r"batch norm: fused, x constant", "batch_norm(constant, x0, x1)"),
    (r"batch norm: frozen, gamma constant", "frozen(x0, [0.5, -1.0], [2.0, 0.3], constant, x1)"),
    (r"batch norm: frozen, beta constant", "frozen(x0, [0.5, -1.0], [2.0, 0.3], x1, constant)"),
    (r"batch norm: layer, training", "nn.BatchNorm2d(2)"),
    (r"batch norm: layer, training, no affine", "nn.BatchNorm2d(2, affine=False)"),
    (r"batch norm: layer, evaluation", "nn.BatchNorm2d(2).eval()"),
    (r"batch norm: layer, evaluation, no affine", "nn.BatchNorm2d(2, affine=False).eval()"),
    (r"layer norm: layer", "nn.LayerNorm([2, 3])"),
    (r"layer norm: layer, no beta", "nn.LayerNorm([2, 3], bias=False)"),
    (r"layer norm: layer, no affine", "nn.LayerNorm([2, 3], elementwise_affine=False)"),
    (r"layer norm: fused, plus x", "F.layer_norm(x0, x1.shape, x1, x2, 1e-5) + x0"),
    (r"layer norm: .*", "F.layer_norm(x0, x1.shape, x1, x2, 1e-5)"),
    (r"rms norm: layer", "nn.RMSNorm([2, 3])"),
    (r"rms norm: layer, no affine", "nn.RMSNorm([2, 3], elementwise_affine=False)"),
    (r"rms norm: fused, plus x", "F.rms_norm(x0, x1.shape, x1, 1e-5) + x0"),
    (r"rms norm: .*", "F.rms_norm(x0, x1.shape, x1, 1e-5)"),
    (r"layers: linear op", "F.linear(x0, x1, x2)"),
    (r"layers: linear op, more axes, no bias", "F.linear(x0, x1)"),
    (r"layers: linear op, used twice", "F.linear(F.linear(x0, x1, x2), x1, x2) * F.linear(x0, x1)"),
    (r"layers: checkpoint of two layers", "checkpointed(x0, x1, x2, x3)"),
    (r"layers: linear layer", "nn.Linear(3, 4)"),
    (r"layers: mlp, (?:no norm|(\w+) norm), (\w+), (\w+)", "Mlp([3, 4, 2], '{0}', '{1}').{2}()"),
    (r"layers: convolution", "nn.Conv2d(2, 3, 3, (2, 1), 1)"),
    (r"layers: max-pool", "nn.MaxPool2d(2, 2, 1)"),
    (r"layers: average pool", "nn.AvgPool2d((2, 3), 1)"),
    (r"layers: group norm, (\d) of 4 channels", "nn.GroupNorm({0}, 4)"),
    (r"layers: cnn, (\w+) norm, (\w+)", "Cnn('{0}', [1, 2, 4], 4, 3).{1}()"),
    (r"layers: embedding, packed and unpacked", "packed_and_unpacked(x0)"),
    (r"layers: attention op, all to all", "packed_attention(x0, [2, 4], 2, False)"),
    (r"layers: attention op, causal", "packed_attention(x0, [2, 4], 2, True)"),
    (r"layers: multi-head attention, all to all", "SelfAttention(4, 2, False)"),
    (r"layers: multi-head attention, causal", "SelfAttention(4, 2, True)"),
    (
        r"layers: multi-head attention, (\w+) norm on queries and keys",
        "QkNormAttention('{0}', 6, 2)",
    ),
    (r"layers: dynamic tanh", "DynamicTanh([2, 3])"),
    (r"layers: transformer block, (\w+) ([\w-]+) norm", "Block('{0}', '{1}', 4, 2, 5)"),
    (r"layers: transformer language model", "Transformer(5, 4, 2, 4, 2, 5, [3, 4])"),
    (
        r"layers: (rnn|gru|lstm), (\w+) norm, (\w+)",
        "Recurrent('{0}', '{1}', 2, 3, [3, 1, 3, 2, 3]).{2}()",
    ),
    (
        r"layers: lstm language model, two layers",
        "RecurrentLm(5, 'lstm', 'layer', 2, 3, 2, [3, 1, 4])",
    ),
]

# Words of names as they stand in expressions; nothing stands for a norm that is none.
WORDS = {"training": "train", "evaluation": "eval", None: "none"}


def batch_norm(x, gamma, beta):
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)


def frozen(x, mean, var, gamma, beta):
    mean, var = (torch.as_tensor(v, dtype=F64) for v in (mean, var))
    return F.batch_norm(x, mean, var, gamma, beta, training=False, eps=1e-5)


def weighted_cross_entropy(x, target, weights):
    """The mean over examples by these weights."""
    weights = torch.tensor(weights, dtype=F64)
    losses = F.cross_entropy(x, torch.tensor(target), reduction="none")
    return (losses * weights).sum() / weights.sum()


def checkpointed(x, w, b, v):
    segment = lambda x, w, b, v: F.linear(F.linear(x, w, b).relu(), v) + x
    return checkpoint(segment, x, w, b, v, use_reentrant=False)


def packed_and_unpacked(weight):
    """Sequences of 2 and 4 rows are padded, the first is appended once more, and of the three
    the first 3, 2 and 4 positions are kept."""
    padded = pad(F.embedding(torch.tensor([1, 0, 4, 1, 2, 3]), weight), [2, 4])
    return torch.cat([padded[0, :3], padded[1, :2], padded[0, :4]])


def expression(case):
    for pattern, text in FUNCTIONS:
        if found := re.fullmatch(pattern, case):
            return text.format(*(WORDS.get(word, word) for word in found.groups()))
    raise SystemExit(f"{case}: FUNCTIONS does not say what this is in PyTorch; see generate.py")


def array(given):
    return torch.tensor(given["data"], dtype=F64).reshape(given["shape"])


def compute(case, text, given):
    """The value, and the gradients of all arguments."""
    names = [argument["name"] for argument in given["arguments"]]
    leaves = [array(argument).requires_grad_() for argument in given["arguments"]]
    constants = {c["name"]: array(c) for c in given["constants"]}
    scope = globals() | constants | {f"x{i}": leaf for i, leaf in enumerate(leaves)}
    y = eval(text, scope)
    if isinstance(y, nn.Module):
        module = y.double()
        state = dict(zip(names[1:], leaves[1:]))
        own = {name for name, _ in module.named_parameters()}
        if own != state.keys():
            raise SystemExit(f"{case}: PyTorch's parameters are {sorted(own)}, ours {sorted(state)}")
        y = torch.func.functional_call(module, state | constants, (leaves[0],))
    return [y.detach(), *torch.autograd.grad(y, leaves, array(given["dy"]))]


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    cargo = ["cargo", "run", "--quiet", "-p", "verify", "--example", "pytorch_inputs"]
    inputs = json.loads(subprocess.run(cargo, cwd=HERE, check=True, capture_output=True).stdout)
    cases, known, arrays = {}, {}, {}
    for case, given in inputs.items():
        text = expression(case)
        results = [r.contiguous().numpy() for r in compute(case, text, given)]
        key = (*given["digests"].values(), *(r.tobytes() for r in results))
        if key not in known:
            known[key] = str(len(known))
            for name, result in zip(["y", *(f"d{i}" for i in range(len(results)))], results):
                assert np.isfinite(result).all(), f"{case}: a value is not finite"
                arrays[f"{known[key]}.{name}"] = result
        cases[case] = {"function": text, "digests": given["digests"], "values": known[key]}
    # One entry only: the order of several would not be the same every time.
    about = {"verify": json.dumps({"torch": torch.__version__, "cases": cases})}
    file = HERE / "values.safetensors"
    safetensors.numpy.save_file(arrays, file, about)
    print(f"{len(cases)} cases, {len(known)} of their own, {file.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
