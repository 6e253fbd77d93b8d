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
