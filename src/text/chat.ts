import { StudioError } from "../core/errors";
import { exactTemplate } from "./template";

export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

/**
 * Special tokens that a template may name, from tokenizer_config.json, where each is a text or an object with `content`. One that
 * the model does not have is not defined in the template.
 */
function tokensOf(settings: Readonly<Record<string, unknown>>): Record<string, string> {
  const text = (value: unknown): unknown => (typeof value === "string" ? value : (value as { content?: unknown } | null | undefined)?.content);
  return Object.fromEntries(["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"].map((key) => [key, text(settings[key])]).filter((pair): pair is [string, string] => typeof pair[1] === "string"));
}

/**
 * Makes the prompt of a conversation by a model's chat template, as transformers' apply_chat_template renders it: trim_blocks and
 * lstrip_blocks on, raise_exception and strftime_now there. Special tokens are in the text, so it is tokenised without adding any.
 * Throws "bad-file" when the template cannot be read or does not run on these messages, with its own sentence.
 */
export function chatRenderer(name: string, template: string, settings: Readonly<Record<string, unknown>> = {}): (messages: readonly ChatMessage[], options?: { generationPrompt?: boolean }) => string {
  const orRefuse = <T>(work: () => T): T => {
    try {
      return work();
    } catch (cause) {
      const found = cause instanceof Error ? cause.message : String(cause);
      throw new StudioError("bad-file", `Writing the prompt with the chat template of "${name}": ${found.replace(/\.?\s*$/, ".")} Use the raw prompt instead, or another model's template.`, { title: "The chat template does not run", where: `${name}, chat template`, found, todo: "Use the raw prompt instead." }, { cause });
    }
  };
  const compiled = orRefuse(() => exactTemplate(template));
  const tokens = tokensOf(settings);
  return (messages, { generationPrompt = true } = {}) => orRefuse(() => compiled({ ...tokens, messages: messages.map((m) => ({ ...m })), add_generation_prompt: generationPrompt, tools: null, documents: null }));
}
