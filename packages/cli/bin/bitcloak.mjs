#!/usr/bin/env node
// The command of a linked install (npm install -g ./packages/cli, in a checkout). Plain JavaScript of Node 18: the bootstrap brings a newer
// Node where there is none, sets up what is missing, and runs the sources.
import { existsSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const bootstrap = new URL('../../../scripts/bootstrap.mjs', import.meta.url);

if (existsSync(bootstrap)) {
  // Below an npm script of another project INIT_CWD is that project's; here paths count from where the command was typed.
  process.env['INIT_CWD'] = process.cwd();
  delete process.env['npm_lifecycle_event'];
  process.argv = [process.execPath, fileURLToPath(bootstrap), 'packages/cli/src/main.ts', ...process.argv.slice(2)];
  await import(bootstrap.href);
} else {
  console.error('bitcloak runs from a checkout of its repository: type npm install -g ./packages/cli there');
  process.exitCode = 1;
}
