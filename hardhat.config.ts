import { createRequire } from 'node:module';
import { defineConfig } from 'hardhat/config';

const require = createRequire(import.meta.url);

// The compiler comes from the lock file with everything else: nothing is downloaded when contracts are built.
const compiler = { version: '0.8.37', path: require.resolve('solc/soljson.js') };
const settings = {
  evmVersion: 'osaka',
  viaIR: true,
  optimizer: { enabled: true, runs: 1_000_000 },
  // Without the hash of the sources the same code gives the same bytes whatever its comments, so a deployed contract can be compared with a build.
  metadata: { bytecodeHash: 'none' },
};

export default defineConfig({
  solidity: {
    npmFilesToBuild: ['@openzeppelin/contracts/governance/TimelockController.sol'],
    compilers: [{ ...compiler, settings }],
    overrides: {
      // The IR pipeline finds no stack layout for straight-line code of this length.
      'contracts/generated/Poseidon3.sol': { ...compiler, settings: { ...settings, viaIR: false } },
    },
  },
  paths: {
    sources: 'contracts',
    artifacts: 'artifacts',
    cache: 'cache',
    // No folder: what test/ has in Solidity, doubles and hostile tokens, is compiled by the tests that use it and is no artifact.
    tests: { solidity: 'test/solidity' },
  },
  networks: {
    default: { type: 'edr-simulated', chainType: 'l1', hardfork: 'osaka', chainId: 31337 },
  },
});
