import { Template } from "@huggingface/jinja";
import { StudioError } from "../core/errors";

export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

/** What a template may ask for beside the messages, from tokenizer_config.json; a token may be a text or an object with `content`. */
function tokensOf(settings: Readonly<Record<string, unknown>>): Record<string, string> {
  const text = (value: unknown): string => (typeof value === "string" ? value : ((value as { content?: string } | null)?.content ?? ""));
  return Object.fromEntries(["bos_token", "eos_token", "unk_token", "pad_token"].map((key) => [key, text(settings[key])]));
}

/**
 * The prompt of a conversation by a model's chat template, as transformers' apply_chat_template renders it: trim_blocks and
 * lstrip_blocks on, raise_exception and strftime_now there. Special tokens are in the text, so it is tokenised without adding any.
 * Throws "bad-file" when the template does not run on these messages, with its own sentence.
 */
export function renderChat(name: string, template: string, messages: readonly ChatMessage[], settings: Readonly<Record<string, unknown>> = {}, options: { generationPrompt?: boolean } = {}): string {
  try {
    return new Template(template).render({ ...tokensOf(settings), messages: messages.map((m) => ({ ...m })), add_generation_prompt: options.generationPrompt ?? true, tools: null });
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new StudioError("bad-file", `Writing the prompt with the chat template of "${name}": ${found} Use the raw prompt instead, or another model's template.`, { title: "The chat template does not run", where: `${name}, chat template`, found, todo: "Use the raw prompt instead." }, { cause });
  }
}
