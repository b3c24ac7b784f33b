/**
 * As much of jest as the reference suites of kernels take, for a page: suites register their tests, `run` runs them. What
 * equals what is jest's own code.
 */
import { equals, iterableEquality, subsetEquality } from '@jest/expect-utils';

interface Test {
  readonly name: string;
  readonly body: () => unknown;
}

const tests: Test[] = [];
const before: (() => unknown)[] = [];
let prefix = '';

type Body = (...args: never[]) => unknown;

/** `$name` stands for a field of the row; rows of several values are arguments. */
function each(add: (name: string, body: () => unknown) => void) {
  return (rows: readonly unknown[]) => (name: string, body: Body) => {
    rows.forEach((row, i) => {
      const named = name.replace(/\$(\w+)/g, (_, key) => String((row as Record<string, unknown>)[key]));
      const args = Array.isArray(row) ? row : [row];
      add(`${named} (${i}: ${args.map((arg) => String(arg)).join()})`, () => body(...(args as never[])));
    });
  };
}

function addTest(name: string, body: () => unknown): void {
  tests.push({ name: prefix + name, body });
}

function addGroup(name: string, body: () => unknown): void {
  const outer = prefix;
  prefix = `${outer}${name}: `;
  body();
  prefix = outer;
}

/** Matches like one of jest's asymmetric matchers. */
interface Matcher {
  readonly $$typeof: symbol;
  asymmetricMatch(other: unknown): boolean;
}

const matcher = (asymmetricMatch: (other: unknown) => boolean): Matcher => ({
  $$typeof: Symbol.for('jest.asymmetricMatcher'),
  asymmetricMatch,
});

const includes = (received: unknown, expected: object): boolean =>
  equals(received, expected, [iterableEquality, subsetEquality]) ||
  Object.entries(expected).every(([key, value]) =>
    equals((received as Record<string, unknown>)?.[key], value),
  );

/** Whether what was thrown is as `toThrow` is told. */
function thrownFits(error: unknown, expected: unknown): boolean {
  const { message } = error as Error;
  if (expected === undefined) return true;
  if (expected instanceof RegExp) return expected.test(message);
  if (typeof expected === 'string') return message.includes(expected);
  return equals(error, expected);
}

function thrownBy(call: () => unknown): { error: unknown } | undefined {
  try {
    call();
  } catch (error) {
    return { error };
  }
  return undefined;
}

const MATCHERS: Readonly<Record<string, (received: never, ...expected: never[]) => boolean>> = {
  toBe: (received: unknown, expected: unknown) => Object.is(received, expected),
  toEqual: (received: unknown, expected: unknown) => equals(received, expected, [iterableEquality]),
  toMatchObject: (received: unknown, expected: object) => includes(received, expected),
  toBeInstanceOf: (received: unknown, type: new () => unknown) => received instanceof type,
  toBeLessThan: (received: number, bound: number) => received < bound,
  toBeGreaterThan: (received: number, bound: number) => received > bound,
  toBeCloseTo: (received: number, expected: number, digits = 2) =>
    Math.abs(received - expected) < 10 ** -digits / 2,
  toThrow: (call: () => unknown, expected?: unknown) => {
    const thrown = thrownBy(call);
    return thrown !== undefined && thrownFits(thrown.error, expected);
  },
};

function expectIn(received: unknown) {
  const checks = (wanted: boolean) =>
    Object.fromEntries(
      Object.entries(MATCHERS).map(([name, holds]) => [
        name,
        (...expected: unknown[]) => {
          if (holds(received as never, ...(expected as never[])) === wanted) return;
          const seen = typeof received === 'function' ? thrownBy(received as () => unknown) : received;
          throw new Error(`${wanted ? '' : 'not '}${name} ${String(expected[0])}, found ${String(seen)}`);
        },
      ]),
    );
  return { ...checks(true), not: checks(false) };
}

const expectWithMatchers = Object.assign(expectIn, {
  objectContaining: (expected: object) => matcher((other) => includes(other, expected)),
  stringMatching: (pattern: RegExp | string) =>
    matcher((other) => typeof other === 'string' && new RegExp(pattern).test(other)),
});

Object.assign(globalThis, {
  describe: Object.assign(addGroup, { each: each(addGroup) }),
  test: Object.assign(addTest, { each: each(addTest) }),
  beforeAll: (body: () => unknown) => before.push(body),
  expect: expectWithMatchers,
});

/** @returns how many tests there are, and what failed */
export async function run(): Promise<{ count: number; failures: string[] }> {
  const failures: string[] = [];
  for (const body of before) await body();
  for (const { name, body } of tests) {
    try {
      await body();
    } catch (error) {
      failures.push(`${name}: ${(error as Error).message}`);
    }
  }
  return { count: tests.length, failures };
}
