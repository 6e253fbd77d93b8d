import { expect, test } from "vitest";
import { chatRenderer, type ChatMessage } from "../../../src/text/chat";

const renderChat = (name: string, template: string, messages: readonly ChatMessage[], settings: Record<string, unknown> = {}, options: { generationPrompt?: boolean } = {}): string => chatRenderer(name, template, settings)(messages, options);

const CHATML = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

test("ChatML with and without the assistant's header", () => {
  const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: "2+2?" }] as const;
  expect(renderChat("m", CHATML, messages)).toBe("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n");
  expect(renderChat("m", CHATML, messages, {}, { generationPrompt: false })).not.toContain("assistant");
});

test("special tokens of the tokenizer, as text or as an object", () => {
  expect(renderChat("m", "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}", [{ role: "user", content: "hi" }], { bos_token: "<s>", eos_token: { content: "</s>" } })).toBe("<s>hi</s>");
});

test("a template that raises is named with its own sentence", () => {
  expect(() => renderChat("fussy", "{{ raise_exception('No system role here.') }}", [{ role: "system", content: "" }])).toThrow(/chat template of "fussy": .*No system role here/);
});

// Expected: transformers 5.18, render_jinja_template, on the same conversation.
test.each([
  ["{{ messages[0].content.split('</think>')[-1].lstrip('\\n') }}|{{ messages[0].content.rstrip('? ') }}|{{ messages[0].content.strip(' \\n?') }}|{{ messages[0].content.strip() }}", "  hi\n ? |\n</think>\n  hi\n|</think>\n  hi|</think>\n  hi\n ?"],
  ["{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ m.content }}{% endfor %}", "\n</think>\n  hi\n ? "],
  ["{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}{% generation %}g{% endgeneration %}", "1g"],
  ["{{ bos_token }}{% if bos_token is defined %}B{% endif %}{{ strftime_now('%Y') | length }}{% if tools %}T{% endif %}", "4"],
  ["{% for m in messages %}\n    {% if m.role == 'user' %}\n    U\n    {% endif %}\n{% endfor %}\nend", "    U\nend"],
])("%j renders as in Python", (template, expected) => expect(renderChat("m", template, [{ role: "user", content: "\n</think>\n  hi\n ? " }])).toBe(expected));

test("a loop that is left after it wrote something is refused, as its text would be lost", () => {
  const render = (body: string): string => renderChat("m", `{% for m in messages %}${body}{% endfor %}`, [{ role: "user", content: "hi" }]);
  expect(() => render("{{ m.content }}{% if loop.last %}{% break %}{% endif %}")).toThrow(/writes text in a turn of a loop before "break"/);
  expect(() => render("{% if m %}x{% endif %}{% continue %}")).toThrow(/before "continue"/);
  expect(render("{% if false %}{% break %}{% endif %}{{ m.content }}")).toBe("hi");
});
