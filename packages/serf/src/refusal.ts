/**
 * refusal.ts: who is kept out of the pool. serf merge_delegate.go.
 *
 * Lives here: the question put to the application, and serf's own checks before it. Must not live here: when it is put.
 */
import type { Member } from '@fed/memberlist';
import type { SerfOptions } from './api.ts';
import { refuseName } from './config.ts';
import { decodeTags, metaBytesMax } from './wire/tags.ts';

/** Why a member must stay out, or undefined. */
export function refusal(
  m: Member,
  o: { readonly refuseMember: SerfOptions['refuseMember']; readonly validateNodeNames: boolean },
): string | undefined {
  const badName = o.validateNodeNames ? refuseName(m.name) : undefined;
  if (badName !== undefined || o.refuseMember === undefined) return badName;
  if (m.addr.length !== 4 && m.addr.length !== 16)
    return `'${m.name}' has an address of ${m.addr.length} bytes`;
  if (m.meta.length > metaBytesMax) return `'${m.name}' has ${m.meta.length} bytes of tags`;
  const { name, host, port, addr, vsn } = m;
  const status = m.state === 'left' ? 'left' : 'none';
  return o.refuseMember({ name, host, port, addr, vsn, tags: decodeTags(m.meta), status });
}
