/** `--report`: what convert and compare write beside their result. */
import { type Command, InvalidArgumentError } from 'commander';
import { makeReport, type Report, type ReportOptions } from '../report/report';
import { isReportPath, writeReport } from '../report/write-report';
import type { Progress } from './command';

export interface ReportCliOptions {
  report?: string;
}

export function withReportOption(command: Command): Command {
  return command.option(
    '--report <file>',
    'write figures of every layer: a page for a browser (.html) or data (.json)',
    (path: string) => {
      if (!isReportPath(path)) throw new InvalidArgumentError('Expected a file that ends in .html or .json.');
      return path;
    },
  );
}

export function makeReportWithProgress(
  progress: Progress,
  options: Omit<ReportOptions, 'onProgress'>,
): Promise<Report> {
  return makeReport({
    ...options,
    onProgress: (done, total) => progress.update('layers', done, total),
  });
}

/** @returns the path of what was written, for the command's own result */
export async function saveReport(report: Report, { report: path }: ReportCliOptions) {
  return path === undefined ? {} : { report: await writeReport(report, path) };
}
