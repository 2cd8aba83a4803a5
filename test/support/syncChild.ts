// A process of its own that synchronises a wallet, for a test to kill: the wallet's directory, then the file of the manifest.
import process from 'node:process';
import { readManifest } from '@bitcloak/chain/manifestFile';
import { LocalProver } from '@bitcloak/prover/prover';
import { Wallet } from '@bitcloak/wallet/wallet';

const [, , directory = '', manifest = ''] = process.argv;
const wallet = await Wallet.open(directory, 'passphrase');
const session = await wallet.openSession(readManifest(manifest), new LocalProver());
await session.sync();
session.close();
