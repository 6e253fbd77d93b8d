/** WGSL files are imported as text: `import wgsl from "../../shaders/nn/rmsnorm.wgsl?raw"`. */
declare module "*.wgsl?raw" {
  const text: string;
  export default text;
}
