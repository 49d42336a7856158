/**
 * memberlist-changes.ts: joins a memberlist cluster and prints who comes and goes.
 *
 *   node --conditions=@fed/source examples/memberlist-changes.ts NAME [HOST:PORT...]
 */
import { openMemberlist, openUdpTcpTransport } from '@fed/memberlist';

const [name = 'watcher', ...seeds] = process.argv.slice(2);
const transport = await openUdpTcpTransport({ host: '127.0.0.1', port: 0 });
await using list = await openMemberlist({
  name,
  transport,
  hooks: {
    changed: ({ kind, member }) =>
      console.log(`${kind} ${member.name} ${member.host}:${member.port} ${member.state}`),
  },
});
console.log(`listening on 127.0.0.1:${transport.bound.port}`);
if (seeds.length > 0) await list.join(seeds);
await new Promise((resolve) => process.once('SIGINT', resolve));
await list.leave({ timeoutMs: 5_000 });
