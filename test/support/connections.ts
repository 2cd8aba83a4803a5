import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A connection that stays, from an address of this machine; undefined where the other side ends it at once. */
export async function openConnection(url: string, localAddress: string): Promise<Socket | undefined> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), localAddress }).on('error', () => undefined);
  const ended = once(socket, 'close').then(() => undefined);
  socket.write('GET /health HTTP/1.1\r\nhost: x\r\n\r\n');
  const answered = new Promise<Socket>((done) => socket.once('data', () => done(socket)));
  return Promise.race([answered, ended]);
}

/** How many of so many connections from an address a server keeps, and what ends them all. */
export async function keptConnections(
  url: string,
  count: number,
  localAddress: string,
): Promise<{ kept: number; end: () => Promise<void> }> {
  const sockets: Socket[] = [];
  for (let index = 0; index < count; index++) {
    const socket = await openConnection(url, localAddress);
    if (socket !== undefined) sockets.push(socket);
  }
  const end = async () => {
    await Promise.all(
      sockets.map(async (socket) => {
        const closed = once(socket, 'close');
        socket.destroy();
        await closed;
      }),
    );
  };
  return { kept: sockets.length, end };
}
