import { createCipheriv, createDecipheriv, createHash, randomBytes, scrypt } from 'node:crypto';
import { normalizeMnemonic } from '@bitcloak/notes/mnemonic';
import { ViewingKey } from '@bitcloak/notes/keys';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { readFileIfPresent, writeNewFileWhole } from './files.ts';

/** What a wallet is made of: a recovery phrase, or a viewing key that spends nothing. */
export type WalletSecret = { readonly mnemonic: string } | { readonly viewingKey: string };

/** An opened key file: the secret, and the key (32 bytes) that the wallet's other files are encrypted with. */
export type OpenedKeys = { readonly secret: WalletSecret; readonly dataKey: Uint8Array };

// RFC 7914's scrypt with 128 MiB, about half a second: what a guess at a stolen file costs too.
const SCRYPT = { N: 2 ** 17, r: 8, p: 1 } as const;
const SCRYPT_MEMORY_MAX = 256 * 1024 * 1024;
const FORMAT = 'bitcloak wallet 1';
/** Of a new wallet's passphrase: shorter ones are guessed in spite of scrypt. */
const PASSPHRASE_CHARACTERS_MIN = 8;

type KeyFile = { format: string; salt: string; nonce: string; sealed: string; checksum: string };

function deriveKey(passphrase: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize('NFKC'), salt, 32, { ...SCRYPT, maxmem: SCRYPT_MEMORY_MAX }, (error, key) => {
      if (error) reject(error);
      else resolve(key);
    });
  });
}

/** Encrypts with AES-256-GCM; the tag is at the end. */
export function seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, associated: string): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(associated));
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** The reverse of `seal`, or undefined where key, nonce, associated data or bytes are not those that were sealed. */
export function unseal(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, associated: string): Buffer | undefined {
  if (sealed.length < 16) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  decipher.setAAD(Buffer.from(associated));
  decipher.setAuthTag(sealed.subarray(sealed.length - 16));
  const plaintext = decipher.update(sealed.subarray(0, sealed.length - 16));
  try {
    return Buffer.concat([plaintext, decipher.final()]);
  } catch {
    return undefined;
  }
}

// A checksum without a key tells a damaged file from a wrong passphrase, which authenticated encryption alone cannot.
function checksumOf({ format, salt, nonce, sealed }: Omit<KeyFile, 'checksum'>): string {
  return createHash('sha256').update([format, salt, nonce, sealed].join('\n')).digest('hex');
}

function checkSecret(secret: WalletSecret): WalletSecret {
  if ('mnemonic' in secret) return { mnemonic: normalizeMnemonic(secret.mnemonic) };
  ViewingKey.parse(secret.viewingKey);
  return { viewingKey: secret.viewingKey.trim() };
}

/** Throws `PASSPHRASE_MISSING` or `PASSPHRASE_SHORT` for one that a new wallet does not take. Wallets that have a shorter one are opened with it. */
export function checkNewPassphrase(passphrase: string): void {
  if (passphrase === '') throw new BitcloakError('PASSPHRASE_MISSING', 'a wallet needs a passphrase that is not empty');
  if ([...passphrase.normalize('NFKC')].length >= PASSPHRASE_CHARACTERS_MIN) return;
  const message = `passphrase: expected at least ${PASSPHRASE_CHARACTERS_MIN} characters, since short ones are guessed`;
  throw new BitcloakError('PASSPHRASE_SHORT', message);
}

/** Writes a new key file. Throws `WALLET_EXISTS`, since a key file is never overwritten, and what `checkNewPassphrase` throws. */
export async function createKeyFile(path: string, secret: WalletSecret, passphrase: string): Promise<OpenedKeys> {
  const exists = () => new BitcloakError('WALLET_EXISTS', `${path} exists already`);
  if (readFileIfPresent(path) !== undefined) throw exists();
  checkNewPassphrase(passphrase);
  const opened = { secret: checkSecret(secret), dataKey: new Uint8Array(randomBytes(32)) };
  const [salt, nonce] = [randomBytes(16), randomBytes(12)];
  const plaintext = JSON.stringify({ ...opened.secret, dataKey: Buffer.from(opened.dataKey).toString('hex') });
  const sealed = seal(await deriveKey(passphrase, salt), nonce, Buffer.from(plaintext), FORMAT);
  const hex = {
    format: FORMAT,
    salt: salt.toString('hex'),
    nonce: nonce.toString('hex'),
    sealed: sealed.toString('hex'),
  };
  const file: KeyFile = { ...hex, checksum: checksumOf(hex) };
  try {
    writeNewFileWhole(path, Buffer.from(`${JSON.stringify(file, null, 2)}\n`));
  } catch (error) {
    // Another process made one meanwhile.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw exists();
    throw error;
  }
  return opened;
}

function parseKeyFile(path: string, bytes: Buffer): KeyFile {
  const corrupt = (why: string) =>
    new BitcloakError(
      'WALLET_CORRUPT',
      `${path}: ${why}; restore the wallet from its recovery phrase into another directory`,
    );
  let file: Partial<KeyFile> | null;
  try {
    file = JSON.parse(bytes.toString()) as Partial<KeyFile> | null;
  } catch {
    throw corrupt('the file is no JSON');
  }
  const { format, salt, nonce, sealed, checksum } = file ?? {};
  const hex = (value: unknown, bytesMin: number): value is string =>
    typeof value === 'string' && /^([0-9a-f]{2})+$/.test(value) && value.length >= 2 * bytesMin;
  if (format !== FORMAT) throw corrupt(`expected the format "${FORMAT}"`);
  if (!hex(salt, 16) || !hex(nonce, 12) || !hex(sealed, 16) || !hex(checksum, 32)) throw corrupt('a field is damaged');
  const whole = { format, salt, nonce, sealed };
  if (checksumOf(whole) !== checksum) throw corrupt('the checksum differs');
  return { ...whole, checksum };
}

/** Opens a key file. Throws `WALLET_MISSING`, `WALLET_CORRUPT` or `PASSPHRASE_WRONG`. */
export async function openKeyFile(path: string, passphrase: string): Promise<OpenedKeys> {
  const bytes = readFileIfPresent(path);
  if (bytes === undefined) throw new BitcloakError('WALLET_MISSING', `there is no wallet at ${path}`);
  const file = parseKeyFile(path, bytes);
  const key = await deriveKey(passphrase, Buffer.from(file.salt, 'hex'));
  const plaintext = unseal(key, Buffer.from(file.nonce, 'hex'), Buffer.from(file.sealed, 'hex'), FORMAT);
  if (plaintext === undefined) throw new BitcloakError('PASSPHRASE_WRONG', 'the passphrase does not open this wallet');
  const { dataKey, ...secret } = JSON.parse(plaintext.toString()) as { dataKey: string } & WalletSecret;
  return { secret, dataKey: new Uint8Array(Buffer.from(dataKey, 'hex')) };
}
