/** Run by Node.js of a platform: what the addon asks of the operating system. Prints what it found, as JSON. */
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { crc32 } = require('node:zlib');

const addon = require(process.env.LOWBIT_ADDON);
const PAGE = 4096;

/** The code and the message of what a call throws. */
function thrownBy(call) {
  try {
    call();
    return undefined;
  } catch ({ code, message }) {
    return `${code}: ${message}`;
  }
}

async function readExperts(folder, direct) {
  const content = Buffer.from(Array.from({ length: 3 * PAGE }, (_, i) => (i * 7) % 251));
  const file = path.join(folder, 'Experten für Größe 漢字.bin');
  fs.writeFileSync(file, content);
  const handle = addon.openExperts(path.toNamespacedPath(file), direct);
  const range = [PAGE, 5000, crc32(content.subarray(PAGE, PAGE + 5000))];
  const into = new Uint8Array(addon.allocatePages(2 * PAGE));
  // Memory of the runtime, at no page's start.
  const unaligned = new Uint8Array(new ArrayBuffer(3 * PAGE), 8, 2 * PAGE);
  const zeros = into.every((byte) => byte === 0);
  await addon.readExpert(handle, ...range, into);
  addon.readExpertNow(handle, ...range, unaligned);
  const expected = content.subarray(PAGE, PAGE + 5000);
  const equal = [into, unaligned].every((bytes) => expected.equals(bytes.subarray(0, 5000)));
  const pastTheEnd = thrownBy(() => addon.readExpertNow(handle, 2 * PAGE, 5000, 0, into));
  addon.closeExperts(handle);
  return { zeros, equal, pastTheEnd };
}

/** Loads the addon in a worker, which ends; its threads must find their code afterwards. */
const inWorker = () =>
  new Promise((resolve, reject) => {
    const code = `require(process.env.LOWBIT_ADDON).setThreads(3); require('node:worker_threads').parentPort.postMessage(
      require(process.env.LOWBIT_ADDON).limits('scalar').length)`;
    let found;
    new Worker(code, { eval: true })
      .on('message', (value) => {
        found = value;
      })
      .on('error', reject)
      .on('exit', () => resolve(found));
  });

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lowbit-'));
  const experts = await readExperts(folder, false);
  let direct;
  try {
    direct = await readExperts(folder, true);
  } catch (error) {
    direct = error.message;
  }
  const absent = thrownBy(() => addon.openExperts(path.join(folder, 'absent'), false));
  const worker = await inWorker();
  const limits = addon.limits('scalar').length;
  const isas = addon.instructionSets().filter((name) => addon.supports(name));
  process.env.LOWBIT_ISA = 'scalar';
  const chosen = addon.isa();
  process.env.LOWBIT_ISA = 'z80';
  const refused = thrownBy(() => addon.isa());
  fs.rmSync(folder, { recursive: true });
  const memory = addon.maxMemory() / os.totalmem();
  console.log(
    JSON.stringify({
      experts,
      direct,
      absent,
      worker,
      limits,
      isas,
      chosen,
      refused,
      memory,
      threads: addon.threads(),
    }),
  );
}

main();
