"""Golden optimizer steps from PyTorch: writes golden.txt beside this file.

    python golden.py        (torch 2.x)

Each line: a name, then the eight values of two parameters after seven steps. The
gradient of step t (from 1) with respect to parameter value p is sin(3 p + t).
"""

from pathlib import Path

import torch

START = [[0.3, -1.2, 2.5, 0.0, 4.0], [-0.7, 1.1, 0.05]]
CASES = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd decay": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.05),
    "sgd momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.05),
    "sgd nesterov": lambda p: torch.optim.SGD(
        p, lr=0.1, momentum=0.9, weight_decay=0.05, nesterov=True
    ),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "adam decay": lambda p: torch.optim.Adam(
        p, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.05
    ),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.05),
    "sgd clipped": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
}

lines = []
for name, make in CASES.items():
    params = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in START]
    optimizer = make(params)
    for t in range(1, 8):
        for p in params:
            p.grad = torch.sin(3 * p.detach() + t)
        if name.endswith("clipped"):
            torch.nn.utils.clip_grad_norm_(params, 1.5)
        optimizer.step()
    values = [x for p in params for x in p.tolist()]
    lines.append(" ".join([name.replace(" ", "-"), *map(repr, values)]))
Path(__file__).with_name("golden.txt").write_text("\n".join(lines) + "\n")
