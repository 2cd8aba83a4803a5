import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** A phase 1 file that keys may be made from, known by its blake2b-512. */
export type Phase1 = {
  name: 'development' | 'hermez';
  development: boolean;
  blake2b: string;
  /** alpha in G1, affine: what every verifying key made from the file must show. */
  alpha: readonly [x: string, y: string];
};

export const PHASE1_POWER = 15;

/** The development file comes from a public beacon alone: anybody can make the same bytes again, and anybody could forge with it. */
export const DEVELOPMENT_BEACON_TEXT = 'bitcloak development phase 1: public beacon, no secret, never for value';
export const DEVELOPMENT_BEACON_ITERATIONS_LOG2 = 10;

export const PHASE1_FILES: readonly Phase1[] = [
  {
    name: 'development',
    development: true,
    blake2b:
      'ddd0426fb6d9b1c84d6041e374114fead2cf2241f2387dcbfc80ecf6e4ed3e9232c26e2575bbda1de084f6ab2672d13ea230c330843e248c83d97a2d286febd3',
    alpha: [
      '3148690121427878858345653900132626655366147027301240526361982826587575578697',
      '15917953171542441380756114814363000929216939940211668468670502603671717020649',
    ],
  },
  {
    // powersOfTau28_hez_final_15.ptau; its blake2b as published in the README of snarkjs.
    name: 'hermez',
    development: false,
    blake2b:
      '982372c867d229c236091f767e703253249a9b432c1710b4f326306bfa2428a17b06240359606cfe4d580b10a5a1f63fbed499527069c18ae17060472969ae6e',
    alpha: [
      '20491192805390485299153009773594534940189261866228447918068658471970481763042',
      '9383485363053290200918347156157836566562967994039712273449902621266178545958',
    ],
  },
];

/** Hex digest of a file, read as a stream. */
export async function fileDigest(path: string, algorithm: 'blake2b512' | 'sha256'): Promise<string> {
  const digest = createHash(algorithm);
  for await (const chunk of createReadStream(path)) digest.update(chunk as Buffer);
  return digest.digest('hex');
}

/** Which known phase 1 file this is. Throws for any other. */
export async function identifyPhase1(path: string): Promise<Phase1> {
  const blake2b = await fileDigest(path, 'blake2b512');
  const known = PHASE1_FILES.find((file) => file.blake2b === blake2b);
  if (known === undefined) throw new Error(`${path} is no known phase 1 file (blake2b ${blake2b})`);
  return known;
}
