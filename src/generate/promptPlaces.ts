/** Where in the cache prompts lie, and the logits after them: samples of one prompt share its keys and values. */
export class PromptPlaces {
  private readonly prompts = new Map<number, number>();
  private readonly logits = new Map<number, Float32Array>();

  /** A place whose first positions are those of the prompt, `preferred` if it is one. */
  find(prompt: number, preferred: number): { place: number; logits: Float32Array } | undefined {
    const logits = this.logits.get(prompt);
    if (!logits) return undefined;
    if (this.prompts.get(preferred) === prompt) return { place: preferred, logits };
    for (const [place, held] of this.prompts) if (held === prompt) return { place, logits };
    return undefined;
  }

  /** The prompt is whole in a place now, and what was there before is gone. An answer that grows behind it, or ends, leaves it there. */
  set(place: number, prompt: number, logits: Float32Array, moreToCome: boolean): void {
    this.prompts.set(place, prompt);
    if (!moreToCome) this.logits.delete(prompt);
    // A copy: what was read back has the logits of a whole batch.
    else if (!this.logits.has(prompt)) this.logits.set(prompt, logits.slice());
  }
}
