// The text: Shakespeare's plays, one file beside the repository, of which the last tenth is held out.

const fs = require('node:fs');
const path = require('node:path');

const FILE = path.join(__dirname, '..', '..', '..', 'shared', 'text', 'tinyshakespeare.txt');
const HELD_OUT = 0.1;

/** @returns {{vocabulary: string, training: Int32Array, heldOut: Int32Array}} characters as places in the vocabulary */
function readText() {
  if (!fs.existsSync(FILE)) throw new Error(`${FILE} is absent: it is the text the model learns.`);
  const text = fs.readFileSync(FILE, 'utf8');
  const vocabulary = [...new Set(text)].sort().join('');
  const ids = encode(text, vocabulary);
  const split = Math.floor(ids.length * (1 - HELD_OUT));
  return { vocabulary, training: ids.subarray(0, split), heldOut: ids.subarray(split) };
}

/** Characters that the vocabulary lacks count as its first one, the line feed. */
function encode(text, vocabulary) {
  return Int32Array.from(text, (character) => Math.max(0, vocabulary.indexOf(character)));
}

/** Bits a character of `heldOut` under counts of pairs of `training`, one added to each. */
function bigramBits({ vocabulary, training, heldOut }) {
  const size = vocabulary.length;
  const pairs = new Float64Array(size * size).fill(1);
  for (let i = 1; i < training.length; i++) pairs[training[i - 1] * size + training[i]]++;
  const sums = Array.from({ length: size }, (_, a) =>
    pairs.subarray(a * size, (a + 1) * size).reduce((sum, count) => sum + count, 0),
  );
  let bits = 0;
  for (let i = 1; i < heldOut.length; i++) {
    bits -= Math.log2(pairs[heldOut[i - 1] * size + heldOut[i]] / sums[heldOut[i - 1]]);
  }
  return bits / (heldOut.length - 1);
}

module.exports = { FILE, readText, encode, bigramBits };
