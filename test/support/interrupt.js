// Preloaded into a process, sends it the signal of Ctrl-C one second after it has begun to listen for it.

const DELAY = 1000;

process.on('newListener', (event) => {
  if (event === 'SIGINT') setTimeout(() => process.kill(process.pid, 'SIGINT'), DELAY).unref();
});
