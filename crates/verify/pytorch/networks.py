"""The networks of the book as PyTorch's modules, under the names of its `state_dict`."""

import torch
import torch.nn.functional as F
from torch import nn

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": F.gelu}


class DynamicTanh(nn.Module):
    """A curve in the place of a norm, as in Zhu et al. (2025)."""

    def __init__(self, shape):
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor([0.5]))
        self.weight, self.bias = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.zeros(shape))

    def forward(self, x):
        return torch.tanh(self.alpha * x) * self.weight + self.bias


def norm(kind, shape):
    """The norm of features or images of this shape, without the batch."""
    groups = kind.removeprefix("group")
    if groups.isdigit():
        return nn.GroupNorm(int(groups), shape[0])
    batch = nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d
    return {
        "none": nn.Identity,
        "batch": lambda: batch(shape[0]),
        "layer": lambda: nn.LayerNorm(shape),
        "rms": lambda: nn.RMSNorm(shape),
        "dynamic-tanh": lambda: DynamicTanh(shape),
    }[kind]()


class Mlp(nn.Module):
    """Linear layers, each but the last followed by a norm and a nonlinearity."""

    def __init__(self, sizes, kind, activation):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in zip(sizes, sizes[1:]))
        for layer in self.layers[:-1]:
            layer.norm = norm(kind, [layer.out_features])
        self.activation = ACTIVATIONS[activation]

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = self.activation(layer.norm(layer(x)))
        return self.layers[-1](x)


class Cnn(nn.Module):
    """Convolution, norm, ReLU, max-pool, twice; then a linear layer."""

    def __init__(self, kind, channels, side, outputs):
        super().__init__()
        self.stages = len(channels) - 1
        for i, (c, o) in enumerate(zip(channels, channels[1:]), 1):
            setattr(self, f"conv{i}", nn.Conv2d(c, o, 3, padding=1))
            setattr(self, f"norm{i}", norm(kind, [o, side, side]))
            side //= 2
        self.fc = nn.Linear(channels[-1] * side * side, outputs)

    def forward(self, x):
        for i in range(1, self.stages + 1):
            x = getattr(self, f"conv{i}")(x)
            x = F.max_pool2d(getattr(self, f"norm{i}")(x).relu(), 2)
        return self.fc(x.flatten(1))


# ------------------------------------------------- sequences of different lengths


def mask(lengths):
    """1 where a position of the padded batch counts."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def pad(rows, lengths):
    """Rows, sequence after sequence, as a padded batch."""
    return nn.utils.rnn.pad_sequence(rows.split(lengths), batch_first=True)


def later(steps):
    """1 at what comes later than a position."""
    return torch.ones(steps, steps).triu(1).bool()


def packed_attention(qkv, lengths, heads, causal):
    """Queries, keys and values of packed sequences, [M, 3 D]; each sequence for itself."""
    out = []
    for rows in qkv.split(lengths):
        q, k, v = (part.unflatten(1, (heads, -1)).transpose(0, 1) for part in rows.chunk(3, 1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        out.append(y.transpose(0, 1).flatten(1))
    return torch.cat(out)


class SelfAttention(nn.MultiheadAttention):
    """Queries, keys and values of the same x."""

    def __init__(self, width, heads, causal):
        super().__init__(width, heads, batch_first=True)
        self.causal = causal

    def forward(self, x):
        hidden = later(x.shape[1]) if self.causal else None
        return super().forward(x, x, x, attn_mask=hidden, need_weights=False)[0]


class QkNormAttention(nn.MultiheadAttention):
    """Attention in which no position sees a later one, with a norm on each query and each key of
    each head."""

    def __init__(self, kind, width, heads):
        super().__init__(width, heads, batch_first=True)
        self.q_norm, self.k_norm = (norm(kind, [width // heads]) for _ in range(2))

    def forward(self, x):
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, 2)
        q, k, v = (part.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for part in qkv)
        y = F.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v, is_causal=True)
        return self.out_proj(y.transpose(1, 2).flatten(2))


class FeatureBatchNorm(nn.BatchNorm1d):
    """Batch Norm of each feature over all positions of all sequences."""

    def forward(self, x):
        return super().forward(x.flatten(0, -2)).reshape(x.shape)


class Block(nn.TransformerEncoderLayer):
    """A Transformer block with any norm, in which no position sees a later one."""

    def __init__(self, place, kind, width, heads, hidden):
        super().__init__(
            width, heads, hidden, dropout=0.0, activation="gelu", batch_first=True,
            norm_first=place == "pre",
        )  # fmt: skip
        make = FeatureBatchNorm if kind == "batch" else lambda width: norm(kind, [width])
        self.norm1, self.norm2 = make(width), make(width)

    def forward(self, x, padding=None):
        return super().forward(x, src_mask=later(x.shape[1]), src_key_padding_mask=padding)


class Tokens(nn.Module):
    """A model of sequences of tokens, which stand in a fixed disorder; its outputs, packed,
    are multiplied by x."""

    def __init__(self, tokens, lengths):
        super().__init__()
        self.lengths = lengths
        self.tokens = torch.tensor([(i * i + 1) % tokens for i in range(sum(lengths))])


class Transformer(Tokens):
    def __init__(self, tokens, steps, layers, width, heads, hidden, lengths):
        super().__init__(tokens, lengths)
        self.embedding, self.positions = nn.Embedding(tokens, width), nn.Embedding(steps, width)
        self.layers = nn.ModuleList(Block("pre", "layer", width, heads, hidden) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, tokens)

    def forward(self, x):
        counts = mask(self.lengths)
        h = self.embedding(pad(self.tokens, self.lengths))
        h = h + self.positions(torch.arange(h.shape[1]))
        for layer in self.layers:
            h = layer(h, padding=~counts)
        return self.head(self.norm(h))[counts] * x


# ------------------------------------------------------------- recurrent networks


class Gain(nn.Module):
    """A scale; its shift is a bias of the cell."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))


