// The demo's data: pictures of eight shapes, of any size, place, angle and colour, before a gradient, under noise and
// behind an occluding bar. Drawn from a seed: the same seed gives the same pictures everywhere.

const SIZE = 64;
const CLASSES = ['circle', 'triangle', 'square', 'star', 'cross', 'ring', 'crescent', 'bar'];

/** Pseudo-random numbers in [0, 1): mulberry32. */
function makeRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Whether a point of the plane lies in a polygon of `sides` corners at radius 1. */
function inPolygon(sides, x, y) {
  const sector = (2 * Math.PI) / sides;
  const angle = (Math.atan2(y, x) + 4 * Math.PI) % sector;
  return Math.hypot(x, y) * Math.cos(angle - sector / 2) <= Math.cos(sector / 2);
}

function inStar(x, y) {
  const sector = (2 * Math.PI) / 5;
  const angle = Math.abs(((Math.atan2(y, x) + 4 * Math.PI) % sector) - sector / 2) / (sector / 2);
  return Math.hypot(x, y) <= 0.45 + 0.55 * angle ** 1.5;
}

/** By class: whether a point of the unit disc belongs to the shape. */
const INSIDE = [
  (x, y) => Math.hypot(x, y) <= 0.9,
  (x, y) => inPolygon(3, x, y),
  (x, y) => inPolygon(4, x, y),
  inStar,
  (x, y) => Math.min(Math.abs(x), Math.abs(y)) <= 0.28 && Math.max(Math.abs(x), Math.abs(y)) <= 0.9,
  (x, y) => Math.hypot(x, y) <= 0.9 && Math.hypot(x, y) >= 0.5,
  (x, y) => Math.hypot(x, y) <= 0.9 && Math.hypot(x - 0.4, y) >= 0.7,
  (x, y) => Math.abs(x) <= 0.95 && Math.abs(y) <= 0.3,
];

/** Draws one picture into `pixels` from `offset`: SIZE x SIZE x 3 numbers in [-1, 1]. */
function draw(label, random, pixels, offset) {
  const between = (low, high) => low + (high - low) * random();
  const color = (low, high) => [between(low, high), between(low, high), between(low, high)];
  const [ink, from, to] = [color(0.55, 1), color(0, 0.4), color(0, 0.4)];
  const radius = between(12, 26);
  const centerX = between(radius * 0.8, SIZE - radius * 0.8);
  const centerY = between(radius * 0.8, SIZE - radius * 0.8);
  const angle = between(0, 2 * Math.PI);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const slope = between(0, 2 * Math.PI);
  const noise = between(0.05, 0.25);
  const occlusion = { at: between(0, SIZE), width: between(0, 4), steep: between(-1, 1), ink: color(0, 1) };
  const inside = INSIDE[label];
  for (let y = 0; y < SIZE; y++) {
    for (let x = 0; x < SIZE; x++) {
      const [dx, dy] = [(x - centerX) / radius, (y - centerY) / radius];
      const covered = Math.abs(x + occlusion.steep * y - occlusion.at) < occlusion.width;
      const shape = inside(dx * cos + dy * sin, dy * cos - dx * sin);
      const blend = 0.5 + 0.5 * (Math.cos(slope) * (x / SIZE - 0.5) + Math.sin(slope) * (y / SIZE - 0.5));
      for (let c = 0; c < 3; c++) {
        const behind = from[c] + (to[c] - from[c]) * blend;
        const clean = covered ? occlusion.ink[c] : shape ? ink[c] : behind;
        const noisy = clean + noise * (random() + random() - 1);
        pixels[offset++] = Math.min(1, Math.max(-1, 2 * noisy - 1));
      }
    }
  }
}

/**
 * Draws pictures, the classes in turn.
 *
 * @returns pixels: Float32Array of [count, SIZE, SIZE, 3] in [-1, 1]; labels: class indexes
 */
function makeShapes(count, seed) {
  const random = makeRandom(seed);
  const pixels = new Float32Array(count * SIZE * SIZE * 3);
  const labels = Int32Array.from({ length: count }, (_, i) => i % CLASSES.length);
  labels.forEach((label, i) => {
    draw(label, random, pixels, i * SIZE * SIZE * 3);
  });
  return { pixels, labels };
}

module.exports = { CLASSES, SIZE, makeRandom, makeShapes };
