/** This package as its users have it. */
import { cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { temporaryFolder } from './tiny-model';

const { writePackage } = require('../../scripts/package-contents');

const root = resolve(__dirname, '..', '..');

/** The package as it is published, unpacked, with the addon that was built here. */
export function publish(): string {
  const published = join(temporaryFolder(), 'package');
  writePackage(published, []);
  symlinkSync(join(root, 'build'), join(published, 'build'));
  return published;
}

/**
 * A user's project, with this package and what it depends on installed.
 *
 * @param options.copied the package is no link, for tools that follow links and look for its dependencies there
 */
export function projectWith(published: string, { copied = false } = {}): string {
  const folder = temporaryFolder();
  const modules = join(folder, 'node_modules');
  mkdirSync(modules);
  for (const entry of readdirSync(join(root, 'node_modules'))) {
    if (entry !== 'tfjs-lowbit') symlinkSync(join(root, 'node_modules', entry), join(modules, entry));
  }
  const installed = join(modules, 'tfjs-lowbit');
  if (copied) cpSync(published, installed, { recursive: true });
  else symlinkSync(published, installed);
  writeFileSync(join(folder, 'package.json'), '{"name": "user", "private": true}');
  return folder;
}
