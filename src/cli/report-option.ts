/** `--report`: what convert and compare write beside their result. */
import { join, parse } from 'node:path';
import { writeNodeData } from '../report/node-data';
import { makeReport, type Report, type ReportOptions } from '../report/report';
import { isReportPath, writeReport } from '../report/write-report';
import { type Command, InvalidArgumentError } from '../vendor/commander';
import type { Progress } from './command';

export interface ReportCliOptions {
  report?: string;
}

/** Where a report went. */
export interface SavedReport {
  report?: string;
  nodeData?: string;
}

export function withReportOption(command: Command): Command {
  return command.option(
    '--report <file>',
    'write figures of every layer: a page for a browser (.html) or data (.json); and beside it, in a folder NAME-node-data, the same for Model Explorer, to be loaded over the float model',
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

/** @returns the paths of what was written, for the command's own result */
export async function saveReport(report: Report, { report: path }: ReportCliOptions): Promise<SavedReport> {
  if (path === undefined) return {};
  const { dir, name } = parse(path);
  return {
    report: await writeReport(report, path),
    nodeData: await writeNodeData(report, join(dir, `${name}-node-data`)),
  };
}

/** Where a report went, as rows of what a command prints. */
export function savedRows({ report, nodeData }: SavedReport): [string, string][] {
  return [
    ...(report === undefined ? [] : [['report', report] as [string, string]]),
    ...(nodeData === undefined ? [] : [['node data for Model Explorer', nodeData] as [string, string]]),
  ];
}
