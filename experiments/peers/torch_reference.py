#!/usr/bin/env python3
"""ElasticTok in plain PyTorch: what `elastictok bench --peer PYTHON` races against.

    torch_reference.py step WORK --mode eager|compile --precision f32|bf16 --threads N
    torch_reference.py check [FOLDER]

WORK is JSON, as `elastictok bench` writes it. `step` says `ready`, then answers each line of its input with a number:
`step` makes one and says its seconds, `peak` says the GFLOP/s of a large product in this precision, `memory` the most
bytes this process held beyond what it held before there was a model. `check` compares
reconstructions, losses and gradients with those of the reference implementation (tests/fixtures/reference), as our own
tests do: both race with the same function.

Needs torch alone (`pip install torch`; its CPU build will do).
"""

import argparse
import json
import math
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

VAE_KL_WEIGHT = 1e-8
CLIP_NORM = 1.0


class Norm(nn.Module):
    def __init__(self, width, epsilon):
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(width)), epsilon

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.epsilon)


def rotate(x, cosine, sine):
    """Turns interleaved pairs of (sequences, tokens, heads, d), in f32 whatever the precision."""
    pairs = x.float().unflatten(-1, (-1, 2))
    even, odd = pairs.unbind(-1)
    turned = torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), -1)
    return turned.flatten(-2).to(x.dtype)


