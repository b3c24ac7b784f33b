/** The curve of misses against perplexity, as one HTML file that needs no other. */
const fs = require('node:fs');
const path = require('node:path');

const POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
const COLORS = ['#b5442e', '#2166ac', '#3a8f4d', '#7a5195', '#c98a1b'];

/** The chart library as one script, without the reference to its source map. */
function chartLibrary() {
  const script = path.join(path.dirname(require.resolve('chart.js')), 'chart.umd.min.js');
  return fs.readFileSync(script, 'utf8').replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
}

/** A line for each cache, policy and number of protected picks, a point for each bonus. */
function datasets(rows) {
  const lines = new Map();
  for (const { cache, policy, bonus, protect, reported } of rows.filter(({ bonus }) => bonus > 0)) {
    const name = `cache ${cache} %, ${policy}, ${protect} protected`;
    const plain = rows.find((row) => row.cache === cache && row.policy === policy && row.bonus === 0);
    if (!lines.has(name)) {
      const color = COLORS[lines.size % COLORS.length];
      lines.set(name, {
        label: name,
        data: [{ x: plain.reported.ofLru, y: 0, bonus: 0 }],
        borderColor: color,
        backgroundColor: color,
        borderDash: protect > 0 ? [6, 4] : [],
        showLine: true,
      });
    }
    lines.get(name).data.push({ x: reported.ofLru, y: 100 * reported.worse, bonus });
  }
  return [...lines.values()];
}

function draw(data) {
  const axis = (text, more) => ({ title: { display: true, text }, ...more });
  new Chart(document.querySelector('canvas'), {
    type: 'scatter',
    data: { datasets: data },
    options: {
      animation: false,
      maintainAspectRatio: false,
      scales: {
        x: axis('misses, of those of LRU with plain routing', { min: 0 }),
        y: axis('perplexity above that of plain routing, %', { suggestedMin: 0 }),
      },
      plugins: {
        tooltip: {
          callbacks: {
            label: ({ dataset, raw }) =>
              `${dataset.label}, bonus ${raw.bonus}: ${raw.x.toFixed(2)} of the misses, ${raw.y.toFixed(2)} % more perplexity`,
          },
        },
      },
    },
  });
}

function chartPage(rows, characters) {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Memory-aware routing: misses against perplexity</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
div { height: 32rem }
</style>
</head>
<body>
<h1>Memory-aware routing: misses against perplexity</h1>
<p>The character model of examples/moe-char-lm over ${characters} held-out characters, none of which routing was chosen
on. Each point is a bonus for experts in
memory; lower left is better.</p>
<div><canvas role="img" aria-label="Misses against perplexity for each bonus and cache"></canvas></div>
<script>
${chartLibrary()}</script>
<script>
(${draw})(${JSON.stringify(datasets(rows))});
</script>
</body>
</html>
`;
}

/** Draws the chart of a page as a PNG, in Chromium. */
async function drawChart(page, file) {
  const puppeteer = require('puppeteer-core');
  const executablePath = ['chromium', 'chromium-browser', 'google-chrome']
    .flatMap((name) => process.env.PATH.split(path.delimiter).map((folder) => path.join(folder, name)))
    .find(fs.existsSync);
  if (!executablePath) throw new Error('Chromium is not installed: apt-get install chromium.');
  const browser = await puppeteer.launch({
    executablePath,
    args: ['--headless', '--no-sandbox', '--disable-gpu'],
  });
  try {
    const tab = await browser.newPage();
    await tab.setViewport({ width: 960, height: 720 });
    await tab.setContent(page, { waitUntil: 'load' });
    await (await tab.$('canvas')).screenshot({ path: file });
  } finally {
    await browser.close();
  }
}

module.exports = { chartPage, drawChart };
