import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BitcloakError } from '@bitcloak/protocol/errors';

const SEQUENCE_DIGITS = 16;

export function fileName(kind: 'segment' | 'snapshot', sequence: number): string {
  return `${kind}-${String(sequence).padStart(SEQUENCE_DIGITS, '0')}`;
}

/** The sequence numbers that files of a kind have in their names, ascending. */
export function sequencesOf(kind: 'segment' | 'snapshot', names: readonly string[]): number[] {
  const pattern = new RegExp(`^${kind}-(\\d{${SEQUENCE_DIGITS}})$`);
  return names
    .flatMap((name) => pattern.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** Whether a file was being made when its process was killed. */
export function isUnfinished(name: string): boolean {
  return /^(segment|snapshot)-\d+\.new$/.test(name);
}

export function corrupt(what: string): BitcloakError {
  return new BitcloakError('JOURNAL_CORRUPT', `the journal is damaged: ${what}`);
}

export async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

/** Reads until the end of the file, or until that many bytes are there. */
export async function readAt(file: FileHandle, bytes: Buffer, position: number): Promise<Buffer> {
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

/**
 * Makes a file whole or not at all, as `writeFileWhole` of the wallet does, but without holding up everything else meanwhile, and from
 * parts that are made as they are written. The file stays open.
 */
export async function createWhole(path: string, parts: Iterable<Uint8Array>): Promise<FileHandle> {
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', 0o600);
  try {
    let end = 0;
    for (const part of parts) {
      await writeAt(file, part, end);
      end += part.length;
    }
    await file.sync();
    await rename(temporary, path);
    await syncDirectory(dirname(path));
    return file;
  } catch (error) {
    await file.close();
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Until its directory is synced, a file that was made, renamed or removed may be as before after a crash of the machine. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Removes a file for good: when this is done, no crash brings it back. */
export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true });
  await syncDirectory(dirname(path));
}
