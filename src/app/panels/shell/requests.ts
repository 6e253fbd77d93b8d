/**
 * Tells the addresses of requests this tab made after its load event, as the browser notes them. Reads from memory
 * (blob:, data:) are no requests. The files of the first load, and what they were still fetching, are not counted.
 */
export function watchRequests(tell: (names: string[]) => void): () => void {
  if (typeof PerformanceObserver === "undefined") return () => undefined;
  const loaded = (): number => {
    const navigation = performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming | undefined;
    return navigation && navigation.loadEventEnd > 0 ? navigation.loadEventEnd : Infinity;
  };
  const observer = new PerformanceObserver((list) => {
    const since = loaded();
    const names = list.getEntries().filter((entry) => entry.startTime > since && !/^(blob|data):/.test(entry.name)).map((entry) => entry.name);
    if (names.length > 0) tell(names);
  });
  observer.observe({ type: "resource" });
  return () => observer.disconnect();
}
