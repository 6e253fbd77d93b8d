import { HARDWARE_FORMS, type Form } from "../../src/kernels/nn/forms";

/**
 * Whether a form is tested with every variant of its kernel: the register form and the first tile. Tiles differ in where a result
 * ends, in nothing that reads weights or squares sums, so the other tiles take every shape, but each variant only once. A variant is
 * a kernel of its own to compile, most of the time that these tests take.
 */
export const inWhole = (form: Form): boolean => form === "register" || form === HARDWARE_FORMS[0];
