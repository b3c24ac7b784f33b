// One deliberate break of the native code each: the kernel tests must notice every one of them.

const VNNI = 'native/isa/avx512vnni/kernels.cc';
const AVX2 = 'native/isa/avx2/kernels.cc';
const SCALAR = 'native/isa/scalar/kernels.cc';
const VECTOR = 'native/isa/vector-kernels.h';

module.exports = [
  {
    name: 'scalar GEMM drops the last input channel',
    file: SCALAR,
    find: 'for (int k = 0; k < args.depth; ++k) sum += static_cast<uint32_t>(row[k] * filter[k]);',
    replace: 'for (int k = 0; k + 1 < args.depth; ++k) sum += static_cast<uint32_t>(row[k] * filter[k]);',
  },
  {
    name: 'scalar depthwise subtracts instead of adding',
    file: SCALAR,
    find: 'sum += static_cast<uint32_t>(row[c] *',
    replace: 'sum -= static_cast<uint32_t>(row[c] *',
  },
  {
    name: 'scalar rounds half away from zero',
    file: SCALAR,
    find: 'std::nearbyintf(clampFloat',
    replace: 'std::roundf(clampFloat',
  },
  {
    name: 'AVX-512 packing reads one input channel too few',
    file: VNNI,
    find: 'const bool inside = n < outputs && k < depth;',
    replace: 'const bool inside = n < outputs && k + 1 < depth;',
  },
  {
    name: 'AVX-512 GEMM loses the rows that do not fill a tile',
    file: VNNI,
    find: 'if constexpr (MT > 1) gemmRows<MT / 2, NZ, Direct>(args, m, panel, n0);',
    replace: '',
  },
  {
    name: 'AVX-512 stores a whole vector past the last output channel',
    file: VNNI,
    find: 'const int count = std::min(kLanes, args.outputs - n);',
    replace: 'const int count = kLanes;',
  },
  {
    name: 'AVX-512 depthwise swaps two taps',
    file: VNNI,
    find: 'B::lo8(rows[0], rows[1]), hi01 = B::hi8(rows[0], rows[1])',
    replace: 'B::lo8(rows[1], rows[0]), hi01 = B::hi8(rows[1], rows[0])',
  },
  {
    name: 'AVX2 multiplies odd codes as signed',
    file: AVX2,
    find: '_mm256_srli_epi16(codes, 8)',
    replace: '_mm256_srai_epi16(codes, 8)',
  },
  {
    name: 'AVX2 depthwise drops an odd last tap',
    file: AVX2,
    find: 'for (int t = 0; t < args.taps; t += 2, weights += 2 * kPanel) {',
    replace: 'for (int t = 0; t + 1 < args.taps; t += 2, weights += 2 * kPanel) {',
  },
  {
    name: 'vector addition subtracts',
    file: VECTOR,
    find: 'toCodes(V::add(left, right), low, high, zero), args.table)',
    replace: 'toCodes(V::add(left, left), low, high, zero), args.table)',
  },
  {
    name: 'vector quantization multiplies by a reciprocal',
    file: VECTOR,
    find: 'V::div(V::load(x + i), scales)',
    replace: 'V::mul(V::load(x + i), V::div(V::set(1.0f), scales))',
  },
  {
    name: 'the zero point of the input is not corrected for',
    file: 'native/ops/weighted.h',
    find: 'offset - input.zeroPoint * weightSums[c]',
    replace: 'offset - 128 * weightSums[c]',
  },
  {
    name: 'padding is 0 instead of the zero point',
    file: 'native/ops/convolution.cc',
    find: 'zeroRow_(geometry.inChannels + 64, static_cast<uint8_t>(input.zeroPoint)) {',
    replace: 'zeroRow_(geometry.inChannels + 64, 0) {',
  },
  {
    name: 'SAME padding puts the odd pixel first',
    file: 'native/ops/window.h',
    find: '(out - 1) * stride + reach - in) / 2);',
    replace: '(out - 1) * stride + reach - in + 1) / 2);',
  },
  {
    name: 'average pooling counts padded elements',
    file: 'native/ops/pooling.cc',
    find: 'static_cast<double>(outScale_) * std::max(count, 1);',
    replace: 'static_cast<double>(outScale_) * std::max(count, 4);',
  },
  {
    name: 'the arena forgets that a tensor is read again later',
    file: 'native/plan/plan.cc',
    find: 'blocks[id].last = s;',
    replace: 'if (blocks[id].last == blocks[id].first) blocks[id].last = s;',
  },
];
