/**
 * How near a converted model's outputs are to the float model's, each as running sums over the samples. Outputs come as
 * `{ name: { shape, values } }`.
 */

function argMax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

const percent = (part, whole) => (whole === 0 ? Number.NaN : (100 * part) / whole);

const decibels = ({ signal, noise }) => 10 * Math.log10(signal / noise);

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/**
 * Signal-to-noise of every output, in dB, over all samples, in which a sample of large outputs counts for many; the worst
 * of them is the score. Beside it the median of the single samples.
 */
function signalToNoise() {
  const sums = new Map();
  return {
    add(float, lowbit) {
      for (const [name, { values }] of Object.entries(float)) {
        const sum = sums.get(name) ?? { signal: 0, noise: 0, samples: [] };
        const own = { signal: 0, noise: 0 };
        const other = lowbit[name].values;
        for (let i = 0; i < values.length; i++) {
          own.signal += values[i] ** 2;
          own.noise += (values[i] - other[i]) ** 2;
        }
        sum.signal += own.signal;
        sum.noise += own.noise;
        sum.samples.push(decibels(own));
        sums.set(name, sum);
      }
    },
    result() {
      const outputs = [...sums];
      const all = outputs.map(([name, sum]) => [`dB ${name}`, decibels(sum)]);
      const medians = outputs.map(([name, { samples }]) => [`median dB ${name}`, median(samples)]);
      return {
        signalToNoise: Math.min(...all.map(([, value]) => value)),
        medianSignalToNoise: Math.min(...medians.map(([, value]) => value)),
        ...Object.fromEntries([...all, ...medians]),
      };
    },
  };
}

/** Top-1 accuracy of both and how often they agree, in percent. */
function classification(labelOffset = 0) {
  const counts = { samples: 0, float: 0, lowbit: 0, agree: 0 };
  return {
    add(float, lowbit, label) {
      const [name] = Object.keys(float);
      const classes = { float: argMax(float[name].values), lowbit: argMax(lowbit[name].values) };
      counts.samples++;
      if (classes.float === label + labelOffset) counts.float++;
      if (classes.lowbit === label + labelOffset) counts.lowbit++;
      if (classes.float === classes.lowbit) counts.agree++;
    },
    result() {
      const { samples } = counts;
      const top1 = { float: percent(counts.float, samples), lowbit: percent(counts.lowbit, samples) };
      return {
        topOneFloat: top1.float,
        topOneLowbit: top1.lowbit,
        drop: top1.float - top1.lowbit,
        agreement: percent(counts.agree, samples),
      };
    },
  };
}

/**
 * Mean distance of landmarks in three dimensions, in percent of the input's side.
 *
 * @param each numbers of a landmark, its place first
 */
function landmarks(output, side, each = 3) {
  let distance = 0;
  let points = 0;
  return {
    add(float, lowbit) {
      const [a, b] = [float[output].values, lowbit[output].values];
      for (let i = 0; i < a.length; i += each) {
        distance += Math.hypot(a[i] - b[i], a[i + 1] - b[i + 1], a[i + 2] - b[i + 2]);
        points++;
      }
    },
    result: () => ({ landmarkError: percent(distance / side, points) }),
  };
}

/** A float mask below this share of the picture shows nobody: a handful of stray pixels. */
const SOMEBODY = 0.01;

/**
 * Intersection over union of masks: the mean over all samples, and over those that show somebody.
 *
 * @param isMarked whether a place is, from the numbers of its channels
 * @param output default: the first
 */
function maskOverlap(isMarked, output) {
  const overlaps = { all: [], somebody: [] };
  const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;
  return {
    add(float, lowbit) {
      const name = output ?? Object.keys(float)[0];
      const [a, b] = [float[name].values, lowbit[name].values];
      const channels = float[name].shape.at(-1);
      const isIn = (values, i) => isMarked(values.subarray(i, i + channels));
      let [either, both, marked] = [0, 0, 0];
      for (let i = 0; i < a.length; i += channels) {
        const [inA, inB] = [isIn(a, i), isIn(b, i)];
        if (inA) marked++;
        if (inA || inB) either++;
        if (inA && inB) both++;
      }
      const overlap = either === 0 ? 1 : both / either;
      overlaps.all.push(overlap);
      if (marked >= (SOMEBODY * a.length) / channels) overlaps.somebody.push(overlap);
    },
    result: () => ({
      maskOverlap: mean(overlaps.all),
      maskOverlapWithSomebody: mean(overlaps.somebody),
      samplesWithSomebody: overlaps.somebody.length,
    }),
  };
}

function boxOverlap(a, b) {
  const side = (i) => Math.max(0, Math.min(a[i + 2], b[i + 2]) - Math.max(a[i], b[i]));
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  const both = side(0) * side(1);
  return both / (area(a) + area(b) - both);
}

/**
 * Detections of the float model above a score that the converted one finds too: same class, boxes that overlap. Rows
 * are four box values, score, class.
 */
function detections(output, { score, overlap }) {
  const counts = { wanted: 0, listed: 0, found: 0 };
  const rows = ({ shape, values }) => {
    const width = shape.at(-1);
    return Array.from({ length: values.length / width }, (_, i) =>
      values.subarray(i * width, (i + 1) * width),
    );
  };
  return {
    add(float, lowbit) {
      const left = new Set(rows(lowbit[output]));
      for (const row of rows(float[output])) {
        if (row[4] <= score) continue;
        counts.wanted++;
        const match = [...left].find((other) => other[5] === row[5] && boxOverlap(other, row) >= overlap);
        if (!match) continue;
        left.delete(match);
        counts.listed++;
        if (match[4] > score) counts.found++;
      }
    },
    result: () => ({
      detections: counts.wanted,
      detectionsListed: percent(counts.listed, counts.wanted),
      detectionsFound: percent(counts.found, counts.wanted),
    }),
  };
}

module.exports = { signalToNoise, classification, landmarks, maskOverlap, detections };