class Recurrent(nn.Module):
    """Cells on each other with a norm inside, step by step, on packed sequences: Layer Norm as
    in Ba et al. (2016), Batch Norm as in Cooijmans et al. (2017). Without a norm it is
    PyTorch's own."""

    def __init__(self, cell, kind, inputs, h, lengths, layers=1):
        super().__init__()
        self.cell, self.kind, self.h, self.layers, self.lengths = cell, kind, h, layers, lengths
        g = {"rnn": 1, "gru": 3, "lstm": 4}[cell] * h
        for l in range(layers):
            shapes = {
                "weight_ih": (g, h if l else inputs), "weight_hh": (g, h),
                "bias_ih": (g,), "bias_hh": (g,),
            }  # fmt: skip
            if cell == "lstm" and kind != "none":
                shapes["bias_c"] = (h,)
            for name, shape in shapes.items():
                setattr(self, f"{name}_l{l}", nn.Parameter(torch.zeros(shape)))
            gains = {"none": {}, "batch": {"ih": g, "hh": g}, "layer": {"ih": g, "hh": g}}[kind]
            if cell == "rnn" and kind == "layer":
                gains = {"hh": g}
            if cell == "lstm" and kind != "none":
                gains["c"] = h
            for name, width in gains.items():
                setattr(self, f"norm_{name}_l{l}", Gain(width))

    def norm(self, x, name, bias):
        gain = getattr(self, name).weight

        def over(x, gain, bias):
            if self.kind == "layer":
                return F.layer_norm(x, x.shape[-1:], gain, bias, 1e-5)
            # In evaluation, what a layer has that was never trained.
            start = torch.zeros_like(gain), torch.ones_like(gain)
            known = (None, None) if self.training else start
            return F.batch_norm(x, *known, gain, bias, self.training, 0.0, 1e-5)

        if self.cell == "gru" and self.kind == "layer":
            cut = 2 * self.h
            return torch.cat([over(x[:, :cut], gain[:cut], bias[:cut]),
                              over(x[:, cut:], gain[cut:], bias[cut:])], 1)  # fmt: skip
        return over(x, gain, bias)

    def layer(self, l, x):
        """The states of one cell at all steps, [B, T, H]; zeros where nothing counts."""
        of = lambda name: getattr(self, f"{name}_l{l}")
        h = c = torch.zeros(x.shape[0], self.h, dtype=x.dtype)
        out = []
        for t in range(x.shape[1]):
            on = torch.tensor(self.lengths) > t
            gx, gh = x[on, t] @ of("weight_ih").T, h[on] @ of("weight_hh").T
            c_on = c[on]
            if self.cell == "rnn" and self.kind == "layer":
                now = self.norm(gx + of("bias_ih") + gh, f"norm_hh_l{l}", of("bias_hh")).tanh()
            else:
                gx = self.norm(gx, f"norm_ih_l{l}", of("bias_ih"))
                gh = self.norm(gh, f"norm_hh_l{l}", of("bias_hh"))
                if self.cell == "rnn":
                    now = (gx + gh).tanh()
                elif self.cell == "gru":
                    (xr, xz, xn), (hr, hz, hn) = gx.chunk(3, 1), gh.chunk(3, 1)
                    z = (xz + hz).sigmoid()
                    now = (1 - z) * (xn + (xr + hr).sigmoid() * hn).tanh() + z * h[on]
                else:
                    i, f, g, o = (gx + gh).chunk(4, 1)
                    c_on = f.sigmoid() * c_on + i.sigmoid() * g.tanh()
                    now = o.sigmoid() * self.norm(c_on, f"norm_c_l{l}", of("bias_c")).tanh()
            where = on.nonzero()[:, 0]
            h = torch.zeros_like(h).index_copy(0, where, now)
            c = torch.zeros_like(c).index_copy(0, where, c_on)
            out.append(h)
        return torch.stack(out, 1)

    def forward(self, x):
        if self.kind == "none":
            return self.plain(x)
        x = pad(x, self.lengths)
        for l in range(self.layers):
            x = self.layer(l, x)
        return x[mask(self.lengths)]

    def plain(self, x):
        """The same by PyTorch's own layer."""
        own = getattr(nn, self.cell.upper())(
            x.shape[1], self.h, num_layers=self.layers, batch_first=True, dtype=x.dtype
        )
        given = nn.utils.rnn.pack_padded_sequence(
            pad(x, self.lengths), torch.tensor(self.lengths), batch_first=True, enforce_sorted=False
        )
        states, _ = torch.func.functional_call(own, dict(self.named_parameters()), (given,))
        return nn.utils.rnn.pad_packed_sequence(states, batch_first=True)[0][mask(self.lengths)]


class RecurrentLm(Tokens):
    def __init__(self, tokens, cell, kind, inputs, h, layers, lengths):
        super().__init__(tokens, lengths)
        self.embedding, self.head = nn.Embedding(tokens, inputs), nn.Linear(h, tokens)
        self.rnn = Recurrent(cell, kind, inputs, h, lengths, layers)

    def forward(self, x):
        return self.head(self.rnn(self.embedding(self.tokens))) * x
