// What holds for the repository as a whole. Each rule takes files and gives its violations, one line each.
import { isBuiltin } from 'node:module';
import path from 'node:path';
import ts from 'typescript';

export interface RepositoryFile {
  /** From the root, with slashes. */
  path: string;
  text: string;
}

const LINES_MAX = 1000;

/** The packages that each package may import. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  attestation: ['protocol'],
  service: ['protocol'],
  crypto: ['protocol'],
  notes: ['protocol', 'crypto'],
  prover: ['protocol', 'crypto', 'notes'],
  chain: ['protocol', 'crypto', 'notes'],
  trading: ['protocol', 'attestation', 'crypto', 'notes'],
  wallet: ['protocol', 'attestation', 'crypto', 'notes', 'prover', 'chain', 'trading'],
  relayer: ['protocol', 'crypto', 'notes', 'chain', 'service'],
  attestor: ['protocol', 'attestation', 'crypto', 'notes', 'chain', 'service', 'wallet'],
  cli: ['protocol', 'attestation', 'attestor', 'crypto', 'notes', 'prover', 'chain', 'trading', 'wallet', 'relayer'],
};

/** The enclave's rooms and packages that each of its rooms may import; `server.ts`, above them, may import all. */
const ROOM_MAY_IMPORT: Readonly<
  Record<string, { readonly rooms: readonly string[]; readonly packages: readonly string[] }>
> = {
  api: {
    rooms: ['exchange', 'operator'],
    packages: ['protocol', 'attestation', 'crypto', 'notes', 'trading', 'service'],
  },
  engine: { rooms: [], packages: ['protocol'] },
  exchange: { rooms: ['engine'], packages: ['protocol', 'crypto', 'notes', 'trading'] },
  journal: { rooms: [], packages: ['protocol', 'wallet'] },
  registration: { rooms: ['tee'], packages: ['protocol', 'attestation', 'attestor', 'chain'] },
  tee: { rooms: [], packages: ['protocol', 'attestation', 'crypto'] },
  wallet: { rooms: [], packages: ['protocol', 'crypto', 'notes', 'chain'] },
  operator: {
    rooms: ['exchange', 'journal', 'settlement', 'wallet'],
    packages: ['protocol', 'crypto', 'notes', 'prover', 'chain', 'trading'],
  },
  settlement: { rooms: ['exchange', 'wallet'], packages: ['protocol', 'crypto', 'notes', 'prover', 'chain'] },
};

interface Import {
  from: string;
  specifier: string;
  /** The file of the repository, where it is one. */
  target?: string;
}

export function importsAgainstTheOrder(files: readonly RepositoryFile[]): string[] {
  return allImports(files).flatMap((entry) => {
    const complaint = complaintAbout(entry);
    return complaint === undefined ? [] : [`${entry.from} imports ${entry.specifier}: ${complaint}`];
  });
}

function complaintAbout({ from, specifier, target }: Import): string | undefined {
  if (isBootstrap(from) && !(specifier.startsWith('node:') || (target !== undefined && isBootstrap(target)))) {
    return 'the bootstrap runs before any package is there';
  }
  if (target === undefined) {
    return isBuiltin(specifier) && !specifier.startsWith('node:') ? 'parts of Node are named with node:' : undefined;
  }
  const [area, targetArea] = [areaOf(from), areaOf(target)];
  if (targetArea === 'test' && area !== 'test') return 'nothing outside imports test/';
  if (targetArea === 'scripts' && area !== 'scripts' && area !== 'test') return 'nothing outside imports scripts/';

  const room = roomOf(from);
  if (room !== undefined) return complaintAboutRoom(room, target);
  if (targetArea === 'enclave' && area === 'packages') return 'a package imports packages only';

  const [importer, imported] = [packageOf(from), packageOf(target)];
  if (imported === undefined) return importer === undefined ? undefined : 'a package imports packages only';
  if (importer === imported) return /^[.#]/.test(specifier) ? undefined : 'within a package imports are relative';
  if (specifier.startsWith('.')) return 'another package is imported by its name';
  if (importer === undefined) return undefined;
  const allowed = Object.hasOwn(MAY_IMPORT, importer) ? MAY_IMPORT[importer] : undefined;
  if (allowed === undefined) return `package ${importer} has no place in the order of packages yet`;
  return allowed.includes(imported) ? undefined : `package ${importer} may not import package ${imported}`;
}

function complaintAboutRoom(room: string, target: string): string | undefined {
  const allowed = Object.hasOwn(ROOM_MAY_IMPORT, room) ? ROOM_MAY_IMPORT[room] : undefined;
  if (allowed === undefined) return `room ${room} has no place in the order of rooms yet`;
  const [importedRoom, importedPackage] = [roomOf(target), packageOf(target)];
  if (importedRoom === room) return undefined;
  if (importedRoom !== undefined) {
    return allowed.rooms.includes(importedRoom) ? undefined : `room ${room} may not import room ${importedRoom}`;
  }
  if (importedPackage === undefined) return 'a room imports rooms and packages only';
  return allowed.packages.includes(importedPackage)
    ? undefined
    : `room ${room} may not import package ${importedPackage}`;
}

export function circlesOfImports(files: readonly RepositoryFile[]): string[] {
  const targets = new Map<string, string[]>();
  for (const { from, target } of allImports(files)) {
    if (target !== undefined) targets.set(from, [...(targets.get(from) ?? []), target]);
  }
  const finished = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, trail: readonly string[]): void => {
    const start = trail.indexOf(file);
    if (start >= 0) circles.push([...trail.slice(start), file].join(' → '));
    if (start >= 0 || finished.has(file)) return;
    for (const target of targets.get(file) ?? []) visit(target, [...trail, file]);
    finished.add(file);
  };
  for (const file of targets.keys()) visit(file, []);
  return circles;
}

