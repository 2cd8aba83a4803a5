/** The part of JSON Schema that this package's schemas are written in. */
export type Schema = {
  readonly type: string;
  readonly properties?: Readonly<Record<string, object>>;
  readonly required?: readonly string[];
  readonly items?: object;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
};

/**
 * Throws RangeError naming the field where a value of JSON does not fit a schema. A client has no need of a library for it: it reads a few
 * short replies. Lists and texts are bounded by the reply's own size.
 */
export function checkJson(schema: object, value: unknown, where = 'reply'): void {
  const { type, properties = {}, required = [], items = {}, ...bounds } = schema as Schema;
  const fail = (expected: string): never => {
    throw new RangeError(`${where}: expected ${expected}`);
  };
  switch (type) {
    case 'object': {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail('an object');
      for (const name of required) if (!Object.hasOwn(value, name)) fail(`a field ${name}`);
      for (const [name, field] of Object.entries(value)) {
        const inner = Object.hasOwn(properties, name) ? properties[name] : undefined;
        if (inner === undefined) return fail('no unknown field');
        checkJson(inner, field, `${where}.${name}`);
      }
      return;
    }
    case 'array':
      if (!Array.isArray(value)) return fail('a list');
      for (const item of value) checkJson(items, item, where);
      return;
    case 'boolean':
      if (typeof value !== 'boolean') fail('true or false');
      return;
    case 'integer':
      if (typeof value !== 'number' || !Number.isSafeInteger(value)) return fail('a whole number');
      if (value < (bounds.minimum ?? value) || value > (bounds.maximum ?? value)) fail('a number in its range');
      return;
    case 'string':
      if (typeof value !== 'string' || value.length > (bounds.maxLength ?? value.length)) return fail('a text');
      if (bounds.enum?.includes(value) === false) fail('a known word');
      if (bounds.pattern !== undefined && !new RegExp(bounds.pattern).test(value)) fail('another text');
      return;
    default:
      throw new TypeError(`a schema of type ${type} cannot be checked`);
  }
}
