// Weights are bound as stored, as u32 words: one f32, or two bf16 / f16 values per word (low half first).
// WEIGHT_DTYPE: 0 = F32, 1 = BF16, 2 = F16. Exact: bf16 and f16 values are f32 values.
override WEIGHT_DTYPE: u32 = 0u;

fn unpack_weight(word: u32, high: bool) -> f32 {
  if (WEIGHT_DTYPE == 1u) { return bitcast<f32>(select(word << 16u, word & 0xffff0000u, high)); }
  if (WEIGHT_DTYPE == 2u) { let pair = unpack2x16float(word); return select(pair.x, pair.y, high); }
  return bitcast<f32>(word);
}
