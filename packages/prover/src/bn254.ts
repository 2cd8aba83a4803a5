/** The curve of all proofs and keys. */
export { bn254 } from '@noble/curves/bn254.js';
