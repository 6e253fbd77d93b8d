import { StudioError, toStudioError } from "../core/errors";
import type { RecipeContext } from "./context";
import { settingsAt, studyOf, trimPlanOf } from "./operation";

/**
 * Asks the method about every tensor with the numbers that hold there, before anything is read. Throws "bad-recipe", naming
 * the tensor, for numbers that the method cannot use, and where entries that share a threshold would be kept in unlike shares.
 */
export function checkSettings(context: RecipeContext): void {
  const { method, experts, outputs } = context;
  const shares = new Map<string, { share: number; name: string }>();
  for (const output of outputs) {
    const { params, weights } = settingsAt(context, output);
    try {
      method.coefficients?.(params, weights);
      studyOf(context, output);
    } catch (cause) {
      const { code, message, details } = toStudioError(cause);
      throw new StudioError(code, `With the settings of "${output.name}": ${message}`, { ...details, where: output.name }, { cause });
    }
    experts.forEach((expert, k) => {
      const plan = trimPlanOf(context, output, k);
      if (!plan || plan.scope === "tensor") return;
      const group = `${k} ${plan.scope === "block" ? output.role.layer : ""}`;
      const first = shares.get(group) ?? { share: plan.share, name: output.name };
      shares.set(group, first);
      if (first.share !== plan.share)
        throw new StudioError("bad-recipe", `Merging with ${method.label}: of the change to "${expert.name}", ${first.share} is to be kept in "${first.name}" and ${plan.share} in "${output.name}", but all entries of a ${plan.scope} share one threshold. Trim within tensors, or keep one share.`, { title: "Unlike shares under one threshold", where: output.name, found: `${first.share} and ${plan.share}`, expected: `one share for a ${plan.scope}` });
    });
  }
}
