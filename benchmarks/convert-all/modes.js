/** Options of `convert` that every model is converted with, by the name of the mode. */
const MODES = {
  default: {},
  dynamic: { dynamic: ['**'] },
  int16: { int16: ['**'] },
  'min-snr': { minSignalToNoise: 20 },
  'max-drop': { maxDrop: 1 },
  int4: { weights: 'int4' },
  'weights-only': { weights: 'int4', activations: 'float32' },
  equalize: { equalize: true },
  'error-feedback': { errorFeedback: true },
  tune: { tune: true },
};

module.exports = { MODES };
