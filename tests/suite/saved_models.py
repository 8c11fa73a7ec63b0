"""Opens models saved by the tests: `python saved_models.py FOLDER < inputs.json`.

Standard input holds for each kind of model an input, `{"cnn": {"shape": [..], "data":
[..]}, ..}`. Loads FOLDER/KIND.safetensors into PyTorch's module of that kind, strictly,
runs it in evaluation mode, and prints the outputs in the same form. Ends with status 77 if
a library is missing.
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "crates/verify/pytorch"))
try:
    import torch
    from networks import Cnn
    from safetensors.torch import load_file
except ImportError:
    sys.exit(77)


class States(torch.nn.LSTM):
    def forward(self, x):
        return super().forward(x)[0]


MODULES = {
    "cnn": lambda: Cnn("batch", [1, 2, 4], 5, 3),
    "lstm": lambda: States(2, 3, num_layers=2, batch_first=True),
    "transformer": lambda: torch.nn.TransformerEncoderLayer(
        6, 2, 7, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    ),
}

out = {}
for kind, x in json.load(sys.stdin).items():
    module = MODULES[kind]().eval()
    module.load_state_dict(load_file(Path(sys.argv[1]) / f"{kind}.safetensors"), strict=True)
    with torch.no_grad():
        y = module(torch.tensor(x["data"]).reshape(x["shape"]))
    out[kind] = {"shape": list(y.shape), "data": y.flatten().tolist()}
print(json.dumps(out))
