/**
 * own-questions.ts: what this server itself asks, and for whom it asks it.
 *
 * Its routines put questions through the same door as everybody, so they carry a token too: within the datacenter one that
 * lives as long as the process, to the primary the one the operator gave.
 */
import { asArgs } from '../rpc/args.ts';
import type { Ask } from '../rpc/ask.ts';
import type { StaticToken } from './access.ts';

/** Known to this process alone. */
export function processToken(randomBytes: (size: number) => Uint8Array): StaticToken {
  return {
    secret: Buffer.from(randomBytes(32)).toString('hex'),
    accessor: 'this server',
    rules: undefined,
  };
}

/** The same door, with this token instead of whatever the routine wrote. */
export function askingAs(secret: () => string, ask: Ask): Ask {
  return (method, args, context) => ask(method, { ...asArgs(args), Token: secret() }, context);
}