class Layer(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)); q, k, v and gate, up are one product each, as ours."""

    def __init__(self, width, hidden, heads, epsilon, block):
        super().__init__()
        self.heads, self.block = heads, block
        self.attention_norm, self.feed_forward_norm = Norm(width, epsilon), Norm(width, epsilon)
        self.w_qkv, self.w_out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.w_gate_up, self.w_down = nn.Linear(width, 2 * hidden, bias=False), nn.Linear(hidden, width, bias=False)

    def forward(self, x, cosine, sine):
        sequences, tokens, width = x.shape
        qkv = self.w_qkv(self.attention_norm(x)).view(sequences, tokens, 3, self.heads, -1)
        q, k, v = qkv.unbind(2)
        q, k, v = (t.transpose(1, 2) for t in (rotate(q, cosine, sine), rotate(k, cosine, sine), v))
        # Block by block against its prefix: what the block-causal mask hides is not computed here either.
        ends = range(self.block, tokens + 1, self.block)
        seen = [F.scaled_dot_product_attention(q[:, :, e - self.block : e], k[:, :, :e], v[:, :, :e]) for e in ends]
        y = seen[0] if len(seen) == 1 else torch.cat(seen, 2)
        x = x + self.w_out(y.transpose(1, 2).reshape(sequences, tokens, width))
        gate, up = self.w_gate_up(self.feed_forward_norm(x)).chunk(2, -1)
        return x + self.w_down(F.silu(gate) * up)


class ElasticTok(nn.Module):
    def __init__(self, model, tokens):
        super().__init__()
        width, epsilon, levels = model["width"], model["norm_epsilon"], model["levels"]
        self.block, self.levels = model["tokens_per_block"], levels
        read, written = (len(levels), len(levels)) if levels else (2 * model["dim"], model["dim"])
        linear = lambda i, o: nn.Linear(i, o, bias=False)
        layer = lambda: Layer(width, model["hidden"], model["heads"], epsilon, self.block)
        self.in_proj, self.out_proj = linear(model["patch"], width), linear(width, model["patch"])
        self.kept_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.masked_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.encoder = nn.ModuleList(layer() for _ in range(model["encoder_layers"]))
        self.decoder = nn.ModuleList(layer() for _ in range(model["decoder_layers"]))
        self.encoder_norm, self.decoder_norm = Norm(width, epsilon), Norm(width, epsilon)
        self.pre_quant, self.post_quant = linear(width, read), linear(written, width)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
        d = width // model["heads"]
        frequencies = 1.0 / model["rope_theta"] ** (torch.arange(0, d, 2).float() / d)
        angles = torch.outer(torch.arange(tokens).float(), frequencies)[:, None]
        self.register_buffer("cosine", angles.double().cos().float(), persistent=False)
        self.register_buffer("sine", angles.double().sin().float(), persistent=False)

    def bottleneck(self, u, kept, noise):
        """What the decoder may know, and the VAE's divergence a block."""
        u = u.float()
        if self.levels:
            levels = torch.tensor(self.levels, dtype=torch.float32)
            half = (levels - 1) * (1 - 1e-3) / 2
            offset = torch.where(levels % 2 == 1, 0.0, 0.5)
            bounded = torch.tanh(u + torch.tan(offset / half)) * half - offset
            return (bounded + (torch.round(bounded) - bounded).detach()) / (levels // 2), 0.0
        mean, log_variance = u.chunk(2, -1)
        log_variance = log_variance.clamp(-30, 20)
        nats = 0.5 * ((mean**2 + log_variance.exp() - 1 - log_variance) * kept[..., None]).sum()
        kl = nats / (kept.numel() / self.block)
        return (mean if noise is None else mean + (0.5 * log_variance).exp() * noise), kl

    def forward(self, patches, kept, noise=None):
        h = self.in_proj(patches) + torch.where(kept[..., None], self.kept_embedding, self.masked_embedding)
        for layer in self.encoder:
            h = layer(h, self.cosine, self.sine)
        z, kl = self.bottleneck(self.pre_quant(self.encoder_norm(h)), kept, noise)
        h = self.post_quant(torch.where(kept[..., None], z, 0.0))
        for layer in self.decoder:
            h = layer(h, self.cosine, self.sine)
        return torch.tanh(self.out_proj(self.decoder_norm(h))), kl

    def loss(self, patches, kept, noise):
        reconstruction, kl = self(patches, kept, noise)
        return (reconstruction.float() - patches).pow(2).mean() + VAE_KL_WEIGHT * kl


def read_safetensors(path):
    data = open(path, "rb").read()
    length = int.from_bytes(data[:8], "little")
    tensors = json.loads(data[8 : 8 + length])
    tensors.pop("__metadata__", None)
    kinds = {"F32": torch.float32, "I32": torch.int32, "U8": torch.uint8}
    read = {}
    for name, about in tensors.items():
        start, end = (8 + length + at for at in about["data_offsets"])
        values = torch.frombuffer(bytearray(data[start:end]), dtype=kinds[about["dtype"]])
        read[name] = values.reshape(about["shape"])
    return read


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident_bytes():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * resource.getpagesize()


def answer(work, mode, precision):
    torch.manual_seed(0)
    bare = resident_bytes()
    shape = work["model"]
    sequences, tokens = work["sequences"], work["blocks"] * shape["tokens_per_block"]
    model = ElasticTok(shape, tokens)
    patches = torch.rand(sequences, tokens, shape["patch"]) * 2 - 1
    counts = torch.randint(1, shape["tokens_per_block"] + 1, (sequences, work["blocks"]))
    places = torch.arange(tokens) % shape["tokens_per_block"]
    kept = places < counts.repeat_interleave(shape["tokens_per_block"], 1)
    noise = None if shape["levels"] else torch.randn(sequences, tokens, shape["dim"])
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    if work["is_training"]:
        optimizer = torch.optim.AdamW(model.parameters(), 1e-4, (0.9, 0.95), weight_decay=1e-4, fused=True)
        loss_of = torch.compile(model.loss) if mode == "compile" else model.loss

        def step():
            with autocast:
                loss = loss_of(patches, kept, noise)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    else:
        forward = torch.compile(model) if mode == "compile" else model

        def step():
            with torch.inference_mode(), autocast:
                forward(patches, kept)

    def seconds(what):
        began = time.perf_counter()
        what()
        return time.perf_counter() - began

    step(), step()
    print("ready", flush=True)
    for line in sys.stdin:
        match line.strip():
            case "step":
                told = seconds(step)
            case "memory":
                told = peak_bytes() - bare
            case "peak":
                n = 2048
                kind = torch.bfloat16 if precision == "bf16" else torch.float32
                a, b = torch.randn(n, n).to(kind), torch.randn(n, n).to(kind)
                told = 2e-9 * n**3 / min(seconds(lambda: a @ b) for _ in range(4))
            case other:
                sys.exit(f"{other!r}: say step, memory or peak")
        print(told, flush=True)


FLAX = {  # flax's names of what our layers hold, side by side where one product is several of theirs
    "attention_norm.weight": ["attention_norm"],
    "w_qkv.weight": ["attention/wq", "attention/wk", "attention/wv"],
    "w_out.weight": ["attention/wo"],
    "feed_forward_norm.weight": ["ffn_norm"],
    "w_gate_up.weight": ["feed_forward/w1", "feed_forward/w3"],
    "w_down.weight": ["feed_forward/w2"],
    "encoder_norm.weight": ["encoder/ln_f"],
    "decoder_norm.weight": ["decoder/ln_f"],
    "in_proj.weight": ["encoder/in_proj"],
    "pre_quant.weight": ["encoder/pre_quant"],
    "post_quant.weight": ["decoder/post_quant"],
    "out_proj.weight": ["decoder/out_proj"],
    "kept_embedding": ["encoder/is_kept_embed"],
    "masked_embedding": ["encoder/is_masked_embed"],
}


def of_flax(arrays, name):
    """One of our parameters among flax's arrays, whose linear maps are (in, out)."""
    side, layer, rest = name.split(".", 2) if name.split(".")[0] in ("encoder", "decoder") else (None, None, name)
    parts = []
    for path in FLAX[rest]:
        path = f"{side}/{side}_blocks/scan_decoder/{path}" if side else path
        array = arrays[path] if path.endswith("embed") else arrays[path + "/kernel"]
        array = array[int(layer)] if side else array
        parts.append(array.T if array.ndim == 2 else array)
    return torch.cat(parts)


def check(folder):
    """The largest differences from the reference implementation's outputs and gradients, case by case."""
    worst = 0.0
    for case in ("fsq_image", "fsq_video", "vae_image", "vae_video"):
        reference = json.load(open(f"{folder}/{case}/meta.json"))
        c = reference["config"]
        weights, io, grads = (read_safetensors(f"{folder}/{case}/{f}.safetensors") for f in ("weights", "io", "grads"))
        is_fsq = c["bottleneck_type"] == "fsq"
        shape = {
            "width": c["hidden_size"],
            "hidden": c["intermediate_size"],
            "heads": c["num_attention_heads"],
            "encoder_layers": c["num_encoder_layers"],
            "decoder_layers": c["num_decoder_layers"],
            "norm_epsilon": c["rms_norm_eps"],
            "rope_theta": float(c["theta"]),
            "tokens_per_block": c["max_toks"],
            "levels": c["fsq_quant_levels"] if is_fsq else None,
            "dim": c.get("vae_bottleneck_dim"),
            "patch": 3 * math.prod(c["patch_size"]),
        }
        model = ElasticTok(shape, c["max_toks"] * c["n_blocks"])
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(of_flax(weights, name).reshape(parameter.shape))
        patches, kept = io["patches_u8"].float() / 127.5 - 1, io["encoding_mask"].bool()
        reconstruction, _ = model(patches, kept)
        loss = model.loss(patches, kept, None)
        loss.backward()
        apart = lambda a, b: ((a - b).abs().max() / b.abs().max()).item()
        gradient = max(apart(p.grad, of_flax(grads, n).reshape(p.shape)) for n, p in model.named_parameters())
        found = {"reconstruction": apart(reconstruction, io["recon"]), "loss": abs(loss.item() - reference["loss"])}
        found["gradient"] = gradient
        worst = max(worst, *found.values())
        print(case, *(f"{what} {difference:.1e}" for what, difference in found.items()))
    if worst > 1e-3:
        sys.exit("this is not the reference's model")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    step, checked = commands.add_parser("step"), commands.add_parser("check")
    step.add_argument("work", type=json.loads)
    step.add_argument("--mode", choices=["eager", "compile"], default="eager")
    step.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    step.add_argument("--threads", type=int, required=True)
    checked.add_argument("folder", nargs="?", default="tests/fixtures/reference")
    given = parser.parse_args()
    if given.command == "step":
        torch.set_num_threads(given.threads)
        answer(given.work, given.mode, given.precision)
    else:
        check(given.folder)


if __name__ == "__main__":
    main()
