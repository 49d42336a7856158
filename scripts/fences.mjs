/**
 * fences.mjs: which room may look into which, and why. Data only; check-fences.mjs walks the sources against it.
 *
 * A room missing from `into` is out of reach. `because` is what a developer reads when the fence stops them, so it
 * says what to do instead where that is not obvious.
 */

export const rooms = [
  { room: 'msgpack', into: [], because: 'a dialect knows no message' },
  {
    room: 'memberlist',
    into: ['msgpack'],
    because: 'gossip stands alone; what rides on it hooks in through ports',
  },
  {
    room: 'serf',
    into: ['memberlist', 'msgpack'],
    because: 'serf is a layer on memberlist and knows nothing above it',
  },
  {
    room: 'alpn-mux',
    into: [],
    because: 'a door hands connections to whoever it was given; it knows nobody',
  },
  {
    room: 'rpc',
    into: ['msgpack', 'alpn-mux'],
    because: 'connections are handed in by a dial port; no route is chosen here',
  },
  {
    room: 'wanfed-transport',
    into: ['memberlist', 'alpn-mux'],
    because: 'it sends through a dial port; where gateways are is the locator’s business, told in main.ts',
  },
  {
    room: 'fsm',
    into: ['msgpack'],
    because: 'state is a function of the log; whoever serves or copies it looks in, never the reverse',
  },
  {
    room: 'gateway-locator',
    into: ['fsm'],
    because: 'the locator only listens: it hears rows, and asks and dials nobody',
  },
  {
    room: 'replication',
    into: ['fsm'],
    because: 'fetching and applying are ports; RPC and the log are plugged in by main.ts',
  },
  { room: 'xds', into: ['fsm', 'alpn-mux'], because: 'resources are pure functions of rows and names' },
  { room: 'pki', into: ['alpn-mux'], because: 'certificates need the names they must carry, nothing else' },
  { room: 'sim', into: '*', because: 'tests may plug anything into the simulator' },
  { room: 'server', into: '*', because: 'the composition root closes the strip' },
  {
    room: 'mesh-gateway',
    into: ['alpn-mux', 'xds'],
    because: 'a gateway sees names and bytes; it holds no state and no gossip',
  },
  { room: 'bench', into: '*', because: 'measures anything' },
  { room: 'interop', into: '*', because: 'runs anything beside its original' },
];

/** Nobody but tests may look into the simulator. */
export const testsOnly = ['sim'];

/** Folders whose code decides: what must never appear there, and where it belongs instead. */
export const pure = {
  folders: ['core', 'wire'],
  forbidden: [
    { pattern: /\bDate\.now\(|\bnew Date\(\)/, because: 'time is handed in as `now`' },
    { pattern: /\bMath\.random\(/, because: 'chance is a port: rng.below(n)' },
    {
      pattern: /\bset(Timeout|Interval|Immediate)\(/,
      because: 'a core asks for one deadline; the shell keeps the timer',
    },
    { pattern: /from 'node:(net|tls|dgram|fs|dns|http|timers)[^']*'/, because: 'I/O belongs to the shell' },
    { pattern: /\basync\b|\bawait\b|\bPromise\b/, because: 'decisions are synchronous' },
  ],
};
