import { BitcloakError } from '@bitcloak/protocol/errors';
import type { FastifyInstance } from 'fastify';

/** Throws `USAGE` for an address that cannot be listened at; the service is closed then. @returns its URL. */
export async function listen(
  api: FastifyInstance,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<string> {
  try {
    return await api.listen({ host, port });
  } catch (error) {
    await api.close();
    const { code = 'unknown failure' } = error as { code?: string };
    throw new BitcloakError('USAGE', `${host}:${port}: expected an address to listen at (${code})`, { cause: error });
  }
}
