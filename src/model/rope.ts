import { StudioError } from "../core/errors";
import type { ModelConfig, RopeScaling } from "./config";

/**
 * Inverse frequencies of the rotation, one per pair of a head's channels, f64.
 *   inv_i = theta^(-2i / D),  i < D/2
 *   linear: inv / factor
 *   llama3: with wavelength w = 2 pi / inv, old context O, low and high factors l < h,
 *           w < O/h: inv;  w > O/l: inv / factor;
 *           between: (1 - m) inv / factor + m inv,  m = (O/w - l) / (h - l)
 * Throws "unknown-architecture" for a scaling without a formula here.
 * Source: Su et al. 2021, arXiv:2104.09864; the Llama 3.1 rule as in transformers' modeling_rope_utils.
 */
export function inverseFrequencies(headDim: number, theta: number, scaling: RopeScaling): Float64Array {
  const inv = Float64Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
  switch (scaling.type) {
    case "none":
      return inv;
    case "linear":
      return inv.map((f) => f / scaling.factor);
    case "llama3": {
      const { factor, lowFreqFactor: low, highFreqFactor: high, originalMaxPosition: original } = scaling;
      return inv.map((f) => {
        const wavelength = (2 * Math.PI) / f;
        if (wavelength < original / high) return f;
        if (wavelength > original / low) return f / factor;
        const mix = (original / wavelength - low) / (high - low);
        return ((1 - mix) * f) / factor + mix * f;
      });
    }
    case "unsupported":
      throw new StudioError("unknown-architecture", `Building the rotary table: scaling "${scaling.name}" is not implemented; none, linear and llama3 are. Methods that need no gradients still work.`, {
        title: "Rotary scaling not implemented", where: "config.json, rope_scaling", found: scaling.name,
      });
  }
}

/**
 * cos and sin of position p and pair i, each [length, D/2] row-major, computed in f64 and rounded once to f32.
 * Pair i of a head is channels i and i + D/2 (the half-split layout of transformers).
 */
export function ropeTable(config: Pick<ModelConfig, "headDim" | "rope">, length: number): { cos: Float32Array; sin: Float32Array } {
  const inv = inverseFrequencies(config.headDim, config.rope.theta, config.rope.scaling);
  const cos = new Float32Array(length * inv.length);
  const sin = new Float32Array(length * inv.length);
  for (let p = 0; p < length; p++) {
    for (let i = 0; i < inv.length; i++) {
      cos[p * inv.length + i] = Math.cos(p * inv[i]!);
      sin[p * inv.length + i] = Math.sin(p * inv[i]!);
    }
  }
  return { cos, sin };
}
