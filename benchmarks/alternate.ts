/** Fair timing of several processes: one at a time, in short alternating rounds. */
import { setTimeout } from 'node:timers/promises';
import type { RuntimeProcess } from './runtimes/runtime-process';

export interface AlternateOptions {
  /** Timed predictions of each process, at most. */
  readonly runs: number;
  /** Time for each process in all rounds together, in milliseconds; a slow one makes fewer predictions. */
  readonly milliseconds: number;
}

const ROUNDS = 10;

/** Fewer would be no median. */
const MIN_RUNS = 3;

/** V8 takes some hundred calls to compile what runs often; a slow model, whose JavaScript matters little, fewer. */
const WARM_UP = { runs: 300, milliseconds: 1000 };

/** Threads that wait for work by spinning (onnxruntime's do, for a few milliseconds) have gone to sleep by then. */
const REST_MILLISECONDS = 30;

const sum = (times: readonly number[]) => times.reduce((total, time) => total + time, 0);

/**
 * Times every process in turn, the others idle; the order is reversed from round to round.
 *
 * @returns milliseconds of every prediction, by process
 */
export async function timeAlternately(
  processes: readonly RuntimeProcess[],
  { runs, milliseconds }: AlternateOptions,
): Promise<number[][]> {
  const lanes = processes.map((process) => ({ process, times: [] as number[] }));
  for (const { process } of lanes) {
    await process.warmUp(WARM_UP.runs, Math.min(WARM_UP.milliseconds, milliseconds));
  }
  for (let round = 0; round < ROUNDS; round++) {
    const order = round % 2 === 0 ? lanes : lanes.toReversed();
    for (const { process, times } of order) {
      const enough = times.length >= runs || sum(times) > milliseconds;
      if (enough && times.length >= Math.min(runs, MIN_RUNS)) continue;
      await setTimeout(REST_MILLISECONDS);
      const share = Math.min(Math.ceil(runs / ROUNDS), runs - times.length);
      times.push(...(await process.time(Math.max(share, 1), milliseconds / ROUNDS)));
    }
  }
  return lanes.map(({ times }) => times);
}
