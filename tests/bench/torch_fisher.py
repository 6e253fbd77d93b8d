"""Times a Fisher pass of a Qwen2-shaped checkpoint in plain torch: one backward per sequence, squares accumulated in float32.

    python3 torch_fisher.py --model DIR [--sequences 8] [--length 64] [--device cuda] [--dtypes float32,bfloat16]

Prints one JSON object. Weights are stored in bfloat16; "float32" widens them before anything is computed (TF32 off), which is
the arithmetic of the project's own pass; "bfloat16" computes in bfloat16. Trimming and merging are not part of it.
"""
import argparse
import json
import os
import time

import torch
import torch.nn.functional as F

DTYPES = {"BF16": torch.bfloat16, "F32": torch.float32, "F16": torch.float16}


def load(folder, device, dtype):
    """All tensors of the folder's safetensors files, as parameters."""
    tensors = {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".safetensors"):
            continue
        with open(os.path.join(folder, name), "rb") as file:
            start = 8 + int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(start - 8))
            for key, entry in header.items():
                if key == "__metadata__":
                    continue
                begin, end = entry["data_offsets"]
                file.seek(start + begin)
                data = torch.frombuffer(bytearray(file.read(end - begin)), dtype=DTYPES[entry["dtype"]])
                tensors[key] = data.reshape(entry["shape"]).to(device, dtype).requires_grad_(True)
    return tensors


def rms_norm(x, gain, eps):
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype) * gain


def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def loss_of(w, config, ids):
    """Mean cross entropy of each token given those before it."""
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    width = config["hidden_size"] // heads
    eps = config["rms_norm_eps"]
    length = ids.numel()
    x = w["model.embed_tokens.weight"][ids]
    inverse = config["rope_theta"] ** (-torch.arange(0, width, 2, device=x.device, dtype=torch.float64) / width)
    angles = torch.arange(length, device=x.device, dtype=torch.float64)[:, None] * inverse
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    split = lambda y, n: y.view(length, n, width).transpose(0, 1)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        linear = lambda y, name: F.linear(y, w[at + name + ".weight"], w.get(at + name + ".bias"))
        h = rms_norm(x, w[at + "input_layernorm.weight"], eps)
        q = rotate(split(linear(h, "self_attn.q_proj"), heads), cos, sin)
        k = rotate(split(linear(h, "self_attn.k_proj"), groups), cos, sin).repeat_interleave(heads // groups, 0)
        v = split(linear(h, "self_attn.v_proj"), groups).repeat_interleave(heads // groups, 0)
        mixed = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        x = x + linear(mixed.transpose(0, 1).reshape(length, -1), "self_attn.o_proj")
        h = rms_norm(x, w[at + "post_attention_layernorm.weight"], eps)
        x = x + linear(F.silu(linear(h, "mlp.gate_proj")) * linear(h, "mlp.up_proj"), "mlp.down_proj")
    x = rms_norm(x, w["model.norm.weight"], eps)
    head = w["model.embed_tokens.weight"] if config["tie_word_embeddings"] else w["lm_head.weight"]
    return F.cross_entropy(F.linear(x, head)[:-1].float(), ids[1:])


def measure(folder, device, dtype, sequences, length):
    config = json.load(open(os.path.join(folder, "config.json")))
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    start = time.perf_counter()
    weights = load(folder, device, dtype)
    wait()
    loaded = time.perf_counter()
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, config["vocab_size"], (sequences, length), generator=generator).to(device)
    fisher = {name: torch.zeros(w.shape, dtype=torch.float32, device=device) for name, w in weights.items()}

    def one(s):
        loss = loss_of(weights, config, ids[s])
        loss.backward()
        for name, w in weights.items():
            g = w.grad.float()
            fisher[name].addcmul_(g, g)
            w.grad = None
        return loss.detach()

    one(0)  # compiles, allocates
    for f in fisher.values():
        f.zero_()
    wait()
    begin = time.perf_counter()
    losses = [one(s) for s in range(sequences)]
    wait()
    seconds = time.perf_counter() - begin
    result = {"loadSeconds": loaded - start, "passSeconds": seconds, "losses": [float(x) for x in losses], "fisherMean": float(sum(f.double().sum() for f in fisher.values()) / sum(f.numel() for f in fisher.values()))}
    if device == "cuda":
        result["peakBytes"] = torch.cuda.max_memory_allocated()
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    report = {"torch": torch.__version__, "device": torch.cuda.get_device_name(0) if options.device == "cuda" else options.device, "sequences": options.sequences, "length": options.length}
    for name in options.dtypes.split(","):
        try:
            report[name] = measure(options.model, options.device, getattr(torch, name), options.sequences, options.length)
        except RuntimeError as error:
            report[name] = {"failed": str(error).splitlines()[0]}
        if options.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
    print(json.dumps(report))


main()
