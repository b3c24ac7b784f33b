/** SHA-256 (FIPS 180-4), as browsers have it asynchronously, in one piece and on secure pages only. */

const BLOCK = 64;

/** The first 32 bits of the fractional parts of the `root`-th roots of the first `count` primes. */
function fractions(count: number, root: 2 | 3): Uint32Array {
  const found: number[] = [];
  for (let n = 2; found.length < count; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (!prime) continue;
    const real = root === 2 ? Math.sqrt(n) : Math.cbrt(n);
    found.push((real - Math.floor(real)) * 2 ** 32);
  }
  return Uint32Array.from(found);
}

const CONSTANTS = fractions(64, 3);

/** The hash of bytes that come in pieces. */
export class Sha256 {
  private readonly state = fractions(8, 2);
  private readonly block = new Uint8Array(BLOCK);
  private readonly words = new Uint32Array(BLOCK);
  private filled = 0;
  private length = 0;

  /** Text counts as UTF-8. */
  update(data: Uint8Array | string): this {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    this.length += bytes.length;
    let read = 0;
    while (read < bytes.length) {
      if (this.filled === 0 && bytes.length - read >= BLOCK) {
        this.compress(bytes, read);
        read += BLOCK;
        continue;
      }
      const count = Math.min(BLOCK - this.filled, bytes.length - read);
      this.block.set(bytes.subarray(read, read + count), this.filled);
      this.filled += count;
      read += count;
      if (this.filled < BLOCK) continue;
      this.compress(this.block, 0);
      this.filled = 0;
    }
    return this;
  }

  /** In hexadecimal; nothing may be added afterwards. */
  digest(): string {
    const { length } = this;
    const padding = new Uint8Array(((BLOCK + 55 - (length % BLOCK)) % BLOCK) + 9);
    padding[0] = 0x80;
    new DataView(padding.buffer).setBigUint64(padding.length - 8, BigInt(length) * 8n);
    this.update(padding);
    return Array.from(this.state, (word) => word.toString(16).padStart(8, '0')).join('');
  }

  private compress(bytes: Uint8Array, offset: number): void {
    const { state, words } = this;
    for (let i = 0, at = offset; i < 16; i++, at += 4) {
      words[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    for (let i = 16; i < BLOCK; i++) {
      const w15 = words[i - 15];
      const w2 = words[i - 2];
      const s0 = ((w15 >>> 7) | (w15 << 25)) ^ ((w15 >>> 18) | (w15 << 14)) ^ (w15 >>> 3);
      const s1 = ((w2 >>> 17) | (w2 << 15)) ^ ((w2 >>> 19) | (w2 << 13)) ^ (w2 >>> 10);
      words[i] = words[i - 16] + s0 + words[i - 7] + s1;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < BLOCK; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + CONSTANTS[i] + words[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + t2) | 0;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
  }
}
