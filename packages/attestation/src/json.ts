import { malformed } from './bytes.ts';

/** Whether a value is an object with exactly these fields. */
export function hasKeys<Key extends string>(value: unknown, keys: readonly Key[]): value is Record<Key, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const own = Object.keys(value);
  return own.length === keys.length && keys.every((key) => Object.hasOwn(value, key));
}

export function parseJson(text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed(`${field}: expected JSON`, error);
  }
}

/** An object of JSON whose fields are read by their types. Everything throws `EVIDENCE_MALFORMED`. */
export class JsonReader {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #name: string;

  constructor(value: unknown, name: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw malformed(`${name}: expected an object`);
    this.#fields = value as Readonly<Record<string, unknown>>;
    this.#name = name;
  }

  static parse(text: string, name: string): JsonReader {
    return new JsonReader(parseJson(text, name), name);
  }

  has(field: string): boolean {
    return Object.hasOwn(this.#fields, field);
  }

  expect(field: string, value: string | number): void {
    if (this.#get(field) !== value) throw this.#malformed(field, JSON.stringify(value));
  }

  text(field: string): string {
    const value = this.#get(field);
    if (typeof value !== 'string') throw this.#malformed(field, 'a text');
    return value;
  }

  integer(field: string, max: number): number {
    const value = this.#get(field);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max) {
      throw this.#malformed(field, `a whole number up to ${max}`);
    }
    return value;
  }

  /** Unix seconds of a time such as 2025-06-19T10:16:03Z. */
  time(field: string): number {
    const text = this.text(field);
    const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) ? Date.parse(text) : Number.NaN;
    // A 31st of February would become a day of March.
    if (Number.isNaN(time) || new Date(time).toISOString() !== text.replace('Z', '.000Z')) {
      throw this.#malformed(field, 'a time in UTC');
    }
    return time / 1000;
  }

  object(field: string): JsonReader {
    return new JsonReader(this.#get(field), `${this.#name}.${field}`);
  }

  list(field: string): JsonReader[] {
    return this.#list(field).map((value, index) => new JsonReader(value, `${this.#name}.${field}[${index}]`));
  }

  texts(field: string): string[] {
    return this.#list(field).map((value) => {
      if (typeof value !== 'string') throw this.#malformed(field, 'texts');
      return value;
    });
  }

  #list(field: string): readonly unknown[] {
    const value = this.#get(field);
    if (!Array.isArray(value)) throw this.#malformed(field, 'a list');
    return value;
  }

  #get(field: string): unknown {
    if (!this.has(field)) throw malformed(`${this.#name}.${field} is missing`);
    return this.#fields[field];
  }

  #malformed(field: string, expected: string) {
    return malformed(`${this.#name}.${field}: expected ${expected}`);
  }
}
