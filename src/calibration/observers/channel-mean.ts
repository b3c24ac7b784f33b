/** The mean of every channel (the last axis) of a tensor over all samples. */
export class ChannelMeanObserver {
  private readonly sums: Float64Array;
  private rows = 0;

  constructor(channels: number) {
    this.sums = new Float64Array(channels);
  }

  observe(values: Float32Array): void {
    const { sums } = this;
    const channels = sums.length;
    for (let start = 0; start < values.length; start += channels) {
      for (let c = 0; c < channels; c++) sums[c] += values[start + c];
    }
    this.rows += values.length / channels;
  }

  means(): Float64Array {
    return this.sums.map((sum) => sum / Math.max(this.rows, 1));
  }
}
