import { malformed } from './bytes.ts';

const BLOCK = /-----BEGIN CERTIFICATE-----\n((?:[A-Za-z0-9+/=]+\n)+)-----END CERTIFICATE-----\n?/y;

/** More than a chain of three certificates. */
const PEM_CHARACTERS_MAX = 16 * 1024;

/**
 * The base64 of each certificate of a PEM chain. Nothing may stand before, between or behind the blocks, so that nothing can be altered that is
 * not read. Throws `EVIDENCE_MALFORMED`.
 */
export function pemBlocks(text: string, field: string): string[] {
  if (text.length > PEM_CHARACTERS_MAX) throw malformed(`${field}: expected at most ${PEM_CHARACTERS_MAX} characters`);
  const block = new RegExp(BLOCK);
  const blocks: string[] = [];
  while (block.lastIndex < text.length) {
    const found = block.exec(text);
    if (found === null) throw malformed(`${field}: expected certificates in PEM and nothing else`);
    blocks.push((found[1] ?? '').replaceAll('\n', ''));
  }
  return blocks;
}

/** Throws `EVIDENCE_MALFORMED`, also for base64 that is not the only way to write its bytes. */
export function bytesOfBase64(text: string, field: string): Uint8Array<ArrayBuffer> {
  let binary: string;
  try {
    binary = atob(text);
  } catch (error) {
    throw malformed(`${field}: expected base64`, error);
  }
  if (btoa(binary) !== text) throw malformed(`${field}: expected base64 in its only form`);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < bytes.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

export function pemOf(...certificates: readonly Uint8Array[]): string {
  return certificates
    .map((bytes) => {
      const base64 = btoa(String.fromCharCode(...bytes));
      const lines = base64.match(/.{1,64}/g) ?? [];
      return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
    })
    .join('');
}
