/** What an adapter says of itself, as plain data. */
export interface AdapterFacts {
  state: "hardware" | "software" | "none";
  name: string;
  vendor: string;
  architecture: string;
  description: string;
  /** A device name, which few browsers tell. */
  device?: string;
  limits: {
    maxStorageBufferBindingSize: number;
    maxBufferSize: number;
    maxComputeWorkgroupStorageSize: number;
    maxStorageBuffersPerShaderStage: number;
    maxComputeInvocationsPerWorkgroup: number;
  };
  features: string[];
  reason?: string;
}

const NO_LIMITS: AdapterFacts["limits"] = {
  maxStorageBufferBindingSize: 0,
  maxBufferSize: 0,
  maxComputeWorkgroupStorageSize: 0,
  maxStorageBuffersPerShaderStage: 0,
  maxComputeInvocationsPerWorkgroup: 0,
};

export const noAdapter = (reason: string): AdapterFacts => ({ state: "none", name: "", vendor: "", architecture: "", description: "", limits: NO_LIMITS, features: [], reason });

const VENDORS: Record<string, string> = { nvidia: "NVIDIA", amd: "AMD", intel: "Intel", apple: "Apple", qualcomm: "Qualcomm", arm: "Arm", google: "Google" };

/**
 * Name, state and limits of an adapter. Software means a fallback adapter, SwiftShader or llvmpipe: results are the
 * same, kernels and selection take other forms, and the page calls it slow.
 */
export function adapterFacts(adapter: GPUAdapter): AdapterFacts {
  const info = adapter.info;
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`.toLowerCase();
  const fallback = (info as { isFallbackAdapter?: boolean }).isFallbackAdapter === true;
  const software = fallback || /swiftshader|llvmpipe|lavapipe|basic render/.test(text);
  const vendor = VENDORS[info.vendor.toLowerCase()] ?? info.vendor;
  const name = /swiftshader/.test(text) ? "SwiftShader" : [vendor, info.architecture].filter(Boolean).join(" ") || info.description || "GPU";
  const l = adapter.limits;
  return {
    state: software ? "software" : "hardware",
    name,
    vendor: info.vendor,
    architecture: info.architecture,
    description: info.description,
    ...(info.device ? { device: info.device } : {}),
    limits: {
      maxStorageBufferBindingSize: l.maxStorageBufferBindingSize,
      maxBufferSize: l.maxBufferSize,
      maxComputeWorkgroupStorageSize: l.maxComputeWorkgroupStorageSize,
      maxStorageBuffersPerShaderStage: l.maxStorageBuffersPerShaderStage,
      maxComputeInvocationsPerWorkgroup: l.maxComputeInvocationsPerWorkgroup,
    },
    features: [...adapter.features].sort(),
  };
}
