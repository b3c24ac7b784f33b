/** What a benchmark's figures depend on, for its header. */
import { cpus } from 'node:os';
import * as tf from '@tensorflow/tfjs-core';
import { VERSION } from '../src/base/version';
import { engineInfo } from '../src/runtime/current-engine';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  /** Ours; `LOWBIT_ENGINE` and `LOWBIT_ISA` force one. */
  readonly engine: string;
  readonly isa: string;
  readonly dotForm: string | undefined;
  readonly versions: Readonly<Record<string, string>>;
}

export function machine(versions: Readonly<Record<string, string>> = {}): Machine {
  const { kind: engine, isa, dotForm } = engineInfo();
  return {
    cpu: cpus()[0].model.trim(),
    cores: cpus().length,
    engine,
    isa,
    dotForm,
    versions: { 'tfjs-lowbit': VERSION, 'TF.js': tf.version_core, 'Node.js': process.version, ...versions },
  };
}

function machineLines({ cpu, cores, engine, isa, dotForm, versions }: Machine): string[] {
  const forced = process.env.LOWBIT_ISA ? ' (forced by LOWBIT_ISA)' : '';
  const dot = dotForm ? `, ${dotForm} relaxed dot product` : '';
  return [
    `${cpu}, ${cores} cores; tfjs-lowbit: ${engine} engine, ${isa}${forced}${dot}`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
  ];
}

/** What a benchmark prints first: its command with the arguments it was given, and the machine. */
export function headerLines(command: string, on: Machine): string[] {
  return [[command, ...process.argv.slice(2)].join(' '), ...machineLines(on)];
}
