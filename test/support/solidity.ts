import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import hre from 'hardhat';
import solcModule from 'solc';
import type { Deployable } from './chain.ts';

// solc's own types leave everything open.
const solc = solcModule as { compile(input: string, options: { import(path: string): { contents: string } }): string };

const ROOT = resolve(import.meta.dirname, '../..');

type Output = {
  errors?: { severity: string; formattedMessage: string }[];
  contracts?: Record<string, Record<string, { abi: Deployable['abi']; evm: { bytecode: { object: string } } }>>;
};

/** Compiles one contract of the repository as Hardhat does, with other texts in place of some of its files. */
export function compile(file: string, contract: string, replacements: Readonly<Record<string, string>>): Deployable {
  const read = (path: string) => replacements[path] ?? readFileSync(resolve(ROOT, path), 'utf8');
  const settings = hre.config.solidity.profiles['default']?.compilers[0]?.settings as Record<string, unknown>;
  const outputSelection = { [file]: { [contract]: ['abi', 'evm.bytecode.object'] } };
  const input = {
    language: 'Solidity',
    sources: { [file]: { content: read(file) } },
    settings: { ...settings, outputSelection },
  };
  const options = { import: (path: string) => ({ contents: read(path) }) };
  const output = JSON.parse(solc.compile(JSON.stringify(input), options)) as Output;
  const errors = output.errors?.filter(({ severity }) => severity === 'error') ?? [];
  const compiled = output.contracts?.[file]?.[contract];
  if (compiled === undefined || errors.length > 0)
    throw new Error(errors.map((error) => error.formattedMessage).join('\n'));
  return { abi: compiled.abi, bytecode: `0x${compiled.evm.bytecode.object}` };
}
