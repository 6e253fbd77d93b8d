import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { expect } from "./studio";

/** What a colour can break: all that dark can do to a page that passes in light. */
const OF_COLOUR = ["color-contrast", "link-in-text-block"];

/** No violation of any rule in light, and in dark none that has to do with colours. */
export async function expectNoViolation(page: Page, state: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const axe = new AxeBuilder({ page });
    const { violations } = await (colorScheme === "dark" ? axe.withRules(OF_COLOUR) : axe).analyze();
    const found = violations.map((v) => `${v.id}: ${v.help}\n  ${v.nodes.slice(0, 4).map((n) => `${n.target.join(" ")}: ${n.any[0]?.message ?? n.failureSummary ?? ""}`).join("\n  ")}`);
    expect.soft(found, `${state}, ${colorScheme}`).toEqual([]);
  }
}
