/** Packages that only some uses need: nobody else installs them. */
import { LowbitError } from './errors';

/** Whether a package, and not something that it needs, is not there. */
export function isMissing(name: string, error: unknown): boolean {
  const { code, message = '' } = error as { code?: unknown; message?: string };
  return (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') && message.includes(`'${name}'`);
}

/**
 * What to throw where such a package did not load.
 *
 * @param use what needs it, as a sentence begins: `Reading images`
 */
export function missingPackage(name: string, use: string, cause: unknown): LowbitError {
  const what = isMissing(name, cause)
    ? `${use} needs the package ${name}, which is not installed`
    : `${use} needs the package ${name}, which does not load (${(cause as Error).message.split('\n')[0]})`;
  return new LowbitError('missing-package', `${what}: npm install ${name}`, { cause });
}
