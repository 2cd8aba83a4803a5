// Names of wires that stay the same in an altered copy of a circuit.
import { readFileSync } from 'node:fs';

/** circom calls a component without a name after its template, a number and its place in the source. */
const ANONYMOUS = /^(\w+?)_(\d+)_(\d+)((?:\[\d+\])*)$/;

type Anonymous = { readonly template: string; readonly number: number; readonly place: number; readonly index: string };

function parseAnonymous(word: string): Anonymous | undefined {
  const found = ANONYMOUS.exec(word);
  if (found === null) return undefined;
  return { template: found[1] ?? '', number: Number(found[2]), place: Number(found[3]), index: found[4] ?? '' };
}

/** The components without a name: for each parent and template, where they stand in the source, in order. */
function rankAnonymous(names: readonly string[]): Map<string, string[]> {
  const placesOf = new Map<string, Map<string, Anonymous>>();
  const seen = new Set<string>();
  for (const name of names) {
    for (let end = name.indexOf('.', name.indexOf('.') + 1); end >= 0; end = name.indexOf('.', end + 1)) {
      const prefix = name.slice(0, end);
      if (seen.has(prefix)) continue;
      seen.add(prefix);
      const start = prefix.lastIndexOf('.');
      const anonymous = parseAnonymous(prefix.slice(start + 1));
      if (anonymous === undefined) continue;
      const key = `${prefix.slice(0, start)}.${anonymous.template}`;
      const places = placesOf.get(key) ?? new Map<string, Anonymous>();
      placesOf.set(key, places.set(`${anonymous.number}_${anonymous.place}`, anonymous));
    }
  }
  return new Map(
    [...placesOf].map(([key, places]) => [
      key,
      [...places].sort(([, a], [, b]) => a.place - b.place || a.number - b.number).map(([place]) => place),
    ]),
  );
}

/**
 * The names in a .sym file, each with the number of its wire, or -1 where the compiler has eliminated it. A component without a name is
 * called after its template and its rank among those of the same parent: what circom puts there changes with every letter of the source.
 */
export function readSymbols(path: string): Map<string, number> {
  const rows = readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [, wire, , name] = line.split(',');
      return { wire: Number(wire), name: name ?? '' };
    });
  const ranks = rankAnonymous(rows.map(({ name }) => name));
  const prefixes = new Map<string, string>();

  const canonical = (name: string): string => {
    const start = name.lastIndexOf('.');
    if (start < 0) return name;
    const parent = name.slice(0, start);
    let stablePrefix = prefixes.get(parent);
    if (stablePrefix === undefined) {
      stablePrefix = canonical(parent);
      prefixes.set(parent, stablePrefix);
    }
    const word = name.slice(start + 1);
    const anonymous = parseAnonymous(word);
    const places = anonymous && ranks.get(`${parent}.${anonymous.template}`);
    if (anonymous === undefined || places === undefined) return `${stablePrefix}.${word}`;
    const rank = places.indexOf(`${anonymous.number}_${anonymous.place}`);
    return `${stablePrefix}.${anonymous.template}#${rank}${anonymous.index}`;
  };

  const symbols = new Map<string, number>();
  for (const { name, wire } of rows) {
    const stable = canonical(name);
    if (symbols.has(stable)) throw new Error(`two signals are called ${stable}`);
    symbols.set(stable, wire);
  }
  return symbols;
}
