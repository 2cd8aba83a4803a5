import { API } from '@bitcloak/trading/wire';

type Operations = Record<string, Record<string, unknown>>;
type Document = { readonly info?: object; readonly paths?: object };

const DESCRIPTION = `Routes marked with x-sealed are asked through ${API}/sealed alone. A session is opened with HPKE (RFC 9180, DHKEM(X25519, HKDF-SHA256), \
HKDF-SHA256, AES-256-GCM) to the apiKey of ${API}/info, which is to be checked against the registry. A request is the session's name (16 bytes), a \
sequence (4) and the AES-256-GCM seal of 2,048 bytes: length (4), "METHOD path", a line end, the body, zeros. docs/spec/api.md has all of it, \
packages/trading a client.`;

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
  return { ...outer, info: { ...outer.info, description: DESCRIPTION }, paths };
}
