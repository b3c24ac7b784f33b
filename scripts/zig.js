/** Finds the C++ compiler of Zig, of the one version that the WebAssembly modules and the platforms' addons are built by. */
const { execFileSync } = require('node:child_process');

const ZIG_VERSION = '0.17.1';

/** @returns the program, the arguments that come first, and the folder of its libraries */
function findZig() {
  const candidates = process.env.ZIG ? [[process.env.ZIG]] : [['python3', '-m', 'ziglang'], ['zig']];
  for (const [program, ...args] of candidates) {
    try {
      const version = execFileSync(program, [...args, 'version'], { encoding: 'utf8', stdio: 'pipe' }).trim();
      if (version !== ZIG_VERSION) continue;
      const env = execFileSync(program, [...args, 'env'], { encoding: 'utf8', stdio: 'pipe' });
      return { program, args, lib: /lib_dir\W+"([^"]+)"/.exec(env)[1] };
    } catch {
      // The next one, then.
    }
  }
  throw new Error(
    `Zig ${ZIG_VERSION} was not found. Run \`pip install ziglang==${ZIG_VERSION}\`, or name one by $ZIG.`,
  );
}

module.exports = { findZig };
