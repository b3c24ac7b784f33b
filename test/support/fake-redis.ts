/** A server of the few commands of Redis that experts need, which can also go silent or answer nonsense. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';

const CRLF = '\r\n';

/** The commands that begin a buffer, each a list of arguments, and what is left of it. */
function takeCommands(text: Buffer): { commands: Buffer[][]; rest: Buffer } {
  const commands: Buffer[][] = [];
  let rest = text;
  for (;;) {
    let at = 0;
    const line = () => {
      const end = rest.indexOf(CRLF, at);
      if (end < 0) return Number.NaN;
      const number = Number(rest.toString('latin1', at + 1, end));
      at = end + 2;
      return number;
    };
    const count = line();
    const command: Buffer[] = [];
    while (command.length < count) {
      const length = line();
      if (Number.isNaN(length) || at + length + 2 > rest.length) return { commands, rest };
      command.push(rest.subarray(at, at + length));
      at += length + 2;
    }
    if (Number.isNaN(count)) return { commands, rest };
    commands.push(command);
    rest = rest.subarray(at);
  }
}

export class FakeRedis {
  readonly values = new Map<string, Buffer>();
  /** How commands are answered from now on. */
  mode: 'right' | 'silent' | 'nonsense' = 'right';
  connections = 0;
  private readonly sockets = new Set<Socket>();
  private server = createServer((socket) => this.serve(socket));
  private port = 0;

  /** Listens; again on the same port after `stop`. */
  async start(): Promise<string> {
    this.server = createServer((socket) => this.serve(socket));
    this.server.listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as { port: number }).port;
    return `redis://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await once(this.server, 'close');
  }

  private serve(socket: Socket): void {
    this.connections++;
    this.sockets.add(socket);
    socket.on('error', () => {}).on('close', () => this.sockets.delete(socket));
    let pending: Buffer = Buffer.alloc(0);
    socket.on('data', (data) => {
      const { commands, rest } = takeCommands(Buffer.concat([pending, data]));
      pending = rest;
      for (const command of commands) {
        if (this.mode === 'nonsense') socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
        if (this.mode === 'right') socket.write(this.answer(command));
      }
    });
  }

  private answer([name, key, value]: readonly Buffer[]): Buffer {
    switch (String(name).toUpperCase()) {
      case 'HELLO':
        return Buffer.from('%1\r\n$5\r\nproto\r\n:3\r\n');
      case 'GET': {
        const found = this.values.get(String(key));
        if (!found) return Buffer.from('_\r\n');
        return Buffer.concat([Buffer.from(`$${found.length}${CRLF}`), found, Buffer.from(CRLF)]);
      }
      case 'SET':
        this.values.set(String(key), Buffer.from(value!));
        return Buffer.from('+OK\r\n');
      default:
        return Buffer.from('+OK\r\n');
    }
  }
}
