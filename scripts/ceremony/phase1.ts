import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import * as snarkjs from 'snarkjs';
import {
  DEVELOPMENT_BEACON_ITERATIONS_LOG2,
  DEVELOPMENT_BEACON_TEXT,
  identifyPhase1,
  PHASE1_POWER,
} from './phase1File.ts';
import { logger, terminateCurve } from './snarkjs.ts';

const USAGE = `npm run phase1 [-- FILE]

Checks a phase 1 file (powers of tau) against the known ones; where FILE does not exist, makes the development file there,
which takes some 17 minutes and gives everybody the same bytes. FILE is .cache/ptau/dev15.ptau unless given.`;

/** Makes the development phase 1 at `path`: a beacon of public text is its only contribution. */
async function makeDevelopmentPhase1(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const beacon = createHash('sha256').update(DEVELOPMENT_BEACON_TEXT).digest('hex');
  const stages = ['new', 'beacon', 'prepared'].map((stage) => `${path}.${stage}`) as [string, string, string];
  const curve = await snarkjs.curves.getCurveFromName('bn128');
  await snarkjs.powersOfTau.newAccumulator(curve, PHASE1_POWER, stages[0], logger);
  await snarkjs.powersOfTau.beacon(
    stages[0],
    stages[1],
    'development beacon',
    beacon,
    DEVELOPMENT_BEACON_ITERATIONS_LOG2,
    logger,
  );
  await snarkjs.powersOfTau.preparePhase2(stages[1], stages[2], logger);
  await identifyPhase1(stages[2]);
  renameSync(stages[2], path);
  for (const stage of stages.slice(0, 2)) rmSync(stage);
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { help: { type: 'boolean' } } });
if (values.help) {
  console.log(USAGE);
} else {
  const path = resolve(positionals[0] ?? '.cache/ptau/dev15.ptau');
  if (!existsSync(path)) await makeDevelopmentPhase1(path);
  const phase1 = await identifyPhase1(path);
  console.log(`${path}: ${phase1.name}, blake2b ${phase1.blake2b}`);
  await terminateCurve();
}
