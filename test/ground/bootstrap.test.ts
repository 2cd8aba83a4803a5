import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { isNewEnough } from '../../scripts/bootstrap/node.mjs';
import { ended, FakeProject, said } from '../support/fakeProject.ts';

const ECHO = `
const answer: object = {
  arguments: process.argv.slice(2),
  directory: process.cwd(),
  calledFrom: process.env['INIT_CWD'],
  variable: process.env['ANSWER'],
  brought: process.env['BROUGHT'],
  path: process.env['PATH'],
};
console.log(JSON.stringify(answer));
`;

const IDENTITY_CIRCUIT = `pragma circom 2.2.0;
template Product() { signal input a; signal input b; signal output c; c <== a * b; }
component main { public [a] } = Product();
`;

describe('the bootstrap', () => {
  let project: FakeProject;

  beforeEach(() => {
    project = new FakeProject();
    project.write('echo.ts', ECHO);
  });

  afterEach(() => {
    project.dispose();
  });

  /** Makes the bootstrap, and what it starts, believe that it runs elsewhere. */
  function pretending(properties: Record<string, string>): NodeJS.ProcessEnv {
    const preload = project.path('pretend.mjs');
    const lines = Object.entries(properties).map(
      ([name, value]) => `Object.defineProperty(process, '${name}', { value: '${value}' });`,
    );
    writeFileSync(preload, lines.join('\n'));
    return { NODE_OPTIONS: `--import=${pathToFileURL(preload).href}` };
  }

  function assertOneLine(stderr: string, expected: RegExp): void {
    const lines = stderr.trimEnd().split('\n');
    assert.equal(lines.length, 1, stderr);
    assert.match(lines[0] ?? '', expected);
  }

  describe('compiles the native prover', () => {
    /** A compiler that writes down what it was asked for, and an addon of which only the linker's output is wanted. */
    function withCompiler(script: string): NodeJS.ProcessEnv {
      for (const name of ['addon', 'backends', 'portable', 'avx2', 'ifma'])
        project.write(`packages/prover/native/${name}.cpp`, `// ${name}`);
      project.write('compiler/c++', `#!/bin/sh\necho "$*" >> compiler-calls\n${script}\n`);
      chmodSync(project.path('compiler/c++'), 0o755);
      return { PATH: [project.path('compiler'), process.env['PATH']].join(path.delimiter) };
    }
    const WRITES = 'for last; do :; done; echo addon > "$last"';
    const calls = () => project.read('compiler-calls').trimEnd().split('\n');

    it('once, and again where a source has changed', async () => {
      const environment = withCompiler(WRITES);
      const { status, stderr } = await project.run(['echo.ts'], environment);
      assert.equal(status, 0, stderr);
      assert.match(stderr, /compiling the native prover/);
      assert(project.exists('.cache/prover/addon.node'));
      const units = process.arch === 'x64' ? 5 : 3;
      assert.equal(calls().length, units + 1);
      assert(
        calls().every((call) => !call.includes('-Werror')),
        'a warning of another compiler costs nobody the prover',
      );
      await project.run(['echo.ts'], environment);
      assert.equal(calls().length, units + 1);
      project.append('packages/prover/native/portable.cpp', '// changed');
      await project.run(['echo.ts'], environment);
      assert.equal(calls().length, 2 * (units + 1));
    });

    it('and goes on without it where that fails, which is said once', async () => {
      const environment = withCompiler('exit 1');
      const { status, stderr } = await project.run(['echo.ts'], environment);
      assert.equal(status, 0);
      assert.match(stderr, /cannot be compiled here: proofs are made without it/);
      assert(!project.exists('.cache/prover/addon.node'));
      assert.equal((await project.run(['echo.ts'], environment)).stderr, '');
      // Two files are compiled at once.
      assert.equal(calls().length, 2);
    });
  });

  describe('hands over to the program', () => {
    it('with its arguments, at the root, told where the call came from', async () => {
      const { status, stdout } = await project.run(['echo.ts', '--json', 'two words', '--without-circuits', ''], {
        INIT_CWD: '/somewhere',
      });
      assert.equal(status, 0);
      const answer = JSON.parse(stdout) as Record<string, unknown>;
      assert.deepEqual(answer['arguments'], ['--json', 'two words', '--without-circuits', '']);
      assert.equal(answer['directory'], project.directory);
      assert.equal(answer['calledFrom'], '/somewhere');
    });

    it('telling where the call came from without npm too', async () => {
      const child = project.start(['echo.ts'], {}, project.path('scripts'));
      const answer = JSON.parse((await ended(child)).stdout) as Record<string, unknown>;
      assert.equal(answer['directory'], project.directory);
      assert.equal(answer['calledFrom'], project.path('scripts'));
    });

    it('with the variables named before it, and its own Node first on the path', async () => {
      const { stdout } = await project.run(['ANSWER=4=2', 'echo.ts']);
      const answer = JSON.parse(stdout) as Record<string, string>;
      assert.equal(answer['variable'], '4=2');
      assert.equal(answer['path']?.split(path.delimiter)[0], path.dirname(process.execPath));
    });

    it('with its input and output, set-up speaking on stderr only', async () => {
      project.write('hardhat.config.ts', '');
      project.write('contracts/Pool.sol', '');
      project.write(
        'upper.ts',
        `for await (const chunk of process.stdin) process.stdout.write(String(chunk).toUpperCase());`,
      );
      const { status, stdout, stderr } = await project.run(['upper.ts'], {}, 'from outside');
      assert.equal(status, 0);
      assert.equal(stdout, 'FROM OUTSIDE');
      assert.match(
        stderr,
        /the first time: some \d+ MB[^]*installing the packages[^]*npm speaks[^]*compiling the contracts[^]*hardhat speaks/,
      );
    });

    it('and passes on its exit code', async () => {
      project.write('fail.ts', 'process.exit(42);');
      assert.equal((await project.run(['fail.ts'])).status, 42);
    });

    it('and passes on a signal, which the program may answer', async () => {
      project.write(
        'answer.ts',
        `process.on('SIGTERM', () => { console.log('asked to stop'); process.exit(9); });
         setInterval(() => {}, 1000); console.log('ready');`,
      );
      const child = project.start(['answer.ts']);
      const outcome = ended(child);
      await said(child.stdout, 'ready');
      child.kill('SIGTERM');
      const { status, stdout } = await outcome;
      assert.equal(status, 9);
      assert.match(stdout, /asked to stop/);
    });

    for (const [signal, status] of [
      ['SIGTERM', 143],
      ['SIGINT', 130],
      ['SIGHUP', 129],
    ] as const) {
      it(`and says a death by ${signal} as ${status}`, async () => {
        project.write('idle.ts', `setInterval(() => {}, 1000); console.log('ready');`);
        const child = project.start(['idle.ts']);
        const outcome = ended(child);
        await said(child.stdout, 'ready');
        child.kill(signal);
        assert.deepEqual(
          { ...(await outcome), stdout: '', stderr: '' },
          { status, signal: null, stdout: '', stderr: '' },
        );
      });
    }

    it('or does without a program', async () => {
      const { status, stdout } = await project.run([]);
      assert.equal(status, 0);
      assert.equal(stdout, '');
      assert.equal(project.npmCalls().length, 1);
    });

    for (const [words, message] of [
      [['missing.ts'], /there is no program missing\.ts$/],
      [['toString'], /there is no program "toString": name a .* or one of eslint, hardhat, mocha/],
      [['--without-anything', 'echo.ts'], /unknown option --without-anything/],
    ] as const) {
      it(`but not to ${words.join(' ')}`, async () => {
        await project.run([]);
        const { status, stdout, stderr } = await project.run(words);
        assert.equal(status, 1);
        assert.equal(stdout, '');
        assertOneLine(stderr, message);
      });
    }
  });

  describe('installs the packages', () => {
    it('by npm ci, once, and then says nothing', async () => {
      await project.run(['echo.ts']);
      const { status, stderr } = await project.run(['echo.ts']);
      assert.equal(status, 0);
      assert.equal(stderr, '');
      assert.equal(project.npmCalls().length, 1);
      assert.equal(project.npmCalls()[0]?.arguments[0], 'ci');
    });

    it('again where the lock file has changed', async () => {
      await project.run([]);
      project.append('package-lock.json', '\n');
      assert.doesNotMatch((await project.run([])).stderr, /first time/);
      assert.equal(project.npmCalls().length, 2);
    });

    it('again where another npm has installed meanwhile', async () => {
      await project.run([]);
      project.append('node_modules/.package-lock.json', '\n');
      await project.run([]);
      assert.equal(project.npmCalls().length, 2);
    });

    it('again where the Node is another', async () => {
      await project.run([]);
      await project.run([], pretending({ version: 'v99.0.0' }));
      assert.equal(project.npmCalls().length, 2);
    });

    it('and again where npm failed', async () => {
      project.write('break-npm', '');
      const { status, stderr } = await project.run(['echo.ts']);
      assert.equal(status, 1);
      assert.match(stderr, /^bootstrap: npm ci failed with status 1: look above/m);
      project.remove('break-npm');
      assert.equal((await project.run(['echo.ts'])).status, 0);
      assert.equal(project.npmCalls().length, 2);
    });

    it('and says so where the native EVM does not load', async () => {
      project.installable(
        '@nomicfoundation/edr',
        { exports: './main.js' },
        `import 'a-native-part-that-npm-left-out';`,
      );
      for (const attempt of ['first', 'second']) {
        const { status, stdout, stderr } = await project.run(['echo.ts']);
        assert.equal(status, 1, attempt);
        assert.equal(stdout, '');
        assert.match(
          stderr,
          /native EVM .* cannot be loaded by Node v.*Cannot find package 'a-native-part-that-npm-left-out'/,
        );
        assert.match(stderr, /remove node_modules and run this again/);
      }
    });

    it('not from a checkout without lock file', async () => {
      project.remove('package-lock.json');
      const { status, stderr } = await project.run(['echo.ts']);
      assert.equal(status, 1);
      assertOneLine(stderr, /package-lock\.json is missing/);
    });
  });

  describe('brings a Node where the present one is too old', () => {
    const OLD = { version: 'v20.19.0' };

    it('by content, once, and runs everything with it', async () => {
      const first = await project.run(['echo.ts'], pretending(OLD));
      const second = await project.run(['echo.ts'], pretending(OLD));
      assert.equal(first.status, 0, first.stderr);
      assert.equal(second.stderr, '');
      assert.equal((JSON.parse(second.stdout) as Record<string, unknown>)['brought'], '1');

      const [bringing, installing, ...more] = project.npmCalls();
      assert.deepEqual(more, []);
      assert.match(bringing?.integrity ?? '', /^sha512-/);
      assert.ok(bringing?.arguments.includes('--ignore-scripts'));
      assert.equal(installing?.directory, project.directory);
      assert.ok(installing.firstOnPath.startsWith(project.path('.cache', 'node')), installing.firstOnPath);
    });

    it('and says what to do where that Node does not run', async () => {
      project.write('break-node', '');
      const { status, stderr } = await project.run(['echo.ts'], pretending(OLD));
      assert.equal(status, 1);
      assert.match(stderr, /does not run here \(.*no-such-loader.*install Node 22\.18 or newer/);
      assert.ok(!project.npmCalls().some((call) => call.directory === project.directory));
    });

    it('and says what to do where it cannot be fetched', async () => {
      project.write('break-npm', '');
      const { status, stderr } = await project.run(['echo.ts'], pretending(OLD));
      assert.equal(status, 1);
      assert.match(stderr, /npm could not fetch node-.*@.*install Node 22\.18 or newer/);
    });

    it('and says in one line where there is none for the platform', async () => {
      const { status, stdout, stderr } = await project.run(
        ['echo.ts'],
        pretending({ ...OLD, platform: 'aix', arch: 'ppc64' }),
      );
      assert.equal(status, 1);
      assert.equal(stdout, '');
      assertOneLine(
        stderr,
        /^bootstrap: Node v20\.19\.0 is too old and there is none to fetch for aix-ppc64: install Node 22\.18/,
      );
      assert.equal(project.npmCalls().length, 0);
    });

    it('takes for old what does not strip types by itself', () => {
      for (const version of ['v18.0.0', 'v20.19.0', 'v22.17.9', 'v23.5.0']) assert.ok(!isNewEnough(version), version);
      for (const version of ['v22.18.0', 'v23.6.0', 'v24.0.0', 'v30.1.2']) assert.ok(isNewEnough(version), version);
    });
  });

  describe('keeps out of the way of other bootstraps', () => {
    const LOCK = '.cache/bootstrap.lock';

    it('so that of several only one installs', async () => {
      const outcomes = await Promise.all([1, 2, 3].map(() => project.run(['echo.ts'])));
      assert.deepEqual(
        outcomes.map((outcome) => outcome.status),
        [0, 0, 0],
      );
      assert.equal(project.npmCalls().length, 1);
      assert.ok(!project.exists(LOCK));
    });

    it('waiting while the other one lives', async () => {
      project.write(LOCK, JSON.stringify([{ pid: process.pid }]));
      const child = project.start(['echo.ts']);
      const outcome = ended(child);
      await said(child.stderr, `waiting for the set-up that process ${process.pid} is at`);
      assert.equal(project.npmCalls().length, 0);
      project.remove(LOCK);
      assert.equal((await outcome).status, 0);
      assert.equal(project.npmCalls().length, 1);
    });

    it('taking over from one that is gone', async () => {
      const gone = spawn(process.execPath, ['--version']);
      await once(gone, 'close');
      project.write(LOCK, JSON.stringify([{ pid: gone.pid }]));
      const outcomes = await Promise.all([1, 2, 3].map(() => project.run(['echo.ts'])));
      assert.deepEqual(
        outcomes.map((outcome) => outcome.status),
        [0, 0, 0],
      );
      assert.equal(project.npmCalls().length, 1);
    });

    it('taking over from a damaged lock', async () => {
      project.write(LOCK, '[{"pi');
      assert.equal((await project.run(['echo.ts'])).status, 0);
    });

    if (process.platform === 'linux') {
      it('taking over where another process has the number now', async () => {
        project.write(LOCK, JSON.stringify([{ pid: process.pid, started: '1' }]));
        assert.equal((await project.run(['echo.ts'])).status, 0);
      });

      it('taking over from one that is over but was not asked for by its parent', async () => {
        // The shell becomes a program that never asks.
        const parent = spawn('sh', ['-c', 'sleep 600 & echo $!; exec sleep 600']);
        try {
          const [line] = (await once(parent.stdout, 'data')) as [Buffer];
          const pid = Number(line.toString());
          while (readFileSync(`/proc/${parent.pid}/comm`, 'utf8') !== 'sleep\n') await sleep(20);
          process.kill(pid, 'SIGKILL');
          while (!readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')) await sleep(20);
          project.write(LOCK, JSON.stringify([{ pid }]));
          assert.equal((await project.run(['echo.ts'])).status, 0);
        } finally {
          parent.kill('SIGKILL');
        }
      });
    }

    it('not before the npm of a killed one has ended', async () => {
      project.write('hold-npm', '');
      const killed = project.start(['echo.ts']);
      while (project.npmCalls().length === 0) await sleep(20);
      killed.kill('SIGKILL');
      await once(killed, 'exit');

      const next = project.start(['echo.ts']);
      const outcome = ended(next);
      await said(next.stderr, 'waiting for the set-up');
      assert.equal(project.npmCalls().length, 1);
      project.remove('hold-npm');
      assert.equal((await outcome).status, 0);
      assert.equal(project.npmCalls().length, 2);
    });

    it('and leaves no lock when it is asked to stop', async () => {
      project.write('hold-npm', '');
      const child = project.start(['echo.ts']);
      const outcome = ended(child);
      while (project.npmCalls().length === 0) await sleep(20);
      child.kill('SIGTERM');
      const { status, stdout } = await outcome;
      assert.equal(status, 143);
      assert.equal(stdout, '');
      assert.ok(!project.exists(LOCK));
    });
  });

  describe('compiles the circuits', () => {
    const CIRCUIT = 'circuits/main/product.circom';
    const PIN = 'circuits/pins/product.json';

    beforeEach(() => {
      project.write(CIRCUIT, IDENTITY_CIRCUIT);
    });

    function readPin(): Record<string, unknown> {
      return JSON.parse(project.read(PIN)) as Record<string, unknown>;
    }

    it('and stops at one without pin, unless the pins are being updated', async () => {
      const stopped = await project.run(['echo.ts']);
      assert.equal(stopped.status, 1);
      assert.equal(stopped.stdout, '');
      assert.match(stopped.stderr, /circuit product has no pin\n.*npm run pins/);
      assert.ok(!project.exists(PIN));

      const pinning = await project.run(['BITCLOAK_UPDATE_PINS=1', 'echo.ts']);
      assert.equal(pinning.status, 0);
      assert.match(pinning.stderr, /circuit product has no pin: pinned with 1 constraints/);
      assert.equal(readPin()['constraints'], 1);
      assert.equal(readPin()['publicSignals'], 2);

      const running = await project.run(['echo.ts']);
      assert.equal(running.status, 0);
      assert.equal(running.stderr, '');
    });

    it('and stops at one that is not the pinned one', async () => {
      await project.run(['BITCLOAK_UPDATE_PINS=1']);
      project.write(CIRCUIT, IDENTITY_CIRCUIT.replace('a * b', 'a * (b + a)'));
      for (const attempt of ['compiling', 'compiled']) {
        const { status, stdout, stderr } = await project.run(['echo.ts']);
        assert.equal(status, 1, attempt);
        assert.equal(stdout, '');
        assert.match(stderr, /circuit product is not the pinned one \(r1csSha256 [0-9a-f]{64}, pinned [0-9a-f]{64}/);
      }
    });

    it('and stops where only the pin says otherwise', async () => {
      await project.run(['BITCLOAK_UPDATE_PINS=1']);
      const pin = readPin();
      for (const [field, value] of Object.entries({
        constraints: 2,
        publicSignals: 3,
        r1csSha256: '00',
        wasmSha256: '00',
        programSha256: '00',
      })) {
        project.write(PIN, JSON.stringify({ ...pin, [field]: value }));
        const { status, stderr } = await project.run(['echo.ts']);
        assert.equal(status, 1, field);
        assert.match(stderr, new RegExp(`${field} ${String(pin[field])}, pinned ${value}`));
      }
    });

    it('and drops the key of a circuit that it pins anew, and of no other', async () => {
      await project.run(['BITCLOAK_UPDATE_PINS=1']);
      project.write(PIN, JSON.stringify({ ...readPin(), zkeySha256: 'ab' }));
      await project.run(['BITCLOAK_UPDATE_PINS=1']);
      assert.equal(readPin()['zkeySha256'], 'ab');
      project.write(CIRCUIT, IDENTITY_CIRCUIT.replace('a * b', 'a * (b + a)'));
      await project.run(['BITCLOAK_UPDATE_PINS=1']);
      assert.equal(readPin()['zkeySha256'], undefined);
    });

    it('again where a source, the compiler or the compiled bytes have changed', async () => {
      project.write('circuits/lib/empty.circom', '');
      await project.run(['BITCLOAK_UPDATE_PINS=1']);
      const compiledAgain = async () => (await project.run([])).stderr.includes('compiling the circuits: product');
      assert.equal(await compiledAgain(), false);

      project.append('circuits/lib/empty.circom', '// another');
      assert.equal(await compiledAgain(), true);
      project.append('circuits/build/product/product.r1cs', 'x');
      assert.equal(await compiledAgain(), true);
      project.remove('circuits/build/product/product.wasm');
      assert.equal(await compiledAgain(), true);
      project.append('node_modules/circom2/package.json', '\n');
      assert.equal(await compiledAgain(), true);
      assert.equal(await compiledAgain(), false);
    });

    it('and shows what the compiler says of a wrong one', async () => {
      project.write(CIRCUIT, 'pragma circom 2.2.0; nonsense');
      const { status, stdout, stderr } = await project.run(['echo.ts']);
      assert.equal(status, 1);
      assert.equal(stdout, '');
      assert.match(stderr, /circom could not compile circuits\/main\/product\.circom:\n[^]*nonsense/);
    });

    it('unless the program needs none', async () => {
      assert.equal((await project.run(['--without-circuits', 'echo.ts'])).status, 0);
      assert.ok(!project.exists('circuits/build'));
    });
  });

  describe('compiles the contracts', () => {
    beforeEach(() => {
      project.write('hardhat.config.ts', 'export default {};');
      project.write('contracts/Pool.sol', 'contract Pool {}');
    });

    it('by hardhat, again where a source or the configuration has changed', async () => {
      await project.run([]);
      assert.deepEqual(project.hardhatCalls(), ['build']);
      assert.equal((await project.run([])).stderr, '');
      assert.equal(project.hardhatCalls().length, 1);
      project.append('contracts/Pool.sol', ' ');
      await project.run([]);
      assert.equal(project.hardhatCalls().length, 2);
      project.append('hardhat.config.ts', ' ');
      await project.run([]);
      assert.equal(project.hardhatCalls().length, 3);
      project.remove('artifacts');
      await project.run([]);
      assert.equal(project.hardhatCalls().length, 4);
    });

    it('and stops where that fails, every time', async () => {
      project.write('contracts/Pool.sol', 'broken');
      for (const attempt of ['first', 'second']) {
        const { status, stdout, stderr } = await project.run(['echo.ts']);
        assert.equal(status, 1, attempt);
        assert.equal(stdout, '');
        assert.match(stderr, /hardhat build failed with status 1/);
      }
    });

    it('unless the program needs none', async () => {
      assert.equal((await project.run(['--without-contracts', 'echo.ts'])).status, 0);
      assert.deepEqual(project.hardhatCalls(), []);
    });
  });
});
