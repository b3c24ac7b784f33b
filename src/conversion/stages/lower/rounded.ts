/** Figures of records, with as many decimals as they tell something. */

export const toTenths = (decibels: number): number => Math.round(10 * decibels) / 10;

export const toThousandths = (bits: number): number => Math.round(1000 * bits) / 1000;
