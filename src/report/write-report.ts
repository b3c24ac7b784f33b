/** Writes a report as one self-contained HTML file, or as JSON. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, extname, join, resolve } from 'node:path';
import { checkArgument, LowbitError } from '../base/errors';
import { packageRoot } from '../base/package-root';
import { jsonNumber } from './json';
import type { Report } from './report';

/** Nothing but what is in the file itself: not even a stylesheet is fetched. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/** JSON in which no name can end the script that contains it, for an HTML parser. */
function embed(report: Report): string {
  return JSON.stringify(report, jsonNumber).replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function pageFile(name: string): Promise<string> {
  return readFile(join(packageRoot(), 'src', 'report', 'page', name), 'utf8');
}

/** The chart library as one script. */
function chartLibrary(): Promise<string> {
  return readFile(join(packageRoot(), 'dist', 'src', 'vendor', 'chart.umd.min.js'), 'utf8');
}

/** The page's modules, each after those that it imports. */
const MODULES = ['data', 'numbers', 'elements', 'charts', 'selection', 'summary', 'layers', 'table', 'page'];

/** The page's modules as one script: an inline module can import nothing, so that their names share one scope. */
async function pageScript(): Promise<string> {
  const texts = await Promise.all(MODULES.map((name) => pageFile(`${name}.js`)));
  return texts.map((text) => text.replace(/^import [^;]*;$/gm, '').replace(/^export /gm, '')).join('');
}

/** The report as a page that shows it: charts, tables and data in one file. */
export async function toHtml(report: Report): Promise<string> {
  const [style, script, charts] = await Promise.all([pageFile('page.css'), pageScript(), chartLibrary()]);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(report.model)}: quantization report</title>
<style>
${style}</style>
</head>
<body>
<main id="report"></main>
<noscript>This report is drawn by the script within it.</noscript>
<script type="application/json" id="data">${embed(report)}</script>
<script>
${charts}</script>
<script>
(() => {
'use strict';
${script}})();
</script>
</body>
</html>
`;
}

export function isReportPath(path: string): boolean {
  return ['.html', '.htm', '.json'].includes(extname(path).toLowerCase());
}

/**
 * Writes a report; the end of the file's name says as what.
 *
 * @returns the absolute path
 * @throws LowbitError 'invalid-argument' for a file that is neither .html nor .json, 'io' if it cannot be written
 */
export async function writeReport(report: Report, path: string): Promise<string> {
  checkArgument(isReportPath(path), 'path', 'a file that ends in .html or .json', path);
  const target = resolve(path);
  const json = extname(path).toLowerCase() === '.json';
  const text = json ? `${JSON.stringify(report, jsonNumber, 2)}\n` : await toHtml(report);
  try {
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, text);
  } catch (cause) {
    throw new LowbitError('io', `Cannot write ${target}: ${(cause as Error).message}`, { cause });
  }
  return target;
}
