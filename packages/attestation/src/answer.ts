import { concat } from './bytes.ts';

type Reader = { read(): Promise<{ readonly value?: Uint8Array }>; cancel(): Promise<void> };

/**
 * The whole of an answer. No more of it is ever held: one of compressed zeros is a thousand times as long as what was sent. Throws RangeError where it is longer
 * than `bytesMax`.
 */
export async function readBytes(response: Response, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Not every browser can iterate a stream.
  const reader = response.body?.getReader() as Reader | undefined;
  for (;;) {
    const value = (await reader?.read())?.value;
    if (value === undefined) break;
    size += value.length;
    if (size > bytesMax) {
      await reader?.cancel();
      throw new RangeError(`expected an answer of at most ${bytesMax} bytes`);
    }
    chunks.push(value);
  }
  return concat(...chunks);
}
