/** How far a conversion is, and where it is cancelled. */
import { LowbitError } from '../base/errors';

export type ConvertStage =
  | 'read'
  | 'optimize'
  | 'calibrate'
  | 'encode weights'
  | 'correct'
  | 'refine'
  | 'measure layers'
  | 'quantize'
  | 'check'
  | 'pack experts'
  | 'write';

export interface ConvertProgress {
  stage: ConvertStage;
  done: number;
  total: number;
}

/** Called between pieces of work. @throws LowbitError 'cancelled' on abort */
export type ReportProgress = (stage: ConvertStage, done: number, total: number) => void;

export function progressReporter(
  onProgress: ((progress: ConvertProgress) => void) | undefined,
  signal: AbortSignal | undefined,
): ReportProgress {
  return (stage, done, total) => {
    if (signal?.aborted)
      throw new LowbitError('cancelled', 'The conversion was cancelled; nothing was left behind.');
    onProgress?.({ stage, done, total });
  };
}
