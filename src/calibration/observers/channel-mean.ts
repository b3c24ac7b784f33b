/** The mean, and the mean square, of every channel (the last axis) of a tensor over all samples. */
export class ChannelMeanObserver {
  private readonly sums: Float64Array;
  private readonly squares: Float64Array;
  private rows = 0;

  constructor(channels: number) {
    this.sums = new Float64Array(channels);
    this.squares = new Float64Array(channels);
  }

  observe(values: Float32Array): void {
    const { sums, squares } = this;
    const channels = sums.length;
    for (let start = 0; start < values.length; start += channels) {
      for (let c = 0; c < channels; c++) {
        const value = values[start + c];
        sums[c] += value;
        squares[c] += value * value;
      }
    }
    this.rows += values.length / channels;
  }

  means(): Float64Array {
    return this.sums.map((sum) => sum / Math.max(this.rows, 1));
  }

  meanSquares(): Float64Array {
    return this.squares.map((sum) => sum / Math.max(this.rows, 1));
  }
}
