import { API } from '@bitcloak/trading/wire';

type Operations = Record<string, Record<string, unknown>>;
type Document = { readonly info?: object; readonly paths?: object };

const SEALED = `Goes to ${API}/sealed, sealed in a session; the status and the body of the answer come in its seal.`;

/** One document of the routes that listen and of those behind the seal, which are marked with `x-sealed`. */
export function describeAll(outer: Document, inner: object): object {
  const paths: Record<string, Operations> = { ...(outer.paths as Record<string, Operations> | undefined) };
  for (const [path, operations] of Object.entries(inner as Record<string, Operations>)) {
    const marked = Object.entries(operations).map(([method, operation]) => [
      method,
      { ...operation, description: SEALED, 'x-sealed': true },
    ]);
    paths[path] = { ...paths[path], ...(Object.fromEntries(marked) as Operations) };
  }
  return { ...outer, paths };
}
