"""python3 -m unittest discover -s tests/support/samplePair: the grammar and the files, without PyTorch."""
import json
import os
import random
import re
import unittest

import data

SHIPPED = os.path.join(os.path.dirname(__file__), "../../../public/samples")


def read(path):
    with open(os.path.join(SHIPPED, path), encoding="utf-8") as file:
        return file.read()


class Grammar(unittest.TestCase):
    def test_each_line_of_a_long_answer_is_true(self):
        rng, checked, redone = random.Random(3), 0, 0
        for _ in range(500):
            problem = data.draw_problem(rng, rng.randint(2, 6))
            text = data.long(problem, rng)
            self.assertTrue(text.startswith("<think>\n") and text.endswith(f"</think>\nanswer={problem.steps[-1].result}"))
            for left, op, right, result in re.findall(r"(\d+)([+*-])(\d+)=(\d+)", text):
                self.assertEqual(data.OPERATIONS[op](int(left), int(right)) % 100, int(result), text)
            checked += text.count("wait,") / len(problem.steps)
            redone += "again" in text
            self.assertLess(len(data.encode(problem.prompt + text)), 256)
        self.assertTrue(0.7 < checked / 500 < 0.95 and 0.6 < redone / 500 < 0.9)

    def test_steps_start_at_the_first_number_and_follow_the_prompt(self):
        problem = data.draw_problem(random.Random(5), 6)
        self.assertEqual(str(problem.steps[0].left) + "".join(f"{s.op}{s.right}" for s in problem.steps) + "=?\n", problem.prompt)
        for one, next_one in zip(problem.steps, problem.steps[1:]):
            self.assertEqual(one.result, next_one.left)

    def test_the_easier_grammar_stays_between_0_and_99(self):
        rng = random.Random(7)
        for _ in range(300):
            for s in data.draw_problem(rng, 6, plain=True).steps:
                self.assertEqual(data.OPERATIONS[s.op](s.left, s.right), s.result)
                self.assertNotEqual(s.op, "*")

    def test_examples_keep_their_shares_and_out_of_the_held_out(self):
        rng, kinds = random.Random(9), {"direct": 0, "concise": 0, "long": 0}
        for _ in range(4000):
            prompt, answer = data.draw_example(rng, data.Mixture(0.2, 0.4, 0.1))
            self.assertFalse(data.held_out(data.decode(prompt)))
            self.assertEqual(answer[-1], data.END)
            text = data.decode(answer)
            kinds["direct" if "<think>" not in text else "long" if "wait," in text or "again" in text else "concise"] += 1
        self.assertAlmostEqual(kinds["long"] / 4000, 0.1, delta=0.02)
        self.assertAlmostEqual(kinds["concise"] / 4000, 0.9 * 0.3, delta=0.03)

    def test_text_comes_back_from_its_ids_and_strange_letters_are_named(self):
        text = "47*3=?\n<think>\nwait, check 1-1=0 ok\nagain\n</think>\nanswer=41"
        self.assertEqual(data.decode(data.encode(text)), text)
        with self.assertRaisesRegex(ValueError, "'x' at 1"):
            data.encode("1x")

    def test_the_last_answer_counts(self):
        self.assertEqual(data.answer_of("answer=1\nanswer=23"), "23")
        self.assertIsNone(data.answer_of("<think>"))


class Shipped(unittest.TestCase):
    def test_tokenizer_files_are_those_of_the_shipped_pair(self):
        for name, content in data.tokenizer_files().items():
            for model in ("base", "long-cot"):
                self.assertEqual(content, json.loads(read(f"{model}/{name}")), name)

    def test_problems_are_of_the_same_kind(self):
        shipped = [json.loads(line) for line in read("problems.jsonl").splitlines()]
        drawn = data.draw_held_out(random.Random(0))
        self.assertEqual(drawn, data.draw_held_out(random.Random(0)))
        self.assertEqual([r["tier"] for r in shipped], [r["tier"] for r in drawn])
        for row in shipped + drawn:
            self.assertTrue(data.held_out(row["prompt"]))
            self.assertEqual(len(re.findall("[+*-]", row["prompt"])), row["ops"])
        for row in shipped:
            first, *rest = re.findall(r"\d+|[+*-]", row["prompt"])
            total = int(first)
            for op, operand in zip(rest[::2], rest[1::2]):
                total = data.OPERATIONS[op](total, int(operand)) % 100
            self.assertEqual(str(total), row["answer"])


if __name__ == "__main__":
    unittest.main()
