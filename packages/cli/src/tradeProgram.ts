import { ORDER_TYPES, SIDES, TIMES_IN_FORCE, type Side } from '@bitcloak/protocol/orders';
import { Argument, Option, type Command } from 'commander';
import type { CancelOptions, OpenOptions, OrderOptions } from './commands/trade.ts';
import type { OperatorOptions, ProceedsOptions } from './operator.ts';
import { addRouteOptions, examples, type Run } from './programParts.ts';
import { SELF_TRADE_WORDS } from './words.ts';

/** Everything that can be typed to trade with an operator. */
export function addTradeCommands(program: Command, run: Run): void {
  const trade = program
    .command('trade')
    .description('trade in the dark: with an operator that matches orders, and settles them under proof');
  addAccountCommands(trade, run);
  addOrderCommands(trade, run);
  addViewCommands(trade, run);
}

function addAccountCommands(trade: Command, run: Run): void {
  const open = trade
    .command('open')
    .summary('lock funds to the operator, to be traded with')
    .description(
      'lock funds to the operator, to be traded with until the lock ends; then they are yours alone again, whatever becomes of the operator',
    )
    .argument('<amount>', 'decimal, such as 2')
    .argument('<token>', "one of the manifest's symbols")
    .option('--for <duration>', 'how long the lock is, from the newest block on: 12h, 7d; 7d unless given')
    .option('--from-notes', 'out of the notes; else out of the public account, and the chain shows what it deposits');
  addRouteOptions(addOperatorOptions(open))
    .addHelpText(
      'after',
      examples('trade open 2 ETH', 'trade open 5000 DUSD --for 1d', 'trade open 2 ETH --from-notes'),
    )
    .action((amount: string, token: string, options: OpenOptions, command: Command) =>
      run(command, async (context) =>
        (await import('./commands/trade.ts')).openAccount(context, amount, token, options),
      ),
    );
  const withdraw = trade
    .command('withdraw')
    .summary('take funds out of the trading account before the lock ends')
    .description(
      "take funds out of the trading account before the lock ends, as a note of the wallet; the operator's fee is taken out of the amount",
    )
    .argument('<amount>', 'decimal, such as 0.5')
    .argument('<token>', "one of the manifest's symbols")
    .option('--fee-max <amount>', 'most that the operator may take; a hundredth of the amount unless given');
  addOperatorOptions(addProceedsOptions(withdraw))
    .addHelpText('after', examples('trade withdraw 0.5 ETH', 'trade withdraw 100 DUSD --fee-max 0.5'))
    .action((amount: string, token: string, options: OperatorOptions & ProceedsOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/trade.ts')).withdraw(context, amount, token, options)),
    );
}

function addOrderCommands(trade: Command, run: Run): void {
  const order = trade
    .command('order')
    .summary('sign an order and hand it in')
    .description(
      'sign an order and hand it in. It is kept in the wallet first, so that it can be taken back without the operator. Nobody can trade it at a worse price. Exit code 0 says that it traded or waits; where it is cancelled at once without a trade, as ioc and fok may be, the command ends with ORDER_CANCELLED and exit code 10.',
    )
    .addArgument(new Argument('<side>', 'what to do with the first token of the pair').choices(SIDES))
    .argument('<quantity>', 'decimal, in the first token of the pair')
    .argument('<pair>', 'such as ETH-DUSD')
    .requiredOption('--price <price>', 'the worst price, before fees; of every type of order')
    .addOption(new Option('--type <type>', 'limit unless given').choices(ORDER_TYPES))
    .addOption(new Option('--tif <time>', 'time in force: gtc unless given').choices(TIMES_IN_FORCE))
    .option('--post-only', 'refused where it would trade on arrival')
    .option('--iceberg <quantity>', 'the size of the slices that it shows')
    .option('--min-total <quantity>', 'cancelled unless so much trades on arrival')
    .option('--min-match <quantity>', 'trades with no other order for less than this')
    .addOption(new Option('--pegged', 'executes at the reference price alone').conflicts('type'))
    .addOption(
      new Option('--self-trade <mode>', 'where it would meet one of your own; cancel-newest unless given').choices(
        SELF_TRADE_WORDS,
      ),
    )
    .option('--expires <duration>', 'for how long it can trade, and its signature is good: 10m, 2h; 30m unless given');
  addOperatorOptions(addProceedsOptions(order))
    .addHelpText(
      'after',
      examples(
        'trade order sell 1.5 ETH-DUSD --price 2000',
        'trade order buy 2 ETH-DUSD --price 1990.5 --post-only --expires 2h --relock',
        'trade order sell 40 ETH-DUSD --price 1985 --iceberg 2 --min-match 0.5',
      ),
    )
    .action((side: Side, quantity: string, pair: string, options: OrderOptions, command: Command) =>
      run(command, async (context) =>
        (await import('./commands/trade.ts')).placeOrder(context, side, quantity, pair, options),
      ),
    );
  const amend = trade
    .command('amend')
    .summary('change price or quantity of an open order')
    .description('change price or quantity of an open order; signed anew unless only the quantity shrinks')
    .argument('<id>', "the order's number")
    .option('--price <price>', 'the new worst price')
    .option('--quantity <quantity>', 'the new whole, with what was filled');
  addOperatorOptions(addProceedsOptions(amend))
    .addHelpText('after', examples('trade amend 7 --price 2010', 'trade amend 7 --quantity 1'))
    .action((id: string, options: OperatorOptions & ProceedsOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/trade.ts')).amendOrder(context, id, options)),
    );
  const cancel = trade
    .command('cancel')
    .summary('cancel an order, or all')
    .description(
      'cancel an order, or all. An operator that ignores it can use the order until it expires; --on-chain takes it back without the operator, in 70 minutes',
    )
    .argument('[id]', "the order's number; with --on-chain also its client order id")
    .option('--all', 'every open order')
    .addOption(new Option('--pair <pair>', 'with --all: those of this pair alone').conflicts('onChain'))
    .option('--on-chain', 'by a transaction of the public account, for orders that this wallet signed')
    .addOption(
      new Option(
        '--signed',
        'with --all and --on-chain: also what the operator says is over, in case it lies',
      ).conflicts('pair'),
    );
  addOperatorOptions(cancel)
    .addHelpText('after', examples('trade cancel 7', 'trade cancel --all', 'trade cancel --all --on-chain'))
    .action((id: string | undefined, options: CancelOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/trade.ts')).cancelOrders(context, id, options)),
    );
}

function addViewCommands(trade: Command, run: Run): void {
  const markets = trade.command('markets').description('what is traded: steps, limits and fees');
  addOperatorOptions(markets)
    .addHelpText('after', examples('trade markets', 'trade markets --operator-url http://127.0.0.1:8560 --json'))
    .action((options: OperatorOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/tradeViews.ts')).showMarkets(context, options)),
    );
  const orders = trade
    .command('orders')
    .description('your orders; nobody sees those of others')
    .option('--all', 'also what is filled or cancelled');
  addOperatorOptions(orders)
    .addHelpText('after', examples('trade orders', 'trade orders --all --json'))
    .action((options: OperatorOptions & { all?: true }, command: Command) =>
      run(command, async (context) => (await import('./commands/tradeViews.ts')).showOrders(context, options)),
    );
  const fills = trade.command('fills').description('what your orders have traded, and whether it is settled');
  addOperatorOptions(fills)
    .addHelpText('after', examples('trade fills', 'trade fills --json'))
    .action((options: OperatorOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/tradeViews.ts')).showFills(context, options)),
    );
  const withdrawals = trade
    .command('withdrawals')
    .description('what was withdrawn from the trading account, and whether it is settled');
  addOperatorOptions(withdrawals)
    .addHelpText('after', examples('trade withdrawals', 'trade withdrawals --json'))
    .action((options: OperatorOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/tradeViews.ts')).showWithdrawals(context, options)),
    );
  const balances = trade
    .command('balances')
    .summary('what the trading account has')
    .description(
      'what the trading account has: in all, available for new orders, held by orders and unsettled matches, being withdrawn, waiting for its insertion; and until when its locks let it be traded',
    );
  addOperatorOptions(balances)
    .addHelpText('after', examples('trade balances', 'trade balances --json'))
    .action((options: OperatorOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/tradeViews.ts')).showTradingBalances(context, options)),
    );
  const watch = trade
    .command('watch')
    .summary('what happens to your orders, as it happens')
    .description('what happens to your orders, as it happens, until Ctrl-C; with --json one JSON value on each line');
  addOperatorOptions(watch)
    .addHelpText('after', examples('trade watch', 'trade watch --json > reports.txt'))
    .action((options: OperatorOptions, command: Command) =>
      run(command, async (context) => (await import('./commands/tradeViews.ts')).watch(context, options)),
    );
  const verify = trade
    .command('verify')
    .summary('compare settlements with what you signed and were told')
    .description(
      'compare what the chain has with what this wallet signed and what the operator told: prices, amounts, and matches that were never settled',
    )
    .option('--offline', 'without asking the operator');
  addOperatorOptions(verify)
    .addHelpText('after', examples('trade verify', 'trade verify --offline --json'))
    .action((options: OperatorOptions & { offline?: true }, command: Command) =>
      run(command, async (context) => (await import('./commands/tradeViews.ts')).verify(context, options)),
    );
}

function addOperatorOptions(command: Command): Command {
  return command
    .option('--operator-url <url>', "base URL of the operator's API; the manifest's unless given")
    .option('--operator-number <n>', "the operator's number in the registry; the manifest's unless given")
    .option('--trust <file>', "which enclaves to trust; the manifest's unless given")
    .option('--index <n>', 'which of your trading accounts with the operator; 0 unless given');
}

function addProceedsOptions(command: Command): Command {
  return command.option(
    '--relock',
    'what it brings is locked to the operator again, until the last lock of the account ends',
  );
}
