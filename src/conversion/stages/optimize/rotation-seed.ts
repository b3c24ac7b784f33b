/** Any would do; layers that read the same tensor share its rotation. */
export const ROTATION_SEED = 1;
