import { Command, Option, type OutputConfiguration } from 'commander';
import type { LockOptions } from './commands/transfers.ts';
import { addEnclaveCommands } from './enclaveProgram.ts';
import { COMMAND } from './invocation.ts';
import { addOperatorCommands } from './operatorProgram.ts';
import { addRouteOptions, examples, type Run } from './programParts.ts';
import type { RouteOptions } from './routes.ts';
import { addTradeCommands } from './tradeProgram.ts';

const NOT_IN_ARGUMENTS = 'It never comes from the command line, which other users of the machine can see.';

/**
 * Everything that can be typed. What a command does is loaded when it runs: help and mistakes are answered at once, without the libraries of
 * proofs and chains.
 *
 * @param attest runs an attestor, which is a service: it reads the environment, and no wallet is opened for it.
 */
export function buildProgram(
  version: string,
  output: OutputConfiguration,
  run: Run,
  attest: () => Promise<void>,
): Command {
  const program = new Command(COMMAND)
    .description('Shielded notes on an EVM chain: deposit, hold, send and withdraw under proof. Unaudited.')
    .version(version)
    .option('--wallet <dir>', 'directory of the wallet (default: ~/.bitcloak/default)')
    .option('--network <name|path>', 'devnet, or the path of a manifest file', 'devnet')
    .option('--endpoint <url>', "JSON-RPC endpoint instead of the manifest's")
    .option('--passphrase-file <file>', 'file with the passphrase; else BITCLOAK_PASSPHRASE, else a prompt')
    .option('--json', 'one JSON value on standard output, errors included')
    .option('--yes', 'agree to what would be asked; without a terminal nothing else does')
    .option('-q, --quiet', 'no progress')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput(output)
    .addHelpText(
      'after',
      `${examples('wallet new', 'faucet', 'deposit 1 ETH', 'wallet balance', 'send 0.25 ETH cloak1…', 'withdraw 0.5 ETH 0x…')}
\nAmounts are decimals in the token's own units. Dates and waits count in block time.
Exit codes: 0 done, 1 unexpected or cancelled, 2 malformed, 3 wallet, 4 chain or endpoint, 5 holdings, 6 relayer, 7 proofs and keys,
8 development chains only, 9 journal, 10 operator, 11 evidence of an enclave, 130 interrupted.`,
    );
  addWalletCommands(program, run);
  addDepositCommands(program, run);
  addTransferCommands(program, run);
  addLockCommands(program, run);
  addServiceCommands(program, run);
  addTradeCommands(program, run);
  addEnclaveCommands(program, run);
  addOperatorCommands(program, run);
  program
    .command('attestor')
    .description('verify evidence of enclaves and sign for it, as a service')
    .helpOption(false)
    .option('--help', 'its settings, which are variables of the environment')
    .action(attest);
  return program;
}

function addWalletCommands(program: Command, run: Run): void {
  const wallet = program.command('wallet').description('make a wallet and look into it');
  wallet
    .command('new')
    .description('make a wallet; shows its recovery phrase once')
    .addHelpText(
      'after',
      examples('wallet new', 'wallet new --wallet ./savings', 'wallet new --json --passphrase-file pass.txt'),
    )
    .action((_options, command: Command) =>
      run(command, async (context) => (await import('./commands/wallet.ts')).newWallet(context)),
    );
  wallet
    .command('restore')
    .summary('make a wallet again from its recovery phrase')
    .description(`make a wallet again from its recovery phrase. ${NOT_IN_ARGUMENTS}`)
    .option('--phrase-file <file>', 'file with the recovery phrase; else a prompt, else standard input')
    .addHelpText(
      'after',
      examples('wallet restore', 'wallet restore --phrase-file words.txt', 'wallet restore < words.txt'),
    )
    .action((options: { phraseFile?: string }, command: Command) =>
      run(command, async (context) => (await import('./commands/wallet.ts')).restoreWallet(context, options)),
    );
  wallet
    .command('watch')
    .summary('make a wallet that sees and cannot spend, from a viewing key')
    .description(`make a wallet that sees and cannot spend, from a viewing key. ${NOT_IN_ARGUMENTS}`)
    .option('--viewing-key-file <file>', 'file with the viewing key; else a prompt, else standard input')
    .addHelpText('after', examples('wallet watch --wallet ./audited', 'wallet watch --viewing-key-file key.txt'))
    .action((options: { viewingKeyFile?: string }, command: Command) =>
      run(command, async (context) => (await import('./commands/wallet.ts')).watchWallet(context, options)),
    );
  wallet
    .command('address')
    .description('the shielded address, which others send to')
    .addHelpText('after', examples('wallet address', 'wallet address --json'))
    .action((_options, command: Command) =>
      run(command, async (context) => (await import('./commands/wallet.ts')).showAddress(context)),
    );
  wallet
    .command('account')
    .description('the public account of the same recovery phrase, which deposits and pays for gas, and what it holds')
    .addHelpText('after', examples('wallet account', 'wallet account --network ./manifest.json'))
    .action((_options, command: Command) =>
      run(command, async (context) => (await import('./commands/wallet.ts')).showAccount(context)),
    );
  addHoldingCommands(wallet, run);
  wallet
    .command('export-viewing-key')
    .description('the key that shows everything and spends nothing, for an auditor')
    .addHelpText('after', examples('wallet export-viewing-key > key.txt'))
    .action((_options, command: Command) =>
      run(command, async (context) => (await import('./commands/wallet.ts')).exportViewingKey(context)),
    );
}

