/** The two rivers; while a job runs, a bar under them that fills. Colours are those of the light tokens, readable on any tab. */
export function favicon(percent: number | undefined): string {
  const rivers = '<g fill="none" stroke-linecap="round" stroke-width="2.4"><path stroke="#1862d2" d="M2 4c6 0 6 7 11 7"/><path stroke="#aa4c08" d="M2 18c6 0 6-7 11-7"/><path stroke="#0f8f85" stroke-width="3.4" d="M13 11h7"/></g>';
  const bar = percent === undefined ? "" : `<rect x="1" y="18" width="20" height="4" rx="1.5" fill="#c9d1d3"/><rect x="1" y="18" width="${(20 * percent) / 100}" height="4" rx="1.5" fill="#0f8f85"/>`;
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 22 22">${rivers}${bar}</svg>`)}`;
}
