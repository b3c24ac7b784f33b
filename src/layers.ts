/**
 * The entry `tfjs-lowbit/layers`: a mixture-of-experts layer for tf.layers, and its experts in a file. Needs
 * `@tensorflow/tfjs-layers`; writing experts, Node.js. Importing it registers the layer, so that saved models load.
 */
export { attachExperts, gatesOf, MoELayer, type MoELayerArgs, writeExperts } from './moe/moe-layer';
