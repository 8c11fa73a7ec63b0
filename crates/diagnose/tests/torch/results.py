"""Lets PyTorch compute normalizations, right ones, for the tests of `diagnose`.

    python results.py                    writes the committed files beside this script
    python results.py FOLDER COUNT       writes COUNT files with other shapes and seeds

Needs torch and safetensors.
"""

import random
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

TYPES = {
    "f64": torch.float64,
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
}


def compute(norm, shape, dtype, eps=1e-5, normalized=1, groups=2, seed=0, mean=0.5, size=1.0):
    """The tensors of one file, and its metadata."""
    make = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=make, dtype=torch.float64)

    of_parameters = shape[-normalized:] if norm in ("layer", "rms") else [shape[1]]
    kind = TYPES[dtype]
    x = (size * (normal(*shape) + mean)).to(kind).requires_grad_()
    gamma = (1.0 + 0.3 * normal(*of_parameters)).to(kind).requires_grad_()
    beta = (0.3 * normal(*of_parameters)).to(kind).requires_grad_()
    dy = normal(*shape).to(kind)
    extra = {}
    facts = {"norm": norm, "eps": repr(eps), "seed": str(seed), "dtype": dtype}
    if norm == "layer":
        y = F.layer_norm(x, of_parameters, gamma, beta, eps)
        facts["normalized"] = str(normalized)
    elif norm == "rms":
        y = F.rms_norm(x, of_parameters, gamma, eps)
        facts["normalized"] = str(normalized)
    elif norm == "group":
        y = F.group_norm(x, groups, gamma, beta, eps)
        facts["groups"] = str(groups)
    else:
        running = [torch.zeros(shape[1], dtype=kind), torch.ones(shape[1], dtype=kind)]
        extra = {"old_running_mean": running[0].clone(), "old_running_var": running[1].clone()}
        y = F.batch_norm(x, *running, gamma, beta, training=True, momentum=0.1, eps=eps)
        extra |= {"running_mean": running[0], "running_var": running[1]}
        facts["momentum"] = "0.1"
    y.backward(dy)
    tensors = {"input": x.detach(), "weight": gamma.detach(), "grad_output": dy, "output": y.detach()}
    tensors |= {"grad_input": x.grad, "grad_weight": gamma.grad} | extra
    if norm != "rms":
        tensors |= {"bias": beta.detach(), "grad_bias": beta.grad}
    return {name: t.contiguous() for name, t in tensors.items()}, facts


def main():
    if len(sys.argv) < 3:
        folder = Path(__file__).parent
        cases = [
            ("layer", [5, 12], {}),
            ("rms", [5, 12], {}),
            ("group", [3, 4, 6], {}),
            ("batch", [4, 3, 5], {}),
        ]
        for norm, shape, options in cases:
            for dtype in TYPES:
                tensors, facts = compute(norm, shape, dtype, **options)
                save_file(tensors, folder / f"{norm}-{dtype}.safetensors", metadata=facts)
        return
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    for number in range(count):
        norm = draw.choice(["layer", "rms", "group", "batch"])
        dtype = draw.choice(list(TYPES))
        channels = 2 * draw.randint(2, 8)
        shape = [draw.randint(3, 20), channels] + [draw.randint(3, 12)] * draw.randint(0, 2)
        if norm in ("layer", "rms"):
            shape = [draw.randint(2, 20)] * draw.randint(1, 2) + [draw.randint(3, 300)]
            if draw.random() < 0.2:
                shape = [draw.randint(3, 9), draw.randint(3, 9), draw.randint(3, 12)]
        if norm == "group" and len(shape) == 2:
            shape.append(5)
        normalized = draw.choice([1, 2]) if norm in ("layer", "rms") and len(shape) > 2 else 1
        mean = draw.choice([0.0, 0.5, 3.0, 20.0])
        size = draw.choice([0.01, 1.0, 30.0])
        tensors, facts = compute(
            norm, shape, dtype, normalized=normalized, seed=number, mean=mean, size=size
        )
        save_file(tensors, folder / f"{number:05}-{norm}-{dtype}.safetensors", metadata=facts)


main()
