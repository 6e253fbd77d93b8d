import { expect, test } from "vitest";
import { PROMPTS, promptText } from "../../../src/text/prompts";

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
const divisors = (n: number): number[] => range(1, n).filter((d) => n % d === 0);
const factorial = (n: number): number => range(1, n).reduce((a, b) => a * b, 1);
/** The whole numbers of a range that fit. */
const solve = (holds: (x: number) => boolean, from = 0, to = 1000): number => {
  const found = range(from, to).filter(holds);
  expect(found).toHaveLength(1);
  return found[0]!;
};
const dice = (fits: (a: number, b: number) => boolean): number => range(1, 6).flatMap((a) => range(1, 6).map((b) => fits(a, b))).filter(Boolean).length / 36;
const day = (iso: string, add: number): string => new Date(Date.parse(`${iso}T00:00:00Z`) + add * 86_400_000).toISOString().slice(0, 10);
const daysBetween = (a: string, b: string): number => (Date.parse(b) - Date.parse(a)) / 86_400_000;
const weekday = (iso: string): number => new Date(`${iso}T00:00:00Z`).getUTCDay();
const f = (n: number): number => (n < 2 ? 1 : n * f(n - 1));
const orders = <T>(items: readonly T[]): T[][] => (items.length === 0 ? [[]] : items.flatMap((item, i) => orders([...items.slice(0, i), ...items.slice(i + 1)]).map((rest) => [item, ...rest])));

