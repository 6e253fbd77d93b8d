/**
 * MT19937 with the standard initialisation (init_genrand), 32-bit outputs.
 * `new MT19937(42)` gives the stream of torch.manual_seed(42) on the CPU and of numpy's RandomState(42).
 * Source: Matsumoto & Nishimura 1998, mt19937ar.
 */
export class MT19937 {
  private readonly state = new Uint32Array(624);
  private index = 624;

  constructor(seed: number) {
    this.state[0] = seed >>> 0;
    for (let i = 1; i < 624; i++) {
      const previous = this.state[i - 1]! ^ (this.state[i - 1]! >>> 30);
      this.state[i] = (Math.imul(1812433253, previous) + i) >>> 0;
    }
  }

  next(): number {
    if (this.index === 624) this.twist();
    let y = this.state[this.index++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  private twist(): void {
    const s = this.state;
    for (let i = 0; i < 624; i++) {
      const y = (s[i]! & 0x80000000) | (s[(i + 1) % 624]! & 0x7fffffff);
      s[i] = s[(i + 397) % 624]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.index = 0;
  }
}

/**
 * `count` sequences of `length` token ids, uniform over [0, vocab): u32 mod vocab, row-major.
 * Equals torch's CPU `manual_seed(seed); randint(0, vocab, (count, length))`.
 * Source: METHODS A13, checked against its listed draws.
 */
export function drawTokens(seed: number, vocab: number, count: number, length: number): number[][] {
  const rng = new MT19937(seed);
  return Array.from({ length: count }, () => Array.from({ length }, () => rng.next() % vocab));
}

/** FNV-1a of a string, 32 bits: the tensor-name part of a random key. */
export function hashName(name: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/**
 * Counter-based 32 random bits of (key, counter): two rounds of the PCG output permutation.
 * Independent of slicing and order. Source: Jarzynski & Olano 2020, "Hash functions for GPU rendering", pcg hash.
 */
export function randomBits(key: number, counter: number): number {
  return pcg((counter + pcg(key >>> 0)) >>> 0);
}

function pcg(input: number): number {
  const state = (Math.imul(input, 747796405) + 2891336453) >>> 0;
  const word = Math.imul(((state >>> ((state >>> 28) + 4)) ^ state) >>> 0, 277803737) >>> 0;
  return ((word >>> 22) ^ word) >>> 0;
}

/** Uniform in (0, 1): 24 bits, never 0. */
export function randomUniform(key: number, counter: number): number {
  return ((randomBits(key, counter) >>> 8) + 0.5) / 16777216;
}

/** Standard normal by Box-Muller from counters 2i and 2i + 1. */
export function randomNormal(key: number, counter: number): number {
  const u = randomUniform(key, 2 * counter);
  const v = randomUniform(key, 2 * counter + 1);
  return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v);
}
