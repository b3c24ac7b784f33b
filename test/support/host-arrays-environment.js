/**
 * Node environment whose typed arrays are those of the host: onnxruntime-node makes its results outside the sandbox
 * that jest runs tests in, and refuses arrays of another realm's classes.
 */
const { TestEnvironment } = require('jest-environment-node');

module.exports = class HostArraysEnvironment extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    Object.assign(this.global, {
      ArrayBuffer,
      Float32Array,
      Int8Array,
      Int32Array,
      Uint8Array,
      BigInt64Array,
    });
  }
};
