import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { API } from '@bitcloak/trading/wire';

type RawFrame = { readonly opcode: number; readonly payload: Buffer };

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;

/** A stream's client that does only what it is told: it reads when told to, and answers no ping. */
export class RawStream {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  isEnded = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => (this.#received = Buffer.concat([this.#received, chunk])));
    socket.on('close', () => (this.isEnded = true));
    socket.on('error', () => (this.isEnded = true));
  }

  /** Resolves when the connection is a WebSocket. */
  static async open(url: string, path = `${API}/stream`): Promise<RawStream> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) });
    await once(socket, 'connect');
    const stream = new RawStream(socket);
    const key = randomBytes(16).toString('base64');
    socket.write(
      `GET ${path} HTTP/1.1\r\nhost: ${hostname}\r\nconnection: upgrade\r\nupgrade: websocket\r\n` +
        `sec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`,
    );
    while (!stream.#received.includes('\r\n\r\n')) await once(socket, 'data');
    const head = stream.#received.toString('latin1');
    if (!head.startsWith('HTTP/1.1 101')) {
      socket.destroy();
      throw new Error(`no stream: ${head.split('\r\n', 1)[0] ?? ''}`);
    }
    stream.#received = stream.#received.subarray(stream.#received.indexOf('\r\n\r\n') + 4);
    return stream;
  }

  /** Text as a frame of text, bytes as one of bytes. */
  send(content: string | Uint8Array): void {
    const payload = Buffer.from(content as Uint8Array);
    const opcode = typeof content === 'string' ? TEXT : BINARY;
    const length = Buffer.from([0x80 | opcode, 0x80 | 126, payload.length >> 8, payload.length & 255]);
    // A mask of zeroes leaves the payload as it is.
    this.#socket.write(Buffer.concat([length, Buffer.alloc(4), payload]));
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** As when a machine dies: nothing is said any more. */
  destroy(): void {
    this.#socket.destroy();
  }

  frames(): RawFrame[] {
    const frames: RawFrame[] = [];
    let at = 0;
    const bytes = this.#received;
    while (at + 2 <= bytes.length) {
      const short = bytes.readUInt8(at + 1) & 127;
      const head = short === 127 ? 10 : short === 126 ? 4 : 2;
      if (at + head > bytes.length) break;
      const length =
        short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short === 126 ? bytes.readUInt16BE(at + 2) : short;
      if (at + head + length > bytes.length) break;
      frames.push({ opcode: bytes.readUInt8(at) & 15, payload: bytes.subarray(at + head, at + head + length) });
      at += head + length;
    }
    return frames;
  }

  /** Those that say something, as they came. */
  get sealed(): Buffer[] {
    return this.frames().flatMap(({ opcode, payload }) => (opcode === BINARY || opcode === TEXT ? [payload] : []));
  }

  get pings(): number {
    return this.frames().filter(({ opcode }) => opcode === PING).length;
  }

  /** The code of the close, once it came. */
  get closeCode(): number | undefined {
    return this.frames()
      .find(({ opcode }) => opcode === CLOSE)
      ?.payload.readUInt16BE(0);
  }
}