/** Each answer that can be computed, from the question alone. The key is how the question starts. */
const COMPUTED: Record<string, () => number | string> = {
  "What is 48 + 67": () => 48 + 67 - 29,
  "Compute 17 * 23": () => 17 * 23,
  "What is 1,000 divided": () => 1000 / 16,
  "Evaluate 6 + 4": () => 6 + 4 * (9 - 5) ** 2,
  "Add 2/3 and 3/4": () => `${2 * 4 + 3 * 3}/${3 * 4}`,
  "What is 15% of": () => (15 * 240) / 100,
  "A price of 80": () => 80 * 1.25 * 0.75,
  "What is the remainder when 1234": () => 1234 % 7,
  "Compute 0.3 * 0.07": () => (3 * 7) / 1000,
  "What is the average of 12": () => sum([12, 19, 25, 44]) / 4,
  "What is -7": () => -7 - -15 + 3,
  "Which is larger, 5/8": () => [["5/8", 5 / 8], ["0.61", 0.61]].sort((a, b) => Number(b[1]) - Number(a[1]))[0]![0]!,
  "Solve 3x + 11": () => solve((x) => 3 * x + 11 === 38),
  "Solve 5(x - 2)": () => solve((x) => 5 * (x - 2) === 2 * x + 14),
  "Two numbers have the sum": () => solve((x) => x - (31 - x) === 7),
  "What is the positive solution": () => solve((x) => x > 0 && x * x - 5 * x - 24 === 0),
  "If f(x) = 2x^2": () => 2 * 4 ** 2 - 3 * 4 + 1,
  "Given 2x + y": () => solve((x) => 2 * x + (x - 2) === 13),
  "Simplify (a^3": () => `a^${Math.log2((2 ** 3 * 2 ** 4) / 2 ** 5)}`,
  "A line goes through": () => (11 - 2) / (4 - 1),
  "If 2^n = 128": () => solve((n) => 2 ** n === 128, 0, 20),
  "The terms of a sequence": () => range(0, 19).map((i) => 5 + i * (9 - 5)).at(-1)!,
  "For which x do": () => solve((x) => 2 * x + 1 === 10 - x),
  "A baker fills": () => 14 * 18 - 197,
  "Three friends share": () => solve((x) => x + 2 * (x - 9) === 87),
  "A tank holds 600": () => 600 / (25 - 10),
  "Mira reads": () => sum(range(0, 3).map((d) => 24 + 6 * d)),
  "A cyclist rides": () => (45 / 18) * 60,
  "Tickets cost 12": () => solve((a) => 12 * a + 7 * (10 - a) === 95, 0, 10),
  "A farm has hens": () => solve((g) => 4 * g + 2 * (30 - g) === 84, 0, 30),
  "Eight machines": () => (120 / 8 / 3) * 6 * 5,
  "Lena is 4 times": () => solve((s) => 4 * s + 6 === 3 * (s + 6)),
  "A shirt costs 36": () => solve((p) => p * 80 === 3600),
  "A rope of 5.4": () => 540 / 45,
  "From a jar": () => solve((n) => n / 2 - 8 === 15),
  "Two trains 210": () => (210 / (80 + 60)) * 60,
  "Paint for 1 wall": () => Math.ceil((9 * 0.75) / 2),
  "Anna is taller": () => orders(["Anna", "Ben", "Cem", "Dora"]).filter((o) => o.indexOf("Anna") < o.indexOf("Ben") && o.indexOf("Ben") < o.indexOf("Cem") && o.indexOf("Dora") < o.indexOf("Anna"))[0]![1]!,
  "One of three boxes": () => `Box ${solve((key) => [key !== 1, key !== 2, key === 2].filter(Boolean).length === 1, 1, 3)}`,
  "Five people stand": () => ["First", "Second", "Third", "Fourth", "Fifth"][orders(["Eva", "Finn", "Gil", "Ida", "other"]).filter((o) => o[0] === "Eva" && o[3] === "Finn" && o[2] === "Gil" && o[4] !== "Ida")[0]!.indexOf("Ida")]!,
  "A says: B lies": () => {
    const cases = ([[true, false], [false, true]] as const).filter(([a, b]) => a === !b && b === (!a && !b));
    expect(cases).toHaveLength(1);
    return cases[0]![0] ? "A" : "B";
  },
  "Which number does not belong": () => [9, 16, 25, 32, 49].find((n) => !Number.isInteger(Math.sqrt(n)))!,
  "What comes next: 2, 6": () => 6 * 7,
  "Red, blue and green cups": () => {
    const [, blue] = orders(["Tea", "Milk", "Water"]).find(([red, , green]) => red !== "Tea" && green === "Milk")!;
    return blue!;
  },
  "How many seconds are there": () => (2 * 60 + 15) * 60,
  "Convert 72 km/h": () => 72_000 / 3600,
  "How many millilitres": () => 3.25 * 1000,
  "A room is 4 m": () => 4 * 3.5,
  "How many grams": () => 2500 - 400,
  "Convert 25 degrees": () => (25 * 9) / 5 + 32,
  "How many square centimetres": () => 0.2 * 100 * 100,
  "A file of 1.5 GB": () => 1500 / 12,
  "How many hours are in 3 weeks": () => 3 * 7 * 24,
  "At a scale of": () => (7 * 50_000) / 100_000,
  "If 1 March is a Tuesday": () => ["Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "Monday"][(15 - 1) % 7]!,
  "How many days are there from 10 April": () => daysBetween("2023-04-10", "2023-05-03"),
  "Was 1900": () => (new Date(Date.UTC(1900, 1, 29)).getUTCMonth() === 1 ? "Yes" : "No"),
  "A meeting starts": () => new Date(Date.UTC(2000, 0, 1, 10, 45 + 95)).toISOString().slice(11, 16),
  "Today is Friday": () => ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"][weekday(day("2024-03-01", 100))]!,
  "A flight leaves": () => { const m = (24 + 5) * 60 + 10 - (22 * 60 + 30); return `${Math.floor(m / 60)} hours ${m % 60} minutes`; },
  "How many days does February": () => daysBetween("2024-02-01", "2024-03-01"),
  "What is the date 45 days": () => { const [, m, d] = day("2023-01-20", 45).split("-").map(Number); return `${d} ${["January", "February", "March"][m! - 1]}`; },
  "It is 9:00": () => `${9 - 2 + -5}:00`,
  "How many months are there": () => (2021 - 2019) * 12 + (8 - 5),
  "What does this Python print": () => sum([1, 2, 3].map((v) => v * v)),
  "In Python, what is len": () => "banana".replaceAll("an", "").length,
  "What is the value of n": () => sum(range(1, 5)),
  "In JavaScript, what does": () => [3, 10, 2].sort()[0]!,
  "What does 17 // 5": () => Math.floor(17 / 5) + (17 % 5),
  "A loop halves": () => { let n = 20, runs = 0; while (n > 0) { n >>= 1; runs++; } return runs; },
  "def f(n)": () => f(5),
  "What is the hexadecimal": () => 0x2f,
  "Which element does binary": () => Math.floor((1 + 7) / 2),
  "What is printed? s": () => "abcdef".slice(1, 4),
  "How many times does the inner": () => sum(range(0, 3)),
  "What is the binary number": () => 0b101101,
  "A rectangle has sides": () => Math.hypot(9, 12),
  "Two angles of a triangle": () => 180 - 35 - 75,
  "What is the area of a triangle": () => (14 * 9) / 2,
  "The perimeter of a square": () => (52 / 4) ** 2,
  "What is the sum of the inner": () => (6 - 2) * 180,
  "A cube has a volume": () => 6 * Math.round(Math.cbrt(64)) ** 2,
  "A circle has a circumference": () => `${(10 / 2) ** 2} pi`,
  "The points (2, 3)": () => Math.hypot(8 - 2, 11 - 3),
  "A box measures": () => 3 * 4 * 5,
  "How many diagonals": () => (8 * (8 - 3)) / 2,
  "The sides of a triangle": () => 2 ** 2,
  "A fair die": () => range(1, 6).filter((n) => n > 4).length / 6,
  "Two fair coins": () => [0, 1, 2, 3].filter((n) => (n & 1) + (n >> 1) === 1).length / 4,
  "A bag holds 3 red": () => (3 * 2) / (8 * 7),
  "In how many orders": () => orders(range(1, 5)).length,
  "How many ways": () => factorial(7) / (factorial(3) * factorial(4)),
  "Two fair dice": () => dice((a, b) => a + b === 7),
  "An event has probability": () => 0.8 ** 3,
  "A game pays": () => 0.3 * 10 - 0.7 * 2,
  "How many different words": () => 2 ** 4,
  "A card is drawn": () => (4 + 13 - 1) / 52,
  "What is the greatest common": () => gcd(84, 126),
  "What is the least common": () => (12 * 18) / gcd(12, 18),
  "Is 91 a prime": () => (divisors(91).length === 2 ? "Yes" : "No"),
  "What is the last digit": () => 7 ** 10 % 10,
  "How many divisors": () => divisors(60).length,
  "What is the sum of the whole": () => sum(range(1, 60)),
  "Write 360": () => "2^3 * 3^2 * 5",
  "What is the smallest whole number above": () => range(101, 200).find((n) => n % 9 === 0)!,
};
/** Answered by reading alone. */
const READ = PROMPTS.filter((p) => p.topic === "common sense").length + 4;

test("there are at least 100 prompts of eleven topics, each once", () => {
  expect(PROMPTS.length).toBeGreaterThanOrEqual(100);
  expect(new Set(PROMPTS.map((p) => p.question)).size).toBe(PROMPTS.length);
  expect(new Set(PROMPTS.map((p) => p.topic)).size).toBe(11);
  for (const prompt of PROMPTS) expect(promptText(prompt)).toMatch(/^Question: \S.*\nReasoning: \S.*\nAnswer: \S.*$/);
});

/** "3/28" as a number where the answer is a number or a fraction. */
const numberOf = (text: string): number => { const [, top, bottom] = /^(-?[\d.]+)(?:\/(\d+))?$/.exec(text) ?? []; return top === undefined ? NaN : Number(top) / Number(bottom ?? 1); };

test.each(Object.keys(COMPUTED))("%s…", (start) => {
  const found = PROMPTS.filter((p) => p.question.startsWith(start));
  expect(found).toHaveLength(1);
  const answer = found[0]!.answer;
  const value = COMPUTED[start]!();
  if (typeof value === "number") expect(numberOf(answer)).toBeCloseTo(value, 12);
  else expect(answer).toBe(value);
});

test("every other answer needs reading alone", () => {
  expect(2 ** 3 * 3 ** 2 * 5).toBe(360);
  expect(Object.keys(COMPUTED).length + READ).toBe(PROMPTS.length);
});

/** In a worked line, what stands before "=" is what stands after it. */
test("every equation in the worked lines holds", () => {
  let checked = 0;
  for (const { working } of PROMPTS) {
    for (const [, left, right] of working.matchAll(/(?<![\d^.=/*+-] ?)(-?\d[\d.,]*(?: [-+*/] \d[\d.,]*|\/\d+)+) = (\d[\d.,]*(?:\/\d+)?)(?![\d^]| [-+*/])/g)) {
      const clean = (text: string): string => text.replace(/[.,](?=\D|$)/g, "").replaceAll(",", "");
      const value = (text: string): number => Function(`"use strict"; return (${clean(text)});`)() as number;
      expect(value(left!), working).toBeCloseTo(value(right!), 9);
      checked++;
    }
  }
  expect(checked).toBeGreaterThan(40);
});
