/**
 * - `fast`: static INT8, the fastest, whatever its accuracy
 * - `balanced`: as accurate as most uses need, with as little in higher precision as that takes
 * - `accurate`: the same for 10 dB more
 */
export const RECIPES = ['fast', 'balanced', 'accurate'] as const;

export type RecipeName = (typeof RECIPES)[number];
