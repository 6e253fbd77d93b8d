/** How browsers name themselves, the more particular first: Edge and Opera also say Chrome, Chrome also says Safari. */
const NAMES: readonly (readonly [name: string, pattern: RegExp])[] = [
  ["Edge", /\bEdg(?:A|iOS)?\/(\d+)/],
  ["Opera", /\bOPR\/(\d+)/],
  ["Firefox", /\b(?:Firefox|FxiOS)\/(\d+)/],
  ["Chrome", /\b(?:HeadlessChrome|Chrome|CriOS)\/(\d+)/],
  ["Safari", /\bVersion\/(\d+)[\d.]*.* Safari\//],
];

/** "Chrome 141": the browser and its major version, by which measured choices of kernels are kept. The whole text when it is not known. */
export function browserMajor(userAgent: string): string {
  for (const [name, pattern] of NAMES) {
    const version = pattern.exec(userAgent)?.[1];
    if (version) return `${name} ${version}`;
  }
  return userAgent || "unknown browser";
}
