import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** @param {string | Buffer} bytes */
export function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * The hash of a file, or undefined where there is none.
 * @param {string} file
 */
export function hashFile(file) {
  const bytes = readIfPresent(file);
  return bytes === undefined ? undefined : sha256(bytes);
}

/**
 * One hash over names and contents: a renamed, added or removed file changes it as an edited one does.
 * @param {string} root
 * @param {readonly string[]} files
 */
export function hashFiles(root, files) {
  const hash = createHash('sha256');
  for (const file of [...files].sort()) {
    hash.update(`${path.relative(root, file).split(path.sep).join('/')}\0${hashFile(file) ?? 'absent'}\0`);
  }
  return hash.digest('hex');
}

/**
 * All files below a directory that end so; none where the directory does not exist.
 * @param {string} directory
 * @param {string} ending
 * @returns {string[]}
 */
export function listFiles(directory, ending) {
  let entries;
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (isAbsence(error)) return [];
    throw error;
  }
  return entries.flatMap((entry) => {
    const entryPath = path.join(directory, entry.name);
    if (entry.isDirectory()) return listFiles(entryPath, ending);
    return entry.name.endsWith(ending) ? [entryPath] : [];
  });
}

/**
 * @param {string} file
 * @returns {Buffer | undefined}
 */
export function readIfPresent(file) {
  try {
    return readFileSync(file);
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

/**
 * Writes so that a reader, or a process killed half way, never leaves half a file.
 * @param {string} file
 * @param {string | Uint8Array} text
 */
export function writeWhole(file, text) {
  mkdirSync(path.dirname(file), { recursive: true });
  const partial = `${file}.${process.pid}`;
  writeFileSync(partial, text);
  renameSync(partial, file);
}

/** @param {unknown} error */
export function isAbsence(error) {
  return errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR';
}

/** @param {unknown} error */
export function errorCode(error) {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
