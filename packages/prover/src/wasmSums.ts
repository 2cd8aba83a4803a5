import { FIELD_MODULUS } from '@bitcloak/protocol/parameters';
import { fromBytes } from './elements.ts';
import { StatusError } from './wasmProver.ts';
import type { WasmAnswer, WasmRequest } from './wasmRequests.ts';

/** A worker: of Node, or of a browser. */
export type WasmPort = {
  /** Fails where the worker is lost. */
  ask(request: WasmRequest): Promise<WasmAnswer>;
  end(): Promise<void>;
};

const BLINDING_BYTES = 64;

/**
 * One proof by several workers that have the same key. One of them computes the quotient while the others begin with the sums that need none; then each
 * takes the next sum as soon as it is free. Nothing is shared but messages.
 *
 * @param blinding drawn from the system's generator unless given.
 */
export async function proveTogether(
  ports: readonly WasmPort[],
  witness: Uint8Array,
  blinding = drawBlinding(),
): Promise<Uint8Array> {
  const [first] = ports;
  if (first === undefined) throw new RangeError('there is no worker');
  let isEnding = false;
  try {
    const [begun] = await Promise.all(ports.map((port) => ask(port, { kind: 'begin', witness }, 'begun')));
    const { tasks, witnessTasks } = begun as WasmAnswer & { kind: 'begun' };
    const sums: Uint8Array[] = [];
    let next = 0;
    const quotient = ask(first, { kind: 'quotient' }, 'bytes');
    const work = async (port: WasmPort): Promise<void> => {
      let hasQuotient = port === first;
      if (hasQuotient) await quotient;
      while (next < tasks && !isEnding) {
        const task = next++;
        if (task >= witnessTasks && !hasQuotient) {
          const { bytes } = await quotient;
          await ask(port, { kind: 'acceptQuotient', quotient: bytes }, 'done');
          hasQuotient = true;
        }
        sums[task] = (await ask(port, { kind: 'sum', task }, 'bytes')).bytes;
      }
    };
    await Promise.all(ports.map(work));
    return (await ask(first, { kind: 'finish', sums, blinding }, 'bytes')).bytes;
  } finally {
    // Where one failed the others have no proof after this to take sums of.
    isEnding = true;
    await Promise.allSettled(ports.map((port) => port.ask({ kind: 'end' })));
  }
}

/** Throws `StatusError` where the worker refuses. */
export async function ask<Kind extends WasmAnswer['kind']>(
  port: WasmPort,
  request: WasmRequest,
  kind: Kind,
): Promise<WasmAnswer & { kind: Kind }> {
  const answer = await port.ask(request);
  if (answer.kind === 'refused') throw new StatusError(answer.status);
  if (answer.kind !== kind)
    throw new Error(answer.kind === 'failed' ? answer.message : `a worker answered ${answer.kind}`);
  return answer as WasmAnswer & { kind: Kind };
}

/** r and s, uniform below the group's order: 254 random bits, again where they are not below it. */
function drawBlinding(): Uint8Array {
  for (;;) {
    const bytes = crypto.getRandomValues(new Uint8Array(BLINDING_BYTES));
    for (const last of [BLINDING_BYTES / 2 - 1, BLINDING_BYTES - 1]) bytes[last] = (bytes[last] as number) & 0x3f;
    if (fromBytes(bytes).every((factor) => factor < FIELD_MODULUS)) return bytes;
  }
}
