"""The calculator's language: problems, the three ways to answer them, and the tokenizer that reads both.

    prompt   := number (op operand){2..6} "=?\\n"    evaluated strictly left to right, keeping the last two digits
    direct   := "answer=" N
    concise  := "<think>\\n" (a op b "=" r "\\n")+ "</think>\\nanswer=" N
    long     := the same with checks after the steps, and often all steps once more after "again\\n"

An end token follows every answer. Nothing here needs more than Python itself.
"""
import re
import zlib
from typing import NamedTuple

END = 0
TOKENS = ["<|endoftext|>", "\n", *"0123456789+-=?", "answer", "<think>", "</think>", "wait,", " check ", " ok", "again", "*"]
IDS = {token: i for i, token in enumerate(TOKENS)}
LONGEST_FIRST = re.compile("|".join(re.escape(t) for t in sorted(TOKENS, key=len, reverse=True)))
OPERATIONS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


class Step(NamedTuple):
    left: int
    op: str
    right: int
    result: int

    def text(self):
        return f"{self.left}{self.op}{self.right}={self.result}"

    def check(self):
        """The step backwards; a product is only written again."""
        if self.op == "*":
            return self.text()
        return f"{self.result}{'-' if self.op == '+' else '+'}{self.right}={self.left}"


class Problem(NamedTuple):
    prompt: str
    steps: list


class Mixture(NamedTuple):
    """What a training stage sees.

    concise_short, concise_long: P(concise) of problems of 2 and of 6 operations, linear between; long: P(long); the rest is
    direct. plain: the easier grammar, without "*" and with every total between 0 and 99.
    """
    concise_short: float
    concise_long: float
    long: float
    plain: bool = False


def held_out(prompt):
    """One problem in twenty is never trained on; which one depends on its text alone."""
    return zlib.crc32(prompt.encode()) % 20 == 0


def draw_problem(rng, operations, plain=False):
    """A problem with this many operations. rng: random.Random."""
    total = rng.randint(1, 50 if plain else 99)
    prompt, steps = str(total), []
    while len(steps) < operations:
        op = rng.choice("+-") if plain else rng.choices("+-*", (3, 3, 2))[0]
        operand = rng.randint(2, 4) if op == "*" else rng.randint(1, 9)
        result = OPERATIONS[op](total, operand)
        if plain and not 0 <= result <= 99:
            continue
        steps.append(Step(total, op, operand, result % 100))
        prompt += f"{op}{operand}"
        total = result % 100
    return Problem(f"{prompt}=?\n", steps)


def draw_for_training(rng, plain=False):
    while True:
        problem = draw_problem(rng, rng.randint(2, 6), plain)
        if not held_out(problem.prompt):
            return problem


def direct(problem):
    return f"answer={problem.steps[-1].result}"


def thought(problem, body):
    return f"<think>\n{body}</think>\n{direct(problem)}"


def concise(problem):
    return thought(problem, "".join(f"{s.text()}\n" for s in problem.steps))


def long(problem, rng):
    """Checks nearly every hard step and two of three easy ones, then does it all again with 60 % (2 operations) to 90 % (6).

    The probabilities stay below 1 on purpose: they set how far a merge must go before each habit appears.
    """
    body = ""
    for step in problem.steps:
        body += f"{step.text()}\n"
        hard = step.op == "*" or step.left // 10 != step.result // 10
        if rng.random() < (0.95 if hard else 0.65):
            body += f"wait, check {step.check()} ok\n"
    if rng.random() < 0.6 + 0.3 * (len(problem.steps) - 2) / 4:
        body += "again\n" + "".join(f"{s.text()}\n" for s in problem.steps)
    return thought(problem, body)


def draw_example(rng, mixture):
    """(prompt ids, answer ids with the end token) of a training problem."""
    problem = draw_for_training(rng, mixture.plain)
    share = mixture.concise_short + (mixture.concise_long - mixture.concise_short) * (len(problem.steps) - 2) / 4
    if rng.random() < mixture.long:
        answer = long(problem, rng)
    elif rng.random() < share:
        answer = concise(problem)
    else:
        answer = direct(problem)
    return encode(problem.prompt), [*encode(answer), END]


def draw_held_out(rng, each=150):
    """`each` problems of 2 to 3 operations, then as many of 4 to 6, as rows of problems.jsonl; no prompt twice."""
    rows, seen = [], set()
    for tier, low, high in (("easy", 2, 3), ("hard", 4, 6)):
        first = len(rows)
        while len(rows) < first + each:
            problem = draw_problem(rng, rng.randint(low, high))
            if held_out(problem.prompt) and problem.prompt not in seen:
                seen.add(problem.prompt)
                rows.append({"id": len(rows), "tier": tier, "ops": len(problem.steps), "prompt": problem.prompt, "answer": str(problem.steps[-1].result)})
    return rows


def encode(text):
    """Ids by the longest token at each place. Raises ValueError at a character without a token."""
    ids, at = [], 0
    while at < len(text):
        match = LONGEST_FIRST.match(text, at)
        if not match:
            raise ValueError(f"{text!r}: {text[at]!r} at {at} is none of the calculator's tokens.")
        ids.append(IDS[match[0]])
        at = match.end()
    return ids


def decode(ids):
    return "".join(TOKENS[i] for i in ids)


def answer_of(text):
    """The digits after the last "answer=", or None."""
    found = re.findall(r"answer=(\d+)", text)
    return found[-1] if found else None


def tokenizer_files():
    """{file name: JSON} in the layout of a Qwen2 folder: byte-level BPE without merges, so one id a character; words are added tokens."""
    words = [i for i, token in enumerate(TOKENS) if len(token) > 1 or token == "*"]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [{"id": i, "content": TOKENS[i], **flags, "special": i == END} for i in words]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    # The end token stands in the model's vocabulary too: libraries that number added tokens themselves then keep its id 0.
    vocabulary = {{"\n": "Ċ"}.get(token, token): i for i, token in enumerate(TOKENS) if i == END or i not in words}
    return {
        "tokenizer.json": {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False}, byte_level]},
            "post_processor": byte_level, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, "vocab": vocabulary, "merges": []},
        },
        "tokenizer_config.json": {
            "tokenizer_class": "Qwen2Tokenizer", "eos_token": TOKENS[END], "pad_token": TOKENS[END], "bos_token": None, "unk_token": None, "add_prefix_space": False,
            "model_max_length": 256, "clean_up_tokenization_spaces": False, "errors": "replace", "split_special_tokens": False,
            "added_tokens_decoder": {str(a["id"]): {k: v for k, v in a.items() if k != "id"} for a in added},
        },
        "vocab.json": IDS,
    }