/** What is found only because another package happens to bring it may be another version tomorrow. */
export function undeclaredDependencies(files: readonly RepositoryFile[]): string[] {
  const declared = new Map(
    files.filter(isManifest).map((file) => [path.posix.dirname(file.path), dependenciesOf(file)]),
  );
  return allImports(files).flatMap(({ from, specifier, target }) => {
    if (target !== undefined || isBuiltin(specifier)) return [];
    const dependency = specifier
      .split('/')
      .slice(0, specifier.startsWith('@') ? 2 : 1)
      .join('/');
    const packageName = packageOf(from);
    const owner = packageName === undefined ? '.' : `packages/${packageName}`;
    // A test of a package may use what the package uses.
    const owners = areaOf(from) === 'test' ? [...declared.keys()] : [owner];
    if (owners.some((directory) => declared.get(directory)?.has(dependency))) return [];
    return [`${from} imports ${specifier}, which ${path.posix.join(owner, 'package.json')} does not declare`];
  });
}

export function inexactVersions(files: readonly RepositoryFile[]): string[] {
  return files
    .filter(isManifest)
    .flatMap((file) =>
      [...dependenciesOf(file)]
        .filter(([, version]) => !/^\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?$/.test(version))
        .map(([name, version]) => `${file.path} wants ${name} ${version}, which is no exact version`),
    );
}

export function overlongFiles(files: readonly RepositoryFile[]): string[] {
  return files
    .filter((file) => !file.path.endsWith('.json'))
    .map((file) => ({ path: file.path, lines: file.text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > LINES_MAX)
    .map((file) => `${file.path} has ${file.lines} lines, more than ${LINES_MAX}`);
}

// In parts, since the rules hold for this file too.
const FORBIDDEN_TEXTS: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [new RegExp(['/wo', 'rk/|/ro', 'ot/|/Us', 'ers/'].join('')), 'a path of one machine'],
  [new RegExp(['\\bMath\\.ran', 'dom\\b'].join('')), 'neither reproducible nor unpredictable'],
  [new RegExp(['\\b(TO', 'DO|FIX', 'ME)\\b'].join('')), 'what is open belongs in the tracker'],
];

export function forbiddenTexts(files: readonly RepositoryFile[]): string[] {
  return files
    .filter((file) => file.path !== 'package-lock.json') // its hashes spell what they like
    .flatMap((file) =>
      file.text.split('\n').flatMap((line, index) =>
        FORBIDDEN_TEXTS.flatMap(([pattern, reason]) => {
          const found = pattern.exec(line);
          return found ? [`${file.path}:${index + 1} has ${found[0]}: ${reason}`] : [];
        }),
      ),
    );
}

export function generatedWithoutHeader(files: readonly RepositoryFile[]): string[] {
  return files
    .filter((file) => file.path.includes('/generated/') && !file.path.endsWith('.json'))
    .filter((file) => !/do not edit/i.test(file.text.split('\n').slice(0, 5).join('\n')))
    .map((file) => `${file.path} does not say "do not edit" at its head`);
}

function allImports(files: readonly RepositoryFile[]): Import[] {
  return files
    .filter((file) => /\.(ts|mjs|js)$/.test(file.path) && !file.path.endsWith('.d.ts'))
    .flatMap((file) =>
      ts.preProcessFile(file.text, true, true).importedFiles.map(({ fileName: specifier }) => {
        const target = resolve(file.path, specifier);
        return { from: file.path, specifier, ...(target === undefined ? {} : { target }) };
      }),
    );
}

function resolve(from: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return path.posix.join(path.posix.dirname(from), specifier);
  // Of the files that the package's manifest has for a name, the one for Node.
  const own = packageOf(from);
  if (own !== undefined && specifier.startsWith('#')) return `packages/${own}/src/${specifier.slice(1)}.ts`;
  const named = /^@bitcloak\/([^/]+)\/(.+)$/.exec(specifier);
  return named ? `packages/${named[1] ?? ''}/src/${named[2] ?? ''}.ts` : undefined;
}

function areaOf(file: string): string {
  return file.includes('/') ? (file.split('/')[0] ?? '') : '';
}

function packageOf(file: string): string | undefined {
  return /^packages\/([^/]+)\//.exec(file)?.[1];
}

function roomOf(file: string): string | undefined {
  return /^enclave\/([^/]+)\//.exec(file)?.[1];
}

function isBootstrap(file: string): boolean {
  return /^scripts\/(bootstrap\.mjs|bootstrap\/|compileCircuits\.mjs)/.test(file);
}

function isManifest(file: RepositoryFile): boolean {
  return path.posix.basename(file.path) === 'package.json';
}

function dependenciesOf(manifest: RepositoryFile): Map<string, string> {
  const parsed = JSON.parse(manifest.text) as Record<string, Record<string, string> | undefined>;
  const fields = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'];
  return new Map(fields.flatMap((field) => Object.entries(parsed[field] ?? {})));
}
