import process from 'node:process';
import { interrupted, Stopped } from './errors.ts';

const INPUT_BYTES_MAX = 65_536;

const CTRL_C = '\x03';
const CTRL_D = '\x04';
const CTRL_U = '\x15';
const BACKSPACES = ['\x7f', '\b'];
const ENDS = ['\r', '\n'];

/** What came after the end of a line: the beginning of the answer to the next question. */
let typedAhead = '';

/** Whether somebody can be asked. Questions go to stderr, so that stdout can be kept in a file. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** Asks on the terminal for one line, which is shown while it is typed or not. */
export async function askLine(question: string, options: { hidden: boolean }): Promise<string> {
  const { stdin, stderr } = process;
  // Raw, because a terminal that echoes cannot be told to stop in any other way from here; and before the question, which may be answered at once.
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  stderr.write(question);
  try {
    return await readLine(new LineEditor(options.hidden ? () => {} : (text) => stderr.write(text)));
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}

export async function askYesNo(question: string): Promise<boolean> {
  const answer = await askLine(`${question} [y/N] `, { hidden: false });
  return /^y(es)?$/i.test(answer.trim());
}

function readLine(editor: LineEditor): Promise<string> {
  const { stdin } = process;
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void) => {
      stdin.off('data', take).off('end', onEnd);
      settle();
    };
    const onEnd = () => {
      finish(() => reject(new Stopped('CANCELLED', 'the terminal was closed before there was an answer', 1)));
    };
    const take = (chunk: string) => {
      const characters = [...chunk];
      for (const [index, character] of characters.entries()) {
        const step = editor.type(character);
        if (step === 'more') continue;
        typedAhead = characters.slice(index + 1).join('');
        if (step === 'line') finish(() => resolve(editor.line));
        else if (step === 'interrupt') finish(() => reject(interrupted()));
        else onEnd();
        return;
      }
    };
    stdin.on('data', take).on('end', onEnd).resume();
    const earlier = typedAhead;
    typedAhead = '';
    if (earlier !== '') take(earlier);
  });
}

/** A line as it is typed: backspace and Ctrl-U work, arrows and other escape sequences are passed over. */
class LineEditor {
  #characters: string[] = [];
  #escape: 'none' | 'begun' | 'sequence' = 'none';
  readonly #echo: (text: string) => void;

  constructor(echo: (text: string) => void) {
    this.#echo = echo;
  }

  get line(): string {
    return this.#characters.join('');
  }

  type(character: string): 'more' | 'line' | 'interrupt' | 'end' {
    if (character === CTRL_C) return 'interrupt';
    if (ENDS.includes(character)) return 'line';
    if (character === CTRL_D && this.#characters.length === 0) return 'end';
    if (this.#escape !== 'none' || character === '\x1b') {
      this.#passOver(character);
    } else if (BACKSPACES.includes(character)) {
      this.#erase(1);
    } else if (character === CTRL_U) {
      this.#erase(this.#characters.length);
    } else if (character >= ' ' || character === '\t') {
      this.#characters.push(character);
      this.#echo(character);
    }
    return 'more';
  }

  #erase(count: number): void {
    const erased = this.#characters.splice(Math.max(0, this.#characters.length - count));
    this.#echo('\b \b'.repeat(erased.length));
  }

  #passOver(character: string): void {
    if (character === '\x1b') this.#escape = 'begun';
    else if (this.#escape === 'begun') this.#escape = character === '[' || character === 'O' ? 'sequence' : 'none';
    else if (character >= '@' && character <= '~') this.#escape = 'none';
  }
}

/** Everything on standard input, where it is no terminal. */
export async function readInput(): Promise<string> {
  let text = '';
  process.stdin.setEncoding('utf8');
  for await (const chunk of process.stdin) {
    text += chunk as string;
    if (text.length > INPUT_BYTES_MAX) throw new Stopped('CANCELLED', 'standard input: far more than was expected', 1);
  }
  return text;
}
