import { readFileSync, statSync } from 'node:fs';
import { BitcloakError } from '@bitcloak/protocol/errors';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment's variables of one service. Everything throws `USAGE`, naming the variable and no secret, for what it does not like. */
export class ServiceSettings {
  readonly #prefix: string;
  readonly #environment: Environment;

  /** @param prefix such as `BITCLOAK_RELAYER_`, which the names below go without. */
  constructor(prefix: string, environment: Environment) {
    this.#prefix = prefix;
    this.#environment = environment;
  }

  text(name: string): string | undefined {
    return this.#environment[`${this.#prefix}${name}`];
  }

  needed(name: string): string {
    return this.text(name) ?? this.refuse(name, 'a value');
  }

  /** @param fallback undefined where there is none. */
  count(name: string, fallback: number | undefined, max: number, min = 0): number {
    const text = this.text(name) ?? (fallback === undefined ? this.needed(name) : String(fallback));
    const isCount = /^[0-9]{1,9}$/.test(text) && Number(text) >= min && Number(text) <= max;
    return isCount ? Number(text) : this.refuse(name, `a whole number from ${min} to ${max}`);
  }

  /** What stands between commas. */
  list(name: string): string[] | undefined {
    return this.text(name)?.split(',');
  }

  /** The text of the file that a variable names. */
  file(name: string): string {
    const path = this.needed(name);
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return this.refuse(name, `a file that can be read, got ${path}`);
    }
  }

  /** The JSON that stands in the variable itself, where it is no path. */
  inlineJson(name: string): string | undefined {
    const text = this.text(name);
    return text !== undefined && /^[[{]/.test(text) ? text : undefined;
  }

  /** A private key, with 0x, from a file that nobody else can read. */
  privateKey(name: string): string {
    const text = this.file(name).trim();
    if ((statSync(this.needed(name)).mode & 0o077) !== 0) {
      this.refuse(name, "a file that is its owner's alone (mode 0600)");
    }
    return this.#privateKeyOf(name, text);
  }

  /** A private key, with 0x, that stands in the variable itself. */
  inlinePrivateKey(name: string): string {
    return this.#privateKeyOf(name, this.needed(name));
  }

  #privateKeyOf(name: string, text: string): string {
    const digits = /^(?:0x)?([0-9a-fA-F]{64})$/.exec(text)?.[1];
    return digits === undefined ? this.refuse(name, 'a private key of 32 bytes in hexadecimal') : `0x${digits}`;
  }

  refuse(name: string, expected: string): never {
    throw new BitcloakError('USAGE', `${this.#prefix}${name}: expected ${expected}`);
  }
}
