/** Says at the end of a run what was left out and why: suites without an engine, and tests whose name says "(needs ...)". */
const path = require('node:path');
const { missingAddon } = require('./needs-engine');

const NEEDS = /\(needs (.+)\)$/;

/** How many suites lie in each folder. */
function byFolder(suites) {
  const counts = new Map();
  for (const suite of suites) counts.set(path.dirname(suite), (counts.get(path.dirname(suite)) ?? 0) + 1);
  return [...counts].map(([folder, count]) => `${folder} (${count})`).join(', ');
}

/** Tests that were skipped, by what they need. */
function byNeed(results) {
  const counts = new Map();
  for (const { testResults } of results) {
    for (const { status, ancestorTitles } of testResults) {
      if (status !== 'pending') continue;
      const need = ancestorTitles.map((title) => NEEDS.exec(title)?.[1]).find(Boolean) ?? 'no reason given';
      counts.set(need, (counts.get(need) ?? 0) + 1);
    }
  }
  return counts;
}

module.exports = class SkippedReporter {
  onRunComplete(_contexts, { testResults }) {
    const lines = [...byNeed(testResults)].map(([need, count]) => `SKIPPED ${count} tests: need ${need}`);
    if (this.leftOut.length > 0) {
      lines.unshift(
        `SKIPPED ${this.leftOut.length} suites: need the native engine. ${missingAddon()}`,
        `  ${byFolder(this.leftOut)}`,
      );
    }
    if (lines.length > 0) console.log(`\n${lines.join('\n')}`);
  }

  constructor(_config, { leftOut }) {
    this.leftOut = leftOut;
  }
};
