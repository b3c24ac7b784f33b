// What the model is made of. A character language model of four blocks, each of causal attention and a mixture of experts.

module.exports = {
  layers: 4,
  width: 96,
  heads: 4,
  /** A character sees so many before it, itself included. */
  context: 128,
  experts: 32,
  topK: 2,
  /** Hidden units of an expert. */
  hidden: 96,
  /** Added to mean squares before their root is taken. */
  epsilon: 1e-6,
};
