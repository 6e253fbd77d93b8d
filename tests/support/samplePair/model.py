"""A Qwen2 language model written from its definition, small enough to train on one CPU core.

With h the hidden state of a token at position p, each block adds attention and then a gated layer:
    h += W_o Attention(rope_p(W_q n + b_q), rope_p(W_k n + b_k), W_v n + b_v),    n = RMSNorm(h)
    h += W_down (silu(W_gate n) * W_up n),                                        n = RMSNorm(h)
and the logits are E RMSNorm(h), with E the embedding of the input. Parameters bear the names of the Hugging Face layout.
Sequences of different length lie one after the other, without padding: [tokens, hidden].
"""
import json
import os

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from data import END, TOKENS, tokenizer_files

HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD, INNER, CONTEXT, THETA, EPS = 96, 6, 3, 1, 32, 192, 256, 10000.0, 1e-6
NEW_TOKENS = 220  # at most, in an answer
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": len(TOKENS), "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD, "hidden_act": "silu", "max_position_embeddings": CONTEXT, "max_window_layers": LAYERS,
    "rms_norm_eps": EPS, "rope_theta": THETA, "rope_scaling": None, "use_sliding_window": False, "sliding_window": None, "attention_dropout": 0.0, "initializer_range": 0.02,
    "tie_word_embeddings": True, "use_cache": True, "bos_token_id": None, "eos_token_id": END, "pad_token_id": END, "torch_dtype": "bfloat16", "transformers_version": "4.44.0",
}
GENERATION = {"eos_token_id": END, "pad_token_id": END, "do_sample": False, "max_new_tokens": NEW_TOKENS}


def rotate(x, cos, sin):
    """Turns each pair (x[i], x[i + HEAD/2]) by its angle. x: [tokens, heads, HEAD]; cos, sin: [tokens, 1, HEAD/2]."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = nn.Linear(HIDDEN, HEADS * HEAD), nn.Linear(HIDDEN, KV_HEADS * HEAD), nn.Linear(HIDDEN, KV_HEADS * HEAD)
        self.o_proj = nn.Linear(HEADS * HEAD, HIDDEN, bias=False)

    def forward(self, x, cos, sin, attend, layer):
        q, k, v = (p(x).view(len(x), -1, HEAD) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(attend(layer, rotate(q, cos, sin), rotate(k, cos, sin), v))


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = nn.Linear(HIDDEN, INNER, bias=False), nn.Linear(HIDDEN, INNER, bias=False), nn.Linear(INNER, HIDDEN, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_layernorm, self.self_attn = nn.RMSNorm(HIDDEN, EPS), Attention()
        self.post_attention_layernorm, self.mlp = nn.RMSNorm(HIDDEN, EPS), Gated()

    def forward(self, h, *where):
        h = h + self.self_attn(self.input_layernorm(h), *where)
        return h + self.mlp(self.post_attention_layernorm(h))


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens, self.layers, self.norm = nn.Embedding(len(TOKENS), HIDDEN), nn.ModuleList(Block() for _ in range(LAYERS)), nn.RMSNorm(HIDDEN, EPS)


class Qwen2(nn.Module):
    """Initial weights: normal with deviation 0.02, norms one, biases zero."""

    def __init__(self):
        super().__init__()
        self.model = Body()
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=CONFIG["initializer_range"])
            elif name.endswith("bias"):
                nn.init.zeros_(p)
        angles = torch.arange(CONTEXT)[:, None] * THETA ** (-torch.arange(0, HEAD, 2) / HEAD)
        self.cos, self.sin = angles.cos()[:, None], angles.sin()[:, None]

    def forward(self, ids, positions, attend, read=None):
        """Logits of the tokens `read` (indices; default all), of ids and positions [tokens]; `attend` is below."""
        h = self.model.embed_tokens(ids)
        cos, sin = self.cos[positions], self.sin[positions]
        for layer, block in enumerate(self.model.layers):
            h = block(h, cos, sin, attend, layer)
        return F.linear(self.model.norm(h if read is None else h[read]), self.model.embed_tokens.weight)


def causal(q, k, v, whole):
    """softmax(q k^T / sqrt(HEAD)) v with tokens [sequences, length, heads, HEAD]; whole: every query sees every key."""
    q, k, v = (x.transpose(1, 2).expand(-1, HEADS, -1, -1) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=not whole).transpose(1, 2)


def ragged(lengths):
    """`attend` of sequences that lie one after the other, shortest first.

    Neighbours of like length are padded at their end to one rectangle: no token looks to its right, so none sees the padding.
    """
    groups, starts, at = [], [], 0
    for length in lengths:
        if not groups or length > 1.4 * groups[-1][0]:
            groups.append([])
            starts.append([])
        groups[-1].append(length)
        starts[-1].append(at)
        at += length
    plans = []
    for group, start in zip(groups, starts):
        places = torch.arange(max(group))
        inside = places < torch.tensor(group)[:, None]
        index = (torch.tensor(start)[:, None] + places).clamp(max=at - 1)
        plans.append((index.flatten(), len(group), inside.flatten().nonzero().flatten()))

    def attend(_layer, q, k, v):
        out = []
        for index, count, inside in plans:
            rectangle = (x.index_select(0, index).view(count, -1, *x.shape[1:]) for x in (q, k, v))
            out.append(causal(*rectangle, whole=False).reshape(len(index), -1).index_select(0, inside))
        return torch.cat(out)

    return attend


@torch.no_grad()
def greedy(model, prompts):
    """The most likely continuation of each prompt (ids), to the end token or NEW_TOKENS; ends with the end token, if reached.

    All rows stand at the same position: those with a short prompt begin to answer while others still read theirs.
    """
    past = [torch.empty(2, len(prompts), CONTEXT, KV_HEADS, HEAD) for _ in range(LAYERS)]
    answers, done = [[] for _ in prompts], [False] * len(prompts)
    last = [p[0] for p in prompts]
    for t in range(CONTEXT - 1):
        def attend(layer, q, k, v):
            past[layer][0, :, t], past[layer][1, :, t] = k, v
            keys, values = past[layer][:, :, : t + 1]
            return causal(q[:, None], keys, values, whole=True).reshape(len(q), -1)

        best = model(torch.tensor(last), torch.full((len(last),), t), attend).argmax(-1).tolist()
        for i, prompt in enumerate(prompts):
            if t + 1 < len(prompt):
                last[i] = prompt[t + 1]
            elif not done[i]:
                last[i] = best[i]
                answers[i].append(best[i])
                done[i] = best[i] == END or len(answers[i]) == NEW_TOKENS
        if all(done):
            break
    return answers


def save(model, folder):
    """Writes the model as a Hugging Face folder, weights rounded to bfloat16."""
    os.makedirs(folder, exist_ok=True)
    for name, content in {"config.json": CONFIG, "generation_config.json": GENERATION, **tokenizer_files()}.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    save_file({name: p.detach().to(torch.bfloat16) for name, p in model.named_parameters()}, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})


def load(folder):
    """The model of such a folder, in float32."""
    model = Qwen2()
    model.load_state_dict({name: t.float() for name, t in load_file(os.path.join(folder, "model.safetensors")).items()})
    return model
