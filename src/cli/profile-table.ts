/** A profile as text, for the command line and for benchmarks. */
import type { LayerProfile, Profile } from '../evaluation/profile';
import { milliseconds, percent, table } from './command';

const HEAD = [
  'layer',
  'op',
  'result',
  'time',
  'of it',
  'MMAC',
  'GMAC/s',
  'of peak',
  'KB moved',
  'limit',
  'lost',
];

const giga = (value: number) => (value / 1e9).toFixed(1);
const mega = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`;
const micro = (value: number) => `${(value * 1000).toFixed(1)} us`;

function row(layer: LayerProfile, total: number): (string | number)[] {
  const {
    name,
    op,
    shape,
    milliseconds: time,
    macs,
    bytes,
    macsPerSecond,
    percentOfPeak,
    limit,
    lost,
  } = layer;
  const compute =
    macs > 0 ? [(macs / 1e6).toFixed(2), giga(macsPerSecond), percent(percentOfPeak)] : ['', '', ''];
  const share = percent((100 * time) / total);
  return [
    name,
    op,
    shape.join('x'),
    micro(time),
    share,
    ...compute,
    (bytes / 1e3).toFixed(1),
    micro(limit),
    micro(lost),
  ];
}

export function profileText(profile: Profile): string {
  const { limits, layers, layersMilliseconds, nativeMilliseconds, memory } = profile;
  const timed = layers.filter((layer) => layer.milliseconds > 0);
  const fused = layers.length - timed.length;
  const least = timed.reduce((sum, layer) => sum + layer.limit, 0);
  return [
    `limits of the machine: ${giga(limits.macs)} GMAC/s int8, ${giga(limits.l2Bytes)} GB/s from L2, ` +
      `${giga(limits.dramBytes)} GB/s from memory`,
    table(
      HEAD,
      timed.map((layer) => row(layer, layersMilliseconds)),
    ),
    ...(fused > 0 ? [`${fused} ops run as part of others`] : []),
    `layers ${milliseconds(layersMilliseconds)} (their limits ${milliseconds(least)}), native ` +
      `${milliseconds(nativeMilliseconds)}, whole prediction ${milliseconds(profile.milliseconds)}, outside native code ` +
      `${milliseconds(profile.milliseconds - nativeMilliseconds)}; means`,
    `memory: ${mega(memory.weights)} of packed weights, ${mega(memory.arena)} for intermediate tensors ` +
      `(${mega(memory.withoutReuse)} without reuse)`,
    `${(profile.macs / 1e6).toFixed(1)} million multiply-accumulates, ${percent(profile.percentOfPeak)} of the int8 peak`,
  ].join('\n');
}
