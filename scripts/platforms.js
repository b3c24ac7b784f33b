/**
 * The platforms that the native engine is built for and that have a package each: on Linux those with glibc and those
 * with musl. src/runtime/platform-package.ts finds the one of the machine by its name.
 */

const SCOPE = '@tfjs-lowbit';

/** Of Debian 10, RHEL 8 and Amazon Linux 2023, and of Node.js itself since version 18. */
const GLIBC = '2.28';
const MACOS = '11.0';

/**
 * - `name` of the package, below the scope
 * - `os`, `cpu`, `libc` as package.json has them, by which package managers choose
 * - `target` as Zig names it
 */
const PLATFORMS = [
  { name: 'linux-x64', os: 'linux', cpu: 'x64', libc: 'glibc', target: `x86_64-linux-gnu.${GLIBC}` },
  { name: 'linux-arm64', os: 'linux', cpu: 'arm64', libc: 'glibc', target: `aarch64-linux-gnu.${GLIBC}` },
  { name: 'linuxmusl-x64', os: 'linux', cpu: 'x64', libc: 'musl', target: 'x86_64-linux-musl' },
  { name: 'linuxmusl-arm64', os: 'linux', cpu: 'arm64', libc: 'musl', target: 'aarch64-linux-musl' },
  { name: 'darwin-x64', os: 'darwin', cpu: 'x64', target: `x86_64-macos.${MACOS}` },
  { name: 'darwin-arm64', os: 'darwin', cpu: 'arm64', target: `aarch64-macos.${MACOS}` },
  { name: 'win32-x64', os: 'win32', cpu: 'x64', target: 'x86_64-windows-gnu' },
  { name: 'win32-arm64', os: 'win32', cpu: 'arm64', target: 'aarch64-windows-gnu' },
];

/** The name of a platform's package. */
const packageOf = ({ name }) => `${SCOPE}/${name}`;

module.exports = { GLIBC, MACOS, PLATFORMS, packageOf };
