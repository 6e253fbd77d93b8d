/** Trimming lives beside its kernels, because the Fisher pass makes the masks; merging reads it from here. */
export * from "../kernels/stats/trim";
