/** Expert routing by sorting: the plain definition that the engine is judged by. */
import type { RouterNumbers } from '../../../src/program/program';
import { expOfNonPositive } from './softmax';

export interface RouteReference {
  ids: number[];
  /** In float64. */
  weights: number[];
  /** Greatest score less the least above -infinity. */
  range: number;
}

const byFalling =
  (keys: readonly number[]) =>
  (a: number, b: number): number =>
    keys[b]! > keys[a]! ? 1 : keys[b]! < keys[a]! ? -1 : a - b;

function sigmoid(x: number): number {
  const e = expOfNonPositive(-Math.abs(x));
  return Math.fround((x >= 0 ? 1 : e) / Math.fround(1 + e));
}

/** Routes one token; undefined where no expert has a score. Scores and sums are rounded to float32. */
export function routeToken(
  router: RouterNumbers,
  logits: readonly number[],
  bias?: readonly number[],
  resident?: readonly number[],
): RouteReference | undefined {
  const scores = logits.map((x) =>
    Number.isNaN(x) ? Number.NEGATIVE_INFINITY : router.sigmoid ? sigmoid(x) : x,
  );
  const experts = scores.map((_, e) => e);
  const finite = scores.filter((score) => score > Number.NEGATIVE_INFINITY);
  if (finite.length === 0) return undefined;
  const ranked = scores.map((score, e) => Math.fround(score + (bias?.[e] ?? 0)));

  const size = experts.length / router.groups;
  const groups = Array.from({ length: router.groups }, (_, g) => experts.slice(g * size, (g + 1) * size));
  const ranks = groups.map((group) =>
    [...group]
      .sort(byFalling(ranked))
      .slice(0, router.groupTop)
      .reduce((sum, e) => Math.fround(sum + ranked[e]!), 0),
  );
  const open = [...groups.keys()].sort(byFalling(ranks)).slice(0, router.topGroups);
  const allowed = experts.map((e) =>
    router.groups === 1 || open.includes(Math.floor(e / size)) ? ranked[e]! : Number.NEGATIVE_INFINITY,
  );

  const sacred = [...experts].sort(byFalling(allowed)).slice(0, router.protect);
  const bonus = (e: number) => (resident?.[e] ? Math.fround(router.bonus) : 0);
  // Without groups and protected picks, bias and bonus are added to the score as one number.
  const atOnce = router.groups === 1 && (router.protect === 0 || router.bonus === 0 || !resident);
  const keys = allowed.map((key, e) => {
    if (sacred.includes(e)) return Number.POSITIVE_INFINITY;
    return atOnce
      ? Math.fround(scores[e]! + Math.fround(bonus(e) + (bias?.[e] ?? 0)))
      : Math.fround(key + bonus(e));
  });
  const ids = [...experts].sort(byFalling(keys)).slice(0, router.topK).sort(byFalling(scores));

  const greatest = Math.max(...scores);
  const mass = ids.map((e) => (router.sigmoid ? Math.max(scores[e]!, 0) : Math.exp(scores[e]! - greatest)));
  const whole = router.normalize
    ? mass.reduce((sum, m) => sum + m, 0)
    : router.sigmoid
      ? 1
      : scores.reduce((sum, score) => sum + Math.exp(score - greatest), 0);
  const weights = mass.map((m) => (whole > 0 ? (m / whole) * router.weightScale : 0));
  return { ids, weights, range: greatest - Math.min(...finite) };
}
