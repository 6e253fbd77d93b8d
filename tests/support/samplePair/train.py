"""Trains the sample pair: a pocket calculator that answers at once, and the same after fine-tuning on long, self-checking answers.

    pip install torch safetensors numpy
    python3 train.py --out DIR [--seed 0] [--steps-scale 1] [--threads 1]     writes DIR/base, DIR/long-cot and DIR/problems.jsonl
    python3 train.py --out DIR --evaluate                                     only measures the pair that lies there
"""
import argparse
import json
import math
import os
import random
import time
from typing import NamedTuple

import torch
import torch.nn.functional as F

from data import END, IDS, Mixture, answer_of, decode, draw_example, draw_held_out, encode
from model import Qwen2, greedy, load, ragged, save


class Stage(NamedTuple):
    name: str
    mixture: Mixture
    steps: int
    tokens: int  # a step, at least
    rate: float
    horizon: int  # steps of the whole cosine; a stage may end before


BASE = [
    Stage("easier sums", Mixture(0.15, 0.45, 0, plain=True), 4000, 1024, 2.5e-3, 5000),
    Stage("all problems", Mixture(0.20, 0.45, 0), 2600, 1024, 2e-3, 2600),
    Stage("some long answers", Mixture(0.20, 0.42, 0.12), 1500, 1024, 1.2e-3, 1500),
]
TUNED = [Stage("long answers alone", Mixture(0, 0, 1), 900, 1536, 6e-4, 900)]


def rate_at(step, stage, scale):
    """A cosine from rate to 5 % of it, after a rise over the first fiftieth."""
    horizon = max(1, stage.horizon * scale)
    rise = min(1, (step + 1) / max(1, horizon / 50))
    return stage.rate * rise * (0.05 + 0.95 * (1 + math.cos(math.pi * min(1, step / horizon))) / 2)


def draw_batch(rng, stage):
    """(ids, positions, where answers are predicted, what they are, lengths), sequences shortest first."""
    examples, total = [], 0
    while total < stage.tokens:
        prompt, answer = draw_example(rng, stage.mixture)
        examples.append((prompt, answer))
        total += len(prompt) + len(answer) - 1
    examples.sort(key=lambda e: len(e[0]) + len(e[1]))
    ids, positions, read, want, lengths = [], [], [], [], []
    for prompt, answer in examples:
        text = [*prompt, *answer[:-1]]  # nothing is predicted after the end token
        read += range(len(ids) + len(prompt) - 1, len(ids) + len(text))
        want += answer
        ids += text
        positions += range(len(text))
        lengths.append(len(text))
    return *(torch.tensor(x) for x in (ids, positions, read, want)), lengths


def train(model, stage, rng, scale, say=lambda line: print(line, flush=True)):
    """One stage: AdamW on the mean cross entropy of the answers' tokens. say: is told each tenth of it."""
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0}], betas=(0.9, 0.98), fused=True)
    steps = max(1, round(stage.steps * scale))
    # A token that no text of the stage has is left out, so that nothing is learnt against it.
    known = IDS["*"] if stage.mixture.plain else None
    began, seen, told = time.time(), 0, []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, stage, scale)
        ids, positions, read, want, lengths = draw_batch(rng, stage)
        loss = F.cross_entropy(model(ids, positions, ragged(lengths), read)[:, :known], want)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seen += len(ids)
        told.append(loss.item())
        if (step + 1) % max(1, steps // 10) == 0 or step + 1 == steps:
            say(f"{stage.name}: step {step + 1} of {steps}, loss {sum(told) / len(told):.4f}, {seen / (time.time() - began):.0f} tokens/s")
            told = []


def measure(model, problems):
    """{tier or "all": (correct in %, mean tokens of an answer with its end token, answers with <think> in %)}."""
    answers = greedy(model, [encode(p["prompt"]) for p in problems])
    rows = [(p["tier"], answer_of(decode(a)) == p["answer"], len(a), a[:1] == [IDS["<think>"]]) for p, a in zip(problems, answers)]
    result = {}
    for tier in ("all", "easy", "hard"):
        of = [r for r in rows if tier in ("all", r[0])]
        result[tier] = tuple(sum(r[i] for r in of) / len(of) * (1 if i == 2 else 100) for i in (1, 2, 3))
    return result


def report(out, problems):
    for name in ("base", "long-cot"):
        model = load(os.path.join(out, name))
        for tier, (correct, tokens, thinks) in measure(model, problems).items():
            print(f"{name}, {tier}: {correct:.1f} % correct, {tokens:.1f} tokens, {thinks:.0f} % with <think>")
        for prompt in ("47+7+3+7=?\n", "3*4-9*2=?\n"):
            [answer] = greedy(model, [encode(prompt)])
            print(f"{prompt.strip()} {decode(i for i in answer if i != END)!r} ({len(answer)} tokens)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps-scale", type=float, default=1.0, help="all numbers of steps times this, for a short run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--evaluate", action="store_true", help="train nothing")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    path = os.path.join(given.out, "problems.jsonl")
    if not given.evaluate:
        os.makedirs(given.out, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in draw_held_out(random.Random(f"problems {given.seed}")))
        torch.manual_seed(given.seed)
        rng = random.Random(f"training {given.seed}")
        model = Qwen2()
        for name, stages in (("base", BASE), ("long-cot", TUNED)):
            for stage in stages:
                train(model, stage, rng, given.steps_scale)
            save(model, os.path.join(given.out, name))
    with open(path, encoding="utf-8") as file:
        report(given.out, [json.loads(line) for line in file])


if __name__ == "__main__":
    main()
