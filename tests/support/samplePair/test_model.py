"""The model against the shipped pair: its transcripts and logits were written by another implementation. Needs PyTorch."""
import os
import random
import tempfile
import unittest

from data import Mixture, decode, encode

try:
    import torch
    import model
    import train
except ImportError as missing:
    raise unittest.SkipTest(str(missing))

SHIPPED = os.path.join(os.path.dirname(__file__), "../../../public/samples")
LONG = """<think>
47+7=54
wait, check 54-7=47 ok
54+3=57
57+7=64
wait, check 64-7=57 ok
again
47+7=54
54+3=57
57+7=64
</think>
answer=64<|endoftext|>"""


def load(name):
    return model.load(os.path.join(SHIPPED, name))


@torch.no_grad()
def logits(net, texts):
    """[tokens, vocabulary] of sequences of ids, shortest first, in one pass."""
    ids = torch.tensor([i for text in texts for i in text])
    positions = torch.tensor([p for text in texts for p in range(len(text))])
    return net(ids, positions, model.ragged([len(text) for text in texts]))


class Model(unittest.TestCase):
    def test_the_shipped_pair_answers_as_it_did_elsewhere(self):
        prompt = encode("47+7+3+7=?\n")
        self.assertEqual(decode(model.greedy(load("base"), [prompt])[0]), "answer=62<|endoftext|>")
        # Beside another prompt, shorter: rows do not disturb each other.
        _, answer = model.greedy(load("long-cot"), [encode("1+1+1=?\n"), prompt])
        self.assertEqual((decode(answer), len(answer)), (LONG, 81))

    def test_the_shipped_pair_has_the_logits_it_had_elsewhere(self):
        want = {"base": [-2.978, -1.604, -1.566, -1.583, 8.577, 7.922], "long-cot": [-2.445, -1.998, -3.397, -2.373, 3.889, 12.034]}
        for name, values in want.items():
            found = logits(load(name), [encode("71*4+7-1=?\n")])[-1][[0, 1, 2, 3, 16, 17]]
            self.assertLess((found - torch.tensor(values)).abs().max().item(), 6e-4)

    def test_sequences_beside_each_other_are_as_if_alone(self):
        net, rng = load("base"), random.Random(1)
        texts = [[rng.randrange(24) for _ in range(n)] for n in (1, 9, 12, 13, 40, 100)]
        alone = torch.cat([logits(net, [text]) for text in texts])
        self.assertLess((logits(net, texts) - alone).abs().max().item(), 2e-4)

    def test_a_batch_predicts_the_answers_and_nothing_else(self):
        stage = train.BASE[2]._replace(tokens=300)
        ids, positions, read, want, lengths = train.draw_batch(random.Random(2), stage)
        self.assertEqual(sum(lengths), len(ids))
        self.assertEqual(lengths, sorted(lengths))
        self.assertEqual((positions == 0).sum().item(), len(lengths))
        self.assertEqual((want == 0).sum().item(), len(lengths))
        follows = [i for i in range(len(read)) if want[i] != 0]
        self.assertTrue(torch.equal(ids[read[follows] + 1], want[follows]))
        for text in decode(ids.tolist()).split("=?\n")[1:]:
            self.assertRegex(text, r"^(<think>\n[^?]*</think>\n)?answer=")

    def test_training_learns_from_a_seed_and_what_is_saved_comes_back(self):
        def short():
            torch.manual_seed(4)
            net = model.Qwen2()
            train.train(net, train.Stage("test", Mixture(0, 0, 0), 12, 200, 2e-3, 12), random.Random(4), 1, say=losses.append)
            return net
        losses = []
        net, again = short(), short()
        for a, b in zip(net.parameters(), again.parameters()):
            self.assertTrue(torch.equal(a, b))
        first, last = (float(line.split("loss ")[1].split(",")[0]) for line in (losses[0], losses[11]))
        self.assertLess(last, first - 0.3)
        with tempfile.TemporaryDirectory() as folder:
            model.save(net, folder)
            for (name, p), q in zip(net.named_parameters(), model.load(folder).parameters()):
                self.assertTrue(torch.equal(p.to(torch.bfloat16).float(), q), name)


if __name__ == "__main__":
    unittest.main()