function addHoldingCommands(wallet: Command, run: Run): void {
  wallet
    .command('balance')
    .description('what the wallet holds: spendable, waiting for insertion, locked, to be taken home')
    .addHelpText('after', examples('wallet balance', 'wallet balance --json'))
    .action((_options, command: Command) =>
      run(command, async (context) => (await import('./commands/holdings.ts')).showBalance(context)),
    );
  wallet
    .command('history')
    .description('what came and went, recovered from the chain')
    .addHelpText('after', examples('wallet history', 'wallet history --json'))
    .action((_options, command: Command) =>
      run(command, async (context) => (await import('./commands/holdings.ts')).showHistory(context)),
    );
  wallet
    .command('notes')
    .description('every note that is not spent, with its wait or its lock')
    .option('--all', 'spent notes too')
    .addHelpText('after', examples('wallet notes', 'wallet notes --all --json'))
    .action((options: { all?: true }, command: Command) =>
      run(command, async (context) => (await import('./commands/holdings.ts')).showNotes(context, options)),
    );
}

function addDepositCommands(program: Command, run: Run): void {
  program
    .command('faucet')
    .description('gas and test tokens for the public account; development chains only')
    .addHelpText('after', examples('faucet'))
    .action((_options, command: Command) =>
      run(command, async (context) => (await import('./commands/services.ts')).faucet(context)),
    );
  const deposit = program
    .command('deposit')
    .summary('turn funds of the public account into a note')
    .description(
      "turn funds of the public account into a note; an ERC-20's approval is included. The chain shows account, token and amount.",
    )
    .argument('<amount>', 'decimal, such as 1.5')
    .argument('[token]', 'symbol or 0x address; the native currency unless given');
  addLockOptions(deposit)
    .addHelpText('after', examples('deposit 1', 'deposit 250.5 DUSD', 'deposit 1 ETH --operator 0x2a… --for 7d'))
    .action((amount: string, token: string | undefined, options: LockOptions, command: Command) =>
      run(command, async (context) =>
        (await import('./commands/transfers.ts')).deposit(context, amount, token, options),
      ),
    );
}

