import type { Server, Socket } from 'node:net';
import { networkOf } from './addresses.ts';

/**
 * Ends what an address, or an IPv6 network of 64 bits, connects beyond so many at once: a connection that says nothing costs whoever holds it nothing, and with all
 * that a server has it would keep everybody else out. For servers without a proxy in front, from which everything would come.
 */
export function limitConnections(server: Server, perAddressMax: number): void {
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const network = networkOf(socket.remoteAddress ?? '');
    const others = open.get(network) ?? 0;
    if (others >= perAddressMax) {
      socket.destroy();
      return;
    }
    open.set(network, others + 1);
    socket.once('close', () => {
      const left = (open.get(network) ?? 0) - 1;
      if (left > 0) open.set(network, left);
      else open.delete(network);
    });
  });
}
