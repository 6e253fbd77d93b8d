/** Words of reflection. Source: METHODS 12, Long-to-Short data_process.py. */
const REFLECTION = /\b(?:wait|re-examine|double-check|let me check|recap|let me just verify|let me just check)\b/gi;

/** How often a response says each of them, the most frequent first. */
export function reflections(response: string): { word: string; times: number }[] {
  const times = new Map<string, number>();
  for (const [found] of response.matchAll(REFLECTION)) times.set(found.toLowerCase(), (times.get(found.toLowerCase()) ?? 0) + 1);
  return [...times].map(([word, n]) => ({ word, times: n })).sort((a, b) => b.times - a.times);
}

/** Whether a response has any. */
export const reflects = (response: string): boolean => response.search(REFLECTION) >= 0;
