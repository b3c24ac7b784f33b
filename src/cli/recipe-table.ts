import type { RecipeReport, RecipeStep } from '../conversion/report-types';
import { table } from './command';

const decibels = (value: number | undefined) => (value === undefined ? '–' : value.toFixed(1));

/** The way to the recipe that was chosen: static, what costs nothing, and the mix of precisions. */
export function recipeTable(report: RecipeReport): string {
  const { name, target, samples, met, late, steps, selections = {} } = report;
  const mixes = steps.filter(({ name: step }) => /\d/.test(step));
  const shown = steps.filter((step) => !mixes.includes(step) || step.chosen);
  const row = (trial: RecipeStep) => {
    const { name: step, worst = '', signalToNoise, excess, chosen, confirmed } = trial;
    return [
      step,
      decibels(signalToNoise),
      decibels(excess),
      trial.milliseconds?.toFixed(2) ?? '–',
      worst,
      chosen ? `chosen${confirmed ? ', confirmed on other samples' : ''}` : '',
    ];
  };
  const reached = met ? 'reached' : late ? 'not reached in the time budget' : 'not reached';
  const head = [
    `recipe ${name}: ${target.median} dB ${reached}; ${samples} samples, ${steps.length} models tried`,
    'dB, worst output',
    'above the target',
    'ms',
    'output',
    '',
  ];
  const more = met ? '--recipe fast: static INT8; --recipe accurate: 35 dB' : '--recipe fast: static INT8';
  const selected = Object.entries(selections).map(
    ([output, from]) =>
      `output '${output}' comes of a selection, and is judged by what it is selected from: ${from.join(', ')}`,
  );
  return [table(head, shown.map(row)), ...selected, more].join('\n');
}
