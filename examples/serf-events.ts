/**
 * serf-events.ts: joins a serf cluster and prints what happens in it.
 *
 *   node --conditions=@fed/source examples/serf-events.ts NAME [HOST:PORT...]
 */
import { openUdpTcpTransport } from '@fed/memberlist';
import { openSerf } from '@fed/serf';

const [name = 'watcher', ...seeds] = process.argv.slice(2);
const transport = await openUdpTcpTransport({ host: '127.0.0.1', port: 0 });
await using serf = await openSerf({ name, transport, tags: { role: 'example' } });
serf.events((event) => {
  if (event.kind === 'user') console.log(`event ${event.name}: ${Buffer.from(event.payload)}`);
  else if (event.kind === 'query')
    console.log(`query ${event.query.name}: ${Buffer.from(event.query.payload)}`);
  else console.log(`${event.kind} ${event.members.map((m) => `${m.name} ${m.status}`).join(', ')}`);
});
console.log(`listening on 127.0.0.1:${transport.bound.port}`);
if (seeds.length > 0) await serf.join(seeds);
await new Promise((resolve) => process.once('SIGINT', resolve));
await serf.leave();
