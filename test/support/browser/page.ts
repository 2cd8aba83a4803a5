import { judge, judgeFlips } from './judging.ts';
import { proveTransfer } from './proving.ts';
import { connect, trade } from './trading.ts';

/* The script of the test page. */

const functions = { judge, judgeFlips, connect, proveTransfer, trade };

/** What a test can have the page do. */
export type PageFunctions = typeof functions;

Object.assign(globalThis, { bitcloak: functions });