function addTransferCommands(program: Command, run: Run): void {
  const send = program
    .command('send')
    .description('pay a shielded address')
    .argument('<amount>', 'decimal, such as 0.25')
    .argument('<token>', 'symbol or 0x address')
    .argument('<address>', 'shielded address, cloak1…');
  addRouteOptions(send)
    .addHelpText(
      'after',
      examples('send 0.25 ETH cloak1…', 'send 10 DUSD cloak1… --fee-max 0.1', 'send 1 ETH cloak1… --direct'),
    )
    .action((amount: string, token: string, address: string, options: RouteOptions, command: Command) =>
      run(command, async (context) =>
        (await import('./commands/transfers.ts')).send(context, amount, token, address, options),
      ),
    );
  const withdraw = program
    .command('withdraw')
    .description("pay a public account; a relayer's fee is taken out of the amount")
    .argument('<amount>', 'decimal, such as 0.5')
    .argument('<token>', 'symbol or 0x address')
    .argument('<account>', 'public account, 0x…');
  addRouteOptions(withdraw)
    .addHelpText(
      'after',
      examples('withdraw 0.5 ETH 0x…', 'withdraw 5 DUSD 0x… --fee-max 0.1', 'withdraw 0.5 ETH 0x… --direct'),
    )
    .action((amount: string, token: string, account: string, options: RouteOptions, command: Command) =>
      run(command, async (context) =>
        (await import('./commands/transfers.ts')).withdraw(context, amount, token, account, options),
      ),
    );
  const merge = program
    .command('merge')
    .summary('join the two smallest notes of a token; a payment spends at most two notes')
    .description(
      'join the two smallest notes of a token; a payment spends at most two notes. Where an earlier transfer may still land, spend its notes to this wallet itself: it cannot land then.',
    )
    .argument('<token>', 'symbol or 0x address');
  addRouteOptions(merge)
    .addHelpText('after', examples('merge ETH', 'merge ETH --direct --yes'))
    .action((token: string, options: RouteOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/transfers.ts')).merge(context, token, options)),
    );
  program
    .command('sync')
    .description('read the chain up to its newest block; other commands do so themselves')
    .option(
      '--again',
      "forget what was read, and read everything: what an endpoint once hid comes back with another one's help",
    )
    .addHelpText('after', examples('sync', 'sync --again --endpoint http://127.0.0.1:8545'))
    .action((options: { again?: true }, command: Command) =>
      run(command, async (context) => (await import('./commands/holdings.ts')).syncOnly(context, options)),
    );
}

function addLockCommands(program: Command, run: Run): void {
  const lock = program
    .command('lock')
    .summary('lock a part of the notes to an operator until an expiry')
    .description(
      'lock a part of the notes to an operator: until the expiry only its settlements spend it, afterwards only you do',
    )
    .argument('<amount>', 'decimal, such as 2')
    .argument('<token>', 'symbol or 0x address');
  addRouteOptions(addLockOptions(lock))
    .addHelpText(
      'after',
      examples('lock 2 ETH --operator 0x2a… --for 7d', 'lock 2 ETH --operator 0x2a… --until 2027-01-31T12:00Z'),
    )
    .action((amount: string, token: string, options: RouteOptions & LockOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/transfers.ts')).lock(context, amount, token, options)),
    );
  const reclaim = program
    .command('reclaim')
    .description('take home every note whose lock has expired')
    .argument('[token]', 'symbol or 0x address; all tokens unless given');
  addRouteOptions(reclaim)
    .addHelpText('after', examples('reclaim', 'reclaim ETH --fee-max 0.01'))
    .action((token: string | undefined, options: RouteOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/transfers.ts')).reclaim(context, token, options)),
    );
}

function addServiceCommands(program: Command, run: Run): void {
  program
    .command('keeper')
    .summary('close and insert buckets, so that notes can be spent')
    .description(
      'close and insert buckets, so that notes can be spent; the public account pays. Anybody may, and needs nobody for it. ' +
        'Unless --once is given it takes a wallet of its own: what it sends takes the place of whatever its account has waiting.',
    )
    .option('--once', 'close and insert what can be now, then end')
    .option('--close-after <seconds>', 'how long a bucket stays open in block time; 300 unless given, with --once 0')
    .addHelpText('after', examples('keeper --once', 'keeper --close-after 60'))
    .action((options: { once?: true; closeAfter?: string }, command: Command) =>
      run(command, async (context) => (await import('./commands/services.ts')).keeper(context, options)),
    );
  program
    .command('relayer-info')
    .description('what a relayer asks')
    .argument('[url]', "the manifest's relayer unless given")
    .addHelpText('after', examples('relayer-info', 'relayer-info http://127.0.0.1:8546 --json'))
    .action((url: string | undefined, _options, command: Command) =>
      run(command, async (context) => (await import('./commands/services.ts')).showRelayer(context, url)),
    );
}

function addLockOptions(command: Command): Command {
  return command
    .option('--operator <id>', 'operator that the note is locked to, decimal or 0x')
    .addOption(
      new Option('--until <time>', 'expiry: unix seconds or a date, UTC unless it says otherwise').conflicts('for'),
    )
    .option('--for <duration>', 'expiry counted from the newest block: 30m, 12h, 7d')
    .option('--operator-key <hex>', "the operator's X25519 key, where it is to be told of the note");
}
